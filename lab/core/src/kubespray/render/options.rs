//! The options of a cluster file, as Kubespray's variables in their right form.
//!
//! The form is the one of Kubespray since v2.28.0: versions without a `v`, labels as a flat map of texts,
//! taints as `key=value:Effect`. Versions are set only where they are asked for, and nothing is set twice.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Entry;
use super::containers;
use super::plugin::{
    Variables, container_engine, engine_version, network_plugin, plugin_encapsulation, plugin_mtu,
    plugin_policy, plugin_version,
};
use crate::gpu_operator::{chart, containerd_imports};
use crate::kubespray::index::Index;
use crate::kubespray::setting::{Origin, Scope};
use crate::spec::{
    ClusterSpec, ContainerEngine, GpuRuntime, HostSpec, KubernetesSpec, MachineSpec, MirrorsSpec, Role, Taint,
};
use crate::units::Bytes;

/// The variable of the inventory that names the folder of the lab.
pub(in crate::kubespray) const LAB_DIR: &str = "lab_dir";

/// Collects settings of one group.
struct Group {
    name: &'static str,
    entries: Vec<Entry>,
}

impl Group {
    fn new(name: &'static str) -> Self {
        Self { name, entries: Vec::new() }
    }

    /// Sets a variable from a key of the cluster file.
    fn key(&mut self, path: &str, name: &str, value: impl Into<Value>) {
        self.push(name, value, Origin::ClusterFile(path.to_owned()));
    }

    /// Sets a variable from a key of the cluster file, if the key is there.
    fn asked(&mut self, path: &str, name: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.key(path, name, value);
        }
    }

    /// Sets a variable for every lab.
    fn always(&mut self, reason: &'static str, name: &str, value: impl Into<Value>) {
        self.push(name, value, Origin::Harness(reason));
    }

    fn push(&mut self, name: &str, value: impl Into<Value>, origin: Origin) {
        self.entries.push(Entry::new(Scope::Group(self.name.to_owned()), name, value, origin));
    }
}

/// The settings of groups: those that machines with only etcd need too in `all`, the rest in `k8s_cluster`.
pub(super) fn groups(spec: &ClusterSpec, index: &Index) -> Vec<Entry> {
    let variables = &spec.kubespray.variables;
    let mut all = all(spec, variables);
    all.append(&mut k8s_cluster(spec, variables, index));
    all
}

fn all(spec: &ClusterSpec, variables: &Variables) -> Vec<Entry> {
    let KubernetesSpec { version, container_runtime, .. } = &spec.kubernetes;
    let mut all = Group::new("all");
    // The version of etcd follows from that of Kubernetes (etcd_supported_versions in
    // roles/kubespray_defaults/vars/main/main.yml), on machines outside k8s_cluster too.
    all.asked("kubernetes.version", "kube_version", version.clone());
    all.asked(
        "kubernetes.container_runtime.engine",
        "container_manager",
        container_runtime.engine.map(|engine| engine.as_str()),
    );
    if let (Some(version), Ok(engine)) =
        (&container_runtime.version, container_engine(container_runtime.engine, variables))
    {
        all.key("kubernetes.container_runtime.version", engine_version(engine), version.as_str());
    }
    mirrors(&mut all, &spec.mirrors);
    all.entries
}

/// The roots of all downloads (roles/kubespray_defaults/defaults/main/download.yml), each with the host that it names.
pub(super) const FILE_ROOTS: [(&str, &str); 4] = [
    ("github_url", "github.com"),
    ("dl_k8s_io_url", "dl.k8s.io"),
    ("storage_googleapis_url", "storage.googleapis.com"),
    ("get_helm_url", "get.helm.sh"),
];

/// inventory/sample/group_vars/all/offline.yml, with the roots of all downloads rather than each of them.
fn mirrors(all: &mut Group, mirrors: &MirrorsSpec) {
    const FILES: &str = "mirrors.files";
    const IMAGES: &str = "mirrors.images";
    if let Some(files) = &mirrors.files {
        all.key(FILES, "files_repo", files.as_str());
        for (name, host) in FILE_ROOTS {
            all.key(FILES, name, format!("{{{{ files_repo }}}}/{host}"));
        }
    }
    if let Some(images) = &mirrors.images {
        all.key(IMAGES, "registry_host", images.address.as_str());
        for name in
            ["kube_image_repo", "gcr_image_repo", "github_image_repo", "docker_image_repo", "quay_image_repo"]
        {
            all.key(IMAGES, name, "{{ registry_host }}");
        }
    }
}

