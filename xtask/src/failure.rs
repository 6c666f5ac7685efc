//! Exit codes, and the text of an error for people.

use std::fmt;
use std::process::ExitCode;

/// Something that was not foreseen went wrong.
pub const UNEXPECTED: u8 = 1;
/// The command line was not understood.
pub const USAGE: u8 = 2;
/// The computer lacks something that the command needs; the hint says how to get it.
pub const HOST: u8 = 10;
/// Checks or tests ran, and some failed, or some that were required did not run.
pub const CHECKS: u8 = 30;

/// An error whose exit code is known, with a hint that can be pasted.
#[derive(Debug)]
pub struct Failure {
    /// One of the constants of this module.
    pub code: u8,
    /// One sentence in lower case without a final period.
    pub message: String,
    /// The fix.
    pub hint: Option<String>,
}

impl Failure {
    /// The computer lacks something.
    pub fn host(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { code: HOST, message: message.into(), hint: Some(hint.into()) }
    }

    /// The command line asks for something that cannot be.
    pub fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { code: USAGE, message: message.into(), hint: Some(hint.into()) }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// Writes the error, its causes and the hint to stderr, and gives the exit code that goes with it.
pub fn report(error: &anyhow::Error) -> ExitCode {
    eprint!("{}", text(error));
    ExitCode::from(error.downcast_ref::<Failure>().map_or(UNEXPECTED, |failure| failure.code))
}

fn text(error: &anyhow::Error) -> String {
    let mut text = format!("error: {error}\n");
    for cause in error.chain().skip(1) {
        text += &format!("  caused by: {cause}\n");
    }
    if let Some(hint) = error.downcast_ref::<Failure>().and_then(|failure| failure.hint.as_deref()) {
        text += &format!("\nhint: {hint}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn error_text_has_causes_and_hint() {
        let error = anyhow::Error::from(Failure::host("no QEMU was found", "run `cargo xtask setup`"));
        assert_eq!(text(&error), "error: no QEMU was found\n\nhint: run `cargo xtask setup`\n");

        let error = Err::<(), _>(anyhow::anyhow!("disk full")).context("cannot write the log").unwrap_err();
        assert_eq!(text(&error), "error: cannot write the log\n  caused by: disk full\n");
    }

    #[test]
    fn keeps_code_and_hint_under_added_context() {
        let error = Err::<(), _>(Failure::host("no QEMU", "install it")).context("cannot test").unwrap_err();
        assert_eq!(text(&error), "error: cannot test\n  caused by: no QEMU\n\nhint: install it\n");
    }
}
