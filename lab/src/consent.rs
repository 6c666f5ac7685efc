//! Asks a person before data is lost for good. Decides nothing: a plan names the losses.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use crate::cx::Cx;
use crate::failure::{Failure, FailureKind};
use crate::output;

/// Asks whether this may be lost, unless every question was answered with yes beforehand.
///
/// # Errors
/// When it may not, or there is no terminal to ask on.
pub fn ask(cx: &Cx, lost: &str) -> anyhow::Result<()> {
    if cx.yes {
        return Ok(());
    }
    let refused = || {
        Failure::new(FailureKind::Plan, format!("{lost} would be lost")).hint("add `--yes` if that is meant")
    };
    anyhow::ensure!(std::io::stdin().is_terminal() && !cx.progress.is_json(), refused());
    let answer = output::undisturbed(|| {
        eprint!("{lost} will be lost. Go on? [y/N] ");
        std::io::stderr().flush()?;
        let mut answer = String::new();
        std::io::stdin().lock().read_line(&mut answer).map(|_| answer)
    })?;
    anyhow::ensure!(matches!(answer.trim(), "y" | "Y" | "yes"), refused());
    Ok(())
}
