//! The kernel's limits that containers share, and their usage, read from /proc and the control groups.
//!
//! Changes nothing and judges nothing: `lab_core::limits` does.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use lab_core::limits::{Amounts, CgroupVersion, Limit, Limits, Resource};

use crate::processes;

/// The target of the link of an inotify(7) descriptor.
const INOTIFY: &str = "anon_inode:inotify";

/// Limits, and who uses how much.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Usage {
    /// The version of the control groups.
    pub cgroups: CgroupVersion,
    /// The limits that are known.
    pub limits: Limits,
    /// How much everything uses.
    pub all: Amounts,
    /// How much the processes of each living lab use, by the folder of its embedded host.
    pub labs: BTreeMap<PathBuf, Amounts>,
}

/// A process as its folder under /proc shows it.
struct Process {
    parent: i32,
    used: Amounts,
}

/// Reads everything. An unreadable file is left out, and so are processes of other users for an ordinary user.
pub fn collect() -> Usage {
    let hosts = processes::supervisors().into_iter().collect();
    let mut usage = read(Path::new("/proc"), nix::unistd::geteuid().as_raw(), &hosts);
    if let Some((group, limit, used)) = group_limit()
        && usage.limits.get(&Resource::Tasks).is_none_or(|found| limit < found.value)
    {
        usage.limits.insert(Resource::Tasks, Limit { value: limit, setting: group });
        usage.all.insert(Resource::Tasks, used);
    }
    usage
}

/// The same from a folder that is like /proc. `hosts`: the supervisors, each with the folder of its host.
fn read(proc: &Path, user: u32, hosts: &BTreeMap<i32, PathBuf>) -> Usage {
    let text = |path: &str| fs::read_to_string(proc.join(path)).unwrap_or_default();
    let mut usage = Usage::default();
    let mut limit = |resource, setting: &str| {
        let path = format!("sys/{}", setting.replace('.', "/"));
        let Ok(value) = text(&path).trim().parse::<u64>() else { return };
        let is_lower = |found: &Limit| value < found.value;
        if usage.limits.get(&resource).is_none_or(is_lower) {
            usage.limits.insert(resource, Limit { value, setting: setting.to_owned() });
        }
    };
    for resource in Resource::ALL {
        limit(resource, resource.setting());
    }
    limit(Resource::Tasks, "kernel.threads-max");

    let groups = text("self/cgroup");
    if !groups.is_empty() && groups.lines().all(|line| line.starts_with("0::")) {
        usage.cgroups = CgroupVersion::Two;
    }
    let found = processes_in(proc, user);
    for process in found.values() {
        add(&mut usage.all, &process.used);
    }
    // The kernel counts these itself, those that no process here shows among them.
    if let Some((keys, bytes)) = keys(&text("key-users"), user) {
        usage.all.insert(Resource::Keys, keys);
        usage.all.insert(Resource::KeyBytes, bytes);
    }
    if let Some(files) = text("sys/fs/file-nr").split_whitespace().next().and_then(|used| used.parse().ok()) {
        usage.all.insert(Resource::OpenFiles, files);
    }
    if let Some(tasks) = text("loadavg").split(['/', ' ']).nth(4).and_then(|total| total.parse().ok()) {
        usage.all.insert(Resource::Tasks, tasks);
    }
    for folder in hosts.values() {
        usage.labs.entry(folder.clone()).or_default();
    }
    for (pid, process) in &found {
        if let Some(folder) = host_of(*pid, &found, hosts) {
            add(usage.labs.entry(folder.clone()).or_default(), &process.used);
        }
    }
    usage
}

fn add(sum: &mut Amounts, part: &Amounts) {
    for (resource, amount) in part {
        *sum.entry(*resource).or_default() += amount;
    }
}

/// The host that a process descends from: a supervisor's first inner process takes in every orphan.
fn host_of<'h>(
    pid: i32,
    processes: &BTreeMap<i32, Process>,
    hosts: &'h BTreeMap<i32, PathBuf>,
) -> Option<&'h PathBuf> {
    let mut pid = pid;
    // A process id that the kernel reuses while this reads could close a circle.
    for _ in 0..processes.len() {
        if let Some(folder) = hosts.get(&pid) {
            return Some(folder);
        }
        pid = processes.get(&pid)?.parent;
    }
    None
}

