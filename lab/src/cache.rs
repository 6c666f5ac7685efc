//! The cache that all checkouts of a user share: opens it, knows its checkouts and when each part was used last.
//!
//! What lies in a part belongs to the room of that part. Nothing here makes or removes an image, an artefact, a
//! checkout of Kubespray or an environment.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Context as _;
use lab_cache::{is_recent, use_note};
use nix::unistd::geteuid;
use sha2::{Digest as _, Sha256};

use crate::failure::{Failure, FailureKind};
use crate::files::{self, SECRET};
use crate::layout::Layout;

/// Refuses a cache that [`lab_cache::refusal`] judges not to be this user's.
///
/// # Errors
/// When the folder is another user's, or none.
pub fn refuse_others(layout: &Layout) -> anyhow::Result<()> {
    let refusal = lab_cache::refusal(layout.cache(), geteuid().as_raw());
    let failure = |message| Failure::new(FailureKind::Host, message).hint(lab_cache::HINT);
    refusal.map_or(Ok(()), |message| Err(failure(message).into()))
}

/// Makes the cache, for its user alone, and notes that this checkout shares it.
///
/// # Errors
/// When it cannot be written.
pub fn enter(layout: &Layout) -> anyhow::Result<()> {
    files::private_folder(layout.cache())?;
    let root = own_root(layout);
    let note = layout.checkouts().join(short_digest(root.as_os_str().as_encoded_bytes()));
    if is_recent(&note) {
        return Ok(());
    }
    for (note, root) in noted(layout)? {
        if !root.is_dir() {
            files::remove(&note)?;
        }
    }
    files::write_atomic(&note, root.as_os_str().as_encoded_bytes(), SECRET)
}

/// Every checkout that shares the cache and is still there, this one first.
///
/// # Errors
/// When a note cannot be read: what its checkout uses must not go.
pub fn checkouts(layout: &Layout) -> anyhow::Result<Vec<Layout>> {
    let own = own_root(layout);
    let others = noted(layout)?.into_iter().filter(|(_, root)| *root != own && root.is_dir());
    Ok(std::iter::once(layout.clone()).chain(others.map(|(_, root)| layout.of_checkout(root))).collect())
}

/// The canonical path of the checkout, which notes hold.
fn own_root(layout: &Layout) -> PathBuf {
    layout.root().canonicalize().unwrap_or_else(|_| layout.root().to_owned())
}

/// The notes of checkouts, with what they say. One that another command removes meanwhile is none.
fn noted(layout: &Layout) -> anyhow::Result<Vec<(PathBuf, PathBuf)>> {
    let mut found = Vec::new();
    for name in files::names_of_whole_files(&layout.checkouts())? {
        let note = layout.checkouts().join(name);
        match std::fs::read(&note) {
            Ok(root) => found.push((note, PathBuf::from(OsString::from_vec(root)))),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("cannot read `{}`", note.display())),
        }
    }
    Ok(found)
}

/// When an entry was used last; for one that was never noted, when it was made.
pub fn last_use(layout: &Layout, part: &str, entry: &str, path: &Path) -> Option<SystemTime> {
    let changed = |path: &Path| path.metadata().and_then(|metadata| metadata.modified()).ok();
    changed(&use_note(layout.cache(), part, entry)).or_else(|| changed(path))
}

/// Forgets an entry that is gone.
///
/// # Errors
/// When the note cannot be removed.
pub fn forget_use(layout: &Layout, part: &str, entry: &str) -> anyhow::Result<()> {
    files::remove(&use_note(layout.cache(), part, entry))
}

/// The first 16 digits of a digest, for names of files.
pub fn short_digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use lab_cache::{USE_NOTE_INTERVAL, note_use};

    use super::*;

    #[test]
    fn checkouts_that_are_gone_share_the_cache_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let of = |name: &str| Layout::new(folder.path().join(name), folder.path().join("cache"));
        for name in ["one", "other", "gone"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
            enter(&of(name)).unwrap();
            enter(&of(name)).unwrap();
        }
        std::fs::remove_dir(folder.path().join("gone")).unwrap();
        let notes = || std::fs::read_dir(of("one").checkouts()).unwrap().count();
        assert_eq!(notes(), 3);
        std::fs::create_dir(folder.path().join("new")).unwrap();
        enter(&of("new")).unwrap();
        assert_eq!(notes(), 3, "the one of a checkout that is gone went");
        // Another command is writing its note: the first bytes name no folder.
        let unfinished = of("new").checkouts().join(".0123456789abcdef.1.ThreadId(1).tmp");
        std::fs::write(&unfinished, "/no").unwrap();
        std::fs::remove_file(
            of("one").checkouts().join(short_digest(own_root(&of("one")).as_os_str().as_encoded_bytes())),
        )
        .unwrap();
        enter(&of("one")).unwrap();
        assert!(unfinished.exists(), "what another command writes stays");
        std::fs::remove_file(&unfinished).unwrap();
        std::fs::remove_dir(folder.path().join("new")).unwrap();
        let found = checkouts(&of("other")).unwrap();
        let roots: Vec<_> = found.iter().map(|layout| layout.root().file_name().unwrap()).collect();
        assert_eq!(roots, ["other", "one"]);
        assert_eq!(folder.path().join("cache").metadata().unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn use_is_noted_once_an_hour_and_forgotten_with_its_entry() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path(), folder.path().join("cache"));
        let (entry, long_ago) = (folder.path().join("entry"), SystemTime::now() - 2 * USE_NOTE_INTERVAL);
        std::fs::write(&entry, "").unwrap();
        let age = |path: &Path, time| std::fs::File::open(path).unwrap().set_modified(time).unwrap();
        age(&entry, long_ago);
        let last = || last_use(&layout, "images", "one", &entry).unwrap();
        assert_eq!(last(), long_ago);
        note_use(layout.cache(), "images", "one");
        let noted = last();
        assert!(noted > long_ago);
        note_use(layout.cache(), "images", "one");
        assert_eq!(last(), noted);
        age(&use_note(layout.cache(), "images", "one"), long_ago);
        note_use(layout.cache(), "images", "one");
        assert!(last() > long_ago);
        forget_use(&layout, "images", "one").unwrap();
        assert_eq!(last(), long_ago);
    }
}
