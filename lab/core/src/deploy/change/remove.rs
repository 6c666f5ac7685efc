//! `remove-node`: machines that leave the cluster and stay in the lab.
//!
//! Kubespray's docs/operations/nodes.md: `remove-node.yml` with the machine still in the inventory; never the first of
//! the control planes or of etcd.

use std::collections::BTreeSet;

use super::{Change, Decision, Refusal, Situation, Step, are, listed};
use crate::spec::{MachineSpec, Role};

/// The request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// The machines, by name.
    pub machines: Vec<String>,
    /// They need not be asked: they are gone.
    pub gone: bool,
}

/// The change that takes machines out of the cluster.
///
/// # Errors
/// When the cluster would not live on, or Kubespray cannot do it.
pub fn remove(situation: &Situation<'_>, removal: &Removal) -> Result<Decision, Refusal> {
    let Situation { words, living, .. } = *situation;
    let machines = named(situation, &removal.machines)?;
    let names: Vec<&str> = machines.iter().map(|machine| machine.name.as_str()).collect();
    for machine in &machines {
        not_the_first(situation, machine)?;
    }
    let nodes = situation.nodes()?;
    let mut members = Vec::new();
    for machine in &machines {
        let name = machine.name.as_str();
        let is_member = |etcd: &super::Etcd| etcd.members.iter().any(|member| member.machine == name);
        let is_member = living.etcd.as_ref().is_some_and(is_member);
        if !is_member && !nodes.iter().any(|node| node.name == name) {
            return Err(Refusal::new(
                format!("`{name}` is no node of the cluster"),
                format!(
                    "take it out of the cluster file, and `cargo xtask lab up {words}` removes the machine"
                ),
            ));
        }
        if is_member || machine.roles.contains(&Role::Etcd) {
            members.push(name);
        }
    }
    etcd_lives_on(situation, &members)?;
    let answering: Vec<&str> = names.iter().copied().filter(|name| situation.reaches(name)).collect();
    if removal.gone {
        if !answering.is_empty() {
            return Err(Refusal::new(
                format!(
                    "{} can be logged in to, and would come back as soon as its kubelet asks",
                    listed(&answering)
                ),
                "leave `--gone` away: the files of Kubernetes on the machine are then removed too",
            ));
        }
    } else {
        situation.needs(names.iter().copied()).map_err(|refusal| {
            let hint = format!("{}; if a machine is gone for good, add `--gone`", refusal.hint);
            Refusal { hint, ..refusal }
        })?;
    }
    let first = situation.with_role(Role::ControlPlane).next().map(|machine| machine.name.as_str());
    situation.needs(first)?;
    let mut change = Change::new("remove-node", situation);
    for name in &names {
        let what = if removal.gone {
            "leaves the cluster as it is, without being asked"
        } else {
            "is drained, leaves the cluster, and is cleaned of it; the machine restarts"
        };
        let from_etcd = if members.contains(name) { "; it leaves etcd too" } else { "" };
        change.machine(name, format!("{what}{from_etcd}"));
    }
    let mut step = Step::new("remove-node.yml", "takes them out of the cluster")
        .variable("node", names.join(","))
        // We asked already, and Ansible has no terminal for an answer.
        .variable("skip_confirmation", true);
    if removal.gone {
        step = step.variable("reset_nodes", false).variable("allow_ungraceful_removal", true);
    }
    change.steps.push(step);
    change.lost.push(format!("the data of pods on the disks of {}", listed(&names)));
    let takes_pods = |machine: &&MachineSpec| {
        !names.contains(&machine.name.as_str()) && nodes.iter().any(|node| node.name == machine.name)
    };
    if !situation.with_role(Role::Worker).any(|machine| takes_pods(&machine)) {
        change.lost.push("the last place for pods".to_owned());
    }
    change.next = next(situation, &names, &members, &machines);
    Ok(Decision::Do(change))
}

