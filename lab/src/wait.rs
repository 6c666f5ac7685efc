//! The only module that waits: deadlines, and probes that are repeated until one of them says yes.
//!
//! A deadline is made once, by the outermost caller, and handed down. A timeout names the awaited thing, the time,
//! the number of tries and the last observation.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

/// A point in time after which waiting is over.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    start: Instant,
    end: Instant,
}

impl Deadline {
    /// A deadline `length` from now.
    pub fn after(length: Duration) -> Self {
        let start = Instant::now();
        Self { start, end: start + length }
    }

    /// How long it was when it was made.
    pub fn length(&self) -> Duration {
        self.end - self.start
    }

    /// How long until it passes; zero once it has.
    pub fn remaining(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    /// Whichever is sooner: this deadline, or `length` from now.
    pub fn at_most(&self, length: Duration) -> Self {
        let sooner = Self::after(length);
        if sooner.end < self.end { sooner } else { *self }
    }

    /// Ends when the deadline passes.
    #[expect(clippy::disallowed_methods, reason = "this module is the one place that waits")]
    pub async fn passed(&self) {
        tokio::time::sleep_until(self.end.into()).await;
    }
}

/// Waits so long, in any case. For programs that must not do something again at once.
#[expect(clippy::disallowed_methods, reason = "this module is the one place that waits")]
pub async fn pause(length: Duration) {
    tokio::time::sleep(length).await;
}

/// What one try of a probe found.
#[derive(Debug)]
pub enum Probe<T> {
    /// The awaited thing.
    Ready(T),
    /// Not yet, and the observation instead.
    NotYet(String),
    /// It will never be.
    Fatal(anyhow::Error),
}

/// Why waiting failed.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    /// The deadline passed.
    #[error("{what}: not ready after {seconds:.0} s ({tries} tries); last seen: {last}")]
    Late {
        /// The awaited thing.
        what: String,
        /// How long.
        seconds: f64,
        /// How often it was tried.
        tries: u32,
        /// The text of the last `NotYet`.
        last: String,
    },
    /// The probe found out that waiting is of no use.
    #[error("{what}")]
    Fatal {
        /// The awaited thing.
        what: String,
        /// Why it will never be.
        source: anyhow::Error,
    },
    /// The user asked to stop.
    #[error("{what}: interrupted")]
    Cancelled {
        /// The awaited thing.
        what: String,
    },
}

/// Repeats `probe` every `interval` until it is ready or fatal, `cancel` is cancelled, or `deadline` passes.
/// A try that has begun is let finish before time is judged.
///
/// # Errors
/// See [`WaitError`].
#[expect(clippy::disallowed_methods, reason = "this module is the one place that waits")]
pub async fn until<T, F: Future<Output = Probe<T>>>(
    cancel: &CancellationToken,
    what: &str,
    deadline: Deadline,
    interval: Duration,
    mut probe: impl FnMut() -> F,
) -> Result<T, WaitError> {
    let mut tries = 0;
    loop {
        tries += 1;
        let last = match probe().await {
            Probe::Ready(value) => return Ok(value),
            Probe::Fatal(source) => return Err(WaitError::Fatal { what: what.to_owned(), source }),
            Probe::NotYet(last) => last,
        };
        if deadline.remaining().is_zero() {
            let seconds = deadline.length().as_secs_f64();
            return Err(WaitError::Late { what: what.to_owned(), seconds, tries, last });
        }
        tokio::select! {
            () = tokio::time::sleep(interval.min(deadline.remaining())) => {}
            () = cancel.cancelled() => return Err(WaitError::Cancelled { what: what.to_owned() }),
        }
    }
}

/// Like [`until`] for a program without an async runtime.
///
/// # Errors
/// [`WaitError::Late`] or [`WaitError::Fatal`].
#[expect(clippy::disallowed_methods, reason = "this module is the one place that waits")]
pub fn until_blocking<T>(
    what: &str,
    deadline: Deadline,
    interval: Duration,
    mut probe: impl FnMut() -> Probe<T>,
) -> Result<T, WaitError> {
    let mut tries = 0;
    loop {
        tries += 1;
        let last = match probe() {
            Probe::Ready(value) => return Ok(value),
            Probe::Fatal(source) => return Err(WaitError::Fatal { what: what.to_owned(), source }),
            Probe::NotYet(last) => last,
        };
        if deadline.remaining().is_zero() {
            let seconds = deadline.length().as_secs_f64();
            return Err(WaitError::Late { what: what.to_owned(), seconds, tries, last });
        }
        std::thread::sleep(interval.min(deadline.remaining()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(1);

    #[tokio::test]
    async fn timeout_reports_last_observation() {
        let deadline = Deadline::after(Duration::from_millis(20));
        let error = until::<(), _>(&CancellationToken::new(), "ssh on a", deadline, TICK, || async {
            Probe::NotYet("refused".to_owned())
        })
        .await
        .unwrap_err()
        .to_string();
        assert!(error.starts_with("ssh on a: not ready after 0 s ("), "{error}");
        assert!(error.ends_with("tries); last seen: refused"), "{error}");
    }

    #[tokio::test]
    async fn fatal_probe_ends_wait_at_once() {
        let deadline = Deadline::after(Duration::from_secs(60));
        let mut tries = 0;
        let error = until::<(), _>(&CancellationToken::new(), "boot", deadline, TICK, || {
            tries += 1;
            async { Probe::Fatal(anyhow::anyhow!("kernel panic")) }
        })
        .await
        .unwrap_err();
        assert!(matches!(error, WaitError::Fatal { .. }));
        assert_eq!(tries, 1);
    }

    #[tokio::test]
    async fn cancelling_ends_the_wait_between_tries() {
        let cancel = CancellationToken::new();
        cancel.cancel();
        let deadline = Deadline::after(Duration::from_secs(60));
        let result = until::<(), _>(&cancel, "boot", deadline, Duration::from_secs(60), || async {
            Probe::NotYet(String::new())
        })
        .await;
        assert!(matches!(result, Err(WaitError::Cancelled { .. })));
    }
}
