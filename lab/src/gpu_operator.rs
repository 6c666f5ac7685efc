//! The NVIDIA GPU Operator on a lab's cluster: installed or upgraded, looked at, removed.
//!
//! What is rendered and what must come of it `lab_core::gpu_operator` decides. Whether it came about the checks of the suite
//! `gpu` find out ([`crate::validate`]); this room waits for them. Every step may be the last one of a command that is
//! killed: the next `install` goes on from there.

use std::path::PathBuf;

use anyhow::Context as _;
use lab_core::artifacts::lock::Lock;
use lab_core::gpu_operator::{self, Chart, RELEASE};
use lab_core::spec::{GpuOperatorSpec, GpuRuntime};

use crate::artifacts::lock::{Item, items, known};
use crate::artifacts::look::{State, held};
use crate::artifacts::store::Store;
use crate::cx::Cx;
use crate::failure::{Failure, FailureKind};
use crate::files::{self, PUBLIC};
use crate::lab::{Lab, Reached};
use crate::progress::Task;
use crate::validate;

use self::helm::{DEPLOYED, Helm, Release};

mod helm;
mod nodes;
mod remove;
pub mod status;

pub use remove::remove;

/// What an installation has to do.
pub enum Next<'a> {
    /// The release is as the cluster file asks for.
    Nothing(String),
    /// It is installed or upgraded.
    Change(Box<Planned<'a>>),
}

/// A change of the release that is about to begin.
pub struct Planned<'a> {
    wanted: Wanted<'a>,
    helm: Helm<'a>,
    /// The release that is there; `None` before the first installation.
    from: Option<Release>,
    /// Why there is something to do.
    pub why: String,
}

/// What the cluster file asks for, with all that is needed for it.
struct Wanted<'a> {
    spec: &'a GpuOperatorSpec,
    chart: &'static Chart,
    /// The packed chart in the store.
    packed: PathBuf,
    values: serde_json::Value,
}

/// What the cluster file asks for.
///
/// # Errors
/// When it asks for no GPU Operator, or the store lacks the chart.
fn wanted<'a>(cx: &Cx, lab: &'a Lab) -> anyhow::Result<Wanted<'a>> {
    let (spec, chart) = (asked_for(cx, lab)?, chart(cx, lab)?);
    let store = Store::open(&cx.layout);
    let item = artifact(cx, lab, gpu_operator::CHART)?;
    let url = gpu_operator::chart_url(&lab.spec);
    anyhow::ensure!(item.address == url, lacking(cx, lab, &format!("the chart `{url}`")));
    let held = held(&store, &item)?;
    let blob = held.blobs.first().filter(|_| held.state == State::Present);
    let packed = blob.map(|blob| store.path(&blob.sha256)).with_context(|| lacking(cx, lab, "the chart"))?;
    let values = gpu_operator::values(&lab.spec, chart);
    Ok(Wanted { spec, chart, packed, values })
}

/// The `gpu_operator` of the cluster file.
///
/// # Errors
/// When there is none.
pub fn asked_for<'a>(cx: &Cx, lab: &'a Lab) -> anyhow::Result<&'a GpuOperatorSpec> {
    lab.spec.gpu_operator.as_ref().with_context(|| {
        let file = cx.layout.shown(&lab.cluster_file);
        Failure::new(FailureKind::Usage, format!("`{file}` asks for no GPU Operator"))
            .hint("add `gpu_operator: {}` to it; docs/gpu-operator.md says what can stand in it")
    })
}

/// What is known of the chart that the cluster file asks for.
fn chart(cx: &Cx, lab: &Lab) -> anyhow::Result<&'static Chart> {
    gpu_operator::chart(&asked_for(cx, lab)?.version).context("a checked cluster file names a known chart")
}

/// An artefact of the cluster, by its name in the lock.
fn artifact(cx: &Cx, lab: &Lab, name: &str) -> anyhow::Result<Item> {
    // As it is: a removal needs no list that is up to date.
    let lock = match files::read_own::<Lock>(&lab.files.artifacts_lock())? {
        Some(lock) => Some(lock),
        None => known(cx, lab)?,
    };
    let lock = lock.with_context(|| lacking(cx, lab, "the list of the artefacts"))?;
    let item = items(&lock)?.into_iter().find(|item| item.name == name);
    item.with_context(|| lacking(cx, lab, &format!("`{name}`")))
}

