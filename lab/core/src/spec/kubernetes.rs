//! The settings of Kubernetes in a cluster file. Kubespray chooses the others.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::Serialize;

use crate::units::Bytes;

/// The settings of Kubernetes; empty where the choice is Kubespray's.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct KubernetesSpec {
    /// Three numbers without a `v`: `1.34.3`.
    pub version: Option<String>,
    /// The container runtime.
    pub container_runtime: ContainerRuntimeSpec,
    /// The network of pods and services.
    pub network: PodNetworkSpec,
    /// How names of services are resolved.
    pub dns: DnsSpec,
    /// Add-ons that are installed besides Kubernetes itself.
    pub addons: AddonsSpec,
    /// Settings of every kubelet.
    pub kubelet: KubeletSpec,
    /// Feature gates by name, of all components.
    pub feature_gates: BTreeMap<String, bool>,
    /// How clients reach the API server.
    pub api: ApiSpec,
}

/// The container runtime.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ContainerRuntimeSpec {
    /// Which one.
    pub engine: Option<ContainerEngine>,
    /// Two or three numbers without a `v`.
    pub version: Option<String>,
}

/// The network of pods and services.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct PodNetworkSpec {
    /// Who makes it.
    pub plugin: Option<NetworkPlugin>,
    /// The plugin's version: two or three numbers without a `v`.
    pub version: Option<String>,
    /// Largest packet of a pod, in bytes.
    pub mtu: Option<u16>,
    /// How packets travel between machines.
    pub encapsulation: Option<Encapsulation>,
    /// Whether network policies are enforced.
    pub policy: Option<bool>,
    /// Addresses of pods.
    pub pods: Option<Ipv4Net>,
    /// Addresses of services.
    pub services: Option<Ipv4Net>,
    /// Prefix of the part of `pods` that each machine gets.
    pub node_prefix: Option<u8>,
}

/// How names of services are resolved.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct DnsSpec {
    /// Who does it.
    pub mode: Option<DnsMode>,
    /// Whether every machine has a cache.
    pub node_local: Option<bool>,
    /// The address of that cache.
    pub node_local_address: Option<Ipv4Addr>,
}

/// Add-ons that are installed besides Kubernetes itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct AddonsSpec {
    /// metrics-server, which `kubectl top` asks.
    pub metrics_server: Option<bool>,
    /// The ingress controller ingress-nginx.
    pub ingress_nginx: Option<bool>,
    /// The program `helm` on the control planes.
    pub helm: Option<bool>,
}

/// Settings of every kubelet.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct KubeletSpec {
    /// Most pods of one machine.
    pub max_pods: Option<u32>,
    /// Resources reserved for the machine's own services.
    pub system_reserved: ReservedSpec,
}

/// Reserved processors and memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct ReservedSpec {
    /// Processors.
    pub cpu: Option<MilliCpus>,
    /// Memory.
    pub memory: Option<Bytes>,
}

/// How clients reach the API server.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ApiSpec {
    /// Names and addresses that its certificate is also valid for, in the order of the file.
    pub names: Vec<String>,
}

/// Where files and container images come from instead of the internet.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct MirrorsSpec {
    /// An http or https URL without a slash at its end. Below it, paths begin with the name of the host
    /// that a file comes from: `<files>/github.com/…`.
    pub files: Option<String>,
    /// A container registry.
    pub images: Option<RegistrySpec>,
}

/// A container registry that is spoken to with TLS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RegistrySpec {
    /// As it stands in front of an image's name: `registry.lab:5000`, `harbor.lab/kubernetes`.
    pub address: String,
}

/// Thousandths of a processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct MilliCpus(pub u32);

impl fmt::Display for MilliCpus {
    /// As Kubernetes writes it: `500m`, `2`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_multiple_of(1000) { write!(f, "{}", self.0 / 1000) } else { write!(f, "{}m", self.0) }
    }
}

/// Declares an enum whose values are words, the same in a cluster file and in Kubespray's variables.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$variant_meta])* $variant,)+
        }

        impl $name {
            /// Every word and its meaning.
            pub const WORDS: &'static [(&'static str, Self)] = &[$(($word, Self::$variant),)+];

            /// The word.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    };
}

pub(super) use words;

words! {
    /// The container runtime. The words are those of Kubespray's `container_manager`
    /// (roles/validate_inventory/tasks/main.yml).
    ContainerEngine {
        /// containerd, Kubespray's own choice.
        Containerd = "containerd",
        /// CRI-O.
        Crio = "crio",
        /// Docker, through cri-dockerd.
        Docker = "docker",
    }
}

words! {
    /// Who makes the network of pods. The words are those of Kubespray's `kube_network_plugin`
    /// (roles/validate_inventory/tasks/main.yml).
    NetworkPlugin {
        /// Calico, Kubespray's own choice.
        Calico = "calico",
        /// Cilium.
        Cilium = "cilium",
        /// Flannel.
        Flannel = "flannel",
        /// Kube-OVN.
        KubeOvn = "kube-ovn",
        /// kube-router.
        KubeRouter = "kube-router",
        /// Macvlan.
        Macvlan = "macvlan",
        /// Only the plugins of the CNI project; another program sets them up.
        Cni = "cni",
        /// Manifests or a chart of your own.
        CustomCni = "custom_cni",
        /// A cloud provider.
        Cloud = "cloud",
        /// No plugin.
        None = "none",
    }
}

words! {
    /// How packets of pods travel between machines.
    Encapsulation {
        /// Inside UDP packets; 50 bytes of each are lost.
        Vxlan = "vxlan",
        /// Inside IP packets; 20 bytes of each are lost.
        Ipip = "ipip",
        /// As they are; the machines route them.
        None = "none",
    }
}

words! {
    /// Who resolves names of services. The words are those of Kubespray's `dns_mode`
    /// (roles/validate_inventory/tasks/main.yml).
    DnsMode {
        /// CoreDNS.
        Coredns = "coredns",
        /// Two CoreDNS side by side.
        CorednsDual = "coredns_dual",
        /// A server of your own, named by the variable `manual_dns_server`.
        Manual = "manual",
        /// No server.
        None = "none",
    }
}
