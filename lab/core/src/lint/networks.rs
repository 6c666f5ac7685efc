//! Networks: whether they are ones, whether they overlap, and whether they are large enough.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};
use serde_json::Value;

use crate::kubespray::Setting;
use crate::source::{Code, Place, Severity};

use super::{Lint, Part, address, shown, truth};

const VALIDATE: &str = "roles/validate_inventory/";

/// A network that an inventory or Kubespray's default says.
struct Network<'a> {
    name: &'static str,
    what: &'static str,
    net: IpNet,
    /// `None`: it is the default.
    setting: Option<&'a Setting>,
}

pub(super) fn check(lint: &mut Lint<'_>) {
    for name in
        ["kube_service_addresses", "kube_pods_subnet", "kube_service_addresses_ipv6", "kube_pods_subnet_ipv6"]
    {
        for setting in lint.judged(name) {
            is_network(lint, setting);
        }
    }
    let services = network(lint, "kube_service_addresses", "the services");
    let pods = network(lint, "kube_pods_subnet", "the pods");
    if let (Some(pods), Some(services)) = (&pods, &services) {
        overlap(lint, pods, services);
    }
    if lint.value("ipv6_stack").and_then(truth) == Some(true) {
        let services = network(lint, "kube_service_addresses_ipv6", "the services");
        let pods = network(lint, "kube_pods_subnet_ipv6", "the pods");
        if let (Some(pods), Some(services)) = (&pods, &services) {
            overlap(lint, pods, services);
        }
    }
    for network in services.iter().chain(&pods) {
        machines(lint, network);
        routes(lint, network);
    }
    local_dns(lint, services.iter().chain(&pods));
    if let Some(pods) = &pods {
        sizes(lint, pods);
    }
}

/// Kubespray asserts that both are networks, without bits behind the prefix.
fn is_network(lint: &mut Lint<'_>, setting: &Setting) {
    let text = setting.value.as_str().unwrap_or_default();
    let parsed = text.parse::<IpNet>();
    let hint = match parsed {
        Ok(net) if net.addr() == net.network() => return,
        Ok(net) => format!("did you mean {}?", net.trunc()),
        Err(_) => "write it like 10.233.0.0/18".to_owned(),
    };
    let source = lint.asserted(&setting.name, VALIDATE);
    let message = format!("{} is not a network", shown(&setting.value));
    let finding = lint.report_finding(Severity::Error, Code::BadSubnet, setting, Part::Value, message);
    finding.hint(hint);
    finding.source = source;
}

fn network<'a>(lint: &Lint<'a>, name: &'static str, what: &'static str) -> Option<Network<'a>> {
    let net = lint.text(name)?.parse::<IpNet>().ok()?.trunc();
    Some(Network { name, what, net, setting: lint.setting(name) })
}

fn overlap(lint: &mut Lint<'_>, pods: &Network<'_>, services: &Network<'_>) {
    if !overlaps(pods.net, services.net) {
        return;
    }
    // Reported at the one that the inventory sets.
    let (at, other) = if pods.setting.is_some() { (pods, services) } else { (services, pods) };
    let Some(setting) = at.setting else { return };
    let source = lint.asserted(pods.name, VALIDATE);
    let default = if other.setting.is_none() { "the default " } else { "" };
    let message = format!(
        "{}, the network of {}, overlaps with {default}{}, the network of {}",
        at.net, at.what, other.net, other.what
    );
    let related = other.setting.map(|setting| (lint.subject.place)(setting).1);
    let finding =
        lint.report_finding(Severity::Error, Code::OverlappingNetworks, setting, Part::Value, message);
    finding.hint(format!("choose another for `{}`", at.name));
    finding.source = source;
    if let Some(related) = related {
        finding.related_at(related, format!("the network of {}", other.what));
    }
}

fn overlaps(one: IpNet, other: IpNet) -> bool {
    one.contains(&other) || other.contains(&one)
}

