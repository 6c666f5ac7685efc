//! Other facts of a checkout: ranges, playbooks, groups, distributions, assertions.

use std::collections::{BTreeMap, BTreeSet};

use super::jinja;
use crate::kubespray::yaml::Node;

/// The ansible-core versions of `playbooks/ansible_version.yml`: from, below.
pub(super) fn ansible_core(document: &Node) -> Option<(String, String)> {
    document.items().iter().find_map(|play| {
        let vars = play.get("vars")?;
        let version = |key| vars.get(key).and_then(Node::scalar).map(str::to_owned);
        Some((version("minimal_ansible_version")?, version("maximal_ansible_version")?))
    })
}

/// The lines of `requirements.txt`, without comments.
pub(super) fn requirements(text: &str) -> Vec<String> {
    text.lines()
        .map(|line| line.split(" #").next().unwrap_or_default().trim())
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

/// The supported distributions of `README.md`, without links and notes.
pub(super) fn distributions(text: &str) -> Vec<String> {
    text.lines()
        .skip_while(|line| !line.starts_with("## Supported Linux Distributions"))
        .skip(1)
        .take_while(|line| !line.starts_with("## ") && !line.starts_with("Note"))
        .filter_map(|line| line.strip_prefix("- "))
        .map(distribution)
        .collect()
}

/// `**Rocky Linux** [9, 10](docs/…) (experimental in 10: see …)` is `Rocky Linux 9, 10 (experimental in 10)`.
fn distribution(line: &str) -> String {
    let text = without_links(&line.replace("**", ""));
    match text.split_once(" (") {
        // Of a remark only the text before the place to read on.
        Some((name, remark)) if remark.starts_with("experimental") => {
            format!("{name} ({})", remark.split([':', ')']).next().unwrap_or_default())
        }
        Some((name, _)) => name.to_owned(),
        None => text,
    }
}

/// Markdown with the words of each link in its place.
fn without_links(markdown: &str) -> String {
    let mut text = String::new();
    let mut rest = markdown;
    while let Some((before, inside)) = rest.split_once('[') {
        text.push_str(before);
        match inside.split_once("](").map(|(words, after)| (words, after.split_once(')'))) {
            Some((words, Some((_, after)))) => {
                text.push_str(words);
                rest = after;
            }
            _ => {
                text.push('[');
                rest = inside;
            }
        }
    }
    text + rest
}

/// The facts from playbooks, one after the other.
#[derive(Debug, Default)]
pub(super) struct Playbooks {
    found: BTreeSet<String>,
    imported: BTreeSet<String>,
    /// Groups that plays run on.
    pub(super) groups: BTreeSet<String>,
}

impl Playbooks {
    /// Takes a document that is a playbook; anything else is left alone.
    pub(super) fn take(&mut self, path: &str, document: &Node) {
        for play in document.items() {
            for key in ["import_playbook", "ansible.builtin.import_playbook"] {
                if let Some(other) = play.get(key).and_then(Node::scalar) {
                    self.found.insert(path.to_owned());
                    self.imported.insert(beside(path, other));
                }
            }
            if let Some(hosts) = play.get("hosts").and_then(Node::scalar) {
                self.found.insert(path.to_owned());
                self.groups.extend(pattern(hosts));
            }
        }
    }

    /// The playbooks that no other one imports.
    pub(super) fn to_run(&self) -> Vec<String> {
        self.found.difference(&self.imported).cloned().collect()
    }
}

/// A path that is written in another file of the checkout, relative to the checkout.
fn beside(path: &str, other: &str) -> String {
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    for part in other.split('/') {
        match part {
            ".." => {
                parts.pop();
            }
            "." | "" => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The groups of a host pattern: `etcd:calico_rr:!k8s_cluster`, `kube_control_plane[0]`.
fn pattern(hosts: &str) -> Vec<String> {
    if hosts.contains("{{") {
        return Vec::new();
    }
    hosts
        .split([':', ','])
        .map(|part| part.split(['[', '|']).next().unwrap_or_default().trim().trim_start_matches(['!', '&']))
        .filter(|name| is_group(name))
        .map(str::to_owned)
        .collect()
}

/// Whether a name is a group that an inventory can have: neither one of Ansible's own nor one that
/// Kubespray makes for itself.
pub(super) fn is_group(name: &str) -> bool {
    !matches!(name, "" | "all" | "localhost" | "ungrouped") && !name.starts_with('_')
}

/// Older names of groups, with the group each one stands for, and the groups themselves, from
/// `roles/dynamic_groups/tasks/main.yml`.
pub(super) fn dynamic_groups(document: &Node) -> (BTreeMap<String, String>, BTreeSet<String>) {
    let mut old = BTreeMap::new();
    let mut groups = BTreeSet::new();
    let mappings = document.items().iter().filter_map(|task| task.get("vars")?.get("group_mappings"));
    for (group, members) in mappings.flat_map(Node::entries) {
        let Some(group) = group.scalar() else { continue };
        groups.insert(group.to_owned());
        for member in members.items().iter().filter_map(Node::scalar) {
            // The old spelling has dashes; anything else is a member, as `kube_node` of `k8s_cluster`.
            if member.contains('-') {
                old.insert(member.to_owned(), group.to_owned());
            } else {
                groups.insert(member.to_owned());
            }
        }
    }
    (old, groups)
}

/// The assertions of `roles/validate_inventory` about every inventory.
#[derive(Debug, Default)]
pub(super) struct Assertions {
    pub(super) choices: BTreeMap<String, Vec<String>>,
    pub(super) booleans: Vec<String>,
    pub(super) refused: Vec<String>,
}

impl Assertions {
    pub(super) fn take(&mut self, document: &Node) {
        for task in document.items() {
            let refused = task.get("vars").and_then(|vars| vars.get("removed_vars"));
            self.refused.extend(
                refused.into_iter().flat_map(Node::items).filter_map(|name| Some(name.scalar()?.to_owned())),
            );
            if !task.get("when").is_none_or(always) {
                continue;
            }
            let assert = task.get("assert").or_else(|| task.get("ansible.builtin.assert"));
            let Some(that) = assert.and_then(|assert| assert.get("that")) else { continue };
            for expression in that.scalar().into_iter().chain(that.items().iter().filter_map(Node::scalar)) {
                if let Some((variable, words)) = jinja::one_of(expression) {
                    self.choices.insert(variable, words);
                } else if let Some(variable) = jinja::asserted_boolean(expression) {
                    self.booleans.push(variable);
                }
            }
        }
    }
}

/// Whether a condition holds for every inventory that does not switch assertions off.
fn always(when: &Node) -> bool {
    let one = |condition: &Node| condition.scalar() == Some("not ignore_assert_errors");
    one(when) || (!when.items().is_empty() && when.items().iter().all(one))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::plain("**Debian** Bookworm, Bullseye, Trixie", "Debian Bookworm, Bullseye, Trixie")]
    #[case::link("**CentOS Stream / RHEL** [9, 10](docs/rhel.md#rhel-8)", "CentOS Stream / RHEL 9, 10")]
    #[case::note("**Fedora CoreOS** (see [fcos Note](docs/fcos.md))", "Fedora CoreOS")]
    #[case::experimental(
        "**Rocky Linux** [9, 10](docs/rhel.md) (experimental in 10: see [notes](docs/rhel.md#10))",
        "Rocky Linux 9, 10 (experimental in 10)"
    )]
    #[case::unclosed("**Odd** [9](docs [10", "Odd [9](docs [10")]
    fn distribution_loses_links_and_notes(#[case] line: &str, #[case] expected: &str) {
        assert_eq!(distribution(line), expected);
    }

    #[rstest]
    #[case::several("etcd:calico_rr:!k8s_cluster", &["etcd", "calico_rr", "k8s_cluster"])]
    #[case::first("kube_control_plane[0]", &["kube_control_plane"])]
    #[case::filtered("kube_control_plane | first", &["kube_control_plane"])]
    #[case::template("{{ node | default('x') }}", &[])]
    #[case::own("all:localhost:_kubespray_needs_etcd", &[])]
    fn host_pattern_names_groups(#[case] hosts: &str, #[case] expected: &[&str]) {
        assert_eq!(pattern(hosts), expected);
    }
}