fn k8s_cluster(spec: &ClusterSpec, variables: &Variables, index: &Index) -> Vec<Entry> {
    let kubernetes = &spec.kubernetes;
    let mut group = Group::new("k8s_cluster");
    names(&mut group, spec);
    network(&mut group, kubernetes, variables);
    dns(&mut group, kubernetes);
    kubelet(&mut group, kubernetes);
    api(&mut group, spec);
    addons(&mut group, kubernetes, index);
    gpu_runtime(&mut group, spec);
    group.entries.extend(containers::group(spec));
    group.entries
}

/// Kubespray writes containerd's configuration anew on every run (issue 12277 of kubernetes-sigs/kubespray). What the
/// container toolkit puts beside it counts only where that configuration names the folder.
fn gpu_runtime(group: &mut Group, spec: &ClusterSpec) {
    let Some(operator) = &spec.gpu_operator else { return };
    let beside = chart(&operator.version).is_some_and(|chart| chart.facts.drop_in);
    let containerd = container_engine(spec.kubernetes.container_runtime.engine, &spec.kubespray.variables)
        == Ok(ContainerEngine::Containerd);
    if operator.runtime == GpuRuntime::Toolkit && beside && containerd {
        group.always(
            "what the container toolkit writes outlives a run of Kubespray",
            "containerd_extra_args",
            containerd_imports(),
        );
    }
}

/// Kubespray takes the name of the cluster for the domain of its services too. Setting the name means that.
fn names(group: &mut Group, spec: &ClusterSpec) {
    let variables = &spec.kubespray.variables;
    let is_set = |group: &str| variables.get(group).is_some_and(|set| set.contains_key("cluster_name"));
    if is_set("all") || is_set("k8s_cluster") {
        return;
    }
    group.always(
        "so that the contexts of several clusters do not collide",
        "cluster_name",
        spec.name.as_str(),
    );
    group.always("services keep the domain that manifests expect", "dns_domain", "cluster.local");
}

fn network(group: &mut Group, kubernetes: &KubernetesSpec, variables: &Variables) {
    let network = &kubernetes.network;
    let path = |key: &str| format!("kubernetes.network.{key}");
    let plugin = network.plugin.map(|plugin| plugin.as_str());
    group.asked(&path("plugin"), "kube_network_plugin", plugin);
    group.asked(&path("pods"), "kube_pods_subnet", network.pods.map(|net| net.to_string()));
    group.asked(&path("services"), "kube_service_addresses", network.services.map(|net| net.to_string()));
    group.asked(&path("node_prefix"), "kube_network_node_prefix", network.node_prefix);
    // The check of the file has reported a word that is no plugin.
    let Ok(plugin) = network_plugin(network.plugin, variables) else { return };
    if let Some(variable) = plugin_version(plugin) {
        group.asked(&path("version"), variable, network.version.clone());
    }
    if let Some(encapsulation) = network.encapsulation {
        for (variable, value) in plugin_encapsulation(plugin, encapsulation) {
            group.key(&path("encapsulation"), variable, *value);
        }
    }
    if let Some(variable) = plugin_mtu(plugin) {
        group.asked(&path("mtu"), variable, network.mtu);
    }
    if let Some(variable) = plugin_policy(plugin) {
        group.asked(&path("policy"), variable, network.policy);
    }
}

fn dns(group: &mut Group, kubernetes: &KubernetesSpec) {
    let dns = &kubernetes.dns;
    group.asked("kubernetes.dns.mode", "dns_mode", dns.mode.map(|mode| mode.as_str()));
    group.asked("kubernetes.dns.node_local", "enable_nodelocaldns", dns.node_local);
    group.asked(
        "kubernetes.dns.node_local_address",
        "nodelocaldns_ip",
        dns.node_local_address.map(|address| address.to_string()),
    );
}

fn kubelet(group: &mut Group, kubernetes: &KubernetesSpec) {
    let kubelet = &kubernetes.kubelet;
    group.asked("kubernetes.kubelet.max_pods", "kubelet_max_pods", kubelet.max_pods);
    let reserved = &kubelet.system_reserved;
    group.asked(
        "kubernetes.kubelet.system_reserved.cpu",
        "system_cpu_reserved",
        reserved.cpu.map(|cpu| cpu.to_string()),
    );
    group.asked(
        "kubernetes.kubelet.system_reserved.memory",
        "system_memory_reserved",
        reserved.memory.map(quantity),
    );
    if !kubernetes.feature_gates.is_empty() {
        let gates = kubernetes.feature_gates.iter().map(|(name, on)| format!("{name}={on}"));
        group.key("kubernetes.feature_gates", "kube_feature_gates", gates.collect::<Vec<_>>());
    }
}

