//! From a spec and an index to the variables that Kubespray is given, and to the files that it and Ansible
//! read.

use serde_json::Value;

use super::index::Index;
use super::setting::{Origin, Scope, Setting};
use crate::spec::ClusterSpec;

mod options;
pub(crate) mod plugin;
#[cfg(test)]
mod tests;
mod user;

/// A setting, and what its comment says besides where it comes from.
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
#[must_use]
pub fn settings(spec: &ClusterSpec, index: &Index) -> Vec<Setting> {
    entries(spec, index).into_iter().map(|entry| entry.setting).collect()
}

fn entries(spec: &ClusterSpec, index: &Index) -> Vec<Entry> {
    let mut entries = user::merge(options::groups(spec, index), &spec.kubespray.variables);
    entries.extend(options::machines(spec));
    entries
}
