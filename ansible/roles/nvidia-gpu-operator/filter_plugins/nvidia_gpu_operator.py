"""What the role decides, as functions from what kubectl and helm answered to sentences.

Owns every comparison of a cluster with what the inventory plans. Must not ask anything: tasks ask, and fail with the
sentences that come out. A function that ends in `problems` returns a list of them; an empty list means that all is as
planned. Functions, because Jinja can name no attribute with a dot in it, and labels are full of dots.
"""

from __future__ import annotations

import re

RESOURCE = "nvidia.com/gpu"
# Any of them makes the operator take a node for one with GPUs (gpu-operator v25.3.4, controllers/state_manager.go,
# gpuNodeLabels).
FOUND_LABELS = (
    "feature.node.kubernetes.io/pci-10de.present",
    "feature.node.kubernetes.io/pci-0302_10de.present",
    "feature.node.kubernetes.io/pci-0300_10de.present",
)
PRESENT_LABEL = "nvidia.com/gpu.present"
# The operator's DaemonSets that run on every node with GPUs: the key that switches each on, and the chart's default.
# Left out are those for which the model of the GPU decides (MIG, MPS) and those for virtual machines.
DAEMON_SETS = (
    ("driver", True, "nvidia-driver-daemonset"),
    ("toolkit", True, "nvidia-container-toolkit-daemonset"),
    ("devicePlugin", True, "nvidia-device-plugin-daemonset"),
    ("gfd", True, "gpu-feature-discovery"),
    ("dcgm", False, "nvidia-dcgm"),
    ("dcgmExporter", True, "nvidia-dcgm-exporter"),
    ("nodeStatusExporter", False, "nvidia-node-status-exporter"),
)
VALIDATOR = "nvidia-operator-validator"
UUID = re.compile(r"UUID: (GPU-[0-9A-Fa-f-]+)")


def listed(names):
    return ", ".join(sorted(names)) or "none"


def labels(thing):
    return thing["metadata"].get("labels") or {}


def nodes_problems(nodes, planned):
    """Planned nodes that the cluster does not have."""
    missing = set(planned) - {node["metadata"]["name"] for node in nodes["items"]}
    return [f"the cluster has no node {name}, which is planned to have GPUs" for name in sorted(missing)]


def values_problems(values, nodes, planned):
    """Values that never get ready on these nodes."""
    driver = (values.get("driver") or {}).get("enabled", True)
    debian = {
        node["metadata"]["name"]
        for node in nodes["items"]
        if node["metadata"]["name"] in planned and "Debian" in node["status"]["nodeInfo"]["osImage"]
    }
    if driver and debian:
        return [f"driver.enabled is true, and there is no driver container for the Debian of {listed(debian)}"]
    return []


def release_problems(releases, name, namespace, kubeconfig):
    """Releases of helm that are in the way."""
    problems = []
    for release in releases:
        place = f"the release {release['name']} in the namespace {release['namespace']}"
        is_operator = release["chart"].startswith("gpu-operator-")
        if (release["name"], release["namespace"]) != (name, namespace):
            if is_operator:
                problems.append(f"{place} has installed the GPU Operator already ({release['chart']})")
        elif not is_operator:
            problems.append(f"{place} is of another chart ({release['chart']})")
        elif release["status"].startswith("pending-") or release["status"] == "uninstalling":
            problems.append(
                f"{place} is {release['status']} since {release['updated']}: another helm works on it, or was killed; "
                f"if none works on it, end it with `helm --kubeconfig {kubeconfig} --namespace {namespace} "
                + (f"uninstall {name}`" if release["revision"] == "1" else f"rollback {name}`")
            )
    return problems


def label_problems(nodes, plan):
    """Nodes that are found to have GPUs, and are not the planned ones."""
    planned = set(plan["gpus"])
    found = {n["metadata"]["name"] for n in nodes["items"] if any(labels(n).get(one) == "true" for one in FOUND_LABELS)}
    present = {n["metadata"]["name"] for n in nodes["items"] if labels(n).get(PRESENT_LABEL) == "true"}
    problems = []
    for seen, by in ((found, "Node Feature Discovery finds a GPU on"), (present, "the operator sees a GPU on")):
        if seen != planned:
            problems.append(f"{by} {listed(seen)}, planned are {listed(planned)}")
    return problems


def daemon_sets(values):
    """The names of the DaemonSets that must run on every node with GPUs."""
    on = [name for key, default, name in DAEMON_SETS if (values.get(key) or {}).get("enabled", default)]
    return sorted([*on, VALIDATOR])


def daemon_set_problems(found, plan):
    """DaemonSets that do not run, ready and up to date, on as many nodes as are planned."""
    nodes = len(plan["gpus"])
    by_name = {one["metadata"]["name"]: one for one in found["items"]}
    problems = []
    for name in plan["daemon_sets"]:
        if name not in by_name:
            problems.append(f"the DaemonSet {name} does not exist")
            continue
        status = by_name[name].get("status") or {}
        seen = status.get("observedGeneration", 0) >= by_name[name]["metadata"].get("generation", 0)
        counts = [status.get(one) or 0 for one in ("desiredNumberScheduled", "updatedNumberScheduled", "numberReady")]
        if not nodes or not seen or counts != [nodes] * 3:
            desired, updated, ready = counts
            problems.append(
                f"the DaemonSet {name} wants {desired} pods, {updated} are up to date and {ready} ready; "
                f"{nodes} nodes are planned"
            )
    return problems