fn lacking(cx: &Cx, lab: &Lab, what: &str) -> Failure {
    let words = lab.cluster_words(cx);
    Failure::new(FailureKind::Plan, format!("the store lacks {what} of the GPU Operator")).hint(format!(
        "`cargo xtask artifacts fetch {words}` or `cargo xtask artifacts build {words}` gets it"
    ))
}

/// helm on a cluster that was deployed.
///
/// # Errors
/// When it was not, or the store lacks helm.
fn helm<'a>(cx: &'a Cx, lab: &'a Lab, reached: &Reached) -> anyhow::Result<Helm<'a>> {
    validate::has_kubeconfig(cx, lab)?;
    Helm::find(cx, lab, reached, &artifact(cx, lab, gpu_operator::HELM)?)
}

/// Finds out what an installation has to do, for a caller that holds the lab.
///
/// # Errors
/// When an artefact is missing, the cluster does not answer, or another installation is in the way.
pub async fn look<'a>(cx: &'a Cx, lab: &'a Lab, reached: &Reached) -> anyhow::Result<Next<'a>> {
    validate::has_kubeconfig(cx, lab)?;
    let wanted = wanted(cx, lab)?;
    refuse_missing_images(cx, lab, &wanted)?;
    let helm = helm(cx, lab, reached)?;
    let from = found(cx, lab, reached, &helm).await?;
    if let Some(moved) = from.as_ref().filter(|release| release.namespace != wanted.spec.namespace) {
        let message = format!(
            "it is installed in the namespace `{}`, and the file names `{}`",
            moved.namespace, wanted.spec.namespace
        );
        let words = lab.cluster_words(cx);
        return Err(Failure::new(FailureKind::Plan, message)
            .hint(format!("`cargo xtask gpu-operator remove {words}` first"))
            .into());
    }
    nodes::refuse_unfit(cx, lab, reached).await?;
    let why = match &from {
        None => "it is not installed".to_owned(),
        Some(release) if release.is_cut_off() => "an installation was cut off".to_owned(),
        Some(release) if release.status != DEPLOYED => format!("the release is `{}`", release.status),
        Some(release) if release.chart != format!("{RELEASE}-{}", wanted.spec.version) => {
            format!("`{}` is installed", release.chart)
        }
        Some(release) if helm.values(release).await? != wanted.values => "its values have changed".to_owned(),
        Some(release) => return Ok(Next::Nothing(format!("`{}` is installed", release.chart))),
    };
    Ok(Next::Change(Box::new(Planned { wanted, helm, from, why })))
}

/// Makes the release what the cluster file asks for. Does not wait until the GPUs can be used: see [`ready`].
///
/// # Errors
/// When helm or the cluster refuses; the previous release is restored.
pub async fn change(cx: &Cx, lab: &Lab, reached: &Reached, planned: Planned<'_>) -> anyhow::Result<String> {
    let chart = format!("chart {}", planned.wanted.spec.version);
    let task = cx.progress.task(RELEASE);
    let done = apply(cx, lab, reached, planned, &task).await;
    match &done {
        Ok(()) => task.done(&format!("{chart} is installed")),
        Err(error) => task.failed(&error.to_string()),
    }
    done.map(|()| chart)
}

async fn apply(
    cx: &Cx,
    lab: &Lab,
    reached: &Reached,
    planned: Planned<'_>,
    task: &Task,
) -> anyhow::Result<()> {
    let Planned { wanted, helm, mut from, .. } = planned;
    let (files, namespace) = (lab.files.gpu_operator(), &wanted.spec.namespace);
    let text = gpu_operator::render(&lab.spec, wanted.chart);
    files::make_folder(&files.folder)?;
    files::write_if_changed(&files.values(), text.as_bytes(), PUBLIC)?;
    task.step("preparing the namespace, the kinds and the nodes");
    nodes::namespace(cx, lab, reached, namespace).await?;
    let definitions = helm.definitions(&wanted.packed).await?;
    files::write_if_changed(&files.definitions(), definitions.as_bytes(), PUBLIC)?;
    nodes::definitions(cx, lab, reached).await?;
    nodes::labels(cx, lab, reached).await?;
    nodes::keep_configurations(cx, lab, reached).await?;
    while let Some(release) = from.take_if(|release| release.is_cut_off()) {
        // helm refuses every change beside one that it believes to go on. This command holds the lab: none does.
        nodes::forget_revision(cx, lab, reached, &release).await?;
        from = helm.own_releases().await?.into_iter().find(|one| one.name == RELEASE);
    }
    task.step(&format!("installing chart {}", wanted.spec.version));
    let Err(error) = helm.apply(RELEASE, namespace, &wanted.packed, &files.values()).await else {
        return Ok(());
    };
    if crate::failure_kind::of(&error) == FailureKind::Interrupted {
        return Err(error);
    }
    task.step("undoing the change");
    helm.undo(RELEASE, namespace, from.is_some()).await.context(error.to_string())?;
    Err(error)
}

