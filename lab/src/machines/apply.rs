//! Carries out a plan: what must come before the network, the network, then all machines at once, each
//! going on as soon as it can.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use lab_core::libvirt_xml::{Acceleration, Backing, VolumeFormat, VolumePlan, network_xml, volume_xml};
use lab_core::plan::{
    Desired, MachineActions, MachineOperation, MachineState, MachineStep, NetworkOperation, Plan,
};
use lab_core::spec::{HostSpec, ImageSpec, MachineKind};

use crate::cx::Cx;
use crate::disks::{disk_name, root};
use crate::failure::{Failure, FailureKind};
use crate::files;
use crate::image::BaseImage;
use crate::lab::keys::Keys;
use crate::lab::state::StateFile;
use crate::lab::{Lab, Reached, console, reach};
use crate::layout::RootFiles;
use crate::progress::{Kind, Task};
use crate::timeouts::{BOOT_TIMEOUT, CONTAINER_ROOT_TIMEOUT, emulation_factor};
use crate::wait::Deadline;

use super::place::{define, place_base, pool_path, remove_placed, write_identity};
use super::{container, down};

/// Everything the steps of a plan need.
#[derive(Clone)]
pub struct ApplyContext {
    /// The lab.
    pub lab: Lab,
    /// Its state.
    pub state: StateFile,
    /// Its host.
    pub reached: Reached,
    /// Its keys.
    pub keys: Keys,
    /// The base images, by what the spec calls them.
    pub images: BTreeMap<ImageSpec, BaseImage>,
    /// Root trees that containers share, by what the spec calls their images.
    pub trees: BTreeMap<ImageSpec, PathBuf>,
    /// What the spec asks for.
    pub desired: Arc<Desired>,
    /// What runs the processors.
    pub acceleration: Acceleration,
}

/// The variable names a step's id, and `before` or `after`.
const KILL_AT: &str = "LAB_TEST_KILL_AT";

/// Ends the program at a step, as if it had been killed there: tests prove with it that every step can be the last one.
pub fn kill_point(id: &str, when: &str) {
    if std::env::var(KILL_AT).is_ok_and(|at| at == format!("{id}:{when}")) {
        // SIGKILL leaves no time for anything, and the tests prove that `up` survives it.
        let _ = nix::sys::signal::kill(nix::unistd::Pid::this(), nix::sys::signal::Signal::SIGKILL);
    }
}

/// Carries out the plan.
///
/// # Errors
/// Names every machine that failed; the others went as far as they could.
pub async fn apply(cx: &Cx, context: &ApplyContext, plan: &Plan) -> anyhow::Result<()> {
    let tasks: BTreeMap<&str, Arc<Task>> = plan
        .machines
        .iter()
        .filter(|machine| !machine.before.is_empty() || !machine.steps.is_empty())
        .map(|machine| (machine.name.as_str(), Arc::new(cx.progress.task(&machine.name))))
        .collect();
    all_machines(cx, context, plan, &tasks, |machine| &machine.before).await?;
    network(cx, context, plan).await?;
    all_machines(cx, context, plan, &tasks, |machine| &machine.steps).await
}

