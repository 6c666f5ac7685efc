//! `cargo xtask`: the table of contents of everything this project can do.
//!
//! Parses the arguments, hands over to one file per command, and turns the result into an exit code.
//! Nothing here may need a network, a library or a tool beyond Rust: the first thing a new computer
//! runs is this program.

mod bench;
mod cargo;
mod ci;
mod contents;
mod cx;
mod doctor;
mod failure;
mod flags;
mod folders;
mod handover;
mod host;
mod json;
mod junit;
mod layers;
mod limits;
mod lint;
mod setup;
mod soak;
mod test;
mod tidy;
mod tiers;

use std::process::ExitCode;

use clap::Parser as _;

use crate::cx::Cx;
use crate::flags::{Cli, Command};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return flags::report(&error),
    };
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure::report(&error),
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let Some(command) = cli.command else {
        print!("{}", contents::TABLE);
        return Ok(());
    };
    let cx = Cx::new(cli.yes)?;
    match command {
        Command::Setup(flags) => flags.run(&cx),
        Command::Doctor(flags) => flags.run(&cx),
        Command::Lab(words) => handover::run(&cx, None, words.words),
        Command::Vm(words) => handover::run(&cx, Some("vm"), words.words),
        Command::Check(words) => handover::run(&cx, Some("check"), words.words),
        Command::Image(words) => handover::run(&cx, Some("image"), words.words),
        Command::Cache(words) => handover::run(&cx, Some("cache"), words.words),
        Command::Kubespray(words) => handover::run(&cx, Some("kubespray"), words.words),
        Command::Inventory(words) => handover::run(&cx, Some("inventory"), words.words),
        Command::Artifacts(words) => handover::run(&cx, Some("artifacts"), words.words),
        Command::Cloud(words) => handover::run(&cx, Some("cloud"), words.words),
        Command::Deploy(words) => handover::run(&cx, Some("deploy"), words.words),
        Command::GpuOperator(words) => handover::run(&cx, Some("gpu-operator"), words.words),
        Command::Validate(words) => handover::run(&cx, Some("validate"), words.words),
        Command::EndToEnd(words) => handover::run(&cx, Some("e2e"), words.words),
        Command::Test(flags) => flags.run(&cx),
        Command::Lint(flags) => flags.run(&cx),
        Command::Ci(flags) => flags.run(&cx),
        Command::Bench(flags) => flags.run(&cx),
        Command::Soak(flags) => flags.run(&cx),
    }
}
