//! libvirt's resources, read from their XML (`virDomainGetXMLDesc`, `virNetworkGetXMLDesc`).
//!
//! The inactive definition is the one to read: the live one of a running machine still carries the
//! metadata of its last start.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::str::FromStr;

use ipnet::Ipv4Net;

use super::xml::{Element, XmlError, parse};
use super::{AppliedMachine, Forward, METADATA_NAMESPACE, NetworkHost, NetworkSettings};
use crate::identity::LabId;
use crate::units::Bytes;

/// Why the XML of a resource could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The document itself.
    #[error(transparent)]
    Xml(#[from] XmlError),
    /// An element that libvirt always writes.
    #[error("libvirt's XML has no {0}")]
    Missing(&'static str),
    /// The lab's own element has no id, or one that is none.
    #[error("the lab's metadata has no valid lab id")]
    LabId,
}

/// A domain of some lab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainRecord {
    /// Name of the domain.
    pub name: String,
    /// As libvirt prints it.
    pub uuid: String,
    /// The lab it belongs to.
    pub lab: LabId,
    /// Name of the cluster.
    pub cluster: String,
    /// Name of the machine.
    pub machine: String,
    /// The applied properties; none if this version cannot read them.
    pub applied: Option<AppliedMachine>,
}

/// A network of some lab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkRecord {
    /// Name of the network.
    pub name: String,
    /// As libvirt prints it.
    pub uuid: String,
    /// The lab it belongs to.
    pub lab: LabId,
    /// Name of the cluster.
    pub cluster: String,
    /// The settings that machines depend on; none if no lab defines such a network.
    pub settings: Option<NetworkSettings>,
    /// The machines its DHCP server knows.
    pub hosts: BTreeSet<NetworkHost>,
}

/// A storage volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeRecord {
    /// Its name in the pool.
    pub name: String,
    /// Its path on the host of the machines.
    pub path: String,
    /// Size that a machine sees.
    pub capacity: Bytes,
    /// Path of the volume that it is a clone of.
    pub backing: Option<String>,
}

/// Reads a storage volume.
///
/// # Errors
/// If the text is not a volume of libvirt's.
pub fn read_volume(xml: &str) -> Result<VolumeRecord, ReadError> {
    let volume = parse(xml)?;
    let path = |parents: &[&str]| volume.find(parents).map(|path| path.content().to_owned());
    // libvirt itself always writes bytes.
    let capacity = text(&volume, "capacity")?.parse().map_err(|_| ReadError::Missing("capacity"))?;
    Ok(VolumeRecord {
        name: text(&volume, "name")?,
        path: path(&["target", "path"]).ok_or(ReadError::Missing("target path"))?,
        capacity: Bytes(capacity),
        backing: path(&["backingStore", "path"]),
    })
}

/// Reads a domain. `None`: it is no lab's.
///
/// # Errors
/// If the text is not a domain of libvirt's, or carries a lab's element without a lab id.
pub fn read_domain(xml: &str) -> Result<Option<DomainRecord>, ReadError> {
    let domain = parse(xml)?;
    let Some(ours) = metadata(&domain, "machine") else {
        return Ok(None);
    };
    let applied = ours.find(&["applied"]).and_then(|applied| serde_json::from_str(applied.content()).ok());
    Ok(Some(DomainRecord {
        name: text(&domain, "name")?,
        uuid: text(&domain, "uuid")?,
        lab: lab_id(ours)?,
        cluster: ours.get("cluster").unwrap_or_default().to_owned(),
        machine: ours.get("name").unwrap_or_default().to_owned(),
        applied,
    }))
}

/// The path of the terminal behind the first console of a running domain; none where it has no console.
///
/// # Errors
/// If the text is not a domain of libvirt's.
pub fn read_console(xml: &str) -> Result<Option<String>, ReadError> {
    let domain = parse(xml)?;
    let Some(devices) = domain.find(&["devices"]) else { return Ok(None) };
    let path = |console: &Element| Some(console.find(&["source"])?.get("path")?.to_owned());
    Ok(devices.all("console").find_map(path))
}

/// Reads a network. `None`: it is no lab's.
///
/// # Errors
/// If the text is not a network of libvirt's, or carries a lab's element without a lab id.
pub fn read_network(xml: &str) -> Result<Option<NetworkRecord>, ReadError> {
    let network = parse(xml)?;
    let Some(ours) = metadata(&network, "network") else {
        return Ok(None);
    };
    let hosts = network
        .find(&["ip", "dhcp"])
        .into_iter()
        .flat_map(|dhcp| dhcp.all("host"))
        .filter_map(|host| {
            let name = host.get("name")?.to_owned();
            Some(NetworkHost { name, mac: attribute(host, "mac")?, address: attribute(host, "ip")? })
        })
        .collect();
    Ok(Some(NetworkRecord {
        name: text(&network, "name")?,
        uuid: text(&network, "uuid")?,
        lab: lab_id(ours)?,
        cluster: ours.get("cluster").unwrap_or_default().to_owned(),
        settings: settings(&network),
        hosts,
    }))
}

fn settings(network: &Element) -> Option<NetworkSettings> {
    let ip = network.find(&["ip"])?;
    let gateway: Ipv4Addr = attribute(ip, "address")?;
    // libvirt writes the prefix or the mask, as the definition had it.
    let subnet = match attribute(ip, "prefix") {
        Some(prefix) => Ipv4Net::new(gateway, prefix).ok()?,
        None => Ipv4Net::with_netmask(gateway, attribute(ip, "netmask")?).ok()?,
    };
    let forward = match network.find(&["forward"]).and_then(|forward| forward.get("mode")) {
        None => Forward::None,
        Some("open") => Forward::Open,
        Some("nat") => Forward::Nat,
        Some(_) => return None,
    };
    let mtu = attribute(network.find(&["mtu"])?, "size")?;
    Some(NetworkSettings { subnet: subnet.trunc(), gateway, mtu, forward })
}

fn attribute<T: FromStr>(element: &Element, name: &str) -> Option<T> {
    element.get(name)?.parse().ok()
}

fn metadata<'a>(resource: &'a Element, name: &'static str) -> Option<&'a Element> {
    let ours = |element: &&Element| element.namespace.as_deref() == Some(METADATA_NAMESPACE);
    resource.find(&["metadata"])?.all(name).find(ours)
}

fn text(resource: &Element, name: &'static str) -> Result<String, ReadError> {
    Ok(resource.find(&[name]).ok_or(ReadError::Missing(name))?.content().to_owned())
}

fn lab_id(ours: &Element) -> Result<LabId, ReadError> {
    ours.get("id").and_then(|id| id.parse().ok()).ok_or(ReadError::LabId)
}
