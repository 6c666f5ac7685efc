//! Inventories on disk: their folders, and the writing and removal of their files. `lab_core::kubespray` decides their
//! contents; nothing here reads a file to learn what to write.

use std::io::Read as _;
use std::path::{Component, Path, PathBuf};

use anyhow::Context as _;
use lab_core::identity::USER;
use lab_core::kubespray::index::Index;
use lab_core::kubespray::{Files, Login, made_for, render};
use lab_core::spec::ClusterSpec;
use serde::Serialize;

use crate::cx::Cx;
use crate::failure::{Failure, FailureKind};
use crate::files::{self, PUBLIC, SECRET};
use crate::input;
use crate::lab::Lab;
use crate::layout::LabFiles;

pub mod difference;
#[cfg(test)]
mod tests;

/// The folders of variables, in which nothing else is looked at.
const FOLDERS: [&str; 2] = ["group_vars", "host_vars"];

/// The error for a lab whose paths OpenSSH and Ansible cannot express.
pub fn unsayable() -> Failure {
    Failure::new(FailureKind::Host, "the lab's folder cannot be used for SSH")
        .hint("move the checkout to a folder whose path has only letters, digits, blanks and . _ - /")
}

/// The folder of the inventory that belongs to a cluster file: the file's own, where that lies under
/// `inventories/`; none for a cluster file elsewhere.
pub fn beside(cx: &Cx, lab: &Lab) -> Option<PathBuf> {
    let folder = lab.cluster_file.parent().filter(|folder| folder.parent() == Some(&cx.layout.inventories()));
    folder.map(Path::to_owned)
}

/// Every file of the inventory of a cluster, as it is to lie in `folder`.
///
/// # Errors
/// When they cannot express a path.
pub fn rendered(root: &Path, spec: &ClusterSpec, files: &LabFiles, folder: &Path) -> anyhow::Result<Files> {
    let version = &spec.kubespray.version;
    let index = Index::known(version).with_context(|| format!("there is no index of Kubespray {version}"))?;
    render(spec, &index, &login(root, files, folder)?).with_context(unsayable)
}

/// How the machines of a lab are logged in to by an inventory that lies in `folder`.
///
/// # Errors
/// When a path is not UTF-8.
pub fn login(root: &Path, files: &LabFiles, folder: &Path) -> anyhow::Result<Login> {
    let inside = |path: PathBuf| {
        let path = path.strip_prefix(&files.folder).context("a file of the lab lies outside its folder")?;
        utf8(path)
    };
    Ok(Login {
        user: USER.to_owned(),
        lab_dir: utf8(&way(root, folder, &files.folder))?,
        key: inside(files.login_key())?,
        ssh_config: inside(files.ssh_config())?,
    })
}

/// From a folder to another one: relative where both lie in the checkout, so that the way stays right when
/// it is moved or cloned; else the other one itself.
fn way(root: &Path, from: &Path, to: &Path) -> PathBuf {
    let (Ok(from), Ok(to_inside)) = (from.strip_prefix(root), to.strip_prefix(root)) else {
        return to.to_owned();
    };
    let (from, to): (Vec<Component<'_>>, Vec<Component<'_>>) =
        (from.components().collect(), to_inside.components().collect());
    let common = from.iter().zip(&to).take_while(|(one, other)| one == other).count();
    let up = from[common..].iter().map(|_| Component::ParentDir);
    up.chain(to[common..].iter().copied()).collect()
}

fn utf8(path: &Path) -> anyhow::Result<String> {
    let unsayable = || Failure::new(FailureKind::Host, format!("the path `{}` is not UTF-8", path.display()));
    path.to_str().map(str::to_owned).with_context(unsayable)
}

/// Refuses a folder with the inventory of another lab, which would be lost.
///
/// # Errors
/// When it is another's, or cannot be read.
pub fn check_owner(folder: &Path, lab: &str) -> anyhow::Result<()> {
    let path = folder.join("inventory.ini");
    let text = files::read_if_present(&path)?.unwrap_or_default();
    match made_for(&text).filter(|owner| *owner != lab) {
        None => Ok(()),
        Some(owner) => Err(Failure::new(
            FailureKind::Usage,
            format!("`{}` is the inventory of the lab `{owner}`, not of `{lab}`", path.display()),
        )
        .hint("choose another folder; if the cluster was renamed, remove the file first")
        .into()),
    }
}

/// What writing did: paths below the folder.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Written {
    /// Files that were not there or said something else.
    pub written: Vec<String>,
    /// Files of an earlier rendering that are no longer part of the inventory.
    pub removed: Vec<String>,
    /// How many files were right already.
    pub unchanged: usize,
}

