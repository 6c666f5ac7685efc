//! From machines to a living cluster: Kubespray on a living lab, and the kubeconfig that comes of it.
//!
//! What can be decided from data alone is decided in `lab_core::deploy`. Whether the cluster is as it must be is found
//! out in [`crate::validate`].

use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use lab_core::deploy::change::{PREPARE_CONTROL_PLANES, prepares_control_planes};
use lab_core::report::{Outcome, Verdict};
use lab_core::snapshot::Manifest;
use lab_core::spec::MachineKind;
use serde::{Deserialize, Serialize};

use self::run::Prints;
use crate::artifacts::lock;
use crate::artifacts::serve;
use crate::check;
use crate::cli::commands::running;
use crate::cx::Cx;
use crate::failure::{Failure, exit};
use crate::files::{self, PUBLIC};
use crate::kubespray::play::{self, Play};
use crate::kubespray::source::Request;
use crate::life::lab::{Lab, Reached};
use crate::life::limits::{self, TooLow};
use crate::life::state::CLUSTER;
use crate::life::up;
use crate::output;
use crate::snapshot::{self, Copied};
use crate::validate::{self, HEALTH, Unanswered};

pub mod change;
pub mod kubeconfig;
pub mod kubectl;
mod living;
pub mod prepare;
pub mod run;

/// Kubespray's playbook for a whole cluster; what is there already stays.
const PLAYBOOK: &str = "cluster.yml";
/// How long a cluster that was deployed before may take to say how it is.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(8);
/// How long a cluster may take after Kubespray's end until every node is ready and every system pod runs. Emulated
/// machines need minutes to start what Kubespray left to start.
const SETTLED: Duration = Duration::from_secs(900);

/// `deployed.json`: from what the cluster of a lab was deployed. It is there only while that is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployed {
    /// The digest of everything that Kubespray is given.
    pub inputs: String,
    /// Kubespray's tag.
    pub kubespray: String,
    /// The version of Kubernetes, `1.34.3`.
    pub kubernetes: String,
    /// When the deploy ended.
    pub at: Timestamp,
}

/// What a deploy is to do beside what it does.
#[derive(Debug, Clone, Copy)]
pub struct Wishes {
    /// What of it goes to standard output.
    pub prints: Prints,
    /// Kubespray runs even where a snapshot of the same deploy could be restored, or where a slow computer keeps the cluster
    /// from saying how it is.
    pub fresh: bool,
    /// A fresh cluster of containers is kept as a snapshot, for the next deploy from the same.
    pub keep: bool,
    /// How limits of the kernel that are too low for the cluster are treated.
    pub too_low: TooLow,
}

/// Makes the lab's machines the cluster that the file asks for, if they are not.
///
/// # Errors
/// When the lab does not run, Kubespray would refuse or fails, or the cluster does not become ready.
pub async fn deploy(cx: &Cx, lab: &Lab, wishes: Wishes) -> anyhow::Result<()> {
    let _held = lab.hold()?;
    let reached = running(cx, lab).await?;
    refuse_what_kubespray_would(cx, lab).await?;
    change::refuse_old_inventory(cx, lab)?;
    let wanted = wanted(cx, lab).await?;
    let record = lab.files.deployed();
    let last = deployed(lab)?;
    change::refuse_upgrade(cx, lab, last.as_ref(), &wanted)?;
    let state = lab.state()?.context("a lab that runs has a state")?;
    let is_bare = !state.get().resources.contains(CLUSTER);
    // The kubeconfig comes with the end of the first deploy.
    let is_unfinished = last.is_none() && !is_bare && !lab.files.kubeconfig().is_file();
    let words = lab.cluster_words(cx);
    let why = match last {
        None if is_bare && !wishes.fresh => {
            if let Some(kept) = snapshot::kept_of_deploy(cx, &lab.spec, &wanted.inputs)? {
                limits::check_before_deploy(cx, lab, wishes.too_low).await?;
                cx.progress.note(&format!(
                    "the same was deployed before: the snapshot `{}` of it is brought back (`--fresh` deploys anew)",
                    kept.name
                ));
                drop(reached);
                snapshot::restore(cx, lab, &kept).await?;
                settle(cx, lab, &running(cx, lab).await?, &HEALTH).await?;
                return tell_next_steps(cx, lab, wishes);
            }
            "nothing was deployed yet".to_owned()
        }
        None => "it is not known that anything was deployed to its end".to_owned(),
        Some(last) if last.inputs != wanted.inputs => "what is asked for is not what was deployed".to_owned(),
        Some(_) => {
            let unwell = if validate::starting(lab, &state.get()).is_some() {
                Ok(not_ready(cx, lab, &reached, &HEALTH).await)
            } else {
                unwell(cx, lab, &reached).await
            };
            match why_again(unwell, wishes.fresh, &words)? {
                Some(why) => why,
                None => {
                    let name = &lab.spec.name;
                    cx.progress.note(&format!(
                        "nothing to do: the cluster `{name}` is as its cluster file says, and every node is ready"
                    ));
                    return Ok(());
                }
            }
        }
    };
    limits::check_before_deploy(cx, lab, wishes.too_low).await?;
    cx.progress.note(&format!("Kubespray runs, because {why}"));
    up::serve(cx, lab).await?;
    warn_of_missing_artifacts(cx, lab)?;
    if is_unfinished {
        change::clear_cut_off(cx, lab, &reached).await?;
    }
    // From here on it is not known what there is, until the end.
    state.record(CLUSTER)?;
    files::remove(&record)?;
    let again = format!("`cargo xtask deploy {words}`");
    // Where there was nothing, nobody joins.
    let prepare = (!is_bare && prepares_control_planes(&lab.spec)).then_some(PREPARE_CONTROL_PLANES);
    for playbook in prepare.into_iter().chain([PLAYBOOK]) {
        let play = Play {
            playbook,
            inventory: None,
            arguments: &[],
            what: "deploy",
            again: again.clone(),
            prints: wishes.prints,
        };
        play::play(cx, lab, &play).await?;
    }
    kubeconfig::fetch(cx, lab, &reached).await?;
    let containers = lab.spec.machines.iter().all(|machine| machine.kind == MachineKind::Container);
    // While it settles, the copy is digested.
    let copied = if is_bare && wishes.keep && containers {
        snapshot::copy(cx, lab, &reached, &wanted.inputs).await.map_err(|error| not_kept(cx, &error)).ok()
    } else {
        None
    };
    if let Err(error) = settle(cx, lab, &reached, &HEALTH).await {
        if let Some(copied) = copied {
            copied.discard(cx).await?;
        }
        return Err(error);
    }
    let done = Deployed { at: Timestamp::now(), ..wanted };
    files::write_atomic(&record, &serde_json::to_vec_pretty(&done)?, PUBLIC)?;
    if let Some(copied) = copied {
        keep_for_next_time(cx, lab, copied).await;
    }
    tell_next_steps(cx, lab, wishes)
}

