//! The spec: a cluster file after every check has passed.
//!
//! Plain data with public fields. Values are made only by `cluster::check`, so its holder may
//! rely on the invariants named here: machine names and addresses are unique, addresses lie inside
//! the subnet, there is at least one control plane, the number of etcd members is odd.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::units::Bytes;

mod gpu_operator;
mod kubernetes;

pub use gpu_operator::{ChartFile, GpuDriver, GpuMonitoring, GpuOperatorSpec, GpuRuntime, MigStrategy};
pub use kubernetes::{
    AddonsSpec, ApiSpec, ContainerEngine, ContainerRuntimeSpec, DnsMode, DnsSpec, Encapsulation, KubeletSpec,
    KubernetesSpec, MilliCpus, MirrorsSpec, NetworkPlugin, PodNetworkSpec, RegistrySpec, ReservedSpec,
};

/// A checked cluster file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClusterSpec {
    /// A DNS label, at most 32 characters; also the name of the folder under `output/`.
    pub name: String,
    /// Where the machines run.
    pub host: HostSpec,
    /// The one network all machines are on.
    pub network: NetworkSpec,
    /// The settings of Kubespray.
    pub kubespray: KubespraySpec,
    /// The settings of Kubernetes.
    pub kubernetes: KubernetesSpec,
    /// Where files and container images come from.
    pub mirrors: MirrorsSpec,
    /// NVIDIA's GPU Operator, where the cluster has one.
    pub gpu_operator: Option<GpuOperatorSpec>,
    /// In the order of the file.
    pub machines: Vec<MachineSpec>,
}

/// Where machines run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HostSpec {
    /// A private libvirt in its own namespaces; the computer is not changed.
    Embedded,
    /// A libvirt connection URI, `qemu:///system` or a remote one.
    Libvirt(String),
}

/// The network of a lab.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NetworkSpec {
    /// Network address and prefix, host bits zero.
    pub subnet: Ipv4Net,
    /// The host's own address in the subnet.
    pub gateway: Ipv4Addr,
    /// Whether machines reach anything outside the lab.
    pub egress: Egress,
    /// Bytes; 1500 unless the file says otherwise.
    pub mtu: u16,
}

/// The networks that machines may reach outside their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Egress {
    /// Nothing.
    None,
    /// All that the host reaches, by address translation. Refused on the embedded host, which has no uplink.
    Nat,
}

/// The settings of Kubespray.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KubespraySpec {
    /// A git tag, `v2.30.0`.
    pub version: String,
    /// A git URL, or a directory relative to the cluster file's folder; the project's own repository where `None`.
    pub source: Option<String>,
    /// How Ansible runs the tasks of a play.
    pub strategy: Strategy,
    /// Pass-through variables: group name to variable name to value, as written.
    pub variables: BTreeMap<String, BTreeMap<String, serde_json::Value>>,
}

/// How Ansible runs the tasks of a play.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// With less work for each task, and one Python on each machine for a whole run; of ours.
    LabLinear,
    /// Ansible's own default.
    Linear,
}

impl Strategy {
    /// Its name among Ansible's plugins.
    pub fn name(self) -> &'static str {
        match self {
            Self::LabLinear => "lab_linear",
            Self::Linear => "linear",
        }
    }
}

/// One machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MachineSpec {
    /// A DNS label that Kubernetes accepts as a node name.
    pub name: String,
    /// The kind of libvirt domain that it becomes.
    pub kind: MachineKind,
    /// At least one.
    pub roles: BTreeSet<Role>,
    /// Inside the network's subnet; unique.
    pub address: Ipv4Addr,
    /// Virtual processors, at least one.
    pub cpus: u32,
    /// Guest memory.
    pub memory: Bytes,
    /// Virtual size of the root disk.
    pub disk: Bytes,
    /// The image that the root disk is cloned from.
    pub image: ImageSpec,
    /// Kubernetes node labels.
    pub labels: BTreeMap<String, String>,
    /// Kubernetes node taints, in the order of the file.
    pub taints: Vec<Taint>,
    /// Its GPUs: all physical ones (carried; bound to machines later), or all stand-ins.
    pub gpus: Vec<GpuRequest>,
    /// False: defined, but started only by `vm start`.
    pub auto_start: bool,
}

/// The kind of libvirt domain a machine becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MachineKind {
    /// A QEMU virtual machine.
    Vm,
    /// A system container of libvirt's LXC driver.
    Container,
}

/// The role of a machine in the Kubernetes cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Member of Kubespray's group `kube_control_plane`.
    ControlPlane,
    /// Member of Kubespray's group `etcd`. In a checked file every member has this role: the machines
    /// that the file gives it, or else the control planes.
    Etcd,
    /// Member of Kubespray's group `kube_node`.
    Worker,
}

/// The image that a root disk is cloned from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImageSpec {
    /// The lab's own Debian 13 base, made from the distribution's packages.
    Debian13,
    /// A cloud image of the user's: it gets its identity through a NoCloud seed.
    Cloud {
        /// A path (absolute, or relative to the cluster file's folder) or an http(s) URL.
        source: String,
        /// Lower-case hexadecimal SHA-512 of the file.
        sha512: String,
    },
}

/// A Kubernetes taint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Taint {
    /// A qualified name, `nvidia.com/gpu`.
    pub key: String,
    /// May be empty.
    pub value: String,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: String,
}

/// One GPU that a machine wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum GpuRequest {
    /// By PCI address, `0000:65:00.0`.
    Address(String),
    /// Any free GPU whose model name contains this text.
    Model(String),
    /// No GPU, but the outside of its driver: a name of `gpu_stand_in::MODELS`.
    StandIn(String),
}

impl GpuRequest {
    /// Whether it is a card of the computer's, and no stand-in.
    pub fn is_physical(&self) -> bool {
        !matches!(self, Self::StandIn(_))
    }
}

impl fmt::Display for GpuRequest {
    /// `GPU 0000:65:00.0`, `GPU RTX A6000`, `GPU RTX A6000 (stand-in)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(name) | Self::Model(name) => write!(f, "GPU {name}"),
            Self::StandIn(model) => write!(f, "GPU {model} (stand-in)"),
        }
    }
}
