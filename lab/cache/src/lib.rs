//! The user's cache, as far as both `xtask` and `lab` know it: its owner, notes of its use, Python environments.
//!
//! Starts no program: each caller does that in its own way.

pub mod python;

use std::ffi::OsStr;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a user does about a cache that is refused.
pub const HINT: &str = "set LAB_CACHE to a folder of your own";
/// A use is noted again after this time. A note for every command would only wear the disk.
pub const USE_NOTE_INTERVAL: Duration = Duration::from_secs(3600);

/// Why a folder cannot be the cache of a user: commands believe its files and write to it. A missing one can.
/// Under a sudo that keeps HOME, root would own new files in the user's cache.
pub fn refusal(cache: &Path, user: u32) -> Option<String> {
    let (metadata, cache) = (cache.metadata().ok()?, cache.display());
    let owner = metadata.uid();
    if !metadata.is_dir() {
        return Some(format!("`{cache}` is no folder, so it cannot be the cache"));
    }
    (owner != user).then(|| format!("the cache `{cache}` belongs to user {owner}, and this is user {user}"))
}

/// Notes that an entry of a part of the cache is used now. A note that cannot be written costs nothing but its use.
pub fn note_use(cache: &Path, part: &str, entry: impl AsRef<OsStr>) {
    let note = use_note(cache, part, entry);
    if !is_recent(&note) {
        // Other users may not enter the cache, under any umask.
        let made = DirBuilder::new().recursive(true).mode(0o700).create(note.parent().unwrap_or(cache));
        let _ = made.and_then(|()| fs::write(note, ""));
    }
}

/// The note of an entry; its time of change is that of the last use.
pub fn use_note(cache: &Path, part: &str, entry: impl AsRef<OsStr>) -> PathBuf {
    // A part that is one thing has no names for entries.
    let entry = Some(entry.as_ref()).filter(|entry| !entry.is_empty()).unwrap_or("all".as_ref());
    cache.join("used").join(part).join(entry)
}

/// Whether a note is too young to be written again.
pub fn is_recent(note: &Path) -> bool {
    let age = note.metadata().and_then(|metadata| metadata.modified()).map(|time| time.elapsed());
    age.is_ok_and(|age| age.is_ok_and(|age| age < USE_NOTE_INTERVAL))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cache_is_refused_where_it_is_a_file_or_another_users() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let own = folder.metadata().unwrap().uid();
        let why = |path: &Path, user| refusal(path, user).unwrap_or_default();
        assert!(why(&folder.join("Cargo.toml"), own).ends_with("is no folder, so it cannot be the cache"));
        assert!(
            why(folder, own + 1).ends_with(&format!("belongs to user {own}, and this is user {}", own + 1))
        );
        assert_eq!([why(folder, own), why(&folder.join("missing"), own)], ["", ""]);
    }
}
