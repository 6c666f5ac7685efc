//! What lies in the cache, who uses it, and what of it can go. Asks the rooms that own the parts; removes through them.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use lab_core::spec::ImageSpec;
use lab_core::units::Bytes;
use serde::Serialize;

use crate::artifacts::gc;
use crate::artifacts::store::Store;
use crate::cx::Cx;
use crate::kubespray::{clean, status};
use crate::machines::image_use;
use crate::{cache, files, image};

/// One thing in the cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// The part: `images`, `artifacts`, `kubespray`, `environments`, `go`, `libvirt`, `deploy`.
    pub part: &'static str,
    /// Its name in the part; empty for a part that is one thing.
    pub name: String,
    /// What it takes on the disk.
    pub bytes: u64,
    /// When it was used last.
    pub last_use: Option<jiff::Timestamp>,
    /// The labs and clusters that use it.
    pub used_by: Vec<String>,
}

/// Everything in the cache, part by part.
///
/// # Errors
/// When a part cannot be read.
pub fn look(cx: &Cx) -> anyhow::Result<Vec<Entry>> {
    let (layout, mut entries) = (&cx.layout, Vec::new());
    let mut add = |part: &'static str, name: String, path: &Path, used_by: Vec<String>| {
        let last_use = cache::last_use(layout, part, &name, path).and_then(|time| time.try_into().ok());
        entries.push(Entry { part, bytes: disk_usage(path), last_use, used_by, name });
    };
    let next = image::key(&ImageSpec::Debian13)?;
    let users = image_use::users(cx)?;
    for manifest in image::list(&layout.images())? {
        let mut used_by: Vec<String> =
            users.get(&manifest.key).cloned().unwrap_or_default().into_iter().collect();
        if manifest.key == next {
            used_by.push("the next lab".to_owned());
        }
        let path = layout.images().join(&manifest.key);
        add("images", manifest.key, &path, used_by);
    }
    let store = Store::open(layout);
    if store.files().folder.is_dir() {
        add("artifacts", String::new(), &store.files().folder, gc::known_clusters(cx, &store)?);
    }
    for commit in status::commits(cx) {
        let (path, labs) = (layout.kubespray().checkout(&commit), status::labs(cx, &commit)?);
        add("kubespray", commit, &path, labs);
    }
    for name in files::names(&layout.environments())? {
        let path = layout.environments().join(&name);
        if path.is_dir() {
            add("environments", name, &path, Vec::new());
        }
    }
    for part in ["go", "libvirt", "deploy"] {
        let path = layout.cache().join(part);
        if path.is_dir() {
            add(part, String::new(), &path, Vec::new());
        }
    }
    Ok(entries)
}

/// What can go: what no lab uses, and was not used for so many days.
pub fn unused(entries: &[Entry], now: SystemTime, days: u32) -> Vec<Entry> {
    let age = Duration::from_secs(u64::from(days) * 24 * 3600);
    let is_old = |entry: &&Entry| {
        let last_use = entry.last_use.map(SystemTime::from);
        last_use.is_none_or(|time| now.duration_since(time).is_ok_and(|unused| unused >= age))
    };
    // Within the store of artefacts, what no cluster needs is found by its own room.
    let is_unused = |entry: &&Entry| entry.used_by.is_empty() && entry.part != "artifacts";
    entries.iter().filter(is_unused).filter(is_old).cloned().collect()
}

/// Removes entries; returns those that a running command keeps.
///
/// # Errors
/// When something cannot be removed.
pub fn remove(cx: &Cx, entries: &[Entry]) -> anyhow::Result<Vec<Entry>> {
    let mut kept = Vec::new();
    for entry in entries {
        let gone = match entry.part {
            "images" => image::remove(&cx.layout.images(), &entry.name)?,
            "kubespray" => clean::remove_checkout(cx, &entry.name)?.is_none(),
            "environments" => clean::remove_environment(&cx.layout.environments().join(&entry.name))?,
            part => {
                files::remove(&cx.layout.cache().join(part))?;
                true
            }
        };
        match gone {
            true => cache::forget_use(&cx.layout, entry.part, &entry.name)?,
            false => kept.push(entry.clone()),
        }
    }
    Ok(kept)
}

/// The table for people.
pub fn table(entries: &[Entry]) -> String {
    let mut text = format!("{:<14}{:<46}{:>12}  {:<12}USED BY\n", "PART", "NAME", "SIZE", "LAST USE");
    for entry in entries {
        let day = entry.last_use.map(|time| time.strftime("%Y-%m-%d").to_string()).unwrap_or_default();
        let name = if entry.name.is_empty() { "-" } else { &entry.name };
        let used_by = if entry.used_by.is_empty() { "-".to_owned() } else { entry.used_by.join(", ") };
        let size = format!("{} MiB", Bytes(entry.bytes).0 >> 20);
        text.push_str(&format!("{:<14}{name:<46}{size:>12}  {day:<12}{used_by}\n", entry.part));
    }
    text
}

/// Blocks of 512 bytes, as stat(2) counts them; a file with several names once.
fn disk_usage(path: &Path) -> u64 {
    let mut seen = BTreeSet::new();
    let mut left = vec![path.to_owned()];
    let mut bytes = 0;
    while let Some(path) = left.pop() {
        let Ok(metadata) = path.symlink_metadata() else { continue };
        if metadata.nlink() > 1 && !metadata.is_dir() && !seen.insert(metadata.ino()) {
            continue;
        }
        bytes += metadata.blocks() * 512;
        if metadata.is_dir() {
            left.extend(std::fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()));
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(part: &'static str, name: &str, days_ago: u64, used_by: &[&str]) -> Entry {
        let last_use = SystemTime::now() - Duration::from_secs(days_ago * 24 * 3600);
        let used_by = used_by.iter().map(|&user| user.to_owned()).collect();
        Entry { part, name: name.to_owned(), bytes: 3 << 20, last_use: last_use.try_into().ok(), used_by }
    }

    #[test]
    fn only_old_entries_that_no_lab_uses_can_go() {
        let entries = [
            entry("images", "used", 90, &["dev"]),
            entry("images", "new", 3, &[]),
            entry("images", "old", 90, &[]),
            entry("artifacts", "", 90, &[]),
            entry("go", "", 40, &[]),
        ];
        let names = |days: u32| -> Vec<String> {
            let unused = unused(&entries, SystemTime::now(), days);
            unused.iter().map(|entry| format!("{}/{}", entry.part, entry.name)).collect()
        };
        assert_eq!(names(30), ["images/old", "go/"]);
        assert_eq!(names(0), ["images/new", "images/old", "go/"]);
    }
}
