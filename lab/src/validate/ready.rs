//! Whether the cluster of a lab is well: at this moment, or within the time that it may take to settle.

use anyhow::Context as _;
use lab_core::report::{Outcome, Verdict};

use crate::cluster::deployed::deployed;
use crate::cx::Cx;
use crate::failure::{Failure, FailureKind};
use crate::lab::{Lab, Reached};
use crate::timeouts::{CLUSTER_SETTLE_TIMEOUT, HEALTH_TIMEOUT};

use super::{HEALTH, Unanswered, once};

/// Waits until these checks of the cluster pass, after a deploy, change or restore of it succeeded.
///
/// # Errors
/// When they do not pass.
pub async fn settle(cx: &Cx, lab: &Lab, reached: &Reached, checks: &[&str]) -> anyhow::Result<()> {
    let task = cx.progress.task("cluster");
    task.step("waiting until every node is ready and every system pod runs");
    if let Some(why) = not_ready(cx, lab, reached, checks).await {
        task.failed("it is not as it must be");
        let message = "nothing failed, and the cluster is not as it must be";
        let hint = format!("`cargo xtask validate {}` shows more", lab.cluster_words(cx));
        return Err(anyhow::anyhow!("{why}").context(Failure::new(FailureKind::Deploy, message).hint(hint)));
    }
    task.done("every node is ready and every system pod runs");
    Ok(())
}

/// What checks still find wrong when they have waited as long as a cluster may take to settle; `None` where they find
/// nothing.
pub async fn not_ready(cx: &Cx, lab: &Lab, reached: &Reached, checks: &[&str]) -> Option<String> {
    match no_kubeconfig(lab) {
        Some(why) => Some(why),
        None => wrong(super::settle(cx, lab, reached, checks, CLUSTER_SETTLE_TIMEOUT).await),
    }
}

/// Whether a cluster was deployed to its end and is well at this moment.
///
/// # Errors
/// When the record of the deploy cannot be read, or an overloaded computer keeps the cluster from saying how it is.
pub async fn is_well(cx: &Cx, lab: &Lab, reached: &Reached) -> anyhow::Result<bool> {
    if deployed(lab)?.is_none() {
        return Ok(false);
    }
    let unwell = unwell(cx, lab, reached).await.context(
        Failure::new(FailureKind::Checks, "it is not known whether the cluster is well")
            .hint("call it again when this computer has less to do"),
    )?;
    Ok(unwell.is_none())
}

/// The problems of a cluster at this moment; `None` if there is none.
pub async fn unwell(cx: &Cx, lab: &Lab, reached: &Reached) -> Result<Option<String>, Unanswered> {
    if let Some(why) = no_kubeconfig(lab) {
        return Ok(Some(why));
    }
    let looked = once(cx, lab, reached, &HEALTH, HEALTH_TIMEOUT).await;
    match looked.map_err(anyhow::Error::downcast::<Unanswered>) {
        Ok(outcomes) => Ok(wrong(Ok(outcomes))),
        Err(Ok(late)) if late.is_slow() => Err(late),
        Err(Ok(late)) => Ok(Some(late.to_string())),
        Err(Err(error)) => Ok(wrong(Err(error))),
    }
}

fn no_kubeconfig(lab: &Lab) -> Option<String> {
    (!lab.files.kubeconfig().is_file()).then(|| "there is no kubeconfig of it".to_owned())
}

/// What checks found wrong; `None` where they found nothing.
fn wrong(looked: anyhow::Result<Vec<Outcome>>) -> Option<String> {
    let outcomes = match looked {
        Ok(outcomes) => outcomes,
        Err(error) => return Some(format!("{error:#}")),
    };
    let bad = outcomes.iter().filter(|outcome| outcome.verdict != Verdict::Passed);
    let problems: Vec<&str> = bad.flat_map(|outcome| outcome.details.iter().map(String::as_str)).collect();
    (!problems.is_empty()).then(|| problems.join("; "))
}
