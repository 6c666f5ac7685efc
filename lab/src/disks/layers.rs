//! Frozen layers of machines: made out of what a machine wrote, and laid out for a machine to go on from.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use lab_core::spec::MachineKind;
use serde::{Deserialize, Serialize};

use crate::cx::Cx;
use crate::files::{self, PUBLIC};
use crate::layout::{LabFiles, LayerFiles, RootFiles, SnapshotFiles};
use crate::process::invocation;
use crate::timeouts::{FILE_TIME_MARGIN, LAYER_TIMEOUT};
use crate::wait::Deadline;

use super::{digest, disk_name, root};

/// A container's own folder for temporary files, and its permission bits.
const TEMPORARY: &str = "tmp";
const TEMPORARY_MODE: u32 = 0o1777;
/// What the container runtime never changes once it is there: blobs, which it names by their digests. Two machines can have
/// these files as one (containerd's docs/ops.md: "Base configuration", root).
const BLOBS: &str = "io.containerd.content.v1.content/blobs";
/// Where it keeps unpacked layers of images, which it never changes either, and beside them what containers write. Those
/// alone have been the top of an overlay, for which the kernel makes this folder (`ovl_workdir_create`).
const UNPACKED: &str = "io.containerd.snapshotter.v1.overlayfs/snapshots";
const OF_OVERLAY: &str = "work/work";

/// The record of a layer. Its digest and size come when it is whole.
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

/// A layer that is about to be made of what a machine wrote.
#[derive(Clone)]
pub struct Planned {
    /// The lab's files.
    pub files: LabFiles,
    /// Where layers lie.
    pub store: SnapshotFiles,
    /// The machine.
    pub machine: String,
    /// Its kind.
    pub kind: MachineKind,
    /// Key of the image that it stands on.
    pub image: String,
    /// The id of the layer.
    pub layer: String,
}

impl Planned {
    /// Makes the layer's place.
    fn make_place(&self) -> anyhow::Result<LayerFiles> {
        let place = self.store.layer(&self.layer);
        files::private_folder(&place.folder)?;
        // The machine above the layer is asked for its image, though the layer has no digest yet.
        let content = digest::Content { digest: String::new(), size: 0 };
        write(&place, &self.machine, &self.image, content)?;
        Ok(place)
    }
}

