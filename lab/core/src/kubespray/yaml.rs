//! YAML 1.1 as PyYAML and so Ansible reads it: the one reader of inventories and of checkouts.
//!
//! Owns the tree of a file: scalars as words, anchors, merge keys, places and limits. It must not know Kubespray, hosts or
//! variables, and it reports no findings. The cluster file has a stricter reader in [`crate::source`].

mod words;

use std::collections::{HashMap, HashSet};

use granit_parser::{Event, Parser, ScalarStyle, StructureStyle, Tag};

pub(super) use words::Word;

use crate::source::Span;

/// Deeper than any inventory or playbook, and little enough for every stack.
const MAX_DEPTH: usize = 64;
/// More than any inventory has, and little enough for every memory.
const MAX_VALUES: usize = 2_000_000;
/// Values that aliases may add: enough for every inventory, too little for a bomb.
const MAX_ALIASED: usize = 100_000;

/// One value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// The first line of a scalar; of a list or a mapping its first item or key. An alias has its own.
    pub(super) span: Span,
    /// The line that its text starts on, counted from 1. An alias has that of its anchor.
    pub(super) line: u32,
    /// The last line of its text.
    pub(super) end: u32,
    pub(super) value: Value,
}

/// The content of a node.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// A text's content, or the file's text for any other word.
    Scalar(String, Word),
    List(Vec<Node>),
    /// In the order of the file, with every repetition of a key; merged mappings are in their place.
    Map(Vec<(Node, Node)>),
}

/// The text is not YAML, or exceeds a limit.
#[derive(Debug)]
pub(super) struct SyntaxError {
    pub(super) span: Span,
    pub(super) line: u32,
    pub(super) message: String,
    /// Missing where the message is the parser's.
    pub(super) hint: Option<&'static str>,
}

impl Value {
    pub(super) const NULL: Self = Self::Scalar(String::new(), Word::Null);
}

impl Node {
    /// The content of a text, or the file's text for any other scalar; none of a null.
    pub(super) fn scalar(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(_, Word::Null) => None,
            Value::Scalar(text, _) => Some(text),
            _ => None,
        }
    }

    /// The text that a key stands for, as JSON would write it.
    pub(super) fn key(&self) -> Option<String> {
        let Value::Scalar(text, word) = &self.value else { return None };
        Some(match word {
            Word::Null => "null".to_owned(),
            Word::Bool(value) => value.to_string(),
            Word::Integer(number) => number.to_string(),
            Word::Float(number) => number.to_string(),
            Word::Text => text.clone(),
        })
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

    /// The value without places. Of a key that is there twice, the last one, as Ansible takes it.
    pub(super) fn into_json(self) -> serde_json::Value {
        match self.value {
            Value::Scalar(_, Word::Null) => serde_json::Value::Null,
            Value::Scalar(_, Word::Bool(value)) => value.into(),
            Value::Scalar(_, Word::Integer(value)) => value.into(),
            Value::Scalar(_, Word::Float(value)) => value.into(),
            Value::Scalar(text, Word::Text) => text.into(),
            Value::List(items) => items.into_iter().map(Self::into_json).collect(),
            Value::Map(entries) => {
                let entries = entries.into_iter();
                let entries = entries.filter_map(|(key, value)| Some((key.key()?, value.into_json())));
                serde_json::Value::Object(entries.collect())
            }
        }
    }

    /// How many values it holds, itself among them, and how deep they are inside one another.
    fn size(&self) -> (usize, usize) {
        let add = |(count, deepest): (usize, usize), inside: &Self| {
            let (more, depth) = inside.size();
            (count + more, deepest.max(depth))
        };
        let (count, depth) = match &self.value {
            Value::Scalar(..) => (0, 0),
            Value::List(items) => items.iter().fold((0, 0), add),
            Value::Map(entries) => entries.iter().flat_map(|(key, value)| [key, value]).fold((0, 0), add),
        };
        (count + 1, depth + 1)
    }
}

