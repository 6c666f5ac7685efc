//! Checks that only ask the API: nodes, system pods, leases, metrics.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node as ApiNode, Pod};
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use lab_core::gpu_operator::is_own_label;
use lab_core::needs::Need;
use lab_core::validate::{Node, differences, expected, taint_text};
use serde::Deserialize;

use crate::timeouts::{METRICS_INTERVAL, METRICS_REQUEST_TIMEOUT, POD_READY_TIMEOUT};
use crate::wait::{Deadline, Probe, until};

use crate::validate::access::{Looked, Site};
use crate::validate::check::{BASE, Check};

/// The start of a detail about pods that need not be ready yet.
pub const ON_THEIR_WAY: &str = "on their way up:";
/// Where Kubernetes' own pods live.
pub const SYSTEM: &str = "kube-system";

/// Each of them watches by itself, for as long as the caller is patient.
pub const CHECKS: &[Check] = &[
    Check {
        id: "nodes",
        title: "the nodes are those of the cluster file",
        run: |context| Box::pin(nodes(&context.site)),
        ..BASE
    },
    Check {
        id: "system-pods",
        title: "every pod of the system is ready",
        run: |context| Box::pin(system_pods(&context.site)),
        ..BASE
    },
    Check {
        id: "leases",
        title: "nodes and controllers renew their leases",
        run: |context| Box::pin(leases(&context.site)),
        ..BASE
    },
    Check {
        id: "top",
        title: "nodes and pods are measured",
        needs: &[Need::MetricsServer],
        run: |context| Box::pin(top(&context.site)),
        ..BASE
    },
];

/// Exactly the nodes of the cluster file, ready, with its roles, labels, taints, addresses and version.
pub async fn nodes(site: &Site) -> Looked {
    let wanted = expected(&site.spec, site.kubernetes.as_deref());
    let api: Api<ApiNode> = Api::all(site.client.clone());
    site.settle(api.clone(), || async {
        let found: Vec<Node> =
            api.list(&ListParams::default()).await?.iter().map(|node| read_node(site, node)).collect();
        let problems = differences(&wanted, &found);
        Ok(if problems.is_empty() { Ok(vec![format!("{} nodes", found.len())]) } else { Err(problems) })
    })
    .await
}

fn read_node(site: &Site, node: &ApiNode) -> Node {
    let status = node.status.clone().unwrap_or_default();
    let ready = status.conditions.iter().flatten().find(|condition| condition.type_ == "Ready");
    let heard = ready.and_then(|ready| ready.last_heartbeat_time.as_ref());
    let not_ready = match ready {
        // The cluster takes a while to notice that a kubelet is silent, and a restored one does not know that it slept.
        Some(_) if heard.is_some_and(|heard| !site.is_of_this_run(&node.name_any(), heard.0)) => {
            Some("its kubelet has not said anything since the machine was started".to_owned())
        }
        Some(ready) if ready.status == "True" => None,
        Some(ready) => Some(format!(
            "{}: {}",
            ready.reason.clone().unwrap_or_default(),
            ready.message.clone().unwrap_or_default()
        )),
        None => Some("its kubelet has not said anything".to_owned()),
    };
    let address = status.addresses.iter().flatten().find(|address| address.type_ == "InternalIP");
    let taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
    Node {
        name: node.name_any(),
        address: address.and_then(|address| address.address.parse().ok()),
        not_ready,
        version: status.node_info.map(|info| info.kubelet_version),
        labels: labels_of_users(site, node),
        taints: taints
            .map(|taint| taint_text(&taint.key, taint.value.as_deref().unwrap_or_default(), &taint.effect))
            .collect(),
    }
}

/// The labels of a node but for those that the GPU Operator maintains.
fn labels_of_users(site: &Site, node: &ApiNode) -> BTreeMap<String, String> {
    let planned = site.spec.machines.iter().find(|machine| machine.name == node.name_any());
    let is_planned = |label: &String| planned.is_some_and(|machine| machine.labels.contains_key(label));
    let is_operators = |label: &String| site.spec.gpu_operator.is_some() && is_own_label(label);
    let mut labels = node.labels().clone();
    labels.retain(|label, _| is_planned(label) || !is_operators(label));
    labels
}

