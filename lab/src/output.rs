//! Standard output: data for people and scripts, and nothing else. Everything else goes to standard error.

use std::fmt::Display;
use std::io::{ErrorKind, Write as _};

/// Whoever reads standard output has read enough, as `head` does. It ends the command and is no failure.
#[derive(Debug, thiserror::Error)]
#[error("nobody reads standard output any more")]
pub struct ReaderGone;

/// Prints bytes as they are.
///
/// # Errors
/// [`ReaderGone`], or that they cannot be written.
pub fn bytes(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
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
