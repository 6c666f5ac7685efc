//! Trees of links to the store's blobs: one for the file server, one in the storage layout of the registry.
//!
//! A layout is made beside and renamed, and `current` is switched by one rename, so that a server sees the old one or the
//! new one. Blobs are named by links, not by second names of the same bytes: what the store sets aside is
//! not given out any more, and what it gets again is.

use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::Context as _;

use crate::artifacts::store::{Digest, ImageRecord, Store};
use crate::files::{make_folder, remove};
use crate::layout::ServedFiles;

use super::served::{Reference, ServedArtifacts};

/// The file server's root in a layout.
pub const FILES: &str = "files";
/// The registry's root in a layout.
pub const REGISTRY: &str = "registry";

/// Makes the layout of the served files the current one, and returns whether it changed.
///
/// # Errors
/// With the path and the system's reason.
pub fn lay(served: &ServedFiles, store: &Store, artifacts: &ServedArtifacts) -> anyhow::Result<bool> {
    let name = artifacts.digest().hex().to_owned();
    let place = served.trees().join(&name);
    let current = served.current();
    if place.is_dir() && std::fs::read_link(&current).is_ok_and(|target| target.ends_with(&name)) {
        return Ok(false);
    }
    if !place.is_dir() {
        let draft = served.trees().join(format!(".new-{name}"));
        remove(&draft)?;
        write(&draft, store, artifacts).with_context(|| format!("cannot make `{}`", draft.display()))?;
        std::fs::rename(&draft, &place).with_context(|| format!("cannot make `{}`", place.display()))?;
    }
    let link = current.with_extension("new");
    remove(&link)?;
    symlink(Path::new("trees").join(&name), &link)
        .and_then(|()| std::fs::rename(&link, &current))
        .with_context(|| format!("cannot make `{}`", current.display()))?;
    let others = std::fs::read_dir(served.trees())?.flatten().filter(|entry| *entry.file_name() != *name);
    for other in others {
        remove(&other.path())?;
    }
    Ok(true)
}

fn write(root: &Path, store: &Store, artifacts: &ServedArtifacts) -> anyhow::Result<()> {
    for folder in [FILES, REGISTRY] {
        make_folder(&root.join(folder))?;
    }
    for (path, digest) in &artifacts.files {
        link(&root.join(FILES).join(path), store, digest)?;
    }
    // The layout of the registry's storage: registry/storage/paths.go of its source.
    let registry = root.join(REGISTRY).join("docker/registry/v2");
    for (reference, record) in &artifacts.images {
        for blob in &record.blobs {
            let hex = blob.sha256.hex();
            link(&registry.join(format!("blobs/sha256/{}/{hex}/data", &hex[..2])), store, &blob.sha256)?;
        }
        image(&registry.join("repositories").join(reference.repository()), reference, record)?;
    }
    Ok(())
}

/// What names an image in its repository: a tag, its manifests, and every other blob as a layer.
fn image(repository: &Path, reference: &Reference, record: &ImageRecord) -> anyhow::Result<()> {
    let manifests: Vec<&Digest> = record.index.iter().chain([&record.manifest]).collect();
    let top = manifests[0];
    for blob in &record.blobs {
        let kind = if manifests.contains(&&blob.sha256) { "_manifests/revisions" } else { "_layers" };
        name(&repository.join(kind).join("sha256").join(blob.sha256.hex()), &blob.sha256)?;
    }
    let tag = repository.join("_manifests/tags").join(&reference.tag);
    name(&tag.join("current"), top)?;
    name(&tag.join("index/sha256").join(top.hex()), top)
}

/// The registry's own kind of link: a file that says a digest.
fn name(folder: &Path, digest: &Digest) -> anyhow::Result<()> {
    make_folder(folder)?;
    Ok(std::fs::write(folder.join("link"), digest.oci())?)
}

fn link(path: &Path, store: &Store, digest: &Digest) -> anyhow::Result<()> {
    let target = std::path::absolute(store.path(digest))?;
    if let Some(folder) = path.parent() {
        make_folder(folder)?;
    }
    match symlink(target, path) {
        // Two images share a layer, and a lock may name one file twice.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        linked => Ok(linked?),
    }
}
