//! The largest packet of the pods, and the size that the way between the machines leaves for it.

use serde_json::Value;

use crate::source::{Code, Severity};

use super::{Lint, Part, described, truth};

/// The largest packet of an ordinary network, where nothing else is known.
const ETHERNET: u64 = 1500;

/// How packets are wrapped, and the bytes that this takes of each one.
struct Wrapping {
    name: &'static str,
    bytes: u64,
    /// The variable that chooses it.
    variable: &'static str,
}

pub(super) fn check(lint: &mut Lint<'_>) {
    calico(lint);
    cilium(lint);
}

fn calico(lint: &mut Lint<'_>) {
    if lint.text("kube_network_plugin").is_some_and(|plugin| plugin != "calico") {
        return;
    }
    for name in ["calico_mtu", "calico_veth_mtu"] {
        for setting in lint.judged(name) {
            let mtu = match &setting.value {
                Value::Number(number) => number.as_u64(),
                value => {
                    let message = format!(
                        "`{name}` must be a number, and here it is {}: Calico would not use it",
                        described(value)
                    );
                    let source = lint.asserted(name, "calico-config");
                    let finding =
                        lint.report_finding(Severity::Error, Code::WrongShape, setting, Part::Value, message);
                    finding.hint("write it without quotes: 1450");
                    finding.source = source;
                    continue;
                }
            };
            let Some(mtu) = mtu else { continue };
            let wrapping = calico_wrapping(lint);
            fits(lint, setting, mtu, wrapping.as_ref());
        }
    }
    exclusive(lint);
}

/// Calico's encapsulation, by its settings and Kubespray's defaults. `None`: nothing, or it cannot be known.
fn calico_wrapping(lint: &Lint<'_>) -> Option<Wrapping> {
    let on = |name: &str| lint.text(name).is_some_and(|mode| mode != "Never");
    if lint.value("calico_wireguard_enabled").and_then(truth) == Some(true) {
        return Some(Wrapping { name: "WireGuard", bytes: 60, variable: "calico_wireguard_enabled" });
    }
    if on("calico_ipip_mode") {
        return Some(Wrapping { name: "IP-in-IP", bytes: 20, variable: "calico_ipip_mode" });
    }
    on("calico_vxlan_mode").then_some(Wrapping { name: "VXLAN", bytes: 50, variable: "calico_vxlan_mode" })
}

fn fits(lint: &mut Lint<'_>, setting: &crate::kubespray::Setting, mtu: u64, wrapping: Option<&Wrapping>) {
    let (link, known) = match lint.subject.network {
        Some(network) => (u64::from(network.mtu), true),
        None => (ETHERNET, false),
    };
    let name = &setting.name;
    if mtu < 576 {
        let message = format!("`{name}` is {mtu}: less than any network carries");
        lint.report_finding(Severity::Error, Code::MtuTooLarge, setting, Part::Value, message)
            .hint("leave it out");
        return;
    }
    // Where the network is not known, more than usual is the author's knowledge.
    if mtu > link && !known {
        return;
    }
    let bytes = wrapping.map_or(0, |wrapping| wrapping.bytes);
    if mtu + bytes <= link {
        return;
    }
    let most = link.saturating_sub(bytes);
    let code = if mtu > link { Code::MtuTooLarge } else { Code::MtuEncapsulation };
    let severity = if known { Severity::Error } else { Severity::Warning };
    let related = lint.subject.network.map(|network| (network.place)());
    let link = if known { format!("a network of {link}") } else { format!("an ordinary network of {link}") };
    let message = match wrapping {
        Some(wrapping) => {
            format!("`{name}` is {mtu}, and {} adds {bytes} bytes: too much for {link}", wrapping.name)
        }
        None => format!("`{name}` is {mtu}: too much for {link}"),
    };
    let source = wrapping.and_then(|wrapping| lint.source_of(wrapping.variable));
    let chosen =
        wrapping.and_then(|wrapping| lint.setting(wrapping.variable)).map(|at| (lint.subject.place)(at).1);
    let finding = lint.report_finding(severity, code, setting, Part::Value, message);
    finding.hint(format!("write at most {most}, or leave it out: Calico finds it by itself"));
    finding.source = source;
    if let Some(chosen) = chosen {
        finding.related_at(chosen, "chosen here");
    } else if let Some(network) = related {
        finding.related_at(network, "the machines' network");
    }
}

/// IP-in-IP and VXLAN exclude one another, and IP-in-IP needs BIRD; Kubespray asserts the first.
fn exclusive(lint: &mut Lint<'_>) {
    let on = |lint: &Lint<'_>, name: &str| {
        lint.text(name).is_some_and(|mode| mode == "Always" || mode == "CrossSubnet")
    };
    if !on(lint, "calico_ipip_mode") {
        return;
    }
    let Some(setting) = lint.setting("calico_ipip_mode") else { return };
    let source = lint.asserted("calico_ipip_mode", "calico/tasks/check.yml");
    if on(lint, "calico_vxlan_mode") {
        let message = "IP-in-IP and VXLAN exclude one another";
        let related = lint.setting("calico_vxlan_mode").map(|vxlan| (lint.subject.place)(vxlan).1);
        let finding =
            lint.report_finding(Severity::Error, Code::MtuEncapsulation, setting, Part::Value, message);
        finding.hint(
            "set `calico_vxlan_mode: Never` beside `calico_ipip_mode`, and `calico_network_backend: bird`",
        );
        finding.source = source;
        if let Some(related) = related {
            finding.related_at(related, "VXLAN");
        }
    } else if lint.text("calico_network_backend").is_some_and(|backend| backend != "bird") {
        let message = "IP-in-IP needs BIRD to know where the pods are";
        let finding =
            lint.report_finding(Severity::Error, Code::MtuEncapsulation, setting, Part::Value, message);
        finding.hint("set `calico_network_backend: bird`");
        finding.source = source;
    }
}

fn cilium(lint: &mut Lint<'_>) {
    if lint.text("kube_network_plugin") != Some("cilium") {
        return;
    }
    for setting in lint.judged("cilium_mtu") {
        let number = match &setting.value {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        // Zero and nothing leave it to Cilium, which wraps by itself: the number is that of the machines' network.
        let Some(mtu) = number.filter(|mtu| *mtu > 0) else { continue };
        fits(lint, setting, mtu, None);
    }
}
