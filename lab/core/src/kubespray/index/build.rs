//! The files of a checkout to its index.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};

use super::references::{References, settable};
use super::release::{self, Assertions, Playbooks};
use super::versions::{self, Versions};
use super::yaml::{self, Kind, Node, Value};
use super::{DEFAULTS_ROLES, DefaultValue, Example, Index, Place, Shape, Variable};
use crate::source::SourceFile;

/// The files of a checkout, as `lab` reads them.
#[derive(Debug, Clone, Default)]
pub struct Checkout {
    /// What git calls it, where it is one of git.
    pub version: Option<String>,
    /// All forty digits of the commit, where it is one of git.
    pub commit: Option<String>,
    /// The files for which [`wants`] is true; paths relative to the checkout, with `/`.
    pub files: Vec<SourceFile>,
}

/// An index, and what of the checkout could not be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Built {
    /// The index.
    pub index: Index,
    /// Files that are missing from it, and pieces that were read only roughly.
    pub problems: Vec<Problem>,
}

/// Something in a checkout that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Relative to the checkout.
    pub file: String,
    /// Counted from 1.
    pub line: u32,
    /// A sentence, lower case, no final period.
    pub message: String,
    /// Whether the whole file is missing from the index; else only a piece was read roughly.
    pub missing: bool,
}

/// The folder is no Kubespray, or one from before v2.28.0, whose files lay elsewhere, or a damaged one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotKubespray {
    /// A file that every Kubespray has is not there.
    #[error("it has no `{0}`")]
    Missing(&'static str),
    /// A file that everything depends on cannot be read.
    #[error("{}:{}: {}", .0.file, .0.line, .0.message)]
    Unreadable(Problem),
}

const ANSIBLE_VERSION: &str = "playbooks/ansible_version.yml";
const CHECKSUMS: &str = "vars/main/checksums.yml";

/// Whether the index is made from a file, by its path relative to the checkout.
#[must_use]
pub fn wants(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    let yaml = is_yaml(path);
    match parts.as_slice() {
        ["requirements.txt" | "README.md"] => true,
        [_] => yaml,
        ["playbooks" | "extra_playbooks", _] => yaml,
        ["roles", inner @ ..] => !inner.contains(&"molecule") && (yaml || path.ends_with(".j2")),
        ["inventory", "sample", "group_vars", ..] => path.ends_with(".yml"),
        _ => false,
    }
}

fn is_yaml(path: &str) -> bool {
    path.ends_with(".yml") || path.ends_with(".yaml")
}

/// Where the variables of a file take part.
#[derive(Clone, Copy, PartialEq)]
enum Role {
    Default,
    Fixed,
    SometimesFixed,
}

/// Which kind of variables a file holds, if any: by its folder below the role.
fn role(path: &str) -> Option<Role> {
    let folders: Vec<&str> = path.strip_prefix("roles/")?.split('/').collect();
    let (_, folders) = folders.split_last()?;
    if folders.contains(&"defaults") {
        return Some(Role::Default);
    }
    if !folders.contains(&"vars") {
        return None;
    }
    // Ansible loads `vars/main.yml` or everything in `vars/main/` by itself, other files when told to.
    let (_, inner) = path.split_once("/vars/")?;
    let main = inner.starts_with("main/") || matches!(inner, "main.yml" | "main.yaml");
    Some(if main { Role::Fixed } else { Role::SometimesFixed })
}

