//! The verdict on a cluster: phases, checks and their results; as JSON and as JUnit's XML.
//!
//! Skipped is not passed. Nothing here looks at a clock: who ran something says how long it took.

use serde::{Deserialize, Serialize};

mod junit;

pub use junit::junit;

/// How something ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it must be.
    Passed,
    /// Not as it must be.
    Failed,
    /// The check did not run, and the message says why.
    Skipped,
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Its name for scripts: `pod-to-pod`.
    pub id: String,
    /// Its claim, as a sentence that is true where it passed.
    pub title: String,
    /// How it ended.
    pub verdict: Verdict,
    /// How long it took.
    pub seconds: f64,
    /// The evidence: why it failed or was skipped, or how much it covered.
    pub details: Vec<String>,
}

/// The phases before the checks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    /// `prepare`, `up`, `deploy`, `validate`, `destroy`.
    pub name: String,
    /// How it ended.
    pub verdict: Verdict,
    /// How long it took.
    pub seconds: f64,
    /// Why it failed or was skipped.
    pub message: Option<String>,
    /// The digest of everything that its result was made from, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<String>,
    /// A snapshot with the same inputs was restored instead.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub restored: bool,
    /// The files that it leaves, as paths from the checkout.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leaves: Vec<String>,
}

impl Phase {
    /// One that was not carried out.
    pub fn skipped(name: &str, why: &str) -> Self {
        Self {
            name: name.to_owned(),
            verdict: Verdict::Skipped,
            seconds: 0.0,
            message: Some(why.to_owned()),
            inputs: None,
            restored: false,
            leaves: Vec::new(),
        }
    }
}

/// The whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Of this shape.
    pub version: u32,
    /// The name of the cluster.
    pub cluster: String,
    /// The name of the run, which begins with its time: `20261123T091500Z-4711`.
    pub run: String,
    /// The tag of Kubespray.
    pub kubespray: String,
    /// The version of Kubernetes; `None` where it is unknown.
    pub kubernetes: Option<String>,
    /// In the order in which they were done.
    pub phases: Vec<Phase>,
    /// In the order of the suite.
    pub checks: Vec<Outcome>,
    /// Files with details, below the run's folder.
    pub evidence: Vec<String>,
}

/// The version of the shape of a report.
pub const VERSION: u32 = 1;

impl Report {
    /// Whether everything was done and every check passed or was skipped for a reason, and at least one passed.
    pub fn is_good(&self) -> bool {
        let failed = self.phases.iter().map(|phase| phase.verdict);
        let failed = failed.chain(self.checks.iter().map(|check| check.verdict));
        !failed.into_iter().any(|verdict| verdict == Verdict::Failed)
            && self.checks.iter().any(|check| check.verdict == Verdict::Passed)
    }
}

/// How many passed, failed and were skipped: `9 passed, 1 failed, 0 skipped`.
pub fn counts(checks: &[Outcome]) -> String {
    let count = |verdict| checks.iter().filter(|check| check.verdict == verdict).count();
    format!(
        "{} passed, {} failed, {} skipped",
        count(Verdict::Passed),
        count(Verdict::Failed),
        count(Verdict::Skipped)
    )
}
