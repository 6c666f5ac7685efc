//! The YAML of a checkout as Ansible reads it: YAML 1.1 words, tags, several documents in a file, merge
//! keys, and the line of every value. Knows nothing of Kubespray.
//!
//! The reader of files that users write (`source::yaml`) refuses what they had better not write; a
//! checkout holds all of it.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, Span};

use crate::kubespray::words::{self, Word};

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

impl Value {
    fn scalar(text: &str, word: Word) -> Self {
        let kind = match word {
            Word::Null => return Self::Null,
            Word::Bool(value) => Kind::Boolean(value),
            Word::Integer(value) => Kind::Integer(value),
            Word::Float(value) => Kind::Float(value),
            Word::Text => Kind::Text,
        };
        Self::Scalar { text: text.to_owned(), kind }
    }
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
                let tag = tag.as_deref().map(granit_parser::Tag::original);
                let word = words::scalar(&text, style == ScalarStyle::Plain, tag.as_deref());
                // A block's span ends on the line behind it.
                let end = line(span.end.line()).max(start);
                let node = Node { line: start, end, value: Value::scalar(&text, word) };
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
        if key.scalar() != Some("<<") {
            entries.push((key, value));
            continue;
        }
        let sources = match value.value {
            Value::List(sources) => sources,
            _ => vec![value],
        };
        for source in sources {
            if let Value::Map(more) = source.value {
                merged.extend(more);
            }
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

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

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

    #[test]
    fn merge_key_takes_a_list_whose_first_mapping_wins_and_tags_make_numbers() {
        let text = "a: &x {one: 1}\nb: &y {one: 2, two: 2}\nc: {<<: [*x, *y]}\nd: !!int \"5\"\n";
        let document = parse(text).unwrap().remove(0);
        let c = document.get("c").unwrap();
        assert_eq!(c.entries().len(), 2);
        assert_eq!(c.get("one").and_then(Node::scalar), Some("1"));
        assert!(matches!(document.get("d").unwrap().value, Value::Scalar { kind: Kind::Integer(5), .. }));
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
