//! What is known about one Kubespray: its variables and where they stand, the versions it installs,
//! its playbooks, groups and ranges. Names, versions and places only, none of its text.
//!
//! Indexes of the known releases lie beside this file, so that rendering and checking need no
//! checkout. `lab` makes the index of any other checkout.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What is known about one Kubespray.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Index {
    /// A release's tag, `v2.30.0`; of any other checkout what `git describe` calls it.
    pub version: String,
    /// All forty digits of the commit.
    pub commit: String,
    /// The ansible-core versions that its playbooks accept: from the first, below the second.
    pub ansible_core: (String, String),
    /// The lines of its `requirements.txt`, without comments.
    pub requirements: Vec<String>,
    /// Playbooks that are meant to be run, relative to the checkout.
    pub playbooks: Vec<String>,
    /// Inventory groups that its playbooks and roles know.
    pub groups: Vec<String>,
    /// Supported distributions as its documentation names them.
    pub distributions: Vec<String>,
    /// Variables that take one of a few words, with the words (from its assertions).
    pub choices: BTreeMap<String, Vec<String>>,
    /// Variables that it refuses to run with because they were removed.
    pub refused: Vec<String>,
    /// Components with checksums, by the name in front of `_checksums`: `kubelet`, `calicoctl_binary`.
    pub components: BTreeMap<String, Component>,
    /// Every file that a place names, relative to the checkout.
    pub files: Vec<String>,
    /// Every variable that can be set, or that looks as if it could be.
    pub variables: BTreeMap<String, Variable>,
}

/// A component that Kubespray downloads and checks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// The variable that chooses its version, where there is one: `kube_version`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_variable: Option<String>,
    /// The versions with a checksum, by architecture (`amd64`), in Kubespray's order: newest first.
    pub versions: BTreeMap<String, Vec<String>>,
}

/// A variable of Kubespray.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Variable {
    /// Where roles give it a default, which the inventory overrides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub defaults: Vec<DefaultValue>,
    /// Where roles set it for good: a value in an inventory has no effect.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fixed: Vec<Place>,
    /// Where the sample inventory shows it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sample: Vec<Place>,
    /// Where it is used; the first line of each file that does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub used: Vec<Place>,
}

/// A default value of a variable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DefaultValue {
    /// Where it stands.
    pub place: Place,
    /// What kind of value it is.
    pub shape: Shape,
    /// The value, where it is a plain one: a word, a number, a yes or no, an empty collection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<serde_json::Value>,
}

/// A line of the checkout: the number of its file in [`Index::files`], and the line, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place(pub u32, pub u32);

/// What kind of value a variable has.
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

impl Index {
    /// `roles/…/main.yml:12`.
    #[must_use]
    pub fn place(&self, place: Place) -> String {
        let file = usize::try_from(place.0).ok().and_then(|at| self.files.get(at));
        format!("{}:{}", file.map_or("?", String::as_str), place.1)
    }
}
