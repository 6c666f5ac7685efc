//! Where the files of snapshots lie. Only paths: nothing here reads or writes.

use std::path::PathBuf;

/// Snapshots of labs, under `output/snapshots/`.
#[derive(Debug, Clone)]
pub struct SnapshotFiles {
    /// `output/snapshots`.
    pub folder: PathBuf,
}

impl SnapshotFiles {
    paths! {
        /// Held by the command that takes, restores or removes.
        lock: ".lock";
        /// All frozen layers.
        layers: "layers";
        /// The snapshots of all clusters.
        clusters: "clusters";
    }

    /// One frozen layer: what one machine wrote between two snapshots.
    pub fn layer(&self, id: &str) -> LayerFiles {
        LayerFiles { folder: self.layers().join(id) }
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
    paths! {
        /// What it is a layer of.
        record: "layer.json";
        /// What a container wrote.
        upper: "upper";
        /// A container's folder that cannot lie on an overlay, whole.
        plain: "containerd";
        /// The disk of a virtual machine.
        disk: "disk.qcow2";
    }
}
