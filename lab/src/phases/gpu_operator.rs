//! The phase `gpu-operator`: the NVIDIA GPU Operator of the cluster file, and GPUs that can be used.

use crate::artifacts::store::Hasher;
use crate::gpu_operator::{self, change, ready};
use crate::lab::running;

use super::{Effect, Next, Phase, Run};

pub const PHASE: Phase = Phase {
    name: "gpu-operator",
    title: "install the GPU Operator",
    without: "there is no cluster",
    inputs: |run| {
        let Some(spec) = &run.lab()?.spec.gpu_operator else { return Ok(None) };
        let mut hasher = Hasher::new();
        hasher.update(&serde_json::to_vec(spec)?);
        Ok(Some(hasher.finish().to_string()))
    },
    leaves: |files| vec![files.gpu_operator().values()],
    look: |run| Box::pin(look(run)),
};

async fn look(run: &Run) -> anyhow::Result<Next<'_>> {
    let (cx, lab) = (&run.cx, run.lab()?);
    if lab.spec.gpu_operator.is_none() {
        return Ok(Next::Done("the cluster file asks for none".to_owned()));
    }
    let held = lab.hold()?;
    let reached = running(cx, lab).await?;
    let next = gpu_operator::look(cx, lab, &reached).await?;
    Ok(Next::Run(Box::pin(async move {
        let _held = held;
        let effect = match next {
            gpu_operator::Next::Nothing(what) => Effect::Unchanged(what),
            gpu_operator::Next::Change(planned) => {
                cx.progress.note(&format!("the GPU Operator is installed, because {}", planned.why));
                Effect::Done(change(cx, lab, &reached, *planned).await?)
            }
        };
        gpu_operator::after_kubespray(cx, lab, &reached).await?;
        ready(cx, lab, &reached).await?;
        Ok(effect)
    })))
}
