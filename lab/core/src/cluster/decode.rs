//! Tree to typed records, going on after every mistake. Knows nothing of clusters.
//!
//! A record is declared once, with [`record!`]: one declaration gives the type, its reader and its
//! JSON Schema, so the keys that are read and the keys that editors offer cannot differ.

use std::borrow::Cow;
use std::collections::HashMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::source::suggest::{self, quote};
use crate::source::yaml::{Node, Scalar, ScalarKind, Value};
use crate::source::{Code, Findings, Span};

pub(super) mod placed;

/// A type that can be read from a node. `None`: it could not, and a finding says why.
pub(super) trait Decode: Sized {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self>;
}

/// A type that is written as one scalar.
pub(super) trait FromScalar: Sized {
    /// The expected value, with its article: `a size, like 8GiB`.
    const EXPECTED: &'static str;

    /// The JSON Schema of the scalar.
    fn schema() -> Schema;

    /// Reads the scalar.
    fn read(scalar: &Scalar) -> Result<Self, Mistake>;
}

/// A mistake in a scalar; its reader knows where it stands.
#[derive(Debug)]
pub(super) struct Mistake {
    code: Code,
    message: String,
    hint: Option<String>,
}

impl Mistake {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl Scalar {
    /// The content of a text; anything else must be put in quotes first, because a reader of YAML
    /// would not take it for one.
    pub(super) fn as_text(&self, expected: &str) -> Result<&str, Mistake> {
        match self.kind {
            ScalarKind::Text => Ok(&self.text),
            ScalarKind::Bool(_) | ScalarKind::Integer(_) | ScalarKind::Float(_) => Err(Mistake::new(
                Code::WrongType,
                format!("expected {expected}, but {} is not a text to YAML", quote(&self.text)),
            )
            .hint(format!("put it in quotes: \"{}\"", self.text))),
        }
    }
}

/// A scalar's value and where it stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Located<T> {
    pub(super) value: T,
    pub(super) span: Span,
}

impl<T: FromScalar> Decode for Located<T> {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let Value::Scalar(scalar) = &node.value else {
            wrong_type(node, T::EXPECTED, findings);
            return None;
        };
        match T::read(scalar) {
            Ok(value) => Some(Self { value, span: node.span }),
            Err(mistake) => {
                findings.error(mistake.code, node.span, mistake.message).hint = mistake.hint;
                None
            }
        }
    }
}

impl<T: FromScalar> JsonSchema for Located<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        std::any::type_name::<T>().into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        described::<T>()
    }
}

/// The schema of a scalar with the text that editors show in place of an unreadable pattern. The reference of
/// the cluster file takes its words from there.
fn described<T: FromScalar>() -> Schema {
    let mut schema = T::schema();
    let says_itself = ["enum", "minimum"].into_iter().any(|key| schema.get(key).is_some())
        || schema.get("type").is_some_and(|kind| kind == "boolean");
    if !says_itself {
        schema.insert("patternErrorMessage".to_owned(), format!("expected {}", T::EXPECTED).into());
    }
    schema
}

/// Reports that something else belongs here.
pub(super) fn wrong_type<'a>(
    node: &Node,
    expected: &str,
    findings: &'a mut Findings,
) -> &'a mut crate::source::Finding {
    findings.error(
        Code::WrongType,
        node.span,
        format!("expected {expected}, found {}", node.value.describe()),
    )
}

/// The value read where something is written. Empty: it could not be read, and a finding says why, so nothing
/// that depends on it should be judged.
#[derive(Debug)]
pub(super) struct Read<T>(pub(super) Option<T>);

/// The value of an optional key.
pub(super) type Optional<T> = Option<Read<T>>;

impl<T: JsonSchema> JsonSchema for Read<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// A list and where it stands.
#[derive(Debug)]
pub(super) struct List<T> {
    pub(super) span: Span,
    pub(super) items: Vec<Read<T>>,
}

impl<T> List<T> {
    /// The items that could be read.
    pub(super) fn read(&self) -> impl Iterator<Item = &T> {
        self.items.iter().filter_map(|item| item.0.as_ref())
    }
}

impl<T> List<Located<T>> {
    /// Where the first item stands.
    pub(super) fn first_span(&self) -> Option<Span> {
        self.read().next().map(|item| item.span)
    }
}

