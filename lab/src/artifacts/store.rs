//! The store of artefacts: blobs by their digest, and records of the files and images that they are.
//!
//! `blobs/sha256/<hex>` is a file of a machine, or a manifest, a configuration or a layer of an image. A blob appears by a
//! rename of a whole file whose digest was taken while it was written, is read-only, and is never changed.
//! `files/` and `images/` hold records, see [`record`]. `unfinished/` holds partial files, each locked by its writer: an
//! unlocked one is from an interrupted command. `corrupt/` holds blobs whose bytes do not match their name.
//!
//! A [`Store`] is looked at without a lock. Who puts something into it has a [`Writer`]: many at once, but none
//! while unused things are removed, so that nothing goes between being put and being recorded.
//!
//! Nothing here knows where artefacts come from.

mod digest;
pub mod record;
mod unfinished;

use std::fs::{File, Permissions};
use std::io::{Read, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, FailureKind};
use crate::layout::{ArtifactFiles, Layout};
use crate::timeouts::{STORE_LOCK_INTERVAL, STORE_LOCK_TIMEOUT};
use crate::wait::{self, Deadline, Probe};
use crate::{files, stamp};

pub use digest::{Digest, Hasher};
pub use record::{FileRecord, ImageRecord, Source};
pub use unfinished::Unfinished;

/// Permission bits of a blob, which is never changed.
const BLOB: u32 = 0o444;
/// The prefix of the names of files that [`Writer::put`] writes.
const PUT: &str = "put-";

/// Some bytes of the store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Blob {
    /// Of all of them.
    pub sha256: Digest,
    /// How many they are.
    pub size: u64,
}

/// The store, to be looked at.
#[derive(Debug, Clone)]
pub struct Store {
    files: ArtifactFiles,
}

/// The store, to be filled. Unused things are not removed while there is one.
#[derive(Debug)]
pub struct Writer {
    store: Store,
    _share: File,
}

impl std::ops::Deref for Writer {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

impl Store {
    /// The store of a checkout. It need not exist: then it is empty.
    pub fn open(layout: &Layout) -> Self {
        Self { files: layout.artifacts() }
    }

    /// Where everything of it lies.
    pub fn files(&self) -> &ArtifactFiles {
        &self.files
    }

    /// Where a blob lies or would lie.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.files.blobs().join(digest.hex())
    }

    /// Whether a blob is there. Its bytes are not read.
    pub fn has(&self, digest: &Digest) -> bool {
        self.path(digest).is_file()
    }

    /// Whether a blob is there and has the size and the digest that a record says. Its bytes are read only when it was
    /// changed since they were digested.
    pub fn has_whole(&self, blob: &Blob) -> bool {
        let path = self.path(&blob.sha256);
        let digest = || Ok(Digest::of_reader(&mut File::open(&path)?)?.hex().to_owned());
        self.size(&blob.sha256) == Some(blob.size)
            && stamp::has_digest(&self.stamp(&blob.sha256), &path, blob.sha256.hex(), digest).unwrap_or(false)
    }

    fn stamp(&self, digest: &Digest) -> PathBuf {
        self.files.stamps().join(format!("{}.stamp", digest.hex()))
    }

    /// The size of a blob, where it is there.
    pub fn size(&self, digest: &Digest) -> Option<u64> {
        self.path(digest).metadata().ok().filter(std::fs::Metadata::is_file).map(|found| found.len())
    }

    /// All bytes of a blob that is small: a manifest, a configuration.
    ///
    /// # Errors
    /// When it is not there or cannot be read.
    pub fn read(&self, digest: &Digest) -> anyhow::Result<Vec<u8>> {
        let path = self.path(digest);
        std::fs::read(&path).with_context(|| format!("cannot read `{}`", path.display()))
    }

    /// Whether the store was found to have other bytes under this name, and they were set aside.
    pub fn was_corrupt(&self, digest: &Digest) -> bool {
        !self.has(digest) && self.files.corrupt().join(digest.hex()).is_file()
    }

    /// The store, to be filled.
    ///
    /// # Errors
    /// When unused things are being removed for longer than that ever takes.
    pub fn writer(&self) -> anyhow::Result<Writer> {
        self.prepare()?;
        let share = self
            .wait("another command that removes unused artefacts", || files::try_share(&self.files.lock()))?;
        self.forget_puts()?;
        Ok(Writer { store: self.clone(), _share: share })
    }

    /// Keeps all writers out, for the removal of unused things; `None` while there is one.
    ///
    /// # Errors
    /// With the path and the system's reason.
    pub(super) fn alone(&self) -> anyhow::Result<Option<File>> {
        self.prepare()?;
        files::try_lock(&self.files.lock())
    }

    fn prepare(&self) -> anyhow::Result<()> {
        let folders = [
            self.files.blobs(),
            self.files.file_records(),
            self.files.image_records(),
            self.files.unfinished(),
        ];
        for folder in folders {
            files::private_folder(&folder)
                .with_context(|| Failure::new(FailureKind::Host, "the store of artefacts cannot be made"))?;
        }
        Ok(())
    }

    /// Removes the files that killed commands left of a [`Writer::put`]: no command can go on with them.
    fn forget_puts(&self) -> anyhow::Result<()> {
        for name in files::names(&self.files.unfinished())?.iter().filter(|name| name.starts_with(PUT)) {
            let path = self.files.unfinished().join(name);
            if let Some(_held) = files::try_lock(&path)? {
                files::remove(&path)?;
            }
        }
        Ok(())
    }

