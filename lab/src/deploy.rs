//! From machines to a living cluster: Kubespray on a living lab, and the kubeconfig that comes of it.
//!
//! What can be decided from data alone is decided in `lab_core::deploy`. Whether the cluster is as it must be is found
//! out in [`crate::validate`].

use anyhow::Context as _;
use jiff::Timestamp;
use lab_core::deploy::change::{PREPARE_CONTROL_PLANES, prepares_control_planes};
use lab_core::snapshot::Manifest;
use lab_core::spec::MachineKind;

use crate::ansible::play::{self, Play};
use crate::ansible::run::Prints;
use crate::artifacts::lock;
use crate::artifacts::serve::warn_of_missing_artifacts;
use crate::cluster::deployed::{Deployed, deployed, inputs, wanted};
use crate::cluster::kubeconfig;
use crate::cx::Cx;
use crate::disks::snapshots;
use crate::failure::{Failure, FailureKind};
use crate::files::{self, PUBLIC};
use crate::lab::state::{CLUSTER, StateFile};
use crate::lab::{Lab, Reached, running};
use crate::machines::limits::{self, TooLow};
use crate::machines::make;
use crate::snapshot::{self, Copied};
use crate::validate::ready::{not_ready, settle, unwell};
use crate::validate::{self, HEALTH, Unanswered};
use crate::{change, check, gpu_operator, output};

pub mod plain;
pub mod prepare;

/// Kubespray's playbook for a whole cluster; existing parts stay.
const PLAYBOOK: &str = "cluster.yml";

/// How a deploy is done.
#[derive(Debug, Clone, Copy)]
pub struct DeployOptions {
    /// What of it goes to standard output.
    pub prints: Prints,
    /// Kubespray runs even where a snapshot of the same deploy could be restored, or where a slow computer keeps the cluster
    /// from saying how it is.
    pub fresh: bool,
    /// A fresh cluster of containers is kept as a snapshot, for the next deploy from the same inputs.
    pub keep: bool,
    /// How limits of the kernel that are too low for the cluster are treated.
    pub too_low: TooLow,
}

/// What a deploy has to do.
pub enum Next {
    /// Nothing: the cluster is as its file says, and well.
    Nothing,
    /// A cluster that was deployed from the same inputs takes its place.
    Restore(Manifest),
    /// Kubespray runs.
    Run(Box<Planned>),
}

/// A run of Kubespray that is about to begin.
pub struct Planned {
    reached: Reached,
    state: StateFile,
    wanted: Deployed,
    /// There is nothing of a cluster yet.
    is_bare: bool,
    /// A first deploy began and did not come to its end.
    is_unfinished: bool,
    why: String,
}

/// Finds out what a deploy has to do, for a caller that holds the lab.
///
/// # Errors
/// When the lab does not run, Kubespray would refuse, or it is not known whether the cluster is well.
pub async fn look(cx: &Cx, lab: &Lab, options: DeployOptions) -> anyhow::Result<Next> {
    let reached = running(cx, lab).await?;
    check::refuse(cx, lab).await?;
    change::refuse_old_inventory(cx, lab)?;
    let wanted = wanted(cx, lab).await?;
    let last = deployed(lab)?;
    change::refuse_upgrade(cx, lab, last.as_ref(), &wanted)?;
    let state = lab.state()?.context("a lab that runs has a state")?;
    let is_bare = !state.get().resources.contains(CLUSTER);
    // The kubeconfig comes with the end of the first deploy.
    let is_unfinished = last.is_none() && !is_bare && !lab.files.kubeconfig().is_file();
    let why = match last {
        None if is_bare && !options.fresh => {
            if let Some(kept) = snapshots::kept_of_deploy(cx, &lab.spec, &wanted.inputs)? {
                return Ok(Next::Restore(kept));
            }
            "nothing was deployed yet".to_owned()
        }
        None => "it is not known that anything was deployed to its end".to_owned(),
        Some(last) if last.inputs != wanted.inputs => {
            "its inputs have changed since the last deploy".to_owned()
        }
        Some(_) => {
            let unwell = if validate::starting(lab, &state.get()).is_some() {
                Ok(not_ready(cx, lab, &reached, &HEALTH).await)
            } else {
                unwell(cx, lab, &reached).await
            };
            match why_again(unwell, options.fresh, &lab.cluster_words(cx))? {
                Some(why) => why,
                None => {
                    let name = &lab.spec.name;
                    cx.progress.note(&format!(
                        "nothing to do: the cluster `{name}` is as its cluster file says, and every node is ready"
                    ));
                    return Ok(Next::Nothing);
                }
            }
        }
    };
    Ok(Next::Run(Box::new(Planned { reached, state, wanted, is_bare, is_unfinished, why })))
}

