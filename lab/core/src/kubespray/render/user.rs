//! The variables that a user passes on, and how they take the place of the lab's own.

use serde_json::Value;

use super::Entry;
use super::plugin::Variables;
use crate::kubespray::setting::{Origin, Scope};
use crate::source::suggest::shorten;

/// The groups that user variables may be set for, in the order in which their settings are written: the wide
/// ones first, as Ansible reads them.
pub(crate) const GROUPS: &[&str] =
    &["all", "k8s_cluster", "kube_control_plane", "kube_node", "etcd", "calico_rr"];

/// The settings of groups with the user's among them, in the order of [`GROUPS`]; in each group the lab's own
/// first, the user's behind them by name, and one that takes the place of another in that place.
pub(super) fn merge(lab: Vec<Entry>, variables: &Variables) -> Vec<Entry> {
    let mut merged = Vec::with_capacity(lab.len());
    for &group in GROUPS {
        let mut own: Vec<Entry> = variables
            .get(group)
            .into_iter()
            .flatten()
            .map(|(name, value)| {
                let path = format!("kubespray.variables.{group}.{name}");
                Entry::new(Scope::Group(group.to_owned()), name, value.clone(), Origin::ClusterFile(path))
            })
            .collect();
        for entry in &lab {
            let name = &entry.setting.name;
            let of_group = entry.setting.scope == Scope::Group(group.to_owned());
            if let Some(at) = own.iter().position(|own| own.setting.name == *name && replaces(group, entry)) {
                let note = Some(in_place_of(entry));
                if of_group {
                    merged.push(Entry { note, ..own.remove(at) });
                } else {
                    own[at].note = note;
                }
            } else if of_group && !is_in_all(variables, name) {
                merged.push(entry.clone());
            }
        }
        merged.append(&mut own);
    }
    merged
}

/// Whether a user's variable of a group takes the place of one of the lab's: in the same group, and in `all`
/// wherever the lab sets it, because to Ansible the narrower group would win.
fn replaces(group: &str, entry: &Entry) -> bool {
    group == "all" || entry.setting.scope == Scope::Group(group.to_owned())
}

fn is_in_all(variables: &Variables, name: &str) -> bool {
    variables.get("all").is_some_and(|all| all.contains_key(name))
}

/// The note about a setting that is not written.
fn in_place_of(entry: &Entry) -> String {
    let value = match &entry.setting.value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match &entry.setting.origin {
        Origin::ClusterFile(path) => format!("in place of {} from {path}", shorten(&value)),
        Origin::Harness(_) | Origin::File { .. } => format!("in place of the lab's {}", shorten(&value)),
    }
}
