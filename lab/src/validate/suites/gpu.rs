//! Checks of GPUs that only ask the API and the machines: from the PCI function to what a node can allocate, in the order in
//! which one needs the other.
//!
//! The plan is the oracle: the GPUs of the cluster file, never those that the cluster shows. Every check wants more than
//! zero of what it counts: with no GPU node at all the operator calls itself ready.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{ContainerStatus, Node, Pod};
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams};
use kube::{Api, ResourceExt as _};
use lab_core::gpu_operator::{self, Planned, PlannedDaemonSet, PlannedNode, RESOURCE, feature_labels};
use lab_core::needs::Need;

use crate::timeouts::GPU_HOLD_INTERVAL;
use crate::validate::access::{Looked, Site};
use crate::validate::check::{BASE, Check};
use crate::wait::pause;

use super::gpu_chain;

/// The name of NFD's label of a node with a PCI function of NVIDIA's.
const PCI_LABEL: &str = "feature.node.kubernetes.io/pci-10de.present";
/// The operator's own label of such a node.
const PRESENT_LABEL: &str = "nvidia.com/gpu.present";

/// They make nothing in the cluster, and are those that an installation waits for.
pub const LOOKS: &[&str] =
    &["gpu-labels", "gpu-daemonsets", "gpu-validator", "gpu-policy", "gpu-allocatable", "gpu-features"];

/// In the order of the chain.
pub const CHECKS: &[Check] = &[
    Check {
        id: "gpu-labels",
        title: "exactly the planned nodes have a GPU",
        run: |context| Box::pin(labels(&context.site)),
        ..LOOK
    },
    Check {
        id: "gpu-daemonsets",
        title: "every part of the operator runs on every planned node",
        run: |context| Box::pin(daemon_sets(&context.site)),
        ..LOOK
    },
    Check {
        id: "gpu-validator",
        title: "the operator's own validation passed on every planned node",
        run: |context| Box::pin(validator(&context.site)),
        ..LOOK
    },
    Check {
        id: "gpu-policy",
        title: "the ClusterPolicy is ready, and not for want of GPUs",
        run: |context| Box::pin(policy(&context.site)),
        ..LOOK
    },
    Check {
        id: "gpu-allocatable",
        title: "nodes offer the planned number of GPUs",
        run: |context| Box::pin(allocatable(&context.site)),
        ..LOOK
    },
    Check {
        id: "gpu-features",
        title: "labels describe the planned GPUs",
        run: |context| Box::pin(features(&context.site)),
        ..LOOK
    },
];

const LOOK: Check = Check { needs: &[Need::GpuOperator], ..BASE };

/// A node of the plan, and what the plan knows of its GPUs.
pub struct GpuNode {
    /// The node.
    pub plan: PlannedNode,
    /// The UUIDs of its GPUs; empty where the plan does not know them.
    pub uuids: BTreeSet<String>,
    /// The labels that describe them.
    labels: BTreeMap<String, String>,
}

impl GpuNode {
    /// How many pods can have one GPU each, at one time.
    pub fn slices(&self) -> u32 {
        self.plan.allocatable.unwrap_or(self.plan.gpus)
    }
}

/// All of the plan; with no GPU in it, there is nothing that a check could see.
fn plan(site: &Site) -> Result<Planned, Vec<String>> {
    let chart = site.spec.gpu_operator.as_ref().and_then(|operator| gpu_operator::chart(&operator.version));
    let plan = chart.map(|chart| gpu_operator::planned(&site.spec, chart)).unwrap_or_default();
    if plan.nodes.is_empty() {
        Err(vec!["no machine of the cluster file has a GPU".to_owned()])
    } else {
        Ok(plan)
    }
}