/// Writes the rendered files to a folder: each is replaced at once, stale ones of an earlier rendering are removed, and
/// foreign files stay.
///
/// # Errors
/// When a foreign file is in the way, before anything is written; or a file cannot be written.
pub fn write(folder: &Path, files: &Files) -> anyhow::Result<Written> {
    let stale = stale(folder, files)?;
    check_ways(folder, files)?;
    let mut done = Written::default();
    for (path, text) in files {
        // Variables may hold passwords; who may log in where is no secret.
        let mode = if path.contains('/') { SECRET } else { PUBLIC };
        if files::write_again(&folder.join(path), text.as_bytes(), mode)? {
            done.written.push(path.clone());
        } else {
            done.unchanged += 1;
        }
    }
    for path in stale {
        files::remove(&folder.join(&path))?;
        // An unneeded folder of variables goes with its last file.
        if let Some(parent) = folder.join(&path).parent().filter(|parent| *parent != folder) {
            let _ = std::fs::remove_dir(parent);
        }
        done.removed.push(path);
    }
    Ok(done)
}

/// Files of an earlier rendering that are no longer wanted, in order.
///
/// # Errors
/// When a folder cannot be read.
pub fn stale(folder: &Path, files: &Files) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    if folder.join("inventory.ini").is_file() {
        found.push("inventory.ini".to_owned());
    }
    for name in FOLDERS {
        walk(folder, name, &mut found)?;
    }
    found.sort();
    let mut stale = Vec::new();
    for path in found.into_iter().filter(|path| !files.contains_key(path)) {
        if is_ours(&folder.join(&path))? {
            stale.push(path);
        }
    }
    Ok(stale)
}

/// Every regular file below `below`, by its path from `folder`.
fn walk(folder: &Path, below: &str, found: &mut Vec<String>) -> anyhow::Result<()> {
    let path = folder.join(below);
    let entries = match std::fs::read_dir(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.with_context(|| format!("cannot read `{}`", path.display()))?,
    };
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot read `{}`", path.display()))?;
        // A name that is not UTF-8 is none of ours.
        let Ok(name) = entry.file_name().into_string() else { continue };
        let kind = entry.file_type().with_context(|| format!("cannot read `{}`", path.display()))?;
        let name = format!("{below}/{name}");
        if kind.is_dir() {
            walk(folder, &name, found)?;
        } else if kind.is_file() {
            found.push(name);
        }
    }
    Ok(())
}

/// Whether a file was rendered here. One that is not text was not.
fn is_ours(path: &Path) -> anyhow::Result<bool> {
    let mut bytes = Vec::new();
    let mut file = input::open(path)?;
    file.read_to_end(&mut bytes).with_context(|| format!("cannot read `{}`", path.display()))?;
    Ok(String::from_utf8(bytes).is_ok_and(|text| made_for(&text).is_some()))
}

/// Looks for what would be lost, and for what Ansible would not read beside our files.
fn check_ways(folder: &Path, files: &Files) -> anyhow::Result<()> {
    for path in files.keys() {
        let full = folder.join(path);
        if let Some(kind) = input::kind_of(&full)?.name_unless_file() {
            return Err(in_the_way(&full, &format!("is {kind} where a file is to be written"), path));
        }
        // Nothing is lost with an empty file, which is what a power cut may have left.
        let found = full.symlink_metadata().ok().filter(|found| found.len() > 0);
        if found.is_some() && !is_ours(&full)? {
            return Err(in_the_way(&full, "was not rendered here and would be overwritten", path));
        }
        if let Some(other) = hidden_by(folder, path).first() {
            let what = format!("and `{path}` are for the same machines, and Ansible reads only one of them");
            return Err(in_the_way(other, &what, path));
        }
    }
    Ok(())
}

/// What stands for the same group or machine as one of our files. Of `all`, `all.yml`, `all.yaml` and
/// `all.json`, in this order, Ansible reads the first that is there and passes over the others without a word.
fn hidden_by(folder: &Path, path: &str) -> Vec<PathBuf> {
    let mut parts = path.split('/');
    let (Some(kind), Some(name)) = (parts.next(), parts.next()) else { return Vec::new() };
    let stem = name.trim_end_matches(".yml");
    ["", ".yml", ".yaml", ".json"]
        .iter()
        .map(|extension| format!("{stem}{extension}"))
        .filter(|other| other != name)
        .map(|other| folder.join(kind).join(other))
        .filter(|other| other.symlink_metadata().is_ok())
        .collect()
}

/// `ours`: the file that it keeps from being written or read.
fn in_the_way(path: &Path, what: &str, ours: &str) -> anyhow::Error {
    let hint = match ours.rsplit_once('/') {
        Some((folder, _)) if folder.starts_with("group_vars/") => {
            format!("give it a name of its own in the folder of its group: {folder}/mine.yml")
        }
        _ => "move it away, and say what it says in the cluster file".to_owned(),
    };
    Failure::new(FailureKind::Usage, format!("`{}` {what}", path.display())).hint(hint).into()
}
