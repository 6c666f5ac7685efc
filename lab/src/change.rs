//! Changes of a cluster that is there: scale, remove-node, upgrade, reset, recover-control-plane.
//!
//! `lab_core::deploy::change` decides the steps. This module observes the cluster, prints the plan, asks for consent, runs
//! Kubespray's playbooks, and updates the records of the cluster: `deployed.json`, the kubeconfig, Ansible's facts.

use std::ffi::OsString;
use std::sync::Arc;

use anyhow::Context as _;
use jiff::Timestamp;
use lab_core::deploy::change::{
    Change, Decision, Living, Recovery, Refusal, Removal, Situation, Versions, recover, release_follows,
    remove, render, reset, scale, upgrade,
};
use lab_core::kubespray::ARTIFACTS_FILE;

use crate::ansible::play::{self, Play};
use crate::ansible::run::Prints;
use crate::artifacts::serve::warn_of_missing_artifacts;
use crate::cluster::deployed::{Deployed, deployed, inputs, wanted};
use crate::cluster::kubeconfig;
use crate::cx::Cx;
use crate::failure::{Failure, FailureKind};
use crate::files::{self, PUBLIC};
use crate::kubespray::source::Request;
use crate::lab::{Lab, Reached, running};
use crate::machines::limits::{self, TooLow};
use crate::machines::make;
use crate::validate::HEALTH;
use crate::validate::ready::settle;
use crate::{check, consent, gpu_operator, inventory, output};

mod living;

/// A change of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Machines that are new in the cluster file become nodes.
    Scale,
    /// Machines leave the cluster.
    RemoveNode(Removal),
    /// The cluster goes to the versions of its file.
    Upgrade,
    /// The cluster goes.
    Reset,
    /// The control plane is made whole again.
    Recover,
}

/// How it is to be done.
#[derive(Debug, Clone, Copy)]
pub struct ChangeOptions {
    /// Print the plan only.
    pub dry_run: bool,
    /// The plan, or what happens, as JSON on standard output.
    pub json: bool,
    /// How limits of the kernel that are too low for a larger cluster are treated.
    pub too_low: TooLow,
}

/// Changes the cluster of a lab.
///
/// # Errors
/// When the lab does not run, the change is refused, a playbook fails, or the cluster is not well afterwards.
pub async fn change(cx: &Cx, lab: &Lab, operation: &Operation, options: ChangeOptions) -> anyhow::Result<()> {
    let _held = lab.hold_made(cx)?;
    let reached = running(cx, lab).await?;
    refuse_old_inventory(cx, lab)?;
    if *operation == Operation::Upgrade {
        check::refuse(cx, lab).await?;
    }
    let task = cx.progress.task("cluster");
    task.step("asking machines what the cluster has");
    let living = living::look(cx, lab, &reached).await?;
    task.done(&summary(lab, &living));
    let words = lab.cluster_words(cx);
    let situation = Situation { spec: &lab.spec, words: &words, living: &living };
    let (decided, recovery) = decide(cx, lab, operation, &situation).await?;
    let change = match decided {
        Decision::Do(change) => change,
        Decision::Nothing(why) if options.dry_run && options.json => {
            return output::json(&serde_json::json!({ "nothing": why }));
        }
        Decision::Nothing(why) => {
            cx.progress.note(&format!("nothing to do: {why}"));
            return Ok(());
        }
    };
    if options.dry_run {
        return if options.json { output::json(&change) } else { output::print(render(&change)) };
    }
    cx.progress.note(render(&change).trim_end());
    if *operation == Operation::Scale {
        limits::check_before_deploy(cx, lab, options.too_low).await?;
    }
    if asks(operation) {
        consent::ask(cx, &change.lost.join(" and "))?;
    }
    // The served artefacts may be newer than the settings of the machines.
    make::serve(cx, lab).await?;
    warn_of_missing_artifacts(cx, lab)?;
    begin(cx, lab, operation, recovery.as_ref())?;
    play_all(cx, lab, &change, operation, Prints::json(options.json)).await?;
    finish(cx, lab, &reached, operation, &change).await?;
    for line in &change.next {
        cx.progress.note(line);
    }
    Ok(())
}

