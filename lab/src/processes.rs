//! Facts about other processes, from /proc. Reads only.

use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

/// A process that can be recognised later: a process id alone may have been given to another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// The number.
    pub pid: i32,
    /// Clock ticks from boot to its start: field 22 of /proc/PID/stat (proc(5)).
    pub start_time: u64,
    /// /proc/sys/kernel/random/boot_id of the boot it lives in.
    pub boot_id: String,
}

impl ProcessId {
    /// The process with this number now.
    ///
    /// # Errors
    /// When there is none.
    pub fn of(pid: i32) -> anyhow::Result<Self> {
        let start_time = start_time(pid).with_context(|| format!("no process {pid}"))?;
        Ok(Self { pid, start_time, boot_id: boot_id()? })
    }

    /// Whether this very process still lives. A zombie does not.
    pub fn is_alive(&self) -> bool {
        start_time(self.pid) == Some(self.start_time) && boot_id().is_ok_and(|id| id == self.boot_id)
    }
}

fn boot_id() -> anyhow::Result<String> {
    let path = "/proc/sys/kernel/random/boot_id";
    Ok(std::fs::read_to_string(path).with_context(|| format!("cannot read `{path}`"))?.trim().to_owned())
}

/// Fields of a process in /proc/PID/stat (proc(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Its parent.
    pub parent: i32,
    /// Its process group.
    pub group: i32,
    /// How many threads it has.
    pub threads: u64,
    is_alive: bool,
    start_time: u64,
}

/// Reads about a process; `None` for a zombie or none at all.
pub fn stat(pid: i32) -> Option<Stat> {
    stat_in(Path::new(&format!("/proc/{pid}"))).filter(|stat| stat.is_alive)
}

/// Reads about the process of a folder that is like /proc/PID; zombies are processes too.
pub fn stat_in(folder: &Path) -> Option<Stat> {
    let stat = std::fs::read_to_string(folder.join("stat")).ok()?;
    // The name in parentheses may hold anything, so fields are counted from behind its last parenthesis.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    Some(Stat {
        parent: fields.get(1)?.parse().ok()?,
        group: fields.get(2)?.parse().ok()?,
        threads: fields.get(17)?.parse().ok()?,
        is_alive: !matches!(fields[0], "Z" | "X"),
        start_time: fields.get(19)?.parse().ok()?,
    })
}

/// Start time of a living process; `None` for a zombie or none at all.
fn start_time(pid: i32) -> Option<u64> {
    stat(pid).map(|stat| stat.start_time)
}

/// The inode that names a namespace (`net`, `pid`, `mnt`, `user`) of a process; `None` when it cannot be seen.
pub fn namespace(pid: i32, kind: &str) -> Option<u64> {
    std::fs::metadata(format!("/proc/{pid}/ns/{kind}")).ok().map(|metadata| metadata.ino())
}

/// Every process that lives in the given namespace, zombies left out.
pub fn in_namespace(kind: &str, inode: u64) -> Vec<i32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| namespace(*pid, kind) == Some(inode) && start_time(*pid).is_some())
        .collect()
}

/// Whether a process sees the private mounts of the embedded host in `folder`. The number of a namespace is
/// given to another one when it is gone, so that the number alone does not identify the host of a process.
pub fn sees_mounts_of(pid: i32, folder: &Path) -> bool {
    let Ok(table) = std::fs::read_to_string(format!("/proc/{pid}/mountinfo")) else { return false };
    mounts_are_of(&table, folder)
}

/// Looks for the host's own `etc` over libvirt's in a table as of proc_pid_mountinfo(5): the fourth column is the folder
/// within its file system, the fifth where it is mounted; blanks are written as `\040`.
fn mounts_are_of(table: &str, folder: &Path) -> bool {
    let own = folder.display().to_string();
    table.lines().any(|line| {
        let fields: Vec<&str> = line.split(' ').collect();
        let Some([root, "/etc/libvirt"]) = fields.get(3..5) else { return false };
        let root = root.replace("\\040", " ");
        // The file system may be mounted below the root of all, or be a part of a larger one.
        root.strip_suffix("/etc").is_some_and(|root| own.ends_with(root) || root.ends_with(&own))
    })
}

/// Every supervisor of an embedded host on this computer that belongs to the caller: its process id and
/// the folder it was started for, both from its command line.
pub fn supervisors() -> Vec<(i32, PathBuf)> {
    let own = nix::unistd::geteuid().as_raw();
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            (entry.metadata().ok()?.uid() == own).then_some(())?;
            let line = std::fs::read(entry.path().join("cmdline")).ok()?;
            let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
            (words.get(1..3)? == [b"internal".as_slice(), b"host-outer"]).then_some(())?;
            let folder = std::ffi::OsString::from_vec(words.get(3)?.to_vec());
            Some((pid, PathBuf::from(folder)))
        })
        .collect()
}

/// This program's own file, for starting itself again.
pub fn own_program() -> PathBuf {
    PathBuf::from("/proc/self/exe")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_alive_and_a_later_one_with_its_number_is_not_it() {
        let own = ProcessId::of(std::process::id().cast_signed()).unwrap();
        assert!(own.is_alive());
        assert!(!ProcessId { start_time: own.start_time + 1, ..own.clone() }.is_alive());
        assert!(!ProcessId { boot_id: "another".to_owned(), ..own }.is_alive());
    }

    #[test]
    fn mounts_identify_host_of_process() {
        let table = "36 35 98:0 /main/output/my\\040lab/host/etc /etc/libvirt rw - ext4 /dev/vda rw\n";
        assert!(mounts_are_of(table, Path::new("/srv/main/output/my lab/host")));
        assert!(!mounts_are_of(table, Path::new("/srv/main/output/other/host")));
        assert!(!mounts_are_of("36 35 98:0 / / rw - ext4 /dev/vda rw\n", Path::new("/srv/output/dev/host")));
    }

    #[test]
    fn this_process_is_found_in_its_own_namespace() {
        let pid = std::process::id().cast_signed();
        let inode = namespace(pid, "net").unwrap();
        assert!(in_namespace("net", inode).contains(&pid));
    }
}
