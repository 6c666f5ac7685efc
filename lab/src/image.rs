//! Base images: makes them, keeps them, hands out paths that may be relied on.
//!
//! An image is a folder of the store, named by the digest of what it was made from. It appears there
//! whole, by a rename, or not at all; nothing in it is changed afterwards, because the disks of machines
//! are overlays on it. This module starts no machine and knows nothing of libvirt.

mod cloud;
mod debian;
mod mirror;
mod store;

pub use debian::the_mirror as debian_mirror;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use lab_core::spec::ImageSpec;
use lab_core::units::Bytes;
use serde::{Deserialize, Serialize};

use crate::cx::Cx;
use crate::failure::{Failure, FailureKind};
use crate::files;
use crate::process::invocation;
use crate::timeouts::IMAGE_BUILD_TIMEOUT;
use crate::wait::Deadline;

/// A base image in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseImage {
    /// Digest of what it was made from; the name of its folder in the store.
    pub key: String,
    /// The root disk, qcow2, never written to.
    pub disk: PathBuf,
    /// Size that a machine sees.
    pub virtual_size: Bytes,
    /// How a machine starts from it.
    pub boot: Boot,
}

/// How a machine starts from an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Boot {
    /// QEMU loads the kernel.
    Direct {
        /// An unpacked ELF kernel, which QEMU enters by PVH.
        kernel: PathBuf,
        /// The initial file system, without any machine's identity. Its length is a multiple of 512.
        initrd: PathBuf,
        /// The whole command line of the kernel.
        command_line: String,
    },
    /// The firmware starts the disk's own boot loader; identity comes from a NoCloud seed.
    Disk,
}

/// What the store knows of one image: `manifest.json` in its folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The folder's name.
    pub key: String,
    /// `debian13`, or where a cloud image came from.
    pub source: String,
    /// Size that a machine sees.
    pub virtual_size: Bytes,
    /// For direct boot; absent where the disk boots itself.
    pub command_line: Option<String>,
    /// Each file beside the manifest, by name.
    pub files: BTreeMap<String, FileRecord>,
    /// Packages in the image with their versions.
    pub packages: BTreeMap<String, String>,
    /// How long it took to make.
    pub seconds: u64,
}

/// One file of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Length in bytes.
    pub size: Bytes,
    /// Lower-case hexadecimal.
    pub sha256: String,
}

const DISK: &str = "disk.qcow2";
const KERNEL: &str = "kernel";
const INITRD: &str = "initrd";
/// The root tree as an archive.
const ROOT: &str = "root.tar";
/// The root tree unpacked, in an image's folder: made when a container first needs it.
const TREE: &str = "root";

/// The key of an image, without making it. Changes when anything does that the image is made from.
///
/// # Errors
/// When the image cannot be named.
pub fn key(spec: &ImageSpec) -> anyhow::Result<String> {
    match spec {
        ImageSpec::Debian13 => Ok(debian::key()),
        ImageSpec::Cloud { sha512, .. } => cloud::key(sha512),
    }
}

/// Finds an image in the store, or makes it. `folder` is the one that relative paths start from.
///
/// Two callers at once make one image: the second waits for the first.
///
/// # Errors
/// One sentence on what could not be done, with the place of the whole log where there is one.
pub async fn ensure(cx: &Cx, spec: &ImageSpec, folder: &Path) -> anyhow::Result<BaseImage> {
    let (store, key) = (cx.layout.images(), key(spec)?);
    lab_cache::note_use(cx.layout.cache(), "images", &key);
    if let Some(manifest) = store::find(&store, &key)? {
        return unchanged(cx, store, manifest).await;
    }
    let task = cx.progress.task("image");
    let deadline = Deadline::after(IMAGE_BUILD_TIMEOUT);
    let claim = store::claim(cx, &key, deadline, &task).await?;
    // The last holder of the claim may have made it.
    if let Some(manifest) = store::find(&store, &key)? {
        task.done("made by another process");
        return Ok(base_image(&store, &manifest));
    }
    let started = Instant::now();
    let made = async {
        let mut manifest = match spec {
            ImageSpec::Debian13 => debian::build(cx, &claim, deadline, &task).await?,
            ImageSpec::Cloud { source, sha512 } => {
                cloud::fetch(cx, &claim, deadline, &task, folder, source, sha512).await?
            }
        };
        task.step("writing it to the disk");
        manifest.seconds = started.elapsed().as_secs();
        cx.blocking(move || {
            claim.publish(&mut manifest).context("cannot put the new image into the store")?;
            Ok(manifest)
        })
        .await
    }
    .await;
    match made {
        Ok(manifest) => {
            task.done(&format!("`{key}` made in {} s, kept for later", manifest.seconds));
            Ok(base_image(&store, &manifest))
        }
        Err(error) => {
            task.failed("not made");
            Err(error)
        }
    }
}