/// Takes one list of steps of every machine, all machines at once.
async fn all_machines(
    cx: &Cx,
    context: &ApplyContext,
    plan: &Plan,
    tasks: &BTreeMap<&str, Arc<Task>>,
    steps: impl Fn(&MachineActions) -> &Vec<MachineStep>,
) -> anyhow::Result<()> {
    let mut work = tokio::task::JoinSet::new();
    for machine in plan.machines.iter().filter(|machine| !steps(machine).is_empty()) {
        let (cx, context, machine, steps) =
            (cx.clone(), context.clone(), machine.clone(), steps(machine).clone());
        let task = tasks[machine.name.as_str()].clone();
        work.spawn(async move {
            let result = one_machine(&cx, &context, &machine, &steps, &task).await;
            if let Err(error) = &result {
                task.failed(error.to_string().lines().next().unwrap_or("failed"));
            }
            (machine.name, result)
        });
    }
    let mut failed = Vec::new();
    while let Some(joined) = work.join_next().await {
        let (name, result) = joined.context("the work on a machine broke off")?;
        if let Err(error) = result {
            failed.push((name, error));
        }
    }
    failed.sort_by(|a, b| a.0.cmp(&b.0));
    let names: Vec<String> = failed.iter().map(|(name, _)| format!("`{name}`")).collect();
    match failed.len() {
        0 => Ok(()),
        1 => Err(failed.remove(0).1),
        _ => {
            let mut all = String::new();
            for (_, error) in &failed {
                all.push_str(&format!("\n{error:#}"));
            }
            let interrupted =
                failed.iter().all(|(_, error)| crate::failure_kind::of(error) == FailureKind::Interrupted);
            let kind = if interrupted { FailureKind::Interrupted } else { FailureKind::Provision };
            Err(Failure::new(kind, format!("{} machines failed: {}{all}", failed.len(), names.join(", ")))
                .into())
        }
    }
}

async fn one_machine(
    cx: &Cx,
    context: &ApplyContext,
    machine: &MachineActions,
    steps: &[MachineStep],
    task: &Task,
) -> anyhow::Result<()> {
    // How long its console log was when it was started here; none for a machine that runs already.
    let mut started_at = None;
    for step in steps {
        if cx.cancel.is_cancelled() {
            return Err(crate::wait::WaitError::Cancelled { what: step.id.clone() }.into());
        }
        kill_point(&step.id, "before");
        if step.operation == MachineOperation::Start {
            started_at = Some(console::length(&context.lab.files.machine(&machine.name).console()));
        }
        one_step(cx, context, machine, &step.operation, started_at, task).await.with_context(|| {
            Failure::new(
                FailureKind::Provision,
                format!("cannot {} `{}`", words(&step.operation), machine.name),
            )
        })?;
        kill_point(&step.id, "after");
    }
    match steps.last().map(|step| &step.operation) {
        Some(MachineOperation::WaitReachable) => {
            task.done_as(
                Kind::Reached,
                &format!("reached over ssh in {:.1} s", task.elapsed().as_secs_f64()),
            );
        }
        Some(
            MachineOperation::RemoveIdentity | MachineOperation::RemoveDisk | MachineOperation::RemoveDomain,
        ) => {
            context.state.forget(&format!("machine/{}", machine.name))?;
            task.done_as(Kind::Removed, "removed");
        }
        Some(MachineOperation::Stop | MachineOperation::PowerOff) => task.step("waiting for the network"),
        _ => task.done_as(Kind::Defined, "defined, not started"),
    }
    Ok(())
}

/// A step as the end of "cannot …".
fn words(operation: &MachineOperation) -> &'static str {
    match operation {
        MachineOperation::Stop => "stop",
        MachineOperation::PowerOff => "take the power of",
        MachineOperation::RemoveIdentity => "remove the identity of",
        MachineOperation::RemoveDisk => "remove the disk of",
        MachineOperation::RemoveDomain => "remove",
        MachineOperation::CreateDisk { .. } => "make the disk of",
        MachineOperation::GrowDisk { .. } => "grow the disk of",
        MachineOperation::WriteIdentity => "write the identity of",
        MachineOperation::DefineDomain => "define",
        MachineOperation::Start => "start",
        MachineOperation::Resume => "resume",
        MachineOperation::WaitReachable => "reach",
    }
}