/// The addresses of the machines must be neither in the network of the pods nor in that of the services: Kubespray
/// does not look.
fn machines(lint: &mut Lint<'_>, network: &Network<'_>) {
    let IpNet::V4(net) = network.net else { return };
    let found = match lint.subject.network {
        Some(own) if own.subnet.contains(&net) || net.contains(&own.subnet) => {
            let what = format!("{}, the network of the machines", own.subnet);
            Some((what, (own.place)(), 0))
        }
        Some(_) => None,
        None => {
            let inside = addresses(lint).into_iter().filter(|(_, address, _)| net.contains(address));
            let mut inside: Vec<_> = inside.collect();
            inside.sort_by_key(|(host, ..)| *host);
            inside.dedup_by_key(|(host, ..)| *host);
            inside.first().map(|(host, address, place)| {
                let host = &lint.subject.groups.hosts()[*host].name;
                (format!("{address}, an address of {host}"), *place, inside.len() - 1)
            })
        }
    };
    let Some((what, place, more)) = found else { return };
    let also = super::names::and(more);
    let message = match network.setting {
        Some(_) => format!("{net}, the network of {}, overlaps with {what}{also}", network.what),
        None => format!("{what}{also}, overlaps with {net}, the default network of {}", network.what),
    };
    let hint = format!("set `{}` to a network that is apart from the machines", network.name);
    let source = lint.source_of(network.name);
    let finding = match network.setting {
        Some(setting) => {
            let finding = lint.report_finding(
                Severity::Error,
                Code::OverlappingNetworks,
                setting,
                Part::Value,
                message,
            );
            finding.related_at(place, "the machines")
        }
        None => lint.report_finding_at(Severity::Error, Code::OverlappingNetworks, Some(place), message),
    };
    finding.hint(hint);
    finding.source = source;
}

/// Every address that the inventory gives a machine, with where it says so.
fn addresses(lint: &Lint<'_>) -> Vec<(usize, Ipv4Addr, Place)> {
    let hosts = lint.cluster_hosts();
    let mut found = Vec::new();
    for name in ["ip", "access_ip", "ansible_host"] {
        for &host in &hosts {
            let Some(setting) = lint.values.of_host(name, host) else { continue };
            if let Some(address) = address(&setting.value) {
                found.push((host, address, (lint.subject.place)(setting).1));
            }
        }
    }
    found
}

/// The computer's own routes, where the machines' network is part of them.
fn routes(lint: &mut Lint<'_>, network: &Network<'_>) {
    let (Some(facts), IpNet::V4(net)) = (lint.subject.facts, network.net) else { return };
    let own = lint.subject.network.map(|network| network.subnet);
    let clash = facts.routes.iter().find(|(route, _)| {
        let inside = |own: Ipv4Net| own.contains(route) || route.contains(&own);
        !own.is_some_and(inside) && (route.contains(&net) || net.contains(route))
    });
    let Some((route, interface)) = clash else { return };
    let message = format!(
        "the computer already routes {route} by its interface {interface}: {} would not be reached from it",
        network.what
    );
    let place = network.setting.map(|setting| (lint.subject.place)(setting).1);
    lint.report_finding_at(Severity::Warning, Code::OverlappingNetworks, place, message)
        .hint(format!("set `{}` to a network that the computer does not know", network.name));
}