/// Reads every document of a file.
pub(super) fn parse(text: &str) -> Result<Vec<Node>, SyntaxError> {
    read(text, false)
}

/// Reads a file of one document as strictly as Ansible does. An empty file is a null.
pub(super) fn parse_one(text: &str) -> Result<Node, SyntaxError> {
    let empty = Node { span: Span { start: 0, end: 0 }, line: 1, end: 1, value: Value::NULL };
    Ok(read(text, true)?.pop().unwrap_or(empty))
}

fn read(text: &str, is_strict: bool) -> Result<Vec<Node>, SyntaxError> {
    let options = granit_parser::options! {
        // As PyYAML reads it.
        block_scalar_eof_without_line_feed: true,
        // The parser limits how many comments it holds back.
        emit_comments: false,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    let mut builder = Builder {
        text,
        is_strict,
        open: Vec::new(),
        anchors: HashMap::new(),
        documents: Vec::new(),
        values: 0,
        aliased: 0,
    };
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, at) = event.map_err(|error| {
            let at = error.marker().byte_offset().unwrap_or(text.len()).min(text.len());
            let line = line_number(error.marker().line());
            SyntaxError { span: Span { start: at, end: at }, line, message: error.info(), hint: None }
        })?;
        builder.take(event, &at)?;
    }
    Ok(builder.documents)
}

fn line_number(line: usize) -> u32 {
    u32::try_from(line).unwrap_or(u32::MAX).max(1)
}

/// A collection that is still open.
struct Open {
    start: usize,
    line: u32,
    anchor: usize,
    is_map: bool,
    is_flow: bool,
    /// Items, or keys and values in turn.
    nodes: Vec<Node>,
}

struct Builder<'a> {
    text: &'a str,
    /// Whether to refuse a second document and a template without quotes.
    is_strict: bool,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    documents: Vec<Node>,
    values: usize,
    aliased: usize,
}

impl Builder<'_> {
    fn take(&mut self, event: Event<'_>, at: &granit_parser::Span) -> Result<(), SyntaxError> {
        let (span, line) = (self.span(at), line_number(at.start.line()));
        let refuse = |message: &str, hint| {
            Err(SyntaxError { span, line, message: message.to_owned(), hint: Some(hint) })
        };
        self.values += 1;
        if self.values > MAX_VALUES {
            return refuse("too many values", "split the file");
        }
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.as_deref().map(Tag::original);
                let word = words::scalar(&text, style == ScalarStyle::Plain, tag.as_deref());
                // A block's span ends on the line behind it.
                let end = line_number(at.end.line()).max(line);
                self.put(Node { span, line, end, value: Value::Scalar(text.into_owned(), word) }, anchor);
            }
            Event::SequenceStart(style, anchor, _) | Event::MappingStart(style, anchor, _) => {
                let (is_map, is_flow) =
                    (matches!(event, Event::MappingStart(..)), style == StructureStyle::Flow);
                self.open.push(Open { start: span.start, line, anchor, is_map, is_flow, nodes: Vec::new() });
            }
            Event::SequenceEnd | Event::MappingEnd => return self.close(),
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor) else {
                    return refuse("an alias inside its own target", "write the value out");
                };
                let (count, depth) = node.size();
                self.aliased += count;
                // Aliases of aliases could be deeper than any stack.
                if self.aliased > MAX_ALIASED || self.open.len() + depth > MAX_DEPTH {
                    return refuse("too many aliases", "write the values out");
                }
                let node = node.clone();
                self.put(Node { span, ..node }, 0);
            }
            Event::DocumentStart(..) if self.is_strict && !self.documents.is_empty() => {
                return refuse("a second document", "Ansible reads one document: take away the `---`");
            }
            _ => {}
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), SyntaxError> {
        let Some(Open { start, line, anchor, is_map, is_flow, nodes }) = self.open.pop() else {
            return Ok(());
        };
        // `{{ name }}` without quotes is a mapping whose key is a mapping.
        let is_template =
            is_map && is_flow && matches!(nodes.first(), Some(Node { value: Value::Map(_), .. }));
        if self.is_strict && is_template {
            return Err(SyntaxError {
                span: Span { start, end: (start + 1).min(self.text.len()) },
                line,
                message: "a template without quotes around it".to_owned(),
                hint: Some("put the whole value in quotes: \"{{ … }}\""),
            });
        }
        let end = nodes.last().map_or(line, |node| node.end);
        let value = if is_map { Value::Map(entries(nodes)) } else { Value::List(nodes) };
        let first = match &value {
            Value::Map(entries) => entries.first().map(|(key, _)| key.span),
            Value::List(items) => items.first().map(|item| item.span),
            Value::Scalar(..) => None,
        };
        let span = first.unwrap_or(Span { start, end: start });
        self.put(Node { span, line, end, value }, anchor);
        Ok(())
    }

    /// Puts a whole value where it belongs.
    fn put(&mut self, node: Node, anchor: usize) {
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut() {
            Some(open) => open.nodes.push(node),
            None => {
                self.anchors.clear();
                self.documents.push(node);
            }
        }
    }

    /// The bytes of an event, up to the end of its first line.
    fn span(&self, at: &granit_parser::Span) -> Span {
        let range = at.byte_range().unwrap_or_default();
        let start = range.start.min(self.text.len());
        let whole = self.text.get(start..range.end.min(self.text.len())).unwrap_or_default();
        let line = whole.split(['\n', '\r']).next().unwrap_or_default();
        Span { start, end: start + line.trim_end().len() }
    }
}

