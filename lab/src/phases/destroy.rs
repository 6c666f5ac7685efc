//! The phase `destroy`: the lab removed.

use crate::machines::destroy;

use super::{Effect, Phase, Run, always, no_files, no_inputs};

pub const PHASE: Phase = Phase {
    name: "destroy",
    title: "remove the lab",
    without: "there is no lab",
    inputs: no_inputs,
    leaves: no_files,
    look: |run| always(remove(run)),
};

async fn remove(run: &Run) -> anyhow::Result<Effect> {
    let lab = run.lab()?;
    destroy::destroy(&run.cx, &lab.spec.name, &lab.files).await?;
    Ok(Effect::Done(format!("`{}` is gone", lab.spec.name)))
}
