//! `deployed.json`: from what the cluster of a lab was deployed, and from what a deploy would be made now.

use anyhow::Context as _;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ansible::needs;
use crate::artifacts::store::Hasher;
use crate::artifacts::{lock, serve};
use crate::cx::Cx;
use crate::files;
use crate::kubespray::source::Request;
use crate::lab::Lab;

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

/// What the cluster of a lab was deployed from, where that is known.
///
/// # Errors
/// When the record is there and cannot be read.
pub fn deployed(lab: &Lab) -> anyhow::Result<Option<Deployed>> {
    files::read_own(&lab.files.deployed()).context("cannot read the record of the deploy")
}

/// What a deploy would be made from now.
///
/// # Errors
/// When it cannot be found out.
pub async fn wanted(cx: &Cx, lab: &Lab) -> anyhow::Result<Deployed> {
    let lock = needs::of_cluster(cx, lab, true).await?;
    Ok(Deployed {
        inputs: inputs(cx, lab)?,
        kubespray: Request::of_lab(lab)?.pin.version.to_string(),
        kubernetes: lock.kubernetes,
        at: Timestamp::UNIX_EPOCH,
    })
}

/// The digest of everything that Kubespray is given.
///
/// # Errors
/// When the inventory cannot be rendered.
pub fn inputs(cx: &Cx, lab: &Lab) -> anyhow::Result<String> {
    let mut hasher = Hasher::new();
    hasher.update(lock::inputs_of_kubespray(cx, lab)?.as_bytes());
    // The addresses of the served artefacts are no input of the lock.
    let serving = serve::look(cx, lab)?.map(|serving| serving.inventory).unwrap_or_default();
    hasher.update(serving.as_bytes());
    Ok(hasher.finish().to_string())
}