/// The address of the DNS cache on each node is one of its own.
fn local_dns<'n>(lint: &mut Lint<'_>, networks: impl Iterator<Item = &'n Network<'n>>) {
    if lint.value("enable_nodelocaldns").and_then(truth) == Some(false) {
        return;
    }
    let Some(setting) = lint.setting("nodelocaldns_ip") else { return };
    if !super::is_judged(&setting.value) {
        return;
    }
    let source = lint.source_of("nodelocaldns_ip");
    let Some(address) = setting.value.as_str().and_then(|text| text.parse::<IpAddr>().ok()) else {
        let message = format!("{} is not an address", shown(&setting.value));
        let finding = lint.report_finding(Severity::Error, Code::BadAddress, setting, Part::Value, message);
        finding.hint("leave it out: it is 169.254.25.10");
        finding.source = source;
        return;
    };
    let mut inside: Vec<String> = networks
        .filter(|network| network.net.contains(&address))
        .map(|network| format!("{}, the network of {}", network.net, network.what))
        .collect();
    if let (Some(own), IpAddr::V4(address)) = (lint.subject.network, address)
        && own.subnet.contains(&address)
    {
        inside.push(format!("{}, the network of the machines", own.subnet));
    }
    if let Some(inside) = inside.first() {
        let message = format!("{address}, the address of the DNS cache on each node, is in {inside}");
        let finding =
            lint.report_finding(Severity::Error, Code::OverlappingNetworks, setting, Part::Value, message);
        finding.hint("leave it out: 169.254.25.10 is on each node alone");
        finding.source = source;
    }
}

fn number(value: &Value) -> Option<u32> {
    match value {
        Value::Number(number) => number.as_u64().and_then(|number| u32::try_from(number).ok()),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// Whether the network of the pods has a part for every machine, and each part enough addresses.
fn sizes(lint: &mut Lint<'_>, pods: &Network<'_>) {
    let plugin = lint.text("kube_network_plugin").unwrap_or("calico").to_owned();
    let length = u32::from(pods.net.prefix_len());
    let hosts = lint.subject.groups.members("k8s_cluster").len() as u64;
    let whole: u32 = if matches!(pods.net, IpNet::V4(_)) { 32 } else { return };
    if plugin == "calico" {
        let Some(setting) = lint.setting("calico_pool_blocksize") else { return };
        let Some(block) = number(&setting.value) else { return };
        if !(20..=whole).contains(&block) || block < length {
            let message = format!(
                "blocks of /{block} do not fit: Calico takes /20 to /32, and none larger than {}",
                pods.net
            );
            let source = lint.source_of("calico_pool_blocksize");
            let finding =
                lint.report_finding(Severity::Error, Code::TooFewPodAddresses, setting, Part::Value, message);
            finding.hint("leave `calico_pool_blocksize` out: it is 26");
            finding.source = source;
        }
        return;
    }
    let Some(prefix) = lint.value("kube_network_node_prefix").and_then(number) else { return };
    let at = lint.setting("kube_network_node_prefix").or(pods.setting);
    let parts = if (length..=whole).contains(&prefix) { 1_u64 << (prefix - length).min(40) } else { 0 };
    if parts < hosts.max(1) {
        let source = lint.asserted("kube_network_node_prefix", VALIDATE);
        let message =
            format!("{} has {parts} parts of /{prefix}, and {hosts} machines need one each", pods.net);
        let place = at.map(|setting| (lint.subject.place)(setting).1);
        let finding = lint.report_finding_at(Severity::Error, Code::TooFewPodAddresses, place, message);
        finding.hint("make `kube_pods_subnet` larger, or `kube_network_node_prefix` longer");
        finding.source = source;
    }
    let pods_each = lint.value("kubelet_max_pods").and_then(number).unwrap_or(110);
    let addresses = (1_u64 << (whole - prefix.min(whole))).saturating_sub(2);
    if plugin != "none" && u64::from(pods_each) > addresses {
        let at = lint.setting("kubelet_max_pods").or_else(|| lint.setting("kube_network_node_prefix"));
        let Some(setting) = at else { return };
        let source = lint.asserted("kubelet_max_pods", VALIDATE);
        let message = format!("{pods_each} pods do not fit on a node: /{prefix} has {addresses} addresses");
        let finding =
            lint.report_finding(Severity::Error, Code::TooFewPodAddresses, setting, Part::Value, message);
        finding.hint("have fewer pods on a node, or a shorter `kube_network_node_prefix`");
        finding.source = source;
    }
}
