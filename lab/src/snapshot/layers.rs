//! Frozen layers of machines: made out of what a machine wrote, and laid out for a machine to go on from.

use std::os::unix::fs::MetadataExt as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use lab_core::spec::MachineKind;
use serde::{Deserialize, Serialize};

use crate::cx::Cx;
use crate::files::{self, PUBLIC};
use crate::layout::{LabFiles, LayerFiles, SnapshotFiles};
use crate::life::container::root;
use crate::life::observe::disk_name;
use crate::process::invocation;
use crate::wait::Deadline;

use super::digest;

/// How long the disk may take for what has no large part to copy.
const FILES: Duration = Duration::from_secs(300);
/// What the container runtime never changes once it is there: blobs, which it names by their digests, and unpacked layers
/// of images. What containers wrote lies beside those, and a container that ended is never started again. Two machines
/// can have these files as one (containerd's docs/ops.md: "Base configuration", root).
const SHARED: [&str; 2] =
    ["io.containerd.content.v1.content/blobs", "io.containerd.snapshotter.v1.overlayfs/snapshots"];

/// What is known of a layer. Its digest and size come when it is whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerRecord {
    /// The machine that wrote it.
    pub machine: String,
    /// Key of the image that is below all layers.
    pub image: String,
    /// Its digest.
    pub digest: String,
    /// Bytes of its files. Some of them it shares with other layers.
    pub size: u64,
}

/// The layers that the disk of a virtual machine stands on, the newest first. After a kill it may name one that
/// was never made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskLayers {
    /// Their ids.
    pub layers: Vec<String>,
}

/// The layers that the disk of a virtual machine stands on.
///
/// # Errors
/// When the record cannot be read.
pub fn of_disk(files: &LabFiles, machine: &str) -> anyhow::Result<Vec<String>> {
    let record: Option<DiskLayers> = files::read_own(&files.machine(machine).layers())?;
    Ok(record.unwrap_or_default().layers)
}

/// A machine of a lab that is about to be frozen.
pub struct Freezing<'a> {
    /// Its lab's files.
    pub files: &'a LabFiles,
    /// Where layers lie.
    pub store: &'a SnapshotFiles,
    /// Its name.
    pub machine: &'a str,
    /// Its kind.
    pub kind: MachineKind,
    /// Key of the image that it stands on.
    pub image: &'a str,
    /// The id of the layer to be made.
    pub layer: &'a str,
}

/// Makes a frozen layer of what a stopped machine wrote; the machine goes on above it. Gives all that it stands on then,
/// the newest first.
///
/// # Errors
/// When the disk is full or something cannot be written. The machine has what it had.
pub async fn freeze(cx: &Cx, freezing: &Freezing<'_>) -> anyhow::Result<Vec<String>> {
    let Freezing { files, store, machine, kind, image, layer } = freezing;
    let place = store.layer(layer);
    // Whoever finds the machine above the layer asks it for the image, though it is not digested yet.
    files::private_folder(&place.folder)?;
    write(&place, machine, image, digest::Content { digest: String::new(), size: 0 })?;
    match kind {
        MachineKind::Container => {
            let own = files.root(machine);
            same_files(cx, &own.plain(), &place.plain()).await?;
            let (own, store, layer) = (own.clone(), (*store).clone(), (*layer).to_owned());
            cx.blocking(move || Ok(root::freeze(&own, &store, &layer)?.layers)).await
        }
        MachineKind::Vm => {
            let layers: Vec<String> =
                [(*layer).to_owned()].into_iter().chain(of_disk(files, machine)?).collect();
            let record = serde_json::to_vec_pretty(&DiskLayers { layers: layers.clone() })?;
            let disk = files.disks().join(disk_name(machine));
            files::write_atomic(&files.machine(machine).layers(), &record, PUBLIC)?;
            // The disk has two names until the new one takes its place: at no moment is it gone.
            std::fs::hard_link(&disk, place.disk())
                .with_context(|| format!("cannot keep `{}`", disk.display()))?;
            let next = disk.with_extension("next");
            files::remove(&next)?;
            disk_above(cx, &place, &next).await?;
            std::fs::rename(&next, &disk).with_context(|| format!("cannot make `{}`", disk.display()))?;
            Ok(layers)
        }
    }
}

/// Lays out a machine's disk above frozen layers.
///
/// # Errors
/// When the disk is full or something cannot be written.
pub async fn lay(
    cx: &Cx,
    files: &LabFiles,
    machine: &str,
    kind: MachineKind,
    image: &str,
    layers: &[String],
) -> anyhow::Result<()> {
    let store = cx.layout.snapshots();
    let newest = store.layer(layers.first().context("the snapshot has no layer of the machine")?);
    match kind {
        MachineKind::Container => {
            let own = files.root(machine);
            files::private_folder(&own.folder)?;
            same_files(cx, &newest.plain(), &own.plain()).await?;
            root::finish(&own, image, layers.to_vec())
        }
        MachineKind::Vm => {
            let record = serde_json::to_vec_pretty(&DiskLayers { layers: layers.to_vec() })?;
            files::write_atomic(&files.machine(machine).layers(), &record, PUBLIC)?;
            files::private_folder(&files.disks())?;
            disk_above(cx, &newest, &files.disks().join(disk_name(machine))).await
        }
    }
}

