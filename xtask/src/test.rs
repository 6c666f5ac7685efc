//! `cargo xtask test`: runs the tiers of tests and counts what ran.
//!
//! A test that cannot run here says why in the file that `$LAB_SKIPS` names, one line of name, tab and
//! reason, and returns. Skipped is not passed: it is counted on its own, and `--require` makes it a
//! failure.

use std::fs;
use std::path::Path;

use anyhow::Context as _;

use crate::cargo::{self, cargo};
use crate::cx::Cx;
use crate::failure::{CHECKS, Failure};
use crate::flags;
use crate::handover;
use crate::host::Host;
use crate::junit::{self, Case};
use crate::setup::environment::Environment;
use crate::setup::{self, Needs};
use crate::tiers::{QUICK, REQUIRED, Tier, filter, packages};

impl flags::Test {
    /// Runs the tests, prints the counts, and fails if one failed or a required one was skipped.
    pub fn run(self, cx: &Cx) -> anyhow::Result<()> {
        if self.cold {
            let (cold, _held) = cx.cold()?;
            return Self { cold: false, ..self }.run(&cold);
        }
        let tiers = match self.tier.is_empty() {
            true if self.all => REQUIRED.to_vec(),
            // A test that is named is looked for everywhere.
            true if !self.names.is_empty() => REQUIRED.to_vec(),
            true => QUICK.to_vec(),
            false => self.tier,
        };
        let outcome = run(cx, &tiers, &self.names)?;
        outcome.print(&tiers, &self.require)
    }
}

/// The outcome of the tests.
#[derive(Debug, Default)]
pub struct Outcome {
    cases: Vec<Case>,
    /// Names and reasons.
    skips: Vec<(String, String)>,
}

/// Builds and runs tiers of tests. Failed tests are part of the outcome.
///
/// # Errors
/// When no test could run: the setup is incomplete or something does not compile.
pub fn run(cx: &Cx, tiers: &[Tier], names: &[String]) -> anyhow::Result<Outcome> {
    let host = Host::real();
    let lab = tiers.iter().any(|tier| *tier != Tier::Core);
    let builds = |tier: &Tier| matches!(tier, Tier::Artifacts | Tier::Api | Tier::Cluster | Tier::Nightly);
    let go = tiers.iter().any(builds);
    setup::ensure(cx, &host, Needs { lab, tools: true, go }, cx.yes)?;

    let reports = cx.folders.root.join("build/reports");
    fs::create_dir_all(&reports).with_context(|| format!("cannot make {}", reports.display()))?;
    let (junit, skips) = (reports.join("nextest/default/junit.xml"), reports.join("skips.tsv"));
    // Reports of an earlier run must not count for this one.
    for stale in [&junit, &skips] {
        if stale.exists() {
            fs::remove_file(stale).with_context(|| format!("cannot remove {}", stale.display()))?;
        }
    }

    let nextest = Environment::tools(&cx.folders).path.join("bin/cargo-nextest");
    let mut command = cargo::sanitised(cx, nextest.as_os_str())
        .args(["nextest", "run", "--no-tests", "pass"])
        .args(packages(tiers).iter().flat_map(|package| ["--package", *package]))
        .args(["--filterset", &filter(tiers)])
        .args(names)
        .env("LAB_SKIPS", &skips)
        .envs(handover::environment(cx, &host));
    if packages(tiers).contains(&"lab-tests") {
        command = command.env("LAB_BIN", cargo::build_lab(cx)?);
    }
    let result = command.run();
    let report = fs::read_to_string(&junit).unwrap_or_default();
    let mut cases = junit::cases(&report);
    if cases.is_empty() {
        // Nextest has reported the errors of its build. The caller judges a run without any test.
        result.context("the tests could not be run")?;
    }
    if tiers.contains(&Tier::Core) && names.is_empty() {
        cases.extend(doctests(cx)?);
    }
    Ok(Outcome { cases, skips: read_skips(&skips) })
}

