//! Files that are never seen half written, the locks beside them, and folders that only their owner enters.
//!
//! This module decides who may reach a file of a lab: folders are private from their creation, under any umask.
//! docs/security.md has the table.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::OnceLock;

use anyhow::Context as _;
use nix::sys::stat::{Mode, umask};
use serde::de::DeserializeOwned;

use crate::failure::{Failure, FailureKind};
use crate::{input, mounts};

/// Permission bits of a file that holds a secret.
pub const SECRET: u32 = 0o600;
/// Permission bits of any other file.
pub const PUBLIC: u32 = 0o644;
/// Permission bits of a folder that only its owner enters.
const PRIVATE_FOLDER: u32 = 0o700;
/// The permission bits of everybody but the owner.
const OF_OTHERS: u32 = 0o077;
/// The umask of every distribution's services.
const OF_MACHINES: Mode = Mode::S_IWGRP.union(Mode::S_IWOTH);

/// The umask that the user started this program with.
static GIVEN_UMASK: OnceLock<Mode> = OnceLock::new();

/// Takes from this process, and from the programs that it starts, the power to make files that others may write. A
/// stricter umask of the user's stays.
pub fn limit_umask() {
    let given = *GIVEN_UMASK.get_or_init(|| umask(OF_MACHINES));
    umask(given | OF_MACHINES);
}

/// Sets the user's own umask again, for a program that takes over the terminal: its files are the user's.
pub fn restore_umask() {
    if let Some(given) = GIVEN_UMASK.get() {
        umask(*given);
    }
}

/// Replaces the user's umask by the one that machines and libvirt's daemons expect: other users of a machine read the
/// files made with it. For processes that write inside private folders only.
pub fn set_umask_of_machines() {
    umask(OF_MACHINES);
}

/// Makes a folder and those above it that are missing, each for its owner alone. A folder that exists keeps its
/// permissions: it may be one of the user's.
///
/// # Errors
/// With the path and the system's reason.
pub fn make_folder(path: &Path) -> anyhow::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(PRIVATE_FOLDER)
        .create(path)
        .with_context(|| format!("cannot make `{}`", path.display()))
}

/// Makes a folder for its owner alone, and closes one that exists: an older version made it for everybody.
///
/// # Errors
/// As [`make_folder`].
pub fn private_folder(path: &Path) -> anyhow::Result<()> {
    make_folder(path)?;
    close_to_others(path).map(drop)
}

/// Makes a folder with exactly these permission bits, under any umask: for a folder that another user has to enter,
/// always below a private one. An existing one gets the bits.
///
/// # Errors
/// As [`make_folder`].
pub fn folder_with_mode(path: &Path, mode: u32) -> anyhow::Result<()> {
    make_folder(path)?;
    std::fs::set_permissions(path, Permissions::from_mode(mode))
        .with_context(|| format!("cannot set the permissions of `{}`", path.display()))
}

/// Takes every permission of group and others from a file or folder, and returns whether there was one. Nothing there, and
/// another user's where the caller is not root, is left alone.
///
/// # Errors
/// With the path and the system's reason.
pub fn close_to_others(path: &Path) -> anyhow::Result<bool> {
    limit_others(path, 0)
}

/// Takes the permissions of group and others that are not in `mode`, and returns whether there was one.
fn limit_others(path: &Path, mode: u32) -> anyhow::Result<bool> {
    let Ok(metadata) = path.metadata() else { return Ok(false) };
    let caller = nix::unistd::geteuid();
    let bits = metadata.mode() & 0o7777;
    let excess = bits & OF_OTHERS & !mode;
    if excess == 0 || !(caller.is_root() || caller.as_raw() == metadata.uid()) {
        return Ok(false);
    }
    std::fs::set_permissions(path, Permissions::from_mode(bits & !excess))
        .with_context(|| format!("cannot take the permissions of others from `{}`", path.display()))?;
    Ok(true)
}

