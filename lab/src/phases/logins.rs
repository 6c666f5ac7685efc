//! The phase `ssh`: a login to every machine at once, with the key and the pinned host key that Ansible uses.

use lab_core::phases::machines_of;
use tokio::task::JoinSet;

use crate::failure::{Failure, FailureKind};
use crate::lab::{reach, running};
use crate::timeouts::LOGINS_TIMEOUT;
use crate::wait::Deadline;

use super::{Effect, Phase, Run, always, no_files, no_inputs};

pub const PHASE: Phase = Phase {
    name: "ssh",
    title: "wait for SSH",
    without: "the machines are not up",
    inputs: no_inputs,
    leaves: no_files,
    look: |run| always(logins(run)),
};

async fn logins(run: &Run) -> anyhow::Result<Effect> {
    let (cx, lab) = (&run.cx, run.lab()?);
    let reached = running(cx, lab).await?;
    let deadline = Deadline::after(LOGINS_TIMEOUT);
    let mut work = JoinSet::new();
    for machine in lab.spec.machines.iter().filter(|machine| machine.auto_start) {
        let (cx, lab, reached, name) = (cx.clone(), lab.clone(), reached.clone(), machine.name.clone());
        work.spawn(async move {
            let refused = reach::login(&cx, &lab, &reached, &name, deadline).await?;
            anyhow::Ok(refused.map(|why| format!("`{name}`: {why}")))
        });
    }
    let (mut count, mut refused) = (0, Vec::new());
    while let Some(done) = work.join_next().await {
        count += 1;
        refused.extend(done??);
    }
    anyhow::ensure!(
        refused.is_empty(),
        Failure::new(
            FailureKind::Provision,
            format!("cannot log in to every machine: {}", refused.join("; "))
        )
    );
    Ok(Effect::Done(format!("{} can be logged in to", machines_of(count))))
}
