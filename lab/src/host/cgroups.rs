//! The control groups of an embedded host: one group of its own in every hierarchy of the computer, and below it,
//! as its containers see it, a whole tree.
//!
//! Nothing outside that group is written, but for one thing on a computer with cgroup v2: a controller that the
//! top of the tree does not hand down yet is turned on there, because no group below could have it otherwise.
//! The group is named after the folder of the host, so that it is found again after its maker was killed.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use sha2::{Digest as _, Sha256};

use crate::timeouts::{CGROUP_REMOVAL_INTERVAL, CGROUP_REMOVAL_TIMEOUT};
use crate::wait::{Deadline, Probe, until_blocking};

/// Where every distribution mounts the hierarchies.
const TOP: &str = "/sys/fs/cgroup";
/// What machines need of cgroup v2 (libvirt's vircgroupv2.c, kubelet's cgroup manager).
const CONTROLLERS: [&str; 5] = ["cpu", "cpuset", "io", "memory", "pids"];

/// One hierarchy of the computer.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Hierarchy {
    /// Where it is mounted.
    mounted: PathBuf,
    /// The group of this process in it, as a path from there.
    own: PathBuf,
    /// The options that mount it again: `memory`, `none,name=systemd`; empty for cgroup v2.
    options: String,
}

impl Hierarchy {
    fn is_v2(&self) -> bool {
        self.options.is_empty()
    }

    /// The folder that a group of the lab's is made in: the one that this process is in, so that what limits this
    /// process limits the lab. A group of cgroup v2 that holds processes can have no children with
    /// controllers, but for the top one.
    fn parent(&self) -> PathBuf {
        if self.is_v2() && self.mounted == Path::new(TOP) {
            self.mounted.clone()
        } else {
            self.mounted.join(&self.own)
        }
    }
}