/// Opens a file for writing at its end, and makes it for its owner alone where it is missing: logs.
///
/// # Errors
/// The system's reason.
pub fn open_log(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(SECRET).open(path)
}

/// Makes a new, empty file for its owner alone in a private folder, in place of one that is there: the record of a run.
///
/// # Errors
/// With the path and the system's reason.
pub fn create_private(path: &Path) -> anyhow::Result<File> {
    if let Some(folder) = path.parent() {
        private_folder(folder)?;
    }
    create_empty(path, SECRET)
}

/// Replaces a file, without a temporary name: for one that no process reads before its writer has ended.
///
/// # Errors
/// With the path and the system's reason.
pub fn write_unread(path: &Path, bytes: &[u8], mode: u32) -> anyhow::Result<()> {
    let mut file = create_empty(path, mode)?;
    file.write_all(bytes).with_context(|| format!("cannot write `{}`", path.display()))
}

/// Makes a new, empty file in place of one that is there. A link is replaced, not followed.
fn create_empty(path: &Path, mode: u32) -> anyhow::Result<File> {
    remove(path)?;
    OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(mode)
        .open(path)
        .with_context(|| format!("cannot write `{}`", path.display()))
}

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
    make_folder(folder)?;
    let name = path.file_name().with_context(|| format!("`{}` has no name", path.display()))?;
    // Two writers of one file in one program would share the process id, so the thread is named as well.
    let unique =
        format!(".{}.{}.{:?}.tmp", name.to_string_lossy(), std::process::id(), std::thread::current().id());
    let temporary = folder.join(unique);
    // A killed writer with the same number may have left one, with other permissions.
    remove(&temporary)?;
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
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

/// Writes a file only when its bytes differ, and says whether it did. One that is right loses the permissions of others
/// that are not in `mode`.
///
/// # Errors
/// As [`write_atomic`].
pub fn write_if_changed(path: &Path, bytes: &[u8], mode: u32) -> anyhow::Result<bool> {
    if is_written(path, bytes, mode)? {
        return Ok(false);
    }
    write_atomic(path, bytes, mode)?;
    Ok(true)
}

fn is_written(path: &Path, bytes: &[u8], mode: u32) -> anyhow::Result<bool> {
    let same = has_bytes(path, bytes);
    if same {
        limit_others(path, mode)?;
    }
    Ok(same)
}

