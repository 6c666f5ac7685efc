//! Kubespray as its own documentation runs it: its settings, its defaults, nothing of ours but the inventory.
//!
//! The baseline for measurements of [`crate::ansible::play`] and [`crate::deploy`]. Not for users: it prints no progress,
//! and explains no failure.

use anyhow::Context as _;
use serde_json::json;

use crate::ansible::play::{prefixed, share};
use crate::cluster::kubeconfig;
use crate::cx::Cx;
use crate::failure::{Failure, FailureKind};
use crate::files;
use crate::kubespray::source::Request;
use crate::kubespray::{self, Fetched};
use crate::lab::{Lab, connections, run_id, running};
use crate::process::invocation;
use crate::timeouts::PLAYBOOK_TIMEOUT;
use crate::validate::HEALTH;
use crate::validate::ready::not_ready;
use crate::wait::Deadline;

/// Deploys by `ansible-playbook cluster.yml`, and waits as [`crate::deploy::deploy`] does.
///
/// # Errors
/// When the lab does not run, the playbook fails, or the cluster does not become ready.
pub async fn deploy(cx: &Cx, lab: &Lab) -> anyhow::Result<()> {
    let _held = lab.hold()?;
    let reached = running(cx, lab).await?;
    let Fetched { checkout, environment, .. } = kubespray::fetch(cx, &Request::of_lab(lab)?).await?;
    let _share = share(cx, &checkout, &environment)?;
    let records = lab.files.runs().join(run_id());
    let log = records.join("plain.log");
    // The arguments that Kubespray's settings give to ssh; the inventory's would keep no connection.
    let ssh = format!(
        "-F \"{}\" -o ControlMaster=auto -o ControlPersist=30m -o ConnectionAttempts=100",
        lab.files.ssh_config().display()
    );
    let variables = records.join("variables.json");
    files::write_atomic(&variables, json!({"ansible_ssh_args": ssh}).to_string().as_bytes(), files::PUBLIC)?;
    let program = invocation(environment.program("ansible-playbook"))
        .env("ANSIBLE_CONFIG", checkout.path.join("ansible.cfg"))
        .env("LC_ALL", "C.UTF-8")
        // Else facts would be those of another cluster, connections would outlive the lab, and the user's home would have
        // a folder that was not there before: also what runs on this computer is copied to `~/.ansible/tmp` first.
        .env("ANSIBLE_CACHE_PLUGIN_CONNECTION", records.join("facts"))
        .env("ANSIBLE_SSH_CONTROL_PATH_DIR", lab.files.sockets())
        .env("HOME", &records)
        .arg("--inventory")
        .arg(lab.files.inventory())
        .arg("--become")
        .arg("--extra-vars")
        .arg(prefixed("@", &variables))
        .arg(checkout.path.join("cluster.yml"))
        .directory(&checkout.path)
        .log(&log);
    files::remove(&lab.files.deployed())?;
    let failed = || {
        let message = "Kubespray did not deploy the cluster plainly";
        Failure::new(FailureKind::Deploy, message).hint(format!("the log is {}", log.display()))
    };
    let ended = reached.inside(&program).stream(&cx.cancel, Deadline::after(PLAYBOOK_TIMEOUT), |_| ()).await;
    connections::close(&lab.files).await;
    anyhow::ensure!(ended.with_context(failed)?.status.success(), failed());
    kubeconfig::fetch(cx, lab, &reached).await?;
    match not_ready(cx, lab, &reached, &HEALTH).await {
        None => Ok(()),
        Some(why) => Err(anyhow::anyhow!("{why}").context(failed())),
    }
}
