//! Standard output: data for people and scripts, and nothing else. Everything else goes to standard error.
//!
//! On a terminal both are the same screen, and live lines of [`crate::progress`] stand on it: this module prints above
//! them. No other module prints while they live.

use std::fmt::Display;
use std::io::{ErrorKind, IsTerminal, Write as _};
use std::sync::OnceLock;

use indicatif::MultiProgress;

/// The screen with live lines, where there is one.
static SCREEN: OnceLock<MultiProgress> = OnceLock::new();

/// From now on, printing leaves the live lines of this screen whole.
pub fn share(screen: &MultiProgress) {
    // A second screen would be one of tests, which show nothing.
    let _ = SCREEN.set(screen.clone());
}

/// Does something to the terminal while no live line stands there.
pub fn undisturbed<T>(work: impl FnOnce() -> T) -> T {
    match SCREEN.get() {
        Some(screen) => screen.suspend(work),
        None => work(),
    }
}

/// Prints a line for people on standard error, beside what progress shows.
pub fn aside(text: impl Display) {
    undisturbed(|| eprintln!("{text}"));
}

/// Whether text on a stream is coloured: it is a terminal that takes colours, and `NO_COLOR` (no-color.org) is not set.
pub fn is_coloured(stream: &impl IsTerminal) -> bool {
    let refuses = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    stream.is_terminal() && !refuses && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// The reader of standard output has read enough, as `head` does. It ends the command and is no failure.
#[derive(Debug, thiserror::Error)]
#[error("standard output has no reader any more")]
pub struct ReaderGone;

/// Prints bytes as they are.
///
/// # Errors
/// [`ReaderGone`], or that they cannot be written.
pub fn bytes(bytes: &[u8]) -> anyhow::Result<()> {
    let write = || {
        let mut out = std::io::stdout().lock();
        out.write_all(bytes).and_then(|()| out.flush())
    };
    let written = if std::io::stdout().is_terminal() { undisturbed(write) } else { write() };
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(ReaderGone.into()),
        written => Ok(written?),
    }
}

/// Prints a text as it is.
///
/// # Errors
/// As [`bytes()`].
pub fn print(text: impl Display) -> anyhow::Result<()> {
    bytes(text.to_string().as_bytes())
}

/// Prints a line.
///
/// # Errors
/// As [`bytes()`].
pub fn line(text: impl Display) -> anyhow::Result<()> {
    print(format_args!("{text}\n"))
}

/// Prints a value as JSON that a person can read too.
///
/// # Errors
/// As [`bytes()`].
pub fn json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    line(serde_json::to_string_pretty(value)?)
}
