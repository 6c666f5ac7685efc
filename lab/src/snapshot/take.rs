//! Taking a snapshot: stops the machines, freezes what they wrote, keeps the lab's own files beside, and starts what ran.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use jiff::Timestamp;
use lab_core::libvirt_xml::AppliedMachine;
use lab_core::plan::{MachineState, Observed};
use lab_core::snapshot::{Manifest, SnapshotMachine};
use lab_core::spec::{HostSpec, MachineKind};

use crate::cluster::deployed::deployed;
use crate::cx::Cx;
use crate::disks::layers::{self, Planned};
use crate::disks::{digest, snapshots};
use crate::failure::{Failure, FailureKind};
use crate::files::{self, PUBLIC, SECRET};
use crate::lab::{Lab, Reached};
use crate::machines::apply::kill_point;
use crate::machines::{self, container, down, observe, offline};
use crate::progress::Task;
use crate::timeouts::UNMOUNT_TIMEOUT;
use crate::validate::ready::{is_well, not_ready};
use crate::wait::Deadline;

use super::KEPT;

/// The longest name of a snapshot.
const LONGEST_NAME: usize = 60;

/// A name for a snapshot without one.
pub fn fresh_name() -> String {
    Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// The layers of each machine, the newest first.
pub(super) type Layers = BTreeMap<String, Vec<String>>;

/// What a snapshot is made of.
pub(super) struct Taken<'a> {
    /// Its name.
    pub name: &'a str,
    /// The digest of what its deploy was made from, for one that is kept to take the place of the next deploy from the same inputs.
    pub deploy: Option<&'a str>,
    /// Whether its cluster was well.
    pub well: bool,
    /// Its machines, without their layers.
    pub machines: BTreeMap<String, SnapshotMachine>,
    /// Their layers.
    pub layers: Layers,
    /// Digests of the lab's own files.
    pub files: BTreeMap<String, String>,
}

/// Takes a snapshot of a lab that the caller holds. Machines that ran run again at the end; where there was a cluster that
/// was well, every node is ready again, and pods of the system may need a minute or two more.
///
/// # Errors
/// When the name is taken, a machine is not whole, or the disk is full.
pub async fn take(cx: &Cx, lab: &Lab, name: &str) -> anyhow::Result<Manifest> {
    let words = lab.cluster_words(cx);
    named(name)?;
    anyhow::ensure!(
        lab.spec.host == HostSpec::Embedded,
        Failure::new(
            FailureKind::Plan,
            "snapshots are of labs on the embedded host; this one is on another libvirt"
        )
        .hint("virsh has snapshots of its own")
    );
    let state = lab.state()?.with_context(|| {
        Failure::new(FailureKind::Plan, format!("there is no lab `{}`", lab.spec.name))
            .hint(format!("`cargo xtask lab up {words}` makes it"))
    })?;
    let files = cx.layout.snapshots();
    let _store = snapshots::hold(&files)?;
    anyhow::ensure!(
        !files.manifest(&lab.spec.name, name).exists(),
        Failure::new(
            FailureKind::Usage,
            format!("the cluster `{}` has a snapshot `{name}` already", lab.spec.name)
        )
        .hint(format!("`cargo xtask lab snapshots {words} --remove {name}` removes it"))
    );
    let reached = Reached::find(cx, lab, &state).await?;
    let observed = match &reached {
        Some(reached) => observe::observe(cx, lab, reached, &state.get()).await?,
        None => offline::observe(cx, lab, &state.get()).await?,
    };
    let whole = whole(lab, &observed)?;
    let ran = observed
        .machines
        .values()
        .any(|machine| machine.domain.as_ref().is_some_and(|domain| domain.state != MachineState::ShutOff));
    let task = cx.progress.task("snapshot");
    let mut well = false;
    if let Some(reached) = &reached {
        task.step("looking at the cluster");
        well = is_well(cx, lab, reached).await?;
        task.step("stopping the machines");
        down::stop(cx, reached, &state, None).await?;
        unmount(cx, lab, reached, &whole).await?;
        kill_point("snapshot/stop", "after");
    }
    task.step("freezing what the machines wrote");
    let planned = planned(cx, lab, name, &whole);
    let layers = on_all(&planned, |one| layers::freeze(cx.clone(), one)).await?;
    kill_point("snapshot/freeze", "after");
    let kept = keep_files(lab, &files.kept(&lab.spec.name, name))?;
    let digests = tokio::spawn(digest_all(cx.clone(), layers.clone(), whole));
    let mut made = None;
    if ran {
        task.step("starting the machines again");
        made = Some(machines::make::make(cx, lab, &state, None).await?);
        kill_point("snapshot/start", "after");
    }
    let machines = digests.await.context("the digests of the layers broke off")??;
    let manifest = make(cx, lab, Taken { name, deploy: None, well, machines, layers, files: kept })?;
    if let Some(made) = &made
        && well
    {
        ready_again(cx, lab, &made.reached, &task).await?;
    }
    task.done(&format!("`{name}` taken in {:.1} s", task.elapsed().as_secs_f64()));
    Ok(manifest)
}

