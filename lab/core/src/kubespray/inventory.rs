//! The inventory that Kubespray and Ansible read.
//!
//! It names machines, their addresses, groups and how to log in. Everything else (labels, taints, versions)
//! belongs into group and host variables in YAML: in this format `true` is a text and a map is another one.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::access::AccessError;
use super::render::{IN_INVENTORY, LAB_DIR, first_line};
use super::setting::{Scope, Setting};
use crate::gpu_operator::{gpu_nodes, uuids};
use crate::spec::{ClusterSpec, Role};

/// How the machines of an inventory are logged in to. Nothing in it is an absolute path unless the caller
/// puts one there, so that an inventory can be committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The user to log in as.
    pub user: String,
    /// The folder of the lab, `output/<cluster>`: absolute, or relative to the folder of the inventory.
    pub lab_dir: String,
    /// The private key, relative to the folder of the lab.
    pub key: String,
    /// OpenSSH's settings, relative to the folder of the lab.
    pub ssh_config: String,
}

impl Login {
    /// The folder of the lab as Ansible finds it.
    fn folder(&self) -> String {
        if self.lab_dir.starts_with('/') {
            self.lab_dir.clone()
        } else {
            // A play for localhost (`remove-node.yml` begins with one) is given these variables too, and is in no inventory.
            format!("{{{{ inventory_dir | default('') }}}}/{}", self.lab_dir)
        }
    }
}

/// The text of `inventory.ini`. `settings`: those of machines stand beside their names, as far as they can.
///
/// # Errors
/// If a path cannot be written so that Ansible and OpenSSH read it back.
pub(super) fn inventory_ini(
    spec: &ClusterSpec,
    settings: &[&Setting],
    login: &Login,
) -> Result<String, AccessError> {
    for path in [&login.lab_dir, &login.key, &login.ssh_config] {
        super::access::check_path(path)?;
    }
    let mut text = first_line(spec)
        + "# Give this file to Ansible by its own name: Kubespray's settings pass over .ini files in a directory.\n\n\
           [all]\n";
    let width = spec.machines.iter().map(|machine| machine.name.len()).max().unwrap_or_default();
    let mut beside: HashMap<&str, String> = HashMap::new();
    for setting in settings {
        if let Scope::Host(machine) = &setting.scope
            && let Some(value) =
                setting.value.as_str().filter(|_| IN_INVENTORY.contains(&setting.name.as_str()))
        {
            let _ = write!(beside.entry(machine).or_default(), " {}={value}", setting.name);
        }
    }
    for machine in &spec.machines {
        let words = beside.get(machine.name.as_str()).map_or("", String::as_str);
        let _ = writeln!(text, "{:width$}{words}", machine.name);
    }
    text.push_str(&variables(login));
    for (group, role) in
        [("kube_control_plane", Role::ControlPlane), ("etcd", Role::Etcd), ("kube_node", Role::Worker)]
    {
        let members = spec.machines.iter().filter(|machine| machine.roles.contains(&role));
        let members: String = members.map(|machine| format!("{}\n", machine.name)).collect();
        let _ = write!(text, "\n[{group}]\n{members}");
    }
    // Kubespray would make the group while it runs; a program that reads the inventory before that, or
    // without Kubespray, would miss its variables.
    text.push_str("\n[calico_rr]\n\n[k8s_cluster:children]\nkube_control_plane\nkube_node\ncalico_rr\n");
    text.push_str(&gpus(spec));
    Ok(text)
}

/// The group of the machines with GPUs, as the role `nvidia-gpu-operator` reads it; empty for a cluster without the GPU Operator.
fn gpus(spec: &ClusterSpec) -> String {
    let Some(operator) = &spec.gpu_operator else { return String::new() };
    let mut text = "\n[gpu]\n".to_owned();
    for machine in gpu_nodes(spec) {
        let replicas = operator.sharing.get(&machine.name).copied().unwrap_or(1);
        let (name, gpus) = (&machine.name, machine.gpus.len());
        let _ =
            write!(text, "{name} nvidia_gpu_operator_gpus={gpus} nvidia_gpu_operator_replicas={replicas}");
        let uuids: Vec<String> = uuids(spec, machine).iter().map(|uuid| format!("'{uuid}'")).collect();
        if !uuids.is_empty() {
            // Ansible reads it as Python does.
            let _ = write!(text, " nvidia_gpu_operator_uuids=\"[{}]\"", uuids.join(","));
        }
        text.push('\n');
    }
    let (version, namespace) = (&operator.version, &operator.namespace);
    let _ =
        write!(text, "\n[gpu:vars]\ngpu_operator_version={version}\ngpu_operator_namespace={namespace}\n");
    text
}

/// How to log in, as lines.
fn variables(login: &Login) -> String {
    let lines: String =
        login_variables(login).iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    format!("\n[all:vars]\n{lines}")
}

/// How to log in: the variables of every machine. No `become` here: it would reach the tasks that Kubespray
/// hands to this computer.
pub(super) fn login_variables(login: &Login) -> [(&'static str, String); 6] {
    // In this section a value is the rest of the line as it stands; blanks and quotes need no escape.
    // `ansible_ssh_args` stands before everything else on ssh's command line and takes the place of
    // Kubespray's own setting, which would turn host key checking off. The rest is in the ssh_config.
    let key = format!("{{{{ {LAB_DIR} }}}}/{}", login.key);
    let ssh_args = format!("-F \"{{{{ {LAB_DIR} }}}}/{}\" -o ControlMaster=no", login.ssh_config);
    [
        (LAB_DIR, login.folder()),
        ("ansible_user", login.user.clone()),
        ("ansible_python_interpreter", "/usr/bin/python3".to_owned()),
        ("ansible_ssh_private_key_file", key),
        ("ansible_ssh_args", ssh_args),
        ("ansible_host_key_checking", "True".to_owned()),
    ]
}