impl<T: Decode> Decode for List<T> {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        match &node.value {
            Value::List(items) => {
                let items = items.iter().map(|item| Read(T::decode(item, findings))).collect();
                Some(Self { span: node.span, items })
            }
            Value::Scalar(scalar) => {
                wrong_type(node, "a list", findings)
                    .hint(format!("write it as a list: [{}]", suggest::shorten(&scalar.text)));
                None
            }
            Value::Null | Value::Map(_) => {
                wrong_type(node, "a list", findings).hint("put `- ` in front of each item");
                None
            }
        }
    }
}

impl<T: JsonSchema> JsonSchema for List<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("List_of_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "array", "items": generator.subschema_for::<T>() })
    }
}

/// A mapping whose keys are the writer's own, in the order of the file.
#[derive(Debug)]
pub(super) struct Map<K, V>(pub(super) Vec<(Located<K>, V)>);

/// Bad entries are reported and left out.
impl<K: FromScalar, V: Decode> Decode for Map<K, V> {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let entries = entries(node, "a mapping", findings)?;
        let read = entries.into_iter().filter_map(|(key, value)| {
            let key = Located::<K>::decode(key, findings);
            let value = V::decode(value, findings);
            Some((key?, value?))
        });
        Some(Self(read.collect()))
    }
}

impl<K: FromScalar, V: JsonSchema> JsonSchema for Map<K, V> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Map_of_{}", V::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let values = generator.subschema_for::<V>();
        json_schema!({ "type": "object", "propertyNames": described::<K>(), "additionalProperties": values })
    }
}

/// Any value at all, as JSON.
#[derive(Debug)]
pub(super) struct Anything(pub(super) serde_json::Value);

impl Decode for Anything {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let value = match &node.value {
            Value::Null => serde_json::Value::Null,
            Value::Scalar(scalar) => match scalar.kind {
                ScalarKind::Bool(value) => value.into(),
                ScalarKind::Integer(value) => value.into(),
                ScalarKind::Float(value) => match whole_number(&scalar.text) {
                    None => value.into(),
                    Some(Ok(value)) => value.into(),
                    Some(Err(_)) => {
                        let message =
                            format!("{} is too large to be passed on as it is", quote(&scalar.text));
                        findings
                            .error(Code::OutOfRange, node.span, message)
                            .hint(format!("put it in quotes if it may be a text: \"{}\"", scalar.text));
                        return None;
                    }
                },
                ScalarKind::Text => scalar.text.as_str().into(),
            },
            Value::List(items) => {
                let items = items.iter().filter_map(|item| Self::decode(item, findings));
                items.map(|item| item.0).collect()
            }
            Value::Map(_) => {
                let entries = entries(node, "a mapping", findings)?;
                let entries = entries.into_iter().filter_map(|(key, value)| {
                    let Value::Scalar(key) = &key.value else {
                        wrong_type(key, "a text as a key", findings);
                        return None;
                    };
                    Some((key.text.clone(), Self::decode(value, findings)?.0))
                });
                serde_json::Value::Object(entries.collect())
            }
        };
        Some(Self(value))
    }
}

/// A whole number that does not fit the type that whole numbers are read with, and would be rounded.
fn whole_number(text: &str) -> Option<Result<u64, std::num::ParseIntError>> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse())
}

impl JsonSchema for Anything {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Anything".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        Schema::default()
    }
}

/// The entries of a mapping, the first of each key; repetitions are reported.
fn entries<'n>(node: &'n Node, expected: &str, findings: &mut Findings) -> Option<Vec<(&'n Node, &'n Node)>> {
    let Value::Map(entries) = &node.value else {
        wrong_type(node, expected, findings).hint("write a line for each: `name: value`");
        return None;
    };
    let mut seen: HashMap<&str, Span> = HashMap::new();
    let mut first = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        if let Value::Scalar(scalar) = &key.value {
            if let Some(&before) = seen.get(scalar.text.as_str()) {
                findings
                    .error(
                        Code::DuplicateKey,
                        key.span,
                        format!("the key {} is here twice", quote(&scalar.text)),
                    )
                    .related(before, "first written here");
                continue;
            }
            seen.insert(&scalar.text, key.span);
        }
        first.push((key, value));
    }
    Some(first)
}

/// Unknown keys of one mapping beyond this number are not compared with the known ones: they are no slips.
const MAX_COMPARED: usize = 20;

/// The fields of a record while it is read.
pub(super) struct Fields<'n> {
    noun: &'static str,
    at: Span,
    found: Vec<(&'static str, &'n Node)>,
    /// Keys that are most likely there, under a wrong name.
    misspelt: Vec<&'static str>,
}

