//! The machines with GPUs, and the labels that choose how each shares them.

use std::collections::BTreeMap;

use crate::spec::{ClusterSpec, GpuRequest, MachineSpec, Role, Taint};

/// The resource that a pod asks for to get a GPU.
pub const RESOURCE: &str = "nvidia.com/gpu";
/// The label of a node that names its configuration of the device plugin (`NODE_LABEL` in
/// `assets/state-device-plugin/0500_daemonset.yaml`).
pub const CONFIG_LABEL: &str = "nvidia.com/device-plugin.config";
/// The configuration of nodes whose GPUs belong to one pod each.
pub const EXCLUSIVE: &str = "exclusive";
/// The label that divides the GPUs of a node.
pub const MIG_LABEL: &str = "nvidia.com/mig.config";

/// The configuration of nodes that divide each GPU into this many time slices: `shared-4`.
pub fn shared(replicas: u32) -> String {
    format!("shared-{replicas}")
}

/// Whether a machine is a node of the cluster.
pub fn is_node(machine: &MachineSpec) -> bool {
    machine.roles.contains(&Role::ControlPlane) || machine.roles.contains(&Role::Worker)
}

/// The nodes with GPUs, in the order of the file.
pub fn gpu_nodes(spec: &ClusterSpec) -> impl Iterator<Item = &MachineSpec> {
    gpu_nodes_of(&spec.machines)
}

/// Those among some machines.
pub fn gpu_nodes_of(machines: &[MachineSpec]) -> impl Iterator<Item = &MachineSpec> {
    machines.iter().filter(|machine| is_node(machine) && !machine.gpus.is_empty())
}

/// Whether some machine has no GPU, but something that stands in for one.
pub fn has_stand_ins(machines: &[MachineSpec]) -> bool {
    let mut gpus = machines.iter().flat_map(|machine| &machine.gpus);
    gpus.any(|gpu| match gpu {
        GpuRequest::Address(_) | GpuRequest::Model(_) => false,
        GpuRequest::StandIn(_) => true,
    })
}

/// The model of a GPU, as far as the cluster file says.
pub fn model(gpu: &GpuRequest) -> Option<&str> {
    match gpu {
        GpuRequest::Address(_) => None,
        GpuRequest::Model(model) | GpuRequest::StandIn(model) => Some(model),
    }
}

/// Whether one model stands for another: `T4` for `Tesla T4`, in any case of letters.
pub fn is_model(written: &str, model: &str) -> bool {
    model.to_ascii_lowercase().contains(&written.to_ascii_lowercase())
}

/// Parts of the names of the models that can be divided (NVIDIA's list of GPUs with MIG).
const DIVISIBLE: [&str; 11] =
    ["A30", "A100", "A800", "H100", "H200", "H800", "H20", "GH200", "B200", "B300", "RTX PRO 6000"];

/// Whether a GPU can be divided; `None` where the cluster file names only its address.
pub fn is_divisible(gpu: &GpuRequest) -> Option<bool> {
    let model = model(gpu)?;
    Some(DIVISIBLE.iter().any(|part| is_model(part, model)))
}

/// The taints of a node, those of its roles among them, that keep pods away from it.
pub(super) fn taints(machine: &MachineSpec) -> Vec<Taint> {
    let mut taints: Vec<Taint> =
        machine.taints.iter().filter(|taint| taint.effect != "PreferNoSchedule").cloned().collect();
    // A control plane that is a worker too takes any pod (Kubespray, roles/kubernetes/control-plane).
    if machine.roles.contains(&Role::ControlPlane) && !machine.roles.contains(&Role::Worker) {
        taints.push(control_plane_taint());
    }
    taints
}

/// The taint of a control plane that is no worker.
pub(super) fn control_plane_taint() -> Taint {
    Taint {
        key: "node-role.kubernetes.io/control-plane".to_owned(),
        value: String::new(),
        effect: "NoSchedule".to_owned(),
    }
}

/// The labels that each node with a GPU must have besides its own, by the names of machines. Empty where no GPU is
/// shared.
pub fn node_labels(spec: &ClusterSpec) -> BTreeMap<String, BTreeMap<String, String>> {
    let Some(operator) = spec.gpu_operator.as_ref().filter(|operator| !operator.sharing.is_empty()) else {
        return BTreeMap::new();
    };
    let labels = gpu_nodes(spec).map(|machine| {
        let config = operator.sharing.get(&machine.name).map_or(EXCLUSIVE.to_owned(), |r| shared(*r));
        (machine.name.clone(), BTreeMap::from([(CONFIG_LABEL.to_owned(), config)]))
    });
    labels.collect()
}

/// The labels of the operator's namespace: its pods mount folders of the node, which Pod Security forbids elsewhere.
pub fn namespace_labels() -> BTreeMap<String, String> {
    let modes = ["enforce", "audit", "warn"];
    modes
        .into_iter()
        .map(|mode| (format!("pod-security.kubernetes.io/{mode}"), "privileged".to_owned()))
        .collect()
}

/// How many labels and annotations a node of a living cluster has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeMarks<'n> {
    /// Its name.
    pub name: &'n str,
    /// Its labels.
    pub labels: usize,
    /// Its annotations.
    pub annotations: usize,
}

/// Why nodes cannot get the GPU Operator, a sentence each. Kubelet gives each node that it registers both; one that was made
/// by hand may lack them.
///
/// NFD's master adds labels by JSON patches, which cannot add to a mapping that is not there (v0.17.3,
/// `pkg/nfd-master/nfd-master.go`). The operator writes an annotation into a mapping that is not there, and panics at every
/// node from then on (v25.3.4, `controllers/state_manager.go`).
pub fn unfit_nodes<'n>(nodes: impl IntoIterator<Item = NodeMarks<'n>>) -> Vec<String> {
    let why = |node: NodeMarks<'_>| {
        let name = node.name;
        match (node.labels, node.annotations) {
            (0, _) => Some(format!(
                "the node `{name}` has no label at all, and Node Feature Discovery cannot give it the first one"
            )),
            (_, 0) => {
                Some(format!("the node `{name}` has no annotation at all, and the GPU Operator panics on it"))
            }
            _ => None,
        }
    };
    nodes.into_iter().filter_map(why).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::of_kubelet(5, 3, None)]
    #[case::without_labels(0, 1, Some("no label at all"))]
    #[case::without_annotations(1, 0, Some("no annotation at all"))]
    #[case::without_both(0, 0, Some("no label at all"))]
    fn node_without_labels_or_annotations_is_unfit(
        #[case] labels: usize,
        #[case] annotations: usize,
        #[case] why: Option<&str>,
    ) {
        let found = unfit_nodes([NodeMarks { name: "bare", labels, annotations }]);
        assert_eq!(found.len(), usize::from(why.is_some()));
        assert!(
            found.iter().all(|text| text.contains("`bare`") && why.is_some_and(|why| text.contains(why)))
        );
    }
}
