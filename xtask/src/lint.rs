//! `cargo xtask lint`: everything that can be wrong with the text of the project. All checks run, and
//! all failures are reported together.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use anyhow::Context as _;

use crate::cargo::{self, cargo};
use crate::cx::Cx;
use crate::failure::{CHECKS, Failure};
use crate::flags;
use crate::host::Host;
use crate::setup::environment::Environment;
use crate::setup::{self, Needs};
use crate::tidy;

/// Says what it found when all is well.
type Check = fn(&Cx) -> anyhow::Result<String>;

const CHECKS_OF_TEXT: [(&str, Check); 7] = [
    ("formatting", formatting),
    ("house rules", house_rules),
    ("package budget", package_budget),
    ("licences", licences),
    ("only Rust", only_rust),
    ("features", features),
    ("clippy", clippy),
];

/// Packages that build scripts compile or find native libraries with.
const NATIVE: [&str; 6] = ["autotools", "bindgen", "cc", "cmake", "pkg-config", "vcpkg"];
/// The most packages that xtask may link, itself included.
const BUDGET: usize = 40;

impl flags::Lint {
    /// Runs every check.
    pub fn run(self, cx: &Cx) -> anyhow::Result<()> {
        run(cx)
    }
}

/// Runs every check, then fails if one of them did.
///
/// # Errors
/// When a check failed; its words were printed.
pub fn run(cx: &Cx) -> anyhow::Result<()> {
    setup::ensure(cx, &Host::real(), Needs { lab: true, tools: true, go: false }, cx.yes)?;
    let mut failed = Vec::new();
    for (name, check) in CHECKS_OF_TEXT {
        let start = Instant::now();
        let result = check(cx);
        let seconds = start.elapsed().as_secs_f64();
        match result {
            Ok(words) => println!("ok      {name:<15} {seconds:>6.1} s  {words}"),
            Err(error) => {
                println!("FAILED  {name:<15} {seconds:>6.1} s");
                eprintln!("{error:#}\n");
                failed.push(name);
            }
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(Failure { code: CHECKS, message: format!("lint failed: {}", failed.join(", ")), hint: None }.into())
}

fn formatting(cx: &Cx) -> anyhow::Result<String> {
    cargo(cx).args(["fmt", "--all", "--check"]).run().context("run `cargo fmt`")?;
    Ok(String::new())
}

fn clippy(cx: &Cx) -> anyhow::Result<String> {
    let command =
        cargo(cx).args(["clippy", "--quiet", "--workspace", "--all-targets", "--", "--deny", "warnings"]);
    command.run()?;
    Ok("all packages, all targets".into())
}

/// Licences, sources and bans. Advisories would need a network.
fn licences(cx: &Cx) -> anyhow::Result<String> {
    let deny = Environment::tools(&cx.folders).path.join("bin/cargo-deny");
    let command = cargo::sanitised(cx, deny.as_os_str());
    command.args(["--log-level", "error", "check", "licenses", "bans", "sources"]).run()?;
    Ok("and sources".into())
}

fn house_rules(cx: &Cx) -> anyhow::Result<String> {
    let breaches = tidy::breaches(cx)?;
    anyhow::ensure!(breaches.is_empty(), "{}", breaches.join("\n"));
    Ok(String::new())
}

/// xtask must build in seconds, so it stays small.
fn package_budget(cx: &Cx) -> anyhow::Result<String> {
    let tree = tree(cx, &["--package", "xtask", "--edges", "normal"])?;
    let packages: BTreeSet<_> = tree.lines().map(|line| line.trim_end_matches(" (*)")).collect();
    let count = packages.len();
    anyhow::ensure!(
        count <= BUDGET,
        "xtask links {count} packages, {BUDGET} are allowed:\n{}",
        joined(&packages, "\n")
    );
    Ok(format!("xtask is {count} packages, {BUDGET} are allowed"))
}

/// `xtask` and `lab-core` build where there is neither pkg-config nor a C compiler for libraries: nothing that they build
/// from finds or compiles a native library. Nightly builds them there.
fn only_rust(cx: &Cx) -> anyhow::Result<String> {
    let tree = tree(cx, &["--package", "xtask", "--package", "lab-core", "--edges", "normal,build"])?;
    let found = native(&tree);
    anyhow::ensure!(
        found.is_empty(),
        "xtask or lab-core needs more than Rust: {} compiles or finds native libraries",
        joined(&found, ", ")
    );
    Ok("xtask and lab-core, without pkg-config".into())
}

/// The packages of a tree that are [`NATIVE`].
fn native(tree: &str) -> BTreeSet<&str> {
    tree.lines().filter_map(|line| line.split(' ').next()).filter(|name| NATIVE.contains(name)).collect()
}

/// No dependency of `lab` is compiled once more for tests, because they ask for other features of it.
fn features(cx: &Cx) -> anyhow::Result<String> {
    let format = ["--format", "{p}|{f}"];
    let program = tree(cx, &[&["--package", "lab", "--edges", "normal,build"][..], &format].concat())?;
    let tests = tree(cx, &[&["--workspace", "--edges", "normal,build,dev"][..], &format].concat())?;
    let other = other_features(&program, &tests);
    anyhow::ensure!(
        other.is_empty(),
        "tests compile packages again, because they ask for other features than `lab` does:\n{}\nname the lacking ones in \
         lab/features/Cargo.toml",
        other.join("\n")
    );
    Ok("one set for programs and tests".into())
}

/// The packages of a tree that another one asks other features of, with those that only one of them asks for.
fn other_features(program: &str, tests: &str) -> Vec<String> {
    type Sets<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;
    fn sets(tree: &str) -> Sets<'_> {
        let mut sets = Sets::new();
        for (package, features) in tree.lines().filter_map(|line| line.split_once('|')) {
            let package = package.trim_end_matches(" (proc-macro)");
            sets.entry(package).or_default().insert(features.trim_end_matches(" (*)"));
        }
        sets
    }
    fn words<'a>(sets: &BTreeSet<&'a str>) -> BTreeSet<&'a str> {
        sets.iter().flat_map(|set| set.split(',')).collect()
    }
    let tests = sets(tests);
    let differs = |(package, own): (&str, BTreeSet<&str>)| {
        let others = tests.get(package).filter(|others| **others != own)?;
        let lacking: Vec<_> = words(&own).symmetric_difference(&words(others)).copied().collect();
        Some(format!("{package}: {}", lacking.join(", ")))
    };
    sets(program).into_iter().filter_map(differs).collect()
}

