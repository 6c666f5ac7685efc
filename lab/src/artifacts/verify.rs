//! `artifacts verify`: reads every blob again. Sets aside those that do not match their digest, so that the next fetch or
//! build replaces them.

use std::collections::BTreeSet;
use std::fs::File;

use lab_core::artifacts::lock::Lock;
use serde::Serialize;

use crate::cx::Cx;
use crate::files;

use super::list::shown;
use super::lock;
use super::store::{Blob, Digest, FileRecord, ImageRecord, Store};

/// What verifying found, as `--json` prints it.
#[derive(Debug, Default, Serialize)]
pub struct Verified {
    /// How many blobs were read.
    pub blobs: usize,
    /// How many bytes they are.
    pub bytes: u64,
    /// The blobs set aside.
    pub corrupt: Vec<Corrupt>,
}

/// A blob that has other bytes than its name says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Corrupt {
    /// Its name.
    pub digest: Digest,
    /// The artefacts that contain it, as the records say.
    pub of: Vec<String>,
    /// What its bytes are.
    pub found: Digest,
}

/// Which blobs belong to what.
fn users(store: &Store) -> anyhow::Result<Vec<(String, String, Vec<Blob>)>> {
    let files = store.records::<FileRecord>()?.into_iter().filter_map(|(_, record)| record);
    let images = store.records::<ImageRecord>()?.into_iter().filter_map(|(_, record)| record);
    let files = files.map(|record| (record.url, record.name, vec![record.blob]));
    Ok(files.chain(images.map(|record| (record.reference, record.name, record.blobs))).collect())
}

/// Reads the blobs of a lock, or all that there are.
///
/// # Errors
/// When they cannot be read or moved.
pub async fn verify(cx: &Cx, store: &Store, lock: Option<&Lock>) -> anyhow::Result<Verified> {
    let users = users(store)?;
    let chosen: BTreeSet<Digest> = match lock {
        None => names(store)?.into_iter().collect(),
        Some(lock) => {
            let items = lock::items(lock)?;
            let of_lock = users.iter().filter(|(key, ..)| items.iter().any(|item| item.address == *key));
            let blobs = of_lock.flat_map(|(.., blobs)| blobs.iter().map(|blob| blob.sha256.clone()));
            blobs.chain(items.iter().filter_map(|item| item.digest.clone())).collect()
        }
    };
    let mut verified = Verified::default();
    let task = cx.progress.task("artifacts");
    for digest in chosen {
        let Some(size) = store.size(&digest) else { continue };
        if cx.cancel.is_cancelled() {
            return Err(crate::wait::WaitError::Cancelled { what: "verifying".to_owned() }.into());
        }
        task.show(&format!("{} blobs, {}", verified.blobs, shown(verified.bytes)));
        let path = store.path(&digest);
        let found = cx.blocking(move || Ok(Digest::of_reader(&mut File::open(&path)?)?)).await?;
        verified.blobs += 1;
        verified.bytes += size;
        if found != digest {
            store.writer()?.set_aside(&digest)?;
            let of = users.iter().filter(|(.., blobs)| blobs.iter().any(|blob| blob.sha256 == digest));
            let mut of: Vec<String> = of.map(|(_, name, _)| name.clone()).collect();
            of.sort();
            of.dedup();
            verified.corrupt.push(Corrupt { digest, of, found });
        }
    }
    task.done(&format!("{} blobs read, {}", verified.blobs, shown(verified.bytes)));
    Ok(verified)
}

/// Every blob that is there.
pub(super) fn names(store: &Store) -> anyhow::Result<Vec<Digest>> {
    let names = files::names(&store.files().blobs())?;
    Ok(names.iter().filter_map(|name| Digest::parse(name)).collect())
}
