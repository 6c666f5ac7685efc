//! The embedded host as seen from outside: start it, find it, reach its libvirt, end it.

use std::io::{BufRead as _, Read as _, Write as _};
use std::path::Path;
use std::process::Stdio;

use anyhow::Context as _;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio_util::sync::CancellationToken;

use crate::files;
use crate::layout::HostFiles;
use crate::process::invocation;
use crate::processes::{ProcessId, in_namespace, namespace, own_program, sees_mounts_of};
use crate::timeouts::{HOST_END_INTERVAL, HOST_END_TIMEOUT};
use crate::wait::{Deadline, Probe, until};

use super::supervisor::{self, HostRecord};
use super::{cgroups, freezer};

/// A living embedded host.
#[derive(Debug, Clone)]
pub struct EmbeddedHost {
    /// The supervisor's process id: its network namespace is the lab's.
    pub pid: i32,
    /// The process id of the first process inside: its mounts are libvirtd's.
    pub first: i32,
    /// Why it runs no containers; `None` where it does.
    pub no_containers: Option<String>,
}

impl EmbeddedHost {
    /// The libvirt URI that reaches its libvirtd from outside: a path socket is found through the file
    /// system from any network namespace, and /proc/PID/root keeps the path short enough for one.
    pub fn uri(&self) -> String {
        self.uri_of("qemu")
    }

    /// The same for containers, where it runs them.
    pub fn container_uri(&self) -> Result<String, String> {
        match &self.no_containers {
            None => Ok(self.uri_of("lxc")),
            Some(why) => Err(why.clone()),
        }
    }

    fn uri_of(&self, driver: &str) -> String {
        format!("{driver}+unix:///system?socket=/proc/{}/root{}", self.pid, supervisor::SOCKET)
    }
}

/// The living host of a lab, if it has one. One that ends, or whose end a killed command began, is none. Its machines go
/// on if a killed command left them stopped.
///
/// # Errors
/// When its record is there and cannot be read.
pub fn find(files: &HostFiles) -> anyhow::Result<Option<EmbeddedHost>> {
    let record = supervisor::read_record(files)?.filter(|record| record.supervisor.is_alive());
    let Some(record) = record else { return Ok(None) };
    let Some(first) = record.first.filter(ProcessId::is_alive) else { return Ok(None) };
    freezer::thaw_left(files, &record.groups)?;
    Ok(Some(EmbeddedHost {
        pid: record.supervisor.pid,
        first: first.pid,
        no_containers: record.no_containers,
    }))
}

/// What came of an attempt to start a host.
#[derive(Debug)]
pub enum Started {
    /// It lives.
    Running(EmbeddedHost),
    /// Another supervisor holds its lock: one that starts, or that ends after its command was killed.
    Busy,
}

/// Starts the host of a lab, or finds the one that lives.
///
/// # Errors
/// When the kernel refuses the namespaces, subordinate ids are missing, or libvirtd does not start; with the
/// last lines of the host's log.
pub fn start(files: &HostFiles, cache: &Path) -> anyhow::Result<Started> {
    if let Some(host) = find(files)? {
        return Ok(Started::Running(host));
    }
    files::private_folder(&files.folder)?;
    let log =
        files::open_log(&files.log()).with_context(|| format!("cannot open `{}`", files.log().display()))?;
    let mut child = invocation(own_program())
        .args(["internal", "host-outer"])
        .arg(&files.folder)
        .arg(cache)
        .spawn(Stdio::piped(), Stdio::piped(), log.into())?;
    let pid = child.id().cast_signed();
    let mut says = std::io::BufReader::new(child.stdout.take().context("the host has no output")?);
    let mut line = String::new();
    loop {
        line.clear();
        says.read_line(&mut line).context("cannot hear the host")?;
        match line.trim() {
            supervisor::READY => {
                let host = find(files)?.context("the embedded host ended as soon as it was ready")?;
                return Ok(Started::Running(host));
            }
            supervisor::MAP => {
                map_ids(pid)?;
                let mut input = child.stdin.take().context("the host has no input")?;
                writeln!(input, "{}", supervisor::MAPPED)?;
            }
            supervisor::BUSY => {
                let _ = child.wait();
                return Ok(Started::Busy);
            }
            _ => {
                let _ = child.wait();
                return Err(
                    anyhow::anyhow!(last_lines(&files.log(), 8)).context("the embedded host did not start")
                );
            }
        }
    }
}

/// The last lines of a text file, or why there are none.
pub fn last_lines(path: &Path, count: usize) -> String {
    let mut text = String::new();
    match std::fs::File::open(path).and_then(|mut file| file.read_to_string(&mut text)) {
        Ok(_) => {
            let lines: Vec<&str> = text.trim_end().lines().collect();
            lines[lines.len().saturating_sub(count)..].join("\n")
        }
        Err(error) => format!("(`{}`: {error})", path.display()),
    }
}