/// The name of a host's groups.
fn name(folder: &Path) -> String {
    let digest = Sha256::digest(folder.as_os_str().as_encoded_bytes());
    format!("lab-{}", digest[..8].iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

/// Why a host here can have no groups of its own; none if it can.
pub fn obstacle() -> Option<String> {
    let found = match hierarchies() {
        Ok(found) => found,
        Err(error) => return Some(format!("{error:#}")),
    };
    let has = |controller: &str| {
        found.iter().any(|hierarchy| {
            if hierarchy.is_v2() {
                let offered = fs::read_to_string(hierarchy.parent().join("cgroup.controllers"));
                offered.is_ok_and(|offered| offered.split_whitespace().any(|offer| offer == controller))
            } else {
                hierarchy.options.split(',').any(|option| option == controller)
            }
        })
    };
    let lacking: Vec<&str> = ["cpu", "memory", "pids"].into_iter().filter(|name| !has(name)).collect();
    if !lacking.is_empty() {
        return Some(format!("no cgroup hierarchy offers {} here", lacking.join(", ")));
    }
    let closed = found.iter().find(|hierarchy| {
        nix::unistd::access(&hierarchy.parent(), nix::unistd::AccessFlags::W_OK).is_err()
    })?;
    Some(format!("no group can be made in `{}`", closed.parent().display()))
}

/// The groups that the host in `folder` will have, one in each hierarchy: to be recorded before they are made.
///
/// # Errors
/// When the hierarchies cannot be read.
pub fn planned(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let name = name(folder);
    Ok(hierarchies()?.iter().map(|hierarchy| hierarchy.parent().join(&name)).collect())
}

/// The groups of the host in `folder` that the process `pid` lives in. They lie below those of the command that
/// started the host, which may be others than those of this process.
///
/// # Errors
/// When the process is gone.
pub fn of_process(pid: i32, folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let name = name(folder);
    let read = |path: &str| fs::read_to_string(path).with_context(|| format!("cannot read `{path}`"));
    let found = parse(&read("/proc/self/mountinfo")?, &read(&format!("/proc/{pid}/cgroup"))?);
    Ok(found.iter().filter_map(|hierarchy| own_group(hierarchy, &name)).collect())
}

/// The group of this name that a process is in, directly or in one below it.
fn own_group(hierarchy: &Hierarchy, name: &str) -> Option<PathBuf> {
    let own = hierarchy.mounted.join(&hierarchy.own);
    own.ancestors().find(|group| group.ends_with(name)).map(Path::to_owned)
}

/// Makes the groups of the host in `folder`, and moves this process into them. What a host that was killed left of
/// them goes first: a group of cgroup v2 that handed controllers down takes no process in.
///
/// # Errors
/// When the system refuses; with the file.
pub fn enter(folder: &Path) -> anyhow::Result<()> {
    let name = name(folder);
    for hierarchy in hierarchies()? {
        let parent = hierarchy.parent();
        let group = parent.join(&name);
        remove(std::slice::from_ref(&group))?;
        make(&group)?;
        if hierarchy.is_v2() {
            hand_down(&parent)?;
        } else if hierarchy.options.split(',').any(|option| option == "cpuset") {
            // A new group of the first version has neither processors nor memory.
            for file in ["cpuset.cpus", "cpuset.mems"] {
                write(&group.join(file), fs::read_to_string(parent.join(file))?.trim())?;
            }
        }
        write(&group.join("cgroup.procs"), "0")?;
    }
    Ok(())
}

/// Moves this process out of the groups of the host in `folder`, into those that they were made in.
///
/// # Errors
/// When the system refuses; with the file.
pub fn leave(folder: &Path) -> anyhow::Result<()> {
    let name = name(folder);
    for hierarchy in hierarchies()? {
        if let Some(parent) = own_group(&hierarchy, &name).as_deref().and_then(Path::parent) {
            write(&parent.join("cgroup.procs"), "0")?;
        }
    }
    Ok(())
}

/// After the namespace of groups was made: lays the host's own view of the hierarchies over the computer's, in
/// this mount namespace.
///
/// # Errors
/// When a mount is refused.
pub fn mount_own() -> anyhow::Result<()> {
    let found = hierarchies()?;
    let none = None::<&str>;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    if let [only] = found.as_slice()
        && only.is_v2()
    {
        // The kernel refuses to lay a file system over itself, or one part of it over another.
        umount2(TOP, MntFlags::MNT_DETACH).context("cannot take the computer's groups out of sight")?;
        mount(Some("cgroup2"), TOP, Some("cgroup2"), flags, none)
            .context("cannot mount the host's groups")?;
        // A group with children that have controllers must hold no process itself.
        let own = Path::new(TOP).join("host");
        make(&own)?;
        write(&own.join("cgroup.procs"), "0")?;
        return hand_down(Path::new(TOP));
    }
    mount(Some("tmpfs"), TOP, Some("tmpfs"), flags, Some("mode=0755"))
        .context("cannot mount a private tree of groups")?;
    for hierarchy in found {
        let Ok(place) = hierarchy.mounted.strip_prefix(TOP) else { continue };
        let target = Path::new(TOP).join(place);
        fs::create_dir_all(&target)?;
        let (kind, options) =
            if hierarchy.is_v2() { ("cgroup2", None) } else { ("cgroup", Some(hierarchy.options.as_str())) };
        mount(Some(kind), &target, Some(kind), flags, options)
            .with_context(|| format!("cannot mount `{}` for the host", target.display()))?;
        for single in hierarchy.options.split(',').filter(|_| hierarchy.options.contains(',')) {
            // Hierarchies of several controllers are found under each of their names (cpu,cpuacct).
            let link = Path::new(TOP).join(single);
            if !single.contains('=') && single != "none" && !link.exists() {
                std::os::unix::fs::symlink(place, link)?;
            }
        }
    }
    Ok(())
}

/// Thaws the processes of frozen control groups, so that they can end. runc freezes a container while it changes its
/// groups, and a machine may be ended just then. cgroup v2 ends frozen processes too; v1 does not (the kernel's
/// cgroup-v1/freezer-subsystem).
pub fn thaw(groups: &[PathBuf]) {
    for group in groups {
        thaw_tree(group);
    }
}

fn thaw_tree(group: &Path) {
    let state = group.join("freezer.state");
    let Ok(now) = fs::read_to_string(&state) else { return };
    if now.trim() != "THAWED" {
        // A removed group freezes no process.
        let _ = fs::write(&state, "THAWED");
    }
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            thaw_tree(&entry.path());
        }
    }
}

