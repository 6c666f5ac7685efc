//! Phases: what the large commands are lists of. `up`, `deploy`, `cloud start` and `e2e` differ in their lists only.
//!
//! A phase observes, and returns its work: nothing, restore a snapshot from the same inputs, or run. [`carry_out`] is the
//! one place that shows, times and reports them. A new phase is a file here and its name in a list.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::Instant;

use lab_core::phases::{Range, describe_phase};
use lab_core::report::{self, Outcome, Verdict};
use lab_core::secrets::redacted;

use crate::ansible::run::Prints;
use crate::cx::Cx;
use crate::deploy::DeployOptions;
use crate::lab::Lab;
use crate::layout::LabFiles;
use crate::machines::limits::TooLow;
use crate::progress::Kind;

use status::CloudStatus;

pub mod cloud;
pub mod deploy;
pub mod destroy;
pub mod e2e;
mod gpu_operator;
mod inventory;
mod kubeconfig;
mod logins;
mod prepare;
mod record;
pub mod status;
#[cfg(test)]
mod tests;
pub mod up;
mod validate;

/// What `lab up` is.
pub const UP: &[Phase] = &[up::PHASE];
/// What `deploy` is.
pub const DEPLOY: &[Phase] = &[deploy::PHASE];
/// What `gpu-operator install` is.
pub const GPU_OPERATOR: &[Phase] = &[gpu_operator::PHASE];
/// What `cloud start` is: the eight steps of the original plan, and the GPU Operator.
pub const CLOUD: &[Phase] = &[
    prepare::PHASE,
    up::PHASE,
    logins::PHASE,
    inventory::PHASE,
    deploy::PHASE,
    gpu_operator::PHASE,
    validate::PHASE,
    kubeconfig::PHASE,
    status::PHASE,
];
/// What `e2e` is, up to its verdict.
pub const E2E: &[Phase] = &[prepare::PHASE, up::PHASE, deploy::PHASE, gpu_operator::PHASE, validate::PHASE];
/// How `e2e` ends.
pub const END: &[Phase] = &[destroy::PHASE];

/// Work that is not done yet.
pub type Work<'a, T> = Pin<Box<dyn Future<Output = anyhow::Result<T>> + 'a>>;

/// A part of a command that can be named, skipped, timed and reported.
pub struct Phase {
    /// What options and reports call it: `up`.
    pub name: &'static str,
    /// What it does, for people: `provision the machines`.
    pub title: &'static str,
    /// Why it cannot be where a phase before it failed.
    pub without: &'static str,
    /// The digest of everything that its result is made from; `None` where it has to look at the world each time.
    pub inputs: fn(&Run) -> anyhow::Result<Option<String>>,
    /// The files that it leaves.
    pub leaves: fn(&LabFiles) -> Vec<PathBuf>,
    /// Finds out what it has to do. Changes nothing that another command would miss.
    pub look: for<'a> fn(&'a Run) -> Work<'a, Next<'a>>,
}

/// What a phase has to do.
pub enum Next<'a> {
    /// Nothing, and what there is already.
    Done(String),
    /// A snapshot from the same inputs takes its place. Returns the result.
    Restore(Work<'a, String>),
    /// The work itself.
    Run(Work<'a, Effect>),
}

/// What came of the work of a phase, as a sentence.
pub enum Effect {
    /// It was done.
    Done(String),
    /// There was nothing to do.
    Unchanged(String),
}

/// What a phase has to do that always runs.
fn always<'a>(work: impl Future<Output = anyhow::Result<Effect>> + 'a) -> Work<'a, Next<'a>> {
    Box::pin(async move { Ok(Next::Run(Box::pin(work))) })
}

/// Of a phase that always looks at the world.
pub fn no_inputs(_: &Run) -> anyhow::Result<Option<String>> {
    Ok(None)
}

/// Of a phase that leaves no file.
pub fn no_files(_: &LabFiles) -> Vec<PathBuf> {
    Vec::new()
}

/// How a command carries out its phases.
#[derive(Debug, Clone)]
pub struct Options {
    /// As the deploy is done.
    pub deploy: DeployOptions,
    /// The new machines are made, also where a cluster was deployed from the same inputs and kept.
    pub new_machines: bool,
    /// Only this machine; the others are left as they are.
    pub only: Option<String>,
    /// Ansible pings the machines when they are up.
    pub ping: bool,
    /// Every check runs, also on a cluster that was there before.
    pub all_checks: bool,
    /// The lab stays: no later `e2e` takes it for one that a run of its own left.
    pub stays: bool,
    /// The file that the cluster's context is added to.
    pub merge: Option<PathBuf>,
}

impl Options {
    /// The usual ones, for a deploy that prints so much.
    pub fn new(prints: Prints, too_low: TooLow) -> Self {
        Self {
            deploy: DeployOptions { prints, fresh: false, keep: true, too_low },
            new_machines: false,
            only: None,
            ping: false,
            all_checks: false,
            stays: true,
            merge: None,
        }
    }
}

/// What phases leave for those after them.
#[derive(Debug, Default)]
struct Found {
    /// The cluster was deployed or restored by this run.
    is_new: bool,
    /// What the checks said.
    checks: Vec<Outcome>,
    /// What there is at the end.
    status: Option<CloudStatus>,
}

/// One run of a list of phases.
pub struct Run {
    cx: Cx,
    /// As it was named on the command line.
    cluster: String,
    lab: OnceLock<Lab>,
    options: Options,
    found: Mutex<Found>,
}