/// Writes a file that can be made again, only when its bytes differ, and says whether it did. The disk is not
/// waited for, which takes most of the time of a small file: after a power cut it may be empty.
///
/// # Errors
/// As [`write_atomic`].
pub fn write_again(path: &Path, bytes: &[u8], mode: u32) -> anyhow::Result<bool> {
    if is_written(path, bytes, mode)? {
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

/// The same for a folder of files of our own: one that [`write_atomic`] is still writing has no name yet.
///
/// # Errors
/// As [`names`].
pub fn names_of_whole_files(folder: &Path) -> anyhow::Result<Vec<String>> {
    Ok(names(folder)?.into_iter().filter(|name| !is_unfinished(name)).collect())
}

/// Removes the files that killed writers left in a folder. The caller holds the folder, so that none still writes.
///
/// # Errors
/// As [`names`] and [`remove`].
pub fn remove_unfinished(folder: &Path) -> anyhow::Result<()> {
    let names = names(folder)?;
    names.iter().filter(|name| is_unfinished(name)).try_for_each(|name| remove(&folder.join(name)))
}

/// Whether a name is a temporary one of [`write_atomic`].
fn is_unfinished(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(".tmp")
}

/// Removes a file or a whole folder; nothing there is success. A folder in which something is mounted stays
/// whole: files of another file system are not ours.
///
/// # Errors
/// With the path and the system's reason.
pub fn remove(path: &Path) -> anyhow::Result<()> {
    let removed = match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => {
            if let Some(point) = mounts::below(path)?.last() {
                let message = format!(
                    "cannot remove `{}`: something is mounted at `{}`",
                    path.display(),
                    point.display()
                );
                return Err(Failure::new(FailureKind::Leftovers, message)
                    .hint("`cargo xtask lab gc --remove` detaches what killed commands left; `umount` detaches the rest")
                    .into());
            }
            std::fs::remove_dir_all(path)
        }
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

/// Takes a shared lock, which excludes [`try_lock`]; `None` while another process holds the exclusive one.
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
        make_folder(folder)?;
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
        // The last holder may have removed it meanwhile, and a lock on an unlinked file excludes no process.
        if is_named(&file, path) {
            return Ok(Some(file));
        }
    }
}

/// Whether a path still names an open file.
pub fn is_named(file: &File, path: &Path) -> bool {
    let same = |named: std::fs::Metadata| {
        file.metadata().is_ok_and(|own| (own.dev(), own.ino()) == (named.dev(), named.ino()))
    };
    path.metadata().is_ok_and(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_write_keeps_old_bytes_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write_atomic(&path, b"old", PUBLIC).unwrap();
        let blocked = path.join("below-a-file");
        assert!(write_atomic(&blocked, b"new", PUBLIC).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn secret_is_readable_by_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        write_atomic(&path, b"secret", SECRET).unwrap();
        assert_eq!(mode(&path), 0o600);
    }

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn private_folder_is_closed_from_creation_and_if_found_open() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("above/below");
        private_folder(&path).unwrap();
        assert_eq!([mode(&path), mode(path.parent().unwrap())], [0o700, 0o700]);
        std::fs::set_permissions(&path, Permissions::from_mode(0o2755)).unwrap();
        make_folder(&path).unwrap();
        assert_eq!(mode(&path), 0o2755, "one of the user's is left as it is");
        private_folder(&path).unwrap();
        assert_eq!(mode(&path), 0o2700);
        assert!(!close_to_others(&path).unwrap());
        assert!(!close_to_others(&folder.path().join("nothing")).unwrap());
    }

    #[test]
    fn folder_for_another_user_has_requested_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("root/upper");
        folder_with_mode(&path, 0o755).unwrap();
        assert_eq!([mode(&path), mode(path.parent().unwrap())], [0o755, 0o700]);
    }

    #[test]
    fn unchanged_secret_loses_permissions_of_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("variables.yml");
        for write in [write_if_changed, write_again] {
            std::fs::write(&path, "password").unwrap();
            std::fs::set_permissions(&path, Permissions::from_mode(0o664)).unwrap();
            assert!(!write(&path, b"password", PUBLIC).unwrap());
            assert_eq!(mode(&path), 0o644);
            assert!(!write(&path, b"password", SECRET).unwrap());
            assert_eq!(mode(&path), 0o600);
            assert!(!write(&path, b"password", PUBLIC).unwrap());
            assert_eq!(mode(&path), 0o600, "what the user closed stays closed");
        }
    }

    #[test]
    fn logs_and_records_are_for_their_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (log, record) = (folder.path().join("log"), folder.path().join("run/record"));
        open_log(&log).unwrap();
        std::fs::create_dir(record.parent().unwrap()).unwrap();
        std::fs::write(&record, "of an older version").unwrap();
        std::fs::set_permissions(&record, Permissions::from_mode(0o644)).unwrap();
        create_private(&record).unwrap();
        assert_eq!([mode(&log), mode(&record), mode(record.parent().unwrap())], [0o600, 0o600, 0o700]);
    }

    #[test]
    fn unchanged_file_is_not_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        assert!(write_if_changed(&path, b"a", PUBLIC).unwrap());
        assert!(!write_if_changed(&path, b"a", PUBLIC).unwrap());
        assert!(write_if_changed(&path, b"b", PUBLIC).unwrap());
    }

    #[test]
    fn held_lock_is_not_given_twice() {
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
