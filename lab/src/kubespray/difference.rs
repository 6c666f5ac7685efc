//! `kubespray diff`: finds both indexes and the cluster. What differs is decided in `lab-core`.

use std::path::Path;

use lab_core::kubespray::index::diff::{Difference, Use, difference, difference_text, use_text, uses};
use lab_core::kubespray::settings;
use serde::Serialize;

use crate::cx::Cx;
use crate::lab::Lab;
use crate::output;

use super::index;

/// The difference, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    #[serde(flatten)]
    difference: &'a Difference,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<Cluster<'a>>,
}

/// What of a difference a cluster uses.
#[derive(Debug, Serialize)]
struct Cluster<'a> {
    name: &'a str,
    uses: &'a [Use],
}

/// Prints what a change of Kubespray does, and what of it a cluster uses.
///
/// # Errors
/// If one of the two is neither a known tag nor a checkout, or if the cluster file is wrong.
pub async fn show(cx: &Cx, from: &Path, to: &Path, cluster: Option<&str>, json: bool) -> anyhow::Result<()> {
    let lab = cluster.map(|cluster| Lab::open(cx, cluster)).transpose()?;
    let from = index::of(cx, from).await?.index;
    let to = index::of(cx, to).await?.index;
    let difference = difference(&from, &to);
    let used = lab.map(|lab| {
        let used = uses(&settings(&lab.spec, &from), &from, &to, &difference);
        (lab.spec.name.clone(), used)
    });
    if json {
        let cluster = used.as_ref().map(|(name, uses)| Cluster { name, uses });
        return output::json(&Answer { difference: &difference, cluster });
    }
    output::print(difference_text(&difference))?;
    if let Some((name, used)) = &used {
        output::print(format_args!("\n{}", use_text(name, used)))?;
    }
    Ok(())
}
