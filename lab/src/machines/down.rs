//! Stopping machines, politely where they listen; and `down`: the whole lab stopped, its disks kept.

use lab_core::plan::MachineState;
use lab_core::spec::HostSpec;

use crate::cx::Cx;
use crate::host::embedded;
use crate::host::load::{self, until_even_if_overloaded};
use crate::lab::state::StateFile;
use crate::lab::{Lab, Reached};
use crate::progress::{Kind, Task};
use crate::timeouts::{SHUTDOWN_INTERVAL, SHUTDOWN_TIMEOUT};
use crate::wait::{Probe, WaitError};

/// After how many looks the power button is pressed again. A machine that can be logged in to may still be
/// starting the listener of the button, and a press without a listener is lost.
const LOOKS_A_PRESS: u32 = 15;

/// Presses a machine's power button until it is heard, and waits; takes its power, and says so, when libvirt cannot
/// press it or patience ends.
///
/// # Errors
/// When libvirt refuses, or the user asks to stop.
pub async fn stop_machine(
    cx: &Cx,
    reached: &Reached,
    name: &str,
    domain: &str,
    task: &Task,
) -> anyhow::Result<()> {
    let what = format!("the end of `{name}`");
    let mut looks = 0;
    let notify = |note: &str| cx.progress.note(note);
    let (timeout, interval) = (SHUTDOWN_TIMEOUT, SHUTDOWN_INTERVAL);
    let ended = until_even_if_overloaded(&cx.cancel, &what, timeout, interval, load::watch, notify, || {
        let press = looks % LOOKS_A_PRESS == 0;
        looks += 1;
        async move {
            let (provider, domain) = (reached.provider.clone(), domain.to_owned());
            let looked = cx.blocking(move || {
                let pressed = if press { provider.shut_down_domain(&domain) } else { Ok(()) };
                Ok((provider.domain_state(&domain)?, pressed))
            });
            match looked.await {
                Ok((None | Some((MachineState::ShutOff, _)), _)) => Probe::Ready(None),
                Ok((Some(_), Err(error))) => Probe::Ready(Some(format!("{error:#}"))),
                Ok((Some((state, _)), Ok(()))) => Probe::NotYet(format!("{state:?}")),
                Err(error) => Probe::Fatal(error),
            }
        }
    })
    .await;
    let reason = match ended {
        Ok(None) => return Ok(()),
        Ok(Some(refusal)) => refusal,
        Err(WaitError::Late { seconds, .. }) => format!("did not shut down within {seconds:.0} s"),
        Err(error) => return Err(error.into()),
    };
    task.step(&format!("{reason}; taking its power"));
    let (provider, domain) = (reached.provider.clone(), domain.to_owned());
    cx.blocking(move || provider.power_off_domain(&domain)).await
}

/// Stops every machine of the lab at once, then its network or its whole embedded host. Disks stay.
///
/// # Errors
/// When a machine cannot be stopped.
pub async fn down(cx: &Cx, lab: &Lab) -> anyhow::Result<()> {
    let Some(state) = lab.state()? else {
        cx.progress.note(&format!("there is no lab `{}`", lab.spec.name));
        return Ok(());
    };
    let _held = lab.hold()?;
    let Some(reached) = Reached::find(cx, lab, &state).await? else {
        cx.progress.note(&format!("the lab `{}` is stopped already", lab.spec.name));
        return Ok(());
    };
    stop(cx, &reached, &state, None).await?;
    if lab.spec.host == HostSpec::Embedded {
        embedded::end(&lab.files.host(), &cx.cancel).await?;
    }
    cx.progress.note(&format!("the lab `{}` is stopped; its disks are kept", lab.spec.name));
    Ok(())
}

/// Stops machines of the lab all at once: these, or every one.
///
/// # Errors
/// When a machine cannot be stopped.
pub async fn stop(
    cx: &Cx,
    reached: &Reached,
    state: &StateFile,
    only: Option<&[&str]>,
) -> anyhow::Result<()> {
    let id = state.get().lab;
    let provider = reached.provider.clone();
    let domains = cx.blocking(move || provider.domains()).await?;
    let mut work = tokio::task::JoinSet::new();
    for found in domains {
        let is_one = only.is_none_or(|only| only.contains(&found.record.machine.as_str()));
        if is_one && found.record.lab == id && found.state != MachineState::ShutOff {
            let (cx, reached) = (cx.clone(), reached.clone());
            work.spawn(async move {
                let task = cx.progress.task(&found.record.machine);
                task.step("shutting down");
                let stopped =
                    stop_machine(&cx, &reached, &found.record.machine, &found.record.name, &task).await;
                if stopped.is_ok() {
                    task.done_as(Kind::Stopped, &format!("stopped in {:.1} s", task.elapsed().as_secs_f64()));
                }
                stopped
            });
        }
    }
    while let Some(stopped) = work.join_next().await {
        stopped??;
    }
    Ok(())
}
