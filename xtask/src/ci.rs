//! `cargo xtask ci`: exactly what CI runs, so that it can be run before.

use std::time::Instant;

use crate::cx::Cx;
use crate::flags;
use crate::{lint, test};

impl flags::Ci {
    /// Lints, then runs every test with none allowed to be skipped. Tests run even if lint failed:
    /// one run should tell all that is wrong.
    pub fn run(self, cx: &Cx) -> anyhow::Result<()> {
        let start = Instant::now();
        let lint = lint::run(cx);
        let linted = start.elapsed().as_secs_f64();
        let tests = test::run(cx, &test::TIERS, &[]);
        let tested = start.elapsed().as_secs_f64() - linted;

        let verdict = |good: bool| if good { "ok" } else { "FAILED" };
        println!("\n{:<8}lint  {linted:>6.0} s", verdict(lint.is_ok()));
        println!(
            "{:<8}test  {tested:>6.0} s",
            verdict(tests.as_ref().is_ok_and(|outcome| outcome.is_good(&test::TIERS)))
        );
        // The counts come last: CI reads the last line.
        let tests = tests.and_then(|outcome| outcome.print(&test::TIERS, &test::TIERS));
        match (lint, tests) {
            (Err(lint), Err(tests)) => {
                eprintln!("error: {lint}");
                Err(tests)
            }
            (lint, tests) => lint.and(tests),
        }
    }
}
