//! The settings of Kubernetes in a cluster file, as written.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::cluster::decode::{List, Located, Map, Optional, record};
use crate::cluster::scalars::kubernetes::{
    ApiName, ComponentVersion, FeatureGate, KubernetesVersion, MaxPods, MirrorUrl, NodePrefix, PodMtu,
};
use crate::spec::{ContainerEngine, DnsMode, Encapsulation, MilliCpus, NetworkPlugin, RegistrySpec};
use crate::units::Bytes;

record! {
    /// The settings of Kubernetes. Kubespray chooses those left out.
    struct Kubernetes("kubernetes") {
        /// Version of Kubernetes: three numbers, without a `v`. Each Kubespray installs its own range; leave it
        /// out to have the newest.
        version: Optional<Located<KubernetesVersion>>,
        /// The container runtime.
        container_runtime: Optional<ContainerRuntime>,
        /// The network of pods and services.
        network: Optional<PodNetwork>,
        /// How names of services are resolved.
        dns: Optional<Dns>,
        /// Add-ons that are installed besides Kubernetes itself.
        addons: Optional<Addons>,
        /// Settings of every kubelet.
        kubelet: Optional<Kubelet>,
        /// Feature gates of all components, by name: `SidecarContainers: true`.
        feature_gates: Optional<Map<FeatureGate, Located<bool>>>,
        /// How clients reach the API server.
        api: Optional<Api>,
    }
}

record! {
    /// The container runtime.
    struct ContainerRuntime("the container runtime") {
        /// Which program runs containers.
        engine: Optional<Located<ContainerEngine>>,
        /// Its version, without a `v`. Leave it out: each Kubespray is tested with its own.
        version: Optional<Located<ComponentVersion>>,
    }
}

record! {
    /// The network of pods and services.
    struct PodNetwork("the network of pods") {
        /// Who makes the network of pods.
        plugin: Optional<Located<NetworkPlugin>>,
        /// The plugin's version, without a `v`. Leave it out: each Kubespray is tested with its own.
        version: Optional<Located<ComponentVersion>>,
        /// Largest packet of a pod in bytes: the size on the machines' network, less 50 with `vxlan` or 20
        /// with `ipip`. Leave it out to have it found.
        mtu: Optional<Located<PodMtu>>,
        /// How packets of pods travel between machines: inside UDP (`vxlan`), inside IP (`ipip`, only Calico), or
        /// as they are (`none`).
        encapsulation: Optional<Located<Encapsulation>>,
        /// Whether network policies are enforced (only Calico has a choice).
        policy: Optional<Located<bool>>,
        /// Addresses of pods. They may overlap neither the services' nor the machines'.
        pods: Optional<Located<Ipv4Net>>,
        /// Addresses of services.
        services: Optional<Located<Ipv4Net>>,
        /// Prefix of the part of `pods` that each machine gets.
        node_prefix: Optional<Located<NodePrefix>>,
    }
}

record! {
    /// How names of services are resolved.
    struct Dns("dns") {
        /// Who resolves names of services. `manual` needs the variable `manual_dns_server`.
        mode: Optional<Located<DnsMode>>,
        /// Whether every machine has a cache of its own.
        node_local: Optional<Located<bool>>,
        /// Address of that cache, from 169.254.0.0/16.
        node_local_address: Optional<Located<Ipv4Addr>>,
    }
}

record! {
    /// Add-ons that are installed besides Kubernetes itself.
    struct Addons("the add-ons") {
        /// metrics-server, which `kubectl top` asks.
        metrics_server: Optional<Located<bool>>,
        /// The ingress controller ingress-nginx. Kubespray v2.30.0 is the last that has it.
        ingress_nginx: Optional<Located<bool>>,
        /// The program `helm` on the control planes.
        helm: Optional<Located<bool>>,
    }
}

record! {
    /// Settings of every kubelet.
    struct Kubelet("the kubelet") {
        /// Most pods of one machine.
        max_pods: Optional<Located<MaxPods>>,
        /// Resources reserved for the machine's own services.
        system_reserved: Optional<Reserved>,
    }
}

record! {
    /// Reserved processors and memory.
    struct Reserved("the reserved resources") {
        /// Processors: whole ones, or thousandths like `500m`.
        cpu: Optional<Located<MilliCpus>>,
        /// Memory, with its unit.
        memory: Optional<Located<Bytes>>,
    }
}

record! {
    /// How clients reach the API server.
    struct Api("the API") {
        /// Names and addresses that the API server's certificate is also valid for. Its machines' own, the
        /// gateway's and 127.0.0.1 are in it anyway.
        names: Optional<List<Located<ApiName>>>,
    }
}

record! {
    /// Where files and container images come from instead of the internet.
    struct Mirrors("the mirrors") {
        /// URL of a file server. Below it, paths begin with the host that a file comes from: `github.com/…`,
        /// `dl.k8s.io/…`, `storage.googleapis.com/…`, `get.helm.sh/…`.
        files: Optional<Located<MirrorUrl>>,
        /// Container registry that speaks TLS: a host, a port and a path where it has them.
        images: Optional<Located<RegistrySpec>>,
    }
}
