//! Members of groups, and variables that reach no machine or more than intended.

use std::collections::{HashMap, HashSet};

use crate::kubespray::{Origin, Scope, Setting};
use crate::source::suggest::{KnownWords, quote};
use crate::source::{Code, Place, Severity};

use super::{Lint, Part, truth};

/// Variables that members of etcd need, and that do not reach them from `k8s_cluster` where they are nothing else.
const ALSO_FOR_ETCD: [&str; 8] = [
    "container_manager",
    "containerd_version",
    "docker_version",
    "etcd_deployment_type",
    "etcd_version",
    "files_repo",
    "http_proxy",
    "registry_host",
];

pub(super) fn check(lint: &mut Lint<'_>) {
    roles(lint);
    implied(lint);
    old_names(lint);
    misspelt(lint);
    empty_groups(lint);
    overridden(lint);
    misplaced(lint);
    only_etcd(lint);
}

/// Where a group is named, or the start of the file.
fn place(lint: &Lint<'_>, group: &str) -> Option<Place> {
    let number = lint.subject.groups.group_number(group)?;
    lint.subject.groups.groups()[number].place
}

fn roles(lint: &mut Lint<'_>) {
    // A cluster file is checked for these before it comes here.
    if lint.subject.network.is_some() {
        return;
    }
    let source = lint.asserted("ignore_assert_errors", "roles/validate_inventory/");
    let groups = lint.subject.groups;
    if groups.members("kube_control_plane").is_empty() {
        let message = "no machine is a control plane: the group `kube_control_plane` is empty";
        let at = place(lint, "kube_control_plane");
        let finding = lint.report_finding_at(Severity::Error, Code::NoControlPlane, at, message);
        finding.hint("put one machine or three into [kube_control_plane]");
        finding.source.clone_from(&source);
    }
    let members = groups.members("etcd");
    let is_kubeadm = lint.text("etcd_deployment_type") == Some("kubeadm");
    if members.is_empty() && !is_kubeadm && !groups.members("kube_control_plane").is_empty() {
        let message = "no machine keeps the cluster's data: the group `etcd` is empty";
        let at = place(lint, "etcd").or_else(|| place(lint, "kube_control_plane"));
        let finding = lint.report_finding_at(Severity::Error, Code::NoEtcd, at, message);
        finding.hint("put the control planes into it: [etcd:children] with kube_control_plane");
        finding.source.clone_from(&source);
    }
    let count = if groups.group_number("etcd").is_some() {
        members.len()
    } else {
        groups.members("kube_control_plane").len()
    };
    if count > 0 && count.is_multiple_of(2) {
        let message = format!(
            "etcd would have {count} members, and an even number survives no more failures than one less"
        );
        let at = place(lint, "etcd").or_else(|| place(lint, "kube_control_plane"));
        let finding = lint.report_finding_at(Severity::Error, Code::EvenEtcd, at, message);
        finding.hint("have one more or one less");
        finding.source = source;
    }
}

/// Without a group `k8s_cluster` in the file, everything that reads the inventory before Kubespray has made
/// it misses its variables.
fn implied(lint: &mut Lint<'_>) {
    if !lint.subject.implied_cluster {
        return;
    }
    let is_set = |setting: &Setting| setting.scope == Scope::Group("k8s_cluster".to_owned());
    let Some(setting) = lint.subject.settings.iter().find(|setting| is_set(setting)) else { return };
    let source = lint.index.files.iter().find(|file| file.starts_with("roles/dynamic_groups/")).cloned();
    let message = "the group `k8s_cluster` is made only when Kubespray runs: programs that read the inventory before, or without it, miss its variables";
    let first = ["kube_control_plane", "kube_node"].into_iter().find_map(|group| place(lint, group));
    let place = first.or_else(|| Some((lint.subject.place)(setting).0));
    let finding = lint.report_finding_at(Severity::Note, Code::ImpliedGroup, place, message);
    finding.hint("add [k8s_cluster:children] with kube_control_plane and kube_node");
    finding.source = source;
}

fn old_names(lint: &mut Lint<'_>) {
    for (old, new) in lint.index.old_groups.clone() {
        if lint.subject.groups.members(&old).is_empty() {
            continue;
        }
        let source = lint.index.files.iter().find(|file| file.starts_with("roles/dynamic_groups/")).cloned();
        let at = place(lint, &old);
        let message = format!("`{old}` is the old name of the group `{new}`: its variables do not reach it");
        let finding = lint.report_finding_at(Severity::Warning, Code::OldGroup, at, message);
        finding.hint(format!("name it `{new}`"));
        finding.source = source;
    }
}

/// A group whose name is nearly one of Kubespray's, and whose machines are not in that one.
fn misspelt(lint: &mut Lint<'_>) {
    let groups = lint.subject.groups;
    let known: Vec<&str> = lint.index.groups.iter().map(String::as_str).chain(["k8s_cluster"]).collect();
    let words = KnownWords::new(known.iter().copied());
    for group in groups.groups() {
        let name = group.name.as_str();
        let is_known = matches!(name, "all" | "ungrouped")
            || known.contains(&name)
            || lint.index.old_groups.contains_key(name);
        let members = groups.members(name);
        if is_known || members.is_empty() {
            continue;
        }
        let Some(near) = words.nearest_within(name, 2) else { continue };
        let meant = groups.members(near);
        if members.iter().any(|host| meant.binary_search(host).is_ok()) {
            continue;
        }
        let message =
            format!("{} is no group of Kubespray: it does nothing with these machines", quote(name));
        lint.report_finding_at(Severity::Error, Code::UnknownGroup, group.place, message)
            .hint(format!("did you mean `{near}`?"));
    }
}

