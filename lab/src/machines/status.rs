//! What there is of a lab right now. Starts nothing, changes nothing.

use lab_core::plan::{MachineState, Observed};
use lab_core::spec::{HostSpec, Role};
use serde::Serialize;

use crate::artifacts::serve::{self, ServedStatus};
use crate::cx::Cx;
use crate::lab::{Lab, Reached};

use super::{observe, offline};

/// The state of a lab, as `--json` shows it.
#[derive(Debug, Serialize)]
pub struct LabStatus {
    /// Name of the cluster.
    pub cluster: String,
    /// Where its machines run.
    pub host: String,
    /// Whether the embedded host runs; true for any other host that answers.
    pub host_running: bool,
    /// In the order of the cluster file, then those it no longer names.
    pub machines: Vec<MachineStatus>,
    /// What the embedded host gives to the machines, if anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub served: Option<ServedStatus>,
}

/// The state of a machine.
#[derive(Debug, Serialize)]
pub struct MachineStatus {
    /// Its name.
    pub name: String,
    /// One of `running`, `starting` (no login has succeeded yet), `paused`, `crashed`, `off`, `absent`.
    pub state: &'static str,
    /// Planned address; none for a machine that the file no longer names.
    pub address: Option<std::net::Ipv4Addr>,
    /// As the file says.
    pub roles: Vec<Role>,
    /// Its GPUs as the file says, `GPU RTX A6000 (stand-in)`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gpus: Vec<String>,
    /// Whether the cluster file names it.
    pub in_file: bool,
}

/// Looks.
///
/// # Errors
/// When a host that should answer does not.
pub async fn look(cx: &Cx, lab: &Lab) -> anyhow::Result<LabStatus> {
    let mut running = false;
    let observed = match lab.state()? {
        None => Observed::default(),
        Some(state) => match Reached::find(cx, lab, &state).await? {
            Some(reached) => {
                running = true;
                observe::observe(cx, lab, &reached, &state.get()).await?
            }
            None => offline::observe(cx, lab, &state.get()).await?,
        },
    };
    let in_file = lab.spec.machines.iter().map(|machine| MachineStatus {
        name: machine.name.clone(),
        state: word(&observed, &machine.name),
        address: Some(machine.address),
        roles: machine.roles.iter().copied().collect(),
        gpus: machine.gpus.iter().map(ToString::to_string).collect(),
        in_file: true,
    });
    let gone = observed
        .machines
        .keys()
        .filter(|name| !lab.spec.machines.iter().any(|machine| machine.name == **name))
        .map(|name| MachineStatus {
            name: name.clone(),
            state: word(&observed, name),
            address: None,
            roles: vec![],
            gpus: vec![],
            in_file: false,
        });
    let machines = in_file.chain(gone).collect();
    let host = match &lab.spec.host {
        HostSpec::Embedded => "embedded".to_owned(),
        HostSpec::Libvirt(uri) => uri.clone(),
    };
    Ok(LabStatus {
        cluster: lab.spec.name.clone(),
        host,
        host_running: running,
        machines,
        served: serve::status(lab)?,
    })
}

fn word(observed: &Observed, name: &str) -> &'static str {
    let Some(machine) = observed.machines.get(name) else { return "absent" };
    match machine.domain.as_ref().map(|domain| (domain.state, domain.reached)) {
        Some((MachineState::Running, true)) => "running",
        Some((MachineState::Running, false)) => "starting",
        Some((MachineState::Paused, _)) => "paused",
        Some((MachineState::Crashed, _)) => "crashed",
        Some((MachineState::ShutOff, _)) => "off",
        None => "absent",
    }
}

/// The state as a table.
pub fn table(status: &LabStatus) -> String {
    let host = if status.host_running { "running" } else { "stopped" };
    let mut text = format!("lab {}, host {} ({host})\n\n", status.cluster, status.host);
    let width = status.machines.iter().map(|machine| machine.name.len()).chain([7]).max().unwrap_or(7);
    text.push_str(&format!("{:width$}  {:8}  {:15}  ROLES\n", "MACHINE", "STATE", "ADDRESS"));
    for machine in &status.machines {
        let address = machine.address.map_or("-".to_owned(), |address| address.to_string());
        let roles = if machine.in_file {
            role_words(&machine.roles)
        } else {
            "(no longer in the cluster file)".to_owned()
        };
        let facts = [vec![roles], machine.gpus.clone()].concat().join(", ");
        text.push_str(&format!("{:width$}  {:8}  {address:15}  {facts}\n", machine.name, machine.state));
    }
    if let Some(served) = &status.served {
        let word = |running| if running { "running" } else { "stopped" };
        text.push_str(&format!("\nfiles     {:8}  {}\n", word(served.files_running), served.files));
        match &served.registry {
            Some(url) => {
                text.push_str(&format!("registry  {:8}  {url}\n", word(served.registry_running)));
            }
            None => text.push_str("registry  absent    there is no `docker-registry` on this computer\n"),
        }
    }
    text
}

/// Roles as a cluster file spells them.
pub fn role_words(roles: &[Role]) -> String {
    let words: Vec<&str> = roles
        .iter()
        .map(|role| match role {
            Role::ControlPlane => "control-plane",
            Role::Etcd => "etcd",
            Role::Worker => "worker",
        })
        .collect();
    words.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_is_printed_as_table() {
        let machine = |name: &str, state, in_file: bool| MachineStatus {
            name: name.to_owned(),
            state,
            address: in_file.then(|| "192.168.200.10".parse().unwrap()),
            roles: if in_file { vec![Role::ControlPlane, Role::Etcd] } else { vec![] },
            gpus: if in_file { vec!["GPU RTX A6000 (stand-in)".to_owned()] } else { vec![] },
            in_file,
        };
        let status = LabStatus {
            cluster: "dev".to_owned(),
            host: "embedded".to_owned(),
            host_running: true,
            machines: vec![machine("control-plane", "running", true), machine("old", "off", false)],
            served: Some(ServedStatus {
                files: "http://192.168.200.1:8080".to_owned(),
                files_running: true,
                registry: Some("https://192.168.200.1:5000".to_owned()),
                registry_running: false,
            }),
        };
        insta::assert_snapshot!(table(&status));
    }
}