/// Waits until the checks of the suite `gpu` that only look pass: the GPUs of the plan can be used.
///
/// # Errors
/// When one does not pass in time, with the first broken link of the chain.
pub async fn ready(cx: &Cx, lab: &Lab, reached: &Reached) -> anyhow::Result<()> {
    let words = lab.cluster_words(cx);
    let outcomes = validate::gpus(cx, lab, reached).await?;
    validate::judge(&outcomes).with_context(|| {
        Failure::new(FailureKind::Checks, "the GPU Operator is installed, and not all GPUs can be used").hint(
            format!("`cargo xtask gpu-operator status {words}` shows more; `install` goes on from here"),
        )
    })
}

/// The lab's own release; `None` where there is none.
///
/// # Errors
/// When another installation of the GPU Operator is in the cluster.
async fn found(cx: &Cx, lab: &Lab, reached: &Reached, helm: &Helm<'_>) -> anyhow::Result<Option<Release>> {
    let (all, own) = (helm.releases().await?, helm.own_releases().await?);
    let other = all.iter().filter(|one| one.chart.starts_with("gpu-operator-") || one.name == RELEASE);
    if let Some(other) = other.into_iter().find(|one| !own.contains(one)) {
        let Release { name, namespace, chart, .. } = other;
        return Err(Failure::new(
            FailureKind::Plan,
            format!("the cluster has the release `{name}` of `{chart}` in `{namespace}`, which this lab did not make"),
        )
        .hint(format!("`helm uninstall {name} --namespace {namespace}` removes it; or leave `gpu_operator` out of the cluster file"))
        .into());
    }
    let release = own.into_iter().find(|one| one.name == RELEASE);
    if release.is_none()
        && let Some(owner) = nodes::foreign_policy(cx, lab, reached).await?
    {
        return Err(Failure::new(
            FailureKind::Plan,
            format!("the cluster has the ClusterPolicy `{owner}`, which no release of this lab made"),
        )
        .hint("remove the GPU Operator that it belongs to")
        .into());
    }
    Ok(release)
}

/// Machines without a way out get images from the lab alone.
fn refuse_missing_images(cx: &Cx, lab: &Lab, wanted: &Wanted<'_>) -> anyhow::Result<()> {
    if lab.spec.host != lab_core::spec::HostSpec::Embedded {
        return Ok(());
    }
    let store = Store::open(&cx.layout);
    let mut missing = Vec::new();
    for image in gpu_operator::images(&lab.spec, wanted.chart) {
        let item = artifact(cx, lab, image.name)?;
        if item.address != image.reference || held(&store, &item)?.state != State::Present {
            missing.push(format!("`{}`", image.reference));
        }
    }
    let what = if missing.len() == 1 { "the image" } else { "images" };
    anyhow::ensure!(missing.is_empty(), lacking(cx, lab, &format!("{what} {}", missing.join(", "))));
    Ok(())
}

/// Has the toolkit configure containerd again after Kubespray wrote its configuration anew, in which it keeps nothing that
/// it does not know. Does nothing where the operator is not installed.
///
/// # Errors
/// When a node or the cluster does not answer.
pub async fn after_kubespray(cx: &Cx, lab: &Lab, reached: &Reached) -> anyhow::Result<()> {
    match &lab.spec.gpu_operator {
        Some(GpuOperatorSpec { runtime: GpuRuntime::Toolkit, .. }) => {
            nodes::configure_runtimes(cx, lab, reached).await
        }
        // A plugin of containerd (NRI) leaves its configuration alone.
        _ => Ok(()),
    }
}

/// The values of the chart as text, each with its source.
///
/// # Errors
/// When the cluster file asks for no GPU Operator.
pub fn values_text(cx: &Cx, lab: &Lab) -> anyhow::Result<String> {
    Ok(gpu_operator::render(&lab.spec, chart(cx, lab)?))
}