def policy_problems(found, _plan):
    """What speaks against the ClusterPolicy. That its state is `ready` says nothing where no node has a GPU."""
    if len(found["items"]) != 1:
        return [f"there are {len(found['items'])} ClusterPolicies, one is expected"]
    status = found["items"][0].get("status") or {}
    conditions = {one["type"]: one for one in status.get("conditions") or []}
    ready, error = conditions.get("Ready") or {}, conditions.get("Error") or {}
    state, reason = status.get("state"), ready.get("reason")
    if state == "ready" and ready.get("status") == "True" and reason == "Reconciled":
        return []
    if error.get("status") == "True":
        reason, message = error.get("reason"), error.get("message")
    else:
        message = ready.get("message")
    sentence = f"the ClusterPolicy is {state or 'without a state'} with the reason {reason or 'none'}"
    return [f"{sentence}, expected is ready with Reconciled" + (f": {message}" if message else "")]


def allocatable_problems(nodes, plan):
    """Nodes that do not offer as many GPUs as are planned, of no node one that is not planned."""
    problems = []
    for node in nodes["items"]:
        name = node["metadata"]["name"]
        offered = int((node["status"].get("allocatable") or {}).get(RESOURCE, 0))
        planned = plan["gpus"].get(name, 0) * plan["replicas"].get(name, 1)
        if offered != planned:
            problems.append(f"{name} offers {offered} {RESOURCE}, planned are {planned}")
    return problems


ASPECTS = {
    "labels": label_problems,
    "daemon_sets": daemon_set_problems,
    "policy": policy_problems,
    "allocatable": allocatable_problems,
}


def problems(found, what, plan):
    """What speaks against one aspect of the cluster."""
    return ASPECTS[what](found, plan)


def waits(pod):
    """Why a pod does not go on, in one sentence; empty where it says nothing."""
    status = pod.get("status") or {}
    containers = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    for container in containers:
        state = container.get("state") or {}
        last = (container.get("lastState") or {}).get("terminated") or {}
        waiting = state.get("waiting") or {}
        ended = state.get("terminated") or {}
        if waiting.get("reason") not in (None, "PodInitializing", "ContainerCreating"):
            code = f", its last exit code was {last['exitCode']}" if "exitCode" in last else ""
            return f"{container['name']} waits: {waiting['reason']} {waiting.get('message', '')}".rstrip() + code
        if ended.get("exitCode"):
            return f"{container['name']} ended with {ended['exitCode']}"
    for condition in status.get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] != "True":
            return condition.get("message") or condition.get("reason") or ""
    started = [one["name"] for one in containers if not one.get("ready") and "running" in (one.get("state") or {})]
    return f"{started[0]} is not done yet" if started else status.get("message") or status.get("reason") or ""


def pods_not_ready(pods):
    """The pods that are not ready, each with what it waits for: what a person looks at first."""
    lines = []
    for pod in pods["items"]:
        status = pod.get("status") or {}
        ready = any(one["type"] == "Ready" and one["status"] == "True" for one in status.get("conditions") or [])
        if not ready and status.get("phase") != "Succeeded":
            node = pod["spec"].get("nodeName", "no node")
            lines.append(f"{pod['metadata']['name']} on {node}: {waits(pod) or status.get('phase', 'unknown')}")
    return sorted(lines)


def ended(pod):
    """Whether a pod has come to its end, good or bad."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def test_pod_problems(pod, node, log, gpus, uuids):
    """What speaks against a test pod that asked for so many GPUs of a node whose GPUs have these UUIDs, if known."""
    status = pod.get("status") or {}
    name, phase = pod["metadata"]["name"], status.get("phase", "without a phase")
    if phase != "Succeeded":
        last = (log.strip().splitlines() or [""])[-1]
        why = "; ".join(one for one in (waits(pod), f"its log ends with `{last}`" if last else "") if one)
        return [f"the test pod {name} for {node} is {phase}, not Succeeded" + (f": {why}" if why else "")]
    problems = []
    if pod["spec"].get("nodeName") != node:
        problems.append(f"the test pod {name} for {node} ran on {pod['spec'].get('nodeName')}")
    seen = UUID.findall(log)
    if len(seen) != gpus or len(set(seen)) != gpus:
        problems.append(f"the test pod {name} on {node} asked for {gpus} GPUs and sees {listed(seen)}")
    if uuids and not set(seen) <= set(uuids):
        problems.append(f"the test pod {name} on {node} sees {listed(set(seen) - set(uuids))}, planned are {listed(uuids)}")
    return problems


class FilterModule:
    def filters(self):
        functions = (
            nodes_problems,
            values_problems,
            release_problems,
            daemon_sets,
            problems,
            pods_not_ready,
            ended,
            test_pod_problems,
        )
        return {f"nvidia_gpu_operator_{function.__name__}": function for function in functions}
