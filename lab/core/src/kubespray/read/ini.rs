//! A file of hosts as INI. Follows `lib/ansible/plugins/inventory/ini.py` of ansible-core, but goes on after
//! a mistake.

use std::collections::{HashMap, HashSet};

use super::hosts::Builder;
use super::{literal, pattern};
use crate::source::suggest::quote;
use crate::source::{Code, Severity, Span};

/// The kind of a section's lines.
#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Hosts,
    Children,
    Vars,
    /// The head of the section was a mistake: its lines are passed over.
    Unknown,
}

/// Reads the file into the builder.
#[expect(clippy::too_many_lines, reason = "one pass over lines, whose state all branches share")]
pub(super) fn read(text: &str, builder: &mut Builder<'_>) {
    let mut group = builder.groups.group("ungrouped", None);
    let mut state = State::Hosts;
    // Groups that are named before they have a section of their own, with the first place.
    let mut pending: HashMap<String, (Span, State)> = HashMap::new();
    let mut declared: HashSet<&str> = HashSet::from(["all", "ungrouped"]);
    let mut offset = 0;
    for whole in text.split_inclusive('\n') {
        let start =
            offset + (whole.len() - whole.trim_start().trim_start_matches('\u{feff}').trim_start().len());
        offset += whole.len();
        let line = text[start.min(offset)..offset].trim_end();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let span = Span { start, end: start + line.len() };
        if line.starts_with('[')
            && let Some(head) = section(line)
        {
            let Some((name, of)) = head else {
                state = State::Unknown;
                report_finding(builder, span, format!("{} is not the head of a section", quote(line))).hint(
                    "write it like [kube_node], [kube_node:vars] or [k8s_cluster:children], without blanks",
                );
                continue;
            };
            let name_span = Span { start: start + 1, end: start + 1 + name.len() };
            state = match of {
                None | Some("hosts") => State::Hosts,
                Some("children") => State::Children,
                Some("vars") => State::Vars,
                Some(other) => {
                    report_finding(builder, span, format!("a section of {} is unknown", quote(other)))
                        .hint("known are `hosts`, `children` and `vars`");
                    State::Unknown
                }
            };
            if state == State::Unknown {
                continue;
            }
            if state == State::Vars && !declared.contains(name) {
                pending.entry(name.to_owned()).or_insert((name_span, State::Vars));
            } else if state != State::Vars {
                declared.insert(name);
                pending.remove(name);
            }
            group = builder.groups.group(name, Some(builder.place(name_span)));
            continue;
        }
        match state {
            State::Unknown => {}
            State::Hosts => hosts(line, start, group, builder),
            State::Children => {
                let name = line.split('#').next().unwrap_or_default().trim_end();
                if name.contains(|c: char| c.is_whitespace() || c == ':' || c == ']') {
                    report_finding(builder, span, format!("{} is not the name of a group", quote(line)))
                        .hint("a section of children has one group on each line, and nothing else");
                    continue;
                }
                let span = Span { start, end: start + name.len() };
                if !declared.contains(name) {
                    pending.entry(name.to_owned()).or_insert((span, State::Children));
                }
                let child = builder.groups.group(name, Some(builder.place(span)));
                builder.add_child(group, child, span);
            }
            State::Vars => match line.split_once('=') {
                Some((name, value)) => {
                    let trimmed = name.trim_end();
                    let name_span = Span { start, end: start + trimmed.len() };
                    let behind = start + name.len() + 1;
                    let value_start = behind + (value.len() - value.trim_start().len());
                    let value = value.trim();
                    let value_span = Span { start: value_start, end: value_start + value.len() };
                    builder.group_variable(group, trimmed, literal::value(value), name_span, value_span);
                }
                None => {
                    report_finding(
                        builder,
                        span,
                        format!("{} is not a variable with its value", quote(line)),
                    )
                    .hint("write it like name=value");
                }
            },
        }
    }
    let mut missing: Vec<_> = pending.into_iter().collect();
    missing.sort_by_key(|(_, (span, _))| *span);
    for (name, (span, state)) in missing {
        let what = if state == State::Vars { "variables are set for" } else { "a child is" };
        report_finding(builder, span, format!("{what} the group {}, which has no section", quote(&name)))
            .hint(format!(
                "add a section [{name}], which may be empty: Ansible refuses the whole file without it"
            ));
    }
}

fn report_finding<'b>(
    builder: &'b mut Builder<'_>,
    span: Span,
    message: String,
) -> &'b mut crate::source::Finding {
    let place = builder.place(span);
    builder.findings.at(Severity::Error, Code::BadInventory, place, message)
}

/// The head of a section: its group and the kind of its lines. The outer `None`: it is no head; the inner
/// one: it looks like one and is wrong.
#[expect(clippy::option_option, reason = "the two kinds of nothing are two different findings")]
fn section(line: &str) -> Option<Option<(&str, Option<&str>)>> {
    let (inside, behind) = line[1..].split_once(']')?;
    let behind = behind.trim_start();
    if !behind.is_empty() && !behind.starts_with('#') {
        // A pattern of hosts may start with a bracket too.
        return None;
    }
    let (name, of) = match inside.split_once(':') {
        Some((name, of)) => (name, Some(of)),
        None => (inside, None),
    };
    let is_word =
        |of: &str| !of.is_empty() && of.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if name.is_empty() || name.contains(char::is_whitespace) || of.is_some_and(|of| !is_word(of)) {
        return Some(None);
    }
    Some(Some((name, of)))
}

