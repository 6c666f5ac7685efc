//! The groups and the effective variables of every machine: as intended, and as `ansible-inventory --list`
//! prints them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use crate::kubespray::inventory::{Login, login_variables};
use crate::kubespray::setting::{Scope, Setting};
use crate::spec::{ClusterSpec, Role};

/// Every group with its machines, every machine with its variables.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Listing {
    /// Machines by group, those of groups within it included.
    pub groups: BTreeMap<String, BTreeSet<String>>,
    /// Variables by machine, as they are in effect there.
    pub machines: BTreeMap<String, BTreeMap<String, Value>>,
}

/// The groups that a machine with these roles is in, those whose variables win last.
///
/// Ansible merges the variables of groups by their depth in the tree, then by name.
fn groups_of(roles: &BTreeSet<Role>) -> Vec<&'static str> {
    let has = |role: Role| roles.contains(&role);
    let mut groups = vec!["all"];
    groups.extend(has(Role::Etcd).then_some("etcd"));
    groups.extend((has(Role::ControlPlane) || has(Role::Worker)).then_some("k8s_cluster"));
    groups.extend(has(Role::ControlPlane).then_some("kube_control_plane"));
    groups.extend(has(Role::Worker).then_some("kube_node"));
    groups
}

/// The intended groups and variables of a cluster's inventory.
pub fn meant(spec: &ClusterSpec, settings: &[Setting], login: &Login) -> Listing {
    let mut by_scope: BTreeMap<&Scope, Vec<&Setting>> = BTreeMap::new();
    for setting in settings {
        by_scope.entry(&setting.scope).or_default().push(setting);
    }
    let of = |scope: Scope| {
        let settings = by_scope.get(&scope).into_iter().flatten();
        settings.map(|setting| (setting.name.clone(), setting.value.clone())).collect::<Vec<_>>()
    };
    let login = login_variables(login);
    let mut listing = Listing::default();
    for group in ["all", "etcd", "k8s_cluster", "kube_control_plane", "kube_node"] {
        listing.groups.insert(group.to_owned(), BTreeSet::new());
    }
    for machine in &spec.machines {
        let mut variables: BTreeMap<String, Value> =
            login.iter().map(|(name, value)| ((*name).to_owned(), ini(value))).collect();
        for group in groups_of(&machine.roles) {
            listing.groups.entry(group.to_owned()).or_default().insert(machine.name.clone());
            variables.extend(of(Scope::Group(group.to_owned())));
        }
        variables.extend(of(Scope::Host(machine.name.clone())));
        listing.machines.insert(machine.name.clone(), variables);
    }
    listing
}

/// A value of an INI file as Ansible reads it: Python's words for yes and no, else a text.
fn ini(value: &str) -> Value {
    match value {
        "True" => Value::Bool(true),
        "False" => Value::Bool(false),
        text => Value::String(text.to_owned()),
    }
}

/// Reads the output of `ansible-inventory --list`; `None` where it is none.
pub fn listed(printed: &Value) -> Option<Listing> {
    let printed = printed.as_object()?;
    let mut listing = Listing::default();
    for (machine, variables) in printed.get("_meta")?.get("hostvars")?.as_object()? {
        let variables = variables.as_object()?.iter().map(|(name, value)| (name.clone(), value.clone()));
        listing.machines.insert(machine.clone(), variables.collect());
    }
    for group in printed.keys().filter(|name| *name != "_meta") {
        let mut machines = BTreeSet::new();
        gather(printed, group, &mut machines, &mut BTreeSet::new());
        // A machine without a variable of its own has no entry above.
        for machine in &machines {
            listing.machines.entry(machine.clone()).or_default();
        }
        listing.groups.insert(group.clone(), machines);
    }
    Some(listing)
}

fn gather<'a>(
    printed: &'a serde_json::Map<String, Value>,
    group: &'a str,
    machines: &mut BTreeSet<String>,
    seen: &mut BTreeSet<&'a str>,
) {
    // Ansible refuses circles; a text that was damaged may have one.
    if !seen.insert(group) {
        return;
    }
    let Some(group) = printed.get(group) else { return };
    let names = |what: &str| group.get(what).and_then(Value::as_array).into_iter().flatten();
    machines.extend(names("hosts").filter_map(Value::as_str).map(str::to_owned));
    for child in names("children").filter_map(Value::as_str) {
        gather(printed, child, machines, seen);
    }
}

