//! `cargo xtask lint`: everything that can be wrong with the text of the project. All checks run, and
//! all failures are told together.

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

const CHECKS_OF_TEXT: [(&str, Check); 6] = [
    ("formatting", formatting),
    ("house rules", house_rules),
    ("package budget", package_budget),
    ("licences", licences),
    ("bare build", bare_build),
    ("clippy", clippy),
];

/// What xtask may link, itself included.
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
    let tree =
        cargo(cx).args(["tree", "--package", "xtask", "--edges", "normal", "--prefix", "none"]).read()?;
    let mut packages: Vec<_> = tree.lines().map(|line| line.trim_end_matches(" (*)")).collect();
    packages.sort_unstable();
    packages.dedup();
    let count = packages.len();
    anyhow::ensure!(
        count <= BUDGET,
        "xtask links {count} packages, {BUDGET} are allowed:\n{}",
        packages.join("\n")
    );
    Ok(format!("xtask is {count} packages, {BUDGET} are allowed"))
}

/// `xtask` and `lab-core` build where there is neither pkg-config nor a C compiler for libraries.
fn bare_build(cx: &Cx) -> anyhow::Result<String> {
    let target = cx.sh.create_temp_dir().context("cannot make a directory for the build")?;
    let command = cargo(cx)
        .args(["build", "--quiet", "--package", "xtask", "--package", "lab-core", "--target-dir"])
        .arg(target.path())
        // Half the time without what debuggers need.
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        // Only the linker is left: whatever would build or look for a native library fails.
        .env("PKG_CONFIG", "/bin/false")
        .env("CC", "/bin/false")
        .env("CXX", "/bin/false");
    command.run().context("xtask or lab-core needs more than Rust")?;
    Ok("xtask and lab-core, without pkg-config".into())
}
