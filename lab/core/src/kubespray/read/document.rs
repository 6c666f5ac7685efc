//! One YAML file of an inventory, with findings for its mistakes.
//!
//! Owns how a syntax error reads for people. It knows neither hosts nor variables.

use std::collections::HashMap;

use crate::kubespray::yaml::{self, Node, SyntaxError, Value};
use crate::source::yaml::{UNCLOSED, common_mistake};
use crate::source::{Code, Findings, Place, Severity, Span, brackets, suggest};

/// Reads one document. A syntax error becomes a finding, and there is nothing to go on with.
pub(super) fn parse(text: &str, findings: &mut Findings) -> Option<Node> {
    yaml::parse_one(text).map_err(|error| report_error(text, &error, findings)).ok()
}

fn report_error(text: &str, error: &SyntaxError, findings: &mut Findings) {
    let open = match error.hint {
        Some(_) => None,
        None => brackets::left_open(text, error.span.start),
    };
    let message = if open.is_some() { UNCLOSED } else { &error.message };
    let known = error.hint.map(|hint| (message, hint)).or_else(|| common_mistake(message));
    let (message, hint) = known.map_or((message, None), |(message, hint)| (message, Some(hint)));
    let span = open.unwrap_or(error.span);
    let finding = findings.error(Code::Syntax, span, format!("not valid YAML: {message}"));
    finding.hint = hint.map(str::to_owned);
}

/// Reports every key that is there twice in one mapping, however deep. Ansible takes the last one.
pub(super) fn report_duplicates(node: &Node, file: usize, findings: &mut Findings) {
    match &node.value {
        Value::List(items) => items.iter().for_each(|item| report_duplicates(item, file, findings)),
        Value::Map(entries) => {
            let mut seen: HashMap<String, Span> = HashMap::with_capacity(entries.len());
            for (key, value) in entries {
                report_duplicates(value, file, findings);
                let Some(name) = key.key() else { continue };
                if let Some(before) = seen.insert(name, key.span) {
                    let name = key.key().unwrap_or_default();
                    let message =
                        format!("the key {} is here twice, and only this one counts", suggest::quote(&name));
                    let place = Place { file, span: key.span };
                    findings
                        .at(Severity::Warning, Code::DuplicateKey, place, message)
                        .related(before, "has no effect");
                }
            }
        }
        _ => {}
    }
}
