//! YAML text to a tree that knows where everything stands. Knows nothing of clusters.
//!
//! A tree rather than types straight away: a typed reader stops at the first value that does not
//! fit, and people want to hear of all their mistakes at once.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, Location, Spanned, Tagged};

use super::brackets;
use super::code::Code;
use super::finding::{Findings, Lines, Span};
use super::suggest::quote;

/// One value and where it stands.
#[derive(Debug)]
pub(crate) struct Node {
    /// Of a scalar: the whole of it. Of a list or a mapping: its first item or key.
    pub(crate) span: Span,
    pub(crate) value: Value,
}

/// The content of a node.
#[derive(Debug)]
pub(crate) enum Value {
    Null,
    Scalar(Scalar),
    List(Vec<Node>),
    /// In the order of the file, with every repetition of a key.
    Map(Vec<(Node, Node)>),
}

/// A value that is neither a list nor a mapping.
#[derive(Debug)]
pub(crate) struct Scalar {
    /// A text's content; of anything else the text in the file.
    pub(crate) text: String,
    pub(crate) kind: ScalarKind,
}

/// The type that YAML gives an unquoted word.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum ScalarKind {
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text,
}

impl Value {
    /// Its kind in words, with its article.
    pub(crate) const fn describe(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Scalar(Scalar { kind: ScalarKind::Bool(_), .. }) => "a yes or no",
            Self::Scalar(Scalar { kind: ScalarKind::Integer(_) | ScalarKind::Float(_), .. }) => "a number",
            Self::Scalar(Scalar { kind: ScalarKind::Text, .. }) => "a text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

/// Reads one document. A syntax error becomes a finding: there is only ever one, because nothing is certain
/// about the text behind it.
pub(crate) fn parse(text: &str, findings: &mut Findings) -> Option<Node> {
    let options = serde_saphyr::options! {
        // Reported as findings, all of them.
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        // `010` is eight to Ansible's YAML 1.1 and ten to YAML 1.2: leave it a text.
        leading_zero_numbers_as_strings: true,
        with_snippet: false,
        // Far more than a cluster file needs, and little enough that no file can hurt.
        // The depth also bounds the stack: an unoptimised build takes 33 KiB of it for each level.
        budget: serde_saphyr::budget! { max_depth: 24, max_nodes: 250_000 },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 20_000 },
    };
    let lines = Lines::new(text);
    match serde_saphyr::from_str_with_options::<Placed>(text, options) {
        Ok(tree) => Some(place(tree, text, &lines, findings)),
        Err(error) => {
            let span = error.location().map_or(Span { start: 0, end: 0 }, |at| span(at, text, &lines));
            let error = error.to_string();
            // The finding itself has the location.
            let parser_message = error.split(" at line ").next().unwrap_or_default().trim();
            let open = brackets::left_open(text, span.start);
            let span = open.unwrap_or(span);
            match if open.is_some() { common_mistake(UNCLOSED) } else { common_mistake(parser_message) } {
                Some((message, hint)) => {
                    findings.error(Code::Syntax, span, format!("not valid YAML: {message}")).hint(hint);
                }
                None => {
                    findings.error(Code::Syntax, span, format!("not valid YAML: {parser_message}"));
                }
            }
            None
        }
    }
}

/// The message and the hint for a parser's message, where it is a mistake that people often make.
pub(crate) fn common_mistake(parser_message: &str) -> Option<(&'static str, &'static str)> {
    SYNTAX.iter().find(|(part, ..)| parser_message.contains(part)).map(|(_, message, hint)| (*message, *hint))
}

/// The parser's message about a bracket that is open at the end of the file.
pub(crate) const UNCLOSED: &str = "unclosed bracket";

/// The mistakes that people make most: a part of the parser's message, our message, and the hint.
const SYNTAX: &[(&str, &str, &str)] = &[
    ("tabs disallowed", "a tab in the indentation", "indent with spaces"),
    (
        "mapping values are not allowed",
        "a second `:` in one value, or a key that is indented too far",
        "put the value in quotes, or look at the indentation",
    ),
    (
        "did not find expected",
        "the indentation does not fit the lines before",
        "the keys of one mapping, and the `-` of one list, start in one column",
    ),
    ("simple key expected ':'", "a key without `:`", "put `:` behind the key"),
    ("illegal placement of ':'", "a `:` where none can stand", "close the bracket on a line before this one"),
    ("unclosed quote", "a quote that is not closed", "close it on the same line"),
    (UNCLOSED, "a bracket that is not closed", "close it"),
    (
        "mismatched bracket",
        "a bracket that one of the other kind closes",
        "close `[` with `]`, and `{` with `}`",
    ),
    ("unexpected character", "a character that cannot start a value", "put the value in quotes"),
    ("multiple YAML documents", "a second document", "one file holds one cluster: take away the `---`"),
    ("recursive references", "an anchor inside itself", "write the value out"),
    ("unknown anchor", "an alias to an anchor that is not there", "write `&name` before the first `*name`"),
    ("Depth", "too many levels", "a cluster file needs no more than ten"),
    ("recursion limit", "too many levels", "a cluster file needs no more than ten"),
    ("Nodes {", "more than 250,000 values", "a cluster file of 5,000 machines has a fifth of that"),
    ("budget breached", "too large, or too many aliases", "write the values out"),
    ("non-finite float", "an infinite number", "put it in quotes if it is a text"),
];

/// A node with its place and its tag, from the parser.
type Placed = Spanned<Tagged<Tree>>;

/// A node as serde hands it over; places are added by `place`.
enum Tree {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<Placed>),
    Map(Vec<(Placed, Placed)>),
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TreeVisitor;