/// The machines of some names, each once, in the order of the cluster file.
fn named<'a>(situation: &Situation<'a>, names: &[String]) -> Result<Vec<&'a MachineSpec>, Refusal> {
    let wanted: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    let known = |name: &&&str| situation.spec.machines.iter().any(|machine| machine.name == **name);
    if let Some(unknown) = wanted.iter().find(|name| !known(name)) {
        let is_node = situation.living.nodes.iter().flatten().any(|node| node.name == *unknown);
        let there: Vec<&str> = situation.spec.machines.iter().map(|machine| machine.name.as_str()).collect();
        let hint = if is_node {
            "put it back: Kubespray removes only what its inventory still names".to_owned()
        } else {
            format!("its machines are: {}", there.join(", "))
        };
        return Err(Refusal::new(format!("the cluster file has no machine `{unknown}`"), hint));
    }
    let machines = situation.spec.machines.iter();
    Ok(machines.filter(|machine| wanted.contains(machine.name.as_str())).collect())
}

/// nodes.md, "Adding/Removal of first kube_control_plane and etcd-master": currently you can't remove the first.
fn not_the_first(situation: &Situation<'_>, machine: &MachineSpec) -> Result<(), Refusal> {
    let words = situation.words;
    for (role, what) in [(Role::ControlPlane, "control plane"), (Role::Etcd, "member of etcd")] {
        let mut of_role = situation.with_role(role);
        if of_role.next().map(|first| &first.name) != Some(&machine.name) {
            continue;
        }
        let (why, hint) = match of_role.next() {
            None => (
                format!("`{}` is the last {what}: without it there is no cluster", machine.name),
                format!(
                    "`cargo xtask deploy reset {words}` takes the whole cluster away, and keeps the machines"
                ),
            ),
            Some(second) => (
                format!("`{}` is the first {what}, and Kubespray cannot remove the first", machine.name),
                format!(
                    "put `{}` before it in the cluster file, call `cargo xtask lab up {words}` and `cargo xtask deploy {words}`, and remove it then (Kubespray's docs/operations/nodes.md)",
                    second.name
                ),
            ),
        };
        return Err(Refusal::new(why, hint));
    }
    let address = machine.address.to_string();
    if situation.api_address() == Some(address.as_str()) {
        return Err(Refusal::new(
            format!("`{}` has the address at which every node finds the API, {address}", machine.name),
            "give `loadbalancer_apiserver` another address in the cluster file, and deploy that first",
        ));
    }
    Ok(())
}

/// One member at a time, and only while the others are a majority.
fn etcd_lives_on(situation: &Situation<'_>, members: &[&str]) -> Result<(), Refusal> {
    let words = situation.words;
    let first = match members {
        [] => return Ok(()),
        [one] => one,
        [first, ..] => {
            return Err(Refusal::new(
                format!("{} members of etcd, of which only one goes at a time", are(members)),
                format!("begin with `cargo xtask deploy remove-node {words} {first}`"),
            ));
        }
    };
    match situation.etcd()?.cannot_spare(first, true) {
        None => Ok(()),
        Some(why) => Err(Refusal::new(
            why,
            format!(
                "mend the others first: `cargo xtask deploy {words}`, or `cargo xtask deploy recover-control-plane {words}` where a machine of them was lost"
            ),
        )),
    }
}

/// The tasks left for a person when they have gone.
fn next(
    situation: &Situation<'_>,
    names: &[&str],
    members: &[&str],
    machines: &[&MachineSpec],
) -> Vec<String> {
    let words = situation.words;
    let it = if names.len() == 1 { "it" } else { "them" };
    let machine = if names.len() == 1 { "the machine" } else { "the machines" };
    let mut next = vec![format!(
        "take {} out of the cluster file, and `cargo xtask lab up {words}` removes {machine}; while the file names {it}, `cargo xtask deploy {words}` would add {it} again",
        listed(names)
    )];
    // Addresses that the file does not give are planned in its order.
    let first_gone = situation.spec.machines.iter().position(|one| one.name == names[0]).unwrap_or_default();
    let behind: Vec<String> = situation.spec.machines[first_gone..]
        .iter()
        .filter(|machine| !names.contains(&machine.name.as_str()))
        .map(|machine| format!("{} for `{}`", machine.address, machine.name))
        .collect();
    if !behind.is_empty() {
        next.push(format!(
            "machines behind {it} move up to other addresses unless the file gives them theirs: `address:` {}",
            behind.join(", ")
        ));
    }
    if !members.is_empty() || machines.iter().any(|machine| machine.roles.contains(&Role::ControlPlane)) {
        next.push(format!(
            "then `cargo xtask deploy {words}` writes the shorter lists of control planes and members of etcd to the machines that stay"
        ));
    }
    next
}
