//! Reaching machines: the ssh command, and the wait until it works.

use std::collections::BTreeMap;
use std::time::Duration;

use lab_core::identity::LabId;
use lab_core::plan::MachineState;
use lab_core::spec::{HostSpec, MachineKind};
use tokio::task::JoinSet;

use crate::cx::Cx;
use crate::failure::{Failure, FailureKind};
use crate::process::{Invocation, ProcessError, invocation};
use crate::progress::Task;
use crate::timeouts::{
    BLIND_LOGIN_INTERVAL, CONSOLE_SILENCE_TIMEOUT, MACHINE_STATE_INTERVAL, SSH_LOGIN_TIMEOUT,
};
use crate::wait::{Deadline, WaitError};

use super::console::{self, ConsoleEvent};
use super::{Lab, Reached};

/// `ssh` to a machine of the lab, with the lab's own settings and nothing of the user's.
pub fn ssh(lab: &Lab, machine: &str) -> Invocation {
    invocation("ssh").arg("-F").arg(lab.files.ssh_config()).args(["-o", "BatchMode=yes"]).arg(machine)
}

/// A machine will not come up in this run of it, but may in the next. Holds the line of its console that says so.
#[derive(Debug, thiserror::Error)]
#[error("its kernel panicked: {0}")]
pub struct Panicked(String);

/// Waits until a login to a machine succeeds. `started_at`: the length of its console log when it was started;
/// none for a machine that runs already.
///
/// # Errors
/// When the machine stops or panics, or the deadline passes; with the last lines of its console.
pub async fn wait(
    cx: &Cx,
    lab: &Lab,
    reached: &Reached,
    machine: &str,
    started_at: Option<u64>,
    deadline: Deadline,
    task: &Task,
) -> anyhow::Result<()> {
    let log = lab.files.machine(machine).console();
    let unreachable = |error: anyhow::Error| {
        let lines = console::last_lines(&log, started_at.unwrap_or(0), 12);
        error.context(
            Failure::new(
                FailureKind::Provision,
                format!("`{machine}` cannot be logged in to; its console said last:\n{lines}"),
            )
            .hint(format!("`cargo xtask lab logs {machine}` shows the whole console")),
        )
    };
    listen(cx, lab, reached, machine, started_at, deadline, task).await.map_err(unreachable)
}

async fn listen(
    cx: &Cx,
    lab: &Lab,
    reached: &Reached,
    machine: &str,
    started_at: Option<u64>,
    deadline: Deadline,
    task: &Task,
) -> anyhow::Result<()> {
    let what = format!("a login on `{machine}`");
    let log = lab.files.machine(machine).console();
    let mut events = console::watch(&log, started_at.unwrap_or_else(|| console::length(&log)))?;
    let mut watching = true;
    // A machine that was started by an earlier command may have said all it has to say.
    let will_tell = lab.spec.host == HostSpec::Embedded && started_at.is_some();
    let mut silence = if will_tell { CONSOLE_SILENCE_TIMEOUT } else { BLIND_LOGIN_INTERVAL };
    let mut silent = Deadline::after(if started_at.is_some() { silence } else { Duration::ZERO });
    let mut tries = 0;
    let mut last = "nothing on the console yet".to_owned();
    loop {
        let state = Deadline::after(MACHINE_STATE_INTERVAL);
        let attempt = tokio::select! {
            heard = events.recv(), if watching => match heard {
                Some(ConsoleEvent::RootMounted) => {
                    task.step("booting");
                    last = "its root disk was mounted".to_owned();
                    silent = Deadline::after(silence);
                    false
                }
                Some(ConsoleEvent::SshReady) => {
                    task.step("logging in");
                    silence = BLIND_LOGIN_INTERVAL;
                    true
                }
                Some(ConsoleEvent::Dead(line)) => anyhow::bail!("it will not come up: {line}"),
                Some(ConsoleEvent::Panicked(line)) => return Err(Panicked(line).into()),
                None => {
                    watching = false;
                    false
                }
            },
            () = state.passed() => {
                running(cx, reached, machine).await?;
                silent.remaining().is_zero() || !watching
            }
            () = deadline.passed() => {
                return Err(WaitError::Late { what, seconds: deadline.length().as_secs_f64(), tries, last }.into());
            }
            () = cx.cancel.cancelled() => return Err(WaitError::Cancelled { what }.into()),
        };
        if attempt {
            tries += 1;
            match login(cx, lab, reached, machine, deadline).await? {
                None => return Ok(()),
                Some(why) => last = why,
            }
            silent = Deadline::after(silence);
        }
    }
}

