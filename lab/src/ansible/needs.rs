//! What a cluster needs, asked of Kubespray where it is not known yet.

use lab_core::artifacts::lock::Lock;

use crate::artifacts::lock::{keep, recalled};
use crate::cx::Cx;
use crate::lab::Lab;

use super::prove;

/// The lock of a cluster. A missing or outdated one is regenerated, which needs the cluster's Kubespray.
/// A command that `fetches` anyway fetches that too.
///
/// # Errors
/// When it cannot be made.
pub async fn of_cluster(cx: &Cx, lab: &Lab, fetches: bool) -> anyhow::Result<Lock> {
    let lock = match recalled(cx, lab)? {
        Some(lock) => lock,
        None => {
            let task = cx.progress.task("artifacts");
            task.step("asking Kubespray what the cluster needs");
            let lock = prove::resolve(cx, lab, fetches).await?;
            task.done(&format!("{} files and {} images are needed", lock.files.len(), lock.images.len()));
            lock
        }
    };
    keep(cx, lab, lock)
}
