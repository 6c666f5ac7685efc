//! libvirt's XML: of a lab's network, its storage and its machines, written from plans and read back.
//!
//! Everything the lab makes carries, in its `<metadata>`, the id of the lab and the applied properties, so
//! that it is found and compared without any file of ours. Nothing here talks to libvirt, and no other
//! module writes or reads its XML.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::identity::{LabId, Uuid};
use crate::units::{Bytes, MacAddress};

mod applied;
mod container;
mod machine;
mod network;
mod read;
mod storage;
mod xml;

pub use applied::AppliedMachine;
pub use container::container_xml;
pub use machine::domain_xml;
pub use network::{bridge_name, network_host_xml, network_plan, network_xml};
pub use read::{
    DomainRecord, NetworkRecord, ReadError, VolumeRecord, read_console, read_domain, read_network,
    read_volume,
};
pub use storage::{pool_xml, volume_xml};
pub use xml::XmlError;

/// The XML namespace of the lab's element in the `<metadata>` of networks and domains.
pub const METADATA_NAMESPACE: &str = "urn:lab:metadata:1";

/// The engine that runs the processors of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Acceleration {
    /// The host's own processors.
    Kvm,
    /// QEMU's translation; ten to thirty times slower.
    Tcg,
    /// Nothing: a container's processes are the computer's own.
    Native,
}

/// The host's handling of packets that leave the lab's network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Forward {
    /// Nothing, and no firewall rules either: for a namespace of the lab's own, which has no uplink.
    Open,
    /// Rejects them.
    None,
    /// Address translation.
    Nat,
}

/// The part of a network that machines depend on: when it changes they are started again.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkSettings {
    /// Network address and prefix.
    pub subnet: Ipv4Net,
    /// The host's own address in it.
    pub gateway: Ipv4Addr,
    /// Bytes.
    pub mtu: u16,
    /// The packets that leave it.
    pub forward: Forward,
}

/// A machine as the network's DHCP and name server knows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NetworkHost {
    /// Host name.
    pub name: String,
    /// MAC address.
    pub mac: MacAddress,
    /// The address it is given.
    pub address: Ipv4Addr,
}

/// A libvirt network to be defined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkPlan {
    /// Of the lab.
    pub lab: LabId,
    /// Name of the cluster.
    pub cluster: String,
    /// Name of the libvirt network.
    pub name: String,
    /// Its UUID.
    pub uuid: Uuid,
    /// Name of the bridge, at most 15 bytes.
    pub bridge: String,
    /// Addresses, MTU, forwarding.
    pub settings: NetworkSettings,
    /// One per machine.
    pub hosts: BTreeSet<NetworkHost>,
}

/// Format of a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VolumeFormat {
    /// QEMU's copy-on-write format.
    Qcow2,
    /// Bytes as they are.
    Raw,
}

/// A storage volume to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumePlan {
    /// Name in its pool; also the name of the file.
    pub name: String,
    /// Size that a machine sees.
    pub capacity: Bytes,
    /// How it is stored.
    pub format: VolumeFormat,
    /// The volume that it is a copy-on-write clone of.
    pub backing: Option<Backing>,
}

/// The volume that a clone reads where it was not written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backing {
    /// Absolute path on the host of the machines.
    pub path: String,
    /// Its format: never probed, since a guest that writes a header could then name any file.
    pub format: VolumeFormat,
}

/// A virtual machine to be defined. Paths are absolute, on the host of the machines.
///
/// Host devices (GPUs bound to the machine) become a field of this when they are built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachinePlan {
    /// Of the lab.
    pub lab: LabId,
    /// Name of the cluster.
    pub cluster: String,
    /// Name of the machine; see [`domain_name`] for the domain's.
    pub machine: String,
    /// Of the domain.
    pub uuid: Uuid,
    /// Processors, memory, MAC address and the other properties compared later; stored in the metadata.
    pub applied: AppliedMachine,
    /// How it starts.
    pub boot: Boot,
    /// Path of the root disk, a qcow2 volume.
    pub root_disk: String,
    /// Name of the libvirt network.
    pub network: String,
    /// Path of the file that the serial console is written to, appended.
    pub console_log: String,
}

/// A container to be defined. Paths are absolute, on the host of the machines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerPlan {
    /// Of the lab.
    pub lab: LabId,
    /// Name of the cluster.
    pub cluster: String,
    /// Name of the machine; see [`domain_name`] for the domain's.
    pub machine: String,
    /// Of the domain.
    pub uuid: Uuid,
    /// Processors, memory, addresses and the other properties compared later; stored in the metadata.
    pub applied: AppliedMachine,
    /// Path of its first program, in the container.
    pub first_program: String,
    /// The folder that is its root.
    pub root: String,
    /// Folders that it sees at other places: where they are, and where it sees them.
    pub folders: Vec<(String, String)>,
    /// Name of the libvirt network.
    pub network: String,
}

/// How a virtual machine starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Boot {
    /// QEMU loads the kernel: no firmware menu, no boot loader.
    Kernel {
        /// Path of the kernel.
        kernel: String,
        /// Path of the initial file system with the machine's identity.
        initrd: String,
        /// The command line that the image needs.
        command_line: String,
    },
    /// The firmware starts the disk's own boot loader, as a cloud image expects.
    Disk {
        /// Path of a raw NoCloud seed.
        seed: String,
    },
}

/// The name of a machine's libvirt domain, `CLUSTER-MACHINE`.
pub fn domain_name(cluster: &str, machine: &str) -> String {
    format!("{cluster}-{machine}")
}

/// The name of a lab's libvirt network and of its storage pool, `lab-CLUSTER-ID`. Pools have no
/// metadata: the id in the name finds them.
pub fn resource_name(cluster: &str, lab: &LabId) -> String {
    format!("lab-{cluster}-{lab}")
}

/// The lab's element for the `<metadata>` of a machine.
fn machine_metadata(lab: &LabId, cluster: &str, machine: &str, applied: &AppliedMachine) -> xml::Element {
    let applied = serde_json::to_string(applied).expect("a record of plain fields has a JSON form");
    metadata_element("machine", lab, cluster)
        .attribute("name", machine)
        .child(xml::element("lab:applied").text(applied))
}

/// The lab's element for a `<metadata>`. The caller adds the data of the resource alone.
fn metadata_element(name: &str, lab: &LabId, cluster: &str) -> xml::Element {
    xml::element(&format!("lab:{name}"))
        .attribute("xmlns:lab", METADATA_NAMESPACE)
        .attribute("id", lab)
        .attribute("cluster", cluster)
}

#[cfg(test)]
mod tests;