/// One login. `None`: it worked; else why it did not, where trying again may help.
///
/// # Errors
/// When trying again is of no use.
pub async fn login(
    cx: &Cx,
    lab: &Lab,
    reached: &Reached,
    machine: &str,
    deadline: Deadline,
) -> anyhow::Result<Option<String>> {
    let probe = ssh(lab, machine).arg("true");
    match reached.inside(&probe).output(&cx.cancel, deadline.at_most(SSH_LOGIN_TIMEOUT)).await {
        Ok(output) if output.status.success() => Ok(None),
        Ok(output) => {
            let why = output.stderr.trim().lines().last().unwrap_or("ssh said nothing").to_owned();
            anyhow::ensure!(
                !why.contains("Host key verification failed"),
                "its host key is not the planned one: {why}"
            );
            Ok(Some(why))
        }
        Err(ProcessError::Late { seconds, .. }) => {
            Ok(Some(format!("a login did not end within {seconds:.0} s")))
        }
        Err(error) => Err(error.into()),
    }
}

async fn running(cx: &Cx, reached: &Reached, machine: &str) -> anyhow::Result<()> {
    let (provider, domain) = (reached.provider.clone(), reached.domains[machine].clone());
    match cx.blocking(move || provider.domain_state(&domain)).await?.map(|(state, _)| state) {
        Some(MachineState::Running) => Ok(()),
        Some(MachineState::Crashed) => Err(Panicked("its provider says that it crashed".to_owned()).into()),
        Some(MachineState::Paused) => anyhow::bail!("it was paused: the computer's disk may be full"),
        Some(MachineState::ShutOff) => anyhow::bail!("it stopped by itself"),
        None => anyhow::bail!("its domain is gone"),
    }
}

/// The machines of the lab `id` that run, with the names of these runs.
///
/// # Errors
/// When libvirt does not answer.
pub async fn runs(cx: &Cx, reached: &Reached, id: &LabId) -> anyhow::Result<BTreeMap<String, String>> {
    let provider = reached.provider.clone();
    let domains = cx.blocking(move || provider.domains()).await?;
    let runs = domains
        .into_iter()
        .filter(|found| found.record.lab == *id && found.state == MachineState::Running)
        .filter_map(|found| found.run.map(|run| (found.record.machine, reached.run_name(run))));
    Ok(runs.collect())
}

/// Starts what an image of ours leaves out at the first boot until machines are reached (`lab-late.service` in the image's
/// recipe). Where this fails the machine does it by itself a minute after its start, and other images have no such unit.
///
/// # Errors
/// When libvirt does not answer.
pub async fn start_second_stage(cx: &Cx, lab: &Lab, reached: &Reached, id: &LabId) -> anyhow::Result<()> {
    const START: &str = "sudo -n systemctl --no-block start lab-late.service";
    let mut logins = JoinSet::new();
    let runs = runs(cx, reached, id).await?;
    let machines = lab.spec.machines.iter();
    for machine in
        machines.filter(|machine| machine.kind == MachineKind::Vm && runs.contains_key(&machine.name))
    {
        let (cancel, run) = (cx.cancel.clone(), reached.inside(&ssh(lab, &machine.name).arg(START)));
        logins.spawn(async move { run.output(&cancel, Deadline::after(SSH_LOGIN_TIMEOUT)).await });
    }
    logins.join_all().await;
    Ok(())
}