/// Maps the caller to root, and its subordinate ids from 1 upwards, in the user namespace of `pid`.
/// newuidmap(1) may only be called from outside that namespace.
fn map_ids(pid: i32) -> anyhow::Result<()> {
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid())
        .ok()
        .flatten()
        .context("the current user has no account")?;
    for (tool, file, own) in [
        ("newuidmap", "/etc/subuid", nix::unistd::geteuid().as_raw()),
        ("newgidmap", "/etc/subgid", nix::unistd::getegid().as_raw()),
    ] {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let (first, count) = subordinate_ids(&text, &user.name, user.uid.as_raw())
            .with_context(|| format!("`{}` has no subordinate ids in {file}", user.name))?;
        let status = invocation(tool)
            .arg(pid.to_string())
            .args(["0".to_owned(), own.to_string(), "1".to_owned()])
            .args(["1".to_owned(), first.to_string(), count.to_string()])
            .spawn(Stdio::null(), Stdio::inherit(), Stdio::inherit())?
            .wait()?;
        anyhow::ensure!(status.success(), "`{tool}` refused the subordinate ids of `{}`", user.name);
    }
    Ok(())
}

/// The first range of subordinate ids of a user: lines `name-or-id:first:count` (subuid(5)).
fn subordinate_ids(file: &str, name: &str, id: u32) -> Option<(u64, u64)> {
    let id = id.to_string();
    file.lines().find_map(|line| {
        let mut fields = line.trim().split(':');
        let who = fields.next()?;
        let range = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        (who == name || who == id).then_some(range)
    })
}

/// Ends the host and waits until nothing of it is left. Machines should have been shut down before.
///
/// # Errors
/// When something in its namespaces outlives the deadline.
pub async fn end(files: &HostFiles, cancel: &CancellationToken) -> anyhow::Result<()> {
    match supervisor::read_record(files)? {
        Some(record) => end_record(&files.folder, &record, cancel).await,
        None => Ok(()),
    }
}

/// Ends a supervisor of which only the process and its folder are known, and everything in its namespaces.
///
/// # Errors
/// When something in them outlives the deadline.
pub async fn end_process(pid: i32, folder: &Path, cancel: &CancellationToken) -> anyhow::Result<()> {
    let record = HostRecord {
        network_namespace: namespace(pid, "net"),
        groups: cgroups::of_process(pid, folder).unwrap_or_default(),
        ..HostRecord::of(ProcessId::of(pid)?)
    };
    end_record(folder, &record, cancel).await
}

async fn end_record(folder: &Path, record: &HostRecord, cancel: &CancellationToken) -> anyhow::Result<()> {
    // Programs that joined the network from outside (an ssh master, a forwarder) keep it alive. They are known
    // by the number of the namespace, which is certain only while the supervisor is there to hold it.
    let guests = if record.supervisor.is_alive() {
        let guests = record.network_namespace.map(|inode| in_namespace("net", inode)).unwrap_or_default();
        // It may end by itself between the look and the signal.
        for signal in [Signal::SIGTERM, Signal::SIGCONT] {
            let _ = kill(Pid::from_raw(record.supervisor.pid), signal);
        }
        guests
            .into_iter()
            .filter(|pid| *pid != record.supervisor.pid)
            .filter_map(|pid| ProcessId::of(pid).ok())
            .collect()
    } else {
        Vec::new()
    };
    let mut asked = false;
    let deadline = Deadline::after(HOST_END_TIMEOUT);
    until(cancel, "the end of the embedded host", deadline, HOST_END_INTERVAL, || {
        cgroups::thaw(&record.groups);
        let mut left = survivors(folder, record);
        left.extend(guests.iter().filter(|guest| guest.is_alive()).map(|guest| guest.pid));
        if record.supervisor.is_alive() {
            return std::future::ready(Probe::NotYet("its supervisor lives".to_owned()));
        }
        if !asked {
            for pid in &left {
                let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
            }
            asked = true;
        }
        std::future::ready(match left.as_slice() {
            [] => Probe::Ready(()),
            left => Probe::NotYet(format!("processes {left:?} live")),
        })
    })
    .await?;
    cgroups::remove(&record.groups)
}

/// Every process that lives inside the host whose supervisor has this record.
pub fn survivors(folder: &Path, record: &HostRecord) -> Vec<i32> {
    let mut pids = record.process_namespace.map(|inode| in_namespace("pid", inode)).unwrap_or_default();
    pids.retain(|pid| sees_mounts_of(*pid, folder));
    pids
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subordinate_ids_are_found_by_name_or_number() {
        let file = "other:1:2\nann:100000:65536\n1001:200000:65536\n";
        assert_eq!(subordinate_ids(file, "ann", 1000), Some((100_000, 65_536)));
        assert_eq!(subordinate_ids(file, "bob", 1001), Some((200_000, 65_536)));
        assert_eq!(subordinate_ids(file, "cy", 1002), None);
        assert_eq!(subordinate_ids("ann:x:y\n", "ann", 1000), None);
    }
}
