//! Files that are never seen half written, and the locks beside them.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use anyhow::Context as _;
use serde::de::DeserializeOwned;

use crate::input;

/// Permission bits of a file that holds a secret.
pub const SECRET: u32 = 0o600;
/// Permission bits of any other file.
pub const PUBLIC: u32 = 0o644;

/// Writes a whole file under a temporary name beside it, then renames it, so that a reader sees the old
/// bytes or the new ones. Folders above it are made.
///
/// # Errors
/// With the path and the system's reason.
pub fn write_atomic(path: &Path, bytes: &[u8], mode: u32) -> anyhow::Result<()> {
    replace(path, bytes, mode, true)
}

/// With `durable`, the bytes are on the disk before the name is theirs.
fn replace(path: &Path, bytes: &[u8], mode: u32, durable: bool) -> anyhow::Result<()> {
    let folder = path.parent().with_context(|| format!("`{}` has no folder", path.display()))?;
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
    let name = path.file_name().with_context(|| format!("`{}` has no name", path.display()))?;
    // Two writers of one file in one program would share the process id, so the thread is named as well.
    let unique =
        format!(".{}.{}.{:?}.tmp", name.to_string_lossy(), std::process::id(), std::thread::current().id());
    let temporary = folder.join(unique);
    let written = (|| {
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&temporary)?;
        file.write_all(bytes)?;
        if durable {
            file.sync_data()?;
        }
        std::fs::rename(&temporary, path)
    })();
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    written.with_context(|| format!("cannot write `{}`", path.display()))
}

/// Writes a file only when its bytes differ, and says whether it did.
///
/// # Errors
/// As [`write_atomic`].
pub fn write_if_changed(path: &Path, bytes: &[u8], mode: u32) -> anyhow::Result<bool> {
    if has_bytes(path, bytes) {
        return Ok(false);
    }
    write_atomic(path, bytes, mode)?;
    Ok(true)
}

/// Writes a file that can be made again, only when its bytes differ, and says whether it did. The disk is not
/// waited for, which takes most of the time of a small file: after a power cut it may be empty.
///
/// # Errors
/// As [`write_atomic`].
pub fn write_again(path: &Path, bytes: &[u8], mode: u32) -> anyhow::Result<bool> {
    if has_bytes(path, bytes) {
        return Ok(false);
    }
    replace(path, bytes, mode, false)?;
    Ok(true)
}

/// Whether an ordinary file with exactly these bytes is there.
fn has_bytes(path: &Path, bytes: &[u8]) -> bool {
    let mut old = Vec::new();
    input::open(path).is_ok_and(|mut file| file.read_to_end(&mut old).is_ok() && old == bytes)
}

/// Reads a whole text file; `None` where there is none.
///
/// # Errors
/// With the path and the system's reason, or when it is no ordinary file.
pub fn read_if_present(path: &Path) -> anyhow::Result<Option<String>> {
    let mut text = String::new();
    let read = input::open(path).and_then(|mut file| {
        file.read_to_string(&mut text).with_context(|| format!("cannot read `{}`", path.display()))
    });
    match read {
        Ok(_) => Ok(Some(text)),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_missing(error: &anyhow::Error) -> bool {
    let cause = error.root_cause().downcast_ref::<std::io::Error>();
    cause.is_some_and(|cause| cause.kind() == std::io::ErrorKind::NotFound)
}

/// Reads a JSON file of ours. What cannot be understood counts as none: it was written whole, so it is of another
/// version of this program.
///
/// # Errors
/// As [`read_if_present`].
pub fn read_own<T: DeserializeOwned>(path: &Path) -> anyhow::Result<Option<T>> {
    Ok(read_if_present(path)?.and_then(|text| serde_json::from_str(&text).ok()))
}

/// Names in a folder, sorted; none where the folder is absent.
///
/// # Errors
/// With the path and the system's reason.
pub fn names(folder: &Path) -> anyhow::Result<Vec<String>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| format!("cannot read `{}`", folder.display()))?,
    };
    let mut names = entries
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<std::io::Result<Vec<_>>>()
        .with_context(|| format!("cannot read `{}`", folder.display()))?;
    names.sort();
    Ok(names)
}

/// Removes a file or a whole folder; nothing there is success.
///
/// # Errors
/// With the path and the system's reason.
pub fn remove(path: &Path) -> anyhow::Result<()> {
    let removed = match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => std::fs::remove_dir_all(path),
        Ok(_) => std::fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove `{}`", path.display()))
        }
        _ => Ok(()),
    }
}

/// Takes an exclusive lock on a file, made where absent; `None` when another process holds it. The lock
/// lasts until the returned file is dropped or the process ends, however it ends.
///
/// # Errors
/// With the path and the system's reason.
pub fn try_lock(path: &Path) -> anyhow::Result<Option<File>> {
    take(path, File::try_lock)
}

/// Takes a lock that others may share, and that keeps out [`try_lock`]; `None` when somebody holds it alone.
///
/// # Errors
/// With the path and the system's reason.
pub fn try_share(path: &Path) -> anyhow::Result<Option<File>> {
    take(path, File::try_lock_shared)
}

fn take(
    path: &Path,
    lock: impl Fn(&File) -> Result<(), std::fs::TryLockError>,
) -> anyhow::Result<Option<File>> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
    }
    loop {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(SECRET)
            .open(path)
            .with_context(|| format!("cannot open `{}`", path.display()))?;
        match lock(&file) {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Ok(None),
            Err(std::fs::TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock `{}`", path.display()));
            }
        }
        // Whoever held it may have removed it meanwhile: a lock on a file that has no name locks nobody out.
        if path.metadata().is_ok_and(|named| file.metadata().is_ok_and(|own| own.ino() == named.ino())) {
            return Ok(Some(file));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_failed_write_keeps_the_old_bytes_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write_atomic(&path, b"old", PUBLIC).unwrap();
        let blocked = path.join("below-a-file");
        assert!(write_atomic(&blocked, b"new", PUBLIC).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_secret_is_readable_by_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        write_atomic(&path, b"secret", SECRET).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn an_unchanged_file_is_not_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        assert!(write_if_changed(&path, b"a", PUBLIC).unwrap());
        assert!(!write_if_changed(&path, b"a", PUBLIC).unwrap());
        assert!(write_if_changed(&path, b"b", PUBLIC).unwrap());
    }

    #[test]
    fn a_held_lock_is_not_given_twice() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let held = try_lock(&path).unwrap();
        assert!(held.is_some());
        assert!(try_lock(&path).unwrap().is_none());
        assert!(try_share(&path).unwrap().is_none());
        drop(held);
        assert!(try_lock(&path).unwrap().is_some());
        let shared = [try_share(&path).unwrap(), try_share(&path).unwrap()];
        assert!(shared.iter().all(Option::is_some) && try_lock(&path).unwrap().is_none());
    }
}
