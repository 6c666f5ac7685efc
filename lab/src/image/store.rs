//! The store's folders: a claim while an image is made, a rename when it is whole, a lock between builders.
//!
//! `<store>/<key>/` is an image, `<store>/.new-<key>/` one that is being made or was given up,
//! `<store>/.<key>.lock` is held by its builder, `<store>/cache/` holds downloads and
//! `<store>/log/` the output of the builders.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use lab_core::units::Bytes;
use sha2::Sha256;

use crate::cx::Cx;
use crate::progress::Task;
use crate::timeouts::IMAGE_LOCK_INTERVAL;
use crate::wait::{self, Deadline, Probe};
use crate::{files, orphans, stamp};

use super::{FileRecord, Manifest};

const MANIFEST: &str = "manifest.json";
const UNFINISHED: &str = ".new-";
const LOCK: &str = ".lock";

/// The right to make one image. Dropping it gives the right up; an unfinished folder stays for the next
/// builder to clear.
pub(super) struct Claim {
    store: PathBuf,
    key: String,
    lock: Arc<File>,
}

impl Claim {
    /// The folder to make the image in.
    pub(super) fn folder(&self) -> PathBuf {
        self.store.join(format!("{UNFINISHED}{}", self.key))
    }

    /// A folder whose contents are kept from build to build, made where absent.
    pub(super) fn cache(&self, name: &str) -> anyhow::Result<PathBuf> {
        let cache = self.store.join("cache").join(name);
        files::make_folder(&cache)?;
        Ok(cache)
    }

    /// The log of this image's builder, emptied.
    pub(super) fn log(&self) -> anyhow::Result<PathBuf> {
        let log = self.store.join("log").join(format!("{}.log", self.key));
        files::write_atomic(&log, b"", files::PUBLIC)?;
        Ok(log)
    }

    /// The lock of the image, for the programs that make it: it lasts until they have ended too.
    pub(super) fn lock(&self) -> &Arc<File> {
        &self.lock
    }

    /// The image's key.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// Records every file of the folder in the manifest, makes all of it durable, and gives it its name.
    pub(super) fn publish(self, manifest: &mut Manifest) -> anyhow::Result<()> {
        let folder = self.folder();
        manifest.files = record(&folder)?;
        let text = serde_json::to_vec_pretty(manifest)?;
        files::write_atomic(&folder.join(MANIFEST), &text, files::PUBLIC)?;
        for name in manifest.files.keys() {
            sync(&folder.join(name))?;
        }
        sync(&folder)?;
        let target = self.store.join(&self.key);
        // A folder without a manifest is no image: the rest of one that was being removed.
        files::remove(&target)?;
        std::fs::rename(&folder, &target)
            .with_context(|| format!("cannot rename `{}` to `{}`", folder.display(), target.display()))?;
        for (name, file) in &manifest.files {
            stamp::write(&stamp_path(&self.store, &self.key, name), &target.join(name), &file.sha256);
        }
        sync(&self.store)
    }
}

fn sync(path: &Path) -> anyhow::Result<()> {
    File::open(path)
        .and_then(|file| file.sync_all())
        .with_context(|| format!("cannot write out `{}`", path.display()))
}

/// Waits for the right to make the image `key`, and clears what an interrupted builder left of it.
pub(super) async fn claim(cx: &Cx, key: &str, deadline: Deadline, task: &Task) -> anyhow::Result<Claim> {
    let store = cx.layout.images();
    let lock = lock(cx, &store, key, deadline, task).await?;
    let claim = Claim { store, key: key.to_owned(), lock: Arc::new(lock) };
    let folder = claim.folder();
    let orphans = cx.blocking(move || orphans::end(&folder)).await?;
    if !orphans.is_empty() {
        cx.progress
            .note(&format!("a killed command left {orphans} in the store of images: ended and detached"));
    }
    files::remove(&claim.folder())?;
    files::private_folder(&claim.folder())?;
    Ok(claim)
}

/// Waits until no other process makes the image `key`, or a part of it.
pub(super) async fn lock(
    cx: &Cx,
    store: &Path,
    key: &str,
    deadline: Deadline,
    task: &Task,
) -> anyhow::Result<File> {
    let path = store.join(format!(".{key}{LOCK}"));
    let mut announced = false;
    let what = format!("another process that makes the image `{key}`");
    let lock = wait::until(&cx.cancel, &what, deadline, IMAGE_LOCK_INTERVAL, || {
        std::future::ready(match files::try_lock(&path) {
            Ok(Some(lock)) => Probe::Ready(lock),
            Ok(None) => {
                if !std::mem::replace(&mut announced, true) {
                    task.step("waiting for another process that makes the same image");
                }
                Probe::NotYet("it is still at it".to_owned())
            }
            Err(error) => Probe::Fatal(error),
        })
    });
    Ok(lock.await?)
}