/// Makes a frozen layer of what a stopped machine wrote; the machine goes on above it. Gives all that it stands on then,
/// the newest first.
///
/// # Errors
/// When the disk is full or something cannot be written. The machine has what it had.
pub async fn freeze(cx: Cx, planned: Planned) -> anyhow::Result<Vec<String>> {
    let place = planned.make_place()?;
    let Planned { files, store, machine, kind, layer, .. } = planned;
    let (cx, machine) = (&cx, machine.as_str());
    match kind {
        MachineKind::Container => {
            let own = files.root(machine);
            same_files(cx, &own.plain(), &place.plain()).await?;
            cx.blocking(move || Ok(root::freeze(&own, &store, &layer)?.layers)).await
        }
        MachineKind::Vm => {
            let layers: Vec<String> = [layer].into_iter().chain(of_disk(&files, machine)?).collect();
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

/// Begins a layer that equals what a container has written: most of it is copied while the container runs.
///
/// # Errors
/// When the layer has no place. What cannot be copied now is left to [`copy`].
pub async fn begin_copy(cx: Cx, planned: Planned) -> anyhow::Result<()> {
    let place = planned.make_place()?;
    let _ = copy_upper(&cx, &planned.files.root(&planned.machine), &place).await;
    Ok(())
}

/// Ends the layer of a container that stands still meanwhile; it goes on above what it has. `began`: before [`begin_copy`].
/// Gives all that a restored one stands on, the newest first.
///
/// # Errors
/// When the disk is full or something cannot be written.
pub async fn copy(cx: Cx, planned: Planned, began: SystemTime) -> anyhow::Result<Vec<String>> {
    let Planned { files, store, machine, layer, .. } = planned;
    let (own, place) = (files.root(&machine), store.layer(&layer));
    let record = root::record(&own)?.with_context(|| format!("`{machine}` has no root"))?;
    let (from, to) = (own.upper(), place.upper());
    cx.blocking(move || {
        // systemd-journald writes through memory, which changes no times.
        files::remove(&to.join("var/log/journal"))?;
        remove_changed(&from, &to, began - FILE_TIME_MARGIN)
    })
    .await?;
    copy_upper(&cx, &own, &place).await?;
    same_files(&cx, &own.plain(), &place.plain()).await?;
    Ok([layer].into_iter().chain(record.layers).collect())
}

/// Copies what a container wrote, but for files that were copied already, and for what lies in its `/tmp`: Kubespray keeps
/// there what it has downloaded and installed.
async fn copy_upper(cx: &Cx, own: &RootFiles, place: &LayerFiles) -> anyhow::Result<()> {
    let (from, to) = (own.upper(), place.upper());
    files::folder_with_mode(&to, root::MACHINE_FOLDER)?;
    files::folder_with_mode(&to.join(TEMPORARY), TEMPORARY_MODE)?;
    let names = files::names(&from)?.into_iter().filter(|name| name != TEMPORARY);
    invocation("cp")
        .args(["--archive", "--update", "--target-directory"])
        .arg(to)
        .args(names.map(|name| from.join(name)))
        .read(&cx.cancel, Deadline::after(LAYER_TIMEOUT))
        .await
        .context("cannot copy what the machine wrote")?;
    Ok(())
}

/// Removes files from a copy that have changed since, or are gone. Folders stay where there still is one.
fn remove_changed(from: &Path, to: &Path, since: SystemTime) -> anyhow::Result<()> {
    let entries = std::fs::read_dir(to).with_context(|| format!("cannot read `{}`", to.display()))?;
    for entry in entries {
        let copy = entry?.path();
        let original = from.join(copy.file_name().context("an entry has a name")?);
        let is_folder = copy.symlink_metadata()?.is_dir();
        match original.symlink_metadata() {
            Ok(now) if is_folder && now.is_dir() => remove_changed(&original, &copy, since)?,
            // Every change of a file's content, owner or permissions sets this time.
            Ok(now) if !is_folder && !now.is_dir() && changed(&now) < Some(since) => {}
            Ok(_) | Err(_) => files::remove(&copy)?,
        }
    }
    Ok(())
}

/// When the contents or the metadata of a file changed last.
fn changed(metadata: &Metadata) -> Option<SystemTime> {
    let seconds = Duration::from_secs(u64::try_from(metadata.ctime()).ok()?);
    let beside = Duration::from_nanos(u64::try_from(metadata.ctime_nsec()).ok()?);
    SystemTime::UNIX_EPOCH.checked_add(seconds + beside)
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
        .read(&cx.cancel, Deadline::after(LAYER_TIMEOUT))
        .await?;
    Ok(())
}

/// Makes a folder of the container runtime another one's equal: hard links for files that are never changed, copies for
/// all others.
async fn same_files(cx: &Cx, from: &Path, to: &Path) -> anyhow::Result<()> {
    files::remove(to)?;
    invocation("cp")
        .args(["--archive", "--link", "--no-target-directory"])
        .arg(from)
        .arg(to)
        .read(&cx.cancel, Deadline::after(LAYER_TIMEOUT))
        .await
        .context("cannot keep the files of the container runtime")?;
    let to = to.to_owned();
    cx.blocking(move || {
        let shared = shared(&to)?;
        own_copies(&to, &shared)
    })
    .await
}

/// The folders of the container runtime whose files two machines can have as one.
fn shared(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let unpacked = folder.join(UNPACKED);
    let names = files::names(&unpacked)?.into_iter().map(|name| unpacked.join(name));
    Ok(names.filter(|one| !one.join(OF_OVERLAY).exists()).chain([folder.join(BLOBS)]).collect())
}

/// Gives every file below a folder that has several names a content of its own, but for what may be shared.
fn own_copies(folder: &Path, shared: &[PathBuf]) -> anyhow::Result<()> {
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
    fn mutable_runtime_files_are_copied_and_immutable_ones_shared() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        let (blob, unpacked) = (format!("{BLOBS}/sha256/abc"), format!("{UNPACKED}/1/fs/bin/program"));
        let (written, database) =
            (format!("{UNPACKED}/2/fs/log"), "io.containerd.metadata.v1.bolt/meta.db".to_owned());
        let names = [blob, unpacked, written, database];
        for name in &names {
            std::fs::create_dir_all(one.join(name).parent().unwrap()).unwrap();
            std::fs::write(one.join(name), "x").unwrap();
            std::fs::create_dir_all(two.join(name).parent().unwrap()).unwrap();
            std::fs::hard_link(one.join(name), two.join(name)).unwrap();
        }
        // The first was unpacked, the second is what a container writes.
        std::fs::create_dir_all(two.join(format!("{UNPACKED}/1/work"))).unwrap();
        std::fs::create_dir_all(two.join(format!("{UNPACKED}/2")).join(OF_OVERLAY)).unwrap();
        own_copies(&two, &shared(&two).unwrap()).unwrap();
        let number = |path: PathBuf| path.metadata().unwrap().ino();
        let is_shared = |name: &String| number(one.join(name)) == number(two.join(name));
        assert_eq!(names.each_ref().map(is_shared), [true, true, false, false]);
        assert_eq!(std::fs::read(two.join(&names[3])).unwrap(), b"x");
    }

    #[test]
    fn files_changed_after_the_copy_are_removed_from_it() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        for (root, names) in [
            (&from, ["same", "etc/changed", "now-a-folder/file", "etc/new"].as_slice()),
            (&to, ["same", "etc/changed", "now-a-folder", "gone", "gone-folder/file"].as_slice()),
        ] {
            for name in names {
                std::fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
                std::fs::write(root.join(name), name).unwrap();
            }
        }
        let since = changed(&from.join("same").metadata().unwrap()).unwrap() + Duration::from_nanos(1);
        // Until the kernel's clock has moved on, a change cannot be seen.
        while changed(&from.join("etc/changed").metadata().unwrap()).unwrap() < since {
            std::fs::write(from.join("etc/changed"), "other").unwrap();
        }
        remove_changed(&from, &to, since).unwrap();
        assert_eq!(files::names(&to).unwrap(), ["etc", "same"]);
        assert_eq!(files::names(&to.join("etc")).unwrap(), Vec::<String>::new());
    }
}
