//! The network and who has which address in it.

use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::machines::Draft;
use super::value_or;
use crate::cluster::decode::{Located, Optional};
use crate::cluster::raw;
use crate::cluster::scalars::Mtu;
use crate::host::HostFacts;
use crate::source::{Code, Findings, Span};
use crate::spec::{Egress, HostSpec, NetworkSpec};

/// The network where the file names none.
const DEFAULT_SUBNET: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(192, 168, 200, 0), 24);
const DEFAULT_MTU: Mtu = Mtu(1500);

/// Planned addresses start this far into the subnet: lower ones are for people.
const FIRST_PLANNED: u32 = 10;

/// The longest prefix in which a planned address fits.
const LONGEST_PREFIX: u8 = 28;

/// Networks that no host on the internet has (RFC 1918).
const PRIVATE: [Ipv4Net; 3] = [
    Ipv4Net::new_assert(Ipv4Addr::new(10, 0, 0, 0), 8),
    Ipv4Net::new_assert(Ipv4Addr::new(172, 16, 0, 0), 12),
    Ipv4Net::new_assert(Ipv4Addr::new(192, 168, 0, 0), 16),
];

/// Judges the network by itself and against the host. `host`: `None` if the file's host was refused.
pub(super) fn resolve(
    raw: &Optional<raw::Network>,
    host: Option<&HostSpec>,
    facts: Option<&HostFacts>,
    findings: &mut Findings,
) -> Option<NetworkSpec> {
    let Some(raw) = raw else {
        let gateway = first_host(DEFAULT_SUBNET);
        let (subnet, mtu) = (DEFAULT_SUBNET, DEFAULT_MTU.0);
        return Some(NetworkSpec { subnet, gateway, egress: Egress::None, mtu });
    };
    let raw = raw.0.as_ref()?;
    if let (Some(HostSpec::Embedded), Some(egress)) = (host, given(&raw.egress))
        && egress.value == Egress::Nat
    {
        findings
            .error(
                Code::EgressNeedsUplink,
                egress.span,
                "the embedded host has no uplink, so its machines reach nothing outside the lab",
            )
            .hint("write `egress: none`, or name a libvirt host: `host: qemu:///system`");
    }
    let subnet = value_or(&raw.subnet, DEFAULT_SUBNET)?;
    if let Some(written) = given(&raw.subnet)
        && !check_subnet(*written, host, facts, findings)
    {
        return None;
    }
    let gateway = match given(&raw.gateway) {
        Some(written) => check_address(*written, "the gateway", subnet, None, findings)?,
        None => value_or(&raw.gateway, first_host(subnet))?,
    };
    let (egress, mtu) = (value_or(&raw.egress, Egress::None)?, value_or(&raw.mtu, DEFAULT_MTU)?.0);
    Some(NetworkSpec { subnet, gateway, egress, mtu })
}

fn given<T>(field: &Optional<Located<T>>) -> Option<&Located<T>> {
    field.as_ref().and_then(|read| read.0.as_ref())
}

fn first_host(subnet: Ipv4Net) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(subnet.network()) + 1)
}

/// Whether addresses of the subnet can be judged any further.
fn check_subnet(
    subnet: Located<Ipv4Net>,
    host: Option<&HostSpec>,
    facts: Option<&HostFacts>,
    findings: &mut Findings,
) -> bool {
    let Located { value: subnet, span } = subnet;
    if subnet.prefix_len() > LONGEST_PREFIX {
        findings
            .error(Code::SubnetTooSmall, span, format!("the subnet {subnet} is too small for a lab"))
            .hint(format!("use a prefix of /{LONGEST_PREFIX} or shorter, like /24"));
        return false;
    }
    if !PRIVATE.iter().any(|private| private.contains(&subnet)) {
        findings
            .error(Code::SubnetNotPrivate, span, format!("the subnet {subnet} is not a private one"))
            .hint("choose one inside 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16");
    }
    // The embedded host has a network namespace of its own: the computer's routes are not in it.
    if let (Some(HostSpec::Libvirt(_)), Some(facts)) = (host, facts) {
        let overlaps = |route: &Ipv4Net| route.contains(&subnet) || subnet.contains(route);
        if let Some((route, interface)) = facts.routes.iter().find(|(route, _)| overlaps(route)) {
            findings
                .error(
                    Code::SubnetInUse,
                    span,
                    format!("the computer already routes {route} by its interface {interface}"),
                )
                .hint(free_subnet(facts).map_or_else(
                    || "choose another subnet, or the embedded host, which has its own".to_owned(),
                    |free| format!("{free} is free"),
                ));
        }
    }
    true
}

