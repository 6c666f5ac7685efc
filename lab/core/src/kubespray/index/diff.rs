//! Differences between two versions of Kubespray, and those that a cluster uses.

mod text;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::versions::compare;
use super::{Component, DefaultValue, Index, Shape, Variable};
use crate::kubespray::{Origin, Scope, Setting};

pub use text::{difference_text, use_text};

/// The differences between two versions of Kubespray.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// The version it starts from.
    pub from: String,
    /// The version it leads to.
    pub to: String,
    /// The oldest and the newest Kubernetes, where they change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<Change<Option<(String, String)>>>,
    /// The accepted ansible-core, from and below, where it changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ansible_core: Option<Change<(String, String)>>,
    /// Lines of `requirements.txt`.
    pub requirements: Names,
    /// Playbooks to be run.
    pub playbooks: Names,
    /// Inventory groups.
    pub groups: Names,
    /// Supported distributions.
    pub distributions: Names,
    /// Add-ons of the sample inventory.
    pub add_ons: Names,
    /// Variables that it newly refuses, and refuses no longer.
    pub refused: Names,
    /// Words that variables may have.
    pub choices: BTreeMap<String, Names>,
    /// Components with checksums.
    pub components: Names,
    /// Changes of components that both have.
    pub versions: BTreeMap<String, Versions>,
    /// Variables that choose a version, with the version that is installed by default.
    pub default_versions: BTreeMap<String, Change<String>>,
    /// Variables that are new, with their default.
    pub added: BTreeMap<String, Default>,
    /// Variables that are gone, with the default they had.
    pub removed: BTreeMap<String, Default>,
    /// Variables that nothing reads any more, though the sample inventory still shows them, with the
    /// default they had.
    pub unread: BTreeMap<String, Default>,
    /// Variables whose default changes; those that choose a version are above.
    pub defaults: BTreeMap<String, Change<Default>>,
    /// Variables that an inventory could set before and cannot now, or the other way round: whether it can.
    pub overridable: BTreeMap<String, Change<bool>>,
}

/// Something before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change<T> {
    /// Before.
    pub from: T,
    /// After.
    pub to: T,
}

/// Names that are new and names that are gone.
#[derive(Debug, Clone, PartialEq, Eq, std::default::Default, Serialize)]
pub struct Names {
    /// New.
    pub added: Vec<String>,
    /// Gone.
    pub removed: Vec<String>,
}

/// Changes of a component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Versions {
    /// Versions that are new on any architecture, newest first.
    pub added: Vec<String>,
    /// Versions that are gone from all architectures, newest first.
    pub removed: Vec<String>,
    /// Architectures.
    pub architectures: Names,
}

/// A default for people.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Default {
    /// The kind of value; nothing where there is no default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shape: Option<Shape>,
    /// The value, where it is a plain one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<serde_json::Value>,
    /// Where it stands, or where the variable is shown or used: `roles/…/main.yml:12`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
}

/// One thing of a [`Difference`] that matters to a cluster.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Use {
    /// The variable that the cluster's inventory sets.
    pub variable: String,
    /// Its value.
    pub value: serde_json::Value,
    /// For whom, and which key of the cluster file says so, of every place that sets it to this.
    pub origins: Vec<String>,
    /// The effect of the change on it.
    pub effect: Effect,
}

/// The effect of a change on a variable that an inventory sets.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Effect {
    /// Nothing reads it any more.
    Removed,
    /// Kubespray refuses to run with it.
    Refused,
    /// Roles set it for good now.
    Fixed,
    /// It is not one of the words any more that the variable may have.
    Word {
        /// The words.
        known: Vec<String>,
    },
    /// Kubespray has no checksum for that version any more.
    Version {
        /// The component.
        component: String,
        /// The oldest and the newest version that it has.
        known: Option<(String, String)>,
    },
    /// The value stays, but replaces another default now.
    Default(Change<Default>),
}