/// As Kubernetes writes bytes: `512Mi`.
fn quantity(bytes: Bytes) -> String {
    let text = bytes.to_string();
    text.strip_suffix('B').map(str::to_owned).unwrap_or(text)
}

fn api(group: &mut Group, spec: &ClusterSpec) {
    // The control planes' own names and addresses, localhost and 127.0.0.1 are among them already
    // (roles/kubernetes/control-plane/tasks/kubeadm-setup.yml).
    const NAMES: &str = "supplementary_addresses_in_ssl_keys";
    let asked = &spec.kubernetes.api.names;
    let of_host = [Some(spec.network.gateway.to_string()), remote_host(&spec.host).map(str::to_owned)];
    let mut names = asked.clone();
    names.extend(of_host.into_iter().flatten().filter(|name| !asked.contains(name)));
    if asked.is_empty() {
        group.always(
            "clients that come by way of the machines' host call the API by its names",
            NAMES,
            names,
        );
    } else {
        group.key("kubernetes.api.names", NAMES, names);
        if let Some(entry) = group.entries.last_mut() {
            entry.note = Some("and the names of the machines' host".to_owned());
        }
    }
    group.always("the lab's own kubeconfig", "kubeconfig_localhost", true);
    group.always("a kubectl that fits the cluster", "kubectl_localhost", true);
    group.always(
        "secrets stay out of the folder that is committed",
        "artifacts_dir",
        format!("{{{{ {LAB_DIR} }}}}/artifacts"),
    );
    group.always(
        "secrets stay out of the folder that is committed",
        "credentials_dir",
        format!("{{{{ {LAB_DIR} }}}}/credentials"),
    );
}

/// The name of another computer in a libvirt URI: `qemu+ssh://root@server:22/system`.
fn remote_host(host: &HostSpec) -> Option<&str> {
    let HostSpec::Libvirt(uri) = host else { return None };
    let authority = uri.split_once("://")?.1.split('/').next()?;
    let host = authority.rsplit('@').next()?;
    // An IPv6 address has brackets in a URI, and none in a certificate.
    let host = match host.strip_prefix('[') {
        Some(address) => address.split(']').next()?,
        None => host.split(':').next()?,
    };
    (!host.is_empty()).then_some(host)
}

fn addons(group: &mut Group, kubernetes: &KubernetesSpec, index: &Index) {
    let addons = &kubernetes.addons;
    for (key, variable, wanted) in [
        ("metrics_server", "metrics_server_enabled", addons.metrics_server),
        ("ingress_nginx", "ingress_nginx_enabled", addons.ingress_nginx),
        ("helm", "helm_enabled", addons.helm),
    ] {
        // Where there is no such add-on, no variable can switch it off.
        let sayable = wanted == Some(true) || index.variables.contains_key(variable);
        group.asked(&format!("kubernetes.addons.{key}"), variable, wanted.filter(|_| sayable));
    }
}

/// The settings of machines. Kubespray and kubeadm give nodes the labels and taints of their roles.
pub(super) fn machines(spec: &ClusterSpec) -> Vec<Entry> {
    spec.machines.iter().flat_map(|own| machine(spec, own)).collect()
}

fn machine(spec: &ClusterSpec, machine: &MachineSpec) -> Vec<Entry> {
    let MachineSpec { name, kind, address, roles, labels, taints, .. } = machine;
    let scope = || Scope::Host(name.clone());
    let path = |key: &str| Origin::ClusterFile(format!("machines.{name}.{key}"));
    let address = address.to_string();
    let mut entries = vec![
        Entry::new(scope(), "ansible_host", address.as_str(), path("address")),
        // Without it, Kubespray takes the address of the default route.
        Entry::new(scope(), "ip", address, path("address")),
    ];
    if roles.contains(&Role::Etcd) {
        // Kubespray would number the members, and rename them when one of them goes.
        entries.push(Entry::new(scope(), "etcd_member_name", name.as_str(), path("name")));
    }
    if !labels.is_empty() {
        entries.push(Entry::new(scope(), "node_labels", text_map(labels), path("labels")));
    }
    if !taints.is_empty() {
        let taints: Vec<String> = taints.iter().map(taint).collect();
        entries.push(Entry::new(scope(), "node_taints", taints, path("taints")));
    }
    entries.extend(containers::machine(spec, name, *kind));
    entries
}

fn text_map(map: &BTreeMap<String, String>) -> Value {
    map.iter().map(|(key, value)| (key.clone(), Value::from(value.as_str()))).collect()
}

/// As `kubectl taint` takes it.
fn taint(taint: &Taint) -> String {
    let Taint { key, value, effect } = taint;
    if value.is_empty() { format!("{key}:{effect}") } else { format!("{key}={value}:{effect}") }
}
