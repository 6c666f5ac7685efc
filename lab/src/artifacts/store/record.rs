//! Records: which blob is the file of an address, which blobs are the image of a reference.
//!
//! `files/<SHA-256 of the URL>.json` and `images/<SHA-256 of the reference>.json` are of what its maker published;
//! an own build of the same thing has a record beside it, `<SHA-256>.own-build.json`. So fetching and building never write the
//! same file, and the exact thing is used where both are there.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context as _;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::files::{self, PUBLIC};

use super::{Blob, Digest, Store, Writer};

/// Where an artefact comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The address that Kubespray knows.
    Upstream,
    /// A mirror that the cluster file names.
    Mirror,
    /// An exported bundle.
    Bundle,
    /// It was built here: the same thing, other bytes.
    OwnBuild,
}

impl Source {
    /// As people read it.
    pub fn words(self) -> &'static str {
        match self {
            Self::Upstream => "upstream",
            Self::Mirror => "mirror",
            Self::Bundle => "bundle",
            Self::OwnBuild => "own build",
        }
    }
}

/// The version in the record of a stand-in, a program of our own in place of upstream's.
pub const STAND_IN_VERSION: &str = "own stand-in";

/// What really went into an own build. Its record's version is the one that was had.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// The version of Go, `go1.26.8`; `None` if it was not compiled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compiler: Option<String>,
    /// The Go module, `go.etcd.io/etcd/server/v3@v3.5.33`; `None` for what stands on none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// Packages of Debian with their versions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub packages: BTreeMap<String, String>,
}

/// A file that machines download.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Kubespray's name for it, `kubeadm`.
    pub name: String,
    /// Its version as its maker writes it, `1.34.3`; `None` where it has none.
    pub version: Option<String>,
    /// Where machines think it is, as the lock names it.
    pub url: String,
    /// Its bytes.
    #[serde(flatten)]
    pub blob: Blob,
    /// Where it comes from.
    pub source: Source,
    /// The key of an own build: the digest of everything that it was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build_key: Option<String>,
    /// What really went into an own build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<Made>,
}

/// A container image for one architecture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRecord {
    /// Kubespray's name for it, `pod_infra`.
    pub name: String,
    /// Its version, `3.10.1`; `None` where it has none.
    pub version: Option<String>,
    /// What machines ask for, as the lock names it: `registry.k8s.io/pause:3.10.1`.
    pub reference: String,
    /// Its manifest.
    pub manifest: Digest,
    /// `application/vnd.oci.image.manifest.v1+json` or Docker's name for the like.
    pub media_type: String,
    /// The list of manifests for several architectures that the reference leads to; its other manifests are not here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<Digest>,
    /// All that it consists of, each once: the list where there is one, the manifest, the configuration, the layers.
    pub blobs: Vec<Blob>,
    /// Where it comes from.
    pub source: Source,
    /// The key of an own build: the digest of everything that it was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build_key: Option<String>,
    /// What really went into an own build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<Made>,
}

impl ImageRecord {
    /// How many bytes all of it are.
    pub fn size(&self) -> u64 {
        self.blobs.iter().map(|blob| blob.size).sum()
    }
}

/// The records of one thing. Either may be of blobs that are missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Both<R> {
    /// Of what its maker published.
    pub exact: Option<R>,
    /// Of an own build of it.
    pub own_build: Option<R>,
}

/// What both kinds of records have.
pub(in crate::artifacts) trait Record: Serialize + DeserializeOwned {
    /// What it is found by.
    fn key(&self) -> &str;
    fn source(&self) -> Source;
    fn blobs(&self) -> Vec<Blob>;
    /// Its folder.
    fn folder(store: &Store) -> PathBuf;
}

impl Record for FileRecord {
    fn key(&self) -> &str {
        &self.url
    }

    fn source(&self) -> Source {
        self.source
    }

    fn blobs(&self) -> Vec<Blob> {
        vec![self.blob.clone()]
    }

    fn folder(store: &Store) -> PathBuf {
        store.files.file_records()
    }
}

impl Record for ImageRecord {
    fn key(&self) -> &str {
        &self.reference
    }

    fn source(&self) -> Source {
        self.source
    }

    fn blobs(&self) -> Vec<Blob> {
        self.blobs.clone()
    }