/// Every pod of the system runs and is ready.
pub async fn system_pods(site: &Site) -> Looked {
    let api: Api<Pod> = Api::namespaced(site.client.clone(), SYSTEM);
    site.settle(api.clone(), || async {
        let pods = api.list(&ListParams::default()).await?.items;
        let now = Timestamp::now();
        let mut on_their_way = Vec::new();
        let mut problems = Vec::new();
        for pod in &pods {
            let Some(why) = asleep(site, pod).or_else(|| not_well(pod)) else { continue };
            if site.lenient && is_on_its_way(site, pod, now) {
                on_their_way.push(format!("`{}`", pod.name_any()));
            } else {
                problems.push(why);
            }
        }
        let mut seen = vec![format!("{} pods", pods.len())];
        if !on_their_way.is_empty() {
            seen.push(format!("{ON_THEIR_WAY} {}", on_their_way.join(", ")));
        }
        Ok(match (pods.is_empty(), problems.is_empty()) {
            (true, _) => Err(vec![format!("there is no pod in {SYSTEM}")]),
            (false, true) => Ok(seen),
            (false, false) => Err(problems),
        })
    })
    .await
}

/// Whether a pod may be well soon: its machine was started a short time ago, and may not have got to it yet, or all its
/// containers run, and those that are not ready have not run for long.
fn is_on_its_way(site: &Site, pod: &Pod, now: Timestamp) -> bool {
    let is_short_ago =
        |since: Timestamp| now.duration_since(since).unsigned_abs() < POD_READY_TIMEOUT.times(site.times);
    let machine = pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref());
    let started = machine.and_then(|machine| site.started.get(machine));
    if started.is_some_and(|second| Timestamp::from_second(*second).is_ok_and(is_short_ago)) {
        return true;
    }
    let status = pod.status.clone().unwrap_or_default();
    let is_running = status.phase.as_deref() == Some("Running");
    is_running
        && status.container_statuses.iter().flatten().filter(|status| !status.ready).all(|status| {
            let running = status.state.as_ref().and_then(|state| state.running.as_ref());
            let started = running.and_then(|running| running.started_at.as_ref());
            started.is_some_and(|started| is_short_ago(started.0))
        })
}

/// Why a pod is not well; `None` where it is.
pub fn not_well(pod: &Pod) -> Option<String> {
    let name = pod.name_any();
    let status = pod.status.clone().unwrap_or_default();
    let phase = status.phase.unwrap_or_else(|| "unknown".to_owned());
    if phase == "Succeeded" {
        return None;
    }
    let conditions = status.conditions.unwrap_or_default();
    let ready = conditions.iter().find(|condition| condition.type_ == "Ready");
    if phase == "Running" && ready.is_some_and(|ready| ready.status == "True") {
        return None;
    }
    // What keeps a container from running says more than the phase.
    let containers = status.init_container_statuses.into_iter().chain(status.container_statuses).flatten();
    let waits = containers.filter_map(|container| {
        let state = container.state?;
        let waiting = state.waiting.map(|waiting| (waiting.reason, waiting.message));
        let (reason, message) = waiting.or(state.terminated.map(|ended| (ended.reason, ended.message)))?;
        Some([reason, message].into_iter().flatten().collect::<Vec<_>>().join(": "))
    });
    let unplaced =
        conditions.iter().find(|condition| condition.type_ == "PodScheduled" && condition.status != "True");
    let unplaced = unplaced.and_then(|condition| condition.message.clone());
    let why: Vec<String> = waits.chain(unplaced).filter(|text| !text.is_empty()).collect();
    let why = if why.is_empty() { "it is not ready".to_owned() } else { why.join(", ") };
    Some(format!("the pod `{name}` is {phase}: {why}"))
}

