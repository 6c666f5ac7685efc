//! The inventory that Kubespray and Ansible read.
//!
//! It names machines, groups and how to log in. Everything else (labels, taints, versions) belongs
//! into group and host variables in YAML: in this format `true` is a text and a map is another one.

use std::fmt::Write as _;

use super::access::{Access, AccessError, quoted};
use crate::spec::{ClusterSpec, MachineSpec, Role};

/// The text of `inventory.ini`.
///
/// # Errors
/// If a path cannot be written so that Ansible and OpenSSH read it back.
pub fn inventory_ini(spec: &ClusterSpec, access: &Access) -> Result<String, AccessError> {
    access.check()?;
    let mut text = format!(
        "# Made by the lab {} from its cluster file; changes are overwritten.\n\
         # Give this file to Ansible by its own name: Kubespray's settings pass over .ini files in a directory.\n\n\
         [all]\n",
        spec.name
    );
    let width = spec.machines.iter().map(|machine| machine.name.len()).max().unwrap_or_default();
    for MachineSpec { name, address, .. } in &spec.machines {
        // Without `ip`, Kubespray takes whatever address the default route leads to.
        let _ = writeln!(text, "{name:width$} ansible_host={address} ip={address}");
    }
    text.push_str(&variables(access));
    for (group, role) in
        [("kube_control_plane", Role::ControlPlane), ("etcd", Role::Etcd), ("kube_node", Role::Worker)]
    {
        let members = spec.machines.iter().filter(|machine| machine.roles.contains(&role));
        let members: String = members.map(|machine| format!("{}\n", machine.name)).collect();
        let _ = write!(text, "\n[{group}]\n{members}");
    }
    // Kubespray would make the group while it runs; what reads the inventory before that, or without
    // Kubespray, would miss its variables.
    text.push_str("\n[calico_rr]\n\n[k8s_cluster:children]\nkube_control_plane\nkube_node\ncalico_rr\n");
    Ok(text)
}

/// How to log in. No `become` here: it would reach the tasks that Kubespray hands to this computer.
fn variables(access: &Access) -> String {
    // In this section a value is the rest of the line as it stands; blanks and quotes need no escape.
    // `ansible_ssh_args` stands before everything else on ssh's command line and takes the place of
    // Kubespray's own setting, which would turn host key checking off. The rest is in the ssh_config.
    let ssh_args = format!("-F {} -o ControlMaster=no", quoted(&access.ssh_config));
    let values = [
        ("ansible_user", access.user.as_str()),
        ("ansible_python_interpreter", "/usr/bin/python3"),
        ("ansible_ssh_private_key_file", &access.key),
        ("ansible_ssh_args", &ssh_args),
        ("ansible_host_key_checking", "True"),
    ];
    let lines: String = values.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    format!("\n[all:vars]\n{lines}")
}
