//! The arguments of `gpu-operator`, and which room each goes to. Decides nothing.

use clap::Subcommand;

use crate::ansible::run::Prints;
use crate::cx::Cx;
use crate::failure::FailureKind;
use crate::gpu_operator::{self, status};
use crate::lab::{Lab, running};
use crate::machines::limits::TooLow;
use crate::phases::{GPU_OPERATOR, Options, Run, carry_out_all};
use crate::{consent, output, validate};

use super::{Cluster, exit_code};

/// What can be done with the GPU Operator of a cluster.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Install it, or make the installed one what the cluster file asks for; wait until every GPU can be used
    #[command(
        visible_alias = "upgrade",
        after_help = "An installation that was cut off goes on. A release that another hand made is refused.\n\n\
                      Exit codes: 11 artefacts are missing or another installation is in the way, 21 helm failed, 30 not all GPUs can be used.\n\n\
                      Examples:\n  cargo xtask gpu-operator install gpu\n  cargo xtask gpu-operator upgrade gpu"
    )]
    Install {
        #[command(flatten)]
        cluster: Cluster,
    },
    /// Show the release, its parts and the GPUs of each node
    #[command(after_help = "Example: cargo xtask gpu-operator status gpu --json")]
    Status {
        #[command(flatten)]
        cluster: Cluster,
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
    /// Run the checks of the suite `gpu`
    #[command(after_help = "Example: cargo xtask gpu-operator validate gpu")]
    Validate {
        #[command(flatten)]
        cluster: Cluster,
        /// Print the outcomes as JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the values of the chart, each with its source; changes nothing
    #[command(after_help = "Example: cargo xtask gpu-operator values gpu")]
    Values {
        #[command(flatten)]
        cluster: Cluster,
    },
    /// Remove it, and leave nodes as they were before it
    #[command(after_help = "Example: cargo xtask gpu-operator remove gpu --yes")]
    Remove {
        #[command(flatten)]
        cluster: Cluster,
    },
}

/// Runs a command. Returns the exit code.
///
/// # Errors
/// Those of the command.
pub async fn run(cx: &Cx, command: Command) -> anyhow::Result<u8> {
    match command {
        Command::Install { cluster } => {
            let lab = Lab::open(cx, &cluster.cluster)?;
            gpu_operator::asked_for(cx, &lab)?;
            let options = Options::new(Prints::Nothing, TooLow::Warn);
            carry_out_all(&Run::of_lab(cx, &lab, options), GPU_OPERATOR).await?;
        }
        Command::Status { cluster, json } => {
            let lab = Lab::open(cx, &cluster.cluster)?;
            gpu_operator::asked_for(cx, &lab)?;
            let status = status::look(cx, &lab, &running(cx, &lab).await?).await?;
            if json {
                output::json(&status)?;
            } else {
                output::print(status::table(&status))?;
            }
            return Ok(exit_code::unless(status.is_good(), FailureKind::Checks));
        }
        Command::Validate { cluster, json } => {
            let lab = Lab::open(cx, &cluster.cluster)?;
            gpu_operator::asked_for(cx, &lab)?;
            let ids = validate::of_gpus();
            validate::run(cx, &lab, &running(cx, &lab).await?, &ids, None, json).await?;
        }
        Command::Values { cluster } => {
            let lab = Lab::open(cx, &cluster.cluster)?;
            output::print(gpu_operator::values_text(cx, &lab)?)?;
        }
        Command::Remove { cluster } => {
            let lab = Lab::open(cx, &cluster.cluster)?;
            gpu_operator::asked_for(cx, &lab)?;
            let _held = lab.hold_made(cx)?;
            let reached = running(cx, &lab).await?;
            consent::ask(cx, "the GPU Operator, and every pod that uses a GPU,")?;
            gpu_operator::remove(cx, &lab, &reached).await?;
        }
    }
    Ok(0)
}
