//! The expected state of a cluster, by its cluster file, and how a living one differs from it.
//!
//! The cluster file is the oracle: exactly these nodes, with these roles, labels, taints and versions. Nothing here asks
//! a cluster; `lab/src/validate/` does.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use crate::spec::{ClusterSpec, Role};

/// The label by which Kubernetes knows a control plane (kubeadm's `LabelNodeRoleControlPlane`).
const CONTROL_PLANE: &str = "node-role.kubernetes.io/control-plane";
/// Labels below these are Kubernetes' own: it sets them by the properties of a node.
const OWN: [&str; 2] = ["kubernetes.io", "k8s.io"];

/// A node, as it must be or as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its internal address.
    pub address: Option<Ipv4Addr>,
    /// Why it is not ready; `None` where it is.
    pub not_ready: Option<String>,
    /// The version of its kubelet, `v1.34.3`; `None` where any will do.
    pub version: Option<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its taints, as `kubectl taint` writes them: `key=value:effect`.
    pub taints: BTreeSet<String>,
}

/// The nodes that a cluster file asks for, with this version of Kubernetes (`1.34.3`) where one is known.
pub fn expected(spec: &ClusterSpec, kubernetes: Option<&str>) -> Vec<Node> {
    let is_node =
        |roles: &BTreeSet<Role>| roles.contains(&Role::ControlPlane) || roles.contains(&Role::Worker);
    let nodes = spec.machines.iter().filter(|machine| is_node(&machine.roles));
    nodes
        .map(|machine| {
            let mut labels = machine.labels.clone();
            let mut taints: BTreeSet<String> = machine
                .taints
                .iter()
                .map(|taint| taint_text(&taint.key, &taint.value, &taint.effect))
                .collect();
            if machine.roles.contains(&Role::ControlPlane) {
                labels.insert(CONTROL_PLANE.to_owned(), String::new());
                // A control plane that is a worker too takes any pod (Kubespray, roles/kubernetes/control-plane).
                if !machine.roles.contains(&Role::Worker) {
                    taints.insert(taint_text(CONTROL_PLANE, "", "NoSchedule"));
                }
            }
            Node {
                name: machine.name.clone(),
                address: Some(machine.address),
                not_ready: None,
                version: kubernetes.map(|version| format!("v{version}")),
                labels,
                taints,
            }
        })
        .collect()
}

/// A taint as `kubectl taint` writes it.
pub fn taint_text(key: &str, value: &str, effect: &str) -> String {
    if value.is_empty() { format!("{key}:{effect}") } else { format!("{key}={value}:{effect}") }
}

/// How the nodes found differ from the expected ones, a sentence each; none where they do not.
pub fn differences(expected: &[Node], found: &[Node]) -> Vec<String> {
    let mut differences = Vec::new();
    for node in found {
        if !expected.iter().any(|wanted| wanted.name == node.name) {
            differences.push(format!("the node `{}` is not in the cluster file", node.name));
        }
    }
    for wanted in expected {
        match found.iter().find(|node| node.name == wanted.name) {
            Some(node) => differences.extend(of_node(wanted, node)),
            None => differences.push(format!("the machine `{}` is no node of the cluster", wanted.name)),
        }
    }
    differences
}

fn of_node(wanted: &Node, node: &Node) -> Vec<String> {
    let name = &node.name;
    let mut differences = Vec::new();
    if let Some(why) = &node.not_ready {
        differences.push(format!("`{name}` is not ready: {why}"));
    }
    if wanted.address.is_some() && node.address != wanted.address {
        let shown =
            |address: Option<Ipv4Addr>| address.map_or("none".to_owned(), |address| address.to_string());
        differences.push(format!(
            "`{name}` has the address {}, not {}",
            shown(node.address),
            shown(wanted.address)
        ));
    }
    if wanted.version.is_some() && node.version != wanted.version {
        let shown = |version: &Option<String>| version.clone().unwrap_or_else(|| "no version".to_owned());
        differences.push(format!("`{name}` runs {}, not {}", shown(&node.version), shown(&wanted.version)));
    }
    for (label, value) in &wanted.labels {
        match node.labels.get(label) {
            Some(found) if found == value => {}
            Some(found) => {
                differences.push(format!("`{name}` has the label `{label}={found}`, not `{label}={value}`"))
            }
            None => differences.push(format!("`{name}` lacks the label `{label}={value}`")),
        }
    }
    let is_role = |label: &str| label.starts_with("node-role.kubernetes.io/");
    for (label, value) in &node.labels {
        if !wanted.labels.contains_key(label) && (is_role(label) || !is_own(label)) {
            differences
                .push(format!("`{name}` has the label `{label}={value}`, which is not in the cluster file"));
        }
    }
    for taint in wanted.taints.difference(&node.taints) {
        differences.push(format!("`{name}` lacks the taint `{taint}`"));
    }
    for taint in node.taints.difference(&wanted.taints) {
        differences.push(format!("`{name}` has the taint `{taint}`, which is not in the cluster file"));
    }
    differences
}

fn is_own(name: &str) -> bool {
    let Some((domain, _)) = name.split_once('/') else { return false };
    OWN.iter().any(|own| domain == *own || domain.ends_with(&format!(".{own}")))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::fixtures;

    fn nodes() -> Vec<Node> {
        expected(&fixtures::spec(), Some("1.34.3"))
    }

    #[test]
    fn cluster_file_gives_expected_nodes() {
        insta::assert_debug_snapshot!(nodes());
    }

    #[test]
    fn nodes_as_they_must_be_differ_in_nothing() {
        let mut found = nodes();
        for node in &mut found {
            node.labels.insert("kubernetes.io/hostname".to_owned(), node.name.clone());
            node.labels.insert("beta.kubernetes.io/os".to_owned(), "linux".to_owned());
        }
        assert_eq!(differences(&nodes(), &found), [""; 0]);
    }

    #[rstest]
    #[case::not_ready(|nodes: &mut Vec<Node>| nodes[0].not_ready = Some("KubeletNotReady: no network".into()))]
    #[case::missing(|nodes: &mut Vec<Node>| drop(nodes.remove(1)))]
    #[case::one_too_many(|nodes: &mut Vec<Node>| nodes.push(Node { name: "stranger".into(), ..Node::default() }))]
    #[case::another_version(|nodes: &mut Vec<Node>| nodes[0].version = Some("v1.33.0".into()))]
    #[case::another_address(|nodes: &mut Vec<Node>| nodes[0].address = None)]
    #[case::another_role(|nodes: &mut Vec<Node>| drop(nodes[1].labels.insert(CONTROL_PLANE.into(), String::new())))]
    #[case::lost_label(|nodes: &mut Vec<Node>| nodes[0].labels.clear())]
    #[case::unknown_label(|nodes: &mut Vec<Node>| drop(nodes[0].labels.insert("tier".into(), "gold".into())))]
    #[case::lost_taint(|nodes: &mut Vec<Node>| nodes[0].taints.clear())]
    #[case::unknown_taint(|nodes: &mut Vec<Node>| nodes[1].taints.extend(["a=b:NoExecute".into()]))]
    fn each_difference_is_one_sentence(#[case] change: fn(&mut Vec<Node>)) {
        let mut found = nodes();
        change(&mut found);
        let differences = differences(&nodes(), &found);
        assert_eq!(differences.len(), 1, "{differences:?}");
        let case = std::thread::current()
            .name()
            .unwrap_or_default()
            .rsplit("::")
            .next()
            .unwrap_or_default()
            .to_owned();
        insta::assert_snapshot!(case, differences[0]);
    }
}
