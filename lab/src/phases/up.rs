//! `up`: the machines of a lab as its cluster file says, and reached; from a snapshot where the same was deployed before.

use anyhow::Context as _;
use lab_core::phases::{provisioned, restored};
use lab_core::plan::render;
use lab_core::snapshot::Manifest;

use crate::ansible::ping;
use crate::artifacts::store::Hasher;
use crate::cx::Cx;
use crate::host::embedded;
use crate::lab::state::{CLUSTER, StateFile};
use crate::lab::{Lab, reach, running};
use crate::machines::make::{self, Made, make, planned};
use crate::machines::{limits, status};
use crate::{deploy, output, snapshot};

use super::{Effect, Next, Phase, Run};

/// Prints what `up` would do, without doing anything.
///
/// # Errors
/// When the cluster file is wrong or the host does not answer.
pub async fn show_plan(cx: &Cx, lab: &Lab, json: bool) -> anyhow::Result<()> {
    make::note_unsupported_options(cx, lab);
    let planned = planned(cx, lab).await?;
    if json {
        output::json(&planned)?;
    } else {
        output::print(render(&planned, output::is_coloured(&std::io::stdout())))?;
    }
    Ok(())
}

/// The phase `up`.
pub const PHASE: Phase = Phase {
    name: "up",
    title: "provision the machines",
    without: "a requirement is missing",
    inputs: |run| {
        let mut hasher = Hasher::new();
        hasher.update(&serde_json::to_vec(&*run.lab()?.spec)?);
        Ok(Some(hasher.finish().to_string()))
    },
    leaves: |files| vec![files.state(), files.inventory(), files.ssh_config()],
    look: |run| Box::pin(look(run)),
};

/// A lab of which nothing is there yet is restored where a cluster was deployed from the same inputs and kept; else the world is made
/// to match the cluster file.
async fn look(run: &Run) -> anyhow::Result<Next<'_>> {
    let (cx, lab, options) = (&run.cx, run.lab()?, &run.options);
    let held = lab.hold()?;
    let state = lab.state()?;
    let is_bare = state.as_ref().is_none_or(|state| {
        let state = state.get();
        !state.has_machines() && !state.resources.contains(CLUSTER)
    });
    let only = options.only.as_deref();
    let kept = deploy::kept(cx, lab, is_bare && only.is_none() && !options.new_machines)?;
    Ok(match kept {
        Some(kept) => Next::Restore(Box::pin(async move {
            let _held = held;
            with_leftovers_reported(cx, lab, restore(cx, lab, &kept, options.ping).await).await
        })),
        None => Next::Run(Box::pin(async move {
            let _held = held;
            with_leftovers_reported(cx, lab, provision(cx, lab, state, only, options.ping).await).await
        })),
    })
}

/// Makes the world match the cluster file.
async fn provision(
    cx: &Cx,
    lab: &Lab,
    state: Option<StateFile>,
    only: Option<&str>,
    ping: bool,
) -> anyhow::Result<Effect> {
    let (name, file, host) = (&lab.spec.name, lab.cluster_file.clone(), lab.spec.host.clone());
    let state = state.map_or_else(|| StateFile::create(&lab.files, name, file, host), Ok)?;
    let made = make(cx, lab, &state, only.as_ref().map(std::slice::from_ref)).await?;
    greet(cx, lab, &state, &made, ping).await?;
    let what = provisioned(&made.plan);
    Ok(if made.plan.is_noop() { Effect::Unchanged(what) } else { Effect::Done(what) })
}

/// Restores the snapshot of a deploy from the same inputs.
async fn restore(cx: &Cx, lab: &Lab, kept: &Manifest, ping: bool) -> anyhow::Result<String> {
    limits::warn_before_up(cx, lab).await?;
    cx.progress.note(&format!(
        "a cluster was deployed from the same before: it is restored from the snapshot `{}` (`--fresh` makes new machines)",
        kept.name
    ));
    snapshot::restore(cx, lab, kept).await?;
    if ping {
        let state = lab.state()?.context("a restored lab has a state")?;
        ping::once(cx, lab, &running(cx, lab).await?, &state).await?;
    }
    Ok(restored(lab.spec.machines.len()))
}

/// Pings the machines by Ansible if `ping`, and prints how to log in.
async fn greet(cx: &Cx, lab: &Lab, state: &StateFile, made: &Made, ping: bool) -> anyhow::Result<()> {
    if ping {
        ping::once(cx, lab, &made.reached, state).await?;
    }
    if !made.plan.is_noop() {
        reach::start_second_stage(cx, lab, &made.reached, &state.get().lab).await?;
        let first = lab.spec.machines.first().map_or("MACHINE", |machine| machine.name.as_str());
        cx.progress.note(&format!(
            "the lab `{}` is up; its inventory is `{}`\n`cargo xtask lab ssh --cluster {} {first}` logs in",
            lab.spec.name,
            lab.files.inventory().display(),
            lab.cluster_words(cx)
        ));
    }
    Ok(())
}

/// After an interruption or a failure: what there is now, and what to do with it.
async fn with_leftovers_reported<T>(cx: &Cx, lab: &Lab, done: anyhow::Result<T>) -> anyhow::Result<T> {
    if done.is_err() {
        report_leftovers(cx, lab).await;
    }
    done
}

async fn report_leftovers(cx: &Cx, lab: &Lab) {
    let Ok(status) = status::look(cx, lab).await else { return };
    let machines = status.machines.iter().filter(|machine| machine.state != "absent");
    let mut there: Vec<String> =
        machines.map(|machine| format!("{} {}", machine.name, machine.state)).collect();
    if there.is_empty() {
        there.push("no machine".to_owned());
    }
    if let Ok(Some(host)) = embedded::find(&lab.files.host()) {
        there.push(format!("the lab's host (process {})", host.pid));
    }
    let words = lab.cluster_words(cx);
    cx.progress.note(&format!(
        "left behind: {}\n`cargo xtask lab up {words}` goes on from here, `cargo xtask lab destroy {words}` removes it",
        there.join(", ")
    ));
}