/// Makes the index of a checkout. The files may be in any order.
///
/// # Errors
/// If what is there is not Kubespray, or a file that everything depends on cannot be read.
pub fn build(checkout: &Checkout) -> Result<Built, NotKubespray> {
    let mut files: Vec<&SourceFile> = checkout.files.iter().filter(|file| wants(&file.path)).collect();
    files.sort_by(|one, other| one.path.cmp(&other.path));
    let mut problems = Vec::new();
    let mut documents: BTreeMap<&str, Vec<Node>> = BTreeMap::new();
    for file in files.iter().filter(|file| is_yaml(&file.path)) {
        match yaml::parse(&file.text) {
            Ok(read) => {
                documents.insert(&file.path, read);
            }
            Err(error) => {
                let problem = Problem {
                    file: file.path.clone(),
                    line: error.line,
                    message: format!("not valid YAML: {}", error.message),
                    missing: true,
                };
                if file.path == ANSIBLE_VERSION || file.path.ends_with(CHECKSUMS) {
                    return Err(NotKubespray::Unreadable(problem));
                }
                problems.push(problem);
            }
        }
    }
    let all = |wanted: &dyn Fn(&str) -> bool| -> Vec<&Node> {
        documents.iter().filter(|(path, _)| wanted(path)).flat_map(|(_, documents)| documents).collect()
    };
    let text = |path: &str| files.iter().find(|file| file.path == path).map(|file| file.text.as_str());

    let ansible_core = all(&|path| path == ANSIBLE_VERSION)
        .into_iter()
        .find_map(release::ansible_core)
        .ok_or(NotKubespray::Missing(ANSIBLE_VERSION))?;
    let checksums = all(&|path| path.starts_with("roles/") && path.ends_with(CHECKSUMS));
    if checksums.is_empty() {
        return Err(NotKubespray::Missing("roles/kubespray_defaults/vars/main/checksums.yml"));
    }

    let mut references = References::default();
    let mut playbooks = Playbooks::default();
    for file in &files {
        let path = file.path.as_str();
        let Some(read) = documents.get(path) else {
            if path.ends_with(".j2") {
                references.template(path, &file.text);
            }
            continue;
        };
        for document in read {
            if !path.starts_with("roles/") && !path.starts_with("inventory/") {
                playbooks.take(path, document);
            }
            let tasks = path.starts_with("roles/") && !path.ends_with(CHECKSUMS);
            if tasks || path.starts_with("playbooks/") || path.starts_with("extra_playbooks/") {
                references.document(path, &file.text, document);
            }
        }
    }
    problems.extend(references.refused.drain(..).map(|(file, line, message)| Problem {
        file,
        line,
        message: format!("a piece of Jinja was read only roughly: {message}"),
        missing: false,
    }));

    let defaults_role = |kind: Role| {
        let kubespray_defaults = move |path: &str| {
            role(path) == Some(kind) && DEFAULTS_ROLES.iter().any(|role| path.starts_with(role))
        };
        let entries = all(&kubespray_defaults).into_iter().flat_map(Node::entries);
        entries.filter_map(|(name, value)| Some((name.scalar()?, value)))
    };
    let versions = Versions::new(defaults_role(Role::Default).chain(defaults_role(Role::Fixed)));
    let defaults = versions.all(None);

    let mut components: BTreeMap<_, _> = checksums.into_iter().flat_map(versions::components).collect();
    for (name, component) in &mut components {
        let variable = references
            .lookups
            .get(&format!("{name}_checksums"))
            .map(|variable| versions.behind(variable))
            .or_else(|| versions.named_after(name).map(str::to_owned));
        component.default = variable.as_ref().and_then(|variable| defaults.get(variable)).cloned();
        component.version_variable = variable;
    }
    let following = versions.following();
    let mut picks = BTreeMap::new();
    for (minor, version) in
        newest_patches(components.get("kubelet").and_then(|kubelet| kubelet.versions.get("amd64")))
    {
        let mut picked = versions.all(Some(version));
        picked.retain(|name, _| following.contains(name.as_str()));
        picks.insert(minor.to_owned(), picked);
    }

    let mut assertions = Assertions::default();
    all(&|path| path == "roles/validate_inventory/tasks/main.yml")
        .into_iter()
        .for_each(|read| assertions.take(read));
    let mut old_groups = BTreeMap::new();
    let mut groups = playbooks.groups.clone();
    for document in all(&|path| path == "roles/dynamic_groups/tasks/main.yml") {
        let (old, more) = release::dynamic_groups(document);
        old_groups.extend(old);
        groups.extend(more);
    }
    groups.extend(references.groups.iter().filter(|name| release::is_group(name)).cloned());
    let made = |name: &str| references.made_groups.iter().any(|start| name.starts_with(start));
    groups.retain(|name| !old_groups.contains_key(name) && !made(name));

    let mut variables = Variables::default();
    for (path, read) in &documents {
        if let Some(role) = role(path) {
            read.iter().for_each(|document| variables.take(path, role, document, &defaults));
        }
    }
    for file in files.iter().filter(|file| file.path.starts_with("inventory/")) {
        variables.sample(&file.path, &file.text);
    }
    variables.references(&references);
    let (files, variables) = variables.finish();

    let galaxy =
        all(&|path| path == "galaxy.yml").into_iter().find_map(|galaxy| galaxy.get("version")?.scalar());
    let index = Index {
        version: checkout
            .version
            .clone()
            .or_else(|| Some(format!("v{}", galaxy?)))
            .unwrap_or_else(|| "unknown".to_owned()),
        commit: checkout.commit.clone(),
        ansible_core,
        requirements: release::requirements(text("requirements.txt").unwrap_or_default()),
        playbooks: playbooks.to_run(),
        groups: groups.into_iter().collect(),
        old_groups,
        distributions: release::distributions(text("README.md").unwrap_or_default()),
        choices: assertions.choices,
        booleans: assertions.booleans,
        refused: assertions.refused,
        components,
        picks,
        files,
        variables,
    };
    problems.sort();
    Ok(Built { index, problems })
}