/// Pairs keys with values, and puts the entries of `<<: *other` in its place: the keys beside it win.
fn entries(nodes: Vec<Node>) -> Vec<(Node, Node)> {
    let mut nodes = nodes.into_iter();
    let mut entries = Vec::with_capacity(nodes.len() / 2);
    while let (Some(key), Some(value)) = (nodes.next(), nodes.next()) {
        entries.push((key, value));
    }
    let is_merge = |key: &Node| key.scalar() == Some("<<");
    if !entries.iter().any(|(key, _)| is_merge(key)) {
        return entries;
    }
    let mut known: HashSet<String> = entries.iter().filter_map(|(key, _)| key.key()).collect();
    let mut result = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        if !is_merge(&key) {
            result.push((key, value));
            continue;
        }
        let sources = match value.value {
            Value::List(items) => items,
            _ => vec![value],
        };
        for source in sources {
            let Value::Map(inherited) = source.value else { continue };
            result.extend(
                inherited.into_iter().filter(|(name, _)| name.key().is_none_or(|name| known.insert(name))),
            );
        }
    }
    result
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
        assert!(matches!(document.get("d").unwrap().value, Value::Scalar(_, Word::Integer(5))));
    }

    #[rstest]
    #[case::unclosed("a: [1\nb: 2\n", 2)]
    #[case::tab("a:\n\tb: 1\n", 2)]
    #[case::unknown_alias("a: 1\nb: *unknown\n", 2)]
    fn broken_file_names_its_line(#[case] text: &str, #[case] line: u32) {
        assert_eq!(parse(text).unwrap_err().line, line);
    }

    #[test]
    fn merged_entries_stand_where_their_merge_key_stands() {
        let document = parse_one("a: &x {one: 1, two: 2}\nb: {zero: 0, <<: *x, two: 3, ten: 10}\n").unwrap();
        let keys: Vec<_> =
            document.get("b").unwrap().entries().iter().filter_map(|(key, _)| key.key()).collect();
        assert_eq!(keys, ["zero", "one", "two", "ten"]);
    }

    #[rstest]
    #[case::template("a: 1\nb: {{ c }}\n")]
    #[case::second_document("a: 1\n---\nb: 2\n")]
    fn parse_one_refuses_what_a_checkout_may_hold(#[case] text: &str) {
        assert!(parse(text).is_ok());
        assert_eq!(parse_one(text).unwrap_err().line, 2);
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