        impl<'de> Visitor<'de> for TreeVisitor {
            type Value = Tree;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("any value")
            }

            fn visit_unit<E>(self) -> Result<Tree, E> {
                Ok(Tree::Null)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
                Ok(Tree::Bool(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
                Ok(Tree::Integer(value))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
                #[expect(clippy::cast_precision_loss, reason = "no key takes a number beyond i64 exactly")]
                Ok(i64::try_from(value).map_or(Tree::Float(value as f64), Tree::Integer))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
                Ok(Tree::Float(value))
            }

            fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
                Ok(Tree::Text(value.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(Tree::List(list))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Tree, A::Error> {
                let mut map = Vec::new();
                while let Some(entry) = entries.next_entry()? {
                    map.push(entry);
                }
                Ok(Tree::Map(map))
            }
        }

        deserializer.deserialize_any(TreeVisitor)
    }
}

/// Adds spans and, for scalars that are not texts, the text in the file. An alias stands
/// where it is used and reads as its target.
fn place(tree: Placed, text: &str, lines: &Lines<'_>, findings: &mut Findings) -> Node {
    let own = span(tree.referenced, text, lines);
    let defined = span(tree.defined, text, lines);
    let written = || text[defined.start..defined.end].to_owned();
    let scalar = |kind| Value::Scalar(Scalar { text: written(), kind });
    let Tagged(tree, tag) = tree.value;
    // Tags of YAML itself repeat the visible type. Any other means something to another program.
    if let Some(tag) = tag.filter(|tag| !tag.contains("tag:yaml.org,2002:") && !tag.starts_with("!!")) {
        findings
            .error(Code::UnknownTag, own, format!("the tag {} means nothing here", quote(&tag)))
            .hint("take it away; a value that only Ansible understands belongs into a file of your own, group_vars/all/mine.yml");
    }
    let value = match tree {
        Tree::Null => Value::Null,
        Tree::Bool(value) => scalar(ScalarKind::Bool(value)),
        Tree::Integer(value) => scalar(ScalarKind::Integer(value)),
        Tree::Float(value) => scalar(ScalarKind::Float(value)),
        Tree::Text(text) => Value::Scalar(Scalar { text, kind: ScalarKind::Text }),
        Tree::List(items) => {
            Value::List(items.into_iter().map(|item| place(item, text, lines, findings)).collect())
        }
        Tree::Map(entries) => Value::Map(
            entries
                .into_iter()
                .map(|(key, value)| (place(key, text, lines, findings), place(value, text, lines, findings)))
                .collect(),
        ),
    };
    // The parser gives block collections an empty span.
    let span = match &value {
        Value::List(items) if own.start == own.end => items.first().map_or(own, |item| item.span),
        Value::Map(entries) if own.start == own.end => entries.first().map_or(own, |(key, _)| key.span),
        _ => own,
    };
    Node { span, value }
}

/// The parser's location as bytes, trimmed to one line and to character boundaries.
fn span(at: Location, text: &str, lines: &Lines<'_>) -> Span {
    let whole = |value: Option<u64>| value.and_then(|value| usize::try_from(value).ok());
    let start =
        whole(at.span().byte_offset()).filter(|&start| text.is_char_boundary(start)).unwrap_or_else(|| {
            let number = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
            lines.offset(number(at.line()), number(at.column()))
        });
    let end = start.saturating_add(whole(at.span().byte_len()).unwrap_or(0)).min(lines.end_of(start));
    if text.is_char_boundary(end) && end >= start { Span { start, end } } else { Span { start, end: start } }
}
