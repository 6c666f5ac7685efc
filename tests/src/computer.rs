//! The things that a lab could leave on a computer outside its own folder, looked at before and after.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::checkout::walk;

/// Everything that a lab might have made, as lines of text that can be compared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Computer {
    seen: BTreeSet<String>,
}

/// Where libvirt keeps things on a computer of its own; a lab must not touch any of them.
const LIBVIRT: [&str; 5] =
    ["/etc/libvirt", "/run/libvirt", "/var/lib/libvirt", "/var/log/libvirt", "/var/cache/libvirt"];

impl Computer {
    /// Looks. `root` is the checkout whose processes count: others may work on the same computer.
    pub fn look(root: &Path) -> Self {
        let mut seen = BTreeSet::new();
        for mount in mounts() {
            seen.insert(format!("mount {mount}"));
        }
        for link in names(Path::new("/sys/class/net")) {
            seen.insert(format!("network link {link}"));
        }
        for namespace in names(Path::new("/run/netns")) {
            seen.insert(format!("network namespace {namespace}"));
        }
        for folder in LIBVIRT {
            walk(Path::new(folder), &mut |path| {
                seen.insert(format!("file {}", path.display()));
            });
        }
        let of_others = groups_of_others(root);
        walk(Path::new("/sys/fs/cgroup"), &mut |path| {
            let text = path.display().to_string();
            if of_others.iter().any(|group| path.starts_with(group)) {
                return;
            }
            if path.is_dir() && ["libvirt", "machine", "qemu", "lab"].iter().any(|word| text.contains(word)) {
                seen.insert(format!("cgroup {text}"));
            }
        });
        for (pid, line) in processes(root) {
            seen.insert(format!("process {pid} {line}"));
        }
        Self { seen }
    }

    /// Checks that a second look sees nothing new. Things that went in between belonged to others.
    ///
    /// # Panics
    /// When something was left; with what it is.
    pub fn assert_nothing_new(&self, root: &Path) {
        let new = self.new_since(root);
        assert!(new.is_empty(), "something was left on the computer: {new:#?}");
    }

    /// The things that a second look sees and the first did not.
    pub fn new_since(&self, root: &Path) -> Vec<String> {
        Self::look(root).seen.difference(&self.seen).cloned().collect()
    }
}

/// The mounts of this mount namespace.
fn mounts() -> Vec<String> {
    let table = fs::read_to_string("/proc/self/mountinfo").expect("the kernel lists its mounts");
    // The first three columns are numbers that change with every mount.
    table.lines().map(|line| line.split(' ').skip(3).collect::<Vec<_>>().join(" ")).collect()
}

/// The control groups of labs that live in other checkouts: they come and go with what those do.
fn groups_of_others(root: &Path) -> Vec<PathBuf> {
    let supervised = |pid: String| {
        let line = fs::read_to_string(Path::new("/proc").join(pid).join("cmdline")).ok()?;
        let folder = line.split('\0').skip_while(|word| *word != "host-outer").nth(1)?;
        (!folder.is_empty() && !Path::new(folder).starts_with(root)).then(|| PathBuf::from(folder))
    };
    let hosts = names(Path::new("/proc")).into_iter().filter_map(supervised);
    let groups = hosts.filter_map(|host| {
        let record: serde_json::Value =
            serde_json::from_slice(&fs::read(host.join("host.json")).ok()?).ok()?;
        let groups =
            record["groups"].as_array()?.iter().filter_map(|group| group.as_str().map(PathBuf::from));
        Some(groups.collect::<Vec<_>>())
    });
    groups.flatten().collect()
}

fn names(folder: &Path) -> Vec<String> {
    fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

/// The processes that belong to a checkout: those with its path among their words or variables, or that see its mounts.
/// libvirtd, dnsmasq and QEMU of an embedded host see them, with any command line.
pub fn processes(root: &Path) -> Vec<(i32, String)> {
    let own = std::process::id().cast_signed();
    let root = root.display().to_string();
    let names_root =
        |path: &Path| fs::read(path).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(&root));
    names(Path::new("/proc"))
        .into_iter()
        .filter_map(|name| name.parse::<i32>().ok())
        .filter(|pid| *pid != own)
        .filter_map(|pid| {
            let folder = Path::new("/proc").join(pid.to_string());
            // One that ends while it is looked at is no leftover, nor is one that only waits to be reaped.
            let line = fs::read(folder.join("cmdline")).ok().filter(|line| !line.is_empty())?;
            let belongs =
                ["cmdline", "environ", "mountinfo"].iter().any(|file| names_root(&folder.join(file)));
            belongs.then(|| (pid, String::from_utf8_lossy(&line).replace('\0', " ").trim().to_owned()))
        })
        .collect()
}