/// Removes groups that [`planned`] named, after their processes have ended.
///
/// # Errors
/// When processes live in them for longer than they may.
pub fn remove(groups: &[PathBuf]) -> anyhow::Result<()> {
    for group in groups {
        let what = "the end of the lab's control groups";
        let deadline = Deadline::after(CGROUP_REMOVAL_TIMEOUT);
        until_blocking(what, deadline, CGROUP_REMOVAL_INTERVAL, || match remove_tree(group) {
            Ok(()) => Probe::Ready(()),
            Err(error) => Probe::NotYet(format!("`{}`: {error}", group.display())),
        })?;
    }
    Ok(())
}

/// Removes a group and all below it. A group's files cannot be removed and go with it.
fn remove_tree(group: &Path) -> std::io::Result<()> {
    let entries = match fs::read_dir(group) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_tree(&entry.path())?;
        }
    }
    match fs::remove_dir(group) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Hands the controllers that machines need down to the children of a group of cgroup v2.
fn hand_down(group: &Path) -> anyhow::Result<()> {
    let words = |file: &str| fs::read_to_string(group.join(file)).unwrap_or_default();
    let (offered, given) = (words("cgroup.controllers"), words("cgroup.subtree_control"));
    let has = |list: &str, name: &str| list.split_whitespace().any(|word| word == name);
    for controller in CONTROLLERS.iter().filter(|name| has(&offered, name) && !has(&given, name)) {
        write(&group.join("cgroup.subtree_control"), &format!("+{controller}"))?;
    }
    Ok(())
}

fn make(group: &Path) -> anyhow::Result<()> {
    match fs::create_dir(group) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        made => made.with_context(|| format!("cannot make the control group `{}`", group.display())),
    }
}

fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(file, text).with_context(|| format!("cannot write `{text}` to `{}`", file.display()))
}

/// The computer's hierarchies, as this process sees them.
fn hierarchies() -> anyhow::Result<Vec<Hierarchy>> {
    let read = |path: &str| fs::read_to_string(path).with_context(|| format!("cannot read `{path}`"));
    let found = parse(&read("/proc/self/mountinfo")?, &read("/proc/self/cgroup")?);
    anyhow::ensure!(!found.is_empty(), "no cgroup hierarchy is mounted");
    Ok(found)
}

/// Reads tables as of proc_pid_mountinfo(5) and `/proc/PID/cgroup` as of cgroups(7).
fn parse(mounts: &str, groups: &str) -> Vec<Hierarchy> {
    // `ID:CONTROLLERS:PATH`; cgroup v2 has the number 0 and no controllers.
    let path_of = |wanted: &dyn Fn(&str) -> bool| {
        groups.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':');
            let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
            wanted(controllers).then(|| path.to_owned())
        })
    };
    let mut found: Vec<Hierarchy> = Vec::new();
    for line in mounts.lines() {
        let Some((before, after)) = line.split_once(" - ") else { continue };
        let before: Vec<&str> = before.split(' ').collect();
        let after: Vec<&str> = after.split(' ').collect();
        let (Some(root), Some(mounted), Some(kind), Some(options)) =
            (before.get(3), before.get(4), after.first(), after.get(2))
        else {
            continue;
        };
        let (options, path) = match *kind {
            "cgroup2" => (String::new(), path_of(&|controllers| controllers.is_empty())),
            "cgroup" => {
                let own: Vec<&str> = options.split(',').filter(|word| !is_general(word)).collect();
                let path = path_of(&|controllers| {
                    controllers
                        .split(',')
                        .any(|controller| !controller.is_empty() && own.contains(&controller))
                });
                let named = own.iter().any(|word| word.starts_with("name="));
                let own = own.join(",");
                (if named { format!("none,{own}") } else { own }, path)
            }
            _ => continue,
        };
        let Some(path) = path else { continue };
        let mounted = PathBuf::from(mounted.replace("\\040", " "));
        // A container's mount may begin below the top of the hierarchy.
        let own = Path::new(&path).strip_prefix(root).unwrap_or(Path::new(&path));
        let own = own.strip_prefix("/").unwrap_or(own).to_owned();
        // A mount over an earlier one hides it.
        found.retain(|hierarchy| hierarchy.mounted != mounted);
        found.push(Hierarchy { mounted, own, options });
    }
    found
}

