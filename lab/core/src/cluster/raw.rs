//! The cluster file as written: its keys, their types, and the descriptions that editors show.
//!
//! The doc comment of a field is the description in the JSON Schema: write it for the person who
//! fills in the file.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use schemars::JsonSchema;

use super::decode::{Anything, Decode, List, Located, Map, Optional, Read, record};
use super::names::{ClusterName, LabelKey, LabelValue, MachineName};
use super::scalars::kubespray::{GitSource, Group, KubesprayVersion, VariableName};
use super::scalars::{ApiVersion, Count, Digest, FileKind, Model, Mtu, PciAddress, StandInModel, Text, Url};
use crate::source::Findings;
use crate::source::yaml::{Node, Value};
use crate::spec::{Egress, HostSpec, ImageSpec, MachineKind, Role, Strategy, Taint};
use crate::units::Bytes;

mod gpu_operator;
mod kubernetes;

pub(super) use gpu_operator::{ChartFile, GpuOperator, Sharing};
pub(super) use kubernetes::{Addons, Api, ContainerRuntime, Dns, Kubelet, Kubernetes, Mirrors, PodNetwork};

record! {
    /// A small Kubernetes cloud: where its machines run, their network, and the machines themselves.
    struct Cluster("the cluster file") {
        /// Version of this file's format.
        #[expect(dead_code, reason = "there is one right value, and reading it was the check")]
        api_version as "apiVersion": Read<Located<ApiVersion>>,
        /// Always `Cluster`.
        #[expect(dead_code, reason = "there is one right value, and reading it was the check")]
        kind: Read<Located<FileKind>>,
        /// Name of the lab: a DNS label of at most 32 characters. Also the name of its folder under `output/`.
        name: Read<Located<ClusterName>>,
        /// Where the machines run. `embedded`: a private libvirt in its own namespaces; the computer is not
        /// changed. Or a libvirt URI: `qemu:///system`, `qemu+ssh://root@server/system`.
        #[schemars(extend("default" = "embedded"))]
        host: Optional<Located<HostSpec>>,
        /// The one network that all machines are on.
        network: Optional<Network>,
        /// Which Kubespray deploys Kubernetes, and its settings.
        kubespray: Optional<Kubespray>,
        /// The settings of Kubernetes. Kubespray chooses those left out.
        kubernetes: Optional<Kubernetes>,
        /// Where files and container images come from instead of the internet.
        mirrors: Optional<Mirrors>,
        /// NVIDIA's GPU Operator, which makes GPUs usable for pods. Left out, the cluster has none.
        gpu_operator: Optional<GpuOperator>,
        /// The settings of every machine that does not override them.
        defaults: Optional<Defaults>,
        /// The machines. At least one is a control plane.
        #[schemars(length(min = 1))]
        machines: Read<List<Machine>>,
    }
}

record! {
    /// The one network that all machines are on.
    struct Network("the network") {
        /// A private IPv4 network. Labs on the embedded host may use the same one side by side.
        #[schemars(extend("default" = "192.168.200.0/24"))]
        subnet: Optional<Located<Ipv4Net>>,
        /// The host's own address in the subnet. Default: the first one.
        gateway: Optional<Located<Ipv4Addr>>,
        /// The networks that machines reach outside the lab: `none`, or by address translation (`nat`) those
        /// of the host. The embedded host has no uplink and takes only `none`.
        #[schemars(extend("default" = "none"))]
        egress: Optional<Located<Egress>>,
        /// Largest packet in bytes.
        #[schemars(extend("default" = 1500))]
        mtu: Optional<Located<Mtu>>,
    }
}

record! {
    /// Which Kubespray deploys Kubernetes, and its settings.
    struct Kubespray("kubespray") {
        /// A release of Kubespray.
        #[schemars(extend("default" = "v2.30.0"))]
        version: Optional<Located<KubesprayVersion>>,
        /// Where it is fetched from: a git URL, or the path of a directory (absolute, or relative to this file's
        /// folder). The commit is the pinned one wherever it comes from. Default: the project's own repository.
        source: Optional<Located<GitSource>>,
        /// How Ansible runs tasks. `lab_linear`: with less work for each, and one Python on each machine for a whole run.
        /// `linear`: as Ansible does by itself, several times slower.
        #[schemars(extend("default" = "lab_linear"))]
        strategy: Optional<Located<Strategy>>,
        /// Variables passed on to Kubespray as they are: group, then variable, then value.
        variables: Optional<Map<Group, Map<VariableName, Anything>>>,
    }
}

