//! From machines to a living cluster: Kubespray on a living lab, and the kubeconfig that comes of it.
//!
//! What can be decided from data alone is decided in `lab_core::deploy`. Whether the cluster is as it must be is found
//! out in [`crate::validate`].

use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use lab_core::report::Verdict;
use serde::{Deserialize, Serialize};

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
use crate::output;
use crate::validate::{self, HEALTH};

pub mod kubeconfig;
pub mod kubectl;
pub mod run;

/// Kubespray's playbook for a whole cluster; what is there already stays.
const PLAYBOOK: &str = "cluster.yml";
/// How long a cluster may take after Kubespray's end until every node is ready and every system pod runs. Emulated
/// machines need minutes to start what Kubespray left to start.
pub(crate) const SETTLED: Duration = Duration::from_secs(900);

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

/// Makes the lab's machines the cluster that the file asks for, if they are not.
///
/// # Errors
/// When the lab does not run, Kubespray would refuse or fails, or the cluster does not become ready.
pub async fn deploy(cx: &Cx, lab: &Lab, json: bool) -> anyhow::Result<()> {
    let _held = lab.hold()?;
    let reached = running(cx, lab).await?;
    refuse_what_kubespray_would(cx, lab).await?;
    let wanted = wanted(cx, lab).await?;
    let record = lab.files.deployed();
    let why = match files::read_own::<Deployed>(&record)? {
        None => "it is not known that anything was deployed".to_owned(),
        Some(last) if last.inputs != wanted.inputs => "what is asked for is not what was deployed".to_owned(),
        Some(_) => match unhealthy(cx, lab, &reached, None).await {
            Some(why) => format!("the cluster is not as it must be: {why}"),
            None => {
                let name = &lab.spec.name;
                cx.progress.note(&format!(
                    "nothing to do: the cluster `{name}` is as its cluster file says, and every node is ready"
                ));
                return Ok(());
            }
        },
    };
    cx.progress.note(&format!("Kubespray runs, because {why}"));
    warn_of_missing_artifacts(cx, lab)?;
    // From here on it is not known what there is, until the end.
    files::remove(&record)?;
    let words = lab.cluster_words(cx);
    let again = format!("`cargo xtask deploy {words}`");
    play::play(cx, lab, &Play { playbook: PLAYBOOK, arguments: &[], what: "deploy", again, json }).await?;
    kubeconfig::fetch(cx, lab, &reached).await?;
    let task = cx.progress.task("cluster");
    task.step("waiting until every node is ready and every system pod runs");
    if let Some(why) = unhealthy(cx, lab, &reached, Some(SETTLED)).await {
        task.failed("it is not as it must be");
        let message = "Kubespray ended well, and the cluster is not as it must be";
        let hint = format!("`cargo xtask validate {words}` shows more");
        return Err(anyhow::anyhow!("{why}").context(Failure::new(exit::DEPLOY, message).hint(hint)));
    }
    task.done("every node is ready");
    let done = Deployed { at: Timestamp::now(), ..wanted };
    files::write_atomic(&record, &serde_json::to_vec_pretty(&done)?, PUBLIC)?;
    if !json {
        output::print(next_steps(cx, lab, &words))?;
    }
    Ok(())
}

/// What a deploy would be made from now.
async fn wanted(cx: &Cx, lab: &Lab) -> anyhow::Result<Deployed> {
    let lock = lock::of_cluster(cx, lab, true).await?;
    let mut hasher = crate::artifacts::store::Hasher::new();
    hasher.update(lock.inputs.as_bytes());
    // Where machines find what is served: it is no input of the lock.
    hasher.update(&inventory_of_artifacts(lab)?);
    Ok(Deployed {
        inputs: hasher.finish().to_string(),
        kubespray: Request::of_lab(lab)?.pin.version.to_string(),
        kubernetes: lock.kubernetes,
        at: Timestamp::UNIX_EPOCH,
    })
}

fn inventory_of_artifacts(lab: &Lab) -> anyhow::Result<Vec<u8>> {
    let path = lab.files.inventory_folder().join(lab_core::kubespray::ARTIFACTS_FILE);
    Ok(files::read_if_present(&path)?.unwrap_or_default().into_bytes())
}

async fn refuse_what_kubespray_would(cx: &Cx, lab: &Lab) -> anyhow::Result<()> {
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

/// Why the cluster cannot be taken for healthy; `None` where it can. With `patience`, it is waited for.
pub(crate) async fn unhealthy(
    cx: &Cx,
    lab: &Lab,
    reached: &Reached,
    patience: Option<Duration>,
) -> Option<String> {
    if !lab.files.kubeconfig().is_file() {
        return Some("there is no kubeconfig of it".to_owned());
    }
    let outcomes = match validate::inside(cx, lab, reached, &HEALTH, patience, |_| ()).await {
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
