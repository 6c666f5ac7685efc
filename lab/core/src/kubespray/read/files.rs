//! Which files of variables Ansible reads, and which it passes over against the author's intent.
//!
//! Follows `find_vars_files` of `lib/ansible/parsing/dataloader.py`: of `NAME`, `NAME.yml`, `NAME.yaml` and
//! `NAME.json` only the first one that is there; of a folder every file with one of these endings or none, sorted,
//! folders inside it too.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Bound;

use crate::kubespray::groups::Groups;
use crate::kubespray::setting::Scope;
use crate::source::{Severity, suggest};

/// The name of the file of hosts, where a person names only its folder.
pub const HOSTS_FILES: [&str; 8] = [
    "inventory.ini",
    "hosts.ini",
    "hosts.yaml",
    "hosts.yml",
    "inventory.yaml",
    "inventory.yml",
    "hosts",
    "inventory",
];

/// Endings in the order in which Ansible looks for them.
const ENDINGS: [&str; 4] = ["", ".yml", ".yaml", ".json"];

/// Misnamed files beyond this number are not compared with every group or host: thousands of files beside thousands of
/// other hosts would take minutes.
const MAX_COMPARED: usize = 20;

/// Something in `group_vars` or `host_vars`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Relative to the folder of the inventory: `group_vars/all/all.yml`.
    pub path: String,
    /// Whether it is a folder.
    pub is_folder: bool,
}

/// A file of variables that Ansible reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// For whom.
    pub scope: Scope,
    /// As in [`Entry::path`].
    pub path: String,
}

/// A file that Ansible passes over.
#[derive(Debug, PartialEq)]
pub(super) struct Unread {
    pub(super) path: String,
    pub(super) severity: Severity,
    pub(super) message: String,
    pub(super) hint: String,
}

/// Chooses among everything that lies there, for groups first, then hosts, each in the order of the
/// inventory.
pub(super) fn choose(groups: &Groups, entries: &[Entry]) -> (Vec<Wanted>, Vec<Unread>) {
    let tree: BTreeMap<&str, bool> =
        entries.iter().map(|entry| (entry.path.as_str(), entry.is_folder)).collect();
    let (mut wanted, mut unread) = (Vec::new(), Vec::new());
    let mut used: HashSet<&str> = HashSet::new();
    let mut compared = 0;
    let group_names: Vec<&str> = groups.groups().iter().map(|group| group.name.as_str()).collect();
    let host_names: Vec<&str> = groups.hosts().iter().map(|host| host.name.as_str()).collect();
    for (folder, names) in [("group_vars", &group_names), ("host_vars", &host_names)] {
        // One folder of thousands of files is not searched again for each of them.
        let names_here: HashSet<&str> = names.iter().copied().collect();
        let mut candidates: HashMap<&str, Vec<(usize, &str, bool)>> = HashMap::with_capacity(names.len());
        for (path, is_folder) in top_level(&tree, folder) {
            let file = &path[folder.len() + 1..];
            for (rank, ending) in ENDINGS.iter().enumerate() {
                if let Some(name) = file.strip_suffix(ending)
                    && let Some(name) = names_here.get(name)
                {
                    candidates.entry(name).or_default().push((rank, path, is_folder));
                }
            }
        }
        for &name in names {
            let Some(found) = candidates.get_mut(name) else { continue };
            found.sort_unstable();
            let (_, first, is_folder) = found[0];
            used.extend(found.iter().map(|(_, path, _)| *path));
            let scope = if folder == "group_vars" {
                Scope::Group(name.to_owned())
            } else {
                Scope::Host(name.to_owned())
            };
            if is_folder {
                below(&tree, first, &scope, &mut wanted);
            } else {
                wanted.push(Wanted { scope, path: first.to_owned() });
            }
            for (_, path, _) in &found[1..] {
                let kind = if is_folder { "folder" } else { "file" };
                unread.push(Unread {
                    path: (*path).to_owned(),
                    severity: Severity::Error,
                    message: format!(
                        "Ansible does not read this: it reads the {kind} `{first}` in its place"
                    ),
                    hint: if is_folder {
                        format!("move it into `{first}/`")
                    } else {
                        "keep one of the two".to_owned()
                    },
                });
            }
        }
        for (path, is_folder) in top_level(&tree, folder) {
            if !used.contains(path)
                && let Some(found) = unmatched_file(path, is_folder, folder, names, &mut compared)
            {
                unread.push(found);
            }
        }
    }
    (wanted, unread)
}

/// The files of a folder itself, not below its folders.
fn top_level<'a>(tree: &BTreeMap<&'a str, bool>, folder: &str) -> Vec<(&'a str, bool)> {
    let start = format!("{folder}/");
    let inside = |path: &str| path.strip_prefix(&start).map(|name| !name.contains('/'));
    tree.range::<str, _>((Bound::Included(start.as_str()), Bound::Unbounded))
        .map_while(|(path, is_folder)| Some((inside(path)?, *path, *is_folder)))
        .filter_map(|(direct, path, is_folder)| direct.then_some((path, is_folder)))
        .collect()
}

/// The files of a folder that Ansible reads, sorted, those of its folders where they stand.
fn below(tree: &BTreeMap<&str, bool>, folder: &str, scope: &Scope, wanted: &mut Vec<Wanted>) {
    // Sorted by name, as Ansible sorts them, and not by path: `a.yml` comes before `a/`.
    let mut inside = top_level(tree, folder);
    inside.sort_unstable_by_key(|(path, _)| &path[folder.len() + 1..]);
    for (path, is_folder) in inside {
        let name = &path[folder.len() + 1..];
        if name.starts_with('.') || name.ends_with('~') {
            continue;
        }
        let ending = name.rfind('.').filter(|at| *at > 0).map_or("", |at| &name[at..]);
        if is_folder && ending.is_empty() {
            below(tree, path, scope, wanted);
        } else if !is_folder && ENDINGS.contains(&ending) {
            wanted.push(Wanted { scope: scope.clone(), path: path.to_owned() });
        }
    }
}

/// A file or a folder whose name is no group and no host. Silent about an entry that is plainly no file of
/// variables.
///
/// `compared`: how many names of files were compared with those of the inventory.
fn unmatched_file(
    path: &str,
    is_folder: bool,
    folder: &str,
    names: &[&str],
    compared: &mut usize,
) -> Option<Unread> {
    let file = &path[folder.len() + 1..];
    if file.starts_with('.') || file.ends_with('~') || file == "localhost" {
        return None;
    }
    let stem = ENDINGS[1..].iter().find_map(|ending| file.strip_suffix(ending));
    let name = stem.unwrap_or(file);
    *compared += 1;
    let near = if *compared > MAX_COMPARED { None } else { suggest::nearest(name, names) };
    if name == "localhost" || (stem.is_none() && (name.contains('.') || near.is_none()) && !is_folder) {
        return None;
    }
    let (kind, what) = if folder == "group_vars" { ("group", "groups") } else { ("host", "hosts") };
    Some(Unread {
        path: path.to_owned(),
        severity: Severity::Warning,
        message: format!("Ansible ignores this: the inventory has no {kind} {}", suggest::quote(name)),
        hint: near.map_or_else(
            || format!("name it after one of the {what} of the inventory"),
            |near| format!("did you mean `{near}`?"),
        ),
    })
}