#[expect(clippy::too_many_lines, reason = "one branch a step")]
async fn one_step(
    cx: &Cx,
    context: &ApplyContext,
    machine: &MachineActions,
    operation: &MachineOperation,
    started_at: Option<u64>,
    task: &Task,
) -> anyhow::Result<()> {
    let name = machine.name.as_str();
    let resource = format!("machine/{name}");
    let domain = lab_core::libvirt_xml::domain_name(&context.lab.spec.name, name);
    let provider = context.reached.provider.clone();
    let pool = context.reached.resource.clone();
    let disk = disk_name(name);
    match operation {
        MachineOperation::Stop => {
            task.step("shutting down");
            down::stop_machine(cx, &context.reached, name, &domain, task).await
        }
        MachineOperation::PowerOff => {
            task.step("taking its power");
            cx.blocking(move || provider.power_off_domain(&domain)).await
        }
        MachineOperation::RemoveIdentity => {
            task.step("removing");
            let (lab, name) = (context.lab.clone(), name.to_owned());
            cx.blocking(move || {
                remove_placed(&lab, &*provider, &pool, &name)?;
                files::remove(&lab.files.machine(&name).folder)
            })
            .await
        }
        MachineOperation::RemoveDisk => {
            let root = context.lab.files.root(name);
            if root.folder.exists() {
                return remove_root(cx, context, &root).await;
            }
            cx.blocking(move || provider.remove_volume(&pool, &disk)).await
        }
        MachineOperation::RemoveDomain => cx.blocking(move || provider.remove_domain(&domain)).await,
        MachineOperation::CreateDisk { size, image } => {
            task.step("making its disk");
            context.state.record(&resource)?;
            if kind_of(context, name) == Some(MachineKind::Container) {
                let (files, name, image) = (context.lab.files.clone(), name.to_owned(), image.clone());
                return cx.blocking(move || root::make(&files, &name, &image)).await;
            }
            let base = context
                .images
                .values()
                .find(|base| base.key == *image)
                .context("the image is not in the store")?;
            let (lab, base, size) = (context.lab.clone(), base.clone(), *size);
            cx.blocking(move || {
                let backing = place_base(&lab, &*provider, &pool, &base)?;
                let plan = VolumePlan {
                    name: disk.clone(),
                    capacity: size,
                    format: VolumeFormat::Qcow2,
                    backing: Some(Backing { path: backing, format: VolumeFormat::Qcow2 }),
                };
                provider.create_volume(&pool, &disk, &volume_xml(&plan))?;
                Ok(())
            })
            .await
        }
        MachineOperation::GrowDisk { to, .. } => {
            task.step("growing its disk");
            let to = *to;
            cx.blocking(move || provider.grow_volume(&pool, &disk, to)).await
        }
        MachineOperation::WriteIdentity => {
            context.state.record(&resource)?;
            let (context, name) = (context.clone(), name.to_owned());
            cx.blocking(move || write_identity(&context, &name)).await
        }
        MachineOperation::DefineDomain => {
            context.state.record(&resource)?;
            define(cx, context, name).await
        }
        MachineOperation::Start => {
            task.step("starting");
            context.state.change(|state| {
                state.started.insert(name.to_owned(), jiff::Timestamp::now());
            })?;
            if kind_of(context, name) == Some(MachineKind::Container) {
                return start_container(cx, context, name, domain).await;
            }
            cx.blocking(move || provider.start_domain(&domain)).await?;
            Ok(())
        }
        MachineOperation::Resume => {
            cx.blocking(move || provider.resume_domain(&domain)).await?;
            Ok(())
        }
        MachineOperation::WaitReachable => wait_reachable(cx, context, name, &domain, started_at, task).await,
    }
}

/// The kind of a machine of the file; none for one that is no longer in it.
fn kind_of(context: &ApplyContext, name: &str) -> Option<MachineKind> {
    context.desired.machines.get(name).map(|wanted| wanted.applied.kind)
}

async fn start_container(cx: &Cx, context: &ApplyContext, name: &str, domain: String) -> anyhow::Result<()> {
    let image = &context.lab.machine(name)?.image;
    let tree = context.trees.get(image).context("the image has no root tree")?;
    let root = context.lab.files.root(name);
    let store = cx.layout.snapshots();
    let frozen = root::settled(&root, &store)?.layers;
    let mut below: Vec<PathBuf> = frozen.iter().map(|layer| store.layer(layer).upper()).collect();
    below.push(tree.clone());
    // A fake runs nothing, so that nothing is mounted for it.
    let host = context.reached.embedded.clone();
    if let Some(host) = &host {
        container::mounting(host, &root, &below)
            .read(&cx.cancel, Deadline::after(CONTAINER_ROOT_TIMEOUT))
            .await?;
    }
    let (provider, log) = (context.reached.provider.clone(), context.lab.files.machine(name).console());
    cx.blocking(move || {
        provider.start_domain(&domain)?;
        match &host {
            Some(host) => container::keep_console(host, &provider.console_terminal(&domain)?, &log),
            None => Ok(()),
        }
    })
    .await
}

