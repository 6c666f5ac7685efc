//! Rules for single machines: names, addresses, labels, taints, names of etcd members.

use std::collections::HashMap;

use serde_json::Value;

use crate::cluster::names::{label_value, qualified_name, taint};
use crate::kubespray::{Scope, Setting};
use crate::source::suggest::quote;
use crate::source::{Code, Severity};

use super::{Lint, Part, Step, described, is_judged, is_template, shown, truth};

pub(super) fn check(lint: &mut Lint<'_>) {
    labels(lint);
    taints(lint);
    names(lint);
    addresses(lint);
    certificates(lint);
    etcd_names(lint);
}

/// Whether the keys of a mapping are names of machines.
fn by_machine(lint: &Lint<'_>, entries: &serde_json::Map<String, Value>) -> bool {
    !entries.is_empty() && entries.keys().all(|key| lint.subject.groups.host_number(key).is_some())
}

fn labels(lint: &mut Lint<'_>) {
    // Kubespray: `'%s=%s' % (key, value)` for every entry, on every machine that has the variable.
    let source = lint.asserted("node_labels", "node-label/tasks");
    for setting in lint.judged("node_labels") {
        let entries = match &setting.value {
            Value::Object(entries) => entries,
            Value::Null => continue,
            Value::String(text) if text.is_empty() => continue,
            value => {
                let message = format!(
                    "`node_labels` is a mapping of labels, and here it is {}: Kubespray passes over it",
                    described(value)
                );
                let finding =
                    lint.report_finding(Severity::Error, Code::BadLabel, setting, Part::Value, message);
                finding
                    .hint("write `node_labels: {workload-type: general}` in YAML, in host_vars/MACHINE.yml");
                finding.source.clone_from(&source);
                continue;
            }
        };
        let nested = entries.iter().find(|(_, value)| value.is_object() || value.is_array());
        if let Some((key, value)) = nested {
            let message = if by_machine(lint, entries) || lint.subject.groups.host_number(key).is_some() {
                "`node_labels` is sorted by machine: every machine would be given a label for each of them"
                    .to_owned()
            } else {
                format!("the label {} is {}, not a text", quote(key), described(value))
            };
            let finding = lint.report_finding(
                Severity::Error,
                Code::BadLabel,
                setting,
                Part::Inside(Step::Key(key)),
                message,
            );
            finding.hint(format!("put the labels of each machine into its own host_vars, like host_vars/{}.yml, as `node_labels: {{key: \"text\"}}`", crate::source::suggest::shorten(key)));
            finding.source.clone_from(&source);
            continue;
        }
        for (key, value) in entries {
            let step = |value| if value { Step::Value(key) } else { Step::Key(key) };
            if let Err(problem) = qualified_name(key) {
                let message = format!("the label key {} {problem}", quote(key));
                let finding = lint.report_finding(
                    Severity::Error,
                    Code::BadLabel,
                    setting,
                    Part::Inside(step(false)),
                    message,
                );
                finding.source.clone_from(&source);
            }
            let finding = match value {
                Value::Bool(yes) => Some((
                    Severity::Warning,
                    format!("the label {} becomes `{}`", quote(key), if *yes { "True" } else { "False" }),
                    Some(format!("put it in quotes: \"{yes}\"")),
                )),
                Value::Null => Some((
                    Severity::Warning,
                    format!("the label {} becomes `None`", quote(key)),
                    Some("write \"\" for a label without a value".to_owned()),
                )),
                Value::String(text) => label_value(text).err().map(|problem| {
                    (Severity::Error, format!("the label value {} {problem}", quote(text)), None)
                }),
                _ => None,
            };
            if let Some((severity, message, hint)) = finding {
                let finding =
                    lint.report_finding(severity, Code::BadLabel, setting, Part::Inside(step(true)), message);
                finding.hint = hint;
                finding.source.clone_from(&source);
            }
        }
    }
}

