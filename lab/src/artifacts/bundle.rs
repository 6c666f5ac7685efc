//! `artifacts export` and `import`: everything that a lock needs in one file, for a site that nothing else reaches.
//!
//! A bundle is a tar archive: `bundle.json` first, which holds the lock and the records, then every blob as
//! `blobs/sha256/<hex>`, sorted. The same store and lock give the same bytes. An import believes none of it: a
//! name that is not announced is refused, and every blob is digested while it is read.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufWriter, Read, Write as _};
use std::path::Path;

use anyhow::Context as _;
use lab_core::artifacts::lock::Lock;
use serde::{Deserialize, Serialize};

use crate::cx::Cx;
use crate::failure::{Failure, FailureKind};

use super::list::shown;
use super::lock;
use super::look::{self, State};
use super::store::{Blob, Digest, FileRecord, ImageRecord, Source, Store};

const CONTENTS: &str = "bundle.json";
const BLOBS: &str = "blobs/sha256/";
/// Changes when an older program could not read a newer bundle.
const FORMAT: u32 = 1;
/// The longest list of contents that is read.
const LONGEST: u64 = 64 << 20;

/// What a bundle says about itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Contents {
    format: u32,
    /// What it was exported for.
    lock: Lock,
    files: Vec<FileRecord>,
    images: Vec<ImageRecord>,
}

impl Contents {
    fn blobs(&self) -> BTreeMap<&Digest, u64> {
        let files = self.files.iter().map(|record| &record.blob);
        let all = files.chain(self.images.iter().flat_map(|record| &record.blobs));
        all.map(|blob| (&blob.sha256, blob.size)).collect()
    }
}

/// The written or read artefacts, as `--json` prints them.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Moved {
    /// How many files machines download.
    pub files: usize,
    /// How many images machines pull.
    pub images: usize,
    /// How many blobs.
    pub blobs: usize,
    /// How many bytes of them.
    pub bytes: u64,
    /// The missing artefacts: only in a bundle that may be incomplete.
    pub lacking: Vec<String>,
}

/// Writes everything that a lock needs.
///
/// # Errors
/// When something is missing, unless `incomplete` allows that; or the file cannot be written.
pub async fn export(
    cx: &Cx,
    store: &Store,
    lock: &Lock,
    path: &Path,
    incomplete: bool,
) -> anyhow::Result<Moved> {
    let mut contents = Contents { format: FORMAT, lock: lock.clone(), files: vec![], images: vec![] };
    let mut lacking = Vec::new();
    for item in lock::items(lock)? {
        let held = look::held(store, &item)?;
        if held.state != State::Present {
            lacking.push(item.name);
            continue;
        }
        let is_used = |blobs: &[Blob]| *blobs == held.blobs;
        let files = store.find_file(&item.address)?;
        let images = store.find_image(&item.address)?;
        if let Some(image) = images.best(|record| is_used(&record.blobs)) {
            contents.images.push(image);
        } else if let Some(file) = files.best(|record| is_used(std::slice::from_ref(&record.blob))) {
            contents.files.push(file);
        } else if let Some(blob) = held.blobs.first().cloned() {
            // The bytes are right, and no record names their source.
            let source = Source::Bundle;
            let (name, version, url) = (item.name, item.version, item.address);
            contents.files.push(FileRecord { name, version, url, blob, source, build_key: None, made: None });
        }
    }
    if !lacking.is_empty() && !incomplete {
        let message = format!("{} artefacts are not in the store: {}", lacking.len(), lacking.join(", "));
        let hint = "fetch or build them first, or export what there is with --incomplete";
        return Err(Failure::new(FailureKind::Checks, message).hint(hint).into());
    }
    let task = cx.progress.task("artifacts");
    let moved = Moved {
        files: contents.files.len(),
        images: contents.images.len(),
        blobs: contents.blobs().len(),
        bytes: contents.blobs().values().sum(),
        lacking,
    };
    task.step(&format!("writing {} blobs, {}", moved.blobs, shown(moved.bytes)));
    let (store, path) = (store.clone(), path.to_owned());
    let cancel = cx.cancel.clone();
    cx.blocking(move || write(&store, &contents, &path, &cancel)).await?;
    task.done(&format!("{} files and {} images, {}", moved.files, moved.images, shown(moved.bytes)));
    Ok(moved)
}

