//! The load of this computer, and the retry of answers that are late because of it: once, with a longer timeout.
//!
//! Reads /proc. Whether it shows an overload is judged in `lab_core::load`. `/proc/pressure` and `/proc/loadavg` are of the
//! whole computer in every namespace of a lab.

use std::time::{Duration, Instant};

use lab_core::load::{LoadSample, Overload, overload, times_under, wait_under};
use tokio_util::sync::CancellationToken;

use crate::timeouts::Timeout;
use crate::wait::{Deadline, Probe, WaitError, until};

/// What one attempt to get an answer came to.
#[derive(Debug)]
pub enum Attempt<T> {
    /// An answer, also one that reports a problem.
    InTime(T),
    /// No answer, or only a part of it, before the deadline.
    Late(T),
}

/// What all attempts came to.
#[derive(Debug, PartialEq)]
pub enum Answer<T> {
    /// An answer, also one that reports a problem.
    InTime(T),
    /// None before a deadline that was `times` times the usual one, on a computer that was not overloaded.
    Late {
        /// What the last attempt has.
        value: T,
        /// How many times the usual deadline was waited for.
        times: u32,
    },
    /// The same on an overloaded computer: the asked machine or server may be well.
    Slow {
        /// What the last attempt has.
        value: T,
        /// How many times the usual deadline was waited for.
        times: u32,
        /// The evidence.
        overload: Overload,
    },
}

impl<T, E: Into<anyhow::Error>> Answer<Result<T, E>> {
    /// What the last attempt came to. An error on an overloaded computer says so.
    ///
    /// # Errors
    /// That of the last attempt.
    pub fn into_result(self) -> anyhow::Result<T> {
        match self {
            Self::InTime(value) | Self::Late { value, .. } => value.map_err(Into::into),
            Self::Slow { value, overload, .. } => {
                let busy = format!("this computer was busy ({})", overload.evidence);
                value.map_err(|error| error.into().context(busy))
            }
        }
    }
}

/// Begins to watch the load. The returned function judges whether the computer has been overloaded since.
pub fn watch() -> impl Fn() -> Option<Overload> {
    let (start, before) = (Instant::now(), sample());
    move || overload(&before, &sample(), start.elapsed())
}

fn sample() -> LoadSample {
    let read = |path: &str| std::fs::read_to_string(path);
    let pressure = ["cpu", "io", "memory"].map(|name| read(&format!("/proc/pressure/{name}")).ok());
    let pressure = match &pressure {
        [Some(cpu), Some(io), Some(memory)] => Some([cpu.as_str(), io.as_str(), memory.as_str()]),
        _ => None,
    };
    let processors = std::thread::available_parallelism().map_or(1, |count| count.get());
    LoadSample::parse(
        &read("/proc/loadavg").unwrap_or_default(),
        pressure,
        u32::try_from(processors).unwrap_or(u32::MAX),
    )
}

/// The note before a longer wait: `this computer is busy (load 14 on 2 processors): waiting up to 28 s for the API`.
pub fn note(overload: &Overload, what: &str, length: Duration) -> String {
    format!("this computer is busy ({}): waiting up to {} s for {what}", overload.evidence, length.as_secs())
}

/// A question, and how long its answer may take.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The one who answers, for people: `the API`.
    pub of: &'a str,
    /// How long an answer takes at the most.
    pub timeout: Timeout,
    /// How many times longer it may take from the start, because machines are emulated.
    pub times: u32,
}

/// Asks, and asks once more with a longer deadline where the answer is late and the computer was overloaded.
///
/// `attempt` is given how many times the usual timeout it may take. `watch` begins to watch the load, as [`watch`] does;
/// `notify` shows the note before a second attempt.
///
/// # Errors
/// Those of an attempt; none is repeated.
pub async fn again_when_overloaded<T, F, W>(
    question: Question<'_>,
    watch: impl Fn() -> W,
    notify: impl FnOnce(&str),
    mut attempt: impl FnMut(u32) -> F,
) -> anyhow::Result<Answer<T>>
where
    F: Future<Output = anyhow::Result<Attempt<T>>>,
    W: Fn() -> Option<Overload>,
{
    let Question { of, timeout, times } = question;
    let overloaded = watch();
    let value = match attempt(times).await? {
        Attempt::InTime(value) => return Ok(Answer::InTime(value)),
        Attempt::Late(value) => value,
    };
    let Some(overload) = overloaded() else { return Ok(Answer::Late { value, times }) };
    let times = times_under(&overload, times);
    notify(&note(&overload, of, timeout.times(times)));
    let overloaded = watch();
    let value = match attempt(times).await? {
        Attempt::InTime(value) => return Ok(Answer::InTime(value)),
        Attempt::Late(value) => value,
    };
    Ok(match overloaded() {
        Some(overload) => Answer::Slow { value, times, overload },
        None => Answer::Late { value, times },
    })
}

/// As [`until`], for `timeout`; goes on for a multiple of it where the computer was overloaded, after a note.
///
/// # Errors
/// As [`until`]. A timeout on an overloaded computer says so.
pub async fn until_even_if_overloaded<T, F: Future<Output = Probe<T>>, W: Fn() -> Option<Overload>>(
    cancel: &CancellationToken,
    what: &str,
    timeout: Timeout,
    interval: Duration,
    watch: impl Fn() -> W,
    notify: impl FnOnce(&str),
    mut probe: impl FnMut() -> F,
) -> Result<T, WaitError> {
    let (length, overloaded) = (timeout.base(), watch());
    let waited = until(cancel, what, Deadline::after(length), interval, &mut probe).await;
    let Err(WaitError::Late { tries: first_tries, .. }) = &waited else { return waited };
    let Some(overload) = overloaded() else { return waited };
    let whole = wait_under(&overload, length);
    notify(&note(&overload, what, whole));
    let overloaded = watch();
    match until(cancel, what, Deadline::after(whole - length), interval, probe).await {
        Err(WaitError::Late { what, tries, last, .. }) => Err(WaitError::Late {
            what,
            seconds: whole.as_secs_f64(),
            tries: tries + first_tries,
            last: match overloaded() {
                Some(Overload { evidence, .. }) => {
                    format!("{last}, while this computer was busy ({evidence})")
                }
                None => last,
            },
        }),
        ended => ended,
    }
}

#[cfg(test)]
mod tests;
