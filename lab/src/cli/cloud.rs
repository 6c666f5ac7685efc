//! The arguments of `cloud`, and one function for each of its commands. Decides nothing.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::ansible::run::Prints;
use crate::cluster::kubeconfig;
use crate::cx::Cx;
use crate::lab::Lab;
use crate::machines::{destroy, down};
use crate::output;
use crate::phases::{CLOUD, Options, cloud, status};

use super::Limits;
use super::exit_code;
use super::phases::Phases;

/// What can be done with a whole cluster.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// From the cluster file to a cluster that can be used, in nine steps; a cluster that was stopped comes back
    #[command(
        after_help = "Exit codes: 10 the computer lacks something, 11 the file is refused or artefacts are missing, 20 machines, 21 Kubespray, 30 checks.\n\n\
                      Phases: prepare, up, ssh, inventory, deploy, gpu-operator, validate, kubeconfig, status.\n\n\
                      Examples:\n  cargo xtask cloud start\n  cargo xtask cloud start quick --merge\n  cargo xtask cloud start quick --until up"
    )]
    Start {
        #[command(flatten)]
        of: Of,
        /// Add the context `lab-<cluster>` to this file, or to ~/.kube/config; nothing in it is replaced
        #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
        #[expect(clippy::option_option, reason = "clap's form of an option whose value may be left out")]
        merge: Option<Option<PathBuf>>,
        /// Print everything as JSON, one object a line; the last one is the status
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        limits: Limits,
        #[command(flatten)]
        range: Phases,
    },
    /// Stop every machine; `start` starts the same cluster again
    #[command(after_help = "Example: cargo xtask cloud stop quick")]
    Stop {
        #[command(flatten)]
        of: Of,
        /// Print events as JSON, one a line
        #[arg(long)]
        json: bool,
    },
    /// Show machines, whether the cluster answers and is ready, its versions and its kubeconfig
    #[command(
        after_help = "Exit codes: 0 nothing is wrong, 20 not all machines run, 30 the cluster is not as it must be, does not answer, or \
                      is slow to answer on a busy computer (`health` of --json says which).\n\n\
                      Example: cargo xtask cloud status quick --json"
    )]
    Status {
        #[command(flatten)]
        of: Of,
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove the cluster and its machines. Only the records of runs stay
    #[command(after_help = "Example: cargo xtask cloud destroy quick")]
    Destroy {
        #[command(flatten)]
        of: Of,
        /// Print events as JSON, one a line
        #[arg(long)]
        json: bool,
    },
}

/// Which cluster.
#[derive(Debug, Args)]
pub struct Of {
    /// A name under inventories/, or the path of a cluster file
    #[arg(default_value = "cloud-cluster")]
    cluster: String,
}

impl Command {
    /// Whether standard output is for events.
    pub fn prints_events(&self) -> bool {
        match self {
            Self::Start { json, .. } | Self::Stop { json, .. } | Self::Destroy { json, .. } => *json,
            Self::Status { .. } => false,
        }
    }
}

/// Runs a command. Returns the exit code.
///
/// # Errors
/// Those of the command.
pub async fn run(cx: &Cx, command: Command) -> anyhow::Result<u8> {
    match command {
        Command::Start { of, merge, json, limits, range } => {
            let merge = merge.map(|file| file.map_or_else(kubeconfig::of_user, Ok)).transpose()?;
            let options = Options { merge, ..Options::new(Prints::json(json), limits.too_low()) };
            let failure = cloud::start(cx, &of.cluster, options, &range.of(CLOUD)?, json).await?;
            return Ok(failure.map_or(0, exit_code::of));
        }
        Command::Stop { of, .. } => down::down(cx, &Lab::open(cx, &of.cluster)?).await?,
        Command::Status { of, json } => {
            let lab = Lab::open(cx, &of.cluster)?;
            let status = status::look(cx, &lab).await?;
            if json {
                output::json(&status)?;
            } else {
                output::print(status::table(&status, cx.layout.root(), &lab.cluster_words(cx)))?;
            }
            return Ok(status.failure().map_or(0, exit_code::of));
        }
        Command::Destroy { of, .. } => {
            let (name, files) = destroy::find(cx, &of.cluster)?;
            destroy::destroy(cx, &name, &files).await?;
        }
    }
    Ok(0)
}
