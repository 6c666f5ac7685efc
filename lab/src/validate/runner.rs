//! Runs checks: those that disturb no other at the same time, the others after them. Knows no check.

use std::time::{Duration, Instant};

use lab_core::report::{Outcome, Verdict};
use tokio::task::JoinSet;

use crate::failure::{Failure, FailureKind};
use crate::output;
use crate::timeouts::CHECK_INTERVAL;
use crate::wait::{Deadline, pause};

use super::access::{Looked, Site};
use super::check::{Check, Context};
use super::{handover, probes, suites};

/// Whether these are names of checks.
///
/// # Errors
/// With the nearest right word.
pub fn known(ids: &[String]) -> anyhow::Result<()> {
    let all: Vec<&str> = suites::all().map(|check| check.id).collect();
    for id in ids {
        if !all.contains(&id.as_str()) {
            return Err(Failure::new(FailureKind::Usage, format!("there is no check `{id}`"))
                .hint(lab_core::source::suggest::one_of("checks", id, &all))
                .into());
        }
    }
    Ok(())
}

/// Runs checks from where this process is, and prints each outcome as a line of JSON. `starting`: machines may have been
/// started just now.
///
/// # Errors
/// When a check breaks off, or its outcome cannot be printed.
pub async fn run_here(site: Site, ids: &[String], starting: bool) -> anyhow::Result<()> {
    if starting {
        let site = site.clone();
        // What goes wrong with that the checks find too. It ends with this process at the latest.
        tokio::spawn(async move { handover::release(&site).await });
    }
    let chosen = suites::chosen(ids, site.spec.gpu_operator.is_some());
    let context = Context::new(site);
    let done = run_all(&context, &chosen, |outcome| output::line(serde_json::to_string(&outcome)?)).await;
    if context.made_namespaces()
        && let Err(error) = probes::remove(&context.site).await
    {
        // It says nothing about the cluster that was asked about, and the next run removes it.
        eprintln!("warning: {error:#}");
    }
    done
}

/// Runs checks, and gives each outcome to `report` as soon as it is there.
async fn run_all(
    context: &Context,
    checks: &[&'static Check],
    report: impl Fn(Outcome) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut reported = Ok(());
    let mut work = JoinSet::new();
    for check in checks.iter().filter(|check| !check.disturbs) {
        let (check, context) = (*check, context.clone());
        work.spawn(async move { run(check, &context).await });
    }
    while let Some(done) = work.join_next().await {
        reported = reported.and(done.map_err(anyhow::Error::from).and_then(&report));
    }
    for check in checks.iter().filter(|check| check.disturbs) {
        reported = reported.and(report(run(check, context).await));
    }
    reported
}

/// Runs one check.
async fn run(check: &Check, context: &Context) -> Outcome {
    for need in check.needs {
        if let Some(why) = context.lacks(*need).await {
            return outcome(check, Verdict::Skipped, Duration::ZERO, vec![why]);
        }
    }
    let start = Instant::now();
    match look_again(check, context).await {
        Ok(seen) => outcome(check, Verdict::Passed, start.elapsed(), seen),
        Err(why) => outcome(check, Verdict::Failed, start.elapsed(), why),
    }
}

/// Looks again while something is wrong, until the check's deadline.
async fn look_again(check: &Check, context: &Context) -> Looked {
    let deadline = Deadline::after((check.deadline)(&context.site));
    loop {
        let looked = (check.run)(context).await;
        if looked.is_ok() || deadline.remaining().is_zero() {
            return looked;
        }
        pause(CHECK_INTERVAL.min(deadline.remaining())).await;
    }
}

fn outcome(check: &Check, verdict: Verdict, took: Duration, details: Vec<String>) -> Outcome {
    let seconds = (took.as_secs_f64() * 1000.0).round() / 1000.0;
    Outcome { id: check.id.to_owned(), title: check.title.to_owned(), verdict, seconds, details }
}

#[cfg(test)]
mod tests;
