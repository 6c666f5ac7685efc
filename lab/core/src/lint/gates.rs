//! Feature gates of Kubernetes: a component that is given one it does not know refuses to start.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use crate::kubespray::Setting;
use crate::source::suggest::{KnownWords, quote};
use crate::source::{Code, Severity};

use super::versions::minor;
use super::{Lint, Part, Step, described};

/// Each line: a gate, the first and the last minor version of Kubernetes that know it.
const TABLE: &str = include_str!("feature-gates.txt");

/// Variables that hold gates of Kubernetes' components. Those of kubeadm are others.
const VARIABLES: [&str; 6] = [
    "kube_feature_gates",
    "kube_apiserver_feature_gates",
    "kube_controller_feature_gates",
    "kube_scheduler_feature_gates",
    "kube_proxy_feature_gates",
    "kubelet_feature_gates",
];

/// The words that Go takes for a boolean.
const BOOLEANS: [&str; 12] =
    ["1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False"];

/// The minor versions that know a gate, as far as the table goes.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Known {
    first: Option<u32>,
    last: Option<u32>,
}

fn table() -> BTreeMap<&'static str, Known> {
    let number = |version: &str| version.strip_prefix("1.").and_then(|minor| minor.parse().ok());
    TABLE
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let (name, versions) = line.split_once(' ')?;
            let (first, last) = versions.split_once("..")?;
            Some((name, Known { first: number(first), last: number(last) }))
        })
        .collect()
}

pub(super) fn check(lint: &mut Lint<'_>) {
    let any =
        VARIABLES.iter().chain(&["kubeadm_feature_gates"]).any(|name| lint.values.all(name).next().is_some());
    if !any {
        return;
    }
    let table = table();
    let names = KnownWords::new(table.keys().copied());
    let kube = lint.kube_version();
    let number = kube.as_deref().and_then(|kube| minor(kube).strip_prefix("1.")?.parse::<u32>().ok());
    for name in VARIABLES.iter().chain(&["kubeadm_feature_gates"]) {
        for setting in lint.judged(name) {
            let Value::Array(items) = &setting.value else { continue };
            let mut seen: HashMap<&str, (usize, &str)> = HashMap::new();
            for (at, item) in items.iter().enumerate() {
                let Some((gate, value)) = form(lint, setting, at, item) else { continue };
                if let Some((_, before)) = seen.insert(gate, (at, value)) {
                    let same = before.eq_ignore_ascii_case(value);
                    let severity = if same { Severity::Warning } else { Severity::Error };
                    let message = if same {
                        format!("the feature gate {} is here twice", quote(gate))
                    } else {
                        format!("the feature gate {} is both {before} and {value}", quote(gate))
                    };
                    lint.report_finding(
                        severity,
                        Code::DuplicateFeatureGate,
                        setting,
                        Part::Inside(Step::Item(at)),
                        message,
                    )
                    .hint("keep one of the two");
                }
                if VARIABLES.contains(name)
                    && let (Some(kube), Some(number)) = (&kube, number)
                {
                    known(lint, setting, at, gate, (&table, &names), (kube, number));
                }
            }
        }
    }
}

/// A gate and its value: `Name=true`.
fn form<'v>(
    lint: &mut Lint<'_>,
    setting: &Setting,
    at: usize,
    item: &'v Value,
) -> Option<(&'v str, &'v str)> {
    let path = Step::Item(at);
    let bad = |lint: &mut Lint<'_>, message: String, hint: String| {
        let source = lint.source_of(&setting.name);
        let finding =
            lint.report_finding(Severity::Error, Code::BadFeatureGate, setting, Part::Inside(path), message);
        finding.hint(hint);
        finding.source = source;
    };
    let Some(text) = item.as_str() else {
        let message = format!("a feature gate is a text, and here it is {}", described(item));
        let name = item.as_object().and_then(|entries| entries.keys().next());
        let hint = name.map_or_else(
            || "write it like \"NodeSwap=true\"".to_owned(),
            |name| format!("write it as one text: \"{name}=true\""),
        );
        bad(lint, message, hint);
        return None;
    };
    let Some((gate, value)) = text.split_once('=') else {
        bad(
            lint,
            format!("the feature gate {} has no value", quote(text)),
            format!("write it like \"{text}=true\""),
        );
        return None;
    };
    if gate.is_empty() || gate.chars().any(|c| !c.is_ascii_alphanumeric()) {
        bad(
            lint,
            format!("{} is not the name of a feature gate", quote(gate)),
            "write it like \"NodeSwap=true\", without blanks".to_owned(),
        );
        return None;
    }
    if !BOOLEANS.contains(&value) {
        bad(
            lint,
            format!("the feature gate {} is neither true nor false, but {}", quote(gate), quote(value)),
            format!("write \"{gate}=true\" or \"{gate}=false\""),
        );
        return None;
    }
    Some((gate, value))
}

fn known(
    lint: &mut Lint<'_>,
    setting: &Setting,
    at: usize,
    gate: &str,
    (table, names): (&BTreeMap<&'static str, Known>, &KnownWords<'_>),
    (kube, number): (&str, u32),
) {
    // `AllAlpha` and `AllBeta` are not gates, but are written like one.
    if matches!(gate, "AllAlpha" | "AllBeta") {
        return;
    }
    let path = Step::Item(at);
    let start = "the components that are given it do not start";
    let finding = match table.get(gate) {
        Some(Known { last: Some(last), .. }) if number > *last => Some((
            Severity::Error,
            Code::RemovedFeatureGate,
            format!("Kubernetes {kube} does not know the feature gate {} any more: {start}", quote(gate)),
            format!("take it away: 1.{last} was the last that knew it"),
        )),
        Some(Known { first: Some(first), .. }) if number < *first => Some((
            Severity::Error,
            Code::UnknownFeatureGate,
            format!("Kubernetes {kube} does not know the feature gate {} yet: {start}", quote(gate)),
            format!("it came with 1.{first}"),
        )),
        Some(_) => None,
        None => {
            let near = names.nearest_within(gate, 2);
            let severity = if near.is_some() { Severity::Error } else { Severity::Warning };
            let hint = near.map_or_else(
                || "look it up in Kubernetes' list of feature gates".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            let message = format!("no Kubernetes up to 1.36 knows the feature gate {}: {start}", quote(gate));
            Some((severity, Code::UnknownFeatureGate, message, hint))
        }
    };
    if let Some((severity, code, message, hint)) = finding {
        lint.report_finding(severity, code, setting, Part::Inside(path), message)
            .hint(hint)
            .source("Kubernetes' own lists of feature gates, 1.21 to 1.36");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gate_table_is_whole() {
        let lines = TABLE.lines().filter(|line| !line.starts_with('#')).count();
        let table = table();
        assert_eq!(table.len(), lines, "every line is one gate, and none is there twice");
        assert!(lines > 400);
        assert_eq!(table["CSIMigration"], Known { first: None, last: Some(26) });
        assert_eq!(table["NodeSwap"], Known { first: Some(22), last: None });
        for (name, Known { first, last }) in table {
            assert!(first.unwrap_or(0) <= last.unwrap_or(u32::MAX), "{name}");
            assert!(name.chars().all(|c| c.is_ascii_alphanumeric()), "{name}");
        }
    }
}