/// Takes away what a first deploy left that was cut off where Kubespray cannot go on; see [`living::is_cut_off`]. The
/// caller holds the lab, and knows that no deploy ever came to its end: there is nothing of a user in this cluster.
///
/// # Errors
/// When a machine cannot be asked, or what it has cannot be taken away.
pub async fn clear_cut_off(cx: &Cx, lab: &Lab, reached: &Reached) -> anyhow::Result<()> {
    let living = living::look(cx, lab, reached).await?;
    if !living::is_cut_off(cx, lab, reached, &living).await? {
        return Ok(());
    }
    cx.progress.note(
        "the first deploy was cut off while a control plane was made, and Kubespray cannot go on from there: what it left is taken away",
    );
    let situation = Situation { spec: &lab.spec, words: &lab.cluster_words(cx), living: &living };
    if let Decision::Do(change) = reset(&situation).map_err(refusal)? {
        play_all(cx, lab, &change, &Operation::Reset, Prints::Nothing).await?;
        finish(cx, lab, reached, &Operation::Reset, &change).await?;
    }
    Ok(())
}

/// Whether a person is asked before. An upgrade loses no more than a drain does.
fn asks(operation: &Operation) -> bool {
    matches!(operation, Operation::RemoveNode(_) | Operation::Reset | Operation::Recover)
}

/// The observed state, in a line.
fn summary(lab: &Lab, living: &Living) -> String {
    let nodes = match &living.nodes {
        Some(nodes) => {
            format!("{} of {} nodes ready", nodes.iter().filter(|node| node.ready).count(), nodes.len())
        }
        None => "no API server answers".to_owned(),
    };
    let etcd = match &living.etcd {
        Some(etcd) => {
            let healthy = etcd.members.iter().filter(|member| member.healthy).count();
            let majority = if etcd.quorum { "" } else { ", which is no majority" };
            format!("{healthy} of {} members of etcd answer{majority}", etcd.members.len())
        }
        None => "no member of etcd answers".to_owned(),
    };
    let (reached, machines) = (living.reached.len(), lab.spec.machines.len());
    format!("{reached} of {machines} machines answer, {nodes}, {etcd}")
}

async fn decide(
    cx: &Cx,
    lab: &Lab,
    operation: &Operation,
    situation: &Situation<'_>,
) -> anyhow::Result<(Decision, Option<Recovery>)> {
    let decided = match operation {
        Operation::Scale => scale(situation).map(|decided| (decided, None)),
        Operation::RemoveNode(removal) => remove(situation, removal).map(|decided| (decided, None)),
        Operation::Reset => reset(situation).map(|decided| (decided, None)),
        Operation::Recover => recover(situation),
        Operation::Upgrade => {
            let begun = files::read_own::<Deployed>(&lab.files.upgrading())?;
            let unfinished = begun.is_some();
            let from = match begun {
                Some(from) => Some(from),
                None => deployed(lab)?,
            };
            let words = situation.words;
            let from = from.with_context(|| {
                let message = format!("it is not known from what the cluster `{}` was deployed", lab.spec.name);
                Failure::new(FailureKind::Plan, message).hint(format!(
                    "`cargo xtask deploy {words}` with the versions that it has in the cluster file finds that out"
                ))
            })?;
            // What cannot be gone to need not be fetched.
            release_follows(&from.kubespray, &Request::of_lab(lab)?.pin.version).map_err(refusal)?;
            let (from, to) = (versions(&from), versions(&wanted(cx, lab).await?));
            upgrade(situation, &from, &to, unfinished).map(|decided| (decided, None))
        }
    };
    Ok(decided.map_err(refusal)?)
}

fn refusal(Refusal { why, hint }: Refusal) -> Failure {
    Failure::new(FailureKind::Plan, why).hint(hint)
}

fn versions(deployed: &Deployed) -> Versions {
    Versions { kubespray: deployed.kubespray.clone(), kubernetes: deployed.kubernetes.clone() }
}