fn processes_in(proc: &Path, user: u32) -> BTreeMap<i32, Process> {
    let entries = fs::read_dir(proc).into_iter().flatten().flatten();
    let numbered =
        entries.filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())));
    numbered.filter_map(|(pid, folder)| Some((pid, process(&folder, user)?))).collect()
}

fn process(folder: &Path, user: u32) -> Option<Process> {
    let stat = processes::stat_in(folder)?;
    let mut used = Amounts::from([(Resource::Tasks, stat.threads)]);
    let status = fs::read_to_string(folder.join("status")).unwrap_or_default();
    let is_own = effective_user(&status) == Some(user);
    let descriptors = fs::read_dir(folder.join("fd")).into_iter().flatten().flatten();
    for descriptor in descriptors {
        *used.entry(Resource::OpenFiles).or_default() += 1;
        let target = fs::read_link(descriptor.path()).unwrap_or_default();
        if is_own && target == Path::new(INOTIFY) {
            let details = folder.join("fdinfo").join(descriptor.file_name());
            let details = fs::read_to_string(details).unwrap_or_default();
            let watches = details.lines().filter(|line| line.starts_with("inotify wd:")).count();
            *used.entry(Resource::InotifyInstances).or_default() += 1;
            *used.entry(Resource::InotifyWatches).or_default() += watches as u64;
        }
    }
    Some(Process { parent: stat.parent, used })
}

/// The second number of `Uid:` in proc_pid_status(5): inotify counts by it.
fn effective_user(status: &str) -> Option<u32> {
    status.lines().find_map(|line| line.strip_prefix("Uid:"))?.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// The keys of a user and their bytes: `    0:     9 8/8 3/1000000 40/25000000`, of which the last two columns are used
/// and allowed ones (keyrings(7), /proc/key-users).
fn keys(table: &str, user: u32) -> Option<(u64, u64)> {
    let own = format!("{user}:");
    let line = table.lines().find(|line| line.trim_start().starts_with(&own))?;
    let mut columns =
        line.split_ascii_whitespace().skip(3).map(|column| column.split('/').next()?.parse().ok());
    Some((columns.next()??, columns.next()??))
}

/// The lowest `pids.max` among the control groups that this process is in, with the group's name and usage:
/// the groups of a lab are made below.
fn group_limit() -> Option<(String, u64, u64)> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = |line: &str| {
        let mut columns = line.splitn(3, ':').skip(1);
        let (controllers, path) = (columns.next()?, columns.next()?);
        let top = match controllers {
            "" => Path::new("/sys/fs/cgroup").to_owned(),
            list if list.split(',').any(|one| one == "pids") => Path::new("/sys/fs/cgroup").join(list),
            _ => return None,
        };
        Some((top, path.trim_start_matches('/').to_owned()))
    };
    let (top, path) = own.lines().filter_map(path).max_by_key(|(top, _)| top.as_os_str().len())?;
    lowest_group_limit(&top, &path)
}