    fn wait(
        &self,
        what: &str,
        mut take: impl FnMut() -> anyhow::Result<Option<File>>,
    ) -> anyhow::Result<File> {
        let deadline = Deadline::after(STORE_LOCK_TIMEOUT);
        let held = wait::until_blocking(what, deadline, STORE_LOCK_INTERVAL, || match take() {
            Ok(Some(lock)) => Probe::Ready(lock),
            Ok(None) => Probe::NotYet("it is still at it".to_owned()),
            Err(error) => Probe::Fatal(error),
        })?;
        Ok(held)
    }
}

/// Distinguishes what one program writes at the same time.
static COUNT: AtomicU64 = AtomicU64::new(0);

impl Writer {
    /// Reads everything and keeps it under its digest.
    ///
    /// # Errors
    /// When it cannot be read or written, or its digest is not the expected one. Nothing is left then.
    pub fn put(&self, reader: &mut dyn Read, expected: Option<&Digest>) -> anyhow::Result<Blob> {
        let (path, file) = loop {
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let path = self.files.unfinished().join(format!("{PUT}{}-{count}", std::process::id()));
            // A command that looks for leftovers holds it for a moment.
            if let Some(file) = files::try_lock(&path)? {
                break (path, file);
            }
        };
        let put = self.take_in(reader, file, &path, expected);
        if put.is_err() {
            // The error of the write matters more than one of the removal.
            let _ = std::fs::remove_file(&path);
        }
        put
    }

    /// Keeps some bytes under their digest.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn put_bytes(&self, bytes: &[u8]) -> anyhow::Result<Blob> {
        let blob = Blob { sha256: Digest::of(bytes), size: bytes.len() as u64 };
        if self.has_whole(&blob) {
            return Ok(blob);
        }
        self.put(&mut &bytes[..], Some(&blob.sha256))
    }

    /// Keeps a copy of a file under its digest.
    ///
    /// # Errors
    /// As [`Writer::put`].
    pub fn put_file(&self, path: &Path) -> anyhow::Result<Blob> {
        let mut file = File::open(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        self.put(&mut file, None)
    }

    fn take_in(
        &self,
        reader: &mut dyn Read,
        mut file: File,
        path: &Path,
        expected: Option<&Digest>,
    ) -> anyhow::Result<Blob> {
        let mut hasher = Hasher::new();
        let mut size = 0;
        let mut buffer = vec![0; 1 << 18];
        loop {
            let count = match reader.read(&mut buffer) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                read => read.context("cannot read the bytes to store")?,
            };
            if count == 0 {
                break;
            }
            hasher.update(&buffer[..count]);
            file.write_all(&buffer[..count]).with_context(|| unwritten(path))?;
            size += count as u64;
        }
        let blob = Blob { sha256: hasher.finish(), size };
        if let Some(expected) = expected.filter(|expected| **expected != blob.sha256) {
            let message = format!("these bytes have the digest {}, not {expected}", blob.sha256);
            return Err(Failure::new(FailureKind::Host, message).into());
        }
        self.keep(&file, path, &blob)?;
        Ok(blob)
    }

    /// Gives a whole file its name. The bytes are on the disk first: a power cut must not leave a name with other
    /// bytes. The rename itself is not synced: without it the blob is missing, and reported as such.
    fn keep(&self, file: &File, path: &Path, blob: &Blob) -> anyhow::Result<()> {
        let named = self.path(&blob.sha256);
        let kept = (|| {
            file.sync_data()?;
            file.set_permissions(Permissions::from_mode(BLOB))?;
            std::fs::rename(path, &named)
        })();
        kept.with_context(|| unwritten(&named))?;
        stamp::write(&self.stamp(&blob.sha256), &named, blob.sha256.hex());
        // A corrupt blob of this name is of no more use.
        files::remove(&self.files.corrupt().join(blob.sha256.hex()))
    }

    /// Starts or resumes a partial blob; see [`Unfinished`]. `None` while another command writes it.
    ///
    /// # Errors
    /// With the path and the system's reason.
    pub fn resume(&self, key: &Digest) -> anyhow::Result<Option<Unfinished<'_>>> {
        let path = self.files.unfinished().join(format!("part-{}", key.hex()));
        Ok(files::try_lock(&path)?.map(|lock| Unfinished::new(self, path, lock)))
    }

    /// Sets a blob aside that has other bytes than its name says.
    ///
    /// # Errors
    /// When it cannot be moved.
    pub fn set_aside(&self, digest: &Digest) -> anyhow::Result<()> {
        let folder = self.files.corrupt();
        files::private_folder(&folder)?;
        let (from, to) = (self.path(digest), folder.join(digest.hex()));
        std::fs::rename(&from, &to)
            .with_context(|| format!("cannot rename `{}` to `{}`", from.display(), to.display()))
    }
}

/// One sentence for what could not be written, with the advice that a full disk calls for.
fn unwritten(path: &Path) -> Failure {
    Failure::new(FailureKind::Host, format!("cannot write `{}`", path.display()))
        .hint("see that there is space left; `cargo xtask artifacts gc` says what could go")
}

#[cfg(test)]
mod tests;
