//! Versions: how they are written, whether this Kubespray can install them, and which do not go together.

use std::cmp::Ordering;

use serde_json::Value;

use crate::kubespray::index::{Component, Variable};
use crate::kubespray::{Origin, Setting};
use crate::source::suggest::quote;
use crate::source::{Code, Severity};

use super::{Lint, Part, default_of};

/// The default architecture.
const ARCHITECTURE: &str = "amd64";

/// The first Kubernetes that cannot use containerd 1.x any more (its release notes for 1.35 call that the last).
const CONTAINERD_2: &str = "1.36";

pub(super) fn check(lint: &mut Lint<'_>) {
    let mut names: Vec<&str> = lint.values.names().filter(|name| name.ends_with("_version")).collect();
    names.sort_unstable();
    for name in names {
        let Some(variable) = lint.index.variables.get(name) else { continue };
        for setting in lint.judged(name) {
            written(lint, setting, variable);
        }
    }
    containerd(lint);
    etcd(lint);
    calico(lint);
}

/// The components whose version a variable chooses.
fn components<'a>(lint: &Lint<'a>, name: &str) -> Vec<(&'a str, &'a Component)> {
    let chosen = |component: &Component| component.version_variable.as_deref() == Some(name);
    let all = lint.index.components.iter().filter(|(_, component)| chosen(component));
    all.map(|(name, component)| (name.as_str(), component)).collect()
}

fn written(lint: &mut Lint<'_>, setting: &Setting, variable: &Variable) {
    let name = setting.name.as_str();
    let components = components(lint, name);
    let text = match &setting.value {
        Value::String(text) => text.clone(),
        Value::Number(number) => {
            if !number_of(lint, setting, number, !components.is_empty()) {
                return;
            }
            number.to_string()
        }
        _ => return,
    };
    let bare = text.strip_prefix(['v', 'V']).filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    // Where Kubespray's own default has the letter, it belongs there.
    let default = default_of(variable).and_then(Value::as_str).unwrap_or_default();
    let expects_number = !components.is_empty() || default.starts_with(|c: char| c.is_ascii_digit());
    if let Some(bare) = bare.filter(|_| expects_number) {
        let stem = name.trim_end_matches("_version");
        let tag = lint.index.variables.contains_key(&format!("{stem}_image_tag"));
        let what = match (name, tag) {
            ("kube_version", _) => "Kubespray compares it as a number, and fails".to_owned(),
            (_, true) => format!("the tag of the image would become `v{text}`"),
            _ => "Kubespray puts the `v` in front of it itself".to_owned(),
        };
        let source = lint.source_of(name);
        let message = format!("`{name}` has a `v` in front of its number: {what}");
        let finding =
            lint.report_finding(Severity::Error, Code::VersionFormat, setting, Part::Value, message);
        finding.hint(format!("write \"{bare}\""));
        finding.source = source;
    }
    supported(lint, setting, bare.unwrap_or(&text), &components);
}

/// Judges a version that is a number to YAML or Python. False if no other check applies.
fn number_of(
    lint: &mut Lint<'_>,
    setting: &Setting,
    number: &serde_json::Number,
    is_component: bool,
) -> bool {
    let (_, place) = (lint.subject.place)(setting);
    let written =
        lint.subject.files.get(place.file).and_then(|file| file.text.get(place.span.start..place.span.end));
    let written = written.filter(|_| matches!(setting.origin, Origin::File { .. } | Origin::ClusterFile(_)));
    let written = written.filter(|text| text.starts_with(|c: char| c.is_ascii_digit())).unwrap_or_default();
    let became = number.to_string();
    let lost = !written.is_empty() && written != became;
    if !lost && !is_component {
        return true;
    }
    let name = &setting.name;
    let shown = if lost { written } else { &became };
    let message = if lost {
        format!("`{name}` is a number here: {} becomes {became}", quote(shown))
    } else {
        format!("`{name}` is a number here, and Kubespray looks for a text")
    };
    let source = lint.source_of(name);
    let finding = lint.report_finding(Severity::Error, Code::VersionFormat, setting, Part::Value, message);
    finding.hint(format!("put it in quotes: \"{shown}\""));
    finding.source = source;
    !lost
}

