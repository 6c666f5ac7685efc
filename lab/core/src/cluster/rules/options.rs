//! Collects the settings of Kubernetes, and refuses those without a variable of Kubespray.

use super::value_or;
use crate::cluster::decode::{Located, Optional};
use crate::cluster::raw;
use crate::kubespray::render::plugin::{
    self, Variables, plugin_encapsulation, plugin_mtu, plugin_policy, plugin_version,
};
use crate::source::suggest::quote;
use crate::source::{Code, Findings, Span};
use crate::spec::{
    AddonsSpec, ApiSpec, ContainerRuntimeSpec, DnsSpec, KubeletSpec, KubernetesSpec, MirrorsSpec,
    NetworkPlugin, PodNetworkSpec, ReservedSpec,
};

/// The settings. A reported value is treated as missing.
pub(super) fn kubernetes(
    file: &Optional<raw::Kubernetes>,
    variables: &Variables,
    findings: &mut Findings,
) -> KubernetesSpec {
    let Some(raw) = given(file) else { return KubernetesSpec::default() };
    KubernetesSpec {
        version: value(&raw.version).map(|version| version.0),
        container_runtime: given(&raw.container_runtime).map(container_runtime).unwrap_or_default(),
        network: given(&raw.network).map(|raw| network(raw, variables, findings)).unwrap_or_default(),
        dns: given(&raw.dns).map(dns).unwrap_or_default(),
        addons: given(&raw.addons).map(addons).unwrap_or_default(),
        kubelet: given(&raw.kubelet).map(kubelet).unwrap_or_default(),
        feature_gates: given(&raw.feature_gates)
            .into_iter()
            .flat_map(|gates| &gates.0)
            .map(|(name, on)| (name.value.0.clone(), on.value))
            .collect(),
        api: given(&raw.api).map(api).unwrap_or_default(),
    }
}

fn given<T>(field: &Optional<T>) -> Option<&T> {
    field.as_ref().and_then(|read| read.0.as_ref())
}

fn value<T: Clone>(field: &Optional<Located<T>>) -> Option<T> {
    given(field).map(|located| located.value.clone())
}

fn container_runtime(raw: &raw::ContainerRuntime) -> ContainerRuntimeSpec {
    ContainerRuntimeSpec { engine: value(&raw.engine), version: value(&raw.version).map(|version| version.0) }
}

fn network(raw: &raw::PodNetwork, variables: &Variables, findings: &mut Findings) -> PodNetworkSpec {
    // An unknown plugin proves nothing against the other settings.
    if value_or(&raw.plugin, NetworkPlugin::Calico).is_some() {
        check_plugin(raw, variables, findings);
    }
    PodNetworkSpec {
        plugin: value(&raw.plugin),
        version: value(&raw.version).map(|version| version.0),
        mtu: value(&raw.mtu).map(|mtu| mtu.0),
        encapsulation: value(&raw.encapsulation),
        policy: value(&raw.policy),
        pods: value(&raw.pods),
        services: value(&raw.services),
        node_prefix: value(&raw.node_prefix).map(|prefix| prefix.0),
    }
}

/// A setting without a variable of the chosen plugin would be lost silently.
fn check_plugin(raw: &raw::PodNetwork, variables: &Variables, findings: &mut Findings) {
    let plugin = plugin::network_plugin(value(&raw.plugin), variables);
    let name = plugin.as_ref().map_or_else(|word| quote(word), |plugin| quote(plugin.as_str()));
    let mut lacks = |key: &str, span: Span, has: bool| {
        if !has {
            findings
                .error(
                    Code::UnsupportedCombination,
                    span,
                    format!("the network plugin {name} has no setting for `{key}`"),
                )
                .hint("take the key out; set Kubespray's variables for this plugin in `kubespray.variables`");
        }
    };
    let has = |find: fn(NetworkPlugin) -> Option<&'static str>| {
        plugin.as_ref().is_ok_and(|plugin| find(*plugin).is_some())
    };
    if let Some(version) = given(&raw.version) {
        lacks("version", version.span, has(plugin_version));
    }
    if let Some(mtu) = given(&raw.mtu) {
        lacks("mtu", mtu.span, has(plugin_mtu));
    }
    if let Some(policy) = given(&raw.policy) {
        lacks("policy", policy.span, has(plugin_policy));
    }
    if let Some(encapsulation) = given(&raw.encapsulation) {
        let has = plugin
            .as_ref()
            .is_ok_and(|plugin| !plugin_encapsulation(*plugin, encapsulation.value).is_empty());
        lacks(&format!("encapsulation: {}", encapsulation.value.as_str()), encapsulation.span, has);
    }
}

fn dns(raw: &raw::Dns) -> DnsSpec {
    DnsSpec {
        mode: value(&raw.mode),
        node_local: value(&raw.node_local),
        node_local_address: value(&raw.node_local_address),
    }
}

fn addons(raw: &raw::Addons) -> AddonsSpec {
    AddonsSpec {
        metrics_server: value(&raw.metrics_server),
        ingress_nginx: value(&raw.ingress_nginx),
        helm: value(&raw.helm),
    }
}

fn kubelet(raw: &raw::Kubelet) -> KubeletSpec {
    let reserved = given(&raw.system_reserved)
        .map(|raw| ReservedSpec { cpu: value(&raw.cpu), memory: value(&raw.memory) })
        .unwrap_or_default();
    KubeletSpec { max_pods: value(&raw.max_pods).map(|pods| pods.0), system_reserved: reserved }
}

fn api(raw: &raw::Api) -> ApiSpec {
    let names = given(&raw.names).into_iter().flat_map(|names| names.read());
    ApiSpec { names: names.map(|name| name.value.0.clone()).collect() }
}

/// Where files and images come from.
pub(super) fn mirrors(file: &Optional<raw::Mirrors>) -> MirrorsSpec {
    let Some(raw) = given(file) else { return MirrorsSpec::default() };
    MirrorsSpec { files: value(&raw.files).map(|url| url.0), images: value(&raw.images) }
}
