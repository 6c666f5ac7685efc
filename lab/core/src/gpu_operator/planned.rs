//! What must be there once the operator is ready: the oracle of the checks, made of the cluster file alone.

use std::collections::BTreeSet;

use serde_json::Value;

use super::chart::{Chart, DaemonSet};
use super::nodes::{EXCLUSIVE, MIG_LABEL, gpu_nodes, is_divisible, is_node, shared, taints};
use super::values::{effective, is_on, tolerates, values};
use crate::spec::{ClusterSpec, MachineSpec, MigStrategy};

/// The name of the release of the chart. Names of Node Feature Discovery's objects begin with it.
pub const RELEASE: &str = "gpu-operator";

/// What must be there once the operator is ready.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Planned {
    /// The nodes with GPUs, in the order of the file.
    pub nodes: Vec<PlannedNode>,
    /// The DaemonSets, sorted by their names; none but these.
    pub daemon_sets: Vec<PlannedDaemonSet>,
}

/// A node with GPUs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedNode {
    /// The name of the machine.
    pub name: String,
    /// The number of its GPUs.
    pub gpus: u32,
    /// Time slices of each; one where they are not shared.
    pub replicas: u32,
    /// How many of [`super::RESOURCE`] pods can have; `None` where the cluster file does not say: the GPUs are
    /// divided, or a configuration of the user's own shares them.
    pub allocatable: Option<u32>,
    /// The most that one pod can ask for: of time slices, one.
    pub largest_request: u32,
    /// The configuration of the device plugin; `None` where there is only one for all.
    pub config: Option<String>,
}

/// A DaemonSet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedDaemonSet {
    /// Its name.
    pub name: String,
    /// The nodes that it must have a pod on. Their number is what it wants and what must be ready.
    pub nodes: BTreeSet<String>,
}

/// What must be there once the operator of a cluster is ready; nothing where the cluster has none.
pub fn planned(spec: &ClusterSpec, chart: &Chart) -> Planned {
    if spec.gpu_operator.is_none() {
        return Planned::default();
    }
    let values = values(spec, chart);
    let mut daemon_sets: Vec<PlannedDaemonSet> = operands(spec, chart, &values);
    if is_on(&values, chart, "nfd.enabled") {
        daemon_sets.push(discovery(spec, chart, &values));
    }
    daemon_sets.sort_by(|one, other| one.name.cmp(&other.name));
    Planned { nodes: gpu_nodes(spec).map(|machine| node(spec, machine)).collect(), daemon_sets }
}

fn node(spec: &ClusterSpec, machine: &MachineSpec) -> PlannedNode {
    let operator = spec.gpu_operator.as_ref();
    let gpus = u32::try_from(machine.gpus.len()).unwrap_or(u32::MAX);
    let sharing = operator.map(|operator| &operator.sharing);
    let replicas = sharing.and_then(|sharing| sharing.get(&machine.name)).copied();
    let own_config =
        operator.is_some_and(|operator| operator.values.get("devicePlugin").is_some_and(has_config));
    let divided = operator.is_some_and(|operator| operator.mig != MigStrategy::None)
        && machine.labels.contains_key(MIG_LABEL);
    let known = !own_config && !divided;
    PlannedNode {
        name: machine.name.clone(),
        gpus,
        replicas: replicas.unwrap_or(1),
        allocatable: known.then(|| gpus.saturating_mul(replicas.unwrap_or(1))),
        largest_request: if replicas.is_some() { 1 } else { gpus },
        config: sharing
            .filter(|sharing| !sharing.is_empty())
            .map(|_| replicas.map_or(EXCLUSIVE.to_owned(), shared)),
    }
}

fn has_config(plugin: &Value) -> bool {
    plugin.get("config").is_some()
}

/// The operator's parts by the folder of `assets/` that each is made of, and the key that switches it on
/// (`isStateEnabled` in `controllers/state_manager.go`). Those for virtual machines are left out: they are made only
/// with `sandboxWorkloads.enabled`.
const STATES: [(&str, Option<&str>); 10] = [
    ("state-driver", Some("driver.enabled")),
    ("state-container-toolkit", Some("toolkit.enabled")),
    ("state-operator-validation", None),
    ("state-device-plugin", Some("devicePlugin.enabled")),
    ("state-mps-control-daemon", Some("devicePlugin.enabled")),
    ("state-dcgm", Some("dcgm.enabled")),
    ("state-dcgm-exporter", Some("dcgmExporter.enabled")),
    ("gpu-feature-discovery", Some("gfd.enabled")),
    ("state-mig-manager", Some("migManager.enabled")),
    ("state-node-status-exporter", Some("nodeStatusExporter.enabled")),
];

fn operands(spec: &ClusterSpec, chart: &Chart, values: &Value) -> Vec<PlannedDaemonSet> {
    let on = STATES.iter().filter(|(_, switch)| switch.is_none_or(|switch| is_on(values, chart, switch)));
    on.filter_map(|(state, _)| {
        let set = chart.data.daemon_sets.get(*state)?;
        let nodes = gpu_nodes(spec).filter(|machine| is_selected(set, machine));
        Some(PlannedDaemonSet {
            name: set.name.clone(),
            nodes: nodes.map(|machine| machine.name.clone()).collect(),
        })
    })
    .collect()
}

/// Whether a node has the labels that a DaemonSet asks for. The operator gives a node with a GPU those below
/// `nvidia.com/gpu.deploy.` unless the cluster file has another value; the MIG manager's only where a GPU can be
/// divided. Nothing here shares by MPS.
fn is_selected(set: &DaemonSet, machine: &MachineSpec) -> bool {
    set.selector.iter().all(|(label, value)| match machine.labels.get(label) {
        Some(own) => own == value,
        None if label.ends_with(".mig-manager") => {
            machine.gpus.iter().any(|gpu| is_divisible(gpu).unwrap_or(true))
        }
        None => label.starts_with("nvidia.com/gpu.deploy."),
    })
}

/// The worker of Node Feature Discovery runs on all nodes whose taints it tolerates.
fn discovery(spec: &ClusterSpec, chart: &Chart, values: &Value) -> PlannedDaemonSet {
    let tolerations = effective(values, chart, "node-feature-discovery.worker.tolerations");
    let tolerations = tolerations.as_ref().and_then(Value::as_array).cloned().unwrap_or_default();
    let reached = spec.machines.iter().filter(|machine| {
        is_node(machine)
            && taints(machine)
                .iter()
                .all(|taint| tolerations.iter().any(|toleration| tolerates(toleration, taint)))
    });
    PlannedDaemonSet {
        name: format!("{RELEASE}-node-feature-discovery-worker"),
        nodes: reached.map(|machine| machine.name.clone()).collect(),
    }
}