/// The planned nodes, at least one.
pub fn planned(site: &Site) -> Result<Vec<GpuNode>, Vec<String>> {
    let machine = |name: &str| site.spec.machines.iter().find(|machine| machine.name == name);
    let node = |plan: PlannedNode| {
        let (uuids, labels) = machine(&plan.name)
            .map(|machine| (gpu_operator::uuids(&site.spec, machine), feature_labels(&site.spec, machine)))
            .unwrap_or_default();
        GpuNode { plan, uuids, labels }
    };
    Ok(plan(site)?.nodes.into_iter().map(node).collect())
}

/// The first of the pods that runs on a node.
pub fn on_node<'p>(pods: &'p [Pod], node: &str) -> Option<&'p Pod> {
    let is_there = |pod: &&Pod| {
        pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).is_some_and(|name| name == node)
    };
    pods.iter().find(is_there)
}

async fn nodes(site: &Site) -> anyhow::Result<BTreeMap<String, Node>> {
    let api: Api<Node> = Api::all(site.client.clone());
    Ok(api.list(&ListParams::default()).await?.into_iter().map(|node| (node.name_any(), node)).collect())
}

/// Looks at nodes until nothing is wrong.
async fn settle_nodes(
    site: &Site,
    judge: impl Fn(&BTreeMap<String, Node>) -> Vec<String>,
    good: String,
) -> Looked {
    let api: Api<Node> = Api::all(site.client.clone());
    site.settle(api, || async {
        let problems = judge(&nodes(site).await?);
        Ok(if problems.is_empty() { Ok(vec![good.clone()]) } else { Err(problems) })
    })
    .await
}

/// NFD and the operator mark exactly the planned nodes.
async fn labels(site: &Site) -> Looked {
    let planned = planned(site)?;
    let wanted: BTreeSet<&str> = planned.iter().map(|node| node.plan.name.as_str()).collect();
    let good = wanted.iter().copied().collect::<Vec<_>>().join(", ");
    settle_nodes(site, |nodes| label_problems(&wanted, nodes), good).await
}

fn label_problems(wanted: &BTreeSet<&str>, nodes: &BTreeMap<String, Node>) -> Vec<String> {
    let mut problems = Vec::new();
    for (label, who) in [(PCI_LABEL, "node feature discovery"), (PRESENT_LABEL, "the operator")] {
        let has = |node: &&str| {
            nodes.get(*node).and_then(|node| node.labels().get(label)).is_some_and(|value| value == "true")
        };
        let lacking: Vec<&str> = wanted.iter().filter(|node| !has(node)).copied().collect();
        let others = nodes.keys().map(String::as_str).filter(|node| !wanted.contains(node)).filter(has);
        if !lacking.is_empty() {
            problems.push(format!("{who} has not labelled {} with `{label}=true`", lacking.join(", ")));
        }
        problems
            .extend(others.map(|node| {
                format!("{who} labelled `{node}` with `{label}=true`, which has no planned GPU")
            }));
    }
    problems
}

/// DaemonSets are counted against the plan: wanted, ready and planned are one number above zero, and it holds.
async fn daemon_sets(site: &Site) -> Looked {
    let first = count_daemon_sets(site).await;
    // One look has no time to see whether it holds.
    if first.is_ok() && !site.patience.is_zero() {
        // Right after their creation they want no pod, and want nothing of what they do not want.
        pause(GPU_HOLD_INTERVAL).await;
        return match count_daemon_sets(site).await {
            Err(problems) => {
                Err(problems.into_iter().map(|problem| format!("it did not hold: {problem}")).collect())
            }
            good => good,
        };
    }
    let mut problems = match first {
        Err(problems) => problems,
        good => return good,
    };
    problems.extend(gpu_chain::first_broken_link(site).await);
    Err(problems)
}

