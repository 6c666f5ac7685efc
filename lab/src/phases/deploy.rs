//! The phase `deploy`: the machines made the cluster that the file asks for.

use crate::cluster::deployed::{deployed, inputs};
use crate::deploy;

use super::status::version;
use super::{Effect, Next, Phase, Run};

pub const PHASE: Phase = Phase {
    name: "deploy",
    title: "run Kubespray",
    without: "the machines are not up",
    inputs: |run| inputs(&run.cx, run.lab()?).map(Some),
    leaves: |files| vec![files.deployed(), files.kubeconfig()],
    look: |run| Box::pin(look(run)),
};

async fn look(run: &Run) -> anyhow::Result<Next<'_>> {
    let (cx, lab, options) = (&run.cx, run.lab()?, run.options.deploy);
    let held = lab.hold()?;
    let what = move || anyhow::Ok(deployed(lab)?.map(|deployed| version(&deployed)).unwrap_or_default());
    let came_of_it = move || {
        run.found().is_new = true;
        what()
    };
    Ok(match deploy::look(cx, lab, options).await? {
        deploy::Next::Nothing => Next::Done(format!("nothing to do: {}", what()?)),
        deploy::Next::Restore(kept) => Next::Restore(Box::pin(async move {
            let _held = held;
            deploy::restore(cx, lab, &kept, options).await?;
            came_of_it()
        })),
        deploy::Next::Run(planned) => Next::Run(Box::pin(async move {
            let _held = held;
            deploy::run(cx, lab, *planned, options).await?;
            came_of_it().map(Effect::Done)
        })),
    })
}
