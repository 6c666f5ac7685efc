//! Every command line type of `cargo xtask`, with its help. Decides nothing.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, Parser, Subcommand};

use crate::failure;

/// Builds, tests and runs labs of virtual machines.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
pub struct Cli {
    /// Install what is missing without asking.
    #[arg(long, short, global = true)]
    pub yes: bool,
    /// What to do; nothing prints the table of contents.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// One variant per command, in the order of the table of contents.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Install what this computer lacks.
    Setup(Setup),
    /// Make, use and destroy labs (the `lab` program).
    Lab(Words),
    /// Start, stop, restart or show one machine (`lab vm`).
    Vm(Words),
    /// Check a cluster file (`lab check`).
    Check(Words),
    /// Write or check a Kubespray inventory (`lab inventory`).
    Inventory(Words),
    /// Build, list or remove base images (`lab image`).
    Image(Words),
}

/// Words that are the business of another program, its `--help` included.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub struct Words {
    /// Handed over as they are.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "WORDS")]
    pub words: Vec<OsString>,
}

/// Install what this computer lacks.
#[derive(Debug, Args)]
#[command(after_help = "Example: cargo xtask setup --dry-run")]
pub struct Setup {
    /// Say what would be done, and do nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// Prints what clap found wrong (or the help that was asked for), and gives the exit code.
pub fn report(error: &clap::Error) -> ExitCode {
    // Printing fails only when the stream is closed, and then nobody can be told.
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
    fn the_command_line_is_consistent() {
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