fn tell_next_steps(cx: &Cx, lab: &Lab, wishes: Wishes) -> anyhow::Result<()> {
    if wishes.prints != Prints::Tables {
        return Ok(());
    }
    output::print(next_steps(cx, lab, &lab.cluster_words(cx)))
}

/// Waits until these checks of the cluster pass, after what was done to it ended well.
async fn settle(cx: &Cx, lab: &Lab, reached: &Reached, checks: &[&str]) -> anyhow::Result<()> {
    let task = cx.progress.task("cluster");
    task.step("waiting until every node is ready and every system pod runs");
    if let Some(why) = not_ready(cx, lab, reached, checks).await {
        task.failed("it is not as it must be");
        let message = "nothing failed, and the cluster is not as it must be";
        let hint = format!("`cargo xtask validate {}` shows more", lab.cluster_words(cx));
        return Err(anyhow::anyhow!("{why}").context(Failure::new(exit::DEPLOY, message).hint(hint)));
    }
    task.done("every node is ready and every system pod runs");
    Ok(())
}

/// Keeps a cluster that was just made, so that the next deploy from the same restores it. What goes wrong with that is told,
/// and is no failure of the deploy.
async fn keep_for_next_time(cx: &Cx, lab: &Lab, copied: Copied) {
    let name = copied.name.clone();
    match copied.keep(cx, lab).await {
        Ok(()) => cx.progress.note(&format!(
            "kept as the snapshot `{name}`: the next `up` or `deploy` from the same brings it back (`--no-snapshot` does not keep it)"
        )),
        Err(error) => not_kept(cx, &error),
    }
}

fn not_kept(cx: &Cx, error: &anyhow::Error) {
    cx.progress.note(&format!("warning: this cluster is not kept for the next deploy: {error:#}"));
}

/// What a deploy would be made from now.
async fn wanted(cx: &Cx, lab: &Lab) -> anyhow::Result<Deployed> {
    let lock = lock::of_cluster(cx, lab, true).await?;
    Ok(Deployed {
        inputs: inputs(cx, lab)?,
        kubespray: Request::of_lab(lab)?.pin.version.to_string(),
        kubernetes: lock.kubernetes,
        at: Timestamp::UNIX_EPOCH,
    })
}

/// The digest of everything that Kubespray is given.
fn inputs(cx: &Cx, lab: &Lab) -> anyhow::Result<String> {
    let mut hasher = crate::artifacts::store::Hasher::new();
    hasher.update(lock::inputs(cx, lab)?.as_bytes());
    // Where machines find what is served: it is no input of the lock.
    let serving = serve::look(cx, lab)?.map(|serving| serving.inventory).unwrap_or_default();
    hasher.update(serving.as_bytes());
    Ok(hasher.finish().to_string())
}

