//! Where the files of snapshots lie. Only paths: nothing here reads or writes.

use std::path::PathBuf;

/// Snapshots of labs, under `output/snapshots/`.
#[derive(Debug, Clone)]
pub struct SnapshotFiles {
    /// `output/snapshots`.
    pub folder: PathBuf,
}

impl SnapshotFiles {
    /// Held by the command that takes, restores or removes.
    pub fn lock(&self) -> PathBuf {
        self.folder.join(".lock")
    }

    /// All frozen layers.
    pub fn layers(&self) -> PathBuf {
        self.folder.join("layers")
    }

    /// One frozen layer: what one machine wrote between two snapshots.
    pub fn layer(&self, id: &str) -> LayerFiles {
        LayerFiles { folder: self.layers().join(id) }
    }

    /// The snapshots of all clusters.
    pub fn clusters(&self) -> PathBuf {
        self.folder.join("clusters")
    }

    /// The snapshots of one cluster.
    pub fn cluster(&self, cluster: &str) -> PathBuf {
        self.clusters().join(cluster)
    }

    /// The manifest of a snapshot: it is there when all else is.
    pub fn manifest(&self, cluster: &str, name: &str) -> PathBuf {
        self.cluster(cluster).join(name).join("manifest.json")
    }

    /// The lab's own files that are kept with it.
    pub fn kept(&self, cluster: &str, name: &str) -> PathBuf {
        self.cluster(cluster).join(name).join("files")
    }
}

/// A frozen layer, under `output/snapshots/layers/<id>/`. Nothing in it is changed any more.
#[derive(Debug, Clone)]
pub struct LayerFiles {
    /// `output/snapshots/layers/<id>`.
    pub folder: PathBuf,
}

impl LayerFiles {
    /// What it is a layer of.
    pub fn record(&self) -> PathBuf {
        self.folder.join("layer.json")
    }

    /// What a container wrote.
    pub fn upper(&self) -> PathBuf {
        self.folder.join("upper")
    }

    /// A container's folder that cannot lie on an overlay, whole.
    pub fn plain(&self) -> PathBuf {
        self.folder.join("containerd")
    }

    /// The disk of a virtual machine.
    pub fn disk(&self) -> PathBuf {
        self.folder.join("disk.qcow2")
    }
}