/// A /24 that overlaps nothing the computer routes.
fn free_subnet(facts: &HostFacts) -> Option<Ipv4Net> {
    (200..=250)
        .filter_map(|third| Ipv4Net::new(Ipv4Addr::new(192, 168, third, 0), 24).ok())
        .find(|free| !facts.routes.iter().any(|(route, _)| route.contains(free) || free.contains(route)))
}

/// An address that a machine in the subnet can have; any other is reported.
fn check_address(
    address: Located<Ipv4Addr>,
    whose: &str,
    subnet: Ipv4Net,
    gateway: Option<Ipv4Addr>,
    findings: &mut Findings,
) -> Option<Ipv4Addr> {
    let Located { value: address, span } = address;
    if !subnet.contains(&address) {
        let (first, last) = (first_host(subnet), Ipv4Addr::from(u32::from(subnet.broadcast()) - 1));
        findings
            .error(
                Code::AddressOutsideSubnet,
                span,
                format!("{address}, the address of {whose}, is not in the subnet {subnet}"),
            )
            .hint(format!("choose one from {first} to {last}"));
        return None;
    }
    let owner = if address == subnet.network() {
        "the subnet's own"
    } else if address == subnet.broadcast() {
        "the subnet's broadcast address"
    } else if Some(address) == gateway {
        "the gateway's"
    } else {
        return Some(address);
    };
    findings
        .error(Code::AddressTaken, span, format!("{address}, the address of {whose}, is {owner}"))
        .hint("choose another, or leave the key out to have the next free one");
    None
}

/// The address of each machine, given or planned: the lowest free one from .10 on, in the order of
/// the file. The same file gives the same addresses. `None` where a finding says why.
pub(super) fn addresses(
    network: Option<&NetworkSpec>,
    machines: &[Draft<'_>],
    findings: &mut Findings,
) -> Vec<Option<Ipv4Addr>> {
    check_unique(machines, findings);
    let Some(network) = network else { return vec![None; machines.len()] };
    let mut taken: HashSet<Ipv4Addr> =
        machines.iter().filter_map(|machine| given(&machine.file.address)).map(|given| given.value).collect();
    taken.insert(network.gateway);
    let first = u32::from(network.subnet.network()) + FIRST_PLANNED;
    let mut free = (first..u32::from(network.subnet.broadcast()))
        .map(Ipv4Addr::from)
        .filter(|address| !taken.contains(address));

    let mut without: Vec<Span> = Vec::new();
    let addresses = machines
        .iter()
        .map(|machine| match (&machine.file.address, given(&machine.file.address)) {
            (_, Some(given)) => {
                check_address(*given, &machine.title(), network.subnet, Some(network.gateway), findings)
            }
            (Some(_), None) => None,
            (None, None) => {
                let next = free.next();
                if next.is_none() {
                    without.push(machine.file.span);
                }
                next
            }
        })
        .collect();
    if let Some(first) = without.first() {
        let message = format!(
            "the subnet {} has no address left for this machine{}",
            network.subnet,
            if without.len() > 1 { format!(" and {} more", without.len() - 1) } else { String::new() }
        );
        findings
            .error(Code::SubnetFull, *first, message)
            .hint(format!("use a prefix shorter than /{}", network.subnet.prefix_len()));
    }
    addresses
}

/// Two machines cannot have one address.
fn check_unique(machines: &[Draft<'_>], findings: &mut Findings) {
    let mut owners: HashMap<Ipv4Addr, (String, Span)> = HashMap::new();
    for machine in machines {
        let Some(address) = given(&machine.file.address) else { continue };
        if let Some((owner, span)) = owners.get(&address.value) {
            let message = format!("{} has the address of {owner}, {}", machine.title(), address.value);
            findings
                .error(Code::DuplicateAddress, address.span, message)
                .hint("choose another, or leave the key out to have the next free one")
                .related(*span, "first given here");
        } else {
            owners.insert(address.value, (machine.title(), address.span));
        }
    }
}
