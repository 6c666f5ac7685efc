//! Where files lie in the cache: the store of artefacts, and the checkouts of Kubespray.

use std::path::{Path, PathBuf};

/// The store of artefacts, in the cache.
#[derive(Debug, Clone)]
pub struct ArtifactFiles {
    /// `artifacts` of the cache.
    pub folder: PathBuf,
}

impl ArtifactFiles {
    paths! {
        /// Every file, manifest, configuration and layer, named by its digest.
        blobs: "blobs/sha256";
        /// The records of files.
        file_records: "files";
        /// The records of images.
        image_records: "images";
        /// Partial files.
        unfinished: "unfinished";
        /// Where own builds are made: folders of builds that go on, their locks and logs.
        builds: "builds";
        /// What each cluster needs, one file a cluster, as its lock said when it was used last.
        needs: "needs";
        /// Blobs that turned out to have other bytes than their names say.
        corrupt: "corrupt";
        /// Stamps of the blobs whose bytes were digested, one file a blob.
        stamps: "stamps";
        /// Shared by all that fill the store, held exclusively to remove unused artefacts.
        lock: ".lock";
    }
}

/// The pinned checkouts of Kubespray, in the cache.
#[derive(Debug, Clone)]
pub struct KubesprayFiles {
    /// `kubespray` of the cache.
    pub folder: PathBuf,
    pub(super) link: PathBuf,
}

impl KubesprayFiles {
    /// One folder for each commit that was fetched.
    pub fn checkouts(&self) -> PathBuf {
        self.folder.join("checkouts")
    }

    /// The checkout of a commit. It is whole when it is there: it is made beside and renamed.
    pub fn checkout(&self, commit: &str) -> PathBuf {
        self.checkouts().join(commit)
    }

    /// Where the checkout of a commit is made.
    pub fn unfinished(&self, commit: &str) -> PathBuf {
        self.checkouts().join(format!(".new-{commit}"))
    }

    /// Held by commands that make or remove the checkout of a commit, shared by those that use it.
    pub fn lock(&self, commit: &str) -> PathBuf {
        self.checkouts().join(format!(".{commit}.lock"))
    }

    /// `build/3rd-party/kubespray/kubespray-src`: a link to the checkout that was fetched last, for people and their tools.
    pub fn link(&self) -> &Path {
        &self.link
    }
}
