//! The YAML of a checkout as Ansible reads it: YAML 1.1 words, tags, several documents in a file, merge
//! keys, and the line of every value. Knows nothing of Kubespray.
//!
//! The reader of files that users write (`source::yaml`) refuses what they had better not write; a
//! checkout holds all of it.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, Span};

/// One value and its lines.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// Counted from 1; of a scalar, where it starts.
    pub(super) line: u32,
    /// The last line that belongs to it.
    pub(super) end: u32,
    pub(super) value: Value,
}

/// What a node holds.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Null,
    Scalar {
        /// A text's content; of anything else what is written in the file.
        text: String,
        kind: Kind,
    },
    List(Vec<Node>),
    /// In the order of the file.
    Map(Vec<(Node, Node)>),
}

/// What YAML 1.1 takes a scalar for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text,
}

/// Why a file is not YAML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) line: u32,
    pub(super) message: String,
}

impl Node {
    /// The content of a text, or what is written of any other scalar.
    pub(super) fn scalar(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// The value under a key of a mapping.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|(name, _)| name.scalar() == Some(key)).map(|(_, value)| value)
    }

    /// The entries of a mapping; none of anything else.
    pub(super) fn entries(&self) -> &[(Self, Self)] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a list; none of anything else.
    pub(super) fn items(&self) -> &[Self] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }
}

/// More than any file of Kubespray has, so that no file of a strange checkout can hurt.
const MOST_NODES: usize = 300_000;
/// Deeper than any playbook, and shallow enough for every stack.
const DEEPEST: usize = 200;

/// Every document of a file.
pub(super) fn parse(text: &str) -> Result<Vec<Node>, Broken> {
    let mut reader = Reader::default();
    let mut documents = Vec::new();
    // Comments are not wanted, and waiting for them has a limit of its own.
    let options = granit_parser::options! { emit_comments: false };
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| Broken {
            line: line(error.marker().line()),
            message: error.info().to_owned(),
        })?;
        if let Some(document) = reader.take(event, &span)? {
            documents.push(document);
        }
    }
    Ok(documents)
}

fn line(line: usize) -> u32 {
    u32::try_from(line).unwrap_or(u32::MAX).max(1)
}

/// A collection whose end has not come yet.
struct Open {
    line: u32,
    anchor: usize,
    items: Vec<Node>,
    map: bool,
}

#[derive(Default)]
struct Reader {
    open: Vec<Open>,
    /// What an anchor stands for, and how deep it is.
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
}

impl Reader {
    /// The whole document where this event ends one.
    fn take(&mut self, event: Event<'_>, span: &Span) -> Result<Option<Node>, Broken> {
        let start = line(span.start.line());
        let broken = |message: &str| Broken { line: start, message: message.to_owned() };
        self.nodes += 1;
        if self.nodes > MOST_NODES {
            return Err(broken("too many values"));
        }
        let node = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain && tag.is_none();
                // A block's span ends on the line behind it.
                let end = line(span.end.line()).max(start);
                let node = Node { line: start, end, value: scalar(&text, plain) };
                self.remember(anchor, &node);
                node
            }
            Event::SequenceStart(_, anchor, _) | Event::MappingStart(_, anchor, _) => {
                if self.open.len() >= DEEPEST {
                    return Err(broken("too many levels"));
                }
                let map = matches!(event, Event::MappingStart(..));
                self.open.push(Open { line: start, anchor, items: Vec::new(), map });
                return Ok(None);
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.open.pop() else { return Ok(None) };
                let end = open.items.last().map_or(open.line, |item| item.end);
                let value = if open.map { Value::Map(pairs(open.items)) } else { Value::List(open.items) };
                let node = Node { line: open.line, end, value };
                self.remember(open.anchor, &node);
                node
            }
            Event::Alias(anchor) => {
                let (node, depth) = self.anchors.get(&anchor).ok_or_else(|| broken("an unknown alias"))?;
                if self.open.len() + depth > DEEPEST {
                    return Err(broken("too many levels"));
                }
                let node = node.clone();
                self.nodes += count(&node);
                node
            }
            _ => return Ok(None),
        };
        match self.open.last_mut() {
            Some(open) => {
                open.items.push(node);
                Ok(None)
            }
            None => {
                self.anchors.clear();
                Ok(Some(node))
            }
        }
    }

    fn remember(&mut self, anchor: usize, node: &Node) {
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), depth(node)));
        }
    }
}

/// Keys and values, with what merge keys bring in behind what stands there itself.
fn pairs(items: Vec<Node>) -> Vec<(Node, Node)> {
    let mut entries = Vec::with_capacity(items.len() / 2);
    let mut merged: Vec<(Node, Node)> = Vec::new();
    let mut items = items.into_iter();
    while let (Some(key), Some(value)) = (items.next(), items.next()) {
        match value.value {
            Value::Map(more) if key.scalar() == Some("<<") => merged.extend(more),
            _ => entries.push((key, value)),
        }
    }
    for (key, value) in merged {
        if !entries.iter().any(|(there, _)| there.scalar().is_some() && there.scalar() == key.scalar()) {
            entries.push((key, value));
        }
    }
    entries
}

fn count(node: &Node) -> usize {
    1 + match &node.value {
        Value::List(items) => items.iter().map(count).sum(),
        Value::Map(entries) => entries.iter().map(|(key, value)| count(key) + count(value)).sum(),
        _ => 0,
    }
}

