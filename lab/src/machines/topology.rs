//! A picture of a lab: its host, its network, its machines. Pure; made from the spec and a status.

use lab_core::spec::{ClusterSpec, Egress, MachineSpec};

use super::status::{LabStatus, role_words};

/// As a tree, for a terminal.
pub fn tree(spec: &ClusterSpec, status: &LabStatus) -> String {
    let mut text = format!("{} on {}\n└─ network {}\n", spec.name, status.host, network(spec));
    for (index, machine) in spec.machines.iter().enumerate() {
        let branch = if index + 1 == spec.machines.len() { "└─" } else { "├─" };
        text.push_str(&format!(
            "   {branch} {} {} [{}] {}\n",
            machine.name,
            machine.address,
            state(status, machine),
            facts(machine)
        ));
    }
    text
}

/// As a Mermaid flowchart, for a page.
pub fn mermaid(spec: &ClusterSpec, status: &LabStatus) -> String {
    let mut text = format!("flowchart TD\n  network([\"{}\"])\n", network(spec));
    for (index, machine) in spec.machines.iter().enumerate() {
        text.push_str(&format!(
            "  network --- machine{index}[\"{}<br>{}<br>{}<br>{}\"]\n",
            machine.name,
            machine.address,
            facts(machine),
            state(status, machine)
        ));
    }
    text
}

fn network(spec: &ClusterSpec) -> String {
    let egress = match spec.network.egress {
        Egress::None => "no way out",
        Egress::Nat => "out by NAT",
    };
    format!("{}, gateway {}, {egress}", spec.network.subnet, spec.network.gateway)
}

fn state(status: &LabStatus, machine: &MachineSpec) -> &'static str {
    status.machines.iter().find(|found| found.name == machine.name).map_or("absent", |found| found.state)
}

fn facts(machine: &MachineSpec) -> String {
    let roles: Vec<_> = machine.roles.iter().copied().collect();
    let mut facts = vec![role_words(&roles), format!("{} cpu", machine.cpus), machine.memory.to_string()];
    facts.extend(machine.gpus.iter().map(ToString::to_string));
    facts.join(", ")
}