/// A value that another file of the same group, or another line, takes the place of.
fn overridden(lint: &mut Lint<'_>) {
    let mut names: Vec<&str> = lint.values.names().collect();
    names.sort_unstable();
    for name in names {
        let mut last: HashMap<&Scope, &Setting> = HashMap::new();
        let mut losers: Vec<(&Setting, &Setting)> = Vec::new();
        for setting in lint.values.all(name) {
            let Some(before) = last.get(&setting.scope).copied() else {
                last.insert(&setting.scope, setting);
                continue;
            };
            // The settings are in the order in which Ansible reads them, those of the file of hosts first.
            last.insert(&setting.scope, setting);
            if before.value != setting.value {
                losers.push((before, setting));
            }
        }
        for (loser, winner) in losers {
            let winner = (lint.subject.place)(winner).0;
            let whom = match &loser.scope {
                Scope::Group(group) if group == "all" => "everybody".to_owned(),
                Scope::Group(group) => format!("the group {}", quote(group)),
                Scope::Host(host) => quote(host),
            };
            let message = format!("`{name}` is set again for {whom}, and this value has no effect");
            lint.report_finding(Severity::Warning, Code::OverriddenVariable, loser, Part::Name, message)
                .hint("keep one of the two")
                .related_at(winner, "this one counts");
        }
    }
}

/// Variables of a group without machines.
fn empty_groups(lint: &mut Lint<'_>) {
    let groups = lint.subject.groups;
    if groups.hosts().is_empty() {
        return;
    }
    let mut reported: HashSet<&str> = HashSet::new();
    for setting in lint.subject.settings {
        let Scope::Group(name) = &setting.scope else { continue };
        // Kubespray's own groups may be empty: a cluster without such machines needs no other inventory for it.
        let is_known = name == "all"
            || name == "ungrouped"
            || lint.index.groups.contains(name)
            || lint.index.old_groups.contains_key(name);
        if is_known || !groups.members(name).is_empty() || !reported.insert(name) {
            continue;
        }
        let message = format!("the group {} has no machines: its variables have no effect", quote(name));
        lint.report_finding(Severity::Warning, Code::IneffectiveVariable, setting, Part::Name, message)
            .hint("put machines into the group, or take its variables away");
    }
}

/// A file that is named after one group and lies in the folder of another reaches all of the other.
fn misplaced(lint: &mut Lint<'_>) {
    for (number, file) in lint.subject.files.iter().enumerate() {
        let Some((_, below)) = file.path.rsplit_once("group_vars/") else { continue };
        let Some((folder, name)) = below.split_once('/') else { continue };
        let stem = name.rsplit('/').next().unwrap_or(name).split('.').next().unwrap_or_default();
        // A file in the folder of everybody is meant for everybody, with any name.
        if folder == "all" || folder == stem || !lint.index.groups.iter().any(|group| group == stem) {
            continue;
        }
        let of_file = |origin: &Origin| matches!(origin, Origin::File { file, .. } if *file == number);
        let Some(setting) = lint.subject.settings.iter().find(|setting| of_file(&setting.origin)) else {
            continue;
        };
        let message =
            format!("this file lies in the folder of `{folder}`, and reaches all of it, not only `{stem}`");
        lint.report_finding(Severity::Warning, Code::MisplacedFile, setting, Part::Name, message).hint(
            format!(
                "move it to group_vars/{stem}.yml, or give it another name if it is meant for `{folder}`"
            ),
        );
    }
}

/// Machines that are only members of etcd do not see the variables of `k8s_cluster`.
fn only_etcd(lint: &mut Lint<'_>) {
    let groups = lint.subject.groups;
    let cluster = groups.members("k8s_cluster");
    let Some(&lonely) = groups.members("etcd").iter().find(|host| cluster.binary_search(host).is_err())
    else {
        return;
    };
    let Some(&inside) = cluster.first() else { return };
    for name in ALSO_FOR_ETCD {
        let Some(setting) = lint.values.of_host(name, inside) else { continue };
        let reaches_only_cluster = setting.scope == Scope::Group("k8s_cluster".to_owned());
        if !reaches_only_cluster
            || lint.values.of_host(name, lonely).is_some()
            || truth(&setting.value) == Some(false)
        {
            continue;
        }
        let default = lint.index.variables.get(name).and_then(super::default_of);
        if default == Some(&setting.value) {
            continue;
        }
        let host = &groups.hosts()[lonely].name;
        let message = format!(
            "`{name}` does not reach {}, which is a member of etcd and not of `k8s_cluster`",
            quote(host)
        );
        let source = lint.source_of(name);
        let finding =
            lint.report_finding(Severity::Warning, Code::IneffectiveVariable, setting, Part::Name, message);
        finding.hint("set it for everybody: in group_vars/all");
        finding.source = source;
    }
}
