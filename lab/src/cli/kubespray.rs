//! The arguments of `kubespray`, and which room each goes to. Decides nothing.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::ansible::play;
use crate::cx::Cx;
use crate::kubespray::index::{self, Question};
use crate::kubespray::source::Request;
use crate::kubespray::{self, clean, difference, status};
use crate::lab::Lab;
use crate::output;

/// Kubespray: fetch a pinned release, show the fetched ones and their variables.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Fetch a pinned Kubespray, verify its commit, and make the Python environment that it asks for
    #[command(
        after_help = "Examples:\n  cargo xtask kubespray fetch\n  cargo xtask kubespray fetch --version v2.31.0 --source /srv/mirrors/kubespray.git"
    )]
    Fetch(Fetch),
    /// Show the fetched commits, their environments, and the labs that use them
    #[command(after_help = "Example: cargo xtask kubespray status --json")]
    Status {
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what a Kubespray knows: its versions, playbooks, groups, variables, or one of these
    #[command(after_help = "Examples:\n  cargo xtask kubespray index v2.31.0\n  \
        cargo xtask kubespray index v2.30.0 calico_mtu\n  \
        cargo xtask kubespray index path/to/kubespray --write index.json")]
    Index {
        /// A known tag or the folder of a checkout; the default release without it
        #[arg(value_name = "TAG-OR-FOLDER")]
        what: Option<PathBuf>,
        /// Show this variable whole: defaults, where it is used, whether it can be set, which releases have it
        #[arg(value_name = "VARIABLE", conflicts_with_all = ["variable", "write"])]
        name: Option<String>,
        /// The same, where the release is left out
        #[arg(long, value_name = "NAME", conflicts_with = "write")]
        variable: Option<String>,
        /// Write the whole index to a file, one variable a line
        #[arg(long, value_name = "FILE")]
        write: Option<PathBuf>,
        /// Print the whole index, or the variable, as JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what a change of Kubespray adds, removes and changes, and what of it a cluster uses
    #[command(after_help = "Example: cargo xtask kubespray diff v2.30.0 v2.31.0 --cluster cloud-cluster")]
    Diff {
        /// A known tag or the folder of a checkout
        #[arg(value_name = "FROM")]
        from: PathBuf,
        /// A known tag or the folder of a checkout
        #[arg(value_name = "TO")]
        to: PathBuf,
        /// Say what of it this cluster file uses: a name under inventories/, or a path
        #[arg(long, value_name = "NAME")]
        cluster: Option<String>,
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
    /// Run a playbook on a living lab, with its pinned Kubespray, as root on its machines
    #[command(
        after_help = "Examples:\n  cargo xtask kubespray play dev playbooks/facts.yml\n  cargo xtask kubespray play dev reset.yml -- -e '{\"skip_confirmation\": true}'"
    )]
    Play {
        /// A name under inventories/, or the path of a cluster file
        cluster: String,
        /// A file, or the name of one under ansible/playbooks/ or in Kubespray
        playbook: String,
        /// Print Ansible's events as JSON, one a line
        #[arg(long)]
        json: bool,
        /// More words for ansible-playbook; give variables as JSON, else every value is a text
        #[arg(last = true)]
        arguments: Vec<OsString>,
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
    /// Print the fetched commits as JSON
    #[arg(long)]
    json: bool,
}

/// Runs a command. Returns the exit code where the command has one of its own.
///
/// # Errors
/// Those of the command.
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
        Command::Index { what, name, variable, write, json } => {
            index::answer(cx, &Question { what, variable: name.or(variable), write, json }).await?;
        }
        Command::Diff { from, to, cluster, json } => {
            difference::show(cx, &from, &to, cluster.as_deref(), json).await?;
        }
        Command::Play { cluster, playbook, json, arguments } => {
            play::run(cx, &Lab::open(cx, &cluster)?, &playbook, &arguments, json).await?;
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
