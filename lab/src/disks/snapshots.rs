//! The snapshots there are: found, listed, compared with their digests, removed; and the layers that nothing stands on.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;

use anyhow::Context as _;
use lab_core::snapshot::{Manifest, misfits};
use lab_core::source::suggest;
use lab_core::spec::{ClusterSpec, ImageSpec};
use serde::Serialize;

use crate::cx::Cx;
use crate::failure::{Failure, FailureKind};
use crate::layout::{LabFiles, LayerFiles, SnapshotFiles};
use crate::{files, image};

use super::layers::{self, LayerRecord};
use super::{digest, root};

/// A snapshot as `lab snapshots --json` shows it.
#[derive(Debug, Serialize)]
pub struct Shown {
    /// Its manifest.
    #[serde(flatten)]
    pub manifest: Manifest,
    /// Bytes of what its machines wrote since the snapshot before it.
    pub size: u64,
    /// Why it cannot be restored with the cluster file as it is.
    pub misfits: Vec<String>,
}

/// Takes the store of snapshots for a command that changes it.
///
/// # Errors
/// When another command has it.
pub fn hold(store: &SnapshotFiles) -> anyhow::Result<File> {
    files::private_folder(&store.folder)?;
    files::try_lock(&store.lock())?.ok_or_else(|| {
        Failure::new(FailureKind::Plan, "another command is taking, restoring or removing a snapshot")
            .hint("wait for it to end, or end it; a lock never outlives its command")
            .into()
    })
}

/// The manifests of a cluster's snapshots, the oldest first. One that an unknown version wrote is left out.
///
/// # Errors
/// When the folder cannot be read.
pub fn list(store: &SnapshotFiles, cluster: &str) -> anyhow::Result<Vec<Manifest>> {
    let mut manifests = Vec::new();
    for name in files::names(&store.cluster(cluster))? {
        manifests.extend(files::read_own::<Manifest>(&store.manifest(cluster, &name))?);
    }
    manifests.sort_by(|a: &Manifest, b| a.at.cmp(&b.at));
    Ok(manifests)
}

/// The snapshot of this name.
///
/// # Errors
/// With the names that there are.
pub fn find(store: &SnapshotFiles, cluster: &str, name: &str) -> anyhow::Result<Manifest> {
    let all = list(store, cluster)?;
    if let Some(found) = all.iter().find(|manifest| manifest.name == name) {
        return Ok(found.clone());
    }
    let names: Vec<&str> = all.iter().map(|manifest| manifest.name.as_str()).collect();
    let hint = match names.as_slice() {
        [] => format!("`cargo xtask lab snapshot {cluster}` takes one"),
        names => suggest::one_of("snapshots", name, names),
    };
    let message = format!("the cluster `{cluster}` has no snapshot `{name}`");
    Err(Failure::new(FailureKind::Usage, message).hint(hint).into())
}

/// The snapshot that was kept right after a deploy from these inputs, if it can be restored.
///
/// # Errors
/// When the store cannot be read.
pub fn kept_of_deploy(cx: &Cx, spec: &ClusterSpec, inputs: &str) -> anyhow::Result<Option<Manifest>> {
    let images = images(spec)?;
    let fits = |manifest: &Manifest| {
        manifest.deploy.as_deref() == Some(inputs) && misfits(manifest, spec, &images).is_empty()
    };
    Ok(list(&cx.layout.snapshots(), &spec.name)?.into_iter().rev().find(fits))
}

/// The keys of the images that a spec names.
///
/// # Errors
/// When an image cannot be named.
pub fn images(spec: &ClusterSpec) -> anyhow::Result<BTreeMap<ImageSpec, String>> {
    let key = |image: &ImageSpec| image::key(image).map(|key| (image.clone(), key));
    spec.machines.iter().map(|machine| key(&machine.image)).collect()
}

/// The key of the image below a frozen disk, from the path of the disk. None for a disk that is no frozen layer.
pub fn image_of(disk: &Path) -> Option<String> {
    let place = LayerFiles { folder: disk.parent()?.to_owned() };
    files::read_own::<LayerRecord>(&place.record()).ok().flatten().map(|record| record.image)
}

