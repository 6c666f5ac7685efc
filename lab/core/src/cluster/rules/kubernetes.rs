//! Needs of Kubernetes, etcd and Kubespray across all machines.

use super::machines::Draft;
use crate::cluster::decode::List;
use crate::cluster::raw;
use crate::source::{Code, Findings, Span};
use crate::spec::{MachineSpec, Role};
use crate::units::Bytes;

/// With less, apt and Ansible's tasks swap to death.
const MACHINE_MEMORY: Bytes = Bytes::from_gib(1);
/// Kubespray asserts 1024 MB as the guest counts them, without the memory that its kernel reserves
/// (roles/kubernetes/preinstall/tasks/0040-verify-settings.yml).
const WORKER_MEMORY: Bytes = Bytes::from_mib(1152);
/// Kubespray asserts 1500 MB as the guest counts them, and kubeadm 1700 MB.
const CONTROL_PLANE_MEMORY: Bytes = Bytes::from_gib(2);
/// The minimum of kubeadm's preflight.
const CONTROL_PLANE_CPUS: u32 = 2;

pub(super) fn check(list: &List<raw::Machine>, machines: &[Draft<'_>], findings: &mut Findings) {
    for machine in machines {
        check_size(machine, findings);
    }
    // An unknown role of one machine could change which are control planes and which members of etcd.
    let known = machines.len() == list.items.len() && machines.iter().all(|machine| machine.roles.is_some());
    if !known {
        return;
    }
    if !machines.iter().any(|machine| is(machine, Role::ControlPlane)) {
        let message =
            if machines.is_empty() { "there are no machines" } else { "no machine is a control plane" };
        findings
            .error(Code::NoControlPlane, list.span, message)
            .hint("give one machine `roles: [control-plane]`");
        return;
    }
    let chosen = machines.iter().any(|machine| is(machine, Role::Etcd));
    let member = if chosen { Role::Etcd } else { Role::ControlPlane };
    let members: Vec<&Draft<'_>> = machines.iter().filter(|machine| is(machine, member)).collect();
    if let [.., last] = members[..]
        && members.len().is_multiple_of(2)
    {
        let message = format!(
            "etcd would have {} members, and an even number survives no more failures than one less",
            members.len()
        );
        findings.error(Code::EvenEtcd, roles_at(last), message).hint(if chosen {
            "take the role `etcd` from one machine, or give it to one more"
        } else {
            "control planes are the members of etcd: have one more or one less, or give an odd number of machines the role `etcd`"
        });
    }
}

fn is(machine: &Draft<'_>, role: Role) -> bool {
    machine.roles.as_ref().is_some_and(|roles| roles.contains(&role))
}

/// Where the roles of a machine are written, or else the machine.
fn roles_at(machine: &Draft<'_>) -> Span {
    let list = machine.file.roles.as_ref().and_then(|read| read.0.as_ref());
    list.and_then(List::first_span).unwrap_or(machine.file.span)
}

/// The minimum of the machine's roles.
fn check_size(machine: &Draft<'_>, findings: &mut Findings) {
    let control_plane = is(machine, Role::ControlPlane);
    let (least, what) =
        if control_plane { (CONTROL_PLANE_MEMORY, "a control plane") } else { (MACHINE_MEMORY, "a machine") };
    if let Some(memory) = machine.memory.filter(|memory| memory.value < least) {
        findings
            .error(
                Code::TooLittleMemory,
                memory.span,
                format!("{} is too little memory for {what}", memory.value),
            )
            .hint(format!("give {} at least {least}", machine.title()));
    } else if let Some(memory) = machine.memory.filter(|memory| memory.value < WORKER_MEMORY)
        && is(machine, Role::Worker)
    {
        findings
            .warning(
                Code::TooLittleMemory,
                memory.span,
                format!("{} is enough to boot, but Kubespray refuses a worker with so little", memory.value),
            )
            .hint(format!("give {} at least {WORKER_MEMORY}", machine.title()));
    }
    if let Some(cpus) = machine.cpus.filter(|cpus| control_plane && cpus.value.0 < CONTROL_PLANE_CPUS) {
        findings
            .error(Code::TooFewCpus, cpus.span, "one processor is too little for a control plane")
            .hint(format!("give {} `cpus: {CONTROL_PLANE_CPUS}`: kubeadm refuses less", machine.title()));
    }
}

/// Writes into the roles who the members of etcd are: the machines that the file gives the role, or
/// else the control planes.
pub(super) fn place_etcd(machines: &mut [MachineSpec]) {
    if machines.iter().any(|machine| machine.roles.contains(&Role::Etcd)) {
        return;
    }
    for machine in machines.iter_mut().filter(|machine| machine.roles.contains(&Role::ControlPlane)) {
        machine.roles.insert(Role::Etcd);
    }
}
