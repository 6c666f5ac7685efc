//! The phase `prepare`: whether Kubespray takes the cluster file, the cluster fits on this computer, and everything is there
//! that machines cannot get elsewhere.

use lab_core::phases::prepared;

use crate::check;
use crate::deploy::prepare;

use super::{Effect, Next, Phase, Run, no_inputs};

pub const PHASE: Phase = Phase {
    name: "prepare",
    title: "validate the configuration",
    without: "nothing is known of the cluster",
    inputs: no_inputs,
    leaves: |files| vec![files.artifacts_lock()],
    look: |run| Box::pin(look(run)),
};

async fn look(run: &Run) -> anyhow::Result<Next<'_>> {
    let (cx, lab) = (&run.cx, run.lab()?);
    Ok(Next::Run(Box::pin(async move {
        check::refuse(cx, lab).await?;
        let needs = prepare::check(cx, lab, run.options.deploy.too_low).await?;
        Ok(Effect::Done(prepared(&lab.spec, needs.wanted - needs.missing, needs.wanted)))
    })))
}
