//! The exit codes of `lab`. Stable: scripts depend on them.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use crate::failure::FailureKind;

/// `inventory diff` found a difference, as `diff` has it. Its failures have other codes.
pub const DIFFERENT: u8 = 1;

/// The exit code of a kind of failure.
pub fn of(kind: FailureKind) -> u8 {
    match kind {
        FailureKind::Unexpected => 1,
        FailureKind::Usage => 2,
        FailureKind::Host => 10,
        FailureKind::Plan => 11,
        FailureKind::Provision => 20,
        FailureKind::Deploy => 21,
        FailureKind::Checks => 30,
        FailureKind::Leftovers => 40,
        FailureKind::Interrupted => 130,
    }
}

/// 0 where a condition holds, else the code of a kind of failure.
pub fn unless(holds: bool, kind: FailureKind) -> u8 {
    if holds { 0 } else { of(kind) }
}

/// The exit code that a program ended with; 128 and the signal's number where a signal ended it, as shells have it.
pub fn of_status(status: ExitStatus) -> u8 {
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}
