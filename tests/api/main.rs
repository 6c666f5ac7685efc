//! `lab gpu-operator` on a real control plane: the real GPU Operator, Node Feature Discovery's master and helm, nodes that
//! kwok plays. No machine.

mod cut_off;
mod install;
mod refused;
mod stories;
mod vacuous;

use lab_tests::Answer;

/// The error that a command ended with.
fn said(answer: &Answer) -> String {
    let at = answer.stderr.find("error:").unwrap_or_default();
    answer.stderr[at..].to_owned()
}

/// Lines in the order of the alphabet.
fn lines(text: &str) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines.join("\n")
}