fn supported(lint: &mut Lint<'_>, setting: &Setting, version: &str, components: &[(&str, &Component)]) {
    let name = setting.name.as_str();
    let of = |component: &Component| {
        let versions = &component.versions;
        versions
            .get(ARCHITECTURE)
            .or_else(|| versions.get("no_arch"))
            .or_else(|| versions.values().next())
            .cloned()
    };
    for (component, known) in components {
        // With a digest of one's own, any version may be had.
        let digests = ["_checksum", "_binary_checksum", "_archive_checksum"];
        if digests.iter().any(|digest| lint.values.all(&format!("{component}{digest}")).next().is_some()) {
            continue;
        }
        let Some(versions) = of(known).filter(|versions| !versions.is_empty()) else { continue };
        if versions.iter().any(|known| known == version) {
            continue;
        }
        let (newest, oldest) = (&versions[0], &versions[versions.len() - 1]);
        let kubespray = &lint.index.version;
        let elsewhere: Vec<&str> = known
            .versions
            .iter()
            .filter(|(_, versions)| versions.iter().any(|known| known == version))
            .map(|(architecture, _)| architecture.as_str())
            .collect();
        let (severity, problem) = if !version.starts_with(|c: char| c.is_ascii_digit()) {
            (Severity::Error, format!("{} is not a version that Kubespray {kubespray} knows", quote(version)))
        } else if !elsewhere.is_empty() {
            let of = elsewhere.join(" and ");
            (
                Severity::Warning,
                format!("Kubespray {kubespray} has {component} {version} for {of}, not for {ARCHITECTURE}"),
            )
        } else if compare(version, oldest) == Ordering::Less {
            (
                Severity::Error,
                format!("{version} is older than the oldest that Kubespray {kubespray} installs"),
            )
        } else if compare(version, newest) == Ordering::Greater {
            (
                Severity::Error,
                format!("{version} is newer than the newest that Kubespray {kubespray} installs"),
            )
        } else {
            (
                Severity::Error,
                format!("Kubespray {kubespray} cannot install {version}: it has no checksum of it"),
            )
        };
        let of_minor = versions.iter().find(|known| minor(known) == minor(version));
        let hint = match of_minor {
            Some(near) => format!("the newest of {} that it has is \"{near}\"", minor(version)),
            None => format!(
                "it has {oldest} to {newest}; left out, it takes {}",
                known.default.as_ref().unwrap_or(newest)
            ),
        };
        let source = lint.source_of(&format!("{component}_checksums")).or_else(|| lint.source_of(name));
        let message = format!("`{name}`: {problem}");
        let finding = lint.report_finding(severity, Code::UnsupportedVersion, setting, Part::Value, message);
        finding.hint(hint);
        finding.source = source;
        // The other parts of the same thing would say the same.
        return;
    }
}

/// `1.34` of `1.34.3`.
pub(super) fn minor(version: &str) -> String {
    version.split('.').take(2).collect::<Vec<_>>().join(".")
}

/// By the numbers of two versions; a suffix does not count.
pub(super) fn compare(one: &str, other: &str) -> Ordering {
    let numbers = |version: &str| -> Vec<u64> {
        let parts = version.trim_start_matches('v').split(['.', '-', '+']);
        parts.map_while(|part| part.parse().ok()).collect()
    };
    numbers(one).cmp(&numbers(other))
}

/// The version that counts for a variable, without a `v`.
fn version_of(lint: &Lint<'_>, name: &str) -> Option<String> {
    lint.text(name).map(|text| text.trim_start_matches('v').to_owned())
}

fn containerd(lint: &mut Lint<'_>) {
    let Some(setting) = lint.setting("containerd_version") else { return };
    let (Some(kube), Some(version)) = (lint.kube_version(), version_of(lint, "containerd_version")) else {
        return;
    };
    if version.starts_with("1.") && compare(&minor(&kube), CONTAINERD_2) != Ordering::Less {
        let message =
            format!("containerd {version} does not go with Kubernetes {kube}: it needs containerd 2");
        lint.report_finding(Severity::Error, Code::VersionPair, setting, Part::Value, message)
            .hint("leave `containerd_version` out, and Kubespray takes one that was tested")
            .source("Kubernetes 1.35 is the last that supports containerd 1.x (its release notes)");
    }
}

fn etcd(lint: &mut Lint<'_>) {
    let Some(setting) = lint.setting("etcd_version") else { return };
    let (Some(kube), Some(version)) = (lint.kube_version(), version_of(lint, "etcd_version")) else { return };
    let picked = lint.index.picks.get(&minor(&kube)).and_then(|picks| picks.get("etcd_version")).cloned();
    let Some(picked) = picked else { return };
    if minor(&picked) != minor(&version) {
        let source = lint.source_of("etcd_supported_versions");
        let message =
            format!("etcd {version} is not the version that Kubespray tested with Kubernetes {kube}");
        let finding =
            lint.report_finding(Severity::Warning, Code::VersionPair, setting, Part::Value, message);
        finding.hint(format!("leave `etcd_version` out: it takes {picked}"));
        finding.source = source;
    }
}

/// The parts of Calico that have a version of their own follow that of the whole.
fn calico(lint: &mut Lint<'_>) {
    const PARTS: [&str; 5] = [
        "calico_apiserver_version",
        "calico_cni_version",
        "calico_ctl_version",
        "calico_policy_version",
        "calico_typha_version",
    ];
    let Some(whole) = version_of(lint, "calico_version") else { return };
    for name in PARTS {
        let (Some(setting), Some(version)) = (lint.setting(name), version_of(lint, name)) else { continue };
        if version != whole {
            let source = lint.source_of(name);
            let message = format!("`{name}` is {version}, and Calico is {whole}");
            let finding =
                lint.report_finding(Severity::Warning, Code::VersionPair, setting, Part::Value, message);
            finding.hint(format!("leave `{name}` out: it follows `calico_version`"));
            finding.source = source;
        }
    }
}
