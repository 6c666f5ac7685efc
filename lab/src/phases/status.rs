//! What there is of a cluster right now: its machines, whether it answers, what it was deployed from, where its
//! kubeconfig is. Starts nothing, changes nothing, and waits only for answers.

use std::path::{Path, PathBuf};

use lab_core::report::{Outcome, Verdict};
use serde::Serialize;

use crate::cluster::deployed::{Deployed, deployed};
use crate::cx::Cx;
use crate::failure::FailureKind;
use crate::lab::{Lab, running};
use crate::machines::status::{self, LabStatus};
use crate::timeouts::STATUS_HEALTH_TIMEOUT;
use crate::validate::{self, HEALTH, NO_ANSWER, ON_THEIR_WAY, Unanswered};

use super::{Effect, Phase, Run, always, no_files, no_inputs};

/// The phase `status`.
pub const PHASE: Phase = Phase {
    name: "status",
    title: "show the status",
    without: "there is no cluster",
    inputs: no_inputs,
    leaves: no_files,
    look: |run| always(show(run)),
};

async fn show(run: &Run) -> anyhow::Result<Effect> {
    let status = look(&run.cx, run.lab()?).await?;
    let word = status.health.word().to_owned();
    run.found().status = Some(status);
    Ok(Effect::Done(word))
}

/// The state of a cluster, as `--json` shows it.
#[derive(Debug, Serialize)]
pub struct CloudStatus {
    /// How it is, in a word.
    pub health: Health,
    /// Its machines and their host.
    pub lab: LabStatus,
    /// What it was deployed from; none where that is not known.
    pub deployed: Option<Deployed>,
    /// The outcomes of its checks; empty if it was not asked or did not answer.
    pub checks: Vec<Outcome>,
    /// Why it was not seen; none where it was.
    pub unseen: Option<String>,
    /// Its kubeconfig; none where there is none.
    pub kubeconfig: Option<PathBuf>,
}

/// How a cluster is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// It answers, and is as it must be.
    Ready,
    /// It answers, its nodes are ready, and some pods of its system have not had the time to be.
    Starting,
    /// It answers, and is not as it must be.
    NotReady,
    /// Its machines run, and it does not answer.
    NoAnswer,
    /// The same on a computer that is overloaded: it may be well.
    Slow,
    /// Not all of its machines run.
    Stopped,
    /// Nothing was deployed yet.
    NotDeployed,
}

impl Health {
    /// As people read it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Starting => "ready, but for pods of the system that are on their way up",
            Self::NotReady => "not as it must be",
            Self::NoAnswer => "does not answer",
            Self::Slow => "slow to answer: this computer is busy",
            Self::Stopped => "not all of its machines run",
            Self::NotDeployed => "not deployed",
        }
    }
}

impl CloudStatus {
    /// The kind of failure that it is; none only if nothing is wrong.
    pub fn failure(&self) -> Option<FailureKind> {
        match self.health {
            Health::Ready | Health::Starting => None,
            Health::Stopped => Some(FailureKind::Provision),
            Health::NotReady | Health::NoAnswer | Health::Slow | Health::NotDeployed => {
                Some(FailureKind::Checks)
            }
        }
    }
}

/// Looks.
///
/// # Errors
/// When a host that should answer does not, or a record of the lab cannot be read.
pub async fn look(cx: &Cx, lab: &Lab) -> anyhow::Result<CloudStatus> {
    let found = status::look(cx, lab).await?;
    let deployed = deployed(lab)?;
    let kubeconfig = Some(lab.files.kubeconfig()).filter(|path| path.is_file());
    let wanted = lab.spec.machines.iter().filter(|machine| machine.auto_start);
    let state = |name: &str| found.machines.iter().find(|one| one.name == name).map(|one| one.state);
    let all_run = wanted.clone().all(|machine| state(&machine.name) == Some("running"));
    let answer = if found.host_running && kubeconfig.is_some() { ask(cx, lab).await } else { Ok(Vec::new()) };
    let health = health(all_run, kubeconfig.is_some(), &answer);
    let (checks, unseen) = match answer {
        Ok(checks) => (checks, None),
        Err(error) => (Vec::new(), Some(format!("{error:#}"))),
    };
    Ok(CloudStatus { health, lab: found, deployed, checks, unseen, kubeconfig })
}

/// One look at the cluster, from inside the lab's network.
async fn ask(cx: &Cx, lab: &Lab) -> anyhow::Result<Vec<Outcome>> {
    let reached = running(cx, lab).await?;
    validate::once(cx, lab, &reached, &HEALTH, STATUS_HEALTH_TIMEOUT).await
}

fn health(all_run: bool, has_kubeconfig: bool, answer: &anyhow::Result<Vec<Outcome>>) -> Health {
    let answered = |check: &Outcome| !check.details.iter().any(|detail| detail.starts_with(NO_ANSWER));
    let is_slow = |error: &anyhow::Error| error.downcast_ref().is_some_and(Unanswered::is_slow);
    match (all_run, has_kubeconfig, answer) {
        (false, _, _) => Health::Stopped,
        (true, false, _) => Health::NotDeployed,
        (true, true, Err(error)) if is_slow(error) => Health::Slow,
        (true, true, Err(_)) => Health::NoAnswer,
        (true, true, Ok(checks)) if !checks.iter().any(answered) => Health::NoAnswer,
        (true, true, Ok(checks)) if checks.iter().all(|check| check.verdict == Verdict::Passed) => {
            let starts =
                |check: &Outcome| check.details.iter().any(|detail| detail.starts_with(ON_THEIR_WAY));
            if checks.iter().any(starts) { Health::Starting } else { Health::Ready }
        }
        (true, true, Ok(_)) => Health::NotReady,
    }
}

/// The deployed versions, as people read them.
pub fn version(deployed: &Deployed) -> String {
    let Deployed { kubernetes, kubespray, at, .. } = deployed;
    let at = at.strftime("%Y-%m-%d %H:%M UTC");
    format!("Kubernetes {kubernetes}, deployed by Kubespray {kubespray}, {at}")
}

/// The state for people. Paths are shown from `root` where they lie in there; `words` name the cluster in commands.
pub fn table(status: &CloudStatus, root: &Path, words: &str) -> String {
    let mut text = status::table(&status.lab);
    let mut line = |name: &str, what: &str| text.push_str(&format!("{name:10}  {what}\n"));
    line("", "");
    let start = format!("`cargo xtask cloud start {words}`");
    line(
        "cluster",
        &match status.health {
            Health::NotDeployed => format!("{}; {start} deploys it", status.health.word()),
            Health::Stopped => format!("{}; {start} starts them", status.health.word()),
            other => other.word().to_owned(),
        },
    );
    for check in &status.checks {
        let mark = if check.verdict == Verdict::Passed { "✓" } else { "✗" };
        line("", &format!("{mark} {}: {}", check.title, check.details.join("; ")));
    }
    if let Some(why) = &status.unseen {
        line("", &format!("✗ {why}"));
    }
    let unknown = || "the deployed versions are not known".to_owned();
    line("versions", &status.deployed.as_ref().map_or_else(unknown, version));
    let kubeconfig = status.kubeconfig.as_ref().map(|path| path.strip_prefix(root).unwrap_or(path));
    let none = || "there is none yet".to_owned();
    line("kubeconfig", &kubeconfig.map_or_else(none, |path| path.display().to_string()));
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

#[cfg(test)]
mod tests;