fn write(
    store: &Store,
    contents: &Contents,
    path: &Path,
    cancel: &tokio_util::sync::CancellationToken,
) -> anyhow::Result<()> {
    // Nothing that is used may go while it is copied.
    let writer = store.writer()?;
    let unwritten = || Failure::new(FailureKind::Host, format!("cannot write `{}`", path.display()));
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut beside = tempfile::NamedTempFile::new_in(folder).with_context(unwritten)?;
    {
        let mut archive = tar::Builder::new(BufWriter::with_capacity(1 << 18, beside.as_file_mut()));
        let text = serde_json::to_vec_pretty(contents)?;
        let size = text.len() as u64;
        archive.append(&header(CONTENTS, size)?, &text[..]).with_context(unwritten)?;
        for (digest, size) in contents.blobs() {
            if cancel.is_cancelled() {
                return Err(crate::wait::WaitError::Cancelled { what: "exporting".to_owned() }.into());
            }
            let blob = File::open(writer.path(digest))
                .with_context(|| format!("cannot read `{}`", writer.path(digest).display()))?;
            let mut checked = Checked { inner: blob, hasher: super::store::Hasher::new() };
            archive
                .append(&header(&format!("{BLOBS}{digest}"), size)?, (&mut checked).take(size))
                .with_context(unwritten)?;
            let found = checked.hasher.finish();
            if found != *digest {
                let message = format!("the blob {digest} has other bytes than its name says");
                let hint = "`cargo xtask artifacts verify` sets it aside, then fetch or build it again";
                return Err(Failure::new(FailureKind::Checks, message).hint(hint).into());
            }
        }
        archive.into_inner().and_then(|mut file| file.flush()).with_context(unwritten)?;
    }
    beside.as_file().sync_data().with_context(unwritten)?;
    // It stays for its owner alone, as the temporary file was from its first byte.
    beside.persist(path).map_err(|error| error.error).with_context(unwritten)?;
    Ok(())
}

fn header(name: &str, size: u64) -> anyhow::Result<tar::Header> {
    let mut header = tar::Header::new_gnu();
    header.set_path(name)?;
    header.set_size(size);
    header.set_mode(0o444);
    header.set_mtime(0);
    header.set_entry_type(tar::EntryType::Regular);
    header.set_cksum();
    Ok(header)
}

/// Takes a digest of the bytes read.
struct Checked<R> {
    inner: R,
    hasher: super::store::Hasher,
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}

/// Counts the bytes read.
struct Counted<R> {
    inner: R,
    count: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.count += count as u64;
        Ok(count)
    }
}

/// Reads a bundle into the store. Each file and image is recorded when all of it has come.
///
/// # Errors
/// When the file is no bundle, or not whole, or not what it says. What came before that is kept.
pub async fn import(cx: &Cx, store: &Store, path: &Path) -> anyhow::Result<Moved> {
    let task = cx.progress.task("artifacts");
    task.step("reading the bundle");
    let (store, path) = (store.clone(), path.to_owned());
    let cancel = cx.cancel.clone();
    let moved = cx.blocking(move || read(&store, &path, &cancel)).await?;
    task.done(&format!("{} files and {} images, {}", moved.files, moved.images, shown(moved.bytes)));
    Ok(moved)
}

