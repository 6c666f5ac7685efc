//! `cargo xtask ci`: exactly what CI runs, so that it can be run before.

use std::time::Instant;

use crate::cx::Cx;
use crate::tiers::{REQUIRED, Tier};
use crate::{flags, lint, test};

/// The address from which tests fetch Kubespray, unless git replaces it (`insteadOf`). The `lab` program has the same.
const KUBESPRAY: &str = "https://github.com/kubernetes-sigs/kubespray";

impl flags::Ci {
    /// Lints, then runs every test with none allowed to be skipped, but those of Kubespray where it cannot be
    /// reached. Tests run even if lint failed: one run reports all errors.
    pub fn run(self, cx: &Cx) -> anyhow::Result<()> {
        if self.cold {
            let (cold, _held) = cx.cold()?;
            return Self { cold: false }.run(&cold);
        }
        let start = Instant::now();
        let lint = lint::run(cx);
        let linted = start.elapsed().as_secs_f64();
        let tests = test::run(cx, &REQUIRED, &[]);
        let tested = start.elapsed().as_secs_f64() - linted;
        let reachable = reaches_kubespray(cx);
        let needs_kubespray = |tier: Tier| matches!(tier, Tier::Kubespray | Tier::Cluster);
        let required: Vec<Tier> =
            REQUIRED.into_iter().filter(|tier| reachable || !needs_kubespray(*tier)).collect();

        let verdict = |good: bool| if good { "ok" } else { "FAILED" };
        println!("\n{:<8}lint  {linted:>6.0} s", verdict(lint.is_ok()));
        println!(
            "{:<8}test  {tested:>6.0} s",
            verdict(tests.as_ref().is_ok_and(|outcome| outcome.is_good(&REQUIRED, &required)))
        );
        if !reachable {
            println!("note    {KUBESPRAY} cannot be reached: tests that need it may be skipped in this run");
        }
        // The counts come last: CI reads the last line.
        let tests = tests.and_then(|outcome| outcome.print(&REQUIRED, &required));
        match (lint, tests) {
            (Err(lint), Err(tests)) => {
                eprintln!("error: {lint}");
                Err(tests)
            }
            (lint, tests) => lint.and(tests),
        }
    }
}

/// Whether git can see Kubespray: the question that its tests ask before they skip.
fn reaches_kubespray(cx: &Cx) -> bool {
    let ask = ["20", "git", "ls-remote", "--exit-code", KUBESPRAY, "refs/tags/v2.30.0"];
    let command = cx.sh.cmd("timeout").args(ask).env("GIT_TERMINAL_PROMPT", "0");
    command.quiet().ignore_stdout().ignore_stderr().run().is_ok()
}