/// Computes the differences between two versions of Kubespray.
pub fn difference(from: &Index, to: &Index) -> Difference {
    let range = |index: &Index| index.kubernetes().map(|(old, new)| (old.to_owned(), new.to_owned()));
    let choices = from.choices.keys().chain(to.choices.keys()).filter_map(|name| {
        let words =
            names(from.choices.get(name).into_iter().flatten(), to.choices.get(name).into_iter().flatten());
        words.changed().then(|| (name.clone(), words))
    });
    let versions = from
        .components
        .iter()
        .filter_map(|(name, old)| Some((name.clone(), component(old, to.components.get(name)?)?)));
    let both = || from.variables.iter().filter_map(|(name, old)| Some((name, old, to.variables.get(name)?)));
    let only = |one: &Index, other: &Index| -> BTreeMap<String, Default> {
        let missing = one.variables.iter().filter(|(name, _)| !other.variables.contains_key(*name));
        missing.map(|(name, variable)| (name.clone(), Default::of(one, variable))).collect()
    };
    let changed = both().filter(|(_, old, new)| values(old) != values(new));
    let mut default_versions = BTreeMap::new();
    let mut defaults = BTreeMap::new();
    let mut unread = BTreeMap::new();
    for (name, old, new) in both().filter(|(_, old, new)| !old.only_shown() && new.only_shown()) {
        unread.insert(name.clone(), Default { place: Default::of(to, new).place, ..Default::of(from, old) });
    }
    for (name, old, new) in changed.filter(|(_, _, new)| !new.only_shown()) {
        match (version(from, old), version(to, new)) {
            (Some(from), Some(to)) if name.ends_with("_version") && from != to => {
                default_versions.insert(name.clone(), Change { from, to });
            }
            _ => {
                let change = Change {
                    from: Default::new(from, old, other(from, old, new)),
                    to: Default::new(to, new, other(to, new, old)),
                };
                defaults.insert(name.clone(), change);
            }
        }
    }
    Difference {
        from: from.version.clone(),
        to: to.version.clone(),
        kubernetes: Change::between(range(from), range(to)),
        ansible_core: Change::between(from.ansible_core.clone(), to.ansible_core.clone()),
        requirements: names(&from.requirements, &to.requirements),
        playbooks: names(&from.playbooks, &to.playbooks),
        groups: names(&from.groups, &to.groups),
        distributions: names(&from.distributions, &to.distributions),
        add_ons: names(from.add_ons(), to.add_ons()),
        refused: names(&from.refused, &to.refused),
        choices: choices.collect(),
        components: names(from.components.keys(), to.components.keys()),
        versions: versions.collect(),
        default_versions,
        added: only(to, from),
        removed: only(from, to),
        unread,
        defaults,
        overridable: both()
            .filter_map(|(name, old, new)| {
                Some((name.clone(), Change::between(old.overridable(), new.overridable())?))
            })
            .collect(),
    }
}

impl<T: PartialEq> Change<T> {
    fn between(from: T, to: T) -> Option<Self> {
        (from != to).then_some(Self { from, to })
    }
}

impl Names {
    /// Whether there is any.
    pub fn changed(&self) -> bool {
        !self.added.is_empty() || !self.removed.is_empty()
    }
}

fn names<T: AsRef<str>>(from: impl IntoIterator<Item = T>, to: impl IntoIterator<Item = T>) -> Names {
    let from: Vec<T> = from.into_iter().collect();
    let to: Vec<T> = to.into_iter().collect();
    let without = |these: &[T], those: &[T]| -> Vec<String> {
        let those: BTreeSet<&str> = those.iter().map(AsRef::as_ref).collect();
        these.iter().map(AsRef::as_ref).filter(|name| !those.contains(name)).map(str::to_owned).collect()
    };
    Names { added: without(&to, &from), removed: without(&from, &to) }
}

fn component(old: &Component, new: &Component) -> Option<Versions> {
    // The architectures have nearly the same versions; each keeps its order.
    let all = |component: &Component| -> Vec<String> {
        let mut all: Vec<String> = component.versions.values().flatten().cloned().collect();
        all.sort_by(|one, other| compare(other, one));
        all.dedup();
        all
    };
    let versions = names(all(old), all(new));
    let architectures = names(old.versions.keys(), new.versions.keys());
    (versions.changed() || architectures.changed()).then_some(Versions {
        added: versions.added,
        removed: versions.removed,
        architectures,
    })
}

/// The defaults, without their places.
fn values(variable: &Variable) -> Vec<String> {
    let mut values: Vec<String> = variable.defaults.iter().map(value).collect();
    values.sort();
    values
}