/// Writes the manifest of a snapshot: from then on there is one.
///
/// # Errors
/// When it cannot be written.
pub(super) fn make(cx: &Cx, lab: &Lab, taken: Taken<'_>) -> anyhow::Result<Manifest> {
    let Taken { name, deploy, well, mut machines, layers, files } = taken;
    for (machine, layers) in layers {
        machines.get_mut(&machine).context("a layer has a digest")?.layers = layers;
    }
    let manifest = Manifest {
        name: name.to_owned(),
        cluster: lab.spec.name.clone(),
        lab: lab.state()?.context("a lab that is kept has a state")?.get().lab,
        at: Timestamp::now().to_string(),
        deploy: deploy.map(str::to_owned),
        kubernetes: deployed(lab)?.map(|deployed| deployed.kubernetes),
        well,
        machines,
        files,
    };
    let place = cx.layout.snapshots().manifest(&lab.spec.name, name);
    files::write_atomic(&place, &serde_json::to_vec_pretty(&manifest)?, PUBLIC)?;
    Ok(manifest)
}

async fn ready_again(cx: &Cx, lab: &Lab, reached: &Reached, task: &Task) -> anyhow::Result<()> {
    task.step("waiting until every node is ready again");
    match not_ready(cx, lab, reached, &["nodes"]).await {
        None => Ok(()),
        Some(why) => Err(anyhow::anyhow!("{why}").context(Failure::new(
            FailureKind::Deploy,
            "the snapshot was taken, and after it the cluster did not become ready again",
        ))),
    }
}

/// A name must be one of a folder, and none that we give ourselves.
fn named(name: &str) -> anyhow::Result<()> {
    let fine = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    anyhow::ensure!(
        !name.is_empty() && name.len() <= LONGEST_NAME && name.chars().all(fine) && !name.starts_with('.'),
        Failure::new(FailureKind::Usage, format!("`{name}` cannot be the name of a snapshot")).hint(format!(
            "letters, digits, `-`, `_` and `.`, at most {LONGEST_NAME} of them, and no dot in front"
        ))
    );
    anyhow::ensure!(
        !name.starts_with(KEPT),
        Failure::new(
            FailureKind::Usage,
            format!("names that begin with `{KEPT}` are those that `deploy` gives")
        )
        .hint("take another name")
    );
    Ok(())
}

/// Every machine with what it was made from: all of the file must be there, each with its disk.
///
/// # Errors
/// With one that is not.
pub(super) fn whole(lab: &Lab, observed: &Observed) -> anyhow::Result<BTreeMap<String, AppliedMachine>> {
    let of = |name: &str| {
        let found = observed.machines.get(name).filter(|found| found.disk.is_some());
        found.and_then(|found| found.domain.as_ref()?.applied.clone()).with_context(|| {
            Failure::new(FailureKind::Plan, format!("the machine `{name}` is not made yet, or not whole"))
                .hint("`cargo xtask lab up` makes all machines of the cluster file")
        })
    };
    lab.spec.machines.iter().map(|machine| Ok((machine.name.clone(), of(&machine.name)?))).collect()
}

/// Unmounts the roots of containers from the host, so that the folders below them may be renamed.
async fn unmount(
    cx: &Cx,
    lab: &Lab,
    reached: &Reached,
    whole: &BTreeMap<String, AppliedMachine>,
) -> anyhow::Result<()> {
    let Some(host) = &reached.embedded else { return Ok(()) };
    for (name, _) in whole.iter().filter(|(_, applied)| applied.kind == MachineKind::Container) {
        let root = lab.files.root(name);
        container::unmounting(host, &root).read(&cx.cancel, Deadline::after(UNMOUNT_TIMEOUT)).await?;
    }
    Ok(())
}

