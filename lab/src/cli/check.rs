//! The arguments of `check`, and which room they go to. Decides nothing.

use std::path::PathBuf;

use clap::Args;
use lab_core::lint::Options;

use super::exit_code;
use crate::check::{self, ReportOptions};
use crate::cx::Cx;
use crate::failure::{Failure, FailureKind};

/// What to check, and how to report it.
#[derive(Debug, Args)]
pub struct Check {
    /// A name under inventories/, or the path of a cluster file
    #[arg(default_value = "dev")]
    cluster: String,
    /// Check an existing inventory: its folder, or its file of hosts
    #[arg(long, value_name = "DIR", conflicts_with = "cluster")]
    inventory: Option<PathBuf>,
    /// Check against this Kubespray: a known tag, or the folder of a checkout of v2.28.0 or newer
    #[arg(long, value_name = "TAG-OR-FOLDER")]
    kubespray: Option<PathBuf>,
    /// Print all findings as JSON
    #[arg(long)]
    json: bool,
    /// Write all findings as SARIF 2.1.0; - is standard output
    #[arg(long, value_name = "FILE")]
    sarif: Option<PathBuf>,
    /// Let warnings count as errors
    #[arg(long)]
    strict: bool,
    /// Variables whose names begin like this are your own; may be repeated
    #[arg(long, value_name = "PREFIX")]
    own_prefix: Vec<String>,
    /// Print what a code means, why it matters and what says so
    #[arg(long, value_name = "CODE", conflicts_with_all = ["cluster", "inventory", "kubespray", "json", "sarif"])]
    explain: Option<String>,
}

/// Runs the command. Returns the exit code.
///
/// # Errors
/// Those of the command.
pub async fn run(cx: &Cx, arguments: Check) -> anyhow::Result<u8> {
    let Check { cluster, inventory, kubespray, json, sarif, strict, own_prefix, explain } = arguments;
    if let Some(code) = explain {
        check::explain(&code)?;
        return Ok(0);
    }
    if json && sarif.as_deref() == Some("-".as_ref()) {
        let message = "only one of JSON and SARIF can be on standard output";
        return Err(Failure::new(FailureKind::Usage, message)
            .hint("write the other to a file: --sarif FILE")
            .into());
    }
    let reporting = ReportOptions { json, sarif, strict };
    let options = Options { own_prefixes: own_prefix };
    let right = match inventory {
        Some(inventory) => {
            check::inventory(cx, &inventory, kubespray.as_deref(), &options, &reporting).await?
        }
        None => check::cluster(cx, &cluster, kubespray.as_deref(), &options, &reporting).await?,
    };
    Ok(exit_code::unless(right, FailureKind::Usage))
}