fn taints(lint: &mut Lint<'_>) {
    let source = lint.asserted("node_taints", "node-taint/tasks");
    // From v2.31.0 on there is a default, and a value that is no list is passed over; before, the task fails.
    let skips = lint.index.variables.get("node_taints").is_some_and(|variable| !variable.defaults.is_empty());
    for setting in lint.judged("node_taints") {
        let items = match &setting.value {
            Value::Array(items) => items,
            Value::Null => continue,
            Value::String(text) if text.is_empty() => continue,
            value => {
                let then = if skips { "Kubespray passes over it" } else { "the deployment fails" };
                let message = match value {
                    Value::Object(entries) if by_machine(lint, entries) => {
                        format!("`node_taints` is sorted by machine, and must be a list: {then}")
                    }
                    _ => format!(
                        "`node_taints` is a list of taints, and here it is {}: {then}",
                        described(value)
                    ),
                };
                let finding =
                    lint.report_finding(Severity::Error, Code::BadTaint, setting, Part::Value, message);
                finding.hint(
                    "write `node_taints: [\"nvidia.com/gpu=present:NoSchedule\"]` in host_vars/MACHINE.yml",
                );
                finding.source.clone_from(&source);
                continue;
            }
        };
        for (at, item) in items.iter().enumerate() {
            let (message, hint) = match item {
                Value::String(text) => match taint(text) {
                    Ok(_) => continue,
                    Err(problem) => problem,
                },
                Value::Object(entries) => {
                    let word = |key: &str| entries.get(key).and_then(Value::as_str).unwrap_or_default();
                    let value =
                        if word("value").is_empty() { String::new() } else { format!("={}", word("value")) };
                    let right = format!("write \"{}{value}:{}\"", word("key"), word("effect"));
                    (
                        "a taint is one text, and here it is a mapping".to_owned(),
                        Some(right).filter(|_| !word("key").is_empty()),
                    )
                }
                value => (format!("a taint is one text, and here it is {}", described(value)), None),
            };
            let finding = lint.report_finding(
                Severity::Error,
                Code::BadTaint,
                setting,
                Part::Inside(Step::Item(at)),
                message,
            );
            finding.hint = hint;
            finding.source.clone_from(&source);
        }
    }
}

/// `roles/kubernetes/preinstall/tasks/0040-verify-settings.yml` asserts the form.
fn names(lint: &mut Lint<'_>) {
    let source = lint.index.files.iter().find(|file| file.ends_with("0040-verify-settings.yml")).cloned();
    let groups = lint.subject.groups;
    let mut judged: Vec<usize> =
        groups.members("k8s_cluster").iter().chain(groups.members("etcd")).copied().collect();
    judged.sort_unstable();
    judged.dedup();
    for number in judged {
        let host = &groups.hosts()[number];
        let part = |part: &str| {
            let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            !part.is_empty() && !part.starts_with('-') && !part.ends_with('-') && part.bytes().all(inside)
        };
        // As long as Kubernetes allows for the name of a node.
        if host.name.split('.').all(part) && host.name.len() <= 253 {
            continue;
        }
        let right: String = host
            .name
            .to_lowercase()
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' })
            .collect();
        let message = format!(
            "the machine name {} is no name for a node: small letters, digits, `-` and `.`",
            quote(&host.name)
        );
        let finding = lint.report_finding_at(Severity::Error, Code::BadName, host.place, message);
        finding.hint(format!("did you mean `{}`?", right.trim_matches(['-', '.'])));
        finding.source.clone_from(&source);
    }
}

/// Addresses that are none, or that two machines share.
fn addresses(lint: &mut Lint<'_>) {
    for name in ["ip", "access_ip", "ip6", "access_ip6"] {
        let mut owners: HashMap<&str, (usize, &Setting)> = HashMap::new();
        for host in lint.subject.groups.members("all").to_vec() {
            let Some(setting) = lint.values.of_host(name, host) else { continue };
            let Some(text) = setting.value.as_str().filter(|text| !is_template(text)) else { continue };
            let is_address = match name {
                "ip" | "access_ip" => text.parse::<std::net::Ipv4Addr>().is_ok(),
                _ => text.parse::<std::net::Ipv6Addr>().is_ok(),
            };
            if !is_address && !text.is_empty() {
                let message = format!("{} is not an address", shown(&setting.value));
                let source = lint.source_of(name);
                lint.report_finding(Severity::Error, Code::BadAddress, setting, Part::Value, message)
                    .source = source;
            } else if let Some((owner, before)) = owners.get(text) {
                let all = lint.subject.groups.hosts();
                let message =
                    format!("`{}` has the address of `{}`, {text}", all[host].name, all[*owner].name);
                let related = (lint.subject.place)(before).1;
                lint.report_finding(Severity::Error, Code::DuplicateAddress, setting, Part::Value, message)
                    .hint("each machine has an address of its own")
                    .related_at(related, "first given here");
            } else if !text.is_empty() {
                owners.insert(text, (host, setting));
            }
        }
    }
}

