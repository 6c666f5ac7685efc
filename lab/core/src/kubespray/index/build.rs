//! The files of a checkout to its index.

use std::collections::{BTreeMap, BTreeSet};

use super::references::References;
use super::release::{self, Assertions, Playbooks};
use super::variables::{Role, Variables, role};
use super::versions::{self, Versions};
use super::{Component, DEFAULTS_ROLES, Index, Variable};
use crate::kubespray::yaml::{self, Node};
use crate::source::SourceFile;

/// The files of a checkout, as `lab` reads them.
#[derive(Debug, Clone, Default)]
pub struct Checkout {
    /// Its name in git, where it is one of git.
    pub version: Option<String>,
    /// All forty digits of the commit, where it is one of git.
    pub commit: Option<String>,
    /// The files for which [`wants`] is true; paths relative to the checkout, with `/`.
    pub files: Vec<SourceFile>,
}

/// An index, and the files of the checkout that could not be read.
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

/// The files of a checkout, read as far as they can be.
struct Sources<'a> {
    /// By path.
    files: Vec<&'a SourceFile>,
    documents: BTreeMap<&'a str, Vec<Node>>,
    problems: Vec<Problem>,
}

impl<'a> Sources<'a> {
    fn read(checkout: &'a Checkout) -> Result<Self, NotKubespray> {
        let mut files: Vec<&SourceFile> = checkout.files.iter().filter(|file| wants(&file.path)).collect();
        files.sort_by(|one, other| one.path.cmp(&other.path));
        let mut documents = BTreeMap::new();
        let mut problems = Vec::new();
        for file in files.iter().filter(|file| is_yaml(&file.path)) {
            match yaml::parse(&file.text) {
                Ok(read) => {
                    documents.insert(file.path.as_str(), read);
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
        Ok(Self { files, documents, problems })
    }

    /// The documents of all files whose paths are wanted, in the order of the paths.
    fn documents(&self, wanted: impl Fn(&str) -> bool) -> impl Iterator<Item = &Node> {
        self.documents.iter().filter(move |(path, _)| wanted(path)).flat_map(|(_, documents)| documents)
    }

    /// The variables of the role of defaults, with their values.
    fn common_variables(&self, wanted: Role) -> impl Iterator<Item = (&str, &Node)> {
        let common = move |path: &str| {
            role(path) == Some(wanted) && DEFAULTS_ROLES.iter().any(|role| path.starts_with(role))
        };
        let entries = self.documents(common).flat_map(Node::entries);
        entries.filter_map(|(name, value)| Some((name.scalar()?, value)))
    }

    /// The text of a file; none where there is no file.
    fn text(&self, path: &str) -> &str {
        self.files.iter().find(|file| file.path == path).map_or("", |file| file.text.as_str())
    }
}

/// Makes the index of a checkout. The files may be in any order.
///
/// # Errors
/// If the checkout is not Kubespray, or a file that everything depends on cannot be read.
pub fn build(checkout: &Checkout) -> Result<Built, NotKubespray> {
    let mut sources = Sources::read(checkout)?;
    let ansible_core = sources
        .documents(|path| path == ANSIBLE_VERSION)
        .find_map(release::ansible_core)
        .ok_or(NotKubespray::Missing(ANSIBLE_VERSION))?;
    let checksums = sources.documents(|path| path.starts_with("roles/") && path.ends_with(CHECKSUMS));
    let mut components: BTreeMap<_, _> = checksums.flat_map(versions::components).collect();
    if components.is_empty() {
        return Err(NotKubespray::Missing("roles/kubespray_defaults/vars/main/checksums.yml"));
    }

    let (playbooks, mut references) = references(&sources);
    sources.problems.extend(references.refused.drain(..).map(|(file, line, message)| Problem {
        file,
        line,
        message: format!("a piece of Jinja was read only roughly: {message}"),
        missing: false,
    }));
    let versions =
        Versions::new(sources.common_variables(Role::Default).chain(sources.common_variables(Role::Fixed)));
    let defaults = versions.all(None);
    for (name, component) in &mut components {
        let variable = references
            .lookups
            .get(&format!("{name}_checksums"))
            .map(|variable| versions.behind(variable))
            .or_else(|| versions.named_after(name).map(str::to_owned));
        component.default = variable.as_ref().and_then(|variable| defaults.get(variable)).cloned();
        component.version_variable = variable;
    }
    let mut assertions = Assertions::default();
    sources
        .documents(|path| path == "roles/validate_inventory/tasks/main.yml")
        .for_each(|document| assertions.take(document));
    let (old_groups, groups) = groups(&sources, &playbooks, &references);
    let (files, variables) = variables(&sources, &references, &defaults);
    let galaxy =
        sources.documents(|path| path == "galaxy.yml").find_map(|galaxy| galaxy.get("version")?.scalar());
    let index = Index {
        version: checkout
            .version
            .clone()
            .or_else(|| Some(format!("v{}", galaxy?)))
            .unwrap_or_else(|| "unknown".to_owned()),
        commit: checkout.commit.clone(),
        ansible_core,
        requirements: release::requirements(sources.text("requirements.txt")),
        playbooks: playbooks.to_run(),
        groups: groups.into_iter().collect(),
        old_groups,
        distributions: release::distributions(sources.text("README.md")),
        choices: assertions.choices,
        booleans: assertions.booleans,
        refused: assertions.refused,
        picks: picks(&versions, components.get("kubelet")),
        components,
        files,
        variables,
    };
    sources.problems.sort();
    Ok(Built { index, problems: sources.problems })
}

/// The playbooks, and the variables that they, the roles and the templates use.
fn references(sources: &Sources<'_>) -> (Playbooks, References) {
    let mut references = References::default();
    let mut playbooks = Playbooks::default();
    for file in &sources.files {
        let path = file.path.as_str();
        let Some(documents) = sources.documents.get(path) else {
            if path.ends_with(".j2") {
                references.template(path, &file.text);
            }
            continue;
        };
        let top = path.split('/').next().filter(|top| *top != path);
        for document in documents {
            if !matches!(top, Some("roles" | "inventory")) {
                playbooks.take(path, document);
            }
            if matches!(top, Some("roles" | "playbooks" | "extra_playbooks")) && !path.ends_with(CHECKSUMS) {
                references.document(path, &file.text, document);
            }
        }
    }
    (playbooks, references)
}

/// Older names of groups with their new names, and the groups.
fn groups(
    sources: &Sources<'_>,
    playbooks: &Playbooks,
    references: &References,
) -> (BTreeMap<String, String>, BTreeSet<String>) {
    let mut old_groups = BTreeMap::new();
    let mut groups = playbooks.groups.clone();
    for document in sources.documents(|path| path == "roles/dynamic_groups/tasks/main.yml") {
        let (old, more) = release::dynamic_groups(document);
        old_groups.extend(old);
        groups.extend(more);
    }
    groups.extend(references.groups.iter().filter(|name| release::is_group(name)).cloned());
    let made = |name: &str| references.made_groups.iter().any(|start| name.starts_with(start));
    groups.retain(|name| !old_groups.contains_key(name) && !made(name));
    (old_groups, groups)
}

/// The files that places name, and all variables.
fn variables(
    sources: &Sources<'_>,
    references: &References,
    versions: &BTreeMap<String, String>,
) -> (Vec<String>, BTreeMap<String, Variable>) {
    let mut variables = Variables::default();
    for (path, documents) in &sources.documents {
        if let Some(role) = role(path) {
            documents.iter().for_each(|document| variables.take(path, role, document, versions));
        }
    }
    for file in sources.files.iter().filter(|file| file.path.starts_with("inventory/")) {
        variables.sample(&file.path, &file.text);
    }
    variables.references(references);
    variables.finish()
}

/// The versions that follow from Kubernetes', for the newest of each of its minor versions.
fn picks(versions: &Versions<'_>, kubelet: Option<&Component>) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut newest = BTreeMap::new();
    // They come newest first.
    for version in kubelet.and_then(|kubelet| kubelet.versions.get("amd64")).into_iter().flatten() {
        if let Some((minor, _)) = version.rsplit_once('.') {
            newest.entry(minor).or_insert(version);
        }
    }
    let following = versions.following();
    let picked = newest.into_iter().map(|(minor, version)| {
        let mut picked = versions.all(Some(version));
        picked.retain(|name, _| following.contains(name.as_str()));
        (minor.to_owned(), picked)
    });
    picked.collect()
}
