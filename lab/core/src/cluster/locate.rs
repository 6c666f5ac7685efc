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
    file: Option<Node>,
    /// The number of each machine among the machines.
    machines: HashMap<String, usize>,
}

impl Places {
    /// Reads a cluster file. Of one that is no YAML nothing is found.
    #[must_use]
    pub fn of(source: &SourceFile) -> Self {
        let file = yaml::parse(&source.text, &mut Findings::default());
        let machines = file.as_ref().and_then(|file| child(file, "machines"));
        let machines = machines.into_iter().flat_map(|(_, machines)| items(machines)).enumerate();
        let machines =
            machines.filter_map(|(number, machine)| Some((text(child(machine, "name")?.1)?, number)));
        let machines = machines.map(|(name, number)| (name.to_owned(), number)).collect();
        Self { file, machines }
    }

    /// Where the key of a path stands. A machine is named, not numbered; what it does not say itself is
    /// looked for in the defaults. Of a key that is not there, the nearest one around it that is.
    #[must_use]
    pub fn find(&self, path: &str) -> Option<Located> {
        let file = self.file.as_ref()?;
        let steps: Vec<&str> = path.split('.').collect();
        if let ["machines", name, rest @ ..] = &steps[..] {
            let machines = child(file, "machines")?;
            let Some(machine) = self.machines.get(*name).and_then(|at| items(machines.1).get(*at)) else {
                return Some(located(machines));
            };
            let itself = child(machine, "name").unwrap_or((machine, machine));
            let (found, whole) = walk(itself, machine, rest);
            if !whole && let Some(defaults) = child(file, "defaults") {
                let (of_defaults, true) = walk(defaults, defaults.1, rest) else {
                    return Some(located(found));
                };
                return Some(located(of_defaults));
            }
            return Some(located(found));
        }
        let (first, rest) = steps.split_first()?;
        let start = child(file, first)?;
        Some(located(walk(start, start.1, rest).0))
    }
}

/// Goes down from a node as far as the steps lead, and says whether that was the whole way.
fn walk<'n>(start: (&'n Node, &'n Node), within: &'n Node, steps: &[&str]) -> ((&'n Node, &'n Node), bool) {
    let mut at = start;
    let mut within = within;
    for step in steps {
        match child(within, step) {
            Some(next) => (at, within) = (next, next.1),
            None => return (at, false),
        }
    }
    (at, true)
}

fn located((name, value): (&Node, &Node)) -> Located {
    Located { name: name.span, value: value.span }
}

fn child<'n>(node: &'n Node, key: &str) -> Option<(&'n Node, &'n Node)> {
    let Value::Map(entries) = &node.value else { return None };
    entries.iter().find(|(name, _)| text(name) == Some(key)).map(|(name, value)| (name, value))
}

fn items(node: &Node) -> &[Node] {
    if let Value::List(items) = &node.value { items } else { &[] }
}

fn text(node: &Node) -> Option<&str> {
    if let Value::Scalar(scalar) = &node.value { Some(&scalar.text) } else { None }
}
