//! Checks of a living cluster: what a cluster file promises, seen to be true.
//!
//! The checks run in a process of their own inside the lab's network (`lab internal validate`), which reaches nodes and
//! services as a machine beside them would. It prints one outcome a line; [`run_checks`] reads them.
//!
//! Each check does the thing itself, with the kubeconfig that people have. What must be is decided in
//! `lab_core::validate`.

use std::ffi::OsStr;
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use lab_core::report::{Outcome, Verdict, counts};
use lab_core::spec::MachineKind;

use crate::cx::Cx;
use crate::failure::{Failure, FailureKind};
use crate::host::{acceleration, load};
use crate::lab::state::LabState;
use crate::lab::{Lab, Reached};
use crate::output;
use crate::process::invocation;
use crate::processes::own_program;
use crate::progress::Kind;
use crate::timeouts::{
    ALL_CHECKS_TIMEOUT, CHECK_TIMEOUT, CONTAINER_CLUSTER_START_TIMEOUT, GPU_READY_TIMEOUT, HEALTH_TIMEOUT,
    VM_CLUSTER_START_TIMEOUT, emulation_factor,
};
use crate::wait::Deadline;

mod access;
mod check;
mod handover;
mod late;
mod probes;
pub mod ready;
mod runner;
mod suites;

pub use access::{NO_ANSWER, Site};
pub use late::{Unanswered, once};
pub use runner::run_here;
pub use suites::cluster::ON_THEIR_WAY;

/// The checks of basic health: quick, and nothing is made for them.
pub const HEALTH: [&str; 2] = ["nodes", "system-pods"];

/// How a cluster is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// Once, for at most so long.
    Once(Duration),
    /// Until nothing is wrong and every pod of the system reports that it is ready, for so long.
    Until(Duration),
    /// Until nothing is wrong, for so long, of one whose machines may have been started just now: leases of their last run
    /// are released.
    Starting(Duration),
}

/// `lab validate`: runs checks (all, unless some are named) and shows what came of them.
///
/// # Errors
/// When there is no cluster, or a check failed.
pub async fn run(
    cx: &Cx,
    lab: &Lab,
    reached: &Reached,
    ids: &[String],
    patience: Option<Duration>,
    json: bool,
) -> anyhow::Result<()> {
    let outcomes = look(cx, lab, reached, ids, patience).await?;
    if json {
        output::json(&outcomes)?;
    }
    cx.progress.note(&counts(&outcomes));
    judge(&outcomes)
}

/// Whether none failed.
///
/// # Errors
/// When one did.
pub fn judge(outcomes: &[Outcome]) -> anyhow::Result<()> {
    let failed = outcomes.iter().filter(|outcome| outcome.verdict == Verdict::Failed).count();
    let checks = if failed == 1 { "check" } else { "checks" };
    anyhow::ensure!(failed == 0, Failure::new(FailureKind::Checks, format!("{failed} {checks} failed")));
    Ok(())
}

/// Runs checks and shows each as it ends. Without `patience` each waits as long as machines like these need, and those that
/// fail while this computer is overloaded run once more.
///
/// # Errors
/// When they cannot be run.
pub async fn look(
    cx: &Cx,
    lab: &Lab,
    reached: &Reached,
    ids: &[String],
    patience: Option<Duration>,
) -> anyhow::Result<Vec<Outcome>> {
    runner::known(ids)?;
    has_kubeconfig(cx, lab)?;
    let times = times(cx, lab).await?;
    let Some(patience) = patience else {
        return look_patiently(cx, lab, reached, ids, times, Look::Until).await;
    };
    run_checks(cx, lab, reached, ids, Look::Until(patience), times, |outcome| show(cx, outcome)).await
}

/// Waits until a cluster is healthy, and shows the checks: as [`look`] at [`HEALTH`], but a pod that runs, and has not
/// run for long, need not be ready yet.
///
/// # Errors
/// When the checks cannot be run.
pub async fn health(cx: &Cx, lab: &Lab, reached: &Reached) -> anyhow::Result<Vec<Outcome>> {
    has_kubeconfig(cx, lab)?;
    let times = times(cx, lab).await?;
    look_patiently(cx, lab, reached, &HEALTH.map(str::to_owned), times, Look::Starting).await
}

/// Waits until the GPUs of the plan can be used, and shows the checks of that: those that make nothing in the cluster.
///
/// # Errors
/// When the checks cannot be run.
pub async fn gpus(cx: &Cx, lab: &Lab, reached: &Reached) -> anyhow::Result<Vec<Outcome>> {
    has_kubeconfig(cx, lab)?;
    let times = times(cx, lab).await?;
    let patience = GPU_READY_TIMEOUT.times(times);
    run_checks(cx, lab, reached, suites::gpu::LOOKS, Look::Until(patience), times, |outcome| {
        show(cx, outcome)
    })
    .await
}

/// The checks of a suite.
pub fn of_gpus() -> Vec<String> {
    suites::of_gpus().map(|check| check.id.to_owned()).collect()
}

/// The checks of GPUs that make nothing, looked at once.
///
/// # Errors
/// When they cannot be run, or do not answer in time.
pub async fn gpus_once(cx: &Cx, lab: &Lab, reached: &Reached) -> anyhow::Result<Vec<Outcome>> {
    has_kubeconfig(cx, lab)?;
    once(cx, lab, reached, suites::gpu::LOOKS, HEALTH_TIMEOUT).await
}