fn read(store: &Store, path: &Path, cancel: &tokio_util::sync::CancellationToken) -> anyhow::Result<Moved> {
    let bundle = path.display();
    let wrong =
        |why: &str| Failure::new(FailureKind::Checks, format!("`{bundle}` is no whole bundle: {why}"));
    let file = File::open(path)
        .with_context(|| Failure::new(FailureKind::Usage, format!("cannot read `{bundle}`")))?;
    let mut archive = tar::Archive::new(std::io::BufReader::with_capacity(1 << 18, file));
    let mut entries = archive.entries().with_context(|| wrong("it is no tar archive"))?;
    let first = entries.next().with_context(|| wrong("it is empty"))?;
    // The reason would quote arbitrary bytes of the file.
    let mut first = first.map_err(|_| wrong("it is no tar archive"))?;
    if first.path_bytes().as_ref() != CONTENTS.as_bytes() || first.size() > LONGEST {
        return Err(wrong("it does not begin with its contents").into());
    }
    let mut text = Vec::new();
    first.read_to_end(&mut text).with_context(|| wrong("it ends too early"))?;
    let contents: Contents =
        serde_json::from_slice(&text).with_context(|| wrong("its contents cannot be read"))?;
    if contents.format != FORMAT {
        let why = format!("its format is {}, this program reads {FORMAT}", contents.format);
        return Err(wrong(&why).into());
    }
    let writer = store.writer()?;
    let announced = contents.blobs();
    let mut moved = Moved::default();
    let mut come: BTreeSet<Digest> = BTreeSet::new();
    let mut recorded =
        Recorded { files: vec![false; contents.files.len()], images: vec![false; contents.images.len()] };
    let result = (|| -> anyhow::Result<()> {
        for entry in entries {
            if cancel.is_cancelled() {
                return Err(crate::wait::WaitError::Cancelled { what: "importing".to_owned() }.into());
            }
            let mut entry = entry.with_context(|| wrong("it ends too early"))?;
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let digest =
                name.strip_prefix(BLOBS).and_then(|hex| Digest::parse(hex).filter(|one| one.hex() == hex));
            let digest = digest.filter(|_| entry.header().entry_type().is_file());
            let Some(digest) = digest.filter(|digest| announced.get(digest) == Some(&entry.size())) else {
                return Err(wrong(&format!(
                    "it holds `{}`, which it does not announce",
                    name.escape_default()
                ))
                .into());
            };
            let blob = Blob { sha256: digest.clone(), size: entry.size() };
            if !writer.has_whole(&blob) {
                let mut counted = Counted { inner: &mut entry, count: 0 };
                let put = writer.put(&mut counted, Some(&digest));
                if counted.count < blob.size && put.is_err() {
                    return Err(wrong("it ends too early").into());
                }
                put.with_context(|| wrong("a blob of it cannot be taken in"))?;
                moved.bytes += blob.size;
                moved.blobs += 1;
            }
            come.insert(digest);
            recorded.record(&writer, &contents, &come, &mut moved)?;
        }
        Ok(())
    })();
    result?;
    if come.len() != announced.len() {
        let why = format!("{} of its {} blobs are not in it", announced.len() - come.len(), announced.len());
        return Err(wrong(&why).into());
    }
    Ok(moved)
}

/// Which records were written.
struct Recorded {
    files: Vec<bool>,
    images: Vec<bool>,
}

impl Recorded {
    fn record(
        &mut self,
        writer: &super::store::Writer,
        contents: &Contents,
        come: &BTreeSet<Digest>,
        moved: &mut Moved,
    ) -> anyhow::Result<()> {
        // An exact artefact stays exact, by way of a bundle.
        let source = |source| if source == Source::OwnBuild { source } else { Source::Bundle };
        for (record, done) in contents.files.iter().zip(&mut self.files) {
            if !*done && come.contains(&record.blob.sha256) {
                writer.record_file(&FileRecord { source: source(record.source), ..record.clone() })?;
                (*done, moved.files) = (true, moved.files + 1);
            }
        }
        for (record, done) in contents.images.iter().zip(&mut self.images) {
            if !*done && record.blobs.iter().all(|blob| come.contains(&blob.sha256)) {
                writer.record_image(&ImageRecord { source: source(record.source), ..record.clone() })?;
                (*done, moved.images) = (true, moved.images + 1);
            }
        }
        Ok(())
    }
}
