//! The variables of a checkout: where roles and the sample inventory define and show them, and their kinds of
//! values.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};

use super::references::{References, settable};
use super::{DefaultValue, Example, Place, Shape, Variable};
use crate::kubespray::yaml::{self, Node, Value, Word};

/// Where the variables of a file take part.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Role {
    Default,
    Fixed,
    SometimesFixed,
}

/// Which kind of variables a file holds, if any: by its folder below the role.
pub(super) fn role(path: &str) -> Option<Role> {
    let folders: Vec<&str> = path.strip_prefix("roles/")?.split('/').collect();
    let (_, folders) = folders.split_last()?;
    if folders.contains(&"defaults") {
        return Some(Role::Default);
    }
    if !folders.contains(&"vars") {
        return None;
    }
    // Ansible loads `vars/main.yml` or everything in `vars/main/` by itself, other files on request.
    let (_, inner) = path.split_once("/vars/")?;
    let main = inner.starts_with("main/") || matches!(inner, "main.yml" | "main.yaml");
    Some(if main { Role::Fixed } else { Role::SometimesFixed })
}

/// Variables while they are collected: places name their file by its path.
#[derive(Default)]
pub(super) struct Variables<'a> {
    variables: BTreeMap<String, Variable>,
    /// Paths by the numbers that places have for now.
    files: Vec<&'a str>,
}

impl<'a> Variables<'a> {
    fn place(&mut self, path: &'a str, line: u32) -> Place {
        let at = self.files.iter().rposition(|file| *file == path).unwrap_or_else(|| {
            self.files.push(path);
            self.files.len() - 1
        });
        Place(u32::try_from(at).unwrap_or(u32::MAX), line)
    }

    pub(super) fn take(
        &mut self,
        path: &'a str,
        role: Role,
        document: &Node,
        versions: &BTreeMap<String, String>,
    ) {
        for (key, node) in document.entries() {
            let Some(name) = key.scalar() else { continue };
            let place = self.place(path, key.line);
            let variable = self.variables.entry(name.to_owned()).or_default();
            match role {
                Role::Fixed => variable.fixed.push(place),
                Role::SometimesFixed => variable.sometimes_fixed.push(place),
                Role::Default => {
                    let (shape, mut value) = shape(node);
                    if shape == Shape::Computed {
                        value = versions.get(name).map(|version| version.as_str().into());
                    }
                    let digest = value.is_none().then(|| digest(node)).flatten();
                    variable.defaults.push(DefaultValue { place, shape, value, digest });
                }
            }
        }
    }

    /// The variables of a file of the sample inventory, live and commented out.
    pub(super) fn sample(&mut self, path: &'a str, text: &str) {
        for (at, line) in text.lines().enumerate() {
            let commented = line.starts_with('#');
            let bare = line.strip_prefix("# ").or_else(|| line.strip_prefix('#')).unwrap_or(line);
            let Some((name, value)) = bare.split_once(':') else { continue };
            let starts = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
            let word = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            if !starts || !word || !(value.is_empty() || value.starts_with(char::is_whitespace)) {
                continue;
            }
            // Of a value that goes on below, the line alone says nothing.
            let inline =
                yaml::parse(bare).ok().and_then(|read| read.first().map(|read| read.get(name).map(shape)));
            let shape = inline.flatten().map(|(shape, _)| shape).filter(|shape| *shape != Shape::Null);
            let place = self.place(path, u32::try_from(at + 1).unwrap_or(u32::MAX));
            self.variables.entry(name.to_owned()).or_default().sample.push(Example {
                place,
                commented,
                shape,
            });
        }
    }

    /// Where known variables are used, and names that are only used.
    pub(super) fn references(&mut self, references: &'a References) {
        for (name, places) in &references.used {
            let known = self.variables.contains_key(name);
            if known || (settable(name) && !references.local.contains(name)) {
                let used: Vec<Place> = places.iter().map(|(path, line)| self.place(path, *line)).collect();
                self.variables.entry(name.clone()).or_default().used = used;
            }
        }
    }

    /// Numbers the files by their paths, so that the order of reading leaves no trace.
    pub(super) fn finish(mut self) -> (Vec<String>, BTreeMap<String, Variable>) {
        let sorted: BTreeSet<&str> = self.files.iter().copied().collect();
        let sorted: Vec<&str> = sorted.into_iter().collect();
        let number = |place: &mut Place| {
            let path = usize::try_from(place.0).ok().and_then(|at| self.files.get(at));
            let at = path.and_then(|path| sorted.binary_search(path).ok()).unwrap_or_default();
            place.0 = u32::try_from(at).unwrap_or(u32::MAX);
        };
        for variable in self.variables.values_mut() {
            variable.defaults.iter_mut().for_each(|default| number(&mut default.place));
            variable.fixed.iter_mut().for_each(number);
            variable.sometimes_fixed.iter_mut().for_each(number);
            variable.sample.iter_mut().for_each(|example| number(&mut example.place));
            variable.used.iter_mut().for_each(number);
            variable.defaults.sort_by_key(|default| default.place);
            variable.sample.sort_by_key(|example| example.place);
            for places in [&mut variable.fixed, &mut variable.sometimes_fixed, &mut variable.used] {
                places.sort_unstable();
            }
        }
        (sorted.iter().map(|path| (*path).to_owned()).collect(), self.variables)
    }
}

/// Eight digits of a value that is not a plain one, the same as long as Ansible would read the same.
fn digest(node: &Node) -> Option<String> {
    fn add(node: &Node, digest: &mut Sha256) {
        match &node.value {
            Value::Scalar(_, Word::Null) => digest.update([0]),
            Value::Scalar(text, word) => {
                digest.update([if *word == Word::Text { 1 } else { 2 }]);
                digest.update(text.trim_end());
            }
            Value::List(items) => {
                digest.update([3]);
                items.iter().for_each(|item| add(item, digest));
            }
            Value::Map(entries) => {
                digest.update([4]);
                entries.iter().for_each(|(key, value)| {
                    add(key, digest);
                    add(value, digest);
                });
            }
        }
        digest.update([5]);
    }
    if matches!(node.value, Value::Scalar(_, Word::Null)) {
        return None;
    }
    let mut digest = Sha256::new();
    add(node, &mut digest);
    Some(digest.finalize().iter().take(4).map(|byte| format!("{byte:02x}")).collect())
}

/// Longer texts are no plain values.
const LONGEST: usize = 120;

/// The kind of value of a node, and the value where it is a plain one.
fn shape(node: &Node) -> (Shape, Option<serde_json::Value>) {
    match &node.value {
        Value::Scalar(_, Word::Null) => (Shape::Null, None),
        Value::Scalar(_, Word::Bool(yes)) => (Shape::Boolean, Some((*yes).into())),
        Value::Scalar(_, Word::Integer(number)) => (Shape::Number, Some((*number).into())),
        Value::Scalar(_, Word::Float(number)) => {
            (Shape::Number, serde_json::Number::from_f64(*number).map(Into::into))
        }
        Value::Scalar(text, _) if text.contains("{{") || text.contains("{%") => (Shape::Computed, None),
        Value::Scalar(text, _) => {
            let plain = text.len() <= LONGEST && !text.contains(char::is_control);
            (Shape::Text, plain.then(|| text.as_str().into()))
        }
        Value::List(items) => (Shape::List, items.is_empty().then(|| serde_json::Value::Array(Vec::new()))),
        Value::Map(entries) => {
            (Shape::Map, entries.is_empty().then(|| serde_json::Value::Object(Default::default())))
        }
    }
}
