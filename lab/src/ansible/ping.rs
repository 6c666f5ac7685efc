//! Ansible's own ping: proof that the inventory reaches every machine.

use std::path::PathBuf;

use anyhow::Context as _;

use crate::cx::Cx;
use crate::failure::{Failure, FailureKind};
use crate::lab::state::StateFile;
use crate::lab::{Lab, Reached, reach};
use crate::process::invocation;
use crate::timeouts::PING_TIMEOUT;
use crate::wait::Deadline;

/// Has Ansible reach every machine that runs, unless it has reached these very runs already.
///
/// # Errors
/// When a machine does not answer.
pub async fn once(cx: &Cx, lab: &Lab, reached: &Reached, state: &StateFile) -> anyhow::Result<()> {
    let now = state.get();
    let runs = reach::runs(cx, reached, &now.lab).await?;
    if runs.is_empty() || runs == now.pinged {
        return Ok(());
    }
    let task = cx.progress.task("ansible");
    task.step(&format!("pinging {} machines through the inventory", runs.len()));
    let machines: Vec<String> = runs.keys().cloned().collect();
    let pinged = ping(cx, lab, reached, &machines, Deadline::after(PING_TIMEOUT)).await;
    if let Err(error) = pinged {
        task.failed("not every machine answered");
        return Err(error);
    }
    state.change(|state| state.pinged = runs)?;
    task.done(&format!("{} of {} machines answered", machines.len(), machines.len()));
    Ok(())
}

/// The Ansible environment that `setup` made.
///
/// # Errors
/// When there is none.
pub fn ansible(program: &str) -> anyhow::Result<PathBuf> {
    let folder = std::env::var_os("LAB_ANSIBLE").map(PathBuf::from).with_context(|| {
        Failure::new(FailureKind::Host, "the Ansible environment is not known")
            .hint("call this through `cargo xtask lab`, or set LAB_ANSIBLE to a folder with bin/ansible")
    })?;
    let path = folder.join("bin").join(program);
    anyhow::ensure!(
        path.exists(),
        Failure::new(FailureKind::Host, format!("`{}` is missing", path.display()))
            .hint("run `cargo xtask setup`")
    );
    Ok(path)
}

/// Has Ansible log in to every given machine through the inventory and run its `ping` module.
///
/// # Errors
/// With what Ansible said about the machines that did not answer.
async fn ping(
    cx: &Cx,
    lab: &Lab,
    reached: &Reached,
    machines: &[String],
    deadline: Deadline,
) -> anyhow::Result<()> {
    let run = invocation(ansible("ansible")?)
        .args(["all", "--module-name", "ansible.builtin.ping", "--one-line", "--inventory"])
        .arg(lab.files.inventory())
        .args(["--limit", &machines.join(",")])
        .args(["--forks", &machines.len().to_string()])
        .directory(&lab.files.folder)
        .env("ANSIBLE_CONFIG", lab.files.ansible_settings())
        // Ansible refuses a locale that is not UTF-8.
        .env("LC_ALL", "C.UTF-8");
    let output = reached.inside(&run).output(&cx.cancel, deadline).await?;
    let answered = output.stdout.lines().filter(|line| line.contains("| SUCCESS =>")).count();
    let complaint = || {
        let failed: Vec<&str> = output.stdout.lines().filter(|line| !line.contains("| SUCCESS =>")).collect();
        Failure::new(
            FailureKind::Provision,
            format!(
                "Ansible reached {answered} of {} machines:\n{}\n{}",
                machines.len(),
                failed.join("\n"),
                output.stderr.trim()
            ),
        )
    };
    anyhow::ensure!(output.status.success() && answered == machines.len(), complaint());
    Ok(())
}
