//! From a cluster file to machines that answer: what there is observed, planned, agreed to, carried out.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use lab_core::libvirt_xml::Acceleration;
use lab_core::plan::{Action, Inputs, Observed, Plan, desired, plan, render};
use lab_core::spec::{GpuRequest, HostSpec, ImageSpec, MachineKind};
use tokio_util::sync::CancellationToken;

use crate::ansible::{access, ping};
use crate::artifacts::lock;
use crate::artifacts::serve::{self, Serving};
use crate::artifacts::store::Store;
use crate::cx::Cx;
use crate::failure::{Failure, FailureKind};
use crate::host::acceleration::{self, Decision};
use crate::host::embedded;
use crate::image::{self, BaseImage};
use crate::lab::state::StateFile;
use crate::lab::{Lab, Reached, keys, run_id};
use crate::output;
use crate::{check, consent, files};

use super::apply::{ApplyContext, apply};
use super::observe::observe;
use super::{down, limits, offline, stand_in};

/// What `up` would do, without doing anything.
///
/// # Errors
/// When the host does not answer.
pub async fn planned(cx: &Cx, lab: &Lab) -> anyhow::Result<Plan> {
    let keys = keys::read(lab)?;
    let keyed: BTreeMap<ImageSpec, String> = image_specs(lab)
        .into_iter()
        .map(|spec| image::key(&spec).map(|key| (spec, key)))
        .collect::<anyhow::Result<_>>()?;
    let accelerated = accelerated(cx, lab, None).await?;
    let (id, observed) = match lab.state()? {
        Some(state) => {
            let observed = match Reached::find(cx, lab, &state).await? {
                Some(reached) => observe(cx, lab, &reached, &state.get()).await?,
                None => offline::observe(cx, lab, &state.get()).await?,
            };
            (state.get().lab, observed)
        }
        // A plan for a lab that was never made: nothing in it depends on the id but addresses of cards.
        None => (lab_core::identity::LabId::from_bytes([0; 6]), Observed::default()),
    };
    let inputs = Inputs {
        spec: &lab.spec,
        lab: &id,
        acceleration: accelerated.kind,
        images: &keyed,
        keys: &keys.public(),
    };
    Ok(plan(&inputs, &observed))
}

fn image_specs(lab: &Lab) -> Vec<ImageSpec> {
    let mut specs: Vec<ImageSpec> = lab.spec.machines.iter().map(|machine| machine.image.clone()).collect();
    specs.sort();
    specs.dedup();
    specs
}

/// Stops these machines of a lab that runs and starts them again, for a caller that holds the lab.
///
/// # Errors
/// When one does not stop, or does not come back.
pub async fn restart(
    cx: &Cx,
    lab: &Lab,
    reached: &Reached,
    state: &StateFile,
    machines: &[&str],
) -> anyhow::Result<()> {
    down::stop(cx, reached, state, Some(machines)).await?;
    let made = make(cx, lab, state, Some(machines)).await?;
    ping::once(cx, lab, &made.reached, state).await
}

/// A lab that was made what its file says.
pub struct Made {
    /// Its host.
    pub reached: Reached,
    /// The plan that was carried out.
    pub plan: Plan,
}

/// Makes the world match the cluster file, for a caller that holds the lab; ends the host that it started for nothing.
/// Ansible is not asked yet.
///
/// # Errors
/// When the plan is refused, or a machine cannot be made or reached.
pub async fn make(cx: &Cx, lab: &Lab, state: &StateFile, only: Option<&[&str]>) -> anyhow::Result<Made> {
    let ran = embedded::find(&lab.files.host())?.is_some();
    let made = make_on_host(cx, lab, state, only).await;
    if made.is_err() && !ran && !state.get().has_machines() {
        // The command may have been asked to stop, and this is how it does.
        embedded::end(&lab.files.host(), &CancellationToken::new()).await?;
        state.forget("host")?;
    }
    made
}

