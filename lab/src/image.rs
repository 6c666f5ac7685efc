//! Base images: what a machine's root disk is cloned from.

use std::path::{Path, PathBuf};

use lab_core::spec::ImageSpec;
use lab_core::units::Bytes;

use crate::cx::Cx;

/// A base image in the store.
#[derive(Debug, Clone)]
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
#[derive(Debug, Clone)]
pub enum Boot {
    /// QEMU loads the kernel.
    Direct {
        /// The kernel.
        kernel: PathBuf,
        /// The initial file system, without any machine's identity.
        initrd: PathBuf,
        /// What the kernel is told.
        command_line: String,
    },
    /// The firmware starts the disk's own boot loader; identity comes from a NoCloud seed.
    Disk,
}

/// The key of an image, without making it.
///
/// # Errors
/// When the image cannot be named.
pub fn key(_spec: &ImageSpec) -> anyhow::Result<String> {
    anyhow::bail!("base images cannot be made yet")
}

/// Finds an image in the store, or makes it. `folder` is the one that relative paths start from.
///
/// # Errors
/// When it cannot be made.
pub async fn ensure(_cx: &Cx, _spec: &ImageSpec, _folder: &Path) -> anyhow::Result<BaseImage> {
    anyhow::bail!("base images cannot be made yet")
}