impl Run {
    /// A run for a cluster whose file is read by its first phase.
    pub fn of(cx: &Cx, cluster: &str, options: Options) -> Self {
        Self {
            cx: cx.clone(),
            cluster: cluster.to_owned(),
            lab: OnceLock::new(),
            options,
            found: Mutex::default(),
        }
    }

    /// A run for a lab that is open.
    pub fn of_lab(cx: &Cx, lab: &Lab, options: Options) -> Self {
        let run = Self::of(cx, &lab.cluster_words(cx), options);
        run.lab.get_or_init(|| lab.clone());
        run
    }

    /// The lab, which is opened where that was not done.
    ///
    /// # Errors
    /// When its cluster file is missing or wrong.
    pub fn lab(&self) -> anyhow::Result<&Lab> {
        if let Some(lab) = self.lab.get() {
            return Ok(lab);
        }
        let lab = Lab::open(&self.cx, &self.cluster)?;
        if self.options.stays {
            lab.stays()?;
        }
        Ok(self.lab.get_or_init(|| lab))
    }

    /// What the checks of this run said.
    pub fn checks(&self) -> Vec<Outcome> {
        self.found().checks.clone()
    }

    /// What there was at the end; none where the run did not get there.
    pub fn status(&self) -> Option<CloudStatus> {
        self.found().status.take()
    }

    /// Not to be held while something is awaited.
    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().expect("no holder of this lock panics")
    }
}

/// Carries out phases until one fails. Phases outside `range`, and those after a failure, are reported as skipped. `again`
/// begins the command that goes on: with it each phase is shown with its number. Without a `report` nothing is found out for one.
///
/// # Errors
/// The failure of a phase. The report is whole all the same.
pub async fn carry_out(
    run: &Run,
    phases: &[Phase],
    range: &Range,
    again: Option<&str>,
    mut report: Option<&mut Vec<report::Phase>>,
) -> anyhow::Result<()> {
    let mut failed = None;
    for (index, phase) in phases.iter().enumerate() {
        let skipped = match (&failed, range.why_not(index)) {
            (Some(_), _) => Some(phase.without.to_owned()),
            (None, why) => why,
        };
        if let Some(why) = skipped {
            if let Some(report) = &mut report {
                report.push(report::Phase::skipped(phase.name, &why));
            }
            if again.is_some() && failed.is_none() {
                let task = run.cx.progress.task(&number(index, phases));
                task.skipped(&format!("{} ({why})", phase.title));
            }
            continue;
        }
        let start = Instant::now();
        let task = again.map(|_| run.cx.progress.task(&number(index, phases)));
        if let Some(task) = &task {
            task.step(phase.title);
        }
        let done = one(run, phase).await;
        let seconds = start.elapsed().as_secs_f64();
        if let Some(report) = &mut report {
            report.push(recorded(run, phase, &done, seconds));
        }
        match (done, task) {
            (Ok((kind, came_of_it)), Some(task)) => {
                task.done_as(kind, &describe_phase(phase.title, &came_of_it, seconds));
            }
            (Ok(_), None) => {}
            (Err(error), task) => {
                if let (Some(task), Some(again)) = (task, again) {
                    task.failed(phase.title);
                    run.cx.progress.note(&format!("`{again} {}` goes on with this step", run.cluster));
                }
                failed = Some(error);
            }
        }
    }
    failed.map_or(Ok(()), Err)
}

/// Carries out all phases of a list, without showing or reporting them.
///
/// # Errors
/// As [`carry_out`].
pub async fn carry_out_all(run: &Run, phases: &[Phase]) -> anyhow::Result<()> {
    carry_out(run, phases, &Range::default(), None, None).await
}

/// What came of a phase.
async fn one(run: &Run, phase: &Phase) -> anyhow::Result<(Kind, String)> {
    Ok(match (phase.look)(run).await? {
        Next::Done(what) => (Kind::Unchanged, what),
        Next::Restore(work) => (Kind::Restored, work.await?),
        Next::Run(work) => match work.await? {
            Effect::Done(what) => (Kind::Finished, what),
            Effect::Unchanged(what) => (Kind::Unchanged, what),
        },
    })
}

/// The report of a phase that was carried out. What cannot be found out is left out: the record of a run is worth
/// less than the run.
fn recorded(run: &Run, phase: &Phase, done: &anyhow::Result<(Kind, String)>, seconds: f64) -> report::Phase {
    let failed = |error: &anyhow::Error| report::Phase {
        verdict: Verdict::Failed,
        seconds,
        ..report::Phase::skipped(phase.name, &redacted(&format!("{error:#}")))
    };
    let kind = match done {
        Ok((kind, _)) => *kind,
        Err(error) => return failed(error),
    };
    let files = run.lab.get().map(|lab| (phase.leaves)(&lab.files)).unwrap_or_default();
    let there = files.iter().filter(|path| path.exists());
    report::Phase {
        name: phase.name.to_owned(),
        verdict: Verdict::Passed,
        seconds,
        message: None,
        inputs: (phase.inputs)(run).ok().flatten(),
        restored: kind == Kind::Restored,
        leaves: there.map(|path| run.cx.layout.shown(path)).collect(),
    }
}

fn number(index: usize, phases: &[Phase]) -> String {
    format!("[{}/{}]", index + 1, phases.len())
}