/// The examples in the documentation of `lab-core`, which nextest cannot run.
fn doctests(cx: &Cx) -> anyhow::Result<Vec<Case>> {
    let command = cargo(cx).args(["test", "--doc", "--package", "lab-core"]).ignore_status().ignore_stderr();
    let output = command.output().context("cannot run the examples in the documentation")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let cases: Vec<_> = text.lines().filter_map(doctest).collect();
    if !output.status.success() {
        eprint!("{text}");
        anyhow::ensure!(
            cases.iter().any(|case| case.failed),
            "the examples in the documentation do not build"
        );
    }
    Ok(cases)
}

/// One line of libtest: `test core/src/units.rs - units::Bytes (line 7) ... ok`.
fn doctest(line: &str) -> Option<Case> {
    let (name, verdict) = line.strip_prefix("test ")?.rsplit_once(" ... ")?;
    Some(Case { binary: "lab-core".into(), name: name.into(), failed: verdict != "ok", seconds: 0.0 })
}

fn read_skips(path: &Path) -> Vec<(String, String)> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let skip = |line: &str| line.split_once('\t').map(|(name, reason)| (name.to_owned(), reason.to_owned()));
    text.lines().filter_map(skip).collect()
}

impl Outcome {
    fn skip(&self, case: &Case) -> Option<&str> {
        self.skips.iter().find(|(name, _)| *name == case.name).map(|(_, reason)| reason.as_str())
    }

    /// How long the tests of a tier ran, together.
    fn seconds(&self, tier: Tier) -> f64 {
        self.cases.iter().filter(|case| tier.holds(case)).fold(0.0, |sum, case| sum + case.seconds)
    }

    /// Passed, failed, skipped among the tests of a tier.
    fn counts(&self, tier: Tier) -> [usize; 3] {
        let mut counts = [0; 3];
        for case in self.cases.iter().filter(|case| tier.holds(case)) {
            counts[if case.failed {
                1
            } else if self.skip(case).is_some() {
                2
            } else {
                0
            }] += 1;
        }
        counts
    }

    /// The table of tiers, the reasons of skips, and what makes the run a failure.
    fn text(&self, tiers: &[Tier], require: &[Tier]) -> (String, Vec<String>) {
        let mut text = format!(
            "\n{:<10}{:>8}{:>8}{:>9}{:>9}{:>8}\n",
            "TIER", "PASSED", "FAILED", "SKIPPED", "SECONDS", "BUDGET"
        );
        let mut problems = Vec::new();
        for tier in tiers {
            let [passed, failed, skipped] = self.counts(*tier);
            let (seconds, budget) = (self.seconds(*tier), tier.budget());
            text +=
                &format!("{:<10}{passed:>8}{failed:>8}{skipped:>9}{seconds:>9.0}{budget:>8}\n", tier.name());
            if require.contains(tier) && seconds > 2.0 * f64::from(budget) {
                problems.push(format!(
                    "tier {} took {seconds:.0} s, more than twice its budget of {budget} s",
                    tier.name()
                ));
            }
            if failed > 0 {
                problems.push(format!("{failed} tests of tier {} failed", tier.name()));
            }
            if !require.contains(tier) {
                continue;
            }
            if skipped > 0 {
                problems.push(format!(
                    "{skipped} tests of tier {} were skipped, and it is required",
                    tier.name()
                ));
            }
            if passed + failed + skipped == 0 {
                problems.push(format!("tier {} is required and has run no test", tier.name()));
            }
        }
        for case in &self.cases {
            if let (Some(reason), false) = (self.skip(case), case.failed) {
                text += &format!("skipped {} {}: {reason}\n", case.binary, case.name);
            }
        }
        for missing in require.iter().filter(|tier| !tiers.contains(tier)) {
            problems.push(format!("tier {} is required and was not asked for", missing.name()));
        }
        (text, problems)
    }

    /// Prints the table, and on the last line of stdout the sum.
    ///
    /// # Errors
    /// When a test failed, or a required tier has skipped tests or none.
    pub fn print(&self, tiers: &[Tier], require: &[Tier]) -> anyhow::Result<()> {
        let (text, problems) = self.text(tiers, require);
        print!("{text}");
        println!("{}", self.sum(tiers));
        match problems.is_empty() {
            true => Ok(()),
            false => Err(Failure { code: CHECKS, message: problems.join("; "), hint: None }.into()),
        }
    }