/// The packages that cargo builds: one package and its version a line, a repeated one with ` (*)` after it.
fn tree(cx: &Cx, of: &[&str]) -> anyhow::Result<String> {
    Ok(cargo(cx).args(["tree", "--prefix", "none"]).args(of).read()?)
}

fn joined(names: &BTreeSet<&str>, between: &str) -> String {
    names.iter().copied().collect::<Vec<_>>().join(between)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_that_finds_a_native_library_is_named_once() {
        let tree = "xtask v0.1.0 (/src/xtask)\nclap v4.5.0\npkg-config v0.3.1\n\nlab-core v0.1.0\npkg-config v0.3.1 (*)\n";
        assert_eq!(native(tree), BTreeSet::from(["pkg-config"]));
        assert_eq!(native("xtask v0.1.0\nccc v1.0.0\n"), BTreeSet::new());
    }

    #[test]
    fn package_that_tests_ask_more_of_is_named() {
        let program =
            "lab v0.1.0 (/src/lab)|\nsyn v2.0.1|full,parsing\nserde_derive v1.0.0 (proc-macro)|default\n";
        let tests = "lab v0.1.0 (/src/lab)|\nsyn v2.0.1|full,parsing,visit\nserde_derive v1.0.0 (proc-macro)|default (*)\n\
                     insta v1.0.0|default\n";
        assert_eq!(other_features(program, tests), ["syn v2.0.1: visit"]);
        assert_eq!(other_features(program, program), Vec::<String>::new());
    }
}
