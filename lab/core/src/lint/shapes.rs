//! Values of the wrong kind: a text where Kubespray takes a yes or no, a list where it takes a mapping, a word that
//! is none of the few it knows.
//!
//! Careful: a default shows the kind of a variable's value only where it is plain, and where every role that
//! gives one agrees.

use serde_json::Value;

use crate::kubespray::Setting;
use crate::kubespray::index::{Shape, Variable};
use crate::source::{Code, Severity, suggest};

use super::{Lint, Part, described, shown, truth_of_text};

/// Where the assertions are that are common to all.
const VALIDATE: &str = "roles/validate_inventory/";

/// Words that roles assert, and that the index does not hold: variable, words, the file that asserts.
const CHOICES: [(&str, &[&str], &str); 6] = [
    ("cloud_provider", &["", "external"], VALIDATE),
    ("calico_network_backend", &["bird", "vxlan", "none"], "calico/tasks/check.yml"),
    ("calico_ipip_mode", &["Always", "CrossSubnet", "Never"], "calico/tasks/check.yml"),
    ("calico_vxlan_mode", &["Always", "CrossSubnet", "Never"], "calico/tasks/check.yml"),
    ("calico_datastore", &["kdd", "etcd"], "calico"),
    ("loadbalancer_apiserver_type", &["nginx", "haproxy"], "kubernetes/node"),
];

/// Judged by rules of their own, which say more.
const JUDGED_ELSEWHERE: [&str; 3] = ["node_labels", "node_taints", "calico_mtu"];

pub(super) fn check(lint: &mut Lint<'_>) {
    let mut names: Vec<&str> = lint.values.names().collect();
    names.sort_unstable();
    for name in names {
        let Some(variable) = lint.index.variables.get(name) else { continue };
        if JUDGED_ELSEWHERE.contains(&name) {
            continue;
        }
        let asserted =
            lint.index.choices.get(name).map(|words| (words.iter().map(String::as_str).collect(), VALIDATE));
        let own = CHOICES.iter().find(|(choice, ..)| *choice == name);
        let choice: Option<(Vec<&str>, &str)> =
            asserted.or_else(|| own.map(|(_, words, file)| (words.to_vec(), *file)));
        for setting in lint.judged(name) {
            match &choice {
                Some((words, file)) => choice_of(lint, setting, words, file),
                None => shape_of(lint, setting, variable),
            }
        }
    }
}

fn choice_of(lint: &mut Lint<'_>, setting: &Setting, words: &[&str], file: &str) {
    let text = match &setting.value {
        Value::String(text) => text.clone(),
        // YAML and INI take these words for something else.
        Value::Bool(value) => value.to_string(),
        Value::Null => String::new(),
        value => value.to_string(),
    };
    // Where a null is allowed, a no means the same.
    let nothing = words.contains(&"") && matches!(setting.value, Value::Null | Value::Bool(false));
    if nothing || setting.value.is_string() && words.contains(&text.as_str()) {
        return;
    }
    let name = &setting.name;
    let source = lint.asserted(name, file);
    let message = format!("`{name}` cannot be {}", shown(&setting.value));
    let named: Vec<&str> = words.iter().copied().filter(|word| !word.is_empty()).collect();
    let hint = suggest::one_of("words", &text, &named);
    let finding = lint.report_finding(Severity::Error, Code::UnknownChoice, setting, Part::Value, message);
    finding.hint(hint);
    finding.source = source;
}

fn shape_of(lint: &mut Lint<'_>, setting: &Setting, variable: &Variable) {
    let name = &setting.name;
    let is_asserted = lint.index.booleans.iter().any(|boolean| boolean == name);
    let Some(expected) = expected(variable, is_asserted) else { return };
    let value = &setting.value;
    let (severity, code, message, hint) = match (expected, value) {
        (Shape::Boolean, Value::String(text)) => match truth_of_text(text) {
            // To a condition of Ansible every text that is not empty is true.
            Some(truth) => {
                let severity = if is_asserted || !truth { Severity::Error } else { Severity::Warning };
                let why = if is_asserted {
                    "Kubespray refuses it"
                } else if truth {
                    "it works only where Kubespray converts it"
                } else {
                    "and where Kubespray does not convert it, a text is true"
                };
                let message = format!("`{name}` is the text {}, not a yes or no: {why}", shown(value));
                let word = if truth { ("true", "True") } else { ("false", "False") };
                (severity, Code::TextBoolean, message, format!("write {} in YAML, {} in INI", word.0, word.1))
            }
            None if text.is_empty() => return,
            None => (
                Severity::Error,
                Code::WrongShape,
                format!("`{name}` is a yes or no, and here it is {}", shown(value)),
                "write true or false".to_owned(),
            ),
        },
        (Shape::Boolean, Value::Number(number)) if !is_asserted && matches!(number.as_i64(), Some(0 | 1)) => {
            return;
        }
        (Shape::Boolean, Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            wrong(name, "a yes or no", value)
        }
        (Shape::Number, Value::String(text))
            if text.chars().any(|c| c.is_ascii_digit()) || text.is_empty() =>
        {
            return;
        }
        (Shape::Number, Value::String(_) | Value::Array(_) | Value::Object(_)) => {
            wrong(name, "a number", value)
        }
        (Shape::List, Value::String(text)) if text.is_empty() => return,
        (Shape::List, Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => {
            wrong(name, "a list", value)
        }
        (Shape::Map, Value::String(text)) if text.is_empty() => return,
        (Shape::Map, Value::Array(items)) if items.is_empty() => return,
        (Shape::Map, Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
            wrong(name, "a mapping", value)
        }
        (Shape::Text, Value::Array(_) | Value::Object(_)) => wrong(name, "a text", value),
        _ => return,
    };
    let source = if is_asserted { lint.asserted(name, VALIDATE) } else { lint.source_of(name) };
    let finding = lint.report_finding(severity, code, setting, Part::Value, message);
    finding.hint(hint);
    finding.source = source;
}

fn wrong(name: &str, expected: &str, value: &Value) -> (Severity, Code, String, String) {
    let message = format!("`{name}` is {expected}, and here it is {}", described(value));
    let hint = match (expected, value) {
        ("a list", Value::String(text)) => format!("write it as a list: [{}]", suggest::shorten(text)),
        ("a list", _) => "put `- ` in front of each item".to_owned(),
        ("a mapping", Value::String(_)) => {
            "write it in YAML, in group_vars or host_vars: INI makes a text of it".to_owned()
        }
        _ => format!("write {expected}"),
    };
    (Severity::Error, Code::WrongShape, message, hint)
}

/// The kind of value that every plain default of a variable has. A text that is empty stands for anything,
/// and so do a null and a computed value.
fn expected(variable: &Variable, is_asserted: bool) -> Option<Shape> {
    if is_asserted {
        return Some(Shape::Boolean);
    }
    let mut shapes = variable.defaults.iter().map(|default| match (default.shape, &default.value) {
        (Shape::Text, Some(Value::String(text))) if text.is_empty() || truth_of_text(text).is_some() => {
            Shape::Null
        }
        (shape, _) => shape,
    });
    let first = shapes.next()?;
    let agreed = shapes.all(|shape| shape == first) && !matches!(first, Shape::Null | Shape::Computed);
    // The sample shows another way to write it.
    let shown = variable.sample.iter().filter_map(|example| example.shape);
    let differs =
        shown.into_iter().any(|shape| shape != first && !matches!(shape, Shape::Null | Shape::Computed));
    (agreed && !differs).then_some(first)
}