/// One difference between the intended inventory and Ansible's reading.
#[derive(Debug, Clone, PartialEq)]
pub enum Difference {
    /// A group with other machines.
    Group {
        /// The group.
        group: String,
        /// Machines that should be in it.
        missing: Vec<String>,
        /// Machines that should not.
        extra: Vec<String>,
    },
    /// A variable with another value.
    Variable {
        /// The machine.
        machine: String,
        /// The variable.
        variable: String,
        /// The intended value; none for an extra variable.
        meant: Option<Value>,
        /// Ansible's reading; none for one that it does not see.
        got: Option<Value>,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Group { group, missing, extra } => {
                write!(f, "the group `{group}`")?;
                if !missing.is_empty() {
                    write!(f, " lacks {}", missing.join(", "))?;
                }
                if !extra.is_empty() {
                    let and = if missing.is_empty() { "" } else { " and" };
                    write!(f, "{and} has {}, which should not be in it", extra.join(", "))?;
                }
                Ok(())
            }
            Self::Variable { machine, variable, meant, got } => {
                let show = |value: &Value| shown(variable, value);
                match (meant, got) {
                    (Some(meant), Some(got)) => {
                        write!(
                            f,
                            "{machine}: `{variable}` is meant to be {}, and Ansible reads {}",
                            show(meant),
                            show(got)
                        )
                    }
                    (Some(meant), None) => {
                        write!(
                            f,
                            "{machine}: `{variable}` is meant to be {}, and Ansible does not see it",
                            show(meant)
                        )
                    }
                    (None, got) => {
                        let got = got.as_ref().map(show).unwrap_or_default();
                        write!(
                            f,
                            "{machine}: Ansible reads `{variable}` as {got}, and nothing of the kind is meant"
                        )
                    }
                }
            }
        }
    }
}

/// A value as messages show it: short, and nothing that may be a secret.
fn shown(variable: &str, value: &Value) -> String {
    const SECRET: [&str; 4] = ["password", "secret", "token", "private_key"];
    let name = variable.to_lowercase();
    if SECRET.iter().any(|word| name.contains(word)) && !name.ends_with("_file") {
        return "something that is not shown".to_owned();
    }
    let text = value.to_string();
    let mut short: String = text.chars().take(80).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// Every difference, groups first, then machines in their order.
pub fn differences(meant: &Listing, got: &Listing) -> Vec<Difference> {
    let mut found = Vec::new();
    let no_machines = BTreeSet::new();
    // Groups of Ansible's own, and those without a machine, mean nothing.
    let groups: BTreeSet<&String> =
        meant.groups.keys().chain(got.groups.keys().filter(|group| *group != "ungrouped")).collect();
    for group in groups {
        let [meant, got] = [meant, got].map(|listing| listing.groups.get(group).unwrap_or(&no_machines));
        let missing: Vec<String> = meant.difference(got).cloned().collect();
        let extra: Vec<String> = got.difference(meant).cloned().collect();
        if !missing.is_empty() || !extra.is_empty() {
            found.push(Difference::Group { group: group.clone(), missing, extra });
        }
    }
    let none = BTreeMap::new();
    for (machine, variables) in &meant.machines {
        let read = got.machines.get(machine).unwrap_or(&none);
        let names: BTreeSet<&String> = variables.keys().chain(read.keys()).collect();
        for name in names {
            let (meant, got) = (variables.get(name), read.get(name));
            let same = match (meant, got) {
                (Some(meant), Some(got)) => is_same(meant, got),
                (meant, got) => meant.is_none() && got.is_none(),
            };
            if !same {
                found.push(Difference::Variable {
                    machine: machine.clone(),
                    variable: name.clone(),
                    meant: meant.cloned(),
                    got: got.cloned(),
                });
            }
        }
    }
    found
}

/// Whether two values are the same to Ansible: a number is the same with and without a decimal point.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one == other || one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, one)| other.get(key).is_some_and(|other| is_same(one, other)))
        }
        (one, other) => one == other,
    }
}