/// The layers that are to be made of what machines wrote.
pub(super) fn planned(
    cx: &Cx,
    lab: &Lab,
    snapshot: &str,
    whole: &BTreeMap<String, AppliedMachine>,
) -> Vec<Planned> {
    // Names of snapshots may come again, within one second after a kill; what a layer holds never does.
    let of = format!("{}.{snapshot}.{}-{}", lab.spec.name, fresh_name(), std::process::id());
    let planned = |(machine, applied): (&String, &AppliedMachine)| Planned {
        files: lab.files.clone(),
        store: cx.layout.snapshots(),
        machine: machine.clone(),
        kind: applied.kind,
        image: applied.image.clone(),
        layer: format!("{of}.{machine}"),
    };
    whole.iter().map(planned).collect()
}

/// Does a part of the work on all layers at once. Gives what came of it by machine.
///
/// # Errors
/// When it fails for one of them.
pub(super) async fn on_all<T, F>(
    planned: &[Planned],
    part: impl Fn(Planned) -> F,
) -> anyhow::Result<BTreeMap<String, T>>
where
    T: Send + 'static,
    F: Future<Output = anyhow::Result<T>> + Send + 'static,
{
    let mut work = tokio::task::JoinSet::new();
    for one in planned {
        let (machine, part) = (one.machine.clone(), part(one.clone()));
        work.spawn(async move {
            let done = part.await.with_context(|| format!("cannot freeze what `{machine}` wrote"))?;
            anyhow::Ok((machine, done))
        });
    }
    let mut made = BTreeMap::new();
    let mut failed = None;
    // All come to their end, so that no machine stays half frozen.
    while let Some(done) = work.join_next().await {
        match done.context("freezing a machine broke off")? {
            Ok((machine, done)) => drop(made.insert(machine, done)),
            Err(error) => failed = Some(error),
        }
    }
    failed.map_or(Ok(made), Err)
}

/// Digests what each machine stands on, of all at once.
///
/// # Errors
/// When something of it cannot be read.
pub(super) async fn digest_all(
    cx: Cx,
    layers: Layers,
    whole: BTreeMap<String, AppliedMachine>,
) -> anyhow::Result<BTreeMap<String, SnapshotMachine>> {
    let mut work = tokio::task::JoinSet::new();
    for (name, applied) in whole {
        let stack = layers.get(&name).context("a machine has a layer")?.iter();
        let stack: Vec<_> = stack.map(|layer| cx.layout.snapshots().layer(layer)).collect();
        let cx = cx.clone();
        work.spawn(async move {
            let (machine, image) = (name.clone(), applied.image.clone());
            let record = cx.blocking(move || layers::record_all(&stack, &machine, &image)).await?;
            anyhow::Ok((name, SnapshotMachine { applied, layers: vec![], digest: record.digest }))
        });
    }
    let mut machines = BTreeMap::new();
    while let Some(done) = work.join_next().await {
        let (name, machine) = done??;
        machines.insert(name, machine);
    }
    Ok(machines)
}

/// Copies the lab's own files that a restored one must have, and gives their digests.
///
/// # Errors
/// When one cannot be read or written.
pub(super) fn keep_files(lab: &Lab, to: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    files::remove(to)?;
    let mut kept = BTreeMap::new();
    for path in own_files(lab)? {
        let bytes = std::fs::read(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
        let name = path.strip_prefix(&lab.files.folder)?.display().to_string();
        // Keys are among them.
        files::write_atomic(&to.join(&name), &bytes, SECRET)?;
        kept.insert(name.clone(), digest::of(&to.join(&name))?.digest);
    }
    Ok(kept)
}

/// The existing files of keys, kubeconfig, and the records of the deploy and its artefacts.
fn own_files(lab: &Lab) -> anyhow::Result<Vec<PathBuf>> {
    let own = &lab.files;
    let mut paths = vec![own.kubeconfig(), own.deployed(), own.artifacts_lock()];
    let keys = own.login_key();
    let keys = keys.parent().context("keys have a folder")?;
    paths.extend(files::names(keys)?.iter().map(|name| keys.join(name)));
    for machine in &lab.spec.machines {
        let key = own.machine(&machine.name).host_key();
        paths.extend([key.with_extension("pub"), key]);
    }
    Ok(paths.into_iter().filter(|path| path.is_file()).collect())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("before-upgrade", true)]
    #[case("v1.34_a", true)]
    #[case("", false)]
    #[case("a/b", false)]
    #[case("..", false)]
    #[case("with space", false)]
    #[case("deployed-mine", false)]
    fn name_is_valid_for_folder_and_not_reserved(#[case] name: &str, #[case] fine: bool) {
        assert_eq!(named(name).is_ok(), fine, "{name}");
    }
}