/// The snapshots of a cluster, as `lab snapshots` shows them.
///
/// # Errors
/// When the store cannot be read.
pub fn table(cx: &Cx, spec: &ClusterSpec) -> anyhow::Result<Vec<Shown>> {
    let store = cx.layout.snapshots();
    let images = images(spec)?;
    let shown = |manifest: Manifest| {
        let newest = manifest.machines.values().filter_map(|machine| machine.layers.first());
        let records =
            newest.filter_map(|id| files::read_own::<LayerRecord>(&store.layer(id).record()).ok()?);
        let size = records.map(|record| record.size).sum();
        Shown { misfits: misfits(&manifest, spec, &images), size, manifest }
    };
    Ok(list(&store, &spec.name)?.into_iter().map(shown).collect())
}

/// Compares a snapshot with its digests. Gives what differs, in words; nothing is good.
///
/// # Errors
/// When something of it cannot be read.
pub fn verify(store: &SnapshotFiles, manifest: &Manifest) -> anyhow::Result<Vec<String>> {
    let mut problems = Vec::new();
    for (name, machine) in &manifest.machines {
        for (at, id) in machine.layers.iter().enumerate() {
            let place = store.layer(id);
            let Some(record) = files::read_own::<LayerRecord>(&place.record())? else {
                problems.push(format!("a layer of `{name}` is missing: {id}"));
                continue;
            };
            let wanted = if at == 0 { &machine.digest } else { &record.digest };
            if layers::content(&place)?.digest != *wanted {
                problems.push(format!("a layer of `{name}` has changed: {id}"));
            }
        }
    }
    let kept = store.kept(&manifest.cluster, &manifest.name);
    for (path, wanted) in &manifest.files {
        if digest::of(&kept.join(path)).map(|content| content.digest).ok().as_ref() != Some(wanted) {
            problems.push(format!("`{path}` has changed"));
        }
    }
    Ok(problems)
}

/// Removes a snapshot, and the layers that nothing stands on any more. The store must be held.
///
/// # Errors
/// When something cannot be removed.
pub fn remove(cx: &Cx, manifest: &Manifest) -> anyhow::Result<()> {
    let store = cx.layout.snapshots();
    // The manifest goes first: without it the leftovers of an interruption are no snapshot.
    let place = store.manifest(&manifest.cluster, &manifest.name);
    files::remove(&place)?;
    files::remove(place.parent().context("a manifest has a folder")?)?;
    sweep(cx)
}

/// Makes room for a snapshot that is kept by itself: of those, each cluster has the newest alone beside the new one.
///
/// # Errors
/// When something cannot be removed.
pub fn make_room(cx: &Cx, cluster: &str, new: &str) -> anyhow::Result<()> {
    let store = cx.layout.snapshots();
    let _held = hold(&store)?;
    let mut kept = list(&store, cluster)?;
    kept.retain(|manifest| manifest.deploy.is_some());
    let same = kept.iter().position(|manifest| manifest.name == new).map(|at| kept.remove(at));
    kept.pop();
    for manifest in same.into_iter().chain(kept) {
        cx.progress.note(&format!("the snapshot `{}` is removed: newer ones take its place", manifest.name));
        remove(cx, &manifest)?;
    }
    Ok(())
}

/// Removes the layers that neither a snapshot nor a lab stands on. The store must be held.
///
/// # Errors
/// When a lab's own record cannot be read: then nothing is removed.
pub fn sweep(cx: &Cx) -> anyhow::Result<()> {
    let store = cx.layout.snapshots();
    let mut needed = BTreeSet::new();
    for cluster in files::names(&store.clusters())? {
        for manifest in list(&store, &cluster)? {
            needed.extend(manifest.machines.into_values().flat_map(|machine| machine.layers));
        }
        // Goes only where it is empty.
        let _ = std::fs::remove_dir(store.cluster(&cluster));
    }
    for lab in files::names(&cx.layout.output())? {
        let lab = LabFiles { folder: cx.layout.output().join(lab) };
        for machine in files::names(&lab.roots())? {
            needed.extend(
                root::record(&lab.root(&machine))?.iter().flat_map(|record| record.needed().cloned()),
            );
        }
        for machine in files::names(&lab.machines())? {
            needed.extend(layers::of_disk(&lab, &machine)?);
        }
    }
    for id in files::names(&store.layers())? {
        if !needed.contains(&id) {
            files::remove(&store.layer(&id).folder)?;
        }
    }
    Ok(())
}
