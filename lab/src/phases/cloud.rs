//! `cloud`: from a cluster file to a cluster that can be used, in one word: the eight steps of the original plan.
//!
//! Each step is the work of a room that is there, which decides what there is to do. Nothing is decided here.

use std::path::PathBuf;
use std::time::Duration;

use lab_core::cloud::{STEPS, generated, machines_of, provisioned, told, validated};
use tokio::task::JoinSet;

use crate::ansible::run::Prints;
use crate::cluster::deployed::deployed;
use crate::cluster::kubeconfig;
use crate::cx::Cx;
use crate::deploy::{self, prepare};
use crate::failure::{Failure, exit};
use crate::lab::{Lab, reach, running};
use crate::machines::limits::TooLow;
use crate::machines::make::planned as plan_of;
use crate::wait::Deadline;
use crate::{check, inventory, output, validate};

use super::e2e;
use super::up::{self, UpOptions};

pub mod status;

/// How long the logins to all machines may take that were logged in to a moment ago. Emulated ones take seconds.
const LOGINS: Duration = Duration::from_secs(120);

/// What may be asked of a start.
#[derive(Debug, Clone)]
pub struct Wishes {
    /// The file that the cluster's context is added to.
    pub merge: Option<PathBuf>,
    /// Everything goes to standard output as JSON, one object a line, the status last.
    pub json: bool,
    /// How limits of the kernel that are too low for the cluster are treated.
    pub too_low: TooLow,
}

/// Does all eight steps; those that find nothing to do say so. Returns the exit code that the status means.
///
/// # Errors
/// When a step fails; the next call goes on there.
pub async fn start(cx: &Cx, cluster: &str, wishes: &Wishes) -> anyhow::Result<u8> {
    let lab = step(cx, cluster, 1, configuration(cx, cluster, wishes.too_low)).await?;
    step(cx, cluster, 2, machines(cx, &lab)).await?;
    step(cx, cluster, 3, logins(cx, &lab)).await?;
    step(cx, cluster, 4, async { Ok((inventory(cx, &lab)?, ())) }).await?;
    let deployed = step(cx, cluster, 5, kubespray(cx, &lab, wishes)).await?;
    step(cx, cluster, 6, health(cx, &lab, deployed)).await?;
    step(cx, cluster, 7, hand_out(cx, &lab, wishes.merge.as_ref())).await?;
    let status = step(cx, cluster, 8, async {
        let status = status::look(cx, &lab).await?;
        Ok((status.health.word().to_owned(), status))
    })
    .await?;
    if wishes.json {
        output::line(serde_json::to_string(&status)?)?;
    } else {
        output::print(status::table(&status, cx.layout.root(), &lab.cluster_words(cx)))?;
    }
    Ok(status.code())
}

/// Shows a step while it is done, and what came of it.
async fn step<T>(
    cx: &Cx,
    cluster: &str,
    number: usize,
    work: impl Future<Output = anyhow::Result<(String, T)>>,
) -> anyhow::Result<T> {
    let name = STEPS[number - 1];
    let task = cx.progress.task(&format!("[{number}/{}]", STEPS.len()));
    task.step(name);
    match work.await {
        Ok((came_of_it, value)) => {
            task.done(&told(name, &came_of_it, task.elapsed().as_secs_f64()));
            Ok(value)
        }
        Err(error) => {
            task.failed(name);
            cx.progress.note(&format!("`cargo xtask cloud start {cluster}` goes on with this step"));
            Err(error)
        }
    }
}

/// What is wrong with the file, what Kubespray would refuse of it, whether the cluster fits on the computer, and whether
/// everything is there that machines cannot get elsewhere.
async fn configuration(cx: &Cx, cluster: &str, too_low: TooLow) -> anyhow::Result<(String, Lab)> {
    let lab = Lab::open(cx, cluster)?;
    e2e::keep(&lab)?;
    check::refuse(cx, &lab).await?;
    let needs = prepare::check(cx, &lab, too_low).await?;
    let spec = &lab.spec;
    let came_of_it = format!(
        "`{}` asks for {}, Kubespray {} takes it, {} of {} artefacts are here",
        spec.name,
        machines_of(spec.machines.len()),
        spec.kubespray.version,
        needs.wanted - needs.missing,
        needs.wanted
    );
    Ok((came_of_it, lab))
}

