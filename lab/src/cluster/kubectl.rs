//! `lab kubectl`: kubectl against the lab's cluster, from anywhere, in the version of the cluster.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::ExitStatus;

use anyhow::Context as _;
use lab_core::artifacts::lock::Lock;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::artifacts::lock;
use crate::artifacts::look::held;
use crate::artifacts::store::Store;
use crate::cx::Cx;
use crate::failure::{Failure, FailureKind};
use crate::files;
use crate::lab::{Lab, Reached};
use crate::process::{self, Invocation};
use crate::timeouts::KUBECTL_TIMEOUT;
use crate::wait::Deadline;

use super::kubeconfig::inner_server;

/// What kubectl says of a kind that no definition is there for.
const NO_SUCH_KIND: &str = "the server doesn't have a resource type";

/// Runs kubectl, and returns how it ended.
///
/// # Errors
/// When the lab has no kubeconfig, there is no kubectl, or it cannot be started.
pub async fn run(cx: &Cx, lab: &Lab, reached: &Reached, words: &[OsString]) -> anyhow::Result<ExitStatus> {
    if !lab.files.kubeconfig().is_file() {
        super::kubeconfig::fetch(cx, lab, reached).await?;
    }
    reached.inside(&invocation(cx, lab, words)?).interactive(&cx.cancel).await.with_context(|| {
        let words = lab.cluster_words(cx);
        Failure::new(
            FailureKind::Host,
            "there is no kubectl, neither among the artefacts of the cluster nor on PATH",
        )
        .hint(format!(
            "`cargo xtask artifacts fetch {words}` or `cargo xtask artifacts build {words}` gets it"
        ))
    })
}

/// What kubectl answers.
///
/// # Errors
/// When there is no kubectl, or it fails, with what it says.
pub async fn read<A: AsRef<OsStr>>(
    cx: &Cx,
    lab: &Lab,
    reached: &Reached,
    words: impl IntoIterator<Item = A>,
) -> anyhow::Result<String> {
    let call = reached.inside(&invocation(cx, lab, words)?);
    Ok(call.read(&cx.cancel, Deadline::after(KUBECTL_TIMEOUT.base())).await?)
}

/// Objects as the API lists them, `kubectl get WORDS`; none of a kind that the cluster does not have.
///
/// # Errors
/// As [`read`], and when the answer is not of the expected shape.
pub async fn objects<T: DeserializeOwned>(
    cx: &Cx,
    lab: &Lab,
    reached: &Reached,
    words: &[&str],
) -> anyhow::Result<Vec<T>> {
    #[derive(Deserialize)]
    struct List<T> {
        items: Vec<T>,
    }

    let call = reached.inside(&invocation(cx, lab, ["get", "--output", "json"].iter().chain(words))?);
    let output = call.output(&cx.cancel, Deadline::after(KUBECTL_TIMEOUT.base())).await?;
    if !output.status.success() && output.stderr.contains(NO_SUCH_KIND) {
        return Ok(Vec::new());
    }
    anyhow::ensure!(output.status.success(), "kubectl: {}", output.stderr.trim());
    let list: List<T> =
        serde_json::from_str(&output.stdout).context("kubectl lists objects of another shape")?;
    Ok(list.items)
}

/// kubectl with the lab's kubeconfig, to be run inside its network.
///
/// # Errors
/// When the store cannot be read.
pub fn invocation<A: AsRef<OsStr>>(
    cx: &Cx,
    lab: &Lab,
    words: impl IntoIterator<Item = A>,
) -> anyhow::Result<Invocation> {
    Ok(process::invocation(program(cx, lab)?)
        .arg("--kubeconfig")
        .arg(lab.files.kubeconfig())
        .args(["--server", &inner_server(lab)?])
        .args(words))
}

/// The kubectl that the machines have, from the store; else the one on PATH.
fn program(cx: &Cx, lab: &Lab) -> anyhow::Result<PathBuf> {
    let lock = files::read_own::<Lock>(&lab.files.artifacts_lock())?;
    let items = lock.map(|lock| lock::items(&lock)).transpose()?.unwrap_or_default();
    let Some(item) = items.into_iter().find(|item| item.name == "kubectl") else {
        return Ok("kubectl".into());
    };
    let store = Store::open(&cx.layout);
    let held = held(&store, &item)?;
    let Some(blob) = held.blobs.first() else { return Ok("kubectl".into()) };
    let place = lab.files.kubectl();
    if place.metadata().is_ok_and(|found| found.len() == blob.size) {
        return Ok(place);
    }
    // Blobs of the store are no programs, and who uses a copy does not care when the store is cleared.
    let folder = place.parent().context("kubectl has no folder")?;
    files::make_folder(folder)?;
    let mut copy = tempfile::NamedTempFile::new_in(folder)?;
    std::io::copy(&mut std::fs::File::open(store.path(&blob.sha256))?, &mut copy)?;
    copy.as_file().set_permissions(std::fs::Permissions::from_mode(0o755))?;
    copy.persist(&place).with_context(|| format!("cannot write `{}`", place.display()))?;
    Ok(place)
}