async fn disk_above(cx: &Cx, below: &LayerFiles, disk: &Path) -> anyhow::Result<()> {
    invocation("qemu-img")
        .args(["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b"])
        .arg(below.disk())
        .arg(disk)
        .read(&cx.cancel, Deadline::after(FILES))
        .await?;
    Ok(())
}

/// Makes a folder of the container runtime another one's equal: what is never changed is one file with two names, all else
/// is copied.
async fn same_files(cx: &Cx, from: &Path, to: &Path) -> anyhow::Result<()> {
    files::remove(to)?;
    invocation("cp")
        .args(["--archive", "--link", "--no-target-directory"])
        .arg(from)
        .arg(to)
        .read(&cx.cancel, Deadline::after(FILES))
        .await
        .context("cannot keep the files of the container runtime")?;
    let to = to.to_owned();
    cx.blocking(move || {
        let shared: Vec<_> = SHARED.iter().map(|folder| to.join(folder)).collect();
        own_copies(&to, &shared)
    })
    .await
}

/// Gives every file below a folder that has several names a content of its own, but for what may be shared.
fn own_copies(folder: &Path, shared: &[std::path::PathBuf]) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| format!("cannot read `{}`", folder.display()))? {
        let path = entry?.path();
        let metadata = path.symlink_metadata()?;
        if metadata.is_dir() && !shared.contains(&path) {
            own_copies(&path, shared)?;
        } else if metadata.is_file() && metadata.nlink() > 1 {
            let mut copy = path.clone().into_os_string();
            copy.push(".copy");
            std::fs::copy(&path, &copy).with_context(|| format!("cannot copy `{}`", path.display()))?;
            chown(&copy, Some(metadata.uid()), Some(metadata.gid()))?;
            std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(metadata.mode()))?;
            std::fs::rename(&copy, &path)?;
        }
    }
    Ok(())
}

/// Digests the newest layer of a machine, and those below it that a command was killed before it had digested. Gives the
/// record of the newest.
///
/// # Errors
/// When something of them cannot be read.
pub fn record_all(stack: &[LayerFiles], machine: &str, image: &str) -> anyhow::Result<LayerRecord> {
    let (newest, below) = stack.split_first().context("a machine has a layer")?;
    for place in below.iter().filter(|place| place.folder.is_dir()) {
        let known: Option<LayerRecord> = files::read_own(&place.record())?;
        if known.is_none_or(|record| record.digest.is_empty()) {
            write(place, machine, image, content(place)?)?;
        }
    }
    write(newest, machine, image, content(newest)?)
}

fn write(
    place: &LayerFiles,
    machine: &str,
    image: &str,
    content: digest::Content,
) -> anyhow::Result<LayerRecord> {
    let record = LayerRecord {
        machine: machine.to_owned(),
        image: image.to_owned(),
        digest: content.digest,
        size: content.size,
    };
    files::write_atomic(&place.record(), &serde_json::to_vec_pretty(&record)?, PUBLIC)?;
    Ok(record)
}

/// The content of a layer: its disk, or its two folders.
///
/// # Errors
/// When something of it cannot be read.
pub fn content(place: &LayerFiles) -> anyhow::Result<digest::Content> {
    if place.disk().exists() {
        return digest::of(&place.disk());
    }
    let (upper, plain) = (digest::of(&place.upper())?, digest::of(&place.plain())?);
    let digest = format!("{} {}", upper.digest, plain.digest);
    Ok(digest::Content { digest, size: upper.size + plain.size })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_runtime_changes_is_copied_and_what_it_never_changes_is_shared() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        let names =
            [format!("{}/sha256/abc", SHARED[0]), "io.containerd.metadata.v1.bolt/meta.db".to_owned()];
        for name in &names {
            std::fs::create_dir_all(one.join(name).parent().unwrap()).unwrap();
            std::fs::write(one.join(name), "x").unwrap();
            std::fs::create_dir_all(two.join(name).parent().unwrap()).unwrap();
            std::fs::hard_link(one.join(name), two.join(name)).unwrap();
        }
        let shared: Vec<_> = SHARED.iter().map(|folder| two.join(folder)).collect();
        own_copies(&two, &shared).unwrap();
        let number = |path: std::path::PathBuf| path.metadata().unwrap().ino();
        assert_eq!(number(one.join(&names[0])), number(two.join(&names[0])));
        assert_ne!(number(one.join(&names[1])), number(two.join(&names[1])));
        assert_eq!(std::fs::read(two.join(&names[1])).unwrap(), b"x");
    }
}
