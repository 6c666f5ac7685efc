//! The kubeconfig of a lab's cluster: fetched from a control plane, written so that it works from where people sit, and
//! on request added to a file that they have.
//!
//! On the embedded host people reach the cluster through `lab proxy`, at a port of 127.0.0.1 that is the lab's
//! own; Kubespray's certificate is good for that address (roles/kubernetes/control-plane: `apiserver_sans`). What runs inside the
//! lab's network uses the control plane's own address.

use std::net::SocketAddrV4;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use lab_core::deploy::kubeconfig::{Credentials, merged};
use lab_core::identity::LabId;
use lab_core::spec::{HostSpec, MachineSpec, Role};

use crate::cx::Cx;
use crate::failure::{Failure, FailureKind};
use crate::files::{self, SECRET};
use crate::lab::{Lab, Reached, reach};
use crate::output;
use crate::proxy::Forward;
use crate::timeouts::KUBECONFIG_TIMEOUT;
use crate::wait::Deadline;

/// Where kubeadm leaves it.
pub const ADMIN: &str = "/etc/kubernetes/admin.conf";
/// The port of the API server where the cluster file does not say another.
const API_PORT: u16 = 6443;
/// The ports of labs on 127.0.0.1: this and as many above it as the next constant says. Below those that Linux gives
/// to outgoing connections (ip_local_port_range).
const FIRST_PORT: u16 = 20_000;
const PORTS: u16 = 10_000;

/// The machines that run an API server, in the order of the file.
pub fn control_planes(lab: &Lab) -> impl Iterator<Item = &MachineSpec> {
    lab.spec.machines.iter().filter(|machine| machine.roles.contains(&Role::ControlPlane))
}

/// The port of every API server.
pub fn api_port(lab: &Lab) -> u16 {
    let mut values = ["all", "k8s_cluster", "kube_control_plane"]
        .iter()
        .filter_map(|group| lab.spec.kubespray.variables.get(*group)?.get("kube_apiserver_port")?.as_u64());
    values.next_back().and_then(|port| u16::try_from(port).ok()).unwrap_or(API_PORT)
}

/// The first control plane's own address, for what runs in the lab's network.
///
/// # Errors
/// Never for a checked cluster file, which has a control plane.
pub fn inner_server(lab: &Lab) -> anyhow::Result<String> {
    let machine = control_planes(lab).next().context("the cluster file has no control plane")?;
    Ok(format!("https://{}:{}", machine.address, api_port(lab)))
}

/// The port of 127.0.0.1 at which a lab's API is found while `lab proxy` runs: the same for the life of the lab.
pub fn proxied_port(lab: &LabId) -> u16 {
    let number = u64::from_str_radix(&lab.to_string(), 16).unwrap_or_default();
    FIRST_PORT + u16::try_from(number % u64::from(PORTS)).unwrap_or_default()
}

/// The address that the kubeconfig names.
fn server(lab: &Lab) -> anyhow::Result<String> {
    match lab.spec.host {
        HostSpec::Libvirt(_) => inner_server(lab),
        HostSpec::Embedded => {
            let state = lab.state()?.context("the lab has no state")?;
            Ok(format!("https://127.0.0.1:{}", proxied_port(&state.get().lab)))
        }
    }
}

/// What `lab proxy` carries where nothing else is asked: the API, where the kubeconfig looks for it.
///
/// # Errors
/// When the lab was never made.
pub fn forward(lab: &Lab) -> anyhow::Result<Forward> {
    let state = lab.state()?.context("the lab has no state")?;
    let machine = control_planes(lab).next().context("the cluster file has no control plane")?;
    let to = SocketAddrV4::new(machine.address, api_port(lab));
    Ok(Forward { local: proxied_port(&state.get().lab), to })
}

/// The name of the context, and of the cluster in it.
fn context_name(lab: &Lab) -> String {
    format!("lab-{}", lab.spec.name)
}

/// Fetches the kubeconfig from the first control plane that has one, and writes the lab's.
///
/// # Errors
/// When no control plane hands one out, or it is none.
pub async fn fetch(cx: &Cx, lab: &Lab, reached: &Reached) -> anyhow::Result<()> {
    let mut last = anyhow::anyhow!("the cluster file has no control plane");
    for machine in control_planes(lab) {
        match fetch_from(cx, lab, reached, &machine.name).await {
            Ok(credentials) => {
                let text = credentials.text(&context_name(lab), &server(lab)?)?;
                return files::write_atomic(&lab.files.kubeconfig(), text.as_bytes(), SECRET);
            }
            Err(error) => last = error.context(format!("`{}` hands out no kubeconfig", machine.name)),
        }
    }
    let words = lab.cluster_words(cx);
    let failure = Failure::new(FailureKind::Deploy, format!("the lab `{}` has no kubeconfig", lab.spec.name));
    Err(last.context(failure.hint(format!("`cargo xtask deploy {words}` makes the cluster that has one"))))
}

