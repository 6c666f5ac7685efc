//! `artifacts gc`: finds artefacts that no known cluster needs, and the rest of interrupted commands.
//!
//! A cluster is known while its lab or its cluster file is there. It refuses to run while another command fills the store.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use lab_core::artifacts::lock::Lock;
use serde::Serialize;

use crate::cx::Cx;
use crate::failure::{Failure, FailureKind};
use crate::{cache, files};

use super::lock::{self, Remembered};
use super::store::record::Record;
use super::store::{Digest, FileRecord, ImageRecord, Store};
use super::verify;

/// What could go, or went, as `--json` prints it.
#[derive(Debug, Default, Serialize)]
pub struct Unused {
    /// Whether it went.
    pub removed: bool,
    /// The clusters whose needs are kept.
    pub kept_for: Vec<String>,
    /// Names of files and images that no known cluster needs.
    pub artifacts: Vec<String>,
    /// How many blobs, downloads that were begun and corrupt bytes.
    pub blobs: usize,
    /// How many bytes they are.
    pub bytes: u64,
}

/// Finds unused artefacts, and removes them on request.
///
/// # Errors
/// When another command fills the store, or a lock cannot be read: its artefacts must stay.
pub fn collect(cx: &Cx, store: &Store, remove: bool) -> anyhow::Result<Unused> {
    let Some(_alone) = store.alone()? else {
        return Err(Failure::new(FailureKind::Host, "another command is filling the store of artefacts")
            .hint("wait until it has ended")
            .into());
    };
    let mut unused = Unused { removed: remove, ..Unused::default() };
    let mut addresses: BTreeSet<String> = BTreeSet::new();
    let mut digests: BTreeSet<Digest> = BTreeSet::new();
    let mut gone: Vec<PathBuf> = Vec::new();
    for (cluster, lock) in locks(cx, store, &mut gone)? {
        for item in lock::items(&lock)? {
            addresses.insert(item.address);
            digests.extend(item.digest);
        }
        unused.kept_for.push(cluster);
    }
    unused.kept_for.sort();
    unused.kept_for.dedup();
    sort_records::<FileRecord>(store, &addresses, &mut digests, &mut unused, &mut gone, |one| &one.name)?;
    sort_records::<ImageRecord>(store, &addresses, &mut digests, &mut unused, &mut gone, |one| &one.name)?;
    // Records go before the blobs: one without blobs is reported as missing, blobs without one are found again.
    let blobs = verify::names(store)?.into_iter().filter(|digest| !digests.contains(digest));
    gone.extend(blobs.map(|digest| store.path(&digest)));
    for name in files::names(&store.files().stamps())? {
        let digest = name.strip_suffix(".stamp").and_then(Digest::parse);
        if digest.is_none_or(|digest| !digests.contains(&digest)) {
            gone.push(store.files().stamps().join(name));
        }
    }
    for folder in [store.files().unfinished(), store.files().corrupt()] {
        gone.extend(files::names(&folder)?.into_iter().map(|name| folder.join(name)));
    }
    for path in &gone {
        let held = path.metadata().map_or(0, |found| found.len());
        if path.extension().is_none() {
            unused.blobs += 1;
            unused.bytes += held;
        }
        if remove {
            files::remove(path)?;
        }
    }
    unused.artifacts.sort();
    unused.artifacts.dedup();
    Ok(unused)
}

fn sort_records<R: Record>(
    store: &Store,
    addresses: &BTreeSet<String>,
    digests: &mut BTreeSet<Digest>,
    unused: &mut Unused,
    gone: &mut Vec<PathBuf>,
    name: impl Fn(&R) -> &String,
) -> anyhow::Result<()> {
    for (path, record) in store.records::<R>()? {
        match record {
            Some(record) if addresses.contains(record.key()) => {
                digests.extend(record.blobs().into_iter().map(|blob| blob.sha256));
            }
            Some(record) => {
                unused.artifacts.push(name(&record).clone());
                gone.push(path);
            }
            None => gone.push(path),
        }
    }
    Ok(())
}

/// The names of all clusters whose needs are kept.
///
/// # Errors
/// When a lock cannot be read.
pub fn known_clusters(cx: &Cx, store: &Store) -> anyhow::Result<Vec<String>> {
    let mut names: Vec<String> =
        locks(cx, store, &mut Vec::new())?.into_iter().map(|(cluster, _)| cluster).collect();
    names.sort();
    names.dedup();
    Ok(names)
}

/// The locks of all known clusters. `gone` receives the remembered locks of unknown ones.
fn locks(cx: &Cx, store: &Store, gone: &mut Vec<PathBuf>) -> anyhow::Result<Vec<(String, Lock)>> {
    let mut locks = Vec::new();
    for layout in cache::checkouts(&cx.layout)? {
        for name in files::names(&layout.output())? {
            let path = layout.lab(&name).artifacts_lock();
            if path.is_file() {
                locks.push((name, lock::read(&path)?));
            }
        }
    }
    let folder = store.files().needs();
    for name in files::names_of_whole_files(&folder)? {
        let path = folder.join(&name);
        let remembered =
            files::read_own::<Remembered>(&path)?.filter(|remembered| is_known(&remembered.cluster_file));
        match remembered {
            Some(remembered) => locks.push((lock::cluster_of(&name).to_owned(), remembered.lock)),
            None => gone.push(path),
        }
    }
    Ok(locks)
}

fn is_known(cluster_file: &Path) -> bool {
    cluster_file.is_file()
}
