//! The phase `validate`: every check of a cluster that is new or is to be judged; of one that was there before, those that
//! make nothing in it.

use lab_core::phases::validated;

use crate::lab::running;
use crate::validate;

use super::{Effect, Phase, Run, always, no_files, no_inputs};

pub const PHASE: Phase = Phase {
    name: "validate",
    title: "validate the cluster's health",
    without: "there is no cluster",
    inputs: no_inputs,
    leaves: no_files,
    look: |run| always(check(run)),
};

async fn check(run: &Run) -> anyhow::Result<Effect> {
    let (cx, lab) = (&run.cx, run.lab()?);
    let reached = running(cx, lab).await?;
    let is_new = run.found().is_new;
    let checks = if is_new || run.options.all_checks {
        validate::look(cx, lab, &reached, &[], None).await?
    } else {
        validate::health(cx, lab, &reached).await?
    };
    run.found().checks.clone_from(&checks);
    validate::judge(&checks)?;
    Ok(Effect::Done(validated(&checks)))
}
