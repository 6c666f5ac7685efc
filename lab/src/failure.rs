//! The error that people read: its kind, a sentence, a hint. `cli` chooses the exit code of a kind.

use std::fmt;

/// The kinds of failure that a caller distinguishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// None of the others.
    Unexpected,
    /// The arguments or the cluster file are wrong.
    Usage,
    /// The computer lacks something.
    Host,
    /// The lab or the user refused the plan.
    Plan,
    /// Machines could not be made or reached.
    Provision,
    /// A playbook or helm failed.
    Deploy,
    /// A check of the living lab failed.
    Checks,
    /// Something of a lab was left behind.
    Leftovers,
    /// The user asked to stop.
    Interrupted,
}

/// One layer of an error.
#[derive(Debug)]
pub struct Failure {
    /// Lower case, no full stop.
    pub message: String,
    /// The kind of the whole error, where this is its outermost layer.
    pub kind: FailureKind,
    /// Text that can be pasted or followed.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure without advice.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { message: message.into(), kind, hint: None }
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
    fn error_shows_causes_and_hint() {
        let cause: anyhow::Result<()> = Err(anyhow::anyhow!("no such device"));
        let error = cause
            .context(Failure::new(FailureKind::Host, "cannot start `dev-a`").hint("run `cargo xtask doctor`"))
            .unwrap_err();
        insta::assert_snapshot!(render(&error), @r"
        error: cannot start `dev-a`
          caused by: no such device

        hint: run `cargo xtask doctor`
        ");
    }
}
