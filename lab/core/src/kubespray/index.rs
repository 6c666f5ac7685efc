//! The index of one Kubespray: its variables and where they stand, the versions it installs,
//! its playbooks, groups and ranges. Names, versions and places only, none of its text.
//!
//! Indexes of the known releases lie in `indexes/`, so that rendering and checking need no checkout.
//! `lab` reads the files of any other checkout, and [`build()`] makes its index from them.

mod build;
pub mod diff;
mod jinja;
mod known;
mod references;
mod release;
pub mod summary;
mod variables;
mod versions;
mod write;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use build::{Built, Checkout, NotKubespray, Problem, build, wants};
pub use known::{known_tags, known_text};
pub use write::write;

/// The index of one Kubespray.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Index {
    /// A release's tag, `v2.30.0`; of any other checkout the name by `git describe`, or the version in its
    /// `galaxy.yml`.
    pub version: String,
    /// All forty digits of the commit, where the checkout is one of git.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The ansible-core versions that its playbooks accept: from the first, below the second
    /// (`playbooks/ansible_version.yml`).
    pub ansible_core: (String, String),
    /// The lines of its `requirements.txt`, without comments.
    pub requirements: Vec<String>,
    /// Playbooks that are meant to be run, because no other playbook imports them; relative to the checkout.
    pub playbooks: Vec<String>,
    /// Inventory groups that its playbooks and roles know, without `all`.
    pub groups: Vec<String>,
    /// Older names of groups that it still understands, with the group each one stands for
    /// (`roles/dynamic_groups`).
    #[serde(default)]
    pub old_groups: BTreeMap<String, String>,
    /// Supported distributions as its `README.md` names them.
    pub distributions: Vec<String>,
    /// Variables that take one of a few words, with the words (`roles/validate_inventory`).
    pub choices: BTreeMap<String, Vec<String>>,
    /// Variables that have to be real booleans, not texts (`roles/validate_inventory`).
    #[serde(default)]
    pub booleans: Vec<String>,
    /// Variables that it refuses to run with because they were removed (`roles/validate_inventory`).
    pub refused: Vec<String>,
    /// Components with checksums, by the name in front of `_checksums`: `kubelet`, `calicoctl_binary`
    /// (`checksums.yml`).
    pub components: BTreeMap<String, Component>,
    /// Versions that it picks by the minor version of Kubernetes, `1.34`, and the variable, `etcd_version`.
    #[serde(default)]
    pub picks: BTreeMap<String, BTreeMap<String, String>>,
    /// Every file that a place names, relative to the checkout.
    pub files: Vec<String>,
    /// Every variable that can be set, or that looks as if it could be.
    pub variables: BTreeMap<String, Variable>,
}

/// A component that Kubespray downloads and checks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Component {
    /// The variable that chooses its version, where there is one: `kube_version`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_variable: Option<String>,
    /// The version that is installed unless an inventory says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// The versions with a checksum, by architecture (`amd64`, `no_arch`), in Kubespray's order: newest
    /// first.
    pub versions: BTreeMap<String, Vec<String>>,
}

/// A variable of Kubespray.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variable {
    /// Where roles give it a default, which the inventory overrides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub defaults: Vec<DefaultValue>,
    /// Where roles set it for good (`vars/main.yml`): a value in an inventory has no effect.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fixed: Vec<Place>,
    /// Where roles set it for some systems (`vars/debian.yml`): on those, a value in an inventory has no
    /// effect.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sometimes_fixed: Vec<Place>,
    /// Where the sample inventory shows it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sample: Vec<Example>,
    /// Where it is used; the first line of each file that does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub used: Vec<Place>,
}

/// A default value of a variable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DefaultValue {
    /// Where it stands.
    pub place: Place,
    /// The kind of value.
    pub shape: Shape,
    /// The value, where it is a plain one: a word, a number, a yes or no, an empty collection. Of a computed
    /// version, its result when nothing else is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<serde_json::Value>,
    /// Eight digits that distinguish values that are not plain ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// A line of the sample inventory that shows a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// Where it stands.
    pub place: Place,
    /// Whether it is commented out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub commented: bool,
    /// The kind of value that it shows, where the line says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<Shape>,
}

/// A line of the checkout: the number of its file in [`Index::files`], and the line, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place(pub u32, pub u32);

/// The kind of value of a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// Yes or no.
    Boolean,
    /// A whole or decimal number.
    Number,
    /// A text.
    Text,
    /// A list.
    List,
    /// A mapping.
    Map,
    /// Nothing.
    Null,
    /// Worked out when Kubespray runs.
    Computed,
}

/// The role that every play has, by both its names.
const DEFAULTS_ROLES: [&str; 2] = ["roles/kubespray_defaults/", "roles/kubespray-defaults/"];

impl Index {
    /// `roles/…/main.yml:12`.
    pub fn place(&self, place: Place) -> String {
        let file = usize::try_from(place.0).ok().and_then(|at| self.files.get(at));
        format!("{}:{}", file.map_or("?", String::as_str), place.1)
    }

    /// The oldest and the newest Kubernetes that it installs.
    pub fn kubernetes(&self) -> Option<(&str, &str)> {
        let versions = self.components.get("kubelet")?.versions.get("amd64")?;
        Some((versions.last()?, versions.first()?))
    }

    /// The default of a variable that counts in most plays: the one of the role of defaults, which every play
    /// has, before those of other roles, which count where these are run.
    pub fn main_default<'a>(&self, variable: &'a Variable) -> Option<&'a DefaultValue> {
        let common = |default: &&DefaultValue| {
            let file = usize::try_from(default.place.0).ok().and_then(|at| self.files.get(at));
            file.is_some_and(|file| DEFAULTS_ROLES.iter().any(|role| file.starts_with(role)))
        };
        variable.defaults.iter().find(common).or_else(|| variable.defaults.first())
    }

    /// Add-ons: names with `_enabled` behind them in the sample inventory's `addons.yml`.
    pub fn add_ons(&self) -> Vec<&str> {
        let shown = |example: &Example| {
            usize::try_from(example.place.0)
                .ok()
                .and_then(|at| self.files.get(at))
                .is_some_and(|file| file.ends_with("/addons.yml"))
        };
        let variables = self.variables.iter().filter(|(_, variable)| variable.sample.iter().any(shown));
        let mut names: Vec<&str> = variables.filter_map(|(name, _)| name.strip_suffix("_enabled")).collect();
        names.sort_unstable();
        names
    }
}

impl Variable {
    /// Whether a value in an inventory has an effect on every machine.
    pub const fn overridable(&self) -> bool {
        self.fixed.is_empty()
    }

    /// Whether the sample inventory shows it and nothing else in the checkout has to do with it: either
    /// nothing reads it any more, or it is for the inventory's own use.
    pub const fn only_shown(&self) -> bool {
        self.defaults.is_empty()
            && self.fixed.is_empty()
            && self.sometimes_fixed.is_empty()
            && self.used.is_empty()
            && !self.sample.is_empty()
    }

    /// Whether it is neither defined nor shown anywhere, only used.
    pub const fn only_used(&self) -> bool {
        self.defaults.is_empty()
            && self.fixed.is_empty()
            && self.sometimes_fixed.is_empty()
            && self.sample.is_empty()
    }
}

#[cfg(test)]
mod tests;