async fn machines(cx: &Cx, lab: &Lab) -> anyhow::Result<(String, ())> {
    let planned = plan_of(cx, lab).await?;
    let before = deployed(lab)?;
    up::up(cx, lab, UpOptions { no_ping: true, ..UpOptions::default() }).await?;
    let brought_back = before.is_none() && deployed(lab)?.is_some();
    Ok((provisioned(&planned, brought_back), ()))
}

/// A login to every machine at once, with the key and the pinned host key that Ansible uses.
async fn logins(cx: &Cx, lab: &Lab) -> anyhow::Result<(String, ())> {
    let reached = running(cx, lab).await?;
    let deadline = Deadline::after(LOGINS);
    let mut work = JoinSet::new();
    for machine in lab.spec.machines.iter().filter(|machine| machine.auto_start) {
        let (cx, lab, reached, name) = (cx.clone(), lab.clone(), reached.clone(), machine.name.clone());
        work.spawn(async move {
            let refused = reach::login(&cx, &lab, &reached, &name, deadline).await?;
            anyhow::Ok(refused.map(|why| format!("`{name}`: {why}")))
        });
    }
    let (mut count, mut refused) = (0, Vec::new());
    while let Some(done) = work.join_next().await {
        count += 1;
        refused.extend(done??);
    }
    anyhow::ensure!(
        refused.is_empty(),
        Failure::new(exit::PROVISION, format!("cannot log in to every machine: {}", refused.join("; ")))
    );
    Ok((format!("{} can be logged in to", machines_of(count)), ()))
}

/// The inventory beside the cluster file, for people. The lab's own was written before its machines were made.
fn inventory(cx: &Cx, lab: &Lab) -> anyhow::Result<String> {
    let Some(folder) = inventory::beside(cx, lab) else { return Ok(generated(None, 0, 0, 0)) };
    let files = inventory::rendered(cx.layout.root(), &lab.spec, &lab.files, &folder)?;
    let done = inventory::write(&folder, &files)?;
    let shown = folder.strip_prefix(cx.layout.root()).unwrap_or(&folder).display().to_string();
    Ok(generated(Some(&shown), done.written.len(), done.removed.len(), done.unchanged))
}

/// Says as well whether anything was deployed.
async fn kubespray(cx: &Cx, lab: &Lab, wishes: &Wishes) -> anyhow::Result<(String, bool)> {
    let before = deployed(lab)?;
    let prints = Prints::json(wishes.json);
    let of_deploy = deploy::Wishes { prints, fresh: false, keep: true, too_low: wishes.too_low };
    deploy::deploy(cx, lab, of_deploy).await?;
    let now = deployed(lab)?;
    let is_new = before != now;
    let what = now.map(|now| status::version(&now)).unwrap_or_default();
    Ok((if is_new { what } else { format!("nothing to do: {what}") }, is_new))
}

/// All checks of a cluster that is new; of one that was there before, those that make nothing in it.
async fn health(cx: &Cx, lab: &Lab, is_new: bool) -> anyhow::Result<(String, ())> {
    let reached = running(cx, lab).await?;
    let checks = if is_new {
        validate::look(cx, lab, &reached, &[], None).await?
    } else {
        validate::health(cx, lab, &reached).await?
    };
    validate::judge(&checks)?;
    Ok((validated(&checks), ()))
}

async fn hand_out(cx: &Cx, lab: &Lab, merge: Option<&PathBuf>) -> anyhow::Result<(String, ())> {
    let reached = running(cx, lab).await?;
    kubeconfig::fetch(cx, lab, &reached).await?;
    let path = lab.files.kubeconfig();
    let shown = path.strip_prefix(cx.layout.root()).unwrap_or(&path).display();
    let words = lab.cluster_words(cx);
    let added = match merge {
        Some(file) => {
            kubeconfig::add_to(cx, lab, file)?;
            format!("its context is in {}", file.display())
        }
        None => format!("`cargo xtask lab kubeconfig {words} --merge` adds it to your own"),
    };
    Ok((format!("{shown}; {added}"), ()))
}