/// Writes the records that an interrupted change needs to go on.
fn begin(cx: &Cx, lab: &Lab, operation: &Operation, recovery: Option<&Recovery>) -> anyhow::Result<()> {
    match operation {
        Operation::Upgrade => {
            if let Some(from) = deployed(lab)? {
                files::write_atomic(&lab.files.upgrading(), &serde_json::to_vec_pretty(&from)?, PUBLIC)?;
            }
            files::remove(&lab.files.deployed())
        }
        // Half a cluster is none.
        Operation::Reset => files::remove(&lab.files.deployed()),
        Operation::Recover => {
            let recovery = recovery.context("a recovery has no inventory")?;
            let folder = lab.files.inventory_folder();
            let files = inventory::rendered(cx.layout.root(), &recovery.spec, &lab.files, &folder)?;
            let hosts = files.get("inventory.ini").context("the inventory has no hosts")?;
            let text = format!("{hosts}{}", recovery.groups);
            files::write_atomic(&lab.files.recovery(), text.as_bytes(), PUBLIC)
        }
        // The record of the deploy still holds for the unchanged machines.
        Operation::Scale | Operation::RemoveNode(_) => Ok(()),
    }
}

async fn play_all(
    cx: &Cx,
    lab: &Lab,
    change: &Change,
    operation: &Operation,
    prints: Prints,
) -> anyhow::Result<()> {
    let words = lab.cluster_words(cx);
    let mut again = format!("cargo xtask deploy {} {words}", change.operation);
    if let Operation::RemoveNode(removal) = operation {
        again.push_str(&format!(" {}", removal.machines.join(" ")));
        again.push_str(if removal.gone { " --gone" } else { "" });
    }
    let recovery = lab.files.recovery();
    for step in &change.steps {
        let arguments: Vec<OsString> = step.arguments().into_iter().map(OsString::from).collect();
        let play = Play {
            playbook: step.playbook,
            inventory: (*operation == Operation::Recover).then_some(&recovery),
            arguments: &arguments,
            what: change.operation,
            again: format!("`{again}`"),
            prints,
        };
        play::play(cx, lab, &play).await?;
    }
    Ok(())
}

/// Waits until the cluster is healthy, and updates its records.
async fn finish(
    cx: &Cx,
    lab: &Lab,
    reached: &Reached,
    operation: &Operation,
    change: &Change,
) -> anyhow::Result<()> {
    match operation {
        Operation::Scale => {
            let new: Vec<&str> = change.machines.iter().map(|one| one.machine.as_str()).collect();
            gpu_operator::after_kubespray(cx, lab, reached).await?;
            settle(cx, lab, reached, &HEALTH).await?;
            was_made(cx, &without(lab, &new), lab)
        }
        Operation::RemoveNode(removal) => {
            let gone: Vec<&str> = removal.machines.iter().map(String::as_str).collect();
            have_gone(cx, lab, reached, &gone).await?;
            if !removal.gone {
                restart_machines(cx, lab, reached, &gone).await?;
            }
            settle(cx, lab, reached, &["system-pods"]).await?;
            let is_plain = |name: &&str| {
                lab.machine(name).is_ok_and(|machine| machine.roles == [lab_core::spec::Role::Worker].into())
            };
            if gone.iter().all(is_plain) {
                return was_made(cx, lab, &without(lab, &gone));
            }
            // The remaining machines learn of it by a deploy.
            files::remove(&lab.files.deployed())
        }
        Operation::Upgrade => {
            kubeconfig::fetch(cx, lab, reached).await?;
            gpu_operator::after_kubespray(cx, lab, reached).await?;
            settle(cx, lab, reached, &HEALTH).await?;
            let done = Deployed { at: Timestamp::now(), ..wanted(cx, lab).await? };
            files::write_atomic(&lab.files.deployed(), &serde_json::to_vec_pretty(&done)?, PUBLIC)?;
            files::remove(&lab.files.upgrading())
        }
        Operation::Reset => {
            let all: Vec<&str> = lab.spec.machines.iter().map(|machine| machine.name.as_str()).collect();
            restart_machines(cx, lab, reached, &all).await?;
            let folder = lab.files.inventory_folder();
            for path in [
                lab.files.kubeconfig(),
                lab.files.upgrading(),
                lab.files.facts(),
                // Kubespray keeps the secrets of a cluster beside its inventory.
                folder.join("credentials"),
                folder.join("artifacts"),
            ] {
                files::remove(&path)?;
            }
            Ok(())
        }
        Operation::Recover => {
            files::remove(&lab.files.recovery())?;
            kubeconfig::fetch(cx, lab, reached).await?;
            settle(cx, lab, reached, &HEALTH).await
        }
    }
}

