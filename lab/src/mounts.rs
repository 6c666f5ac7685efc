//! The mounts that this process sees. Reads the table of the kernel and detaches mounts; mounts nothing.

use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use nix::mount::{MntFlags, umount2};

/// Every mount point at or below a path, the deepest first.
///
/// # Errors
/// When the kernel's table cannot be read.
pub fn below(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    // The table has no links in it. A path that is not there has no mounts.
    let Ok(path) = path.canonicalize() else { return Ok(Vec::new()) };
    let table = std::fs::read("/proc/self/mountinfo").context("cannot read the table of mounts")?;
    Ok(points_below(&table, &path))
}

/// Detaches every mount at or below a path, and returns their mount points.
///
/// # Errors
/// When the kernel refuses.
pub fn detach_below(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let points = below(path)?;
    for point in &points {
        umount2(point, MntFlags::MNT_DETACH)
            .with_context(|| format!("cannot detach the mount at `{}`", point.display()))?;
    }
    Ok(points)
}

/// Reads a table as of proc_pid_mountinfo(5): the fifth column is the mount point. Later lines lie over
/// earlier ones, so the reverse order is one in which mounts can be detached.
fn points_below(table: &[u8], path: &Path) -> Vec<PathBuf> {
    let points = table.split(|byte| *byte == b'\n').filter_map(|line| {
        let point = line.split(|byte| *byte == b' ').nth(4)?;
        Some(PathBuf::from(std::ffi::OsString::from_vec(unescaped(point))))
    });
    let mut points: Vec<PathBuf> = points.filter(|point| point.starts_with(path)).collect();
    points.reverse();
    points
}

/// The kernel writes blanks, tabs, line ends and backslashes as three octal digits.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..3).filter(|_| *first == b'\\');
        let code = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code {
            Some(code) => {
                bytes.push(code);
                rest = &after[3..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] = b"22 1 254:0 / / rw - ext4 /dev/vda rw\n\
        30 22 0:5 / /srv/a/proc rw - proc proc rw\n\
        31 30 0:6 / /srv/a/proc/sys\\040x rw - sysfs sysfs rw\n\
        32 22 0:7 / /srv/ab rw - tmpfs tmpfs rw\n";

    #[test]
    fn mounts_below_a_folder_are_found_the_deepest_first() {
        let found = points_below(TABLE, Path::new("/srv/a"));
        assert_eq!(found, [Path::new("/srv/a/proc/sys x"), Path::new("/srv/a/proc")]);
        assert_eq!(points_below(TABLE, Path::new("/srv/ab")), [Path::new("/srv/ab")]);
        assert_eq!(points_below(TABLE, Path::new("/srv/b")), Vec::<PathBuf>::new());
    }

    #[test]
    fn folder_without_mounts_has_none() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(below(folder.path()).unwrap(), Vec::<PathBuf>::new());
        assert_eq!(below(&folder.path().join("absent")).unwrap(), Vec::<PathBuf>::new());
    }
}
