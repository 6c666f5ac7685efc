//! Kubespray for tests: whether it can be reached, and calls of `lab` that may fetch it.

use std::path::PathBuf;

use crate::run::{Run, run};

/// The address of its repository, unless git replaces it (`insteadOf`).
pub const UPSTREAM: &str = "https://github.com/kubernetes-sigs/kubespray";

/// The known releases, oldest first.
pub use lab_core::kubespray::TAGS;

/// Variables that say how git and pip reach their servers, which tests take over from the person who runs them.
const REACH: [&str; 4] = ["PIP_", "GIT_SSL_", "GIT_CONFIG_GLOBAL", "SSL_CERT_"];

/// Why Kubespray cannot be fetched here; `None` where it can.
pub fn unreachable() -> Option<String> {
    let ask = ["20", "git", "ls-remote", "--exit-code", UPSTREAM, "refs/tags/v2.30.0"];
    let answer = reaching(run("timeout").args(ask)).answer();
    let last = answer.stderr.trim().lines().last().unwrap_or("no answer within 20 s").to_owned();
    (answer.code != 0).then(|| format!("{UPSTREAM} cannot be reached: {last}"))
}

/// A program that reaches servers as the person does who runs the tests.
pub fn reaching(run: Run) -> Run {
    let mut run = run.env("GIT_TERMINAL_PROMPT", "0");
    // The settings of git say where mirrors are; nothing else of the home takes part.
    if let Some(settings) = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".gitconfig")) {
        run = run.env("GIT_CONFIG_GLOBAL", settings);
    }
    for (name, value) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if REACH.iter().any(|prefix| name.starts_with(prefix)) {
            run = run.env(&name, value);
        }
    }
    // Tests look at what a lab left in their home. pip's cache belongs to its user; and pip asks `rustc` for its version to
    // send it to the index, and then rustup writes down its settings.
    let rustup = std::env::var_os("RUSTUP_HOME")
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".rustup").into()));
    if let Some(rustup) = rustup {
        run = run.env("RUSTUP_HOME", rustup);
    }
    run.env("PIP_NO_CACHE_DIR", "1")
}

/// A checkout of a release, without what came before it.
///
/// # Panics
/// When it cannot be cloned.
pub fn clone(tag: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("the system gives folders");
    let clone =
        run("git").args(["clone", "--quiet", "--depth=1", "--branch", tag, UPSTREAM]).arg(folder.path());
    reaching(clone).answer().ok();
    folder
}
