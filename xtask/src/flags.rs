//! Every command line type of `cargo xtask`, with its help. Decides nothing.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, Parser, Subcommand};

use crate::tiers::Tier;

use crate::failure;

/// Builds, tests and runs labs of virtual machines.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
pub struct Cli {
    /// Install all that is missing without asking.
    #[arg(long, short, global = true)]
    pub yes: bool,
    /// The command; none prints the table of contents.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// One variant per command, in the order of the table of contents.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say what this computer can do, and how to mend what it cannot.
    Doctor(Doctor),
    /// Install what this computer lacks.
    Setup(Setup),
    /// Make, use and destroy labs (the `lab` program).
    Lab(Words),
    /// Start, stop, restart or show one machine (`lab vm`).
    Vm(Words),
    /// Check a cluster file (`lab check`).
    Check(Words),
    /// Build, list or remove base images (`lab image`).
    Image(Words),
    /// Show or clear what all checkouts share (`lab cache`).
    Cache(Words),
    /// Fetch the pinned Kubespray, and inspect it (`lab kubespray`).
    Kubespray(Words),
    /// Render and prove the inventory that Kubespray is given (`lab inventory`).
    Inventory(Words),
    /// Fetch, build and keep every file and image that a deploy needs (`lab artifacts`).
    Artifacts(Words),
    /// A whole cluster in one word: start, stop, status, destroy (`lab cloud`).
    Cloud(Words),
    /// Make the machines of a lab a Kubernetes cluster (`lab deploy`).
    Deploy(Words),
    /// The NVIDIA GPU Operator of a cluster (`lab gpu-operator`).
    GpuOperator(Words),
    /// Check that a cluster is what its file asks for (`lab validate`).
    Validate(Words),
    /// From nothing to a verdict and back: up, deploy, validate, destroy (`lab e2e`).
    #[command(name = "e2e")]
    EndToEnd(Words),
    /// Run the tests.
    Test(Test),
    /// Check formatting, lints, licences and house rules.
    Lint(Lint),
    /// Do exactly what CI does.
    Ci(Ci),
    /// Measure how fast things are.
    Bench(Bench),
    /// Kill long commands at random moments, and see that they go on.
    Soak(Soak),
}

/// Words that are the business of another program, its `--help` included.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub struct Words {
    /// Handed over as they are.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "WORDS")]
    pub words: Vec<OsString>,
}

/// Say what this computer can do, and how to mend what it cannot. Changes nothing.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit code: 0 ready for labs, 10 something is missing.\n\nExample: cargo xtask doctor --json"
)]
pub struct Doctor {
    /// Print JSON for scripts.
    #[arg(long)]
    pub json: bool,
}

/// Install what this computer lacks.
#[derive(Debug, Args)]
#[command(
    after_help = "At the end, root on a terminal is asked whether to raise limits of the kernel that are too low for
several clusters of containers. --yes alone leaves them as they are. They are written to
/etc/sysctl.d/90-lab.conf with the values before, which --undo sets back.

Examples:
  cargo xtask setup --dry-run
  cargo xtask setup --limits
  cargo xtask setup --undo"
)]
pub struct Setup {
    /// Say what would be done, and do nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Raise limits of the kernel that containers share, and do nothing else.
    #[arg(long)]
    pub limits: bool,
    /// Set limits back to their values before, and do nothing else.
    #[arg(long, conflicts_with = "limits")]
    pub undo: bool,
}

/// Run the tests: the quick tiers (core, cli, tools, smoke) unless more is asked for.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit code: 0 all passed, 10 setup is incomplete, 30 some failed or a required tier was skipped.

Examples:
  cargo xtask test --all            what every change has to pass
  cargo xtask test --tier core      needs nothing but Rust and Python
  cargo xtask test plan             tests whose names contain `plan`"
)]
pub struct Test {
    /// Only these tiers; may be given several times.
    #[arg(long, value_enum, value_name = "TIER", value_delimiter = ',')]
    pub tier: Vec<Tier>,
    /// All tiers that every change has to pass.
    #[arg(long, conflicts_with = "tier")]
    pub all: bool,
    /// Tiers in which a skipped test is a failure.
    #[arg(long, value_enum, value_name = "TIER", value_delimiter = ',')]
    pub require: Vec<Tier>,
    /// With an empty cache, which is removed at the end.
    #[arg(long)]
    pub cold: bool,
    /// Only tests whose names contain one of these.
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
}

/// Check formatting, lints, licences, house rules and the size of xtask.
#[derive(Debug, Args)]
#[command(after_help = "Exit code: 0 all well, 30 something is not.\n\nExample: cargo xtask lint")]
pub struct Lint {}

/// Do exactly what CI does: lint, then every test with none skipped.
#[derive(Debug, Args)]
#[command(after_help = "Example: cargo xtask ci --yes")]
pub struct Ci {
    /// With an empty cache, which is removed at the end.
    #[arg(long)]
    pub cold: bool,
}

/// Measure how fast things are, from outside, as a user would.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cargo xtask bench\n  cargo xtask bench --runs 3 --json build/bench.json four-machines"
)]
pub struct Bench {
    /// Only these measurements.
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// How often each is made; the median counts.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub runs: u32,
    /// Write results and a description of this computer there.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// Kill long commands at random moments, call them again, and compare the computer before and after.
#[derive(Debug, Args)]
#[command(after_help = "Exit code: 0 every command went on and left nothing, 30 one did not.

Examples:
  cargo xtask soak
  cargo xtask soak --minutes 60 image deploy validate e2e
  cargo xtask soak --seed 42 snapshot      the moments of an earlier run")]
pub struct Soak {
    /// How long; every command is killed at least once.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub minutes: u32,
    /// The seed of the random moments; without it, one that is drawn and printed.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Only these commands; without names all but `validate`, `deploy` and `e2e`, which deploy whole clusters.
    /// An unknown name prints those that there are.
    #[arg(value_name = "COMMAND")]
    pub commands: Vec<String>,
}

/// Prints what clap found wrong (or the help that was asked for), and gives the exit code.
pub fn report(error: &clap::Error) -> ExitCode {
    // Printing fails only when the stream is closed, and then there is no reader.
    let _ = error.print();
    if let (ErrorKind::InvalidSubcommand, Some(ContextValue::String(word))) =
        (error.kind(), error.get(ContextKind::InvalidSubcommand))
        && LAB_COMMANDS.contains(&word.as_str())
    {
        eprintln!("\nhint: `{word}` is a command of the lab: cargo xtask lab {word}");
    }
    ExitCode::from(if error.use_stderr() { failure::USAGE } else { 0 })
}

/// Commands of `lab` that people may try without the word `lab`.
const LAB_COMMANDS: [&str; 13] = [
    "console", "destroy", "down", "exec", "gc", "logs", "plan", "proxy", "ssh", "status", "topology", "up",
    "start",
];

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn words_for_the_lab_are_left_alone() {
        for line in ["lab --help", "lab up dev --yes --no-such-flag", "lab exec cpu-worker -- ls --yes"] {
            let cli = Cli::try_parse_from(["xtask"].into_iter().chain(line.split(' '))).unwrap();
            let Some(Command::Lab(Words { words })) = cli.command else { panic!("{line}: not lab") };
            assert_eq!(words, line.split(' ').skip(1).collect::<Vec<_>>(), "{line}");
        }
    }

    #[test]
    fn yes_is_accepted_before_the_command() {
        let cli = Cli::try_parse_from(["xtask", "--yes", "lab", "up"]).unwrap();
        assert!(cli.yes);
    }
}
