//! Checks on a computer that is overloaded: late answers are asked for again with more time, and reported as slow, not as down.

use std::time::Duration;

use lab_core::load::{Overload, times_under, wait_under};
use lab_core::report::{Outcome, Verdict};

use crate::cx::Cx;
use crate::host::load::{self, Answer, Attempt, Question};
use crate::lab::{Lab, Reached};
use crate::process::ProcessError;
use crate::timeouts::Timeout;

use super::access::{NO_ANSWER, is_late};
use super::check::NO_PROBES;
use super::{Look, run_checks, times};

/// The API gave no answer in time.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.text())]
pub struct Unanswered {
    /// How long the last attempt took.
    pub within: Duration,
    /// What this computer had to do meanwhile; `None` where it was not overloaded.
    pub overload: Option<Overload>,
}

impl Unanswered {
    /// Whether the computer was overloaded, so that nothing is known of the cluster.
    pub fn is_slow(&self) -> bool {
        self.overload.is_some()
    }

    fn text(&self) -> String {
        let seconds = self.within.as_secs();
        match &self.overload {
            None => format!("{NO_ANSWER} within {seconds} s"),
            Some(Overload { evidence, .. }) => {
                format!("the API did not answer within {seconds} s while this computer was busy ({evidence})")
            }
        }
    }
}

/// Runs checks once, for at most `within`; longer where machines are emulated, and once more where this computer is
/// overloaded.
///
/// # Errors
/// [`Unanswered`], or when the checks cannot be run.
pub async fn once(
    cx: &Cx,
    lab: &Lab,
    reached: &Reached,
    ids: &[&str],
    within: Timeout,
) -> anyhow::Result<Vec<Outcome>> {
    let times = times(cx, lab).await?;
    let notify = |note: &str| cx.progress.note(note);
    ask_once(load::watch, times, within, notify, async |times| {
        run_checks(cx, lab, reached, ids, Look::Once(within.times(times)), times, |_| ()).await
    })
    .await
}

/// The same with any checks and any load.
async fn ask_once<F, W>(
    watch: impl Fn() -> W,
    times: u32,
    within: Timeout,
    notify: impl FnOnce(&str),
    run: impl Fn(u32) -> F,
) -> anyhow::Result<Vec<Outcome>>
where
    F: Future<Output = anyhow::Result<Vec<Outcome>>>,
    W: Fn() -> Option<Overload>,
{
    let question = Question { of: "the API", timeout: within, times };
    let answer = load::again_when_overloaded(question, watch, notify, async |times| match run(times).await {
        Ok(outcomes) if has_late(&outcomes) => Ok(Attempt::Late(outcomes)),
        Ok(outcomes) => Ok(Attempt::InTime(outcomes)),
        Err(error) if matches!(error.downcast_ref(), Some(ProcessError::Late { .. })) => {
            Ok(Attempt::Late(Vec::new()))
        }
        Err(error) => Err(error),
    })
    .await?;
    match answer {
        Answer::InTime(outcomes) => Ok(outcomes),
        // The reports of the checks say more.
        Answer::Late { value, .. } if !value.is_empty() => Ok(value),
        Answer::Late { times, .. } => Err(Unanswered { within: within.times(times), overload: None }.into()),
        Answer::Slow { times, overload, .. } => {
            Err(Unanswered { within: within.times(times), overload: Some(overload) }.into())
        }
    }
}

fn has_late(outcomes: &[Outcome]) -> bool {
    outcomes.iter().flat_map(|outcome| &outcome.details).any(|detail| is_late(detail))
}

/// How much time checks have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long each waits for what must come true by itself.
    pub patience: Duration,
    /// How many times longer than usual anything else may take.
    pub times: u32,
}

/// Runs checks, and those that failed while this computer was overloaded once more, with more time. `notify` shows the note
/// before that, `show` each outcome that counts.
///
/// # Errors
/// When they cannot be run.
pub async fn again_for_failed<W: Fn() -> Option<Overload>>(
    watch: impl Fn() -> W,
    ids: &[String],
    usual: Limits,
    notify: impl FnOnce(&str),
    mut show: impl FnMut(&Outcome),
    mut run: impl AsyncFnMut(&[String], Limits, &mut dyn FnMut(&Outcome)) -> anyhow::Result<Vec<Outcome>>,
) -> anyhow::Result<Vec<Outcome>> {
    let overloaded = watch();
    let (mut overload, mut held) = (None, Vec::new());
    let mut outcomes = run(ids, usual, &mut |outcome| {
        let is_to_be_held = match outcome.verdict {
            Verdict::Passed => false,
            Verdict::Skipped => outcome.details.iter().any(|detail| detail == NO_PROBES),
            Verdict::Failed => {
                let found = overloaded();
                let is_overloaded = found.is_some();
                overload = found.or(overload.take());
                is_overloaded
            }
        };
        if is_to_be_held {
            held.push(outcome.clone());
        } else {
            show(outcome);
        }
    })
    .await?;
    let Some(overload) = overload else {
        // Checks that were skipped because of a failure that was shown.
        held.iter().for_each(show);
        return Ok(outcomes);
    };
    let longer = Limits {
        patience: wait_under(&overload, usual.patience),
        times: times_under(&overload, usual.times),
    };
    notify(&load::note(&overload, "the checks that failed", longer.patience));
    let again: Vec<String> = held.into_iter().map(|outcome| outcome.id).collect();
    let overloaded = watch();
    run(&again, longer, &mut |outcome| {
        // The pods that others look out of are a check too, which may have passed already.
        if outcome.verdict != Verdict::Failed && !again.contains(&outcome.id) {
            return;
        }
        let mut outcome = outcome.clone();
        if outcome.verdict == Verdict::Failed {
            let busy = |overload: Overload| format!("this computer was busy ({})", overload.evidence);
            outcome.details.extend(overloaded().map(busy));
        }
        show(&outcome);
        match outcomes.iter_mut().find(|old| old.id == outcome.id) {
            Some(old) => *old = outcome,
            None => outcomes.push(outcome),
        }
    })
    .await?;
    Ok(outcomes)
}

#[cfg(test)]
mod tests;
