//! The phase `inventory`: the inventory beside the cluster file, for people. The lab's own was written before its machines
//! were made.

use lab_core::phases::generated;

use crate::inventory;

use super::{Effect, Phase, Run, always, no_files, no_inputs};

pub const PHASE: Phase = Phase {
    name: "inventory",
    title: "generate the inventory",
    without: "the machines are not up",
    inputs: no_inputs,
    leaves: no_files,
    look: |run| always(write(run)),
};

async fn write(run: &Run) -> anyhow::Result<Effect> {
    let (cx, lab) = (&run.cx, run.lab()?);
    let Some(folder) = inventory::beside(cx, lab) else {
        return Ok(Effect::Unchanged(generated(None, 0, 0, 0)));
    };
    let files = inventory::rendered(cx.layout.root(), &lab.spec, &lab.files, &folder)?;
    let done = inventory::write(&folder, &files)?;
    let shown = cx.layout.shown(&folder);
    let what = generated(Some(&shown), done.written.len(), done.removed.len(), done.unchanged);
    let is_unchanged = done.written.is_empty() && done.removed.is_empty();
    Ok(if is_unchanged { Effect::Unchanged(what) } else { Effect::Done(what) })
}
