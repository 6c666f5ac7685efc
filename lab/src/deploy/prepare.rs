//! Finds out the artefacts of a deploy before a machine starts: a new machine gets the settings that name them.

use lab_core::spec::HostSpec;

use crate::ansible::needs;
use crate::artifacts::list;
use crate::artifacts::look::State;
use crate::artifacts::store::Store;
use crate::cluster::deployed::deployed;
use crate::cx::Cx;
use crate::failure::{Failure, FailureKind};
use crate::host::embedded;
use crate::lab::Lab;
use crate::machines::limits::{self, TooLow};

/// How many artefacts a cluster needs, and how many of them the store lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// Files and images.
    pub wanted: usize,
    /// Those that are not there as a whole.
    pub missing: usize,
}

/// Finds out what a cluster needs. Its Kubespray is fetched where that is not known yet.
///
/// # Errors
/// When Kubespray cannot be had or does not accept the inventory.
pub async fn needs(cx: &Cx, lab: &Lab) -> anyhow::Result<Needs> {
    let lock = needs::of_cluster(cx, lab, true).await?;
    let store = Store::open(&cx.layout);
    let artifacts = list::look(&store, Some(&lab.spec.name), &lock)?.artifacts;
    let missing = artifacts.iter().filter(|row| row.state != State::Present).count();
    Ok(Needs { wanted: artifacts.len(), missing })
}

/// The same, for a deploy that is about to begin.
///
/// # Errors
/// As [`needs`], when the kernel's limits are too low for the cluster and `too_low` refuses that, and when something is
/// missing that the machines could get nowhere else.
pub async fn check(cx: &Cx, lab: &Lab, too_low: TooLow) -> anyhow::Result<Needs> {
    // A running cluster has its share already.
    let runs = embedded::find(&lab.files.host())?.is_some() && deployed(lab)?.is_some();
    if !runs {
        limits::check_before_deploy(cx, lab, too_low).await?;
    }
    let needs = needs(cx, lab).await?;
    if needs.missing > 0 && lab.spec.host == HostSpec::Embedded {
        let Needs { wanted, missing } = needs;
        let (name, words) = (&lab.spec.name, lab.cluster_words(cx));
        let message = format!(
            "{missing} of the {wanted} artefacts of the cluster `{name}` are missing, and its machines reach nothing outside the lab"
        );
        let hint = format!(
            "`cargo xtask artifacts fetch {words}` or `cargo xtask artifacts build {words}` gets them"
        );
        return Err(Failure::new(FailureKind::Plan, message).hint(hint).into());
    }
    Ok(needs)
}
