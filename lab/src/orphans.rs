//! What a killed command of an older version left in a folder where a system was being unpacked: programs
//! that go on there, and mounts that every program of the computer sees. The caller holds the lock of
//! the folder, so that no living command works there.
//!
//! Today's commands leave neither: such programs run in namespaces of their own
//! ([`crate::process::Invocation::isolated`]) and end with their command ([`crate::process::reaper`]).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::mounts;
use crate::processes::stat;
use crate::timeouts::{ORPHAN_END_INTERVAL, ORPHAN_END_TIMEOUT};
use crate::wait::{Deadline, Probe, until_blocking};

/// The program that unpacks systems.
const UNPACKER: &str = "mmdebstrap";

/// The orphans of a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Orphans {
    /// Processes that unpack a system there, and everything that they started.
    pub processes: BTreeSet<i32>,
    /// Mount points in the folder, the deepest first.
    pub mounts: Vec<PathBuf>,
}

impl Orphans {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.processes.is_empty() && self.mounts.is_empty()
    }
}

impl std::fmt::Display for Orphans {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} processes and {} mounts", self.processes.len(), self.mounts.len())
    }
}

/// Finds the orphans of a folder.
///
/// # Errors
/// When the kernel's table of mounts cannot be read.
pub fn find(folder: &Path) -> anyhow::Result<Orphans> {
    Ok(Orphans { processes: processes(folder), mounts: mounts::below(folder)? })
}

/// Ends the orphans of a folder and detaches their mounts. Returns the programs and mounts found.
///
/// # Errors
/// When a process outlives its kill, or the kernel does not detach a mount.
pub fn end(folder: &Path) -> anyhow::Result<Orphans> {
    let found = processes(folder);
    stop(folder, &found);
    let what = format!("the end of processes that a killed command left in `{}`", folder.display());
    until_blocking(&what, Deadline::after(ORPHAN_END_TIMEOUT), ORPHAN_END_INTERVAL, || {
        let left = processes(folder);
        signal(&left, Signal::SIGKILL);
        if left.is_empty() { Probe::Ready(()) } else { Probe::NotYet(format!("{left:?} live")) }
    })?;
    Ok(Orphans { processes: found, mounts: mounts::detach_below(folder)? })
}

/// Stops processes before they are killed: a child of one that is killed could no longer be recognised.
fn stop(folder: &Path, found: &BTreeSet<i32>) {
    let mut stopped = found.clone();
    signal(&stopped, Signal::SIGSTOP);
    loop {
        let new: BTreeSet<i32> = processes(folder).difference(&stopped).copied().collect();
        if new.is_empty() {
            return;
        }
        signal(&new, Signal::SIGSTOP);
        stopped.extend(new);
    }
}

fn signal(processes: &BTreeSet<i32>, signal: Signal) {
    for pid in processes {
        // It may have ended since it was found.
        let _ = kill(Pid::from_raw(*pid), signal);
    }
}

/// The unpackers that were given a path in the folder, the processes whose root lies in it, and the
/// descendants of both.
fn processes(folder: &Path) -> BTreeSet<i32> {
    let Ok(folder) = folder.canonicalize() else { return BTreeSet::new() };
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let all: Vec<(i32, i32, bool)> = entries
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            Some((pid, stat(pid)?.parent, works_in(pid, &folder)))
        })
        .collect();
    let mut found: BTreeSet<i32> =
        all.iter().filter(|(_, _, works)| *works).map(|(pid, _, _)| *pid).collect();
    loop {
        let before = found.len();
        for (pid, parent, _) in &all {
            if found.contains(parent) {
                found.insert(*pid);
            }
        }
        if found.len() == before {
            return found;
        }
    }
}

fn works_in(pid: i32, folder: &Path) -> bool {
    let process = PathBuf::from(format!("/proc/{pid}"));
    if std::fs::read_link(process.join("root")).is_ok_and(|root| root.starts_with(folder)) {
        return true;
    }
    let words = std::fs::read(process.join("cmdline")).unwrap_or_default();
    let words = String::from_utf8_lossy(&words);
    let is_unpacker = words.split('\0').take(2).any(|word| Path::new(word).ends_with(UNPACKER));
    is_unpacker && words.contains(&folder.display().to_string())
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;
    use std::time::Duration;

    use super::*;
    use crate::process::invocation;

    #[test]
    fn unpacker_of_a_folder_ends_with_its_children_and_others_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap();
        let program = path.join(UNPACKER);
        std::fs::write(&program, "#!/bin/sh\nsleep 600 & echo started > \"$1/started\"\nwait\n").unwrap();
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let start = |folder: &str| {
            let below = path.join(folder);
            std::fs::create_dir(&below).unwrap();
            let child = invocation(&program).arg(&below);
            (below, child.spawn(Stdio::null(), Stdio::null(), Stdio::null()).unwrap())
        };
        let (one, mut child) = start("one");
        let (two, mut other) = start("two");
        for folder in [&one, &two] {
            until_blocking(
                "both programs",
                Deadline::after(Duration::from_secs(20)),
                Duration::from_millis(5),
                || match folder.join("started").exists() {
                    true => Probe::Ready(()),
                    false => Probe::NotYet(String::new()),
                },
            )
            .unwrap();
        }
        let found = find(&one).unwrap();
        // A shell and its sleep, of which the first is ours to reap.
        let ended = std::thread::spawn(move || child.wait());
        assert_eq!(end(&one).unwrap(), found);
        assert_eq!(found.processes.len(), 2, "{found:?}");
        assert!(!ended.join().unwrap().unwrap().success());
        assert_eq!(find(&two).unwrap().processes.len(), 2);
        let ended = std::thread::spawn(move || other.wait());
        end(&two).unwrap();
        ended.join().unwrap().unwrap();
        assert!(find(&two).unwrap().is_empty());
    }
}