/// Restores a cluster that was deployed from the same inputs.
///
/// # Errors
/// When it cannot be restored, or does not become ready.
pub async fn restore(cx: &Cx, lab: &Lab, kept: &Manifest, options: DeployOptions) -> anyhow::Result<()> {
    limits::check_before_deploy(cx, lab, options.too_low).await?;
    cx.progress.note(&format!(
        "the same was deployed before: its snapshot `{}` is restored (`--fresh` runs Kubespray instead)",
        kept.name
    ));
    snapshot::restore(cx, lab, kept).await?;
    settle(cx, lab, &running(cx, lab).await?, &HEALTH).await?;
    print_next_steps(cx, lab, options)
}

/// Makes the lab's machines the cluster that the file asks for, by Kubespray.
///
/// # Errors
/// When Kubespray fails, or the cluster does not become ready.
pub async fn run(cx: &Cx, lab: &Lab, planned: Planned, options: DeployOptions) -> anyhow::Result<()> {
    let Planned { reached, state, wanted, is_bare, is_unfinished, why } = planned;
    limits::check_before_deploy(cx, lab, options.too_low).await?;
    cx.progress.note(&format!("Kubespray runs, because {why}"));
    make::serve(cx, lab).await?;
    warn_of_missing_artifacts(cx, lab)?;
    if is_unfinished {
        change::clear_cut_off(cx, lab, &reached).await?;
    }
    // From here on it is not known what there is, until the end.
    state.record(CLUSTER)?;
    let record = lab.files.deployed();
    files::remove(&record)?;
    let again = format!("`cargo xtask deploy {}`", lab.cluster_words(cx));
    // In a bare lab no control plane joins another.
    let prepare = (!is_bare && prepares_control_planes(&lab.spec)).then_some(PREPARE_CONTROL_PLANES);
    for playbook in prepare.into_iter().chain([PLAYBOOK]) {
        let play = Play {
            playbook,
            inventory: None,
            arguments: &[],
            what: "deploy",
            again: again.clone(),
            prints: options.prints,
        };
        play::play(cx, lab, &play).await?;
    }
    kubeconfig::fetch(cx, lab, &reached).await?;
    if !is_bare {
        gpu_operator::after_kubespray(cx, lab, &reached).await?;
    }
    let containers = lab.spec.machines.iter().all(|machine| machine.kind == MachineKind::Container);
    // While it settles, the copy is digested.
    let copied = if is_bare && options.keep && containers {
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
    print_next_steps(cx, lab, options)
}

fn print_next_steps(cx: &Cx, lab: &Lab, options: DeployOptions) -> anyhow::Result<()> {
    if options.prints != Prints::Tables {
        return Ok(());
    }
    output::print(next_steps(cx, lab, &lab.cluster_words(cx)))
}

/// Keeps a snapshot of a new cluster, so that the next deploy from the same inputs restores it. An error is a warning, and no
/// failure of the deploy.
async fn keep_for_next_time(cx: &Cx, lab: &Lab, copied: Copied) {
    let name = copied.name.clone();
    match copied.keep(cx, lab).await {
        Ok(()) => cx.progress.note(&format!(
            "kept as the snapshot `{name}`: the next `up` or `deploy` from the same inputs restores it (`--no-snapshot` does not keep it)"
        )),
        Err(error) => not_kept(cx, &error),
    }
}

fn not_kept(cx: &Cx, error: &anyhow::Error) {
    cx.progress.note(&format!("warning: this cluster is not kept for the next deploy: {error:#}"));
}

/// The snapshot of a deploy from the present inputs of the cluster file; none unless it is `asked` for. Uses known inputs
/// only, and fetches nothing.
///
/// # Errors
/// When a record cannot be read.
pub fn kept(cx: &Cx, lab: &Lab, asked: bool) -> anyhow::Result<Option<Manifest>> {
    if !asked
        || !snapshots::list(&cx.layout.snapshots(), &lab.spec.name)?.iter().any(|one| one.deploy.is_some())
    {
        return Ok(None);
    }
    if lock::known(cx, lab)?.is_none() {
        return Ok(None);
    }
    snapshots::kept_of_deploy(cx, &lab.spec, &inputs(cx, lab)?)
}

/// Why Kubespray runs once more on a cluster that was deployed from the same inputs; `None` where it need not.
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
            Err(anyhow::Error::from(slow).context(Failure::new(FailureKind::Checks, message).hint(hint)))
        }
    }
}

fn next_steps(cx: &Cx, lab: &Lab, words: &str) -> String {
    let path = lab.files.kubeconfig();
    let path = cx.layout.shown(&path);
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

#[cfg(test)]
mod tests;