/// A word of a file system's options that names no controller.
fn is_general(word: &str) -> bool {
    matches!(word, "rw" | "ro" | "xattr" | "clone_children" | "noprefix")
        || word.starts_with("release_agent=")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(mounts: &str, groups: &str) -> Vec<(String, String, String)> {
        parse(mounts, groups)
            .into_iter()
            .map(|found| {
                (found.mounted.display().to_string(), found.own.display().to_string(), found.options)
            })
            .collect()
    }

    #[test]
    fn hierarchies_of_the_first_version_and_the_empty_second_are_read() {
        let mounts = "\
            30 29 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
            31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid - cgroup cgroup rw,cpu,cpuacct\n\
            32 30 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
            33 30 0:29 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n\
            34 30 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let groups = "3:name=systemd:/\n2:memory:/process/a\n1:cpu,cpuacct:/\n0::/\n";
        let text = |words: [&str; 3]| words.map(str::to_owned).into();
        assert_eq!(
            shown(mounts, groups),
            [
                text(["/sys/fs/cgroup/cpu,cpuacct", "", "cpu,cpuacct"]),
                text(["/sys/fs/cgroup/memory", "process/a", "memory"]),
                text(["/sys/fs/cgroup/systemd", "", "none,name=systemd"]),
                text(["/sys/fs/cgroup/unified", "", ""]),
            ]
        );
    }

    #[test]
    fn thaw_resumes_frozen_groups_at_any_depth() {
        let folder = tempfile::tempdir().unwrap();
        let (whole, inner) = (folder.path().join("lab"), folder.path().join("lab/machine/pod"));
        fs::create_dir_all(&inner).unwrap();
        let states = [(&whole, "THAWED\n"), (&whole.join("machine"), "FREEZING\n"), (&inner, "FROZEN\n")];
        for (group, state) in &states {
            fs::write(group.join("freezer.state"), state).unwrap();
        }
        thaw(&[folder.path().join("gone"), whole.clone()]);
        let now = |group: &Path| fs::read_to_string(group.join("freezer.state")).unwrap();
        assert!(states.iter().all(|(group, _)| now(group).trim() == "THAWED"));
    }

    #[test]
    fn cgroup_v2_alone_takes_groups_at_its_top() {
        let mounts =
            "30 29 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n";
        let found = parse(mounts, "0::/user.slice/session-1.scope\n");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].own, Path::new("user.slice/session-1.scope"));
        assert_eq!(found[0].parent(), Path::new("/sys/fs/cgroup"));
    }

    #[test]
    fn mount_below_the_top_counts_from_there() {
        let mounts = "32 30 0:28 /docker/1 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
        let found = parse(mounts, "2:memory:/docker/1/child\n");
        assert_eq!(found[0].own, Path::new("child"));
    }

    #[test]
    fn group_of_a_host_is_found_below_those_of_the_command_that_started_it() {
        let mounts = "32 30 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
            33 30 0:29 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n";
        let groups = "2:memory:/session-1/lab-1/host\n1:pids:/\n";
        let found: Vec<_> =
            parse(mounts, groups).iter().filter_map(|hierarchy| own_group(hierarchy, "lab-1")).collect();
        assert_eq!(found, [Path::new("/sys/fs/cgroup/memory/session-1/lab-1")]);
    }

    #[test]
    fn two_hosts_have_two_names() {
        assert_ne!(name(Path::new("/a/host")), name(Path::new("/b/host")));
        assert_eq!(name(Path::new("/a/host")), name(Path::new("/a/host")));
    }
}