/// Machines that stand for others: one for each set of roles and of variables that Kubespray decides by. The second is
/// all for which the first stands, itself included.
///
/// Kubespray's answer without a connection depends on nothing else, and asking it for a thousand machines
/// takes an hour.
pub fn representatives(spec: &ClusterSpec, settings: &[Setting]) -> BTreeMap<String, Vec<String>> {
    // Variables that differ from machine to machine and decide nothing about files, images or versions.
    const OWN: [&str; 7] = [
        "ansible_host",
        "ip",
        "access_ip",
        "etcd_member_name",
        "node_labels",
        "node_taints",
        "kube_override_hostname",
    ];
    let mut own: BTreeMap<&str, Vec<(&str, String)>> = BTreeMap::new();
    for setting in settings {
        if let Scope::Host(machine) = &setting.scope
            && !OWN.contains(&setting.name.as_str())
        {
            own.entry(machine).or_default().push((&setting.name, setting.value.to_string()));
        }
    }
    type Kind<'a> = (&'a BTreeSet<Role>, Vec<(&'a str, String)>);
    let mut kinds: BTreeMap<Kind<'_>, Vec<String>> = BTreeMap::new();
    for machine in &spec.machines {
        let own = own.get(machine.name.as_str()).cloned().unwrap_or_default();
        kinds.entry((&machine.roles, own)).or_default().push(machine.name.clone());
    }
    kinds.into_values().filter_map(|machines| Some((machines.first()?.clone(), machines))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixtures;
    use crate::kubespray::index::Index;
    use crate::kubespray::settings;

    fn login() -> Login {
        Login {
            user: "debian".to_owned(),
            lab_dir: "/labs/output/dev".to_owned(),
            key: "keys/id_ed25519".to_owned(),
            ssh_config: "ssh_config".to_owned(),
        }
    }

    fn dev() -> Listing {
        let spec = fixtures::spec();
        meant(&spec, &settings(&spec, &Index::known("v2.30.0").unwrap()), &login())
    }

    #[test]
    fn listing_gives_variables_of_each_machine() {
        let listing = dev();
        let groups: Vec<_> =
            listing.groups.iter().map(|(group, machines)| format!("{group}: {machines:?}")).collect();
        insta::assert_snapshot!(format!(
            "{}\n\n{:#}",
            groups.join("\n"),
            json!(listing.machines["gpu-worker-1"])
        ));
    }

    #[test]
    fn listing_reads_groups_inside_groups() {
        let printed = json!({
            "_meta": {"hostvars": {"a": {"x": 1}}},
            "all": {"children": ["ungrouped", "k8s_cluster"]},
            "k8s_cluster": {"children": ["kube_node"]},
            "kube_node": {"hosts": ["a", "b"]},
        });
        let listing = listed(&printed).unwrap();
        assert_eq!(listing.groups["all"], BTreeSet::from(["a".to_owned(), "b".to_owned()]));
        assert_eq!(listing.machines["a"]["x"], json!(1));
        assert!(listing.machines["b"].is_empty());
        assert_eq!(listed(&json!([])), None);
        assert_eq!(listed(&json!({"all": {}})), None);
    }

    #[test]
    fn every_difference_is_one_sentence() {
        let meant = dev();
        assert_eq!(differences(&meant, &meant), []);
        let mut got = meant.clone();
        got.groups.get_mut("kube_node").unwrap().remove("cpu-worker");
        got.groups.get_mut("etcd").unwrap().insert("cpu-worker".to_owned());
        got.groups.insert("mine".to_owned(), BTreeSet::from(["cpu-worker".to_owned()]));
        got.groups.insert("ungrouped".to_owned(), BTreeSet::from(["cpu-worker".to_owned()]));
        let variables = got.machines.get_mut("gpu-worker-1").unwrap();
        variables.insert("ip".to_owned(), json!("10.0.0.1"));
        variables.insert("stray".to_owned(), json!(vec!["x"; 40]));
        variables.insert("registry_password".to_owned(), json!("hunter2"));
        variables.remove("node_labels");
        let sentences: Vec<String> = differences(&meant, &got).iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(sentences.join("\n"));
    }

    #[test]
    fn numbers_are_compared_as_ansible_does() {
        assert!(is_same(&json!({"a": [1, 2.5]}), &json!({"a": [1.0, 2.5]})));
        assert!(!is_same(&json!("1"), &json!(1)));
        assert!(!is_same(&json!([1]), &json!([1, 1])));
    }

    #[test]
    fn machines_that_differ_only_in_labels_stand_for_each_other() {
        let spec = fixtures::spec();
        let settings = settings(&spec, &Index::known("v2.30.0").unwrap());
        let found = representatives(&spec, &settings);
        let lines: Vec<_> = found.iter().map(|(one, all)| format!("{one}: {}", all.join(", "))).collect();
        assert_eq!(
            lines,
            ["control-plane: control-plane", "cpu-worker: cpu-worker, gpu-worker-1, gpu-worker-2"]
        );
    }
}