/// The image's root tree, unpacked, for containers to share: nothing in it is changed. Unpacked where that was not
/// done yet, by one caller at a time.
///
/// # Errors
/// When the image has none, or it cannot be unpacked.
pub async fn tree(cx: &Cx, base: &BaseImage) -> anyhow::Result<PathBuf> {
    let folder = base.disk.parent().context("the image has no folder")?.to_owned();
    let (tree, archive) = (folder.join(TREE), folder.join(ROOT));
    if tree.is_dir() {
        return Ok(tree);
    }
    let task = cx.progress.task("image");
    let deadline = Deadline::after(IMAGE_BUILD_TIMEOUT);
    let store = folder.parent().context("the image is in no store")?;
    let lock = Arc::new(store::lock(cx, store, &base.key, deadline, &task).await?);
    if !tree.is_dir() {
        task.step("unpacking its root tree, which containers share");
        let unfinished = folder.join(format!(".new-{TREE}"));
        files::remove(&unfinished)?;
        files::private_folder(&folder)?;
        files::make_folder(&unfinished)?;
        invocation("tar")
            .args(["--extract", "--preserve-permissions", "--numeric-owner"])
            .args(["--xattrs", "--xattrs-include=security.capability", "--file"])
            .arg(&archive)
            .arg("--directory")
            .arg(&unfinished)
            .isolated()
            .holding(&lock)
            .read(&cx.cancel, deadline)
            .await
            .context("cannot unpack the image's root tree")?;
        std::fs::rename(&unfinished, &tree)
            .with_context(|| format!("cannot put `{}` into its place", tree.display()))?;
    }
    task.done("its root tree is unpacked");
    Ok(tree)
}

/// Every whole image of a store, by key.
///
/// # Errors
/// When the store cannot be read.
pub fn list(store: &Path) -> anyhow::Result<Vec<Manifest>> {
    store::list(store)
}

/// Compares the files of one image with the digests taken when it was made. Returns what differs, in words;
/// empty is good.
///
/// # Errors
/// When there is no such image, or it cannot be read.
pub fn verify(store: &Path, key: &str) -> anyhow::Result<Vec<String>> {
    let manifest = store::find(store, key)?
        .with_context(|| format!("there is no image `{key}` in `{}`", store.display()))?;
    store::verify(store, &manifest, true)
}

/// Removes every image but those named, and what interrupted builds left. An image that is being made is
/// let be. Returns the names of the folders removed.
///
/// # Errors
/// When something cannot be removed.
pub fn gc(store: &Path, keep: &[String]) -> anyhow::Result<Vec<String>> {
    store::gc(store, keep)
}

/// Removes an image; returns whether no command held it.
///
/// # Errors
/// When it cannot be removed.
pub fn remove(store: &Path, key: &str) -> anyhow::Result<bool> {
    store::remove(store, key)
}

/// The folders in which a killed command left an image half made.
///
/// # Errors
/// When the store cannot be read.
pub fn abandoned(store: &Path) -> anyhow::Result<Vec<PathBuf>> {
    store::abandoned(store)
}

/// An image that is given out is as it was made.
async fn unchanged(cx: &Cx, store: PathBuf, manifest: Manifest) -> anyhow::Result<BaseImage> {
    let folder = store.join(&manifest.key);
    let (image, differences) = cx
        .blocking(move || Ok((base_image(&store, &manifest), store::verify(&store, &manifest, false)?)))
        .await?;
    if differences.is_empty() {
        return Ok(image);
    }
    let message = format!("the image `{}` is not as it was made: {}", image.key, differences.join(", "));
    let hint = format!(
        "destroy the labs that use it, then rm -r '{}': the next command makes it again",
        folder.display()
    );
    Err(Failure::new(FailureKind::Host, message).hint(hint).into())
}

fn base_image(store: &Path, manifest: &Manifest) -> BaseImage {
    let folder = store.join(&manifest.key);
    BaseImage {
        key: manifest.key.clone(),
        disk: folder.join(DISK),
        virtual_size: manifest.virtual_size,
        boot: match &manifest.command_line {
            Some(command_line) => Boot::Direct {
                kernel: folder.join(KERNEL),
                initrd: folder.join(INITRD),
                command_line: command_line.clone(),
            },
            None => Boot::Disk,
        },
    }
}