/// Why the status of a pod is from an earlier run of its machine; `None` if it is from the present one.
fn asleep(site: &Site, pod: &Pod) -> Option<String> {
    let machine = pod.spec.as_ref()?.node_name.as_deref()?;
    let status = pod.status.as_ref()?;
    let running =
        status.container_statuses.iter().flatten().filter_map(|one| one.state.as_ref()?.running.as_ref());
    let mut since = running.filter_map(|running| Some(running.started_at.as_ref()?.0));
    since
        .any(|since| !site.is_of_this_run(machine, since))
        .then(|| format!("the pod `{}` was not seen since its machine was started", pod.name_any()))
}

/// Every node, and the controllers of which one at a time is in charge, say again and again that they live.
pub async fn leases(site: &Site) -> Looked {
    let wanted = expected(&site.spec, None).into_iter().map(|node| ("kube-node-lease", node.name));
    let controllers = ["kube-controller-manager", "kube-scheduler"].map(|name| (SYSTEM, name.to_owned()));
    let wanted: Vec<(&str, String)> = wanted.chain(controllers).collect();
    let api: Api<Lease> = Api::all(site.client.clone());
    site.settle(api.clone(), || async {
        let found = api.list(&ListParams::default()).await?.items;
        let now = Timestamp::now();
        let problems: Vec<String> = wanted
            .iter()
            .filter_map(|(namespace, name)| {
                let of = |lease: &&Lease| {
                    lease.namespace().as_deref() == Some(*namespace) && lease.name_any() == *name
                };
                let Some(lease) = found.iter().find(of) else {
                    return Some(format!("`{name}` holds no lease in {namespace}"));
                };
                let spec = lease.spec.clone().unwrap_or_default();
                let (renewed, lasts) = (spec.renew_time?.0, spec.lease_duration_seconds.unwrap_or_default());
                let age = now.as_second() - renewed.as_second();
                (age > i64::from(lasts))
                    .then(|| format!("`{name}` renewed its lease {age} s ago, and it lasts {lasts} s"))
            })
            .collect();
        Ok(if problems.is_empty() { Ok(vec![format!("{} leases", wanted.len())]) } else { Err(problems) })
    })
    .await
}

#[derive(Deserialize)]
struct MetricsList {
    items: Vec<Metrics>,
}

#[derive(Deserialize)]
struct Metrics {
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
}

/// `kubectl top` has an answer for every node, and for pods.
pub async fn top(site: &Site) -> Looked {
    let wanted: BTreeSet<String> = expected(&site.spec, None).into_iter().map(|node| node.name).collect();
    let deadline = Deadline::after(site.patience);
    let cancel = tokio_util::sync::CancellationToken::new();
    let looked = until(&cancel, "metrics of every node and of pods", deadline, METRICS_INTERVAL, || async {
        match measured(site).await {
            Ok((nodes, pods)) if nodes.is_superset(&wanted) && pods > 0 => Probe::Ready((nodes, pods)),
            Ok((nodes, pods)) => {
                let lacking: Vec<&str> = wanted.difference(&nodes).map(String::as_str).collect();
                let lacking = if lacking.is_empty() { "nothing".to_owned() } else { lacking.join(", ") };
                Probe::NotYet(format!("of {pods} pods; lacking are those of {lacking}"))
            }
            Err(error) => Probe::NotYet(format!("{error:#}")),
        }
    })
    .await;
    match looked {
        Ok((nodes, pods)) => Ok(vec![format!("{} nodes, {pods} pods", nodes.len())]),
        Err(error) => Err(vec![error.to_string()]),
    }
}

async fn measured(site: &Site) -> anyhow::Result<(BTreeSet<String>, usize)> {
    let ask = async |what: &str| {
        let request = http::Request::get(format!("/apis/metrics.k8s.io/v1beta1/{what}")).body(Vec::new())?;
        let deadline = Deadline::after(METRICS_REQUEST_TIMEOUT.times(site.times));
        tokio::select! {
            list = site.client.request::<MetricsList>(request) => list.context("the metrics API does not answer"),
            // A request to an aggregated API without a ready backend blocks for 60 s.
            () = deadline.passed() => anyhow::bail!("the metrics API does not answer in {} s", deadline.length().as_secs()),
        }
    };
    let nodes = ask("nodes").await?.items.into_iter().map(|node| node.metadata.name).collect();
    Ok((nodes, ask("pods").await?.items.len()))
}

#[cfg(test)]
mod tests;