async fn count_daemon_sets(site: &Site) -> Looked {
    let wanted = plan(site)?.daemon_sets;
    let Some(spec) = &site.spec.gpu_operator else { return Err(vec![]) };
    let api: Api<DaemonSet> = Api::namespaced(site.client.clone(), &spec.namespace);
    site.settle(api.clone(), || async {
        let found: BTreeMap<String, DaemonSet> =
            api.list(&ListParams::default()).await?.into_iter().map(|set| (set.name_any(), set)).collect();
        let problems: Vec<String> =
            wanted.iter().filter_map(|set| set_problem(set, found.get(&set.name))).collect();
        let good = || {
            let some = wanted.iter().filter(|set| !set.nodes.is_empty());
            some.map(|set| format!("{} {}", set.name, set.nodes.len())).collect()
        };
        Ok(if problems.is_empty() { Ok(good()) } else { Err(problems) })
    })
    .await
}

/// What is wrong with a DaemonSet that must run on so many nodes.
fn set_problem(planned: &PlannedDaemonSet, found: Option<&DaemonSet>) -> Option<String> {
    let (name, nodes) = (&planned.name, planned.nodes.len());
    let Some(set) = found else { return Some(format!("there is no DaemonSet `{name}`")) };
    let status = set.status.clone().unwrap_or_default();
    if set.metadata.generation > status.observed_generation {
        return Some(format!("`{name}` was changed, and its controller has not looked at it yet"));
    }
    let (wanted, ready) = (status.desired_number_scheduled, status.number_ready);
    let updated = status.updated_number_scheduled.unwrap_or_default();
    let planned = i32::try_from(nodes).unwrap_or(i32::MAX);
    if wanted != planned {
        return Some(format!("`{name}` wants to run on {wanted} nodes, and the plan has {planned}"));
    }
    if ready != planned || updated != planned {
        return Some(format!("`{name}` is ready on {ready} of {planned} nodes"));
    }
    None
}

/// The steps of the operator's validator ended well on each node.
async fn validator(site: &Site) -> Looked {
    let planned = planned(site)?;
    let Some(spec) = &site.spec.gpu_operator else { return Err(vec![]) };
    let api: Api<Pod> = Api::namespaced(site.client.clone(), &spec.namespace);
    let of = ListParams::default().labels("app=nvidia-operator-validator");
    site.settle(api.clone(), || async {
        let pods = api.list(&of).await?.items;
        let mut problems = Vec::new();
        let mut steps = 0;
        for node in &planned {
            let Some(pod) = on_node(&pods, &node.plan.name) else {
                problems.push(format!("no validator runs on `{}`", node.plan.name));
                continue;
            };
            let done: Vec<&ContainerStatus> = pod
                .status
                .iter()
                .flat_map(|status| status.init_container_statuses.iter().flatten())
                .collect();
            // A pod that was made just now has steps, and says nothing of them yet.
            for step in pod.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten()) {
                let status = done.iter().find(|status| status.name == step.name);
                let ended = status.and_then(|status| status.state.as_ref()?.terminated.as_ref());
                match ended {
                    Some(ended) if ended.exit_code == 0 => steps += 1,
                    _ => problems.push(format!("`{}` has not passed on `{}`", step.name, node.plan.name)),
                }
            }
        }
        if problems.is_empty() && steps == 0 {
            problems.push("the validator has no step".to_owned());
        }
        Ok(if problems.is_empty() { Ok(vec![format!("{steps} steps")]) } else { Err(problems) })
    })
    .await
}

/// Ready, because everything was reconciled: without GPU nodes the operator calls itself ready too.
async fn policy(site: &Site) -> Looked {
    planned(site)?;
    let kind = ApiResource::from_gvk_with_plural(
        &GroupVersionKind::gvk("nvidia.com", "v1", "ClusterPolicy"),
        "clusterpolicies",
    );
    let api: Api<DynamicObject> = Api::all_with(site.client.clone(), &kind);
    site.settle(api.clone(), || async {
        let found = api.list(&ListParams::default()).await?.items;
        let [policy] = found.as_slice() else {
            return Ok(Err(vec![format!("there are {} ClusterPolicies, and not one", found.len())]));
        };
        Ok(policy_problem(&policy.data["status"])
            .map_or_else(|| Ok(vec!["Reconciled".to_owned()]), |why| Err(vec![why])))
    })
    .await
}

