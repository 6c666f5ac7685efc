//! From a spec and an index to the variables that Kubespray is given, and to the files that it and Ansible
//! read.

use serde_json::Value;

use super::access::AccessError;
use super::index::Index;
use super::inventory::{Login, inventory_ini};
use super::setting::{Origin, Scope, Setting};
use crate::spec::ClusterSpec;

mod containers;
mod files;
mod options;
pub(crate) mod plugin;
mod served;
#[cfg(test)]
mod tests;
mod user;

pub use files::{Files, made_for};
pub(super) use files::{IN_INVENTORY, first_line};
use options::FILE_ROOTS;
pub(super) use options::LAB_DIR;
pub use served::{
    ARTIFACTS_FILE, ArtifactsFile, OwnBuild, Served, artifacts_file, is_file_root, repository_of,
};
pub(crate) use user::GROUPS;

/// A setting, and the note in its comment besides its origin.
#[derive(Debug, Clone, PartialEq)]
struct Entry {
    setting: Setting,
    note: Option<String>,
}

impl Entry {
    fn new(scope: Scope, name: &str, value: impl Into<Value>, origin: Origin) -> Self {
        Self { setting: Setting { scope, name: name.to_owned(), value: value.into(), origin }, note: None }
    }
}

/// Every variable that the inventory of a cluster sets, but for how its machines are logged in to: those of
/// groups first, then those of machines, each in the order of the files that they are written to.
///
/// A variable that the user passes on takes the place of the lab's own. An add-on that the index does not
/// have is set all the same where it is asked for, so that the lint can refuse it at its place.
pub fn settings(spec: &ClusterSpec, index: &Index) -> Vec<Setting> {
    entries(spec, index).into_iter().map(|entry| entry.setting).collect()
}

/// Every file of the inventory of a cluster, by its path below the inventory's folder.
///
/// # Errors
/// If a path of the login cannot be written so that Ansible and OpenSSH read it back.
pub fn render(spec: &ClusterSpec, index: &Index, login: &Login) -> Result<Files, AccessError> {
    let entries = entries(spec, index);
    let settings: Vec<&Setting> = entries.iter().map(|entry| &entry.setting).collect();
    let mut files = files::variables(spec, index, &entries);
    files.insert("inventory.ini".to_owned(), inventory_ini(spec, &settings, login)?);
    Ok(files)
}

fn entries(spec: &ClusterSpec, index: &Index) -> Vec<Entry> {
    let mut entries = user::merge(options::groups(spec, index), &spec.kubespray.variables);
    entries.extend(options::machines(spec));
    entries
}
