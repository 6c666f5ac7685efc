//! YAML as Ansible reads it, with places: version 1.1 of the language, where `yes` is a boolean and
//! `010` is eight.
//!
//! Owns the tree of such a file. Knows nothing of hosts, groups or variables. The cluster file has a
//! stricter reader of its own in [`crate::source`]; here what another program wrote must be read the
//! way that program would.

use std::collections::{HashMap, HashSet};

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, StructureStyle};
use serde_json::Value;

use crate::kubespray::words::{self, Word};
use crate::source::{Code, Findings, Place, Severity, Span, brackets, suggest, yaml};

/// Deeper than any inventory, and little enough for every stack.
const DEPTH: usize = 64;
/// Values that aliases may add: enough for every inventory, too little for a bomb.
const ALIASED: usize = 100_000;

/// One value and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// The first line of a scalar; of a list or a mapping its first item or key.
    pub(crate) span: Span,
    pub(crate) tree: Tree,
}

/// What a node holds.
#[derive(Debug, Clone)]
pub(crate) enum Tree {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    /// In the order of the file, with every repetition of a key; merged mappings are in their place.
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// The text that a key stands for, as JSON would write it.
    pub(crate) fn key(&self) -> Option<String> {
        match &self.tree {
            Tree::Text(text) => Some(text.clone()),
            Tree::Bool(value) => Some(value.to_string()),
            Tree::Integer(number) => Some(number.to_string()),
            Tree::Float(number) => Some(number.to_string()),
            Tree::Null => Some("null".to_owned()),
            Tree::List(_) | Tree::Map(_) => None,
        }
    }

    /// The value without places. Of a key that is there twice, the last one, as Ansible takes it.
    pub(crate) fn into_value(self) -> Value {
        match self.tree {
            Tree::Null => Value::Null,
            Tree::Bool(value) => value.into(),
            Tree::Integer(value) => value.into(),
            Tree::Float(value) => value.into(),
            Tree::Text(text) => text.into(),
            Tree::List(items) => items.into_iter().map(Self::into_value).collect(),
            Tree::Map(entries) => {
                let entries = entries.into_iter();
                let entries = entries.filter_map(|(key, value)| Some((key.key()?, value.into_value())));
                Value::Object(entries.collect())
            }
        }
    }

    /// How many values it holds, itself among them, and how deep they are inside one another.
    fn size(&self) -> (usize, usize) {
        let inside: Box<dyn Iterator<Item = &Self> + '_> = match &self.tree {
            Tree::List(items) => Box::new(items.iter()),
            Tree::Map(entries) => Box::new(entries.iter().flat_map(|(key, value)| [key, value])),
            _ => return (1, 1),
        };
        let (count, depth) = inside
            .map(Self::size)
            .fold((0, 0), |(count, deepest), (more, depth)| (count + more, deepest.max(depth)));
        (count + 1, depth + 1)
    }
}

/// Reads one document. A syntax error becomes a finding, and there is nothing to go on with. An
/// empty file is a null.
pub(crate) fn parse(text: &str, findings: &mut Findings) -> Option<Node> {
    let mut builder = Builder {
        text,
        findings,
        stack: Vec::new(),
        anchors: HashMap::new(),
        root: None,
        replayed: 0,
        failed: false,
    };
    let options = granit_parser::options! {
        // As PyYAML reads it.
        block_scalar_eof_without_line_feed: true,
        emit_comments: false,
        flow_nesting_limit: DEPTH,
        block_nesting_limit: DEPTH,
    };
    for event in Parser::new_from_str_with_options(text, options) {
        match event {
            Ok((event, span)) => builder.event(event, span),
            Err(error) => builder.syntax(&error),
        }
        if builder.failed {
            return None;
        }
    }
    let empty = Node { span: Span { start: 0, end: 0 }, tree: Tree::Null };
    Some(builder.root.unwrap_or(empty))
}

/// A collection that is still open, with its anchor.
enum Open {
    List { start: usize, items: Vec<Node>, anchor: usize },
    Map { start: usize, entries: Vec<(Node, Node)>, key: Option<Node>, anchor: usize, is_flow: bool },
}

