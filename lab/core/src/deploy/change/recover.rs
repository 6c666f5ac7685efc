//! `recover-control-plane`: a whole control plane again, from its remaining machines.
//!
//! Kubespray's docs/operations/recover-control-plane.md: new machines in the place of those that were lost,
//! the lost ones in groups of their own, the remaining machines first in the groups, and then
//! `recover-control-plane.yml`, limited to etcd and the control planes.

use super::{
    Change, Decision, LivingNode, PREPARE_CONTROL_PLANES, Refusal, Situation, Step, facts, listed,
    prepares_control_planes,
};
use crate::spec::{ClusterSpec, MachineSpec, Role};

/// How often Kubespray looks whether a new member of etcd has joined; its page recommends ten or more.
const RETRIES: u32 = 10;

/// The additions of a recovery to the cluster's inventory.
#[derive(Debug, Clone, PartialEq)]
pub struct Recovery {
    /// The cluster file with the remaining machines before the lost ones.
    pub spec: ClusterSpec,
    /// The groups of the lost machines, as they stand in `inventory.ini`.
    pub groups: String,
}

/// The change that recovers the control plane, and the inventory for it; no inventory where there is nothing
/// to do.
///
/// # Errors
/// When no machine is left to recover from, or a lost machine has no replacement.
#[expect(
    clippy::too_many_lines,
    reason = "the decision is one table: lost machines, remaining machines, the steps of recovery"
)]
pub fn recover(situation: &Situation<'_>) -> Result<(Decision, Option<Recovery>), Refusal> {
    let Situation { spec, words, living } = *situation;
    let etcd = situation.etcd()?;
    let is_healthy = |name: &str| etcd.members.iter().any(|one| one.machine == name && one.healthy);
    // A node is called ready for a while after its machine was lost.
    let is_well = |name: &str| {
        let is_ready = |node: &LivingNode| node.name == name && node.ready;
        living.answering.contains(name) && living.nodes.iter().flatten().any(is_ready)
    };
    let broken = |role: Role, is_well: &dyn Fn(&str) -> bool| -> Vec<&str> {
        let machines = situation.with_role(role).map(|machine| machine.name.as_str());
        machines.filter(|name| !situation.reaches(name) || !is_well(name)).collect()
    };
    let members = broken(Role::Etcd, &is_healthy);
    let planes = match &living.nodes {
        Some(_) => broken(Role::ControlPlane, &is_well),
        // Without a majority of etcd no API server can answer; then a control plane is lost where its etcd is.
        None if !etcd.quorum => broken(Role::ControlPlane, &|name| !members.contains(&name)),
        None => {
            return Err(Refusal::new(
                format!(
                    "no API server of the cluster `{}` answers, though its etcd has a majority",
                    spec.name
                ),
                format!("nothing of it is lost, and `cargo xtask deploy {words}` mends it"),
            ));
        }
    };
    let is_lost = |machine: &MachineSpec| {
        members.contains(&machine.name.as_str()) || planes.contains(&machine.name.as_str())
    };
    let lost: Vec<&MachineSpec> = spec.machines.iter().filter(|machine| is_lost(machine)).collect();
    if lost.is_empty() {
        let name = &spec.name;
        let nothing = format!("every control plane and every member of etcd of `{name}` is well");
        return Ok((Decision::Nothing(nothing), None));
    }
    let left = |role: Role| situation.with_role(role).find(|machine| !is_lost(machine));
    if left(Role::Etcd).is_none() || left(Role::ControlPlane).is_none() {
        return Err(Refusal::new(
            format!(
                "nothing is left of the control plane of `{}` that it could be recovered from",
                spec.name
            ),
            format!(
                "`cargo xtask deploy reset {words}` and `cargo xtask deploy {words}` make a new, empty cluster"
            ),
        ));
    }
    if let Some(machine) = lost.iter().find(|one| situation.api_address() == Some(&one.address.to_string())) {
        return Err(Refusal::new(
            format!("`{}` was lost, and has the address at which every node finds the API", machine.name),
            "give `loadbalancer_apiserver` an address that is left, in the cluster file",
        ));
    }
    situation.needs(lost.iter().map(|machine| machine.name.as_str())).map_err(|refusal| {
        let hint = format!("{}, also in the place of one that was lost", refusal.hint);
        Refusal { hint, ..refusal }
    })?;
    let mut change = Change::new("recover-control-plane", situation);
    for machine in spec.machines.iter().filter(|machine| {
        !is_lost(machine)
            && (machine.roles.contains(&Role::ControlPlane) || machine.roles.contains(&Role::Etcd))
    }) {
        change.machine(&machine.name, "is left: the others recover from it");
    }
    for machine in &lost {
        let what = match (members.contains(&machine.name.as_str()), planes.contains(&machine.name.as_str())) {
            (true, true) => "was lost: joins etcd and the control plane again",
            (true, false) => "was lost to etcd: joins it again",
            (false, _) => "was lost as a control plane: joins again",
        };
        change.machine(&machine.name, what);
    }
    // A machine in the place of another has other facts.
    change.steps.push(facts());
    if prepares_control_planes(spec) && !planes.is_empty() {
        change.steps.push(Step::new(
            PREPARE_CONTROL_PLANES,
            "kube-router's files, which Kubespray lays there only when they are ready",
        ));
    }
    change.steps.push(
        Step::new("recover-control-plane.yml", "takes the lost ones out and lets them join again")
            .limit(["etcd", "kube_control_plane"])
            .variable("etcd_retries", RETRIES),
    );
    let names: Vec<&str> = lost.iter().map(|machine| machine.name.as_str()).collect();
    change.lost.push(format!("the data of etcd and the control plane on {}", listed(&names)));
    if !etcd.quorum {
        let first = left(Role::Etcd).map(|machine| machine.name.as_str()).unwrap_or_default();
        change.lost.push(format!(
            "all writes that had not reached the etcd of `{first}`: without a majority, its data becomes the cluster's"
        ));
    }
    let (mut first, last): (Vec<MachineSpec>, Vec<MachineSpec>) =
        spec.machines.iter().cloned().partition(|machine| !is_lost(machine));
    first.extend(last);
    let group = |name: &str, machines: &[&str]| {
        let lines: String = machines.iter().map(|machine| format!("{machine}\n")).collect();
        format!("\n[{name}]\n{lines}")
    };
    let recovery = Recovery {
        spec: ClusterSpec { machines: first, ..spec.clone() },
        groups: group("broken_etcd", &members) + &group("broken_kube_control_plane", &planes),
    };
    Ok((Decision::Do(change), Some(recovery)))
}
