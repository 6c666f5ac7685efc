//! Compares a lock with the store: source, size and problem of each artefact. Reads no byte of a blob.

use lab_core::artifacts::Kind;
use serde::Serialize;

use super::lock::Item;
use super::store::{Blob, Digest, FileRecord, ImageRecord, Source, Store};

/// How one thing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// All of it is there.
    Present,
    /// It is not there, or not all of it.
    Missing,
    /// Some of it had other bytes than its digest says, or has another size.
    Corrupt,
}

/// One thing and what the store has of it.
#[derive(Debug, Clone)]
pub struct Held {
    /// How it stands.
    pub state: State,
    /// Where it comes from; `None` if no record says so, or the artefact is missing.
    pub source: Option<Source>,
    /// The version that is there: an own build may be of another one.
    pub version: Option<String>,
    /// Of a file, or of the manifest of an image.
    pub digest: Option<Digest>,
    /// All of it.
    pub size: Option<u64>,
    /// What it consists of.
    pub blobs: Vec<Blob>,
}

impl Held {
    fn nothing(state: State, digest: Option<Digest>) -> Self {
        Self { state, source: None, version: None, digest, size: None, blobs: vec![] }
    }

    /// Whether it is there as its maker published it.
    pub fn is_exact(&self) -> bool {
        self.state == State::Present && self.source != Some(Source::OwnBuild)
    }
}

/// What the store has of one thing.
///
/// # Errors
/// When a record cannot be read.
pub fn held(store: &Store, item: &Item) -> anyhow::Result<Held> {
    match item.kind {
        Kind::File => file(store, item),
        Kind::Image => image(store, item),
    }
}

fn file(store: &Store, item: &Item) -> anyhow::Result<Held> {
    let both = store.find_file(&item.address)?;
    let exact =
        both.exact.filter(|record| item.digest.as_ref().is_none_or(|asked| *asked == record.blob.sha256));
    let of = |record: FileRecord| Held {
        state: State::Present,
        source: Some(record.source),
        version: record.version,
        digest: Some(record.blob.sha256.clone()),
        size: Some(record.blob.size),
        blobs: vec![record.blob],
    };
    if let Some(record) = exact.clone().filter(|record| store.has_file(record)) {
        return Ok(of(record));
    }
    // Bytes with the right digest are the right ones, wherever they came from.
    if exact.is_none()
        && let Some(digest) = &item.digest
        && let Some(size) = store.size(digest)
    {
        let blob = Blob { sha256: digest.clone(), size };
        return Ok(Held {
            state: State::Present,
            source: None,
            version: item.version.clone(),
            digest: Some(digest.clone()),
            size: Some(size),
            blobs: vec![blob],
        });
    }
    if let Some(record) = both.own_build.clone().filter(|record| store.has_file(record)) {
        return Ok(of(record));
    }
    let blobs = exact.into_iter().chain(both.own_build).map(|record| record.blob).collect::<Vec<_>>();
    let asked = item.digest.as_ref().is_some_and(|digest| store.was_corrupt(digest));
    let state = if asked { State::Corrupt } else { wrong(store, &blobs) };
    Ok(Held::nothing(state, item.digest.clone()))
}

fn image(store: &Store, item: &Item) -> anyhow::Result<Held> {
    let both = store.find_image(&item.address)?;
    let is_asked = |record: &ImageRecord| {
        let mut named = [Some(&record.manifest), record.index.as_ref()].into_iter().flatten();
        item.digest.as_ref().is_none_or(|asked| named.any(|digest| digest == asked))
    };
    let exact = both.exact.filter(is_asked);
    let records = || [exact.clone(), both.own_build.clone()].into_iter().flatten();
    if let Some(record) = records().find(|record| store.has_image(record)) {
        return Ok(Held {
            state: State::Present,
            source: Some(record.source),
            size: Some(record.size()),
            version: record.version,
            digest: Some(record.manifest),
            blobs: record.blobs,
        });
    }
    let blobs: Vec<Blob> = records().flat_map(|record| record.blobs).collect();
    Ok(Held::nothing(wrong(store, &blobs), item.digest.clone()))
}

/// Why records are of no use: something is missing, or something is there that cannot be right.
fn wrong(store: &Store, blobs: &[Blob]) -> State {
    let is_corrupt = |blob: &Blob| {
        store.was_corrupt(&blob.sha256) || store.size(&blob.sha256).is_some_and(|size| size != blob.size)
    };
    if blobs.iter().any(is_corrupt) { State::Corrupt } else { State::Missing }
}
