//! Kubespray: pinned checkouts of it, a Python environment for each, and everything that is run with them.
//!
//! Nothing of Kubespray is changed and nothing of it is kept in this project: a checkout is a commit that was
//! fetched and verified. `lab_core::kubespray` holds the facts about Kubespray that need no checkout.

pub mod checkout;
pub mod clean;
pub mod difference;
pub mod environment;
mod git;
pub mod index;
pub mod read;
pub mod source;
pub mod status;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use crate::cx::Cx;
use crate::progress::Task;
use crate::timeouts::KUBESPRAY_LOCK_INTERVAL;
use crate::wait::{self, Deadline, Probe};
use crate::{files, output};

use checkout::Checkout;
use environment::Environment;
use source::Request;

/// What `kubespray fetch` leaves, as `--json` prints it.
#[derive(Debug, Serialize)]
pub struct Fetched {
    /// The release's tag, or the commit where it has none.
    pub version: String,
    /// Which commit, and where it lies.
    #[serde(flatten)]
    pub checkout: Checkout,
    /// Its environment.
    pub environment: Environment,
}

/// Fetches a Kubespray and makes its environment; finds nothing to do where both are there.
///
/// # Errors
/// When the pinned commit cannot be had, its checkout is not as it was made, or there is no Python for it.
pub async fn fetch(cx: &Cx, request: &Request) -> anyhow::Result<Fetched> {
    let checkout = checkout::ensure(cx, request).await?;
    checkout::lead_to(cx, &checkout)?;
    let environment = environment::ensure(cx, &checkout).await?;
    Ok(Fetched { version: request.pin.version.clone(), checkout, environment })
}

/// `kubespray fetch`.
///
/// # Errors
/// As [`fetch`].
pub async fn run_fetch(cx: &Cx, request: &Request, json: bool) -> anyhow::Result<()> {
    let fetched = fetch(cx, request).await?;
    if json {
        return output::json(&fetched);
    }
    output::line(fetched.checkout.path.display())
}

/// Takes a lock for work that others may be at, and waits for them. The lock may be given to programs that do
/// the work: see [`crate::process::Invocation::holding`].
///
/// # Errors
/// When the deadline passes or the user asks to stop.
async fn hold(
    cx: &Cx,
    path: &Path,
    what: &str,
    deadline: Deadline,
    task: &Task,
) -> anyhow::Result<Arc<File>> {
    let mut announced = false;
    let lock = wait::until(&cx.cancel, what, deadline, KUBESPRAY_LOCK_INTERVAL, || {
        std::future::ready(match files::try_lock(path) {
            Ok(Some(lock)) => Probe::Ready(lock),
            Ok(None) => {
                if !std::mem::replace(&mut announced, true) {
                    task.step("waiting for another command that does the same");
                }
                Probe::NotYet("it is still at it".to_owned())
            }
            Err(error) => Probe::Fatal(error),
        })
    })
    .await?;
    Ok(Arc::new(lock))
}