/// A default, without its place.
fn value(DefaultValue { shape, value, digest, .. }: &DefaultValue) -> String {
    format!("{shape:?} {value:?} {digest:?}")
}

/// The default that makes the difference: the one that counts in most plays if the other variable does not
/// have it, else the first that it does not have.
fn other<'a>(index: &Index, variable: &'a Variable, than: &Variable) -> Option<&'a DefaultValue> {
    let there = values(than);
    let differs = |default: &&DefaultValue| !there.contains(&value(default));
    let main = index.main_default(variable);
    main.filter(differs).or_else(|| variable.defaults.iter().find(differs)).or(main)
}

/// The version that a variable is unless an inventory says otherwise.
fn version(index: &Index, variable: &Variable) -> Option<String> {
    Some(match index.main_default(variable)?.value.as_ref()? {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    })
}

impl Default {
    fn of(index: &Index, variable: &Variable) -> Self {
        Self::new(index, variable, index.main_default(variable))
    }

    fn new(index: &Index, variable: &Variable, default: Option<&DefaultValue>) -> Self {
        let place = default
            .map(|default| default.place)
            .or_else(|| variable.fixed.first().copied())
            .or_else(|| variable.sometimes_fixed.first().copied())
            .or_else(|| variable.sample.first().map(|example| example.place))
            .or_else(|| variable.used.first().copied());
        Self {
            shape: default.map(|default| default.shape),
            value: default.and_then(|default| default.value.clone()),
            place: place.map(|place| index.place(place)),
        }
    }
}

/// The parts of a change that matter to an inventory. `settings`: its variables, as it is made for `from`.
pub fn uses(settings: &[Setting], from: &Index, to: &Index, difference: &Difference) -> Vec<Use> {
    let mut found: Vec<Use> = Vec::new();
    for setting in settings {
        let Some(effect) = effect(setting, from, to, difference) else { continue };
        let same = |one: &&mut Use| {
            one.variable == setting.name && one.value == setting.value && one.effect == effect
        };
        match found.iter_mut().find(same) {
            Some(one) => one.origins.push(origin(setting)),
            None => found.push(Use {
                variable: setting.name.clone(),
                value: setting.value.clone(),
                origins: vec![origin(setting)],
                effect,
            }),
        }
    }
    found
}

/// The worst that a change does to a setting.
fn effect(setting: &Setting, from: &Index, to: &Index, difference: &Difference) -> Option<Effect> {
    let name = setting.name.as_str();
    if difference.refused.added.iter().any(|refused| refused == name) {
        return Some(Effect::Refused);
    }
    if difference.removed.contains_key(name) || difference.unread.contains_key(name) {
        return Some(Effect::Removed);
    }
    if difference.overridable.get(name).is_some_and(|change| !change.to) {
        return Some(Effect::Fixed);
    }
    if let Some(word) = setting.value.as_str() {
        let knew = |index: &Index| {
            index.choices.get(name).is_none_or(|words| words.iter().any(|known| known == word))
        };
        if knew(from) && !knew(to) {
            return Some(Effect::Word { known: to.choices.get(name).cloned().unwrap_or_default() });
        }
        for (component, new) in
            to.components.iter().filter(|(_, one)| one.version_variable.as_deref() == Some(name))
        {
            let has =
                |component: &Component| component.versions.values().flatten().any(|version| version == word);
            if from.components.get(component).is_some_and(has) && !has(new) {
                let versions = new.versions.get("amd64").or_else(|| new.versions.values().next());
                let known = versions.and_then(|all| Some((all.last()?.clone(), all.first()?.clone())));
                return Some(Effect::Version { component: component.clone(), known });
            }
        }
    }
    difference.defaults.get(name).cloned().map(Effect::Default)
}

/// `group k8s_cluster, kubernetes.version`
fn origin(setting: &Setting) -> String {
    let scope = match &setting.scope {
        Scope::Group(name) => format!("group {name}"),
        Scope::Host(name) => format!("machine {name}"),
    };
    match &setting.origin {
        Origin::ClusterFile(key) => format!("{scope}, {key}"),
        Origin::Harness(_) => format!("{scope}, set by the lab"),
        Origin::File { .. } => scope,
    }
}

#[cfg(test)]
mod tests;
