//! inotify instances that a test takes, so that few of root's are left: what clusters of other people would take.

use std::fs;
use std::path::Path;

use nix::sys::inotify::{InitFlags, Inotify};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Instances that are given back when this is dropped.
#[derive(Debug)]
pub struct Taken(#[expect(dead_code, reason = "they are held, not used")] Vec<Inotify>);

/// Takes all of root's instances but `left`. None where one process cannot have so many.
///
/// # Panics
/// When the kernel does not report its limit, or gives fewer.
pub fn take_all_but(left: usize) -> Option<Taken> {
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_user_instances").expect("Linux has a limit");
    let limit: usize = limit.trim().parse().expect("it is a number");
    let count = limit.saturating_sub(used() + left);
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("a process has a limit");
    setrlimit(Resource::RLIMIT_NOFILE, most, most).expect("a process may take what it is allowed to");
    if count as u64 + 1000 > most {
        return None;
    }
    let take = |_| Inotify::init(InitFlags::IN_CLOEXEC).expect("there are as many as the kernel says");
    Some(Taken((0..count).map(take).collect()))
}

/// How many processes of root have now.
fn used() -> usize {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path());
    processes.filter(|process| is_of_root(process)).map(|process| instances(&process)).sum()
}

fn is_of_root(process: &Path) -> bool {
    let status = fs::read_to_string(process.join("status")).unwrap_or_default();
    let users = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    users.and_then(|users| users.split_whitespace().nth(1)) == Some("0")
}

fn instances(process: &Path) -> usize {
    let descriptors = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
    let targets = descriptors.filter_map(|descriptor| fs::read_link(descriptor.path()).ok());
    targets.filter(|target| target == Path::new("anon_inode:inotify")).count()
}
