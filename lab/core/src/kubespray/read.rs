//! An inventory of another author: its files to groups, hosts and settings, each with its place.
//!
//! Reads the files that Ansible would read, the way Ansible would, and goes on after every mistake. Judges
//! nothing that Ansible takes; [`super::lint`] does. The caller collects the files: nothing here does I/O.

mod document;
mod files;
mod hosts;
mod ini;
mod literal;
pub(crate) mod parts;
mod pattern;
#[cfg(test)]
mod tests;

use serde_json::Value;

pub use files::{Entry, HOSTS_FILES, Wanted};

use super::groups::Groups;
use super::setting::{Origin, Scope, Setting};
use super::yaml::{self, Word};
use crate::source::{Code, Findings, Place, Severity, SourceFile, Span};

/// How a file begins that `ansible-vault` has encrypted.
const VAULT: &str = "$ANSIBLE_VAULT;";

/// An inventory as it was read.
#[derive(Debug)]
pub struct Inventory {
    /// Every file, that of the hosts first. Findings and settings name them by number.
    pub files: Vec<SourceFile>,
    /// Hosts and groups, with Kubespray's own changes when it starts.
    pub groups: Groups,
    /// Everything that is set, in the order in which Ansible reads it.
    pub settings: Vec<Setting>,
    /// Whether `k8s_cluster` is there only because Kubespray makes it.
    pub implied_cluster: bool,
    /// Findings about the files themselves.
    pub(crate) findings: Findings,
}

/// An inventory of which only the file of hosts was read.
#[derive(Debug)]
pub struct Reading {
    inventory: Inventory,
}

/// The variables of one file.
#[derive(Debug)]
pub struct Variables {
    entries: Vec<(String, Value, Span, Span)>,
    findings: Findings,
}

/// Reads the file of hosts.
pub fn hosts(file: SourceFile) -> Reading {
    let mut findings = Findings::default();
    let hosts::Hosts { groups, settings } = hosts::read(&file.path, &file.text, 0, &mut findings);
    let mut groups = groups.finish();
    let implied_cluster = groups.imply();
    Reading { inventory: Inventory { files: vec![file], groups, settings, implied_cluster, findings } }
}

/// Reads one file of variables.
pub fn variables(text: &str) -> Variables {
    let mut findings = Findings::default();
    let entries = entries(text, &mut findings);
    Variables { entries, findings }
}

/// A file of variables that cannot be read because it is no text.
pub fn no_text() -> Variables {
    let mut findings = Findings::default();
    let start = Span { start: 0, end: 0 };
    findings.error(Code::Syntax, start, "the file is not UTF-8 text").hint("save it as UTF-8");
    Variables { entries: Vec::new(), findings }
}

fn entries(text: &str, findings: &mut Findings) -> Vec<(String, Value, Span, Span)> {
    if text.starts_with(VAULT) {
        let place = Place { file: 0, span: Span { start: 0, end: VAULT.len() - 1 } };
        let message = "the file is encrypted, and its variables are not judged";
        findings.at(Severity::Note, Code::NotJudged, place, message);
        return Vec::new();
    }
    let Some(tree) = document::parse(text, findings) else { return Vec::new() };
    document::report_duplicates(&tree, 0, findings);
    let entries = match tree.value {
        yaml::Value::Scalar(_, Word::Null) => return Vec::new(),
        yaml::Value::Map(entries) => entries,
        _ => {
            findings
                .error(Code::WrongType, tree.span, "a file of variables is a mapping of names to values")
                .hint("write each variable as `name: value`");
            return Vec::new();
        }
    };
    let mut encrypted = None;
    let entries = entries
        .into_iter()
        .filter_map(|(key, value)| {
            let Some(name) = key.key() else {
                findings.error(Code::BadVariable, key.span, "the name of a variable is a word");
                return None;
            };
            let (at, value) = (value.span, value.into_json());
            if is_encrypted(&value) {
                encrypted.get_or_insert(key.span);
            }
            Some((name, value, key.span, at))
        })
        .collect();
    if let Some(span) = encrypted {
        let message = "values that are encrypted are not judged";
        findings.at(Severity::Note, Code::NotJudged, Place { file: 0, span }, message);
    }
    entries
}

/// Whether a value can be read only with a password.
pub(crate) fn is_encrypted(value: &Value) -> bool {
    match value {
        Value::String(text) => text.trim_start().starts_with(VAULT),
        Value::Array(items) => items.iter().any(is_encrypted),
        Value::Object(entries) => entries.values().any(is_encrypted),
        _ => false,
    }
}

impl Reading {
    /// The files of variables that Ansible would read, in its order, of all that lie in `group_vars` and
    /// `host_vars` beside the file of hosts. Reports those that it passes over against expectation; messages
    /// put `folder` in front of their paths.
    pub fn wanted(&mut self, entries: &[Entry], folder: &str) -> Vec<Wanted> {
        let (wanted, unread) = files::choose(&self.inventory.groups, entries);
        for unread in unread {
            let file = self.inventory.files.len();
            let path = format!("{folder}{}", unread.path);
            self.inventory.files.push(SourceFile { path, text: String::new() });
            let place = Place { file, span: Span { start: 0, end: 0 } };
            let finding =
                self.inventory.findings.at(unread.severity, Code::UnreadFile, place, unread.message);
            finding.hint(unread.hint);
        }
        wanted
    }

    /// The whole inventory, from the files that were wanted, in their order.
    pub fn finish(self, files: impl IntoIterator<Item = (Scope, SourceFile, Variables)>) -> Inventory {
        let mut inventory = self.inventory;
        for (scope, source, variables) in files {
            let file = inventory.files.len();
            inventory.findings.take(variables.findings, file);
            inventory.settings.extend(variables.entries.into_iter().map(|(name, value, at, value_at)| {
                Setting {
                    scope: scope.clone(),
                    name,
                    value,
                    origin: Origin::File { file, name: at, value: value_at },
                }
            }));
            inventory.files.push(source);
        }
        inventory
    }

    /// Everything that stands in the file of hosts.
    pub fn groups(&self) -> &Groups {
        &self.inventory.groups
    }
}
