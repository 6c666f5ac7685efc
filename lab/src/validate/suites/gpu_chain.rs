//! The chain from a PCI function to a GPU that pods get, and its first broken link, named with its log.
//!
//! Each link waits for the one before it, so that all after a broken one look broken too.

use k8s_openapi::api::core::v1::{ContainerStatus, Event, Pod};
use kube::api::{ListParams, LogParams};
use kube::{Api, ResourceExt as _};

use crate::validate::access::Site;

/// How many lines of a log are shown.
const LINES: i64 = 3;

/// The label of the device plugin's pods.
const DEVICE_PLUGIN: &str = "app=nvidia-device-plugin-daemonset";

/// The links by the labels of their pods, in the order in which one waits for the other.
const LINKS: &[(&str, &str)] = &[
    ("the operator", "app=gpu-operator"),
    ("node feature discovery", "app.kubernetes.io/name=node-feature-discovery"),
    ("the container toolkit", "app=nvidia-container-toolkit-daemonset"),
    ("the device plugin", DEVICE_PLUGIN),
    ("GPU feature discovery", "app=gpu-feature-discovery"),
    ("the exporter", "app=nvidia-dcgm-exporter"),
    ("the validator", "app=nvidia-operator-validator"),
];

/// The link that a step of a pod proves: the pod waits for it.
fn link_of_step(step: &str) -> Option<&'static str> {
    Some(match step {
        "driver-validation" => "the driver",
        "toolkit-validation" => "the container toolkit",
        "cuda-validation" => "CUDA",
        "plugin-validation" => "the device plugin",
        _ => return None,
    })
}

/// The first broken link as a sentence; none where every pod is well, or nothing can be asked.
pub async fn first_broken_link(site: &Site) -> Option<String> {
    let spec = site.spec.gpu_operator.as_ref()?;
    let pods: Api<Pod> = Api::namespaced(site.client.clone(), &spec.namespace);
    for (link, label) in LINKS {
        let found = pods.list(&ListParams::default().labels(label)).await.ok()?.items;
        let Some((pod, broken)) = found.iter().find_map(|pod| Some((pod, broken(pod)?))) else { continue };
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or("no node");
        let link = broken.container.as_deref().and_then(link_of_step).unwrap_or(link);
        let mut text = format!("the chain breaks at {link} on {node}: `{}` {}", pod.name_any(), broken.why);
        if broken.waits
            && let Some(event) = last_warning(site, &spec.namespace, &pod.name_any()).await
        {
            text.push_str(&format!("; {event}"));
        } else if let Some(container) = &broken.container
            && let Some(log) = last_lines(&pods, &pod.name_any(), container).await
        {
            text.push_str(&format!("; its log ends: {log}"));
        }
        return Some(text);
    }
    None
}

/// Why the device plugin of a node takes a GPU away from pods; none where it does not. It gives none back before it starts
/// again (k8s-device-plugin, `internal/rm/health.go`).
pub async fn unhealthy(site: &Site, node: &str) -> Option<String> {
    let spec = site.spec.gpu_operator.as_ref()?;
    let pods: Api<Pod> = Api::namespaced(site.client.clone(), &spec.namespace);
    let of = ListParams::default().labels(DEVICE_PLUGIN).fields(&format!("spec.nodeName={node}"));
    let pod = pods.list(&of).await.ok()?.items.into_iter().next()?.name_any();
    let container = Some("nvidia-device-plugin".to_owned());
    let log = pods.logs(&pod, &LogParams { container, ..LogParams::default() }).await.ok()?;
    let why = log.lines().rev().find_map(unhealthy_reason)?;
    Some(format!("the device plugin of `{node}` calls a GPU unhealthy, until `{pod}` starts again: {why}"))
}

/// `Xid=79 on Device=GPU-…`, of a line of the device plugin's log.
fn unhealthy_reason(line: &str) -> Option<&str> {
    let (before, _) = line.split_once("; marking device as unhealthy")?;
    before.split_once("XidCriticalError: ").map(|(_, why)| why)
}

/// The container that keeps a pod from being ready, and its state.
#[derive(Debug, PartialEq, Eq)]
struct Broken {
    container: Option<String>,
    why: String,
    /// It was not made yet: events say why, and there is no log.
    waits: bool,
}

