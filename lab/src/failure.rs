//! What an error carries for the person who reads it, and the exit codes that there are.

use std::fmt;

/// Exit codes of `lab`. Stable; scripts depend on them.
pub mod exit {
    /// Something that no other code names.
    pub const UNEXPECTED: u8 = 1;
    /// `inventory diff` found a difference, as `diff` says it. Its own failures have other codes.
    pub const DIFFERENT: u8 = 1;
    /// The arguments or the cluster file are wrong.
    pub const USAGE: u8 = 2;
    /// The computer lacks something.
    pub const HOST: u8 = 10;
    /// The plan was refused, by us or by the user.
    pub const PLAN: u8 = 11;
    /// Machines could not be made or reached.
    pub const PROVISION: u8 = 20;
    /// A playbook failed.
    pub const DEPLOY: u8 = 21;
    /// A check of the living lab failed.
    pub const CHECKS: u8 = 30;
    /// Something of a lab was left behind.
    pub const LEFTOVERS: u8 = 40;
    /// The user asked to stop.
    pub const INTERRUPTED: u8 = 130;
}

/// One layer of an error: a sentence, the exit code it means, and what to do about it.
#[derive(Debug)]
pub struct Failure {
    /// Lower case, no full stop.
    pub message: String,
    /// See [`exit`].
    pub code: u8,
    /// Text that can be pasted or followed.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure without advice.
    pub fn new(code: u8, message: impl Into<String>) -> Self {
        Self { message: message.into(), code, hint: None }
    }

    /// Adds advice.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// The error as it is shown: one sentence, its causes, a hint.
pub fn render(error: &anyhow::Error) -> String {
    let mut text = format!("error: {error}");
    let mut last = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        // libvirt's errors say the same thing twice when they are wrapped.
        if cause != last {
            text.push_str(&format!("\n  caused by: {}", cause.replace('\n', "\n    ")));
        }
        last = cause;
    }
    if let Some(hint) = error.downcast_ref::<Failure>().and_then(|failure| failure.hint.as_ref()) {
        text.push_str(&format!("\n\nhint: {hint}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn an_error_shows_its_causes_and_its_hint() {
        let cause: anyhow::Result<()> = Err(anyhow::anyhow!("no such device"));
        let error = cause
            .context(Failure::new(exit::HOST, "cannot start `dev-a`").hint("run `cargo xtask doctor`"))
            .unwrap_err();
        insta::assert_snapshot!(render(&error), @r"
        error: cannot start `dev-a`
          caused by: no such device

        hint: run `cargo xtask doctor`
        ");
    }
}