    /// Whether no test of these tiers failed, and none of the required ones was skipped.
    pub fn is_good(&self, tiers: &[Tier], require: &[Tier]) -> bool {
        self.text(tiers, require).1.is_empty()
    }

    /// `N passed, N failed, N skipped`.
    fn sum(&self, tiers: &[Tier]) -> String {
        let [passed, failed, skipped] = tiers
            .iter()
            .map(|tier| self.counts(*tier))
            .fold([0; 3], |sum, counts| [sum[0] + counts[0], sum[1] + counts[1], sum[2] + counts[2]]);
        format!("{passed} passed, {failed} failed, {skipped} skipped")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(binary: &str, name: &str, failed: bool) -> Case {
        Case { binary: binary.into(), name: name.into(), failed, seconds: 1.4 }
    }

    fn outcome() -> Outcome {
        Outcome {
            cases: vec![
                case("xtask::bin/xtask", "a", false),
                case("lab-core", "b", false),
                case("lab::cli", "c", true),
                case("lab-tests::tools", "d", false),
                case("lab-tests::kubespray", "g", false),
                case("lab-tests::artifacts", "h", false),
                case("lab-tests::lab", "e", false),
                case("lab-tests::lab", "f", false),
                case("lab-tests::cluster", "g", false),
            ],
            skips: vec![("e".into(), "there is no user to run as".into())],
        }
    }

    #[test]
    fn counts_by_tier_and_names_each_skip() {
        let (text, problems) = outcome().text(&REQUIRED, &[]);
        insta::assert_snapshot!(text, @r"
        TIER        PASSED  FAILED  SKIPPED  SECONDS  BUDGET
        core             2       0        0        3     150
        cli              0       1        0        1     180
        tools            1       0        0        1     120
        smoke            0       0        0        0     240
        kubespray        1       0        0        1    1200
        artifacts        1       0        0        1     900
        api              0       0        0        0    1800
        lab              1       0        1        3    1200
        cluster          1       0        0        1    3000
        skipped lab-tests::lab e: there is no user to run as
        ");
        assert_eq!(problems, ["1 tests of tier cli failed"]);
        assert_eq!(outcome().sum(&REQUIRED), "7 passed, 1 failed, 1 skipped");
    }

    #[test]
    fn required_tier_fails_when_skipped_or_empty() {
        let (_, problems) = outcome().text(&[Tier::Lab], &[Tier::Lab, Tier::Core]);
        let expected = [
            "1 tests of tier lab were skipped, and it is required",
            "tier core is required and was not asked for",
        ];
        assert_eq!(problems, expected);
        let (_, problems) = Outcome::default().text(&[Tier::Core], &[Tier::Core]);
        assert_eq!(problems, ["tier core is required and has run no test"]);
    }

    #[test]
    fn required_tier_fails_above_twice_its_budget() {
        let slow = Case { seconds: 301.0, ..case("lab-core", "a", false) };
        let outcome = Outcome { cases: vec![slow], skips: Vec::new() };
        let (_, problems) = outcome.text(&[Tier::Core], &[Tier::Core]);
        assert_eq!(problems, ["tier core took 301 s, more than twice its budget of 150 s"]);
        assert!(outcome.is_good(&[Tier::Core], &[]), "the tier is not required");
    }

    #[test]
    fn failed_test_is_not_counted_as_skipped() {
        let outcome =
            Outcome { cases: vec![case("lab", "x", true)], skips: vec![("x".into(), "why".into())] };
        assert_eq!(outcome.counts(Tier::Cli), [0, 1, 0]);
    }

    #[test]
    fn reads_examples_in_the_documentation() {
        let found = doctest("test lab/core/src/units.rs - units::Bytes (line 7) ... ok").unwrap();
        assert_eq!(
            (found.name.as_str(), found.failed),
            ("lab/core/src/units.rs - units::Bytes (line 7)", false)
        );
        assert!(doctest("test x ... FAILED").unwrap().failed);
        assert_eq!(doctest("test result: ok. 1 passed; 0 failed"), None);
    }
}