/// What keeps a pod; `None` where nothing does.
fn broken(pod: &Pod) -> Option<Broken> {
    let status = pod.status.clone().unwrap_or_default();
    let conditions = status.conditions.unwrap_or_default();
    let unplaced = conditions.iter().find(|one| one.type_ == "PodScheduled" && one.status != "True");
    if let Some(unplaced) = unplaced {
        let why = unplaced.message.clone().unwrap_or_else(|| "it does not say why".to_owned());
        return Some(Broken { container: None, why: format!("is on no node: {why}"), waits: false });
    }
    let steps = status.init_container_statuses.unwrap_or_default();
    let step = steps.iter().find(|step| !ended_well(step));
    let container = step.or_else(|| status.container_statuses.iter().flatten().find(|one| !one.ready))?;
    let state = container.state.clone().unwrap_or_default();
    let waits = state.waiting.is_some();
    let why = match (state.waiting, state.running, state.terminated) {
        (Some(waiting), ..) => {
            let reason = waiting.reason.unwrap_or_default();
            let message = waiting.message.unwrap_or_default();
            // Behind the first step, the others wait for no reason of their own.
            format!("waits in `{}`: {reason} {message}", container.name).trim_end().to_owned()
        }
        (_, Some(_), _) if step.is_some() => format!("has not come past `{}`", container.name),
        (_, Some(_), _) => format!("runs `{}`, which is not ready", container.name),
        (.., Some(ended)) => format!("ended `{}` with {}", container.name, ended.exit_code),
        _ => format!("has not started `{}`", container.name),
    };
    Some(Broken { container: Some(container.name.clone()), why, waits })
}

fn ended_well(step: &ContainerStatus) -> bool {
    let ended = step.state.as_ref().and_then(|state| state.terminated.as_ref());
    ended.is_some_and(|ended| ended.exit_code == 0)
}

/// The newest warning about a pod: only events say why its containers are not created.
async fn last_warning(site: &Site, namespace: &str, pod: &str) -> Option<String> {
    let events: Api<Event> = Api::namespaced(site.client.clone(), namespace);
    let of = ListParams::default().fields(&format!("involvedObject.name={pod},type=Warning"));
    let events = events.list(&of).await.ok()?.items;
    let newest = events.into_iter().max_by_key(|event| event.last_timestamp.as_ref().map(|time| time.0))?;
    Some(format!("{}: {}", newest.reason.unwrap_or_default(), newest.message.unwrap_or_default()))
}

/// The end of a container's log, on one line.
async fn last_lines(pods: &Api<Pod>, pod: &str, container: &str) -> Option<String> {
    let of = |previous| LogParams {
        container: Some(container.to_owned()),
        tail_lines: Some(LINES),
        previous,
        ..LogParams::default()
    };
    let mut text = pods.logs(pod, &of(false)).await.unwrap_or_default();
    if text.trim().is_empty() {
        text = pods.logs(pod, &of(true)).await.ok()?;
    }
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    (!lines.is_empty()).then(|| lines.join(" | "))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn pod(status: Value) -> Pod {
        serde_json::from_value(json!({ "metadata": { "name": "p" }, "status": status })).unwrap()
    }

    #[rstest]
    #[case::well(json!({ "initContainerStatuses": [step("driver-validation", json!({ "terminated": { "exitCode": 0 } }))],
        "containerStatuses": [main(true, json!({ "running": {} }))] }), None)]
    #[case::step_goes_on(json!({ "initContainerStatuses": [
        step("driver-validation", json!({ "running": {} })), step("toolkit-validation", json!({ "waiting": { "reason": "PodInitializing" } }))] }),
        Some("has not come past `driver-validation`"))]
    #[case::step_failed(json!({ "initContainerStatuses": [step("toolkit-validation", json!({ "terminated": { "exitCode": 1 } }))] }),
        Some("ended `toolkit-validation` with 1"))]
    #[case::no_image(json!({ "containerStatuses": [main(false, json!({ "waiting": { "reason": "ErrImagePull", "message": "not found" } }))] }),
        Some("waits in `main`: ErrImagePull not found"))]
    #[case::not_ready(json!({ "containerStatuses": [main(false, json!({ "running": {} }))] }), Some("runs `main`, which is not ready"))]
    #[case::no_node(json!({ "conditions": [{ "type": "PodScheduled", "status": "False", "message": "no room" }] }),
        Some("is on no node: no room"))]
    fn broken_container_of_pod_is_named(#[case] status: Value, #[case] expected: Option<&str>) {
        assert_eq!(broken(&pod(status)).map(|broken| broken.why).as_deref(), expected);
    }

    #[rstest]
    #[case(
        "I1130 49 health.go:186] XidCriticalError: Xid=79 on Device=GPU-b2; marking device as unhealthy.",
        Some("Xid=79 on Device=GPU-b2")
    )]
    #[case("I1130 49 health.go:160] Processing event {EventType:8 EventData:79}", None)]
    fn reason_of_unhealthy_gpu_is_read_from_log(#[case] line: &str, #[case] expected: Option<&str>) {
        assert_eq!(unhealthy_reason(line), expected);
    }

    fn step(name: &str, state: Value) -> Value {
        json!({ "name": name, "ready": false, "restartCount": 0, "image": "", "imageID": "", "state": state })
    }

    fn main(ready: bool, state: Value) -> Value {
        json!({ "name": "main", "ready": ready, "restartCount": 0, "image": "", "imageID": "", "state": state })
    }
}
