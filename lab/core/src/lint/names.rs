//! Variables that Kubespray does not know: misspelt, removed, not there yet, or the user's own; and those that it
//! knows and does not take from an inventory.

use std::collections::HashSet;

use serde_json::Value;

use crate::kubespray::Setting;
use crate::source::suggest::{KnownWords, quote};
use crate::source::{Code, Severity};

use super::{Lint, Part, removed, truth};

#[expect(clippy::too_many_lines, reason = "one rule after the other about each name")]
pub(super) fn check(lint: &mut Lint<'_>) {
    let mut names: Vec<&str> = lint.values.names().collect();
    names.sort_unstable();
    let mut unknown = Vec::new();
    for name in names {
        if replaced(lint, name) {
            continue;
        }
        let Some(variable) = lint.index.variables.get(name) else {
            unknown.push(name);
            continue;
        };
        removed::report_shown_add_on(lint, name, variable);
        if let Some((_, message, hint)) = DEPRECATED.iter().find(|(deprecated, ..)| *deprecated == name) {
            let source = lint.source_of(name);
            for (setting, more) in lint.settings_to_report(name) {
                let message = format!("`{name}` {message}{}", and(more));
                let finding = lint.report_finding(
                    Severity::Warning,
                    Code::DeprecatedVariable,
                    setting,
                    Part::Name,
                    message,
                );
                finding.hint(*hint);
                finding.source.clone_from(&source);
            }
        }
        if !variable.fixed.is_empty() {
            let place = lint.index.place(variable.fixed[0]);
            for (setting, more) in lint.settings_to_report(name) {
                let message =
                    format!("`{name}` cannot be set in an inventory{}: a role sets it for good", and(more));
                lint.report_finding(Severity::Error, Code::FixedVariable, setting, Part::Name, message)
                    .hint("take it away; only `--extra-vars` on the command line would win")
                    .source(&place);
            }
        }
    }
    if unknown.is_empty() {
        return;
    }
    let used = used_in_templates(lint.subject.settings);
    let index = lint.index;
    let known = index.variables.iter().filter(|(_, variable)| !variable.only_used());
    let known = KnownWords::new(known.map(|(known, _)| known.as_str()));
    for name in unknown {
        let own = &lint.subject.options.own_prefixes;
        if name.starts_with("ansible_") || own.iter().any(|prefix| name.starts_with(prefix)) {
            continue;
        }
        if !is_identifier(name) {
            for (setting, more) in lint.settings_to_report(name) {
                let message =
                    format!("{} is not a name that Ansible takes for a variable{}", quote(name), and(more));
                lint.report_finding(Severity::Warning, Code::BadVariable, setting, Part::Name, message)
                    .hint(format!("did you mean `{}`?", name.replace(['-', '.', ' '], "_")));
            }
            continue;
        }
        // A name that the inventory itself uses is its own, unless Kubespray refuses to run with it.
        let is_own = used.contains(name) && !lint.index.refused.iter().any(|refused| refused == name);
        if is_own || removed::report_unknown_name(lint, name) {
            continue;
        }
        let near = nearest_variable(lint, &known, name);
        for (setting, more) in lint.settings_to_report(name) {
            let version = &lint.index.version;
            match near {
                Some(near) => {
                    let source = lint.source_of(near);
                    let message = format!("Kubespray {version} has no variable `{name}`{}", and(more));
                    let finding = lint.report_finding(
                        Severity::Error,
                        Code::UnknownVariable,
                        setting,
                        Part::Name,
                        message,
                    );
                    finding.hint(format!("did you mean `{near}`?"));
                    finding.source = source;
                }
                None => {
                    let message = format!(
                        "Kubespray {version} has no variable `{name}`{}: it has no effect",
                        and(more)
                    );
                    lint.report_finding(
                        Severity::Warning,
                        Code::UnknownVariable,
                        setting,
                        Part::Name,
                        message,
                    )
                    .hint(format!(
                        "take it away; if it is your own, use it in another value, call the check with \
                             --own-prefix, or write `# lab:allow {}: REASON` above it",
                        Code::UnknownVariable
                    ));
                }
            }
        }
    }
}

/// ` (and for 12 more machines)`.
pub(super) fn and(more: usize) -> String {
    match more {
        0 => String::new(),
        1 => " (and for one more machine)".to_owned(),
        more => format!(" (and for {more} more machines)"),
    }
}

