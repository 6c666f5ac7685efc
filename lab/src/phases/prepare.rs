//! The phase `prepare`: whether Kubespray takes the cluster file, the cluster fits on this computer, and everything is there
//! that machines cannot get elsewhere.

use lab_core::phases::prepared;

use crate::check;
use crate::deploy::prepare;

use super::{Effect, Phase, Run, always, no_inputs};

pub const PHASE: Phase = Phase {
    name: "prepare",
    title: "validate the configuration",
    without: "nothing is known of the cluster",
    inputs: no_inputs,
    leaves: |files| vec![files.artifacts_lock()],
    look: |run| always(check(run)),
};

async fn check(run: &Run) -> anyhow::Result<Effect> {
    let (cx, lab) = (&run.cx, run.lab()?);
    check::refuse(cx, lab).await?;
    let needs = prepare::check(cx, lab, run.options.deploy.too_low).await?;
    Ok(Effect::Done(prepared(&lab.spec, needs.wanted - needs.missing, needs.wanted)))
}