fn lowest_group_limit(top: &Path, path: &str) -> Option<(String, u64, u64)> {
    let number = |file: PathBuf| fs::read_to_string(file).ok()?.trim().parse::<u64>().ok();
    let groups = Path::new(path).ancestors().map(|group| (group, top.join(group)));
    groups
        .filter_map(|(group, folder)| {
            let limit = number(folder.join("pids.max"))?;
            let used = number(folder.join("pids.current")).unwrap_or_default();
            Some((format!("pids.max of the control group `/{}`", group.display()), limit, used))
        })
        .min_by_key(|(_, limit, _)| *limit)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A folder that is like /proc.
    struct Proc(tempfile::TempDir);

    impl Proc {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn file(self, path: &str, text: &str) -> Self {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
            self
        }

        /// A process with three threads, and with these descriptors: `i` with two watches, `f` for a file.
        fn process(self, pid: i32, parent: i32, user: u32, descriptors: &str) -> Self {
            let zeros = "0 ".repeat(15);
            let stat = format!("{pid} (a ) b) S {parent} {zeros}3 0 0\n");
            let mut proc = self
                .file(&format!("{pid}/stat"), &stat)
                .file(&format!("{pid}/status"), &format!("Name:\tx\nUid:\t9\t{user}\t9\t9\n"));
            for (number, kind) in descriptors.chars().enumerate() {
                let path = proc.0.path().join(format!("{pid}/fd"));
                fs::create_dir_all(&path).unwrap();
                symlink(if kind == 'i' { INOTIFY } else { "/etc/hosts" }, path.join(number.to_string()))
                    .unwrap();
                let watches = "pos:\t0\ninotify wd:1 ino:2\ninotify wd:2 ino:3\n";
                proc = proc.file(&format!("{pid}/fdinfo/{number}"), watches);
            }
            proc
        }

        fn read(&self, hosts: &[(i32, &str)]) -> Usage {
            let hosts = hosts.iter().map(|(pid, folder)| (*pid, PathBuf::from(folder))).collect();
            read(self.0.path(), 0, &hosts)
        }
    }

    fn amounts(usage: &Amounts) -> [u64; 4] {
        [Resource::InotifyInstances, Resource::InotifyWatches, Resource::Tasks, Resource::OpenFiles]
            .map(|resource| usage.get(&resource).copied().unwrap_or_default())
    }

    #[test]
    fn usage_belongs_to_the_supervisor_that_processes_descend_from() {
        let proc = Proc::new()
            .process(1, 0, 0, "if")
            .process(10, 1, 0, "f")
            .process(11, 10, 0, "ii")
            .process(12, 11, 101, "i")
            .process(20, 1, 0, "i");
        let usage = proc.read(&[(10, "/one/host"), (11, "/one/host"), (30, "/two/host")]);
        assert_eq!(amounts(&usage.all), [4, 8, 15, 7], "instances of another user count for that user");
        let labs: Vec<_> =
            usage.labs.iter().map(|(folder, used)| (folder.to_str().unwrap(), amounts(used))).collect();
        assert_eq!(labs, [("/one/host", [2, 4, 9, 4]), ("/two/host", [0, 0, 0, 0])]);
    }

    #[test]
    fn limits_and_the_kernels_own_counts_are_read() {
        let proc = Proc::new()
            .process(1, 0, 0, "f")
            .file("sys/fs/inotify/max_user_instances", "128\n")
            .file("sys/kernel/pid_max", "32768\n")
            .file("sys/kernel/threads-max", "20000\n")
            .file("sys/fs/file-nr", "828\t0\t2466183\n")
            .file("loadavg", "0.20 0.18 0.12 1/80 11206\n")
            .file("self/cgroup", "4:memory:/a\n0::/\n")
            .file("key-users", "    0:     9 8/8 3/1000000 40/25000000\n 1000:     2 2/2 2/200 28/20000\n");
        let usage = proc.read(&[]);
        let limits: Vec<(u64, &str)> =
            usage.limits.values().map(|limit| (limit.value, limit.setting.as_str())).collect();
        assert_eq!(limits, [(128, "fs.inotify.max_user_instances"), (20000, "kernel.threads-max")]);
        let expected = [
            (Resource::Keys, 3),
            (Resource::KeyBytes, 40),
            (Resource::Tasks, 80),
            (Resource::OpenFiles, 828),
        ];
        assert_eq!(usage.all, Amounts::from(expected));
        assert_eq!(usage.cgroups, CgroupVersion::One);
        let second = Proc::new().file("self/cgroup", "0::/user.slice\n").read(&[]);
        assert_eq!(second.cgroups, CgroupVersion::Two);
    }

    #[test]
    fn lowest_limit_of_all_control_groups_above_counts() {
        let top = Proc::new()
            .file("user.slice/pids.max", "4000\n")
            .file("user.slice/pids.current", "17\n")
            .file("user.slice/session/pids.max", "max\n");
        let found = lowest_group_limit(top.0.path(), "user.slice/session");
        assert_eq!(found, Some(("pids.max of the control group `/user.slice`".to_owned(), 4000, 17)));
        assert_eq!(lowest_group_limit(top.0.path(), "elsewhere"), None);
    }

    #[test]
    fn usage_is_empty_without_files() {
        assert_eq!(Proc::new().read(&[]), Usage::default());
    }
}
