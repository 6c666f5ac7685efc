//! The machines of an embedded host, all stopped at one moment, so that what they wrote can be read as it was then.
//!
//! Owns the freezer of the control group that libvirt makes for machines. A command that is killed meanwhile leaves them
//! stopped; [`thaw_left`], which everybody who looks for the host calls, lets them go on.

use std::fs::{self, File};
use std::path::PathBuf;

use anyhow::Context as _;

use crate::files;
use crate::layout::HostFiles;
use crate::timeouts::{FREEZE_INTERVAL, FREEZE_TIMEOUT};
use crate::wait::{Deadline, Probe, until_blocking};

use super::supervisor;

/// Below a host's own group: the one that holds all machines (libvirt.org/cgroups.html, "Default partitions").
const MACHINES: &str = "machine";

/// The control files of a group's freezer (the kernel's cgroup-v1/freezer-subsystem, cgroup-v2).
#[derive(Debug)]
struct Freezer {
    /// The file that freezes and thaws the processes.
    switch: PathBuf,
    stop: &'static str,
    go: &'static str,
    /// The file that says whether all are stopped.
    state: PathBuf,
    stopped: &'static str,
}

impl Freezer {
    /// The freezer of the machines below a host's groups, one in each hierarchy; none where there is none.
    fn of_machines(groups: &[PathBuf]) -> Option<Self> {
        let machines = || groups.iter().map(|group| group.join(MACHINES));
        let first = machines().find(|group| group.join("freezer.state").is_file()).map(|group| {
            let state = group.join("freezer.state");
            Self { switch: state.clone(), stop: "FROZEN", go: "THAWED", state, stopped: "FROZEN" }
        });
        let second = || machines().find(|group| group.join("cgroup.freeze").is_file());
        first.or_else(|| {
            let group = second()?;
            let (switch, state) = (group.join("cgroup.freeze"), group.join("cgroup.events"));
            Some(Self { switch, stop: "1", go: "0", state, stopped: "frozen 1" })
        })
    }

    fn write(&self, word: &str) -> anyhow::Result<()> {
        fs::write(&self.switch, word).with_context(|| format!("cannot write `{}`", self.switch.display()))
    }

    fn is_stopped(&self) -> bool {
        fs::read_to_string(&self.state).is_ok_and(|text| text.lines().any(|line| line == self.stopped))
    }

    /// Whether nothing keeps the processes stopped.
    fn goes_on(&self) -> bool {
        fs::read_to_string(&self.switch).is_ok_and(|text| text.trim() == self.go)
    }
}

/// Machines that stand still until this is dropped.
#[derive(Debug)]
pub struct Frozen {
    freezer: Freezer,
    _held: File,
}

impl Drop for Frozen {
    fn drop(&mut self) {
        // A removed group freezes no process.
        let _ = self.freezer.write(self.freezer.go);
    }
}

/// Stops all machines of a host.
///
/// # Errors
/// When the host has no freezer, or the machines do not stop.
pub fn freeze(files: &HostFiles) -> anyhow::Result<Frozen> {
    let record = supervisor::read_record(files)?.context("the lab's host does not run")?;
    let freezer =
        Freezer::of_machines(&record.groups).context("the lab's host has no control group of machines")?;
    let held = files::try_lock(&files.frozen())?.context("another command has stopped the machines")?;
    let frozen = Frozen { freezer, _held: held };
    frozen.freezer.write(frozen.freezer.stop)?;
    let deadline = Deadline::after(FREEZE_TIMEOUT);
    until_blocking("machines that stand still", deadline, FREEZE_INTERVAL, || {
        if frozen.freezer.is_stopped() { Probe::Ready(()) } else { Probe::NotYet("some run".to_owned()) }
    })?;
    Ok(frozen)
}

/// Lets machines go on that a killed command left stopped.
///
/// # Errors
/// When the lock that a living command holds cannot be opened.
pub fn thaw_left(files: &HostFiles, groups: &[PathBuf]) -> anyhow::Result<()> {
    let Some(freezer) = Freezer::of_machines(groups).filter(|freezer| !freezer.goes_on()) else {
        return Ok(());
    };
    if let Some(held) = files::try_lock(&files.frozen())? {
        drop(Frozen { freezer, _held: held });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rstest::rstest;

    use super::*;

    /// A host's group with the files of a freezer that obeys at once.
    fn group(folder: &Path, file: &str, says: &str) -> Vec<PathBuf> {
        let machines = folder.join("group").join(MACHINES);
        fs::create_dir_all(&machines).unwrap();
        fs::write(machines.join(file), says).unwrap();
        vec![folder.join("gone"), folder.join("group")]
    }

    #[rstest]
    #[case::first_version("freezer.state", "FROZEN\n", "THAWED")]
    #[case::first_version_on_its_way("freezer.state", "FREEZING\n", "THAWED")]
    #[case::second_version("cgroup.freeze", "1\n", "0")]
    #[case::running("freezer.state", "THAWED\n", "THAWED\n")]
    fn machines_that_a_killed_command_left_stopped_go_on(
        #[case] file: &str,
        #[case] says: &str,
        #[case] after: &str,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let groups = group(folder.path(), file, says);
        let files = HostFiles { folder: folder.path().to_owned() };
        thaw_left(&files, &groups).unwrap();
        assert_eq!(fs::read_to_string(groups[1].join(MACHINES).join(file)).unwrap(), after);
    }

    #[test]
    fn machines_that_a_living_command_stopped_stay_so() {
        let folder = tempfile::tempdir().unwrap();
        let groups = group(folder.path(), "freezer.state", "FROZEN\n");
        let files = HostFiles { folder: folder.path().to_owned() };
        let held = files::try_lock(&files.frozen()).unwrap().unwrap();
        thaw_left(&files, &groups).unwrap();
        drop(held);
        let state = groups[1].join(MACHINES).join("freezer.state");
        assert_eq!(fs::read_to_string(state).unwrap(), "FROZEN\n");
    }
}
