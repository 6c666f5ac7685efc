//! The reaper: a companion process of a command, which ends the programs that the command leaves when it
//! is killed. A command that ends by itself has waited for its programs and dismisses the reaper.
//!
//! Every program carries the mark of its command in its environment, and so do its children, in any
//! process group or namespace. The reaper reads from a pipe that the command alone holds open:
//! the end of the pipe without a farewell means that the command was killed. The reaper touches
//! nothing but processes with this mark.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::SystemTime;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::processes::stat;
use crate::timeouts::{REAPER_END_TIMEOUT, REAPER_INTERVAL};
use crate::wait::{Deadline, Probe, until_blocking};

use super::invocation;

/// The variable with the mark of the command that started a program.
const MARK: &str = "LAB_COMMAND";
/// What the reaper reads before the end of the pipe when its command ends by itself.
const FAREWELL: &[u8] = b"done\n";
/// A child that has not executed its program yet shows the environment of its parent: one look may miss it.
const CLEAN_LOOKS: u32 = 3;

/// The mark of this command. Unset where it starts no program that the reaper has to know.
static OWN_MARK: OnceLock<String> = OnceLock::new();
static REAPER: Mutex<Option<Child>> = Mutex::new(None);

/// Lets this command have a reaper, which is started with its first program. A command that is itself a
/// program of another one has the reaper of that one.
pub fn enable() {
    if std::env::var_os(MARK).is_none() {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        OWN_MARK.get_or_init(|| format!("{}.{}", std::process::id(), now.as_nanos()));
    }
}

/// Marks a program that is about to be started, and starts the reaper before the first one.
pub(super) fn mark(command: &mut Command) {
    let Some(own) = OWN_MARK.get() else { return };
    command.env(MARK, own);
    let mut reaper = REAPER.lock().unwrap_or_else(PoisonError::into_inner);
    if reaper.is_none() {
        let mut start = invocation("/proc/self/exe").args(["internal", "reap", own]).command();
        start.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // Ctrl-C at the terminal is not for it.
        start.process_group(0);
        // Without a reaper the program still ends with a command that ends by itself.
        *reaper = start.spawn().ok();
    }
}

/// Takes the mark from a program that may outlive its command.
pub(super) fn unmark(command: &mut Command) {
    command.env_remove(MARK);
}

/// Sends the reaper away: every program of this command has ended, or may go on.
pub fn dismiss() {
    let reaper = REAPER.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(mut reaper) = reaper {
        if let Some(mut pipe) = reaper.stdin.take() {
            // A reaper that is gone has nothing to hear.
            let _ = pipe.write_all(FAREWELL);
        }
        let _ = reaper.wait();
    }
}

/// `lab internal reap MARK`: waits for the end of the command, and ends what it left if it was killed.
///
/// # Errors
/// When a process outlives its kill.
pub fn run(mark: &str) -> anyhow::Result<()> {
    let mut heard = Vec::new();
    std::io::stdin().read_to_end(&mut heard)?;
    if heard == FAREWELL {
        return Ok(());
    }
    let entry = format!("{MARK}={mark}");
    let (mut groups, mut clean) = (BTreeSet::new(), 0);
    let deadline = Deadline::after(REAPER_END_TIMEOUT);
    until_blocking("the end of a killed command's programs", deadline, REAPER_INTERVAL, || {
        let left = marked(&entry, &mut groups);
        for pid in &left {
            // It may have ended since it was found.
            let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
        }
        clean = if left.is_empty() { clean + 1 } else { 0 };
        if clean == CLEAN_LOOKS {
            return Probe::Ready(());
        }
        Probe::NotYet(format!("processes {left:?} live"))
    })?;
    Ok(())
}

/// Every process with this entry in the environment it was started with, and the members of the process
/// groups that such processes are or were in: an ordinary user cannot read the environment of programs that
/// run under subordinate ids. A zombie has no environment and is left out.
fn marked(entry: &str, groups: &mut BTreeSet<i32>) -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let living = entries.filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        Some((pid, stat(pid)?.group))
    });
    let living: Vec<(i32, i32)> = living.collect();
    let has_entry = |pid: i32| {
        std::fs::read(format!("/proc/{pid}/environ"))
            .is_ok_and(|bytes| bytes.split(|byte| *byte == 0).any(|found| found == entry.as_bytes()))
    };
    let found: Vec<i32> = living.iter().map(|(pid, _)| *pid).filter(|pid| has_entry(*pid)).collect();
    // Every program gets a group of its own, so that none of these is a shell's.
    groups.extend(living.iter().filter(|(pid, _)| found.contains(pid)).map(|(_, group)| *group));
    let of_group = living.iter().filter(|(pid, group)| found.contains(pid) || groups.contains(group));
    of_group.map(|(pid, _)| *pid).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn reaper_finds_marked_processes_and_their_groups_alone() {
        let start = |mark: &str| {
            let script = "env --unset=LAB_COMMAND sleep 60 & exec sleep 60";
            let mut command = invocation("sh").args(["-c", script]).command();
            command.env(MARK, mark).process_group(0).stdout(Stdio::null()).spawn().unwrap()
        };
        let own = format!("{}.reaper-test", std::process::id());
        let (mut ours, mut other) = (start(&own), start(&format!("{own}-other")));
        let group = |child: &Child| Pid::from_raw(child.id().cast_signed());
        let mut groups = BTreeSet::new();
        let deadline = Deadline::after(Duration::from_secs(20));
        let found = until_blocking("both processes", deadline, Duration::from_millis(5), || {
            // Before its exec a child shows the environment of its parent.
            match marked(&format!("{MARK}={own}"), &mut groups) {
                found if found.len() == 2 => Probe::Ready(found),
                found => Probe::NotYet(format!("{found:?}")),
            }
        });
        let expected = group(&ours);
        for child in [&mut ours, &mut other] {
            nix::sys::signal::killpg(group(child), Signal::SIGKILL).unwrap();
            child.wait().unwrap();
        }
        assert!(found.unwrap().contains(&expected.as_raw()));
        assert_eq!(groups, BTreeSet::from([expected.as_raw()]));
    }
}
