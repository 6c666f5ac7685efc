//! A partial blob, which comes in pieces, perhaps over several commands.
//!
//! Its bytes are unverified: the blob gets its name only after the digest of the whole is right, and other bytes are
//! discarded.

use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::PathBuf;

use anyhow::Context as _;

use crate::failure::{Failure, FailureKind};

use super::{Blob, Digest, Hasher, Writer, unwritten};

/// A beginning of a blob, held against other commands until it is dropped.
#[derive(Debug)]
pub struct Unfinished<'a> {
    writer: &'a Writer,
    path: PathBuf,
    lock: File,
}

impl<'a> Unfinished<'a> {
    pub(super) fn new(writer: &'a Writer, path: PathBuf, lock: File) -> Self {
        Self { writer, path, lock }
    }

    /// How many bytes are there.
    ///
    /// # Errors
    /// The system's.
    pub fn size(&self) -> anyhow::Result<u64> {
        let found = self.lock.metadata().with_context(|| format!("cannot read `{}`", self.path.display()))?;
        Ok(found.len())
    }

    /// Adds bytes at the end.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn add(&self, bytes: &[u8]) -> anyhow::Result<()> {
        let mut file = &self.lock;
        let added = file.seek(SeekFrom::End(0)).and_then(|_| file.write_all(bytes));
        added.with_context(|| unwritten(&self.path))
    }

    /// Discards all bytes, to start from the first.
    ///
    /// # Errors
    /// The system's.
    pub fn clear(&self) -> anyhow::Result<()> {
        self.lock.set_len(0).with_context(|| unwritten(&self.path))
    }

    /// Gives the bytes up, and the name.
    ///
    /// # Errors
    /// The system's.
    pub fn discard(self) -> anyhow::Result<()> {
        crate::files::remove(&self.path)
    }

    /// Keeps the bytes as a blob if they are the expected ones.
    ///
    /// # Errors
    /// When they are not: then they are thrown away. Or when they cannot be read or written.
    pub fn finish(self, expected: Option<&Digest>) -> anyhow::Result<Blob> {
        let context = || format!("cannot read `{}`", self.path.display());
        let mut file = File::open(&self.path).with_context(context)?;
        let mut hasher = Hashing { hasher: Hasher::new(), size: 0 };
        std::io::copy(&mut file, &mut hasher).with_context(context)?;
        let blob = Blob { sha256: hasher.hasher.finish(), size: hasher.size };
        if let Some(expected) = expected.filter(|expected| **expected != blob.sha256) {
            let message =
                format!("the download ({} bytes) has the digest {}, not {expected}", blob.size, blob.sha256);
            crate::files::remove(&self.path)?;
            return Err(Failure::new(FailureKind::Host, message).into());
        }
        self.writer.keep(&self.lock, &self.path, &blob)?;
        Ok(blob)
    }
}

struct Hashing {
    hasher: Hasher,
    size: u64,
}

impl std::io::Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
