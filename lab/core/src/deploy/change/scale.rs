//! `scale`: machines of the cluster file that are no nodes yet.
//!
//! Kubespray's docs/operations/nodes.md: workers by `scale.yml`, limited to them; control planes by `cluster.yml`, and
//! only behind those that are there; members of etcd in several steps by hand.

use super::{Change, Decision, Refusal, Situation, Step, listed};
use crate::spec::{MachineSpec, Role};

/// The change that makes nodes of the new machines in the cluster file.
///
/// # Errors
/// When Kubespray's `scale.yml` cannot do it.
pub fn scale(situation: &Situation<'_>) -> Result<Decision, Refusal> {
    let Situation { spec, words, .. } = *situation;
    let nodes = situation.nodes()?;
    let is_node = |machine: &&MachineSpec| nodes.iter().any(|node| node.name == machine.name);
    let new: Vec<&MachineSpec> = situation.wanted_nodes().filter(|machine| !is_node(machine)).collect();
    if new.is_empty() {
        let name = &spec.name;
        return Ok(Decision::Nothing(format!(
            "every machine of the cluster file `{name}` is a node already"
        )));
    }
    let names = |role: Role| -> Vec<&str> {
        new.iter().filter(|one| one.roles.contains(&role)).map(|one| one.name.as_str()).collect()
    };
    let (members, planes) = (names(Role::Etcd), names(Role::ControlPlane));
    if !members.is_empty() {
        return Err(Refusal::new(
            format!("{} would be new in etcd, and etcd is not made larger here", listed(&members)),
            format!(
                "new control planes need no part in it: give `etcd` to the machines that have it now, by `roles`. Else `cargo xtask deploy reset {words}` and `cargo xtask deploy {words}` make a new cluster; Kubespray's docs/operations/nodes.md has the steps by hand"
            ),
        ));
    }
    if !planes.is_empty() {
        let last_old = situation.with_role(Role::ControlPlane).filter(is_node).last();
        let is_before = |name: &&&str| {
            let place = |name: &str| spec.machines.iter().position(|machine| machine.name == name);
            last_old.is_some_and(|old| place(name) < place(&old.name))
        };
        let hint = match planes.iter().find(is_before) {
            Some(name) => format!(
                "move `{name}` behind the control planes that there are: Kubespray takes new ones only at the end (docs/operations/nodes.md). Then `cargo xtask deploy {words}` adds them"
            ),
            None => format!("`cargo xtask deploy {words}` adds control planes: that is work for cluster.yml"),
        };
        let why = format!("{} would be a control plane, which scale.yml does not make", listed(&planes));
        return Err(Refusal::new(why, hint));
    }
    let workers = || new.iter().map(|machine| machine.name.as_str());
    let first = situation.with_role(Role::ControlPlane).next().map(|machine| machine.name.as_str());
    situation.needs(workers().chain(first))?;
    let mut change = Change::new("scale", situation);
    for worker in workers() {
        change.machine(worker, "becomes a node, a worker");
    }
    change.steps.extend(situation.facts(workers()));
    change.steps.push(Step::new("scale.yml", "makes the new machines nodes").limit(workers()));
    change.notes.push("every other machine stays as it is".to_owned());
    Ok(Decision::Do(change))
}