struct Builder<'a> {
    text: &'a str,
    findings: &'a mut Findings,
    stack: Vec<Open>,
    anchors: HashMap<usize, Node>,
    root: Option<Node>,
    /// Values that aliases have added.
    replayed: usize,
    failed: bool,
}

impl Builder<'_> {
    fn event(&mut self, event: Event<'_>, at: granit_parser::Span) {
        match event {
            Event::Scalar(value, style, anchor, tag) => {
                let tag = tag.as_deref().map(granit_parser::Tag::original);
                let tree = match words::scalar(&value, style == ScalarStyle::Plain, tag.as_deref()) {
                    Word::Null => Tree::Null,
                    Word::Bool(value) => Tree::Bool(value),
                    Word::Integer(value) => Tree::Integer(value),
                    Word::Float(value) => Tree::Float(value),
                    Word::Text => Tree::Text(value.into_owned()),
                };
                let span = self.span(&at);
                self.node(Node { span, tree }, anchor);
            }
            Event::SequenceStart(_, anchor, _) => {
                let start = self.span(&at).start;
                self.stack.push(Open::List { start, items: Vec::new(), anchor });
            }
            Event::MappingStart(style, anchor, _) => {
                let (start, is_flow) = (self.span(&at).start, style == StructureStyle::Flow);
                self.stack.push(Open::Map { start, entries: Vec::new(), key: None, anchor, is_flow });
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(anchor) => {
                let span = self.span(&at);
                let Some(node) = self.anchors.get(&anchor).cloned() else {
                    self.fail(span, "an alias inside what it stands for", "write the value out");
                    return;
                };
                let (count, depth) = node.size();
                self.replayed += count;
                // Aliases of aliases could be deeper than any stack.
                if self.replayed > ALIASED || self.stack.len() + depth > DEPTH {
                    self.fail(span, "too many aliases", "write the values out");
                    return;
                }
                self.node(Node { span, ..node }, 0);
            }
            Event::DocumentStart(..) if self.root.is_some() => {
                let span = self.span(&at);
                self.fail(span, "a second document", "Ansible reads one document: take away the `---`");
            }
            _ => {}
        }
    }

    fn close(&mut self) {
        let (tree, start, anchor) = match self.stack.pop() {
            Some(Open::List { start, items, anchor }) => (Tree::List(items), start, anchor),
            Some(Open::Map { start, entries, anchor, is_flow, .. }) => {
                // `{{ name }}` without quotes is a mapping whose key is a mapping.
                if is_flow && matches!(entries.first(), Some((Node { tree: Tree::Map(_), .. }, _))) {
                    let span = Span { start, end: (start + 1).min(self.text.len()) };
                    let hint = "put the whole value in quotes: \"{{ … }}\"";
                    self.fail(span, "a template without quotes around it", hint);
                    return;
                }
                (Tree::Map(merged(entries)), start, anchor)
            }
            None => return,
        };
        let first = match &tree {
            Tree::List(items) => items.first().map(|item| item.span),
            Tree::Map(entries) => entries.first().map(|(key, _)| key.span),
            _ => None,
        };
        self.node(Node { span: first.unwrap_or(Span { start, end: start }), tree }, anchor);
    }

    /// Puts a whole value where it belongs.
    fn node(&mut self, node: Node, anchor: usize) {
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.stack.last_mut() {
            None => self.root = Some(node),
            Some(Open::List { items, .. }) => items.push(node),
            Some(Open::Map { entries, key, .. }) => match key.take() {
                Some(key) => entries.push((key, node)),
                None => *key = Some(node),
            },
        }
    }

    fn syntax(&mut self, error: &ScanError) {
        let at = error.marker().byte_offset().unwrap_or(self.text.len()).min(self.text.len());
        let span = Span { start: at, end: at };
        let open = brackets::left_open(self.text, at);
        let span = open.unwrap_or(span);
        let message = if open.is_some() { yaml::UNCLOSED.to_owned() } else { error.to_string() };
        let told = message.split(" at byte ").next().unwrap_or_default().split(" at line ").next();
        let told = told.unwrap_or_default().trim();
        match (error.kind(), yaml::common_mistake(told)) {
            (ErrorKind::UnknownAnchor, _) => self.fail(
                span,
                "an alias to an anchor that is not there",
                "write `&name` before the first `*name`",
            ),
            (_, Some((message, hint))) => self.fail(span, message, hint),
            (_, None) => {
                self.failed = true;
                self.findings.error(Code::Syntax, span, format!("not valid YAML: {told}"));
            }
        }
    }

    fn fail(&mut self, span: Span, message: &str, hint: &str) {
        self.failed = true;
        self.findings.error(Code::Syntax, span, format!("not valid YAML: {message}")).hint(hint);
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

/// Takes the entries of `<<: *other` in: what is written beside it wins.
fn merged(entries: Vec<(Node, Node)>) -> Vec<(Node, Node)> {
    let is_merge = |key: &Node| matches!(&key.tree, Tree::Text(text) if text == "<<");
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
        let sources = match value.tree {
            Tree::List(items) => items,
            _ => vec![value],
        };
        for source in sources {
            let Tree::Map(inherited) = source.tree else { continue };
            for (name, value) in inherited {
                if name.key().is_none_or(|name| known.insert(name)) {
                    result.push((name, value));
                }
            }
        }
    }
    result
}

/// Tells of every key that is there twice in one mapping, however deep. Ansible takes the last one.
pub(crate) fn tell_duplicates(node: &Node, file: usize, findings: &mut Findings) {
    match &node.tree {
        Tree::List(items) => items.iter().for_each(|item| tell_duplicates(item, file, findings)),
        Tree::Map(entries) => {
            let mut seen: HashMap<String, Span> = HashMap::with_capacity(entries.len());
            for (key, value) in entries {
                tell_duplicates(value, file, findings);
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

/// Where the parts of the values of a file stand, by the places of the names of the values. Made once for a file: it
/// may have thousands of values with thousands of parts.
#[derive(Debug, Default)]
pub(crate) struct Parts(HashMap<Span, PartsOfValue>);

/// Where the parts of one list or mapping stand.
#[derive(Debug, Default)]
struct PartsOfValue {
    items: Vec<Span>,
    /// The key and its value. Of a key that is there twice, the last one, as Ansible takes it.
    keys: HashMap<String, (Span, Span)>,
}

impl Parts {
    /// Reads a file. Of one that is no YAML nothing is found.
    pub(crate) fn of(text: &str) -> Self {
        let mut parts = Self::default();
        if let Some(root) = parse(text, &mut Findings::default()) {
            parts.collect(&root);
        }
        parts
    }

    fn collect(&mut self, node: &Node) {
        match &node.tree {
            Tree::List(items) => items.iter().for_each(|item| self.collect(item)),
            Tree::Map(entries) => {
                for (name, value) in entries {
                    let parts = match &value.tree {
                        Tree::List(items) => PartsOfValue {
                            items: items.iter().map(|item| item.span).collect(),
                            ..PartsOfValue::default()
                        },
                        Tree::Map(entries) => PartsOfValue {
                            keys: entries
                                .iter()
                                .filter_map(|(key, value)| Some((key.key()?, (key.span, value.span))))
                                .collect(),
                            ..PartsOfValue::default()
                        },
                        _ => continue,
                    };
                    self.0.entry(name.span).or_insert(parts);
                    self.collect(value);
                }
            }
            _ => {}
        }
    }

    /// Where a part stands of the value whose name stands at `name`.
    pub(crate) fn find(&self, name: Span, step: Step<'_>) -> Option<Span> {
        let parts = self.0.get(&name)?;
        match step {
            Step::Item(number) => parts.items.get(number).copied(),
            Step::Key(key) => parts.keys.get(key).map(|(key, _)| *key),
            Step::Value(key) => parts.keys.get(key).map(|(_, value)| *value),
        }
    }
}

/// One step into a value.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step<'a> {
    /// The value of a key.
    Value(&'a str),
    /// The key itself.
    Key(&'a str),
    /// An item of a list.
    Item(usize),
}
