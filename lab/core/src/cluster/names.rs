//! Names: of clusters, machines, and Kubernetes' labels and taints.

use schemars::{Schema, json_schema};

use super::decode::{FromScalar, Mistake};
use crate::source::Code;
use crate::source::suggest::{self, quote};
use crate::source::yaml::Scalar;
use crate::spec::Taint;

/// Longest DNS label.
const LABEL_LENGTH: usize = 63;
/// Short enough to leave room for a machine's name behind it in the names of libvirt's objects.
const CLUSTER_NAME_LENGTH: usize = 32;

/// Names that mean something else to a resolver, to Ansible, or to Kubespray, which also maps the
/// old spelling of its groups, with dashes, to the new one.
const RESERVED: &[(&str, &str)] = &[
    ("localhost", "the computer itself"),
    ("all", "a group of Ansible"),
    ("ungrouped", "a group of Ansible"),
    ("etcd", "a group of Kubespray"),
    ("bastion", "a group of Kubespray"),
    ("calico-rr", "a group of Kubespray"),
    ("k8s-cluster", "a group of Kubespray"),
    ("kube-control-plane", "a group of Kubespray"),
    ("kube-master", "a group of Kubespray"),
    ("kube-node", "a group of Kubespray"),
];

/// The name of a cluster: a DNS label that is also safe as a folder and as a prefix.
#[derive(Debug, Clone)]
pub(super) struct ClusterName(pub(super) String);

impl FromScalar for ClusterName {
    const EXPECTED: &'static str = "a name";

    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "maxLength": CLUSTER_NAME_LENGTH })
    }

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        dns_label(scalar.as_text(Self::EXPECTED)?, "cluster", CLUSTER_NAME_LENGTH).map(Self)
    }
}

/// The name of a machine: a valid name of a node in Kubernetes.
#[derive(Debug, Clone)]
pub(super) struct MachineName(pub(super) String);

impl FromScalar for MachineName {
    const EXPECTED: &'static str = "a name";

    fn schema() -> Schema {
        let reserved: Vec<&str> = RESERVED.iter().map(|(name, _)| *name).collect();
        json_schema!({
            "type": "string",
            "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
            "maxLength": LABEL_LENGTH,
            "not": { "enum": reserved },
        })
    }

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        let text = scalar.as_text(Self::EXPECTED)?;
        // `kube_node` is refused as a group before it is refused for its underscore: the advice to
        // write `kube-node` would lead into the next refusal.
        let dashed = text.replace('_', "-");
        if let Some((_, meaning)) = RESERVED.iter().find(|(name, _)| *name == dashed) {
            return Err(Mistake::new(
                Code::ReservedName,
                format!("a machine cannot be named {}: that is {meaning}", quote(text)),
            )
            .hint(format!("add a number: {dashed}-1")));
        }
        dns_label(text, "machine", LABEL_LENGTH).map(Self)
    }
}

/// Checks a DNS label (RFC 1123): valid for Kubernetes and libvirt.
pub(super) fn dns_label(text: &str, what: &str, most: usize) -> Result<String, Mistake> {
    if text.is_empty() {
        return Err(Mistake::new(Code::BadName, format!("the {what} name is empty")));
    }
    let problem = if text.len() > most {
        format!("has {} characters, more than {most}", text.chars().count())
    } else if !text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-') {
        "may hold only lower case letters, digits and `-`".to_owned()
    } else if text.starts_with('-') || text.ends_with('-') {
        "must start and end with a letter or a digit".to_owned()
    } else {
        return Ok(text.to_owned());
    };
    let mistake = Mistake::new(Code::BadName, format!("the {what} name {} {problem}", quote(text)));
    let meant: String = text
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(most)
        .collect();
    Err(match meant.trim_matches('-') {
        "" => mistake,
        meant => mistake.hint(format!("did you mean `{meant}`?")),
    })
}

/// The key of a Kubernetes label: a qualified name.
#[derive(Debug, Clone)]
pub(super) struct LabelKey(pub(super) String);

impl FromScalar for LabelKey {
    const EXPECTED: &'static str = "the key of a label";

