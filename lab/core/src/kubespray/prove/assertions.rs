//! Kubespray's own refusals, and the settings behind them.

use std::collections::BTreeMap;
use std::fmt;

use crate::kubespray::events::Failure;
use crate::kubespray::setting::{Origin, Scope, Setting};

/// Something that Kubespray refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Kubespray's name for the check.
    pub task: String,
    /// Its message.
    pub message: String,
    /// The condition that does not hold, where it says so.
    pub assertion: Option<String>,
    /// The machines for which it does not.
    pub machines: Vec<String>,
    /// Where the values come from that the condition looks at.
    pub causes: Vec<String>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kubespray refuses: {}", self.message)?;
        if !self.message.contains(&self.task) {
            write!(f, " ({})", self.task)?;
        }
        if let Some(assertion) = &self.assertion {
            write!(f, "; it wants `{assertion}`")?;
        }
        write!(f, "; on {}", self.machines.join(", "))?;
        for cause in &self.causes {
            write!(f, "\n  {cause}")?;
        }
        Ok(())
    }
}

/// The message where a check has none of its own.
const NO_MESSAGE: &str = "Assertion failed";

/// The groups of machines that checks look at, and the settings that decide about them.
const GROUPS: [(&str, &str); 3] = [
    ("etcd", "`machines`: those with the role `etcd`, or else the control planes"),
    ("kube_control_plane", "`machines`: those with the role `control-plane`"),
    ("k8s_cluster", "`machines`: the control planes and the workers"),
];

/// Kubespray's refusals, from failures: task, machine, reason. One refusal for all machines for which it is
/// the same.
pub fn refusals(failed: &[(String, String, Failure)], settings: &[Setting]) -> Vec<Refusal> {
    let mut found: Vec<Refusal> = Vec::new();
    for (task, machine, failure) in failed {
        // Tasks of roles carry the name of their role in front.
        let task = task.rsplit_once(" : ").map_or(task.as_str(), |(_, name)| name).trim().to_owned();
        let says_nothing = failure.message.is_empty() || failure.message == NO_MESSAGE;
        let message = match unfilled(&failure.message) {
            _ if says_nothing => task.clone(),
            Some((expression, reason)) => format!("`{expression}` has no value: {reason}"),
            None => one_line(&failure.message),
        };
        let assertion = failure.assertion.clone();
        if let Some(same) = found
            .iter_mut()
            .find(|one| (&one.task, &one.message, &one.assertion) == (&task, &message, &assertion))
        {
            same.machines.push(machine.clone());
            continue;
        }
        let causes =
            causes(&format!("{} {message} {task}", assertion.as_deref().unwrap_or("")), machine, settings);
        found.push(Refusal { task, message, assertion, machines: vec![machine.clone()], causes });
    }
    for refusal in &mut found {
        // Machines fail at the same time, in no order.
        refusal.machines.sort();
    }
    found
}

/// The innermost template that could not be filled and the reason, out of a message that repeats every layer around it:
/// `… {{ inner }}: 'dict object' has no attribute '9.9.9'`.
fn unfilled(message: &str) -> Option<(&str, &str)> {
    let (before, after) = message.rsplit_once("}}: ")?;
    let (_, expression) = before.rsplit_once("{{")?;
    let reason = after.lines().next()?;
    // Ansible says it twice.
    let reason = reason.split_once(". ").map_or(reason, |(reason, _)| reason);
    Some((expression.trim(), reason.trim()))
}

/// Of a template that cannot be filled in Ansible repeats every layer.
fn one_line(message: &str) -> String {
    let words: Vec<&str> = message.split_whitespace().collect();
    let line = words.join(" ");
    let mut short: String = line.chars().take(400).collect();
    if short.len() < line.len() {
        short.push('…');
    }
    short
}

/// Every setting whose name is in the text, and every group.
fn causes(text: &str, machine: &str, settings: &[Setting]) -> Vec<String> {
    let words: Vec<&str> = text.split(|c: char| !(c.is_alphanumeric() || c == '_')).collect();
    let mut causes: BTreeMap<&str, String> = BTreeMap::new();
    for setting in settings.iter().filter(|setting| words.contains(&setting.name.as_str())) {
        if matches!(&setting.scope, Scope::Host(name) if name != machine) {
            continue;
        }
        causes.insert(&setting.name, describe_setting(setting));
    }
    let mut causes: Vec<String> = causes.into_values().collect();
    if text.contains("groups") {
        let groups = GROUPS.iter().filter(|(group, _)| words.contains(group));
        causes.extend(groups.map(|(group, what)| format!("the group `{group}` comes from {what}")));
    }
    causes
}

/// A setting, its value, and where that comes from.
fn describe_setting(setting: &Setting) -> String {
    let from = match &setting.origin {
        Origin::ClusterFile(key) => format!("`{key}` in the cluster file"),
        Origin::Harness(why) => format!("the lab itself: {why}"),
        Origin::File { .. } => "the inventory".to_owned(),
    };
    format!("`{}` is {}, from {from}", setting.name, short(&setting.value))
}

fn short(value: &serde_json::Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 60 { text } else { text.chars().take(60).chain(['…']).collect() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn refusal_names_machines_and_keys() {
        let setting = |name: &str, value, origin| Setting {
            scope: Scope::Group("k8s_cluster".into()),
            name: name.into(),
            value,
            origin,
        };
        let settings = [
            setting(
                "kube_pods_subnet",
                json!("10.96.128.0/20"),
                Origin::ClusterFile("kubernetes.network.pods".into()),
            ),
            setting(
                "kube_service_addresses",
                json!("10.96.0.0/12"),
                Origin::Harness("kept apart from the machines"),
            ),
            setting(
                "etcd_version",
                json!("9.9.9"),
                Origin::ClusterFile("kubespray.variables.all.etcd_version".into()),
            ),
            setting("dns_mode", json!("coredns"), Origin::ClusterFile("kubernetes.dns.mode".into())),
        ];
        let fails = |task: &str, machine: &str, message: &str, assertion: &str| {
            let assertion = Some(assertion.to_owned()).filter(|text| !text.is_empty());
            (
                task.to_owned(),
                machine.to_owned(),
                Failure { message: message.to_owned(), assertion, ..Failure::default() },
            )
        };
        let failed = [
            fails(
                "validate_inventory : Stop if even number of etcd hosts",
                "control-plane",
                "Assertion failed",
                "groups.get('etcd', groups.kube_control_plane) | length is not divisibleby 2",
            ),
            fails(
                "validate_inventory : Check that kube_pods_subnet does not collide with kube_service_addresses",
                "control-plane",
                "kube_pods_subnet cannot be the same network segment as kube_service_addresses",
                "kube_pods_subnet | ansible.utils.ipaddr(kube_service_addresses) | string == 'None'",
            ),
            fails("resolve", "b", "'dict object' has no\n attribute", ""),
            fails("resolve", "a", "'dict object' has no\n attribute", ""),
            fails(
                "resolve",
                "b",
                "{{ downloads }}: {'x': '{{ y }}'}: {{ sums[arch][etcd_version] }}: 'dict object' has no attribute '9.9.9'. {{ sums",
                "",
            ),
        ];
        let sentences: Vec<String> = refusals(&failed, &settings).iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(sentences.join("\n"));
    }
}
