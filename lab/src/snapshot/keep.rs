//! Keeping a cluster of containers right after its deploy, so that the next deploy from the same inputs restores it. Its machines
//! stand still for a moment while what they wrote is copied, and are not ended. Whether the cluster is well is for the caller to find
//! out before the copy becomes a snapshot.

use std::collections::BTreeMap;
use std::fs::File;
use std::time::SystemTime;

use anyhow::Context as _;
use lab_core::snapshot::SnapshotMachine;
use tokio::task::JoinHandle;

use crate::cx::Cx;
use crate::disks::layers::{self, Planned};
use crate::disks::snapshots;
use crate::host::freezer;
use crate::lab::{Lab, Reached};
use crate::machines::apply::kill_point;
use crate::machines::observe;

use super::KEPT;
use super::take::{Layers, Taken, digest_all, keep_files, make, on_all, planned, whole};

/// A copy of what the machines of a lab had written at one moment.
pub struct Copied {
    /// The name of the snapshot that it may become.
    pub name: String,
    layers: Layers,
    digests: JoinHandle<anyhow::Result<BTreeMap<String, SnapshotMachine>>>,
    inputs: String,
    /// Keeps other commands from removing layers that no snapshot stands on yet.
    _store: File,
}

/// Copies what the machines of a lab, which the caller holds, have written. All of them must be containers of an embedded
/// host. `inputs`: the digest of what their cluster was deployed from.
///
/// # Errors
/// When a machine is not whole, the machines cannot be stopped for the moment, or the disk is full.
pub async fn copy(cx: &Cx, lab: &Lab, reached: &Reached, inputs: &str) -> anyhow::Result<Copied> {
    let name = format!("{KEPT}{}", inputs.trim_start_matches("sha256:").get(..12).unwrap_or(inputs));
    snapshots::make_room(cx, &lab.spec.name, &name)?;
    let held = snapshots::hold(&cx.layout.snapshots())?;
    let state = lab.state()?.context("a lab that runs has a state")?;
    let observed = observe::observe(cx, lab, reached, &state.get()).await?;
    let whole = whole(lab, &observed)?;
    let planned = planned(cx, lab, &name, &whole);
    let layers = match copy_all(cx, lab, &planned).await {
        Ok(layers) => layers,
        Err(error) => {
            snapshots::sweep(cx)?;
            return Err(error);
        }
    };
    let digests = tokio::spawn(digest_all(cx.clone(), layers.clone(), whole));
    Ok(Copied { name, layers, digests, inputs: inputs.to_owned(), _store: held })
}

async fn copy_all(cx: &Cx, lab: &Lab, planned: &[Planned]) -> anyhow::Result<Layers> {
    let began = SystemTime::now();
    on_all(planned, |one| layers::begin_copy(cx.clone(), one)).await?;
    let host = lab.files.host();
    let _frozen = cx.blocking(move || freezer::freeze(&host)).await?;
    kill_point("keep/freeze", "after");
    on_all(planned, |one| layers::copy(cx.clone(), one, began)).await
}

impl Copied {
    /// Makes the copy a snapshot of a cluster that is well.
    ///
    /// # Errors
    /// When something of it cannot be read or written.
    pub async fn keep(self, cx: &Cx, lab: &Lab) -> anyhow::Result<()> {
        let files = keep_files(lab, &cx.layout.snapshots().kept(&lab.spec.name, &self.name))?;
        let machines = self.digests.await.context("the digests of the layers broke off")??;
        let (name, deploy) = (self.name.as_str(), Some(self.inputs.as_str()));
        make(cx, lab, Taken { name, deploy, well: true, machines, layers: self.layers, files }).map(drop)
    }

    /// Removes the copy.
    ///
    /// # Errors
    /// When something of it cannot be removed.
    pub async fn discard(self, cx: &Cx) -> anyhow::Result<()> {
        self.digests.abort();
        let _ = self.digests.await;
        snapshots::sweep(cx)
    }
}
