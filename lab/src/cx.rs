//! What every command is given: where files lie, how to stop, what to show.

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use crate::layout::Layout;
use crate::progress::Progress;

/// The context of one invocation.
#[derive(Clone)]
pub struct Cx {
    /// Where files lie.
    pub layout: Layout,
    /// Cancelled when the user asks to stop.
    pub cancel: CancellationToken,
    /// What the user sees.
    pub progress: Progress,
    /// Whether questions are answered with yes.
    pub yes: bool,
}

impl Cx {
    /// Runs a function that blocks where blocking is allowed.
    ///
    /// # Errors
    /// Its own, or that it panicked.
    pub async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        tokio::task::spawn_blocking(work).await.context("a call to the system broke off")?
    }
}