async fn make_on_host(cx: &Cx, lab: &Lab, state: &StateFile, only: Option<&[&str]>) -> anyhow::Result<Made> {
    moved(lab, state)?;
    stand_in::check_programs(lab)?;
    let (images, keys, reached) = begin(cx, lab, state).await?;
    fits(lab, &images)?;
    runs_containers(lab, &reached)?;
    let trees = ensure_trees(cx, lab, &images).await?;
    let accelerated = accelerated(cx, lab, images.values().next()).await?;
    let keyed = images.iter().map(|(spec, base)| (spec.clone(), base.key.clone())).collect();
    let lab_id = state.get().lab;
    let public = keys.public();
    let mut spec = (*lab.spec).clone();
    for machine in &mut spec.machines {
        machine.auto_start |= only.is_some_and(|only| only.contains(&machine.name.as_str()));
    }
    let inputs =
        Inputs { spec: &spec, lab: &lab_id, acceleration: accelerated.kind, images: &keyed, keys: &public };
    know_disks(cx, lab, &reached, state).await?;
    let observed = observe(cx, lab, &reached, &state.get()).await?;
    let mut planned = plan(&inputs, &observed);
    if let Some(only) = only {
        planned.machines.retain(|machine| only.contains(&machine.name.as_str()));
    }
    if !check::refused(cx, lab).await?.findings.is_empty() {
        // Machines can be had without Kubernetes.
        let words = lab.cluster_words(cx);
        cx.progress
            .note(&format!("Kubespray would not deploy this cluster: `cargo xtask check {words}` says why"));
    }
    // What a lab that is gone needed is remembered, and this one needs it before anybody asks.
    lock::known(cx, lab)?;
    let serving = serve_prepared(cx, lab).await?;
    if access::write(cx, lab, &keys, serving.as_ref())? {
        // What Ansible reached, it reached with other files.
        state.change(|state| state.pinged.clear())?;
    }
    if planned.is_noop() {
        cx.progress.note(&format!("nothing to do: the lab `{}` is as its cluster file says", lab.spec.name));
    } else {
        let run = lab.files.runs().join(run_id());
        cx.progress.keep(&run.join("events.jsonl"))?;
        cx.progress.note(&format!("machines are run by {}", accelerated.words));
        note_unsupported_options(cx, lab);
        limits::warn_before_up(cx, lab).await?;
        let text = render(&planned, output::is_coloured(&std::io::stderr()));
        files::write_atomic(&run.join("plan.txt"), render(&planned, false).as_bytes(), files::SECRET)?;
        cx.progress.note(text.trim_end());
        agreed(cx, &planned)?;
        let context = ApplyContext {
            lab: lab.clone(),
            state: state.clone(),
            reached: reached.clone(),
            keys,
            images,
            trees,
            desired: Arc::new(desired(&inputs)),
            acceleration: accelerated.kind,
        };
        apply(cx, &context, &planned).await?;
    }
    if let Some(serving) = &serving {
        serve::ready(cx, lab, serving).await?;
    }
    Ok(Made { reached, plan: planned })
}

/// Begins with what does not depend on each other. A host that is being started is waited for even when
/// the rest has failed: no other command could end it.
async fn begin(
    cx: &Cx,
    lab: &Lab,
    state: &StateFile,
) -> anyhow::Result<(BTreeMap<ImageSpec, BaseImage>, keys::Keys, Reached)> {
    let mut rest = std::pin::pin!(async { tokio::try_join!(ensure_images(cx, lab), keys::ensure(cx, lab)) });
    let mut host = std::pin::pin!(Reached::start(cx, lab, state));
    let (rest, host) = tokio::select! {
        host = &mut host => {
            let host = host?;
            (rest.await, host)
        }
        rest = &mut rest => (rest, host.await?),
    };
    let (images, keys) = rest?;
    Ok((images, keys, host))
}

/// Makes libvirt find disks that it did not make itself: those of a restored lab.
async fn know_disks(cx: &Cx, lab: &Lab, reached: &Reached, state: &StateFile) -> anyhow::Result<()> {
    let disks = lab.files.disks();
    if lab.spec.host != HostSpec::Embedded || !disks.is_dir() {
        return Ok(());
    }
    state.record("pool")?;
    files::private_folder(&disks)?;
    let (provider, pool) = (reached.provider.clone(), reached.resource.clone());
    cx.blocking(move || provider.ensure_pool(&pool, &disks.display().to_string())).await
}

/// Serves artefacts to the machines of a running lab, and writes the settings for Ansible.
///
/// # Errors
/// When it cannot be laid out, or the servers do not answer.
pub async fn serve(cx: &Cx, lab: &Lab) -> anyhow::Result<()> {
    let serving = serve_prepared(cx, lab).await?;
    access::write(cx, lab, &keys::read(lab)?, serving.as_ref())?;
    match &serving {
        Some(serving) => serve::ready(cx, lab, serving).await,
        None => Ok(()),
    }
}

/// Lays out the served artefacts; if they changed, prints notes on those that a deploy would lack.
async fn serve_prepared(cx: &Cx, lab: &Lab) -> anyhow::Result<Option<Serving>> {
    let (for_work, lab) = (cx.clone(), lab.clone());
    let (serving, changed) = cx
        .blocking(move || {
            let serving = serve::look(&for_work, &lab)?;
            let changed = serve::prepare(&lab, &Store::open(&for_work.layout), serving.as_ref())?;
            Ok((serving, changed))
        })
        .await?;
    for note in serving.iter().filter(|_| changed).flat_map(|serving| &serving.notes) {
        cx.progress.note(note);
    }
    Ok(serving)
}