fn depth(node: &Node) -> usize {
    1 + match &node.value {
        Value::List(items) => items.iter().map(depth).max().unwrap_or(0),
        Value::Map(entries) => {
            entries.iter().map(|(key, value)| depth(key).max(depth(value))).max().unwrap_or(0)
        }
        _ => 0,
    }
}

/// A scalar as YAML 1.1 takes it. Quoted and tagged ones are texts.
fn scalar(text: &str, plain: bool) -> Value {
    if plain && matches!(text, "" | "~" | "null" | "Null" | "NULL") {
        return Value::Null;
    }
    let kind = if plain { kind(text) } else { Kind::Text };
    Value::Scalar { text: text.to_owned(), kind }
}

/// What YAML 1.1 takes an unquoted word for (<https://yaml.org/type/>, as PyYAML does it).
pub(super) fn kind(text: &str) -> Kind {
    match text {
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => return Kind::Boolean(true),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Kind::Boolean(false);
        }
        _ => {}
    }
    integer(text).map(Kind::Integer).or_else(|| float(text).map(Kind::Float)).unwrap_or(Kind::Text)
}

fn integer(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let bare = digits.replace('_', "");
    let value = if let Some(hexadecimal) = bare.strip_prefix("0x") {
        i64::from_str_radix(hexadecimal, 16).ok()?
    } else if let Some(binary) = bare.strip_prefix("0b") {
        i64::from_str_radix(binary, 2).ok()?
    } else if bare.len() > 1 && bare.starts_with('0') {
        i64::from_str_radix(&bare, 8).ok()?
    } else if let Some((first, rest)) = bare.split_once(':') {
        // Base sixty: `1:30` is ninety.
        rest.split(':').try_fold(first.parse::<i64>().ok()?, |sum, part| {
            let part: i64 = part.parse().ok().filter(|part| (0..60).contains(part))?;
            sum.checked_mul(60)?.checked_add(part)
        })?
    } else {
        bare.parse().ok()?
    };
    Some(sign * value)
}

fn float(text: &str) -> Option<f64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    // An exponent has to carry its sign.
    let (mantissa, exponent) = digits.split_once(['e', 'E']).map_or((digits, None), |(m, e)| (m, Some(e)));
    let fits = mantissa.contains('.')
        && mantissa.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && mantissa.chars().any(|c| c.is_ascii_digit())
        && mantissa.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | '_'))
        && exponent.is_none_or(|e| {
            e.strip_prefix(['-', '+']).is_some_and(|e| !e.is_empty() && e.chars().all(|c| c.is_ascii_digit()))
        });
    if fits { text.replace('_', "").parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::yes("yes", Kind::Boolean(true))]
    #[case::off("Off", Kind::Boolean(false))]
    #[case::whole("10255", Kind::Integer(10255))]
    #[case::octal("0640", Kind::Integer(416))]
    #[case::sixty("1:30", Kind::Integer(90))]
    #[case::negative("-1", Kind::Integer(-1))]
    #[case::decimal("1.30", Kind::Float(1.3))]
    #[case::version("1.34.3", Kind::Text)]
    #[case::address("10.233.0.0/18", Kind::Text)]
    #[case::exponent_without_sign("1.0e3", Kind::Text)]
    #[case::not_octal("0900", Kind::Text)]
    #[case::word("calico", Kind::Text)]
    #[case::y("y", Kind::Text)]
    #[case::too_large("99999999999999999999", Kind::Text)]
    fn a_word_is_what_ansible_takes_it_for(#[case] text: &str, #[case] expected: Kind) {
        assert_eq!(kind(text), expected);
    }

    #[test]
    fn tags_documents_anchors_and_merge_keys_are_read() {
        let text = "a: &x {one: 1, two: 2}\nb: {<<: *x, two: 3}\nc: !unsafe '{{ no }}'\n---\n- !vault |\n  secret\n- |\n  x\n";
        let documents = parse(text).unwrap();
        assert_eq!(documents.len(), 2);
        let b = documents[0].get("b").unwrap();
        assert_eq!(b.get("one").and_then(Node::scalar), Some("1"));
        assert_eq!(b.get("two").and_then(Node::scalar), Some("3"));
        assert_eq!(documents[0].get("c").map(|c| (c.line, c.scalar())), Some((3, Some("{{ no }}"))));
        assert_eq!(documents[1].items().len(), 2);
    }

    #[rstest]
    #[case::unclosed("a: [1\nb: 2\n", 2)]
    #[case::tab("a:\n\tb: 1\n", 2)]
    #[case::unknown_alias("a: 1\nb: *nobody\n", 2)]
    fn a_broken_file_names_its_line(#[case] text: &str, #[case] line: u32) {
        assert_eq!(parse(text).unwrap_err().line, line);
    }

    #[test]
    fn neither_deep_nor_multiplying_files_hurt() {
        let deep = "[".repeat(10_000);
        assert!(parse(&deep).is_err());
        let mut bomb = "a0: &a0 [x]\n".to_owned();
        for level in 1..40 {
            let before = format!("*a{}", level - 1);
            bomb.push_str(&format!("a{level}: &a{level} [{}]\n", vec![before; 10].join(", ")));
        }
        assert!(parse(&bomb).is_err());
    }
}
