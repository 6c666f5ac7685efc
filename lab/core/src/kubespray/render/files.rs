//! Which file a setting is written to, and the text of that file. One file is one text; nothing is on disk.

use std::collections::{BTreeMap, BTreeSet, btree_map};

use super::Entry;
use super::plugin::{network_plugin, plugin_policy};
use crate::kubespray::index::Index;
use crate::kubespray::setting::{Origin, Scope};
use crate::spec::{ClusterSpec, NetworkPlugin};
use crate::yaml_writer;

/// Texts of files by their paths below the folder of the inventory.
pub type Files = BTreeMap<String, String>;

/// The variables in `inventory.ini`, beside the name of the machine.
pub(in crate::kubespray) const IN_INVENTORY: [&str; 3] = ["ansible_host", "ip", "etcd_member_name"];

/// Where Kubespray's sample shows the variables of `k8s_cluster`.
const SAMPLE: &str = "inventory/sample/group_vars/k8s_cluster/";
const CLUSTER: &str = "k8s-cluster.yml";
const ADDONS: &str = "addons.yml";

const FIRST: &str = "# Made by the lab ";
const FIRST_END: &str = " from its cluster file; changes are overwritten.";

/// The first line of every file.
pub(in crate::kubespray) fn first_line(spec: &ClusterSpec) -> String {
    format!("{FIRST}{}{FIRST_END}\n", spec.name)
}

/// The lab that a file was made for, if it was made here, so that it may be written over and removed.
pub fn made_for(text: &str) -> Option<&str> {
    text.lines().next()?.strip_prefix(FIRST)?.strip_suffix(FIRST_END)
}

/// The files of variables.
pub(super) fn variables(spec: &ClusterSpec, index: &Index, entries: &[Entry]) -> Files {
    let placement = FilePlacement::new(spec, index);
    // Each file with the setting that was written to it last.
    let mut drafts: BTreeMap<String, (String, &Entry)> = BTreeMap::new();
    for entry in entries {
        let setting = &entry.setting;
        if matches!(setting.scope, Scope::Host(_)) && IN_INVENTORY.contains(&setting.name.as_str()) {
            continue;
        }
        let text = match drafts.entry(placement.path(&setting.scope, &setting.name)) {
            btree_map::Entry::Vacant(vacant) => {
                let (text, _) = vacant.insert((first_line(spec) + "---\n", entry));
                yaml_writer::comment(text, &comment_of(entry));
                text
            }
            btree_map::Entry::Occupied(occupied) => {
                let (text, last) = occupied.into_mut();
                // Settings of one origin share its comment.
                if last.setting.origin != setting.origin || last.note != entry.note {
                    text.push('\n');
                    yaml_writer::comment(text, &comment_of(entry));
                }
                *last = entry;
                text
            }
        };
        yaml_writer::entry(text, &setting.name, &setting.value);
    }
    drafts.into_iter().map(|(path, (text, _))| (path, text)).collect()
}

/// The file of one setting, for the reference.
#[cfg(test)]
pub(super) fn path(spec: &ClusterSpec, index: &Index, scope: &Scope, name: &str) -> String {
    if matches!(scope, Scope::Host(_)) && IN_INVENTORY.contains(&name) {
        return "inventory.ini".to_owned();
    }
    FilePlacement::new(spec, index).path(scope, name)
}

/// The text of the comment above a setting.
fn comment_of(Entry { setting, note }: &Entry) -> String {
    let from = match &setting.origin {
        Origin::ClusterFile(path) => path.as_str(),
        Origin::Harness(reason) => reason,
        // Nothing that is rendered was read from an inventory.
        Origin::File { .. } => "another inventory",
    };
    match note {
        Some(note) => format!("{from}, {note}"),
        None => from.to_owned(),
    }
}

/// Decides in which file of its group a variable stands: the same one as in Kubespray's sample, where
/// people look for it.
struct FilePlacement<'i> {
    index: &'i Index,
    plugin: Option<NetworkPlugin>,
    /// How variables of the add-ons in the sample begin: `metrics_server_`.
    addons: BTreeSet<&'i str>,
}

impl<'i> FilePlacement<'i> {
    fn new(spec: &ClusterSpec, index: &'i Index) -> Self {
        let of_addons = index.variables.keys().filter(|name| sample(index, name).any(|file| file == ADDONS));
        Self {
            index,
            plugin: network_plugin(spec.kubernetes.network.plugin, &spec.kubespray.variables).ok(),
            addons: of_addons
                .filter(|name| name.ends_with("_enabled"))
                .filter_map(|name| name.strip_suffix("enabled"))
                .collect(),
        }
    }

    fn path(&self, scope: &Scope, name: &str) -> String {
        match scope {
            Scope::Host(machine) => format!("host_vars/{machine}.yml"),
            Scope::Group(group) if group == "k8s_cluster" => {
                format!("group_vars/k8s_cluster/{}", self.file(name))
            }
            // A folder of the group, because Ansible passes over a file where there is one.
            Scope::Group(group) => format!("group_vars/{group}/{group}.yml"),
        }
    }

    fn file(&self, name: &str) -> String {
        let of_plugin = self.plugin.and_then(plugin_file);
        // `kube_control_plane.yml` in this folder is a trap: it would be read for the whole cluster. Files of
        // other plugins are not made.
        let known = |file: &&str| [CLUSTER, ADDONS].contains(file) || of_plugin.as_deref() == Some(*file);
        if let Some(file) = sample(self.index, name).find(known) {
            return file.to_owned();
        }
        let is_of_plugin = |plugin: NetworkPlugin| {
            name.starts_with(&plugin_prefix(plugin)) || plugin_policy(plugin) == Some(name)
        };
        if let Some(file) = of_plugin.filter(|_| self.plugin.is_some_and(is_of_plugin)) {
            return file;
        }
        let is_of_addon = self.addons.iter().any(|prefix| name.starts_with(prefix));
        if is_of_addon { ADDONS.to_owned() } else { CLUSTER.to_owned() }
    }
}

/// The files of the sample's `k8s_cluster` that show a variable.
fn sample<'i>(index: &'i Index, name: &str) -> impl Iterator<Item = &'i str> {
    let places = index.variables.get(name).into_iter().flat_map(|variable| &variable.sample);
    let files = places.filter_map(|shown| index.files.get(usize::try_from(shown.place.0).ok()?));
    files.filter_map(|file| file.strip_prefix(SAMPLE))
}

/// The file of a network plugin's own variables, where the sample has one.
fn plugin_file(plugin: NetworkPlugin) -> Option<String> {
    match plugin {
        NetworkPlugin::Cni | NetworkPlugin::Cloud | NetworkPlugin::None => None,
        plugin => Some(format!("k8s-net-{}.yml", plugin.as_str().replace('_', "-"))),
    }
}

/// How the names of a plugin's own variables begin.
fn plugin_prefix(plugin: NetworkPlugin) -> String {
    format!("{}_", plugin.as_str().replace('-', "_"))
}
