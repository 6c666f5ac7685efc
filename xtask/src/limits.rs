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
    /// What there is so much of.
    pub noun: &'static str,
    /// What a cluster of three containers, `quick`, needs of it.
    pub cluster: u64,
    /// What setup raises it to where it is enough for too few clusters.
    pub raised: u64,
}

/// Every limit that containers share. Raised values: for inotify instances eight clusters and as much again for others, for
/// watches what users of kind are told to set, for processes the most that a kernel of 64 bits takes (systemd sets it
/// too), for keys the default of current kernels, for files a small part of what a computer with 16 GiB has by default.
pub const LIMITS: [Limit; 6] = [
    Limit { setting: "fs.inotify.max_user_instances", noun: "inotify instances", cluster: 98, raised: 1024 },
    Limit { setting: "fs.inotify.max_user_watches", noun: "inotify watches", cluster: 1085, raised: 524_288 },
    Limit { setting: "kernel.keys.root_maxkeys", noun: "keys of root", cluster: 115, raised: 1_000_000 },
    Limit {
        setting: "kernel.keys.root_maxbytes",
        noun: "bytes of root's keys",
        cluster: 4500,
        raised: 25_000_000,
    },
    Limit { setting: "kernel.pid_max", noun: "processes and threads", cluster: 710, raised: 4_194_304 },
    Limit { setting: "fs.file-max", noun: "open files", cluster: 4800, raised: 1_000_000 },
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
}

impl Found {
    /// How many more clusters the rest is enough for.
    pub fn clusters(&self) -> u64 {
        self.value.saturating_sub(self.used.unwrap_or_default()) / self.limit.cluster
    }

    /// The value of the setting with nothing else running, in clusters.
    pub fn clusters_in_all(&self) -> u64 {
        self.value / self.limit.cluster
    }
}

/// Every limit that can be read, the one that is enough for fewest clusters first.
pub fn examine(host: &Host) -> Vec<Found> {
    let mut found: Vec<Found> = LIMITS
        .iter()
        .filter_map(|limit| {
            Some(Found { limit, value: value(host, limit.setting)?, used: used(host, limit) })
        })
        .collect();
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

/// What root uses, or everybody where the limit is everybody's.
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