/// The API's certificate names the addresses that Kubespray knows; `ansible_host` is not among them.
fn certificates(lint: &mut Lint<'_>) {
    let used = lint.value("kubeconfig_localhost_ansible_host").and_then(truth) == Some(true);
    for host in lint.subject.groups.members("kube_control_plane").to_vec() {
        let values = &lint.values;
        let Some(reached) = values.of_host("ansible_host", host) else { continue };
        let Some(address) = reached.value.as_str().filter(|text| !is_template(text)) else { continue };
        let own = ["ip", "access_ip"]
            .map(|name| values.of_host(name, host).and_then(|setting| setting.value.as_str()));
        // Without `ip` it is the machine's own address, which only the machine knows.
        if own.iter().all(Option::is_none) || own.contains(&Some(address)) {
            continue;
        }
        if address == "localhost"
            || address == "127.0.0.1"
            || address == lint.subject.groups.hosts()[host].name
        {
            continue;
        }
        let named = values.of_host("supplementary_addresses_in_ssl_keys", host);
        let named = match named.map(|setting| &setting.value) {
            Some(value) if !is_judged(value) => true,
            Some(Value::Array(items)) => items.iter().any(|item| item.as_str() == Some(address)),
            _ => false,
        };
        if named {
            continue;
        }
        let severity = if used { Severity::Error } else { Severity::Note };
        let message = if used {
            format!("the kubeconfig would name {address}, which is not in the certificate of the API")
        } else {
            format!("{address} is not in the certificate of the API: kubectl cannot use it")
        };
        let source = lint.source_of("supplementary_addresses_in_ssl_keys");
        let finding = lint.report_finding(severity, Code::UncertifiedAddress, reached, Part::Value, message);
        finding.hint(format!("set `supplementary_addresses_in_ssl_keys: [{address}]` for k8s_cluster"));
        finding.source = source;
    }
}

/// Names of etcd members: one for each, and better pinned, because by default they are numbers by place.
fn etcd_names(lint: &mut Lint<'_>) {
    let members = lint.subject.groups.members("etcd").to_vec();
    let mut owners: HashMap<String, (usize, &Setting)> = HashMap::new();
    let mut unpinned = Vec::new();
    for &host in &members {
        let Some(setting) = lint.values.of_host("etcd_member_name", host) else {
            unpinned.push(host);
            continue;
        };
        if !is_judged(&setting.value) {
            continue;
        }
        let Some(name) = setting.value.as_str().filter(|name| !name.is_empty()) else { continue };
        if let Some((owner, before)) = owners.insert(name.to_owned(), (host, setting)) {
            let all = lint.subject.groups.hosts();
            let message = format!(
                "`{}` and `{}` would both be the etcd member {}",
                all[owner].name,
                all[host].name,
                quote(name)
            );
            let related = (lint.subject.place)(before).1;
            let source = lint.source_of("etcd_member_name");
            let finding =
                lint.report_finding(Severity::Error, Code::DuplicateName, setting, Part::Value, message);
            finding.hint("give each member a name of its own, in its host_vars");
            finding.source = source;
            if matches!(setting.scope, Scope::Host(_)) {
                finding.related_at(related, "first given here");
            } else {
                return;
            }
        }
    }
    // The harness numbers members itself, and a single one keeps its number.
    if members.len() > 1 && !unpinned.is_empty() && lint.subject.network.is_none() {
        let place = lint
            .subject
            .groups
            .group_number("etcd")
            .and_then(|number| lint.subject.groups.groups()[number].place);
        let message =
            "members of etcd are named by their place in the group: another order later would rename them";
        let source = lint.source_of("etcd_member_name");
        let finding = lint.report_finding_at(Severity::Note, Code::UnpinnedEtcdName, place, message);
        finding.hint("set `etcd_member_name` for each of them: etcd1, etcd2, …");
        finding.source = source;
    }
}
