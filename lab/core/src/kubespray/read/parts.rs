//! Where the parts of values stand, for findings about an item or a key.
//!
//! Owns the places of the parts of one file. It judges no value.

use std::collections::HashMap;

use crate::kubespray::yaml::{self, Node, Value};
use crate::source::Span;

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
        if let Ok(root) = yaml::parse_one(text) {
            parts.collect(&root);
        }
        parts
    }

    fn collect(&mut self, node: &Node) {
        match &node.value {
            Value::List(items) => items.iter().for_each(|item| self.collect(item)),
            Value::Map(entries) => {
                for (name, value) in entries {
                    let parts = match &value.value {
                        Value::List(items) => PartsOfValue {
                            items: items.iter().map(|item| item.span).collect(),
                            ..PartsOfValue::default()
                        },
                        Value::Map(entries) => PartsOfValue {
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
