//! Asking before anything is lost: the one place that reads an answer.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use crate::cx::Cx;
use crate::failure::{Failure, exit};

/// Goes on only with a person's yes, or with `--yes`. `lost` is the sentence of the refusal, `question` what a person is asked.
///
/// # Errors
/// When the answer is no, or nobody is there to give one.
pub fn ask(cx: &Cx, lost: &str, question: &str) -> anyhow::Result<()> {
    if cx.yes {
        return Ok(());
    }
    let refused = || Failure::new(exit::PLAN, lost).hint("add `--yes` if that is meant");
    if !std::io::stdin().is_terminal() || cx.progress.is_json() {
        return Err(refused().into());
    }
    eprint!("{question} Go on? [y/N] ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    anyhow::ensure!(matches!(answer.trim(), "y" | "Y" | "yes"), refused());
    Ok(())
}