    fn schema() -> Schema {
        json_schema!({ "pattern": "^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$" })
    }

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        let text = scalar.as_text(Self::EXPECTED)?;
        match qualified_name(text) {
            Ok(()) => Ok(Self(text.to_owned())),
            Err(problem) => {
                Err(Mistake::new(Code::BadLabel, format!("the label key {} {problem}", quote(text)))
                    .hint("write it like workload-type or example.com/zone"))
            }
        }
    }
}

/// The value of a Kubernetes label. May be empty.
#[derive(Debug, Clone)]
pub(super) struct LabelValue(pub(super) String);

impl FromScalar for LabelValue {
    const EXPECTED: &'static str = "the text of a label";

    fn schema() -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$",
            "maxLength": LABEL_LENGTH,
        })
    }

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        let text = scalar.as_text(Self::EXPECTED)?;
        match label_value(text) {
            Ok(()) => Ok(Self(text.to_owned())),
            Err(problem) => {
                Err(Mistake::new(Code::BadLabel, format!("the label value {} {problem}", quote(text))))
            }
        }
    }
}

/// The effect of a taint on pods that do not tolerate it.
const EFFECTS: &[&str] = &["NoSchedule", "PreferNoSchedule", "NoExecute"];

impl FromScalar for Taint {
    const EXPECTED: &'static str = "a taint, like nvidia.com/gpu=present:NoSchedule";

    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": format!("^[^=:]+(=[^:]*)?:({})$", EFFECTS.join("|")) })
    }

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        taint(scalar.as_text(Self::EXPECTED)?).map_err(|(message, hint)| {
            let mistake = Mistake::new(Code::BadTaint, message);
            match hint {
                Some(hint) => mistake.hint(hint),
                None => mistake,
            }
        })
    }
}

/// Reads a taint as kubectl writes it. The error: the mistake, and the fix where it is clear.
pub(crate) fn taint(text: &str) -> Result<Taint, (String, Option<String>)> {
    let bad = |problem: String, hint: Option<String>| (format!("the taint {} {problem}", quote(text)), hint);
    let Some((key_and_value, effect)) = text.rsplit_once(':') else {
        let hint = format!("write it like {}:NoSchedule", suggest::shorten(text));
        return Err(bad("has no effect".to_owned(), Some(hint)));
    };
    if !EFFECTS.contains(&effect) {
        let hint = suggest::one_of("effects", effect, EFFECTS);
        return Err(bad(format!("has the unknown effect {}", quote(effect)), Some(hint)));
    }
    let (key, value) = key_and_value.split_once('=').unwrap_or((key_and_value, ""));
    if key.is_empty() {
        return Err(bad("has no key".to_owned(), Some("write it like gpu=present:NoSchedule".to_owned())));
    }
    qualified_name(key)
        .map_err(|problem| bad(format!("has the key {}, which {problem}", quote(key)), None))?;
    label_value(value)
        .map_err(|problem| bad(format!("has the value {}, which {problem}", quote(value)), None))?;
    Ok(Taint { key: key.to_owned(), value: value.to_owned(), effect: effect.to_owned() })
}

/// Checks Kubernetes' qualified name: an optional DNS subdomain and `/`, then a name.
pub(crate) fn qualified_name(text: &str) -> Result<(), String> {
    let (prefix, name) = match text.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, text),
    };
    if let Some(prefix) = prefix {
        let label = |label: &str| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        };
        if prefix.len() > 253 || !prefix.split('.').all(label) {
            return Err("has no DNS name in front of its `/`".to_owned());
        }
    }
    if name.is_empty() {
        return Err("has no name".to_owned());
    }
    label_value(name)
}

/// Checks the syntax that a label's value and the last part of its key have in common.
pub(crate) fn label_value(text: &str) -> Result<(), String> {
    let inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if let Some(c) = text.chars().find(|c| !inside(*c)) {
        Err(format!("may not hold `{}`: only letters, digits, `-`, `_` and `.`", c.escape_default()))
    } else if text.len() > LABEL_LENGTH {
        Err(format!("has {} characters, more than {LABEL_LENGTH}", text.len()))
    } else if text.starts_with(['-', '_', '.']) || text.ends_with(['-', '_', '.']) {
        Err("must start and end with a letter or a digit".to_owned())
    } else {
        Ok(())
    }
}