/// The snapshot that was kept of a deploy from what the cluster file asks for now; none unless it is `asked` for. Nothing is
/// found out for it that is not known already.
///
/// # Errors
/// When what is known cannot be read.
pub fn kept(cx: &Cx, lab: &Lab, asked: bool) -> anyhow::Result<Option<Manifest>> {
    if !asked
        || !snapshot::list(&cx.layout.snapshots(), &lab.spec.name)?.iter().any(|one| one.deploy.is_some())
    {
        return Ok(None);
    }
    if lock::known(cx, lab)?.is_none() {
        return Ok(None);
    }
    snapshot::kept_of_deploy(cx, &lab.spec, &inputs(cx, lab)?)
}

/// Finds out before anything is done whether Kubespray would take the cluster.
///
/// # Errors
/// When it would not.
pub async fn refuse_what_kubespray_would(cx: &Cx, lab: &Lab) -> anyhow::Result<()> {
    let refused = check::refused(cx, lab).await?;
    if refused.findings.is_empty() {
        return Ok(());
    }
    let words = lab.cluster_words(cx);
    Err(Failure::new(exit::PLAN, "Kubespray would refuse this cluster")
        .hint(format!("`cargo xtask check {words}` says why"))
        .into())
}

fn warn_of_missing_artifacts(cx: &Cx, lab: &Lab) -> anyhow::Result<()> {
    for note in serve::look(cx, lab)?.iter().flat_map(|serving| &serving.notes) {
        cx.progress.note(note);
    }
    Ok(())
}

/// What checks still find wrong when they have waited as long as a cluster may take to settle; `None` where they find
/// nothing.
pub async fn not_ready(cx: &Cx, lab: &Lab, reached: &Reached, checks: &[&str]) -> Option<String> {
    match no_kubeconfig(lab) {
        Some(why) => Some(why),
        None => wrong(validate::settle(cx, lab, reached, checks, SETTLED).await),
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
        Failure::new(exit::CHECKS, "it is not known whether the cluster is well")
            .hint("call it again when this computer has less to do"),
    )?;
    Ok(unwell.is_none())
}

/// What is wrong with a cluster at this moment; `None` where nothing is.
async fn unwell(cx: &Cx, lab: &Lab, reached: &Reached) -> Result<Option<String>, Unanswered> {
    if let Some(why) = no_kubeconfig(lab) {
        return Ok(Some(why));
    }
    let looked = validate::once(cx, lab, reached, &HEALTH, HEALTH_TIMEOUT).await;
    match looked.map_err(anyhow::Error::downcast::<Unanswered>) {
        Ok(outcomes) => Ok(wrong(Ok(outcomes))),
        Err(Ok(late)) if late.is_slow() => Err(late),
        Err(Ok(late)) => Ok(Some(late.to_string())),
        Err(Err(error)) => Ok(wrong(Err(error))),
    }
}

/// Why Kubespray runs once more on a cluster that was deployed from the same; `None` where it need not.
fn why_again(
    unwell: Result<Option<String>, Unanswered>,
    fresh: bool,
    words: &str,
) -> anyhow::Result<Option<String>> {
    match unwell {
        Ok(why) => Ok(why.map(|why| format!("the cluster is not as it must be: {why}"))),
        Err(slow) if fresh => Ok(Some(format!("it is not known whether the cluster is well: {slow}"))),
        // Kubespray would add to the load, and find nothing to do or break off.
        Err(slow) => {
            let message = "it is not known whether the cluster is well, and Kubespray was not started";
            let hint = format!(
                "call it again when this computer has less to do; `cargo xtask deploy {words} --fresh` runs Kubespray all the same"
            );
            Err(anyhow::Error::from(slow).context(Failure::new(exit::CHECKS, message).hint(hint)))
        }
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
    let told: Vec<&str> = bad.flat_map(|outcome| outcome.details.iter().map(String::as_str)).collect();
    (!told.is_empty()).then(|| told.join("; "))
}

fn next_steps(cx: &Cx, lab: &Lab, words: &str) -> String {
    let path = lab.files.kubeconfig();
    let path = path.strip_prefix(cx.layout.root()).unwrap_or(&path).display();
    let mut text = format!(
        "\nthe kubeconfig is {path}\n`cargo xtask lab kubectl --cluster {words} -- get nodes` asks the cluster from anywhere\n"
    );
    if lab.spec.host == lab_core::spec::HostSpec::Embedded {
        text.push_str(&format!(
            "`cargo xtask lab proxy --cluster {words}` lets other programs on this computer use the kubeconfig\n"
        ));
    }
    text.push_str(&format!("`cargo xtask validate {words}` checks what the cluster can do\n"));
    text
}

/// What the cluster of a lab was deployed from, where that is known.
///
/// # Errors
/// When the record is there and cannot be read.
pub fn deployed(lab: &Lab) -> anyhow::Result<Option<Deployed>> {
    files::read_own(&lab.files.deployed()).context("cannot read what was deployed")
}

#[cfg(test)]
mod tests;