async fn fetch_from(cx: &Cx, lab: &Lab, reached: &Reached, machine: &str) -> anyhow::Result<Credentials> {
    let read = reach::ssh(lab, machine).args(["--", "sudo", "cat", ADMIN]);
    let output = reached.inside(&read).output(&cx.cancel, Deadline::after(KUBECONFIG_TIMEOUT)).await?;
    anyhow::ensure!(output.status.success(), "{}", output.stderr.trim());
    Ok(Credentials::of_admin(&output.stdout)?)
}

/// Prints where the kubeconfig is, and adds its context to a file of the user's where one is given.
///
/// # Errors
/// When the lab has none, or the user's file cannot take it.
pub async fn show(cx: &Cx, lab: &Lab, reached: &Reached, merge: Option<PathBuf>) -> anyhow::Result<()> {
    fetch(cx, lab, reached).await?;
    match merge {
        Some(file) => add_to(cx, lab, &file),
        None => output::line(lab.files.kubeconfig().display()),
    }
}

/// The user's own kubeconfig, as kubectl finds it by default.
///
/// # Errors
/// When there is no home.
pub fn of_user() -> anyhow::Result<PathBuf> {
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty()).with_context(|| {
        Failure::new(FailureKind::Usage, "there is no HOME to look for a kubeconfig in")
            .hint("give a file: --merge=FILE")
    })?;
    Ok(PathBuf::from(home).join(".kube/config"))
}

/// Adds the context of the lab's kubeconfig to a file of the user's, in which nothing is replaced.
///
/// # Errors
/// When the lab has no kubeconfig, or the file cannot take it.
pub fn add_to(cx: &Cx, lab: &Lab, file: &Path) -> anyhow::Result<()> {
    let own = files::read_if_present(&lab.files.kubeconfig())?.context("the lab has no kubeconfig")?;
    let credentials = Credentials::of_admin(&own)?;
    let name = context_name(lab);
    // A link is written through, not replaced.
    let file = std::fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let before = files::read_if_present(&file)?;
    let shown = file.display();
    let failure = || {
        Failure::new(FailureKind::Usage, format!("`{shown}` cannot take the context `{name}`; nothing was changed")).hint(
            format!("`kubectl --kubeconfig {shown} config delete-context {name}`, and the same with `delete-cluster {name}` and `delete-user {name}-admin`, remove what an earlier lab left"),
        )
    };
    let merged = merged(before.as_deref().unwrap_or_default(), &name, &server(lab)?, &credentials)
        .with_context(failure)?;
    if !merged.changed {
        cx.progress.note(&format!("`{shown}` has the context `{name}` already"));
        return Ok(());
    }
    let mut mode = SECRET;
    if let Some(before) = before {
        mode = std::fs::metadata(&file).map_or(SECRET, |found| found.permissions().mode() & 0o777);
        let backup = backup(&file);
        files::write_atomic(&backup, before.as_bytes(), SECRET)?;
        cx.progress.note(&format!("the old contents are in `{}`", backup.display()));
    }
    let owner = std::fs::metadata(&file).ok().map(|found| (found.uid(), found.gid()));
    files::write_atomic(&file, merged.text.as_bytes(), mode)?;
    if let Some((user, group)) = owner {
        std::os::unix::fs::chown(&file, Some(user), Some(group))
            .with_context(|| format!("cannot give `{shown}` back to its owner"))?;
    }
    let now = if merged.current { "it is the current one" } else { "the current one stays" };
    cx.progress.note(&format!(
        "`{shown}` has the context `{name}` now; {now}: `kubectl --context {name} get nodes`"
    ));
    Ok(())
}

/// A name beside a file that nothing has yet.
fn backup(file: &Path) -> PathBuf {
    let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    file.with_file_name(format!("{name}.before-lab-{now}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_follows_from_lab_id() {
        for (id, port) in [("000000000000", 20_000), ("00000000270f", 29_999), ("000000002710", 20_000)] {
            assert_eq!(proxied_port(&id.parse().unwrap()), port, "{id}");
        }
    }
}
