//! The phase `kubeconfig`: fetches the kubeconfig, and adds its context to the user's own file on request.

use crate::cluster::kubeconfig;
use crate::lab::running;

use super::{Effect, Phase, Run, always, no_inputs};

pub const PHASE: Phase = Phase {
    name: "kubeconfig",
    title: "hand out the kubeconfig",
    without: "there is no cluster",
    inputs: no_inputs,
    leaves: |files| vec![files.kubeconfig()],
    look: |run| always(hand_out(run)),
};

async fn hand_out(run: &Run) -> anyhow::Result<Effect> {
    let (cx, lab) = (&run.cx, run.lab()?);
    let reached = running(cx, lab).await?;
    kubeconfig::fetch(cx, lab, &reached).await?;
    let path = lab.files.kubeconfig();
    let shown = cx.layout.shown(&path);
    let words = lab.cluster_words(cx);
    let added = match &run.options.merge {
        Some(file) => {
            kubeconfig::add_to(cx, lab, file)?;
            format!("its context is in {}", file.display())
        }
        None => format!("`cargo xtask lab kubeconfig {words} --merge` adds it to your own"),
    };
    Ok(Effect::Done(format!("{shown}; {added}")))
}