impl<'n> Fields<'n> {
    /// Reports every key that is not in `known`.
    pub(super) fn open(
        node: &'n Node,
        noun: &'static str,
        known: &[&'static str],
        findings: &mut Findings,
    ) -> Option<Self> {
        if !matches!(node.value, Value::Map(_)) {
            wrong_type(node, noun, findings).hint(format!("a mapping with the keys {}", known.join(", ")));
            return None;
        }
        let (mut found, mut misspelt) = (Vec::new(), Vec::new());
        let mut unknown = 0;
        for (key, value) in entries(node, noun, findings)? {
            let Value::Scalar(written) = &key.value else {
                wrong_type(key, "a key", findings);
                continue;
            };
            if let Some(known) = known.iter().find(|known| **known == written.text) {
                found.push((*known, value));
            } else {
                let message = format!("unknown key {} in {noun}", quote(&written.text));
                unknown += 1;
                let near = if unknown > MAX_COMPARED { None } else { suggest::nearest(&written.text, known) };
                misspelt.extend(near);
                let hint = suggest::did_you_mean(near, "keys", known);
                findings.error(Code::UnknownKey, key.span, message).hint(hint);
            }
        }
        Some(Self { noun, at: node.span, found, misspelt })
    }

    pub(super) fn take<F: Field>(&self, key: &'static str, findings: &mut Findings) -> F {
        let node = self.found.iter().find(|(found, _)| *found == key).map(|(_, node)| *node);
        match node {
            None if self.misspelt.contains(&key) => F::already_reported(),
            node => F::take(node, key, self, findings),
        }
    }
}

/// How a field of a record behaves when its key is not there or has nothing behind it.
pub(super) trait Field {
    fn take(node: Option<&Node>, key: &'static str, of: &Fields<'_>, findings: &mut Findings) -> Self;

    /// The field whose mistake is already reported.
    fn already_reported() -> Self;
}

impl<T: Decode> Field for Optional<T> {
    fn take(node: Option<&Node>, _: &'static str, _: &Fields<'_>, findings: &mut Findings) -> Self {
        let node = node.filter(|node| !matches!(node.value, Value::Null))?;
        Some(Read(T::decode(node, findings)))
    }

    fn already_reported() -> Self {
        Some(Read(None))
    }
}

impl<T: Decode> Field for Read<T> {
    fn take(node: Option<&Node>, key: &'static str, of: &Fields<'_>, findings: &mut Findings) -> Self {
        Self(match node {
            Some(node) if !matches!(node.value, Value::Null) => T::decode(node, findings),
            found => {
                let (at, problem) =
                    found.map_or((of.at, "is missing in"), |node| (node.span, "has no value in"));
                findings.error(Code::MissingKey, at, format!("the key `{key}` {problem} {}", of.noun));
                None
            }
        })
    }

    fn already_reported() -> Self {
        Self(None)
    }
}

/// Declares a record of the cluster file: the type, how it is read, and its JSON Schema. The
/// noun in parentheses names it in messages. A field is a `Read`, whose key must be there, or
/// an `Optional`; its key is its name unless `as` says otherwise; its doc comment is the description that editors show.
macro_rules! record {
    (
        $(#[$meta:meta])*
        struct $name:ident($noun:literal) {
            $($(#[$field_meta:meta])* $field:ident $(as $key:literal)?: $type:ty,)+
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, schemars::JsonSchema)]
        #[schemars(deny_unknown_fields)]
        pub(in crate::cluster) struct $name {
            /// Where it stands.
            #[schemars(skip)]
            #[allow(dead_code, reason = "not every record is pointed at as a whole")]
            pub(in crate::cluster) span: $crate::source::Span,
            $($(#[$field_meta])* $(#[schemars(rename = $key)])? pub(in crate::cluster) $field: $type,)+
        }

        impl $crate::cluster::decode::Decode for $name {
            fn decode(
                node: &$crate::source::yaml::Node,
                findings: &mut $crate::source::Findings,
            ) -> Option<Self> {
                let known = [$(record!(@key $field $($key)?)),+];
                let fields = $crate::cluster::decode::Fields::open(node, $noun, &known, findings)?;
                Some(Self {
                    span: node.span,
                    $($field: fields.take(record!(@key $field $($key)?), findings),)+
                })
            }
        }
    };
    (@key $field:ident) => { stringify!($field) };
    (@key $field:ident $key:literal) => { $key };
}

pub(super) use record;
