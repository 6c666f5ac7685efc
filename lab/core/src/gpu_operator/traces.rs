//! What the GPU stack leaves in a cluster and on its nodes: what a check reads, and a removal removes.

use std::collections::{BTreeMap, BTreeSet};

use crate::gpu_stand_in;
use crate::spec::{ClusterSpec, GpuRequest, MachineSpec};

/// The artefact that is the packed chart.
pub const CHART: &str = "gpu_operator_chart";
/// The artefact that is the archive of helm.
pub const HELM: &str = "helm";
/// The image that every node with a GPU has and that holds a shell: that of the operator's validator.
pub const VALIDATOR: &str = "gpu_operator_validator";
/// The DaemonSet that configures the container runtime (`assets/state-container-toolkit/0500_daemonset.yaml`).
pub const TOOLKIT_DAEMON_SET: &str = "nvidia-container-toolkit-daemonset";
/// Names the files of containerd's configuration that have the toolkit's runtime (its `--toolkit-install-dir`, the chart's
/// `toolkit.installDir`); prints nothing where containerd does not know it. For a shell of a machine.
pub const FIND_RUNTIME: &str = "sudo grep -rlE '/usr/local/nvidia/toolkit/nvidia-container-runtime\"' /etc/containerd/config.toml /etc/containerd/conf.d 2>/dev/null";

/// What the toolkit, the validator, the device plugin and Node Feature Discovery write on a node (their volumes of kind
/// `hostPath`).
pub const NODE_FILES: &[&str] = &[
    "/usr/local/nvidia",
    "/run/nvidia",
    "/var/run/cdi/management.nvidia.com-gpu.yaml",
    "/var/run/cdi/k8s.device-plugin.nvidia.com-gpu.json",
    "/etc/kubernetes/node-feature-discovery",
    "/var/lib/kubelet/device-plugins/nvidia-gpu.sock",
    "/etc/containerd/conf.d/99-nvidia.toml",
];

/// Whether a label or annotation of a node is one that the operator or Node Feature Discovery maintains.
pub fn is_own_label(name: &str) -> bool {
    let Some((domain, _)) = name.split_once('/') else { return false };
    let domains = ["nvidia.com", "feature.node.kubernetes.io", "nfd.node.kubernetes.io"];
    domains.iter().any(|own| domain == *own || domain.ends_with(&format!(".{own}")))
}

/// The UUIDs of a machine's GPUs; empty where the plan does not know them: a physical card brings its own.
pub fn uuids(spec: &ClusterSpec, machine: &MachineSpec) -> BTreeSet<String> {
    gpu_stand_in::planned(&spec.name, machine).into_iter().map(|gpu| gpu.uuid).collect()
}

/// The labels that GPU Feature Discovery gives a node, as far as the plan knows the values (k8s-device-plugin,
/// `internal/lm/resource.go`).
pub fn feature_labels(spec: &ClusterSpec, machine: &MachineSpec) -> BTreeMap<String, String> {
    let sharing = spec.gpu_operator.as_ref().and_then(|operator| operator.sharing.get(&machine.name));
    let mut labels = BTreeMap::new();
    let mut label = |name: &str, value: String| labels.insert(format!("nvidia.com/{name}"), value);
    label("gpu.count", machine.gpus.len().to_string());
    label("gpu.replicas", sharing.copied().unwrap_or(1).to_string());
    label("gpu.sharing-strategy", if sharing.is_some() { "time-slicing" } else { "none" }.to_owned());
    if let [GpuRequest::StandIn(_), ..] = machine.gpus.as_slice()
        && let Some(gpu) = gpu_stand_in::planned(&spec.name, machine).first()
    {
        let suffix = if sharing.is_some() { "-SHARED" } else { "" };
        label("gpu.product", format!("{}{suffix}", gpu.model.product.replace(' ', "-")));
        label("gpu.memory", gpu.model.memory.mib().to_string());
        label("gpu.compute.major", gpu.model.compute.0.to_string());
        label("gpu.compute.minor", gpu.model.compute.1.to_string());
    }
    labels
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("nvidia.com/gpu.present", true)]
    #[case("feature.node.kubernetes.io/pci-10de.present", true)]
    #[case("nfd.node.kubernetes.io/feature-labels", true)]
    #[case("kubernetes.io/hostname", false)]
    #[case("notnvidia.com/gpu", false)]
    #[case("gpu-type", false)]
    fn label_of_operator_differs_from_others(#[case] name: &str, #[case] expected: bool) {
        assert_eq!(is_own_label(name), expected);
    }
}
