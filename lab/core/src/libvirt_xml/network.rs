//! The lab's network.

use std::collections::BTreeMap;

use super::xml::{Element, element};
use super::{Forward, NetworkHost, NetworkPlan, NetworkSettings, metadata_element, resource_name};
use crate::identity::{LabId, MachineNumbers, network_uuid};
use crate::spec::{ClusterSpec, Egress, HostSpec};

/// The network of a cluster. `numbers` has an entry for each of its machines.
pub fn network_plan(
    spec: &ClusterSpec,
    lab: &LabId,
    numbers: &BTreeMap<String, MachineNumbers>,
) -> NetworkPlan {
    let forward = match (&spec.host, spec.network.egress) {
        (HostSpec::Embedded, _) => Forward::Open,
        (HostSpec::Libvirt(_), Egress::None) => Forward::None,
        (HostSpec::Libvirt(_), Egress::Nat) => Forward::Nat,
    };
    let hosts = spec.machines.iter().map(|machine| NetworkHost {
        name: machine.name.clone(),
        mac: numbers[&machine.name].mac,
        address: machine.address,
    });
    NetworkPlan {
        lab: lab.clone(),
        cluster: spec.name.clone(),
        name: resource_name(&spec.name, lab),
        uuid: network_uuid(lab),
        // Three letters and the twelve digits of the id: the 15 bytes that Linux allows.
        bridge: bridge_name(lab),
        settings: NetworkSettings {
            subnet: spec.network.subnet,
            gateway: spec.network.gateway,
            mtu: spec.network.mtu,
            forward,
        },
        hosts: hosts.collect(),
    }
}

/// The network's definition.
pub fn network_xml(plan: &NetworkPlan) -> String {
    let NetworkSettings { subnet, gateway, mtu, forward } = &plan.settings;
    let mut network = element("network")
        .child(element("name").text(&plan.name))
        .child(element("uuid").text(plan.uuid))
        .child(element("metadata").child(metadata_element("network", &plan.lab, &plan.cluster)));
    // Without the element libvirt isolates the network by firewall rules.
    match forward {
        Forward::None => {}
        Forward::Open => network = network.child(element("forward").attribute("mode", "open")),
        Forward::Nat => network = network.child(element("forward").attribute("mode", "nat")),
    }
    network
        // No spanning tree: it would hold back a machine's packets while it listens, and there is no loop.
        .child(
            element("bridge").attribute("name", &plan.bridge).attribute("stp", "off").attribute("delay", 0),
        )
        .child(element("mtu").attribute("size", mtu))
        .child(
            // Names without a dot are the lab's own: no outside server is asked for them.
            element("dns").attribute("forwardPlainNames", "no").children(plan.hosts.iter().map(dns_host)),
        )
        .child(
            element("ip")
                .attribute("address", gateway)
                .attribute("prefix", subnet.prefix_len())
                // No range: only planned machines are given an address.
                .child(element("dhcp").children(plan.hosts.iter().map(dhcp_host))),
        )
        .to_document()
}

/// The name of a lab's bridge, 15 bytes: as long as Linux lets the name of an interface be.
pub fn bridge_name(lab: &LabId) -> String {
    format!("lab{lab}")
}

/// The two elements that `virNetworkUpdate` takes to add or delete a machine in a living network: for
/// the section `ip-dhcp-host` and for the section `dns-host`.
///
/// [`read_network`](super::read_network) sees the first, so it is to be added last and deleted
/// last. The second may be left over from an update that was broken off: delete it before it is added.
pub fn network_host_xml(host: &NetworkHost) -> (String, String) {
    (dhcp_host(host).to_document(), dns_host(host).to_document())
}

fn dhcp_host(host: &NetworkHost) -> Element {
    element("host").attribute("mac", host.mac).attribute("name", &host.name).attribute("ip", host.address)
}

fn dns_host(host: &NetworkHost) -> Element {
    element("host").attribute("ip", host.address).child(element("hostname").text(&host.name))
}