/// The newest version of each minor version, of versions that come newest first.
fn newest_patches(versions: Option<&Vec<String>>) -> BTreeMap<&str, &str> {
    let mut newest = BTreeMap::new();
    for version in versions.into_iter().flatten() {
        if let Some((minor, _)) = version.rsplit_once('.') {
            newest.entry(minor).or_insert(version.as_str());
        }
    }
    newest
}

/// Variables while they are collected: places name their file by its path.
#[derive(Default)]
struct Variables<'a> {
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

    fn take(&mut self, path: &'a str, role: Role, document: &Node, versions: &BTreeMap<String, String>) {
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
    fn sample(&mut self, path: &'a str, text: &str) {
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
    fn references(&mut self, references: &'a References) {
        for (name, places) in &references.used {
            let known = self.variables.contains_key(name);
            if known || (settable(name) && !references.local.contains(name)) {
                let used: Vec<Place> = places.iter().map(|(path, line)| self.place(path, *line)).collect();
                self.variables.entry(name.clone()).or_default().used = used;
            }
        }
    }

    /// Numbers the files by their paths, so that the order of reading leaves no trace.
    fn finish(mut self) -> (Vec<String>, BTreeMap<String, Variable>) {
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
            Value::Null => digest.update([0]),
            Value::Scalar { text, kind } => {
                digest.update([if *kind == Kind::Text { 1 } else { 2 }]);
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
    if matches!(node.value, Value::Null) {
        return None;
    }
    let mut digest = Sha256::new();
    add(node, &mut digest);
    Some(digest.finalize().iter().take(4).map(|byte| format!("{byte:02x}")).collect())
}

/// Longer texts are no plain values.
const LONGEST: usize = 120;

/// What kind of value a node is, and the value where it is a plain one.
fn shape(node: &Node) -> (Shape, Option<serde_json::Value>) {
    match &node.value {
        Value::Null => (Shape::Null, None),
        Value::Scalar { kind: Kind::Boolean(yes), .. } => (Shape::Boolean, Some((*yes).into())),
        Value::Scalar { kind: Kind::Integer(number), .. } => (Shape::Number, Some((*number).into())),
        Value::Scalar { kind: Kind::Float(number), .. } => {
            (Shape::Number, serde_json::Number::from_f64(*number).map(Into::into))
        }
        Value::Scalar { text, .. } if text.contains("{{") || text.contains("{%") => (Shape::Computed, None),
        Value::Scalar { text, .. } => {
            let plain = text.len() <= LONGEST && !text.contains(char::is_control);
            (Shape::Text, plain.then(|| text.as_str().into()))
        }
        Value::List(items) => (Shape::List, items.is_empty().then(|| serde_json::Value::Array(Vec::new()))),
        Value::Map(entries) => {
            (Shape::Map, entries.is_empty().then(|| serde_json::Value::Object(Default::default())))
        }
    }
}