/// A lab does not move from one host to another: what it left there could no longer be found.
fn moved(lab: &Lab, state: &StateFile) -> anyhow::Result<()> {
    let made = state.get();
    if made.host == lab.spec.host || made.resources.is_empty() {
        return state.change(|state| state.host = lab.spec.host.clone());
    }
    Err(Failure::new(
        FailureKind::Plan,
        format!("the lab `{}` lives on another host than its cluster file says", made.cluster),
    )
    .hint(format!("run `cargo xtask lab destroy {}` first: machines do not move", made.cluster))
    .into())
}

/// Prints a note on options of the cluster file that this version does not support.
pub fn note_unsupported_options(cx: &Cx, lab: &Lab) {
    let wanting: Vec<&str> = lab
        .spec
        .machines
        .iter()
        .filter(|machine| machine.gpus.iter().any(GpuRequest::is_physical))
        .map(|machine| machine.name.as_str())
        .collect();
    if !wanting.is_empty() {
        cx.progress.note(&format!(
            "physical GPUs are not given to machines yet: {} will be without",
            wanting.join(", ")
        ));
    }
}

async fn ensure_images(cx: &Cx, lab: &Lab) -> anyhow::Result<BTreeMap<ImageSpec, BaseImage>> {
    let mut images = BTreeMap::new();
    for spec in image_specs(lab) {
        let base = image::ensure(cx, &spec, lab.cluster_file.parent().unwrap_or(cx.layout.root())).await?;
        images.insert(spec, base);
    }
    Ok(images)
}

/// The root trees that the lab's containers share.
async fn ensure_trees(
    cx: &Cx,
    lab: &Lab,
    images: &BTreeMap<ImageSpec, BaseImage>,
) -> anyhow::Result<BTreeMap<ImageSpec, PathBuf>> {
    let mut trees = BTreeMap::new();
    for machine in lab.spec.machines.iter().filter(|machine| machine.kind == MachineKind::Container) {
        let tree = image::tree(cx, &images[&machine.image]).await?;
        trees.insert(machine.image.clone(), tree);
    }
    Ok(trees)
}

/// The acceleration of the lab's virtual machines. A lab without any does not probe it.
async fn accelerated(cx: &Cx, lab: &Lab, image: Option<&BaseImage>) -> anyhow::Result<Decision> {
    if lab.spec.machines.iter().any(|machine| machine.kind == MachineKind::Vm) {
        return acceleration::decide(cx, image).await;
    }
    Ok(Decision { kind: Acceleration::Native, words: "this computer's own kernel, as containers".to_owned() })
}

/// Whether the lab's host can run the containers that its file asks for.
fn runs_containers(lab: &Lab, reached: &Reached) -> anyhow::Result<()> {
    let wanted = lab.spec.machines.iter().find(|machine| machine.kind == MachineKind::Container);
    match (wanted, reached.provider.without_containers()) {
        (Some(machine), Some(why)) => {
            let message = format!("`{}` cannot be a container here: {why}", machine.name);
            Err(Failure::new(FailureKind::Host, message)
                .hint("`cargo xtask doctor` lists missing requirements")
                .into())
        }
        _ => Ok(()),
    }
}

/// A clone that is smaller than its image would be cut off.
fn fits(lab: &Lab, images: &BTreeMap<ImageSpec, BaseImage>) -> anyhow::Result<()> {
    for machine in lab.spec.machines.iter().filter(|machine| machine.kind == MachineKind::Vm) {
        let least = images[&machine.image].virtual_size;
        if machine.disk < least {
            let message =
                format!("the disk of `{}` is {}, and its image needs {least}", machine.name, machine.disk);
            return Err(Failure::new(FailureKind::Plan, message).hint(format!("set `disk: {least}`")).into());
        }
    }
    Ok(())
}

/// Asks before anything on a disk is lost.
fn agreed(cx: &Cx, planned: &Plan) -> anyhow::Result<()> {
    if !planned.destroys_data() {
        return Ok(());
    }
    let lost: Vec<String> = planned
        .machines
        .iter()
        .filter(|machine| machine.destroys_data)
        .map(|machine| {
            let verb = if machine.action == Action::Remove { "removed" } else { "replaced" };
            format!("`{}` ({verb})", machine.name)
        })
        .collect();
    consent::ask(cx, &format!("the data on the disks of {}", lost.join(", ")))
}
