//! Where the keys of a cluster file stand, by their paths: `kubernetes.network.mtu`,
//! `machines.gpu-worker-1.labels`. Judges nothing.

use std::collections::HashMap;

use crate::source::yaml::{self, Node, Value};
use crate::source::{Findings, SourceFile, Span};

/// Where a key and its value stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Located {
    /// The key, or the item of a list.
    pub name: Span,
    /// Its value; of a list or a mapping the first item or key.
    pub value: Span,
}

/// A cluster file, read once to be asked for many places.
#[derive(Debug)]
pub struct Places {
    file: Option<Branch>,
    /// The number of each machine among the machines.
    machines: HashMap<String, usize>,
}

/// A value and its content, arranged so that one of thousands of keys is found at once.
#[derive(Debug)]
struct Branch {
    /// The value itself.
    span: Span,
    /// Of a scalar.
    text: Option<String>,
    /// Of a list.
    items: Vec<Branch>,
    /// Of a mapping: where each key stands, and its value. Of a key that is there twice, the first.
    keys: HashMap<String, (Span, Branch)>,
}

impl Places {
    /// Reads a cluster file. Of one that is no YAML nothing is found.
    pub fn of(source: &SourceFile) -> Self {
        let file = yaml::parse(&source.text, &mut Findings::default()).map(Branch::new);
        let mut machines = HashMap::new();
        let list = file.as_ref().and_then(|file| file.keys.get("machines"));
        for (number, machine) in list.into_iter().flat_map(|(_, list)| &list.items).enumerate() {
            if let Some((_, Branch { text: Some(name), .. })) = machine.keys.get("name") {
                machines.insert(name.clone(), number);
            }
        }
        Self { file, machines }
    }

    /// Where the key of a path stands. A machine is named, not numbered; a key that it lacks is looked for in
    /// the defaults. Of a key that is not there, the nearest one around it that is.
    pub fn find(&self, path: &str) -> Option<Located> {
        let file = self.file.as_ref()?;
        let steps: Vec<&str> = path.split('.').collect();
        if let ["machines", name, rest @ ..] = &steps[..] {
            let (key, list) = file.keys.get("machines")?;
            let machine = self.machines.get(*name).and_then(|at| list.items.get(*at));
            let Some(machine) = machine else { return Some(located(*key, list)) };
            let itself = machine
                .keys
                .get("name")
                .map_or_else(|| located(machine.span, machine), |(key, name)| located(*key, name));
            let (found, whole) = walk(itself, machine, rest);
            if !whole
                && let Some((key, defaults)) = file.keys.get("defaults")
                && let (of_defaults, true) = walk(located(*key, defaults), defaults, rest)
            {
                return Some(of_defaults);
            }
            return Some(found);
        }
        let (first, rest) = steps.split_first()?;
        let (key, start) = file.keys.get(*first)?;
        Some(walk(located(*key, start), start, rest).0)
    }
}

impl Branch {
    fn new(node: Node) -> Self {
        let mut branch = Self { span: node.span, text: None, items: Vec::new(), keys: HashMap::new() };
        match node.value {
            Value::Null => {}
            Value::Scalar(scalar) => branch.text = Some(scalar.text),
            Value::List(items) => branch.items = items.into_iter().map(Self::new).collect(),
            Value::Map(entries) => {
                for (key, value) in entries {
                    if let Value::Scalar(name) = key.value {
                        branch.keys.entry(name.text).or_insert_with(|| (key.span, Self::new(value)));
                    }
                }
            }
        }
        branch
    }
}

/// Goes down from a value as far as the steps lead, and says whether that was the whole way. `start`: the
/// result where they lead nowhere.
fn walk(start: Located, within: &Branch, steps: &[&str]) -> (Located, bool) {
    let mut at = start;
    let mut within = within;
    for step in steps {
        let Some((key, value)) = within.keys.get(*step) else { return (at, false) };
        at = located(*key, value);
        within = value;
    }
    (at, true)
}

fn located(name: Span, value: &Branch) -> Located {
    Located { name, value: value.span }
}
