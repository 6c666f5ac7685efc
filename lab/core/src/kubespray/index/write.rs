//! An index to text: JSON with one variable a line, so that differences between two of them read well.

use std::fmt::Write as _;

use serde::Serialize;

use super::Index;

/// The text of an index. The same index gives the same bytes.
pub fn write(index: &Index) -> String {
    let mut text = String::from("{");
    line(&mut text, "version", &index.version);
    if let Some(commit) = &index.commit {
        line(&mut text, "commit", commit);
    }
    line(&mut text, "ansible_core", &index.ansible_core);
    line(&mut text, "requirements", &index.requirements);
    line(&mut text, "playbooks", &index.playbooks);
    line(&mut text, "groups", &index.groups);
    line(&mut text, "old_groups", &index.old_groups);
    line(&mut text, "distributions", &index.distributions);
    line(&mut text, "choices", &index.choices);
    line(&mut text, "booleans", &index.booleans);
    line(&mut text, "refused", &index.refused);
    lines(
        &mut text,
        "components",
        '{',
        index.components.iter().map(|(name, one)| format!("{}:{}", json(name), json(one))),
        '}',
    );
    lines(
        &mut text,
        "picks",
        '{',
        index.picks.iter().map(|(name, one)| format!("{}:{}", json(name), json(one))),
        '}',
    );
    lines(&mut text, "files", '[', index.files.iter().map(json), ']');
    lines(
        &mut text,
        "variables",
        '{',
        index.variables.iter().map(|(name, one)| format!("{}:{}", json(name), json(one))),
        '}',
    );
    text.push_str("\n}\n");
    text
}

/// One value on a line.
fn line(text: &mut String, key: &str, value: &impl Serialize) {
    let comma = if text.len() > 1 { "," } else { "" };
    let _ = write!(text, "{comma}\n\"{key}\":{}", json(value));
}

/// A collection with one item a line.
fn lines(text: &mut String, key: &str, open: char, items: impl Iterator<Item = String>, close: char) {
    let items: Vec<String> = items.collect();
    let _ = write!(text, ",\n\"{key}\":{open}\n{}\n{close}", items.join(",\n"));
}

fn json(value: &impl Serialize) -> String {
    // Texts as keys and finite numbers are all there is.
    serde_json::to_string(value).unwrap_or_default()
}
