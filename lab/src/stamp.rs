//! Stamps of files whose bytes were digested: whether a file is still the one that was read, without reading it again.
//!
//! A stamp holds the stat(2) of a file and its digest. The kernel sets the change time of a file at every write,
//! rename and change of mode, and no program can set it back. Decides nothing about files that differ.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::files::{self, SECRET};

/// Whether a file has this digest: by its stamp, or else by `digest`, which reads it. A file that has it is stamped.
///
/// # Errors
/// When the file cannot be read.
pub fn has_digest(
    stamp: &Path,
    file: &Path,
    expected: &str,
    digest: impl FnOnce() -> anyhow::Result<String>,
) -> anyhow::Result<bool> {
    let Some(seal) = seal(file, expected) else { return Ok(false) };
    if std::fs::read_to_string(stamp).is_ok_and(|stamped| stamped == seal) {
        return Ok(true);
    }
    if digest()? != expected {
        return Ok(false);
    }
    // Without a stamp the file is read again next time.
    let _ = files::write_atomic(stamp, seal.as_bytes(), SECRET);
    Ok(true)
}

/// Stamps a file whose bytes were digested while they were written.
pub fn write(stamp: &Path, file: &Path, digest: &str) {
    if let Some(seal) = seal(file, digest) {
        // As above.
        let _ = files::write_atomic(stamp, seal.as_bytes(), SECRET);
    }
}

fn seal(file: &Path, digest: &str) -> Option<String> {
    let found = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
    let (device, inode, size) = (found.dev(), found.ino(), found.size());
    let (seconds, nanoseconds) = (found.ctime(), found.ctime_nsec());
    Some(format!("{digest} {device} {inode} {size} {seconds}.{nanoseconds:09}\n"))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn file_is_read_again_only_when_it_was_changed() {
        let folder = tempfile::tempdir().unwrap();
        let (file, stamp) = (folder.path().join("file"), folder.path().join("file.stamp"));
        let reads = Cell::new(0);
        let is = |expected: &str| {
            let digest = || {
                reads.set(reads.get() + 1);
                Ok(std::fs::read_to_string(&file)?)
            };
            has_digest(&stamp, &file, expected, digest).unwrap()
        };
        assert!(!is("one"), "there is none");
        std::fs::write(&file, "one").unwrap();
        assert!(is("one") && is("one"));
        assert_eq!(reads.get(), 1);
        assert!(!is("two"), "a stamp is for one digest");
        // Of the same size, and with the time of its last write set back.
        let written = file.metadata().unwrap().modified().unwrap();
        std::fs::write(&file, "bad").unwrap();
        std::fs::File::options().write(true).open(&file).unwrap().set_modified(written).unwrap();
        assert!(!is("one") && !is("one"));
        assert_eq!(reads.get(), 4);
        std::fs::write(&file, "one").unwrap();
        write(&stamp, &file, "one");
        assert!(is("one"));
        assert_eq!(reads.get(), 4, "a file that was written while it was digested is not read");
    }
}