fn policy_problem(status: &serde_json::Value) -> Option<String> {
    let state = status["state"].as_str().unwrap_or("not said");
    let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
    let find = |kind: &str| conditions.iter().find(|one| one["type"] == kind).cloned().unwrap_or_default();
    let (ready, error) = (find("Ready"), find("Error"));
    if state != "ready" || ready["status"] != "True" {
        // The state changes before the conditions do, which then still say why it was ready.
        let says = |one: &serde_json::Value, status: &str| {
            one["message"]
                .as_str()
                .filter(|text| one["status"] == status && !text.is_empty())
                .map(str::to_owned)
        };
        let why = says(&error, "True").or_else(|| says(&ready, "False"));
        return Some(format!(
            "its state is `{state}`: {}",
            why.unwrap_or_else(|| "it does not say why".to_owned())
        ));
    }
    let reason = ready["reason"].as_str().unwrap_or_default();
    (reason != "Reconciled")
        .then(|| format!("it is ready for the reason `{reason}`: the operator has found no GPU node"))
}

/// Each planned node offers GPUs × replicas, no other node offers one.
async fn allocatable(site: &Site) -> Looked {
    let mut problems = match count_allocatable(site).await {
        Err(problems) => problems,
        good => return good,
    };
    for node in planned(site)? {
        problems.extend(gpu_chain::unhealthy(site, &node.plan.name).await);
    }
    Err(problems)
}

async fn count_allocatable(site: &Site) -> Looked {
    let planned = planned(site)?;
    let good: Vec<String> = planned
        .iter()
        .filter_map(|node| Some(format!("{} {}", node.plan.name, node.plan.allocatable?)))
        .collect();
    let good = good.join(", ");
    settle_nodes(site, |nodes| allocatable_problems(&planned, nodes), good).await
}

fn allocatable_problems(planned: &[GpuNode], nodes: &BTreeMap<String, Node>) -> Vec<String> {
    nodes
        .iter()
        .filter_map(|(name, node)| {
            let offered = offered(node);
            let wanted = match planned.iter().find(|planned| planned.plan.name == *name) {
                Some(planned) => planned.plan.allocatable.unwrap_or(offered.max(1)),
                None => 0,
            };
            (offered != wanted)
                .then(|| format!("`{name}` offers {offered} of `{RESOURCE}`, and the plan has {wanted}"))
        })
        .collect()
}

/// How many GPUs pods can ask a node for.
pub fn offered(node: &Node) -> u32 {
    let all = node.status.as_ref().and_then(|status| status.allocatable.as_ref());
    all.and_then(|all| all.get(RESOURCE)).and_then(|count| count.0.parse().ok()).unwrap_or_default()
}

/// GPU feature discovery says of each node what the plan says.
async fn features(site: &Site) -> Looked {
    let planned = planned(site)?;
    let good: Vec<String> = planned
        .iter()
        .map(|node| {
            let product = node.labels.get("nvidia.com/gpu.product").map_or("as planned", String::as_str);
            format!("{} {product}", node.plan.name)
        })
        .collect();
    let good = good.join(", ");
    settle_nodes(site, |nodes| feature_problems(&planned, nodes), good).await
}

fn feature_problems(planned: &[GpuNode], nodes: &BTreeMap<String, Node>) -> Vec<String> {
    let mut problems = Vec::new();
    for planned in planned {
        let labels = nodes.get(&planned.plan.name).map(|node| node.labels().clone()).unwrap_or_default();
        for (label, wanted) in &planned.labels {
            match labels.get(label) {
                Some(found) if found == wanted => {}
                Some(found) => problems.push(format!(
                    "`{}` has `{label}={found}`, and the plan has `{wanted}`",
                    planned.plan.name
                )),
                None => problems.push(format!("`{}` lacks `{label}={wanted}`", planned.plan.name)),
            }
        }
    }
    problems
}