/// Names that people give to variables with another name in Kubespray; too far from the right name to be
/// found by likeness.
#[rustfmt::skip] // One line a name reads as the table it is.
const MEANT: [(&str, &str); 15] = [
    ("calico_policy_enabled", "enable_network_policy"),
    ("cluster_cidr", "kube_pods_subnet"),
    ("container_runtime", "container_manager"),
    ("containerd_registries", "containerd_registries_mirrors"),
    ("kube_pod_cidr", "kube_pods_subnet"),
    ("kube_pods_cidr", "kube_pods_subnet"),
    ("kube_service_cidr", "kube_service_addresses"),
    ("kube_service_subnet", "kube_service_addresses"),
    ("kubernetes_version", "kube_version"),
    ("network_plugin", "kube_network_plugin"),
    ("cni_plugin", "kube_network_plugin"),
    ("pod_cidr", "kube_pods_subnet"),
    ("pod_network_cidr", "kube_pods_subnet"),
    ("service_cidr", "kube_service_addresses"),
    ("taints", "node_taints"),
];

/// The name that was most likely meant: one of the table, or one that differs by a slip of the fingers.
fn nearest_variable<'a>(lint: &Lint<'_>, known: &KnownWords<'a>, name: &str) -> Option<&'a str> {
    let meant = MEANT.iter().find(|(wrong, _)| *wrong == name).map(|(_, right)| *right);
    if let Some(right) = meant.filter(|right| lint.index.variables.contains_key(*right)) {
        return Some(right);
    }
    let slips = match name.len() {
        0..5 => return None,
        5..9 => 1,
        _ => 2,
    };
    known.nearest_within(name, slips)
}

fn is_identifier(name: &str) -> bool {
    name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_alphanumeric() || c == '_')
}

/// Every word in a template of any value: a name that is there is used, in any role.
fn used_in_templates(settings: &[Setting]) -> HashSet<&str> {
    fn collect<'a>(value: &'a Value, words: &mut HashSet<&'a str>) {
        match value {
            Value::String(text) if super::is_template(text) => {
                words.extend(
                    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty()),
                );
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, words)),
            Value::Object(entries) => entries.values().for_each(|value| collect(value, words)),
            _ => {}
        }
    }
    let mut words = HashSet::new();
    for setting in settings {
        collect(&setting.value, &mut words);
    }
    words
}

/// Deprecated variables that this Kubespray still has: the message, the fix.
#[rustfmt::skip]
const DEPRECATED: [(&str, &str, &str); 2] = [
    ("enable_dual_stack_networks", "is deprecated", "set `ipv4_stack: true` and `ipv6_stack: true` in its place"),
    ("nvidia_accelerator_enabled", "is left over from a role that installed NVIDIA's driver 390", "leave drivers to the GPU Operator"),
];

/// A variable that a role refuses by name.
struct Replaced {
    old: &'static str,
    new: &'static str,
    /// The file that says so.
    file: &'static str,
    /// The add-on whose role looks; else Calico's does, where it is the plugin.
    switch: Option<&'static str>,
}

#[rustfmt::skip] // One line a name reads as the table it is.
const REPLACED: [Replaced; 4] = [
    Replaced { old: "ipip", new: "calico_ipip_mode", file: "calico/tasks/check.yml", switch: None },
    Replaced { old: "ipip_mode", new: "calico_ipip_mode", file: "calico/tasks/check.yml", switch: None },
    Replaced { old: "calcio_ipam_autoallocateblocks", new: "calico_ipam_autoallocateblocks", file: "calico/tasks/check.yml", switch: None },
    Replaced { old: "matallb_auto_assign", new: "metallb_auto_assign", file: "kubernetes-apps/metallb/tasks/main.yml", switch: Some("metallb_enabled") },
];

/// Reports a variable that a role refuses by name. True if it is one.
fn replaced(lint: &mut Lint<'_>, name: &str) -> bool {
    let Some(Replaced { new, file, switch, .. }) = REPLACED.iter().find(|replaced| replaced.old == name)
    else {
        return false;
    };
    // Only the role of the plugin that is chosen looks, and not where asserts are switched off.
    let on = |name: &str| lint.value(name).and_then(truth) == Some(true);
    let refuses = match switch {
        Some(switch) => on(switch),
        None => {
            let calico = lint.text("kube_network_plugin").is_none_or(|plugin| plugin == "calico");
            calico && !on("ignore_assert_errors")
        }
    };
    let (severity, then) = if refuses {
        (Severity::Error, "Kubespray refuses to run with it")
    } else {
        (Severity::Warning, "it has no effect")
    };
    let source = lint.asserted(name, file).or_else(|| lint.source_of(new));
    for (setting, more) in lint.settings_to_report(name) {
        let message = format!("`{name}` was removed{}: {then}", and(more));
        let finding = lint.report_finding(severity, Code::RemovedVariable, setting, Part::Name, message);
        finding.hint(format!("set `{new}` in its place"));
        finding.source.clone_from(&source);
    }
    true
}