/// A line of hosts: a pattern, and variables with their values.
fn hosts(line: &str, start: usize, group: usize, builder: &mut Builder<'_>) {
    let words = match split(line) {
        Ok(words) => words,
        Err(problem) => {
            let span = Span { start, end: start + line.len() };
            report_finding(builder, span, format!("the line of a host has {problem}"))
                .hint("close it on the same line");
            return;
        }
    };
    let mut words = words.into_iter();
    let Some(first) = words.next() else { return };
    let span = Span { start: start + first.start, end: start + first.end };
    if first.text == "---" {
        report_finding(builder, span, "this looks like YAML, and is read as INI".to_owned())
            .hint("name the file hosts.yaml, or take the `---` away");
        return;
    }
    if first.text.ends_with(':') {
        report_finding(builder, span, format!("the host {} ends in a `:`", quote(&first.text)))
            .hint("a port belongs behind it; or name the file hosts.yaml if this is YAML");
        return;
    }
    let (name, port) = pattern::split_port(&first.text);
    let names = match pattern::expand(name) {
        Ok(names) => names,
        Err(problem) => {
            report_finding(builder, span, problem);
            return;
        }
    };
    let place = builder.place(span);
    let hosts: Vec<usize> = names.iter().map(|name| builder.groups.host(name, Some(place))).collect();
    for &host in &hosts {
        builder.groups.add_host(group, host);
    }
    if let Some(port) = port {
        builder.host_variables(&names, "ansible_port", &port.into(), span, span);
    }
    for word in words {
        let word_span = Span { start: start + word.start, end: start + word.end };
        let Some((name, value)) = word.text.split_once('=') else {
            report_finding(
                builder,
                word_span,
                format!("{} is not a variable with its value", quote(&word.text)),
            )
            .hint("write it like name=value; blanks in a value need quotes around it");
            continue;
        };
        // The first `=` of the line's own text: quotes before it are rare and only move the place.
        let equals = line[word.start..word.end].find('=').unwrap_or(0);
        let name_span = Span { start: word_span.start, end: word_span.start + equals };
        let value_span =
            Span { start: (word_span.start + equals + 1).min(word_span.end), end: word_span.end };
        builder.host_variables(&names, name, &literal::value(value), name_span, value_span);
    }
}

/// A word of a line, without its quotes, and where it stands in the line.
#[derive(Debug, PartialEq)]
struct Word {
    text: String,
    start: usize,
    end: usize,
}

/// Words as `shlex.split(line, comments=True)` makes them.
fn split(line: &str) -> Result<Vec<Word>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<Word> = None;
    let mut quoted: Option<char> = None;
    let mut characters = line.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        let end = at + c.len_utf8();
        if quoted.is_none() {
            if c.is_ascii_whitespace() {
                words.extend(word.take());
                continue;
            }
            if c == '#' {
                break;
            }
        }
        let current = word.get_or_insert_with(|| Word { text: String::new(), start: at, end });
        current.end = end;
        match (quoted, c) {
            (Some(quote), c) if c == quote => quoted = None,
            (None, '"' | '\'') => quoted = Some(c),
            (None | Some('"'), '\\') => {
                let Some((at, next)) = characters.next() else { return Err("nothing behind its last `\\`") };
                if quoted.is_some() && next != '\\' && next != '"' {
                    current.text.push('\\');
                }
                current.text.push(next);
                current.end = at + next.len_utf8();
            }
            (_, c) => current.text.push(c),
        }
    }
    if quoted.is_some() {
        return Err("a quote that is not closed");
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// Compared with Python's `shlex.split(line, comments=True)`.
    #[rstest]
    #[case("a b=c", "a|b=c")]
    #[case("a  b='c d' # e", "a|b=c d")]
    #[case("a b=c#d e", "a|b=c")]
    #[case("a b=\"c\\\"d\\n\"", "a|b=c\"d\\n")]
    #[case("a b='c\\d'", "a|b=c\\d")]
    #[case("a b=c\\ d", "a|b=c d")]
    #[case("a b=''", "a|b=")]
    #[case("a b={\"c\": 'd'}", "a|b={c:|d}")]
    #[case("é ü=ö", "é|ü=ö")]
    fn words_of_a_line(#[case] line: &str, #[case] expected: &str) {
        let words: Vec<String> = split(line).unwrap().into_iter().map(|word| word.text).collect();
        assert_eq!(words.join("|"), expected);
    }

    #[test]
    fn open_quote_is_reported() {
        assert_eq!(split("a b='c"), Err("a quote that is not closed"));
    }

    #[rstest]
    #[case("[a]", Some(Some(("a", None))))]
    #[case("[a:vars] # x", Some(Some(("a", Some("vars")))))]
    #[case("[a b]", Some(None))]
    #[case("[a:b:c]", Some(None))]
    #[case("[a:c].lan x=1", None)]
    fn heads_of_sections(#[case] line: &str, #[case] expected: Option<Option<(&str, Option<&str>)>>) {
        assert_eq!(section(line), expected);
    }
}
