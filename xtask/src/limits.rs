//! Limits of the kernel that the containers of all labs share: how much of each is used, and for how many clusters the
//! rest is enough.
//!
//! Changes nothing; `setup/limits.rs` raises them. The needs are those of `lab/core/src/limits.rs`, which has a test that
//! both agree: this program links nothing of the lab.

use crate::host::Host;

/// One limit.
#[derive(Debug, PartialEq, Eq)]
pub struct Limit {
    /// Its name for sysctl(8).
    pub setting: &'static str,
    /// The counted things, for people.
    pub noun: &'static str,
    /// How much a cluster of three containers, `quick`, needs to start, with version 1 and version 2 of control groups.
    pub cluster: [u64; 2],
    /// The value that setup raises it to where it is enough for too few clusters.
    pub raised: u64,
}

/// Every limit that containers share. Raised values are: instances for ten clusters; watches as kind's documentation
/// recommends; the largest `pid_max` of a kernel of 64 bits, which systemd sets too; keys as current kernels have them by
/// default; fewer files than a computer with 16 GiB of memory has by default.
pub const LIMITS: [Limit; 6] = [
    Limit {
        setting: "fs.inotify.max_user_instances",
        noun: "inotify instances",
        cluster: [62, 95],
        raised: 1024,
    },
    Limit {
        setting: "fs.inotify.max_user_watches",
        noun: "inotify watches",
        cluster: [740, 800],
        raised: 524_288,
    },
    Limit { setting: "kernel.keys.root_maxkeys", noun: "keys of root", cluster: [77, 77], raised: 1_000_000 },
    Limit {
        setting: "kernel.keys.root_maxbytes",
        noun: "bytes of root's keys",
        cluster: [3400, 3400],
        raised: 25_000_000,
    },
    Limit {
        setting: "kernel.pid_max",
        noun: "processes and threads",
        cluster: [745, 745],
        raised: 4_194_304,
    },
    Limit { setting: "fs.file-max", noun: "open files", cluster: [3400, 3400], raised: 1_000_000 },
];

/// A limit as the computer has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Which one.
    pub limit: &'static Limit,
    /// Its value.
    pub value: u64,
    /// How much is used, where that can be seen.
    pub used: Option<u64>,
    /// How much of it a cluster needs here.
    pub cluster: u64,
}

impl Found {
    /// How many more clusters the rest is enough for.
    pub fn clusters(&self) -> u64 {
        self.value.saturating_sub(self.used.unwrap_or_default()) / self.cluster
    }

    /// How many clusters the whole is enough for.
    pub fn clusters_in_all(&self) -> u64 {
        self.value / self.cluster
    }
}

/// Every limit that can be read, the one that is enough for fewest clusters first.
pub fn examine(host: &Host) -> Vec<Found> {
    let groups = host.read("/proc/self/cgroup").unwrap_or_default();
    let is_second_version = !groups.is_empty() && groups.lines().all(|line| line.starts_with("0::"));
    let look = |limit: &'static Limit| {
        let cluster = limit.cluster[usize::from(is_second_version)];
        Some(Found { limit, value: value(host, limit.setting)?, used: used(host, limit), cluster })
    };
    let mut found: Vec<Found> = LIMITS.iter().filter_map(look).collect();
    found.sort_by_key(Found::clusters);
    found
}

/// Where a setting is read and written.
pub fn path(setting: &str) -> String {
    format!("/proc/sys/{}", setting.replace('.', "/"))
}

/// The value of a setting.
pub fn value(host: &Host, setting: &str) -> Option<u64> {
    host.read(&path(setting))?.trim().parse().ok()
}

/// The usage of root, or of all users where they share the limit.
fn used(host: &Host, limit: &Limit) -> Option<u64> {
    // `    0:     9 8/8 3/1000000 40/25000000`: used and allowed keys and bytes are the last columns (keyrings(7)).
    let key_users = |column: usize| {
        let table = host.read("/proc/key-users")?;
        let line = table.lines().find(|line| line.trim_start().starts_with("0:"))?;
        line.split_whitespace().nth(column)?.split('/').next()?.parse().ok()
    };
    match limit.setting {
        "fs.inotify.max_user_instances" => (host.uid == 0).then(|| inotify_instances(host)),
        "kernel.keys.root_maxkeys" => key_users(3),
        "kernel.keys.root_maxbytes" => key_users(4),
        // The number behind the slash counts everything that can be scheduled: proc_loadavg(5).
        "kernel.pid_max" => host.read("/proc/loadavg")?.split(['/', ' ']).nth(4)?.parse().ok(),
        "fs.file-max" => host.read("/proc/sys/fs/file-nr")?.split_whitespace().next()?.parse().ok(),
        _ => None,
    }
}

/// Counts the descriptors of inotify(7) that processes of root have.
fn inotify_instances(host: &Host) -> u64 {
    let of_root = |pid: &String| {
        let status = host.read(&format!("/proc/{pid}/status")).unwrap_or_default();
        let users = status.lines().find_map(|line| line.strip_prefix("Uid:"));
        users.and_then(|users| users.split_whitespace().nth(1)) == Some("0")
    };
    let processes =
        host.list("/proc").into_iter().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
    let instances = processes.filter(of_root).map(|pid| {
        let folder = format!("/proc/{pid}/fd");
        let descriptors = host.list(&folder).into_iter();
        let targets = descriptors.filter_map(|number| host.link(&format!("{folder}/{number}")));
        targets.filter(|target| target == "anon_inode:inotify").count() as u64
    });
    instances.sum()
}