    fn folder(store: &Store) -> PathBuf {
        store.files.image_records()
    }
}

impl<R> Both<R> {
    /// The one to use: the exact one where `usable` says so, else the own build where it does.
    pub fn best(self, usable: impl Fn(&R) -> bool) -> Option<R> {
        [self.exact, self.own_build].into_iter().flatten().find(usable)
    }
}

fn place<R: Record>(store: &Store, key: &str, own_build: bool) -> PathBuf {
    let suffix = if own_build { ".own-build.json" } else { ".json" };
    R::folder(store).join(format!("{}{suffix}", Digest::of(key.as_bytes())))
}

impl Store {
    /// The records of the file at an address.
    ///
    /// # Errors
    /// When a record is there and the system cannot read it.
    pub fn find_file(&self, url: &str) -> anyhow::Result<Both<FileRecord>> {
        self.find(url)
    }

    /// The records of the image with a reference.
    ///
    /// # Errors
    /// When a record is there and the system cannot read it.
    pub fn find_image(&self, reference: &str) -> anyhow::Result<Both<ImageRecord>> {
        self.find(reference)
    }

    /// Whether everything that a file consists of is there, by size.
    pub fn has_file(&self, record: &FileRecord) -> bool {
        self.has_whole(&record.blob)
    }

    /// Whether everything that an image consists of is there, by size.
    pub fn has_image(&self, record: &ImageRecord) -> bool {
        record.blobs.iter().all(|blob| self.has_whole(blob))
    }

    /// The file to give to machines: the exact one where it is there, else an own build.
    ///
    /// # Errors
    /// As [`Store::find_file`].
    pub fn file(&self, url: &str) -> anyhow::Result<Option<FileRecord>> {
        Ok(self.find_file(url)?.best(|record| self.has_file(record)))
    }

    /// The image to give to machines: the exact one where it is there, else an own build.
    ///
    /// # Errors
    /// As [`Store::find_image`].
    pub fn image(&self, reference: &str) -> anyhow::Result<Option<ImageRecord>> {
        Ok(self.find_image(reference)?.best(|record| self.has_image(record)))
    }

    fn find<R: Record>(&self, key: &str) -> anyhow::Result<Both<R>> {
        let one = |own_build| files::read_own(&place::<R>(self, key, own_build));
        Ok(Both { exact: one(false)?, own_build: one(true)? })
    }

    /// All records of a kind with their places, sorted by place. What cannot be read has no record.
    pub(in crate::artifacts) fn records<R: Record>(&self) -> anyhow::Result<Vec<(PathBuf, Option<R>)>> {
        let folder = R::folder(self);
        let entries = match std::fs::read_dir(&folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.with_context(|| format!("cannot read `{}`", folder.display()))?,
        };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        paths.sort();
        paths.into_iter().map(|path| Ok((path.clone(), files::read_own(&path)?))).collect()
    }
}

impl Writer {
    /// Records a file. Its bytes are in the store already.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn record_file(&self, record: &FileRecord) -> anyhow::Result<()> {
        self.record(record)
    }

    /// Records an image. All its blobs are in the store already.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn record_image(&self, record: &ImageRecord) -> anyhow::Result<()> {
        self.record(record)
    }

    /// Removes the record of a file; its bytes stay until unused ones are removed.
    ///
    /// # Errors
    /// With the path and the system's reason.
    pub fn forget_file(&self, url: &str, own_build: bool) -> anyhow::Result<()> {
        files::remove(&place::<FileRecord>(self, url, own_build))
    }

    /// Removes the record of an image; its blobs stay until unused ones are removed.
    ///
    /// # Errors
    /// With the path and the system's reason.
    pub fn forget_image(&self, reference: &str, own_build: bool) -> anyhow::Result<()> {
        files::remove(&place::<ImageRecord>(self, reference, own_build))
    }

    pub(in crate::artifacts) fn record<R: Record>(&self, record: &R) -> anyhow::Result<()> {
        let path = place::<R>(self, record.key(), record.source() == Source::OwnBuild);
        let text = serde_json::to_string_pretty(record)? + "\n";
        files::write_if_changed(&path, text.as_bytes(), PUBLIC)?;
        Ok(())
    }
}