/// The manifest of a whole image; `None` where there is none.
pub(super) fn find(store: &Path, key: &str) -> anyhow::Result<Option<Manifest>> {
    let path = store.join(key).join(MANIFEST);
    let Some(text) = files::read_if_present(&path)? else { return Ok(None) };
    let manifest = serde_json::from_str(&text).with_context(|| {
        format!("`{}` is not a manifest\nhint: rm -r '{}'", path.display(), store.join(key).display())
    })?;
    Ok(Some(manifest))
}

pub(super) fn list(store: &Path) -> anyhow::Result<Vec<Manifest>> {
    let mut manifests = Vec::new();
    for name in files::names(store)?.iter().filter(|name| !name.starts_with('.')) {
        manifests.extend(find(store, name)?);
    }
    Ok(manifests)
}

/// The differences from the manifest, in words. `again`: every byte is read, and not only those of changed files.
pub(super) fn verify(store: &Path, manifest: &Manifest, again: bool) -> anyhow::Result<Vec<String>> {
    let folder = store.join(&manifest.key);
    let mut differences = Vec::new();
    for (name, file) in &manifest.files {
        let path = folder.join(name);
        match path.metadata() {
            Err(_) => differences.push(format!("`{name}` is missing")),
            Ok(metadata) if metadata.len() != file.size.0 => {
                differences.push(format!("`{name}` has {} bytes, not {}", metadata.len(), file.size.0));
            }
            Ok(_) => {
                let stamp = stamp_path(store, &manifest.key, name);
                let read = || digest::<Sha256>(&path);
                let same = match again {
                    true => read()? == file.sha256,
                    false => stamp::has_digest(&stamp, &path, &file.sha256, read)?,
                };
                if !same {
                    differences.push(format!("`{name}` has other contents than when it was made"));
                }
            }
        }
    }
    Ok(differences)
}

/// The folders of images that are being made or were given up, of which no command holds the lock.
pub(super) fn abandoned(store: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for name in files::names(store)? {
        if let Some(key) = name.strip_prefix(UNFINISHED)
            && files::try_lock(&store.join(format!(".{key}{LOCK}")))?.is_some()
        {
            folders.push(store.join(&name));
        }
    }
    Ok(folders)
}

pub(super) fn gc(store: &Path, keep: &[String]) -> anyhow::Result<Vec<String>> {
    let mut removed = Vec::new();
    for name in files::names(store)? {
        let key = name.strip_prefix(UNFINISHED).unwrap_or(&name);
        let image = store.join(&name).join(MANIFEST).is_file() && !name.starts_with('.');
        if !(image && !keep.contains(&name) || name.starts_with(UNFINISHED)) {
            continue;
        }
        if remove(store, key)? {
            removed.push(name);
        }
    }
    Ok(removed)
}

fn stamp_path(store: &Path, key: &str, name: &str) -> PathBuf {
    store.join(format!(".{key}.{name}.stamp"))
}

fn is_stamp_of(name: &str, key: &str) -> bool {
    name.strip_prefix('.')
        .and_then(|name| name.strip_prefix(key))
        .is_some_and(|rest| rest.ends_with(".stamp"))
}

/// Removes what there is of an image, whole or not; returns whether no command held it.
pub(super) fn remove(store: &Path, key: &str) -> anyhow::Result<bool> {
    let Some(_lock) = files::try_lock(&store.join(format!(".{key}{LOCK}")))? else { return Ok(false) };
    for name in files::names(store)?.iter().filter(|name| is_stamp_of(name, key)) {
        files::remove(&store.join(name))?;
    }
    for folder in [store.join(key), store.join(format!("{UNFINISHED}{key}"))] {
        orphans::end(&folder)?;
        // The manifest goes first: without it the leftovers of an interruption are no image.
        files::remove(&folder.join(MANIFEST))?;
        files::remove(&folder)?;
    }
    Ok(true)
}

fn record(folder: &Path) -> anyhow::Result<BTreeMap<String, FileRecord>> {
    files::names(folder)?
        .into_iter()
        .map(|name| {
            let path = folder.join(&name);
            let size = path.metadata().with_context(|| format!("cannot read `{}`", path.display()))?.len();
            Ok((name, FileRecord { size: Bytes(size), sha256: digest::<Sha256>(&path)? }))
        })
        .collect()
}

/// The digest of a file's contents, lower-case hexadecimal.
pub(super) fn digest<D: sha2::Digest>(path: &Path) -> anyhow::Result<String> {
    let context = || format!("cannot read `{}`", path.display());
    let mut file = File::open(path).with_context(context)?;
    let mut digest = D::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).with_context(context)? {
            0 => return Ok(hexadecimal(&digest.finalize())),
            count => digest.update(&buffer[..count]),
        }
    }
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