record! {
    /// The settings of every machine that does not override them.
    struct Defaults("the defaults") {
        /// The kind of machine: a virtual machine (`vm`) or a system container (`container`).
        #[schemars(extend("default" = "vm"))]
        kind: Optional<Located<MachineKind>>,
        /// Virtual processors.
        #[schemars(extend("default" = 2))]
        cpus: Optional<Located<Count>>,
        /// Memory, with its unit.
        #[schemars(extend("default" = "2GiB"))]
        memory: Optional<Located<Bytes>>,
        /// Size of the root disk, with its unit. It grows as it is filled.
        #[schemars(extend("default" = "20GiB"))]
        disk: Optional<Located<Bytes>>,
        /// The image that root disks are cloned from.
        #[schemars(extend("default" = "debian13"))]
        image: Optional<Image>,
        /// Kubernetes labels of every machine. A machine's own labels are added and win.
        labels: Optional<Labels>,
        /// Whether machines are started by `lab up`.
        #[schemars(extend("default" = true))]
        auto_start: Optional<Located<bool>>,
    }
}

record! {
    /// One machine of the lab.
    struct Machine("a machine") {
        /// Name of the machine and of its Kubernetes node: lower case letters, digits and `-`.
        name: Read<Located<MachineName>>,
        /// The roles of the machine in the Kubernetes cluster. Control planes are the members of etcd unless
        /// some machine has the role `etcd`.
        #[schemars(extend("default" = ["worker"]))]
        roles: Optional<List<Located<Role>>>,
        /// IPv4 address in the network's subnet. Default: the next free one, from .10 on, in the order of
        /// the file.
        address: Optional<Located<Ipv4Addr>>,
        /// Virtual processors. A control plane needs 2.
        #[schemars(extend("default" = 2))]
        cpus: Optional<Located<Count>>,
        /// Memory, with its unit: at least 1GiB, for Kubespray 1152MiB, for a control plane 2GiB.
        #[schemars(extend("default" = "2GiB"))]
        memory: Optional<Located<Bytes>>,
        /// Size of the root disk, with its unit. It grows as it is filled.
        #[schemars(extend("default" = "20GiB"))]
        disk: Optional<Located<Bytes>>,
        /// The image that the root disk is cloned from.
        #[schemars(extend("default" = "debian13"))]
        image: Optional<Image>,
        /// The kind of machine: a virtual machine (`vm`) or a system container (`container`).
        #[schemars(extend("default" = "vm"))]
        kind: Optional<Located<MachineKind>>,
        /// Labels of the Kubernetes node. Values are texts: put `"true"` and numbers in quotes.
        labels: Optional<Labels>,
        /// Taints of the Kubernetes node, as kubectl writes them: `key=value:Effect`.
        taints: Optional<List<Located<Taint>>>,
        /// GPUs the machine gets: physical ones, or stand-ins, not both.
        gpus: Optional<List<Gpu>>,
        /// Whether the machine is started by `lab up`. With `false` it is defined, and started by `vm start`.
        #[schemars(extend("default" = true))]
        auto_start: Optional<Located<bool>>,
    }
}

record! {
    /// One GPU: a physical one by its address, any free one of a model, or a stand-in for one.
    struct Gpu("a GPU") {
        /// PCI address, as `lspci -D` prints it.
        address: Optional<Located<PciAddress>>,
        /// Text that the model's name contains: `RTX A6000`.
        model: Optional<Located<Model>>,
        /// No GPU, but the outside of a driver with one of this model: see `docs/gpu-stand-in.md`.
        stand_in: Optional<Located<StandInModel>>,
    }
}

record! {
    /// A cloud image of your own, by path or URL; it gets its identity through a NoCloud seed.
    struct CloudImage("an image") {
        /// Path of the image file: absolute, or relative to this file's folder.
        path: Optional<Located<Text>>,
        /// Where the image is downloaded from.
        url: Optional<Located<Url>>,
        /// SHA-512 of the file, as `sha512sum` prints it.
        sha512: Read<Located<Digest>>,
    }
}

/// Kubernetes labels.
pub(super) type Labels = Map<LabelKey, Located<LabelValue>>;

/// The image that a root disk is cloned from: `debian13`, the lab's own base, or a cloud image of your own.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub(super) enum Image {
    /// The lab's own base, by name.
    Named(Located<ImageSpec>),
    /// A cloud image of your own, by path or URL.
    Cloud(CloudImage),
}

impl Decode for Image {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        match node.value {
            Value::Map(_) => CloudImage::decode(node, findings).map(Self::Cloud),
            _ => Located::decode(node, findings).map(Self::Named),
        }
    }
}
