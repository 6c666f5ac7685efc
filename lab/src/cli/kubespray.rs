//! The arguments of `kubespray`, and which room each goes to. Decides nothing.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::cx::Cx;
use crate::kubespray::source::Request;
use crate::kubespray::{self, clean, index, status};
use crate::output;

/// Kubespray: fetch a pinned one, see what is there and what it knows.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Fetch a pinned Kubespray, verify its commit, and make the Python environment that it asks for
    #[command(
        after_help = "Examples:\n  cargo xtask kubespray fetch\n  cargo xtask kubespray fetch --version v2.31.0 --source /srv/mirrors/kubespray.git"
    )]
    Fetch(Fetch),
    /// Show what is fetched: commits, environments, and the labs that use them
    #[command(after_help = "Example: cargo xtask kubespray status --json")]
    Status {
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
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
    /// Remove the checkouts and environments that no lab uses
    #[command(after_help = "Example: cargo xtask kubespray clean")]
    Clean,
}

/// What to fetch.
#[derive(Debug, Args)]
pub struct Fetch {
    /// A release's tag, or all forty digits of a commit; without it that of the cluster, or the default release
    #[arg(long, value_name = "TAG")]
    version: Option<String>,
    /// Fetch what this cluster file asks for, from where it says
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// Where to fetch from: any git URL or directory that has the commit
    #[arg(long, value_name = "URL-OR-DIRECTORY")]
    source: Option<String>,
    /// Print what is there now as JSON
    #[arg(long)]
    json: bool,
}

/// Runs a command. Returns the exit code where the command has one of its own.
///
/// # Errors
/// Whatever the command's room could not do.
pub async fn run(cx: &Cx, command: Command) -> anyhow::Result<u8> {
    match command {
        Command::Fetch(Fetch { version, cluster, source, json }) => {
            let request = Request::new(cx, version.as_deref(), cluster.as_deref(), source.as_deref())?;
            kubespray::run_fetch(cx, &request, json).await?;
        }
        Command::Status { json } => {
            let found = status::look(cx).await?;
            if json {
                output::json(&found)?;
            } else {
                output::print(status::table(&found))?;
            }
        }
        Command::Index { checkout, write } => {
            let text = index::read(cx, &checkout, write.as_deref()).await?;
            output::print(text)?;
        }
        Command::Clean => {
            let cleaned = clean::clean(cx).await?;
            for removed in &cleaned.removed {
                output::line(format_args!("removed {removed}"))?;
            }
            for kept in &cleaned.kept {
                output::line(format_args!("kept {kept}"))?;
            }
        }
    }
    Ok(0)
}
