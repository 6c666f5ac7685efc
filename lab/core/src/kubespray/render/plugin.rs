//! The variables of Kubespray for a cluster file's network of pods and container runtime: each plugin and
//! each runtime has variables of its own. Decides nothing else.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::spec::{ContainerEngine, Encapsulation, NetworkPlugin};

/// User variables: group, then variable, then value.
pub(crate) type Variables = BTreeMap<String, BTreeMap<String, Value>>;

/// The network plugin that Kubespray will use: the user's variable, the cluster file's word, or Kubespray's
/// own choice (roles/kubespray_defaults/defaults/main/main.yml). An error holds a word that is no plugin.
pub(crate) fn network_plugin(
    asked: Option<NetworkPlugin>,
    variables: &Variables,
) -> Result<NetworkPlugin, String> {
    chosen("kube_network_plugin", NetworkPlugin::WORDS, asked, NetworkPlugin::Calico, variables)
}

/// The container runtime that Kubespray will use, as [`network_plugin`].
pub(crate) fn container_engine(
    asked: Option<ContainerEngine>,
    variables: &Variables,
) -> Result<ContainerEngine, String> {
    chosen("container_manager", ContainerEngine::WORDS, asked, ContainerEngine::Containerd, variables)
}

fn chosen<T: Copy>(
    variable: &str,
    words: &[(&str, T)],
    asked: Option<T>,
    otherwise: T,
    variables: &Variables,
) -> Result<T, String> {
    let of_group = |group: &str| variables.get(group)?.get(variable);
    match of_group("k8s_cluster").or_else(|| of_group("all")) {
        Some(Value::String(word)) => {
            words.iter().find(|(known, _)| known == word).map(|(_, value)| *value).ok_or_else(|| word.clone())
        }
        Some(other) => Err(other.to_string()),
        None => Ok(asked.unwrap_or(otherwise)),
    }
}

/// The variable that chooses the version of a network plugin.
pub(crate) const fn plugin_version(plugin: NetworkPlugin) -> Option<&'static str> {
    match plugin {
        NetworkPlugin::Calico => Some("calico_version"),
        NetworkPlugin::Cilium => Some("cilium_version"),
        NetworkPlugin::Flannel => Some("flannel_version"),
        NetworkPlugin::KubeOvn => Some("kube_ovn_version"),
        NetworkPlugin::KubeRouter => Some("kube_router_version"),
        NetworkPlugin::Macvlan
        | NetworkPlugin::Cni
        | NetworkPlugin::CustomCni
        | NetworkPlugin::Cloud
        | NetworkPlugin::None => None,
    }
}

/// The variable for the largest packet of a pod.
pub(crate) const fn plugin_mtu(plugin: NetworkPlugin) -> Option<&'static str> {
    match plugin {
        NetworkPlugin::Calico => Some("calico_mtu"),
        NetworkPlugin::Cilium => Some("cilium_mtu"),
        NetworkPlugin::KubeOvn => Some("kube_ovn_mtu"),
        _ => None,
    }
}

/// The variable that switches network policies.
pub(crate) const fn plugin_policy(plugin: NetworkPlugin) -> Option<&'static str> {
    match plugin {
        NetworkPlugin::Calico => Some("enable_network_policy"),
        _ => None,
    }
}

/// The variables for a way of encapsulation, and their values. Calico asserts that its two modes exclude
/// each other, and routes without VXLAN only with BIRD (roles/network_plugin/calico/tasks/check.yml,
/// inventory/sample/group_vars/k8s_cluster/k8s-net-calico.yml).
pub(crate) const fn plugin_encapsulation(
    plugin: NetworkPlugin,
    encapsulation: Encapsulation,
) -> &'static [(&'static str, &'static str)] {
    match (plugin, encapsulation) {
        (NetworkPlugin::Calico, Encapsulation::Vxlan) => &[
            ("calico_network_backend", "vxlan"),
            ("calico_vxlan_mode", "Always"),
            ("calico_ipip_mode", "Never"),
        ],
        (NetworkPlugin::Calico, Encapsulation::Ipip) => &[
            ("calico_network_backend", "bird"),
            ("calico_vxlan_mode", "Never"),
            ("calico_ipip_mode", "Always"),
        ],
        (NetworkPlugin::Calico, Encapsulation::None) => &[
            ("calico_network_backend", "bird"),
            ("calico_vxlan_mode", "Never"),
            ("calico_ipip_mode", "Never"),
        ],
        (NetworkPlugin::Flannel, Encapsulation::Vxlan) => &[("flannel_backend_type", "vxlan")],
        (NetworkPlugin::Flannel, Encapsulation::None) => &[("flannel_backend_type", "host-gw")],
        (NetworkPlugin::Cilium, Encapsulation::Vxlan) => &[("cilium_tunnel_mode", "vxlan")],
        _ => &[],
    }
}

/// The variable that chooses the version of a container runtime.
pub(crate) const fn engine_version(engine: ContainerEngine) -> &'static str {
    match engine {
        ContainerEngine::Containerd => "containerd_version",
        ContainerEngine::Crio => "crio_version",
        ContainerEngine::Docker => "docker_version",
    }
}
