//! Settings of machines that are containers. Owns the limits at which kubelet acts on a disk that is not the machine's
//! own. Must not set anything for virtual machines.

use serde_json::{Value, json};

use super::Entry;
use super::plugin::Variables;
use crate::kubespray::setting::{Origin, Scope};
use crate::spec::{ClusterSpec, MachineKind};

/// The group whose machines run kubelet.
const NODES: &str = "k8s_cluster";
const REASON: &str = "the disk of a container is the computer's";

/// Kubespray's variables, kubelet's own names for them (`KubeletConfiguration` of kubelet.config.k8s.io/v1beta1), and
/// their values.
///
/// A tenth of the computer's disk may be more than all labs take, so pods leave only when almost nothing is free. A
/// signal that `evictionHard` leaves out has no limit. At 100 percent images are not collected, because those of one
/// machine do not fill the disk. kubelet still removes unused images before it makes pods leave.
fn disk_limits() -> [(&'static str, &'static str, Value); 2] {
    let eviction =
        json!({ "memory.available": "100Mi", "nodefs.available": "1Gi", "imagefs.available": "1Gi" });
    [
        ("eviction_hard", "evictionHard", eviction),
        ("kubelet_image_gc_high_threshold", "imageGCHighThresholdPercent", Value::from(100)),
    ]
}

/// The settings of the group, where all of its machines are containers. The user's own take their place by the rules
/// for groups.
pub(super) fn group(spec: &ClusterSpec) -> Vec<Entry> {
    if !spec.machines.iter().all(|machine| machine.kind == MachineKind::Container) {
        return Vec::new();
    }
    entries(&spec.kubespray.variables, &Scope::Group(NODES.to_owned()))
}

/// The settings of the containers of a lab that has virtual machines too. They would win over the user's, which are
/// for groups, so those that the user sets are left out.
pub(super) fn machine(spec: &ClusterSpec, name: &str, kind: MachineKind) -> Vec<Entry> {
    let is_mixed = spec.machines.iter().any(|machine| machine.kind == MachineKind::Vm);
    if kind != MachineKind::Container || !is_mixed {
        return Vec::new();
    }
    let variables = &spec.kubespray.variables;
    let mut entries = entries(variables, &Scope::Host(name.to_owned()));
    entries.retain(|entry| !variables.values().any(|group| group.contains_key(&entry.setting.name)));
    entries
}

fn entries(variables: &Variables, scope: &Scope) -> Vec<Entry> {
    disk_limits()
        .into_iter()
        .filter(|(_, key, _)| !is_in_extra_arguments(variables, key))
        .map(|(name, _, value)| Entry::new(scope.clone(), name, value, Origin::Harness(REASON)))
        .collect()
}

/// Whether the user writes a key of kubelet's configuration as it is. It would be in one file twice, and the lab's last.
fn is_in_extra_arguments(variables: &Variables, key: &str) -> bool {
    variables
        .values()
        .filter_map(|group| group.get("kubelet_config_extra_args")?.as_object())
        .any(|arguments| arguments.contains_key(key))
}