/// Whether a cluster was deployed.
///
/// # Errors
/// When there is no kubeconfig of it.
pub fn has_kubeconfig(cx: &Cx, lab: &Lab) -> anyhow::Result<()> {
    let words = lab.cluster_words(cx);
    anyhow::ensure!(
        lab.files.kubeconfig().is_file(),
        Failure::new(
            FailureKind::Provision,
            format!("the lab `{}` has no cluster that is known of", lab.spec.name)
        )
        .hint(format!("`cargo xtask deploy {words}` makes it"))
    );
    Ok(())
}

/// Runs checks for as long as machines like these need, and those that fail while this computer is overloaded once more.
async fn look_patiently(
    cx: &Cx,
    lab: &Lab,
    reached: &Reached,
    ids: &[String],
    times: u32,
    look: fn(Duration) -> Look,
) -> anyhow::Result<Vec<Outcome>> {
    let starting = lab.state()?.and_then(|state| starting(lab, &state.get()));
    let usual =
        late::Limits { patience: CHECK_TIMEOUT.times(times).max(starting.unwrap_or_default()), times };
    late::again_for_failed(
        load::watch,
        ids,
        usual,
        |note| cx.progress.note(note),
        |outcome| show(cx, outcome),
        async |ids, limits, each| {
            run_checks(cx, lab, reached, ids, look(limits.patience), limits.times, each).await
        },
    )
    .await
}

/// Runs checks until nothing is wrong, for so long, of a cluster whose machines may have been started just now.
///
/// # Errors
/// When they cannot be run.
pub async fn settle(
    cx: &Cx,
    lab: &Lab,
    reached: &Reached,
    ids: &[&str],
    patience: Duration,
) -> anyhow::Result<Vec<Outcome>> {
    let times = times(cx, lab).await?;
    run_checks(cx, lab, reached, ids, Look::Starting(patience), times, |_| ()).await
}

/// Where a machine of the lab was started so short ago that its cluster may still be on its way up: how long that may take.
pub fn starting(lab: &Lab, state: &LabState) -> Option<Duration> {
    let emulated = lab.spec.machines.iter().any(|machine| machine.kind == MachineKind::Vm);
    let patience = if emulated { VM_CLUSTER_START_TIMEOUT } else { CONTAINER_CLUSTER_START_TIMEOUT };
    let age = |started: &Timestamp| Timestamp::now().duration_since(*started);
    state.started.values().any(|started| age(started).unsigned_abs() < patience).then_some(patience)
}

fn show(cx: &Cx, outcome: &Outcome) {
    let task = cx.progress.task(&outcome.id);
    let details = outcome.details.join("; ");
    let seconds = outcome.seconds;
    match outcome.verdict {
        Verdict::Passed => {
            task.done_as(Kind::Passed, &format!("{} ({details}, {seconds:.1} s)", outcome.title))
        }
        Verdict::Failed => task.failed(&details),
        Verdict::Skipped => task.skipped(&details),
    }
}

/// How many times longer than usual things may take in this lab's machines.
///
/// # Errors
/// When the user asks to stop.
pub async fn times(cx: &Cx, lab: &Lab) -> anyhow::Result<u32> {
    let is_virtual = lab.spec.machines.iter().any(|machine| machine.kind == MachineKind::Vm);
    Ok(if is_virtual { emulation_factor(acceleration::decide(cx, None).await?.kind) } else { 1 })
}

/// Runs checks inside the lab's network, all where none is named. `times`: how many times longer than usual anything may take.
async fn run_checks<I: AsRef<OsStr>>(
    cx: &Cx,
    lab: &Lab,
    reached: &Reached,
    ids: &[I],
    look: Look,
    times: u32,
    mut each: impl FnMut(&Outcome),
) -> anyhow::Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    let (patience, whole) = match look {
        Look::Once(within) => (Duration::ZERO, within),
        Look::Until(patience) | Look::Starting(patience) => (patience, ALL_CHECKS_TIMEOUT),
    };
    let seconds = patience.as_secs().to_string();
    let program = invocation(own_program())
        .args(["internal", "validate", "--patience", &seconds, "--times", &times.to_string()])
        .args(matches!(look, Look::Starting(_)).then_some("--starting"))
        .args((!matches!(look, Look::Until(_))).then_some("--lenient"))
        .arg(&lab.cluster_file)
        .args(ids)
        .env("LAB_ROOT", cx.layout.root());
    let ended = reached
        .inside(&program)
        .stream(&cx.cancel, Deadline::after(whole), |line| {
            if let Ok(outcome) = serde_json::from_str::<Outcome>(line) {
                each(&outcome);
                outcomes.push(outcome);
            }
        })
        .await
        .context("the checks did not come to their end")?;
    anyhow::ensure!(ended.status.success(), "the checks broke off: {}", ended.stderr.trim());
    if !matches!(look, Look::Once(_)) && !ended.stderr.trim().is_empty() {
        cx.progress.note(ended.stderr.trim());
    }
    anyhow::ensure!(!outcomes.is_empty(), "no check was run");
    // They end in any order, and are reported in that of their suites.
    outcomes.sort_by_key(|outcome| suites::all().position(|check| check.id == outcome.id));
    Ok(outcomes)
}
