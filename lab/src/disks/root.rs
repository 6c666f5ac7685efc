//! The root of a container as files: the layer that it writes, the frozen layers below it, and the record that says
//! which. Mounts nothing.

use anyhow::Context as _;
use lab_core::plan::ObservedDisk;
use lab_core::units::Bytes;
use serde::{Deserialize, Serialize};

use crate::files::{self, PUBLIC};
use crate::layout::{LabFiles, RootFiles, SnapshotFiles};

/// Permission bits of the machine's own folders: its `/`, which every user in it enters, and the mounts in it.
pub const MACHINE_FOLDER: u32 = 0o755;

/// The record of a root: written last when it is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootRecord {
    /// Key of the image that it is an overlay on.
    pub image: String,
    /// Frozen layers between the image and what the machine writes, the newest first.
    #[serde(default)]
    pub layers: Vec<String>,
    /// The layer that what the machine wrote is becoming.
    #[serde(default)]
    freezing: Option<String>,
}

/// Makes the root of a machine. What an interrupted call left is removed first.
///
/// # Errors
/// When a folder cannot be made.
pub fn make(files: &LabFiles, machine: &str, image: &str) -> anyhow::Result<()> {
    let root = files.root(machine);
    if root.record().exists() {
        return Ok(());
    }
    files::remove(&root.folder)?;
    files::private_folder(&root.folder)?;
    files::folder_with_mode(&root.plain(), MACHINE_FOLDER)?;
    finish(&root, image, vec![])
}

/// Makes what a root is beside what `make` or a restore has put there, and its record.
///
/// # Errors
/// When something cannot be written.
pub fn finish(root: &RootFiles, image: &str, layers: Vec<String>) -> anyhow::Result<()> {
    empty_top(root)?;
    files::make_folder(&root.mounted())?;
    write(root, &RootRecord { image: image.to_owned(), layers, freezing: None })
}

/// What the machine writes from now on, and the kernel's own folder beside it.
fn empty_top(root: &RootFiles) -> anyhow::Result<()> {
    files::remove(&root.work())?;
    files::make_folder(&root.work())?;
    files::folder_with_mode(&root.upper(), MACHINE_FOLDER)
}

fn write(root: &RootFiles, record: &RootRecord) -> anyhow::Result<()> {
    files::write_atomic(&root.record(), &serde_json::to_vec_pretty(record)?, PUBLIC)
}

/// The record of a root; none where it is not whole.
///
/// # Errors
/// When it is there and cannot be read.
pub fn record(root: &RootFiles) -> anyhow::Result<Option<RootRecord>> {
    files::read_own(&root.record())
}

/// Every root there is, by machine.
pub fn all(files: &LabFiles) -> Vec<(String, ObservedDisk)> {
    let entries = std::fs::read_dir(files.roots()).into_iter().flatten().flatten();
    entries
        .map(|entry| {
            let machine = entry.file_name().to_string_lossy().into_owned();
            let record = record(&files.root(&machine)).ok().flatten();
            (machine, ObservedDisk { size: Bytes(0), image: record.map(|record| record.image) })
        })
        .collect()
}

/// Makes what the machine wrote a frozen layer, and gives it an empty one to go on with. The root must not be mounted.
/// A call that is killed in the middle is ended by [`settled`].
///
/// # Errors
/// When something cannot be renamed or written.
pub fn freeze(root: &RootFiles, store: &SnapshotFiles, layer: &str) -> anyhow::Result<RootRecord> {
    let mut record = settled(root, store)?;
    record.freezing = Some(layer.to_owned());
    write(root, &record)?;
    let to = store.layer(layer).upper();
    std::fs::rename(root.upper(), &to).with_context(|| format!("cannot make `{}`", to.display()))?;
    settled(root, store)
}

/// The record of a root, after an interrupted freeze of it was finished or undone.
///
/// # Errors
/// When there is no root, or something cannot be written.
pub fn settled(root: &RootFiles, store: &SnapshotFiles) -> anyhow::Result<RootRecord> {
    let mut record =
        record(root)?.with_context(|| format!("`{}` is not the root of a machine", root.folder.display()))?;
    if let Some(layer) = record.freezing.take() {
        if store.layer(&layer).upper().is_dir() {
            record.layers.insert(0, layer);
            empty_top(root)?;
        }
        write(root, &record)?;
    }
    Ok(record)
}

impl RootRecord {
    /// Every layer that must not be removed while this root is there.
    pub fn needed(&self) -> impl Iterator<Item = &String> {
        self.layers.iter().chain(&self.freezing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Place {
        _folder: tempfile::TempDir,
        root: RootFiles,
        store: SnapshotFiles,
    }

    fn place() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let files = LabFiles { folder: folder.path().join("output/a") };
        let store = SnapshotFiles { folder: folder.path().join("output/snapshots") };
        make(&files, "m", "image").unwrap();
        std::fs::write(files.root("m").upper().join("file"), "1").unwrap();
        std::fs::create_dir_all(store.layer("one").folder).unwrap();
        Place { root: files.root("m"), store, _folder: folder }
    }

    #[test]
    fn freeze_turns_writes_into_layer_below_machine() {
        let Place { root, store, .. } = &place();
        let record = freeze(root, store, "one").unwrap();
        assert_eq!((record.image.as_str(), record.layers), ("image", vec!["one".to_owned()]));
        assert_eq!(std::fs::read(store.layer("one").upper().join("file")).unwrap(), b"1");
        assert_eq!(std::fs::read_dir(root.upper()).unwrap().count(), 0);
        std::fs::create_dir_all(store.layer("two").folder).unwrap();
        assert_eq!(freeze(root, store, "two").unwrap().layers, ["two", "one"]);
    }

    #[test]
    fn killed_freeze_loses_nothing() {
        let Place { root, store, .. } = &place();
        let began =
            RootRecord { image: "image".to_owned(), layers: vec![], freezing: Some("one".to_owned()) };
        // Before the rename.
        write(root, &began).unwrap();
        assert_eq!(began.needed().collect::<Vec<_>>(), ["one"]);
        assert_eq!(settled(root, store).unwrap().layers, Vec::<String>::new());
        assert_eq!(std::fs::read(root.upper().join("file")).unwrap(), b"1");
        // After it.
        write(root, &began).unwrap();
        std::fs::rename(root.upper(), store.layer("one").upper()).unwrap();
        assert_eq!(settled(root, store).unwrap().layers, ["one"]);
        assert!(root.upper().is_dir());
        assert_eq!(settled(root, store).unwrap(), record(root).unwrap().unwrap());
    }

    #[test]
    fn root_of_earlier_version_has_no_layers() {
        let Place { root, store, .. } = &place();
        std::fs::write(root.record(), r#"{"image": "image"}"#).unwrap();
        assert_eq!(settled(root, store).unwrap().layers, Vec::<String>::new());
    }
}
