//! A mapping of any values that remembers where each of its keys stands, for rules that judge them by their paths.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::{Anything, Decode, entries, wrong_type};
use crate::source::yaml::{Node, Value};
use crate::source::{Findings, Span};

/// A mapping, and the places of all keys of it and of the mappings below.
#[derive(Debug)]
pub(in crate::cluster) struct PlacedMap {
    pub(in crate::cluster) value: serde_json::Map<String, serde_json::Value>,
    /// In the order of the file, a key before those below it.
    pub(in crate::cluster) keys: Vec<PlacedKey>,
}

/// A key and where it and its value stand.
#[derive(Debug)]
pub(in crate::cluster) struct PlacedKey {
    pub(in crate::cluster) path: Vec<String>,
    pub(in crate::cluster) key: Span,
    pub(in crate::cluster) value: Span,
}

impl Decode for PlacedMap {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        if !matches!(node.value, Value::Map(_)) {
            wrong_type(node, "a mapping", findings).hint("write a line for each: `name: value`");
            return None;
        }
        let Anything(serde_json::Value::Object(value)) = Anything::decode(node, findings)? else {
            return None;
        };
        let mut keys = Vec::new();
        // Repeated keys are reported already.
        place(node, &[], &mut Findings::default(), &mut keys);
        Some(Self { value, keys })
    }
}

fn place(node: &Node, below: &[String], findings: &mut Findings, keys: &mut Vec<PlacedKey>) {
    if !matches!(node.value, Value::Map(_)) {
        return;
    }
    for (key, value) in entries(node, "a mapping", findings).into_iter().flatten() {
        let Value::Scalar(name) = &key.value else { continue };
        let mut path = below.to_vec();
        path.push(name.text.clone());
        keys.push(PlacedKey { path: path.clone(), key: key.span, value: value.span });
        place(value, &path, findings, keys);
    }
}

impl JsonSchema for PlacedMap {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "PlacedMap".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object" })
    }
}
