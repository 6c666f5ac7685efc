//! Failures for which a disk is the cause: it is full, or nothing can be written to it. Recognises them and
//! says so in one sentence; changes nothing.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rustix::fs::{StatVfs, StatVfsMountFlags, statvfs};

use crate::failure::{Failure, FailureKind};
use crate::failure_kind;
use crate::layout::Layout;

/// A file system with less room than this is full: hardly anything of ours is smaller.
const LEAST_ROOM: u64 = 256 << 10;
/// ext4 keeps 2 % of its blocks, at most this many, from root too (`ext4_calculate_resv_clusters`), and counts them as free.
const MAX_KEPT_BLOCKS: u64 = 4096;
/// How programs name a full disk (strerror(3) of ENOSPC and EDQUOT; git).
const FULL_SIGNS: [&str; 3] = ["No space left on device", "Out of diskspace", "Disk quota exceeded"];
/// The same for a file system without writing (EROFS).
const READ_ONLY_SIGN: &str = "Read-only file system";
/// How messages name a full disk that rooms have recognised themselves.
const KNOWN: [&str; 2] = ["the disk is full", "there is no space left"];

/// The problem of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Obstacle {
    Full,
    ReadOnly,
}

/// Puts the sentence about a disk in front of a failure that comes from one; any other failure stays as it is.
pub fn explained(layout: &Layout, error: anyhow::Error) -> anyhow::Error {
    let folders = [
        layout.output(),
        layout.images(),
        layout.artifacts().folder,
        layout.kubespray().folder,
        layout.environments(),
    ];
    let text = format!("{error:#}");
    if KNOWN.iter().any(|known| text.contains(known)) {
        return error;
    }
    // Programs that fail on a full disk do not always say so.
    let by_folder = || {
        let is_ours = matches!(
            failure_kind::of(&error),
            FailureKind::Unexpected | FailureKind::Host | FailureKind::Provision
        );
        folders.iter().filter(|_| is_ours).find_map(|folder| Some((folder.clone(), state(folder)?)))
    };
    let by_text = named(&error, &text).map(|obstacle| {
        let place = folders.iter().find(|folder| state(folder) == Some(obstacle));
        (place.cloned().unwrap_or_default(), obstacle)
    });
    let Some((place, obstacle)) = by_text.or_else(by_folder) else { return error };
    let of = match layout.shown(&place) {
        path if path.is_empty() => String::new(),
        path => format!(" of `{path}`"),
    };
    error.context(match obstacle {
        Obstacle::Full => Failure::new(FailureKind::Host, format!("the disk{of} is full"))
            .hint("make room and call the same command again: it goes on where it stopped"),
        Obstacle::ReadOnly => Failure::new(FailureKind::Host, format!("the file system{of} is read-only"))
            .hint("mount it for writing and call the same command again"),
    })
}

/// What the causes of an error, or the programs that they quote, say of a disk. A playbook quotes programs of machines, which
/// may have other disks than this computer.
fn named(error: &anyhow::Error, text: &str) -> Option<Obstacle> {
    let kinds = error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>()?.kind().into());
    let of_kind = |kind: ErrorKind| match kind {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Some(Obstacle::Full),
        ErrorKind::ReadOnlyFilesystem => Some(Obstacle::ReadOnly),
        _ => None,
    };
    kinds.filter_map(of_kind).next().or_else(|| {
        if failure_kind::of(error) == FailureKind::Deploy {
            return None;
        }
        if FULL_SIGNS.iter().any(|sign| text.contains(sign)) {
            return Some(Obstacle::Full);
        }
        text.contains(READ_ONLY_SIGN).then_some(Obstacle::ReadOnly)
    })
}

/// The problem of the file system of a folder, or of its nearest existing parent.
fn state(folder: &Path) -> Option<Obstacle> {
    let there: PathBuf = folder.ancestors().find(|path| path.exists())?.to_owned();
    judge(&statvfs(&there).ok()?, nix::unistd::geteuid().is_root())
}

fn judge(found: &StatVfs, is_root: bool) -> Option<Obstacle> {
    if found.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Some(Obstacle::ReadOnly);
    }
    // Some blocks are kept for root, and some from all.
    let of_root = found.f_bfree.saturating_sub(MAX_KEPT_BLOCKS.min(found.f_blocks / 50));
    let blocks = if is_root { found.f_bavail.max(of_root) } else { found.f_bavail };
    (blocks.saturating_mul(found.f_frsize) < LEAST_ROOM).then_some(Obstacle::Full)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn of_kind(kind: ErrorKind) -> anyhow::Error {
        anyhow::Error::new(std::io::Error::from(kind)).context("cannot write `x`")
    }

    fn of_playbook(cause: anyhow::Error) -> anyhow::Error {
        cause.context(Failure::new(FailureKind::Deploy, "worker-1 failed at `Unpack`"))
    }

    #[rstest]
    #[case::full(of_kind(ErrorKind::StorageFull), Some(Obstacle::Full))]
    #[case::quota(of_kind(ErrorKind::QuotaExceeded), Some(Obstacle::Full))]
    #[case::read_only(of_kind(ErrorKind::ReadOnlyFilesystem), Some(Obstacle::ReadOnly))]
    #[case::program(anyhow::anyhow!("`git` failed: Out of diskspace"), Some(Obstacle::Full))]
    #[case::other(of_kind(ErrorKind::NotFound), None)]
    #[case::playbook(of_playbook(anyhow::anyhow!("tar: No space left on device")), None)]
    #[case::record_of_playbook(of_playbook(of_kind(ErrorKind::StorageFull)), Some(Obstacle::Full))]
    fn cause_names_the_disk(#[case] error: anyhow::Error, #[case] expected: Option<Obstacle>) {
        let text = format!("{error:#}");
        assert_eq!(named(&error, &text), expected);
    }

    #[rstest]
    #[case::room(1 << 20, 1 << 20, false, None)]
    #[case::only_root_has_room(1 << 20, 0, false, Some(Obstacle::Full))]
    #[case::root_has_room(1 << 20, 0, true, None)]
    #[case::none(0, 0, true, Some(Obstacle::Full))]
    #[case::rest_is_kept_by_ext4(LEAST_ROOM + 4095, 0, true, Some(Obstacle::Full))]
    #[case::all_have_room(LEAST_ROOM, LEAST_ROOM, true, None)]
    fn free_blocks_are_counted_for_the_user(
        #[case] free: u64,
        #[case] available: u64,
        #[case] is_root: bool,
        #[case] expected: Option<Obstacle>,
    ) {
        let found = StatVfs {
            f_bsize: 1,
            f_frsize: 1,
            f_blocks: 1 << 30,
            f_bfree: free,
            f_bavail: available,
            f_files: 1,
            f_ffree: 1,
            f_favail: 1,
            f_fsid: 0,
            f_flag: StatVfsMountFlags::empty(),
            f_namemax: 255,
        };
        assert_eq!(judge(&found, is_root), expected);
    }

    #[test]
    fn failure_of_another_kind_stays_as_it_is() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::new(root.path(), root.path().join("cache"));
        let error = explained(&layout, anyhow::anyhow!("no such machine"));
        assert_eq!(format!("{error:#}"), "no such machine");
        let error = explained(&layout, of_kind(ErrorKind::StorageFull));
        assert!(format!("{error:#}").starts_with("the disk is full: cannot write `x`"), "{error:#}");
        assert_eq!(failure_kind::of(&error), FailureKind::Host);
    }
}