async fn remove_root(cx: &Cx, context: &ApplyContext, root: &RootFiles) -> anyhow::Result<()> {
    if let Some(host) = &context.reached.embedded {
        container::unmounting(host, root).read(&cx.cancel, Deadline::after(CONTAINER_ROOT_TIMEOUT)).await?;
    }
    let folder = root.folder.clone();
    cx.blocking(move || files::remove(&folder)).await
}

/// Waits for a login. Restarts a machine once whose kernel panicked under emulation, and prints a note.
async fn wait_reachable(
    cx: &Cx,
    context: &ApplyContext,
    name: &str,
    domain: &str,
    started_at: Option<u64>,
    task: &Task,
) -> anyhow::Result<()> {
    let acceleration = context.desired.machines[name].applied.acceleration;
    let deadline = Deadline::after(BOOT_TIMEOUT.times(emulation_factor(acceleration)));
    let mut result = reach::wait(cx, &context.lab, &context.reached, name, started_at, deadline, task).await;
    let panicked = result.as_ref().is_err_and(|error| error.downcast_ref::<reach::Panicked>().is_some());
    if panicked && acceleration == Acceleration::Tcg {
        cx.progress.note(&format!("`{name}` died while it started under emulation; it is started once more"));
        let (provider, again) = (context.reached.provider.clone(), domain.to_owned());
        let offset = console::length(&context.lab.files.machine(name).console());
        cx.blocking(move || {
            provider.power_off_domain(&again)?;
            provider.start_domain(&again)
        })
        .await?;
        result = reach::wait(cx, &context.lab, &context.reached, name, Some(offset), deadline, task).await;
    }
    result?;
    let (provider, domain) = (context.reached.provider.clone(), domain.to_owned());
    let run = cx.blocking(move || provider.domain_state(&domain)).await?;
    if let Some((MachineState::Running, Some(run))) = run {
        let run = context.reached.run_name(run);
        context.state.change(|state| {
            state.reached.insert(name.to_owned(), run);
        })?;
    }
    Ok(())
}

async fn network(cx: &Cx, context: &ApplyContext, plan: &Plan) -> anyhow::Result<()> {
    let network = &context.desired.network;
    if plan.machines.iter().any(|machine| !machine.steps.is_empty()) {
        context.state.record("pool")?;
        if context.lab.spec.host == HostSpec::Embedded {
            // libvirt would make it so that other users may pass.
            files::private_folder(&context.lab.files.disks())?;
        }
        let (provider, pool, path) =
            (context.reached.provider.clone(), context.reached.resource.clone(), pool_path(context));
        cx.blocking(move || provider.ensure_pool(&pool, &path)).await?;
    }
    for step in &plan.network.steps {
        kill_point(&step.id, "before");
        context.state.record("network")?;
        let (provider, network, operation) =
            (context.reached.provider.clone(), network.clone(), step.operation.clone());
        cx.blocking(move || match operation {
            NetworkOperation::Remove => provider.remove_network(&network.name),
            NetworkOperation::Define => provider.define_network(&network_xml(&network)),
            NetworkOperation::Start => provider.start_network(&network.name),
            NetworkOperation::UpdateHosts { remove, add } => {
                provider.update_network_hosts(&network.name, &remove, &add)
            }
        })
        .await
        .with_context(|| Failure::new(FailureKind::Provision, format!("cannot carry out `{}`", step.id)))?;
        kill_point(&step.id, "after");
    }
    Ok(())
}