/// What a network plugin left in the kernel of a machine goes with its restart. Kubespray's reset leaves routes of kube-router,
/// and a machine of the next cluster may be given the very addresses that they lead elsewhere.
async fn restart_machines(cx: &Cx, lab: &Lab, reached: &Reached, machines: &[&str]) -> anyhow::Result<()> {
    let state = lab.state()?.context("a lab that runs has a state")?;
    make::restart(cx, lab, reached, &state, machines).await
}

/// The record of what the cluster was deployed from follows a change of its machines, where it was true before.
fn was_made(cx: &Cx, before: &Lab, after: &Lab) -> anyhow::Result<()> {
    let Some(last) = deployed(before)? else { return Ok(()) };
    if last.inputs != inputs(cx, before)? {
        return Ok(());
    }
    let done = Deployed { inputs: inputs(cx, after)?, at: Timestamp::now(), ..last };
    files::write_atomic(&after.files.deployed(), &serde_json::to_vec_pretty(&done)?, PUBLIC)
}

/// The lab of a cluster file that names these machines no more.
fn without(lab: &Lab, machines: &[&str]) -> Lab {
    let mut spec = (*lab.spec).clone();
    spec.machines.retain(|machine| !machines.contains(&machine.name.as_str()));
    Lab { spec: Arc::new(spec), ..lab.clone() }
}

async fn have_gone(cx: &Cx, lab: &Lab, reached: &Reached, machines: &[&str]) -> anyhow::Result<()> {
    let nodes = living::look(cx, lab, reached).await?.nodes.unwrap_or_default();
    let there: Vec<&str> =
        nodes.iter().map(|node| node.name.as_str()).filter(|name| machines.contains(name)).collect();
    let message = format!("Kubespray ended well, and the cluster still has {}", there.join(", "));
    anyhow::ensure!(there.is_empty(), Failure::new(FailureKind::Deploy, message));
    Ok(())
}

/// Refuses to run a playbook with an inventory that does not say what the cluster file says: `lab up` writes it.
///
/// # Errors
/// When it does not, or cannot be read.
pub fn refuse_old_inventory(cx: &Cx, lab: &Lab) -> anyhow::Result<()> {
    let folder = lab.files.inventory_folder();
    let wanted = inventory::rendered(cx.layout.root(), &lab.spec, &lab.files, &folder)?;
    let is_old = |(path, text): (&String, &String)| {
        files::read_if_present(&folder.join(path)).ok().flatten().as_ref() != Some(text)
    };
    let left = inventory::stale(&folder, &wanted)?;
    if !wanted.iter().any(is_old) && left.iter().all(|path| path == ARTIFACTS_FILE) {
        return Ok(());
    }
    let words = lab.cluster_words(cx);
    let message =
        format!("the cluster file of `{}` is newer than its machines and their inventory", lab.spec.name);
    Err(Failure::new(FailureKind::Plan, message).hint(format!("run `cargo xtask lab up {words}`")).into())
}

/// Refuses to change versions by a deploy, which would not go from machine to machine.
///
/// # Errors
/// When a version is another than was deployed, or an upgrade has not ended.
pub fn refuse_upgrade(cx: &Cx, lab: &Lab, last: Option<&Deployed>, wanted: &Deployed) -> anyhow::Result<()> {
    let words = lab.cluster_words(cx);
    let begun = files::read_own::<Deployed>(&lab.files.upgrading())?;
    let message = match (begun, last) {
        (Some(from), _) => format!("an upgrade from Kubernetes {} has not come to its end", from.kubernetes),
        (None, Some(last)) if versions(last) != versions(wanted) => format!(
            "the cluster `{}` has Kubernetes {} by Kubespray {}, and its file asks for {} by {}",
            lab.spec.name, last.kubernetes, last.kubespray, wanted.kubernetes, wanted.kubespray
        ),
        _ => return Ok(()),
    };
    let hint = format!(
        "`cargo xtask deploy upgrade {words}` goes there; `cargo xtask deploy reset {words}` makes room for a new cluster"
    );
    Err(Failure::new(FailureKind::Plan, message).hint(hint).into())
}
