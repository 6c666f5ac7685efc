//! The arguments of `kubespray`, and one function for each of its commands.

use std::path::PathBuf;

use clap::Subcommand;

use crate::cx::Cx;
use crate::kubespray::index;
use crate::output;

/// What can be done with Kubespray.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Read what a Kubespray checkout knows: its variables, versions, playbooks, groups
    #[command(after_help = "Examples:\n  cargo xtask kubespray index path/to/kubespray\n  \
        cargo xtask kubespray index path/to/kubespray --write index.json")]
    Index {
        /// The folder of a checkout
        checkout: PathBuf,
        /// Write the index to a file instead of printing it
        #[arg(long, value_name = "FILE")]
        write: Option<PathBuf>,
    },
}

/// Runs a command. Returns the exit code where the command has one of its own.
///
/// # Errors
/// Whatever the command's room could not do.
pub async fn run(cx: &Cx, command: Command) -> anyhow::Result<u8> {
    match command {
        Command::Index { checkout, write } => {
            let text = index::read(cx, &checkout, write.as_deref()).await?;
            output::print(text)?;
        }
    }
    Ok(0)
}
