//! The arguments of `inventory`, and one function for each of its commands.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Subcommand;
use lab_core::kubespray::{ARTIFACTS_FILE, Files};
use lab_core::plan::{Plan, render};
use serde::Serialize;

use crate::ansible::prove;
use crate::artifacts::serve;
use crate::cx::Cx;
use crate::failure::{Failure, FailureKind};
use crate::inventory::difference::{self, FileDifference};
use crate::inventory::{self, Written};
use crate::lab::Lab;
use crate::machines::make::planned;
use crate::{check, output};

use super::Cluster;
use super::exit_code;

/// What can be done with inventories.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write Kubespray's inventory of a cluster: hosts, group variables, host variables
    #[command(after_help = "Files of your own in the same folders are left alone.\n\n\
                      Examples:\n  cargo xtask inventory render cloud-cluster\n  \
                      cargo xtask inventory render dev --output /tmp/dev")]
    Render {
        #[command(flatten)]
        cluster: Cluster,
        /// Where to write; default: the folder of the cluster file under inventories/
        #[arg(long, short, value_name = "DIR")]
        output: Option<PathBuf>,
        /// Print the names of the written files as JSON
        #[arg(long)]
        json: bool,
    },
    /// Prove the inventory of a cluster: what Ansible reads, what Kubespray asserts, what it will download. No
    /// machine is needed or asked
    #[command(
        after_help = "Exit codes: 0 it holds, 30 it does not. Without a checkout of Kubespray only Ansible's part is proven.\n\n\
                      Examples:\n  cargo xtask inventory check cloud-cluster\n  \
                      cargo xtask inventory check dev --require-checkout"
    )]
    Check {
        #[command(flatten)]
        cluster: Cluster,
        /// Fail if Kubespray is not fetched, instead of skipping steps
        #[arg(long)]
        require_checkout: bool,
        /// Print the steps and their verdicts as JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what `render` would change, and what of a living lab differs from its cluster file
    #[command(
        after_help = "Exit codes: 0 nothing differs, 1 something does, as of `diff`; any other: it is not known.\n\n\
                      Examples:\n  cargo xtask inventory diff cloud-cluster\n  \
                      cargo xtask inventory diff dev --output /tmp/dev"
    )]
    Diff {
        #[command(flatten)]
        cluster: Cluster,
        /// Where it was written; default: the folder of the cluster file under inventories/
        #[arg(long, short, value_name = "DIR")]
        output: Option<PathBuf>,
        /// Print the differences as JSON
        #[arg(long)]
        json: bool,
    },
}

/// Runs a command. Returns the exit code where the command has one of its own.
///
/// # Errors
/// Those of the command.
pub async fn run(cx: &Cx, command: Command) -> anyhow::Result<u8> {
    match command {
        Command::Render { cluster, output, json } => {
            let lab = Lab::open(cx, &cluster.cluster)?;
            let refused = check::refused(cx, &lab).await?;
            if !refused.findings.is_empty() {
                cx.progress.note(refused.render(output::is_coloured(&std::io::stderr())).trim_end());
                let count = refused.findings.len();
                let mistakes = if count == 1 { "mistake" } else { "mistakes" };
                let message = format!("`{}` has {count} {mistakes}", refused.files[0].path);
                return Err(Failure::new(FailureKind::Usage, message)
                    .hint("nothing was written; a finding that is meant can be allowed, see docs/lint.md")
                    .into());
            }
            write(cx, &lab, output.as_deref(), json)?;
            Ok(0)
        }
        Command::Diff { cluster, output, json } => {
            diff(cx, &Lab::open(cx, &cluster.cluster)?, output.as_deref(), json).await
        }
        Command::Check { cluster, require_checkout, json } => {
            prove::run(cx, &Lab::open(cx, &cluster.cluster)?, require_checkout, json).await?;
            Ok(0)
        }
    }
}

fn rendered(cx: &Cx, lab: &Lab, folder: &Path) -> anyhow::Result<Files> {
    let mut files = inventory::rendered(cx.layout.root(), &lab.spec, &lab.files, folder)?;
    // Only a living lab's own inventory says what that lab serves.
    if folder == lab.files.inventory_folder() && lab.files.state().exists() {
        let serving = serve::look(cx, lab)?;
        files.extend(serving.map(|serving| (ARTIFACTS_FILE.to_owned(), serving.inventory)));
    }
    Ok(files)
}

/// The folder that an inventory is to lie in.
fn folder(cx: &Cx, lab: &Lab, command: &str, output: Option<&Path>) -> anyhow::Result<PathBuf> {
    match output {
        Some(output) => Ok(std::path::absolute(output)?),
        None => inventory::beside(cx, lab).with_context(|| {
            let words = lab.cluster_words(cx);
            Failure::new(FailureKind::Usage, format!("`{words}` is not under inventories/"))
                .hint(format!("name the folder: cargo xtask inventory {command} {words} --output DIR"))
        }),
    }
}

fn write(cx: &Cx, lab: &Lab, output: Option<&Path>, json: bool) -> anyhow::Result<()> {
    let folder = folder(cx, lab, "render", output)?;
    if output.is_some() {
        inventory::check_owner(&folder, &lab.spec.name)?;
    }
    let Written { written, removed, unchanged } = &inventory::write(&folder, &rendered(cx, lab, &folder)?)?;
    if json {
        let folder = cx.layout.shown(&folder);
        return output::json(&serde_json::json!({
            "folder": folder, "written": written, "removed": removed, "unchanged": unchanged,
        }));
    }
    // Of thousands of machines a person reads only the first lines.
    const MOST: usize = 30;
    let lines = written.iter().map(|path| format!("wrote {path}"));
    let lines: Vec<String> = lines.chain(removed.iter().map(|path| format!("removed {path}"))).collect();
    for line in lines.iter().take(MOST) {
        cx.progress.note(line);
    }
    if lines.len() > MOST {
        cx.progress.note(&format!("and {} more", lines.len() - MOST));
    }
    cx.progress.note(&format!(
        "`{}`: {} written, {} removed, {unchanged} as they were",
        cx.layout.shown(&folder),
        written.len(),
        removed.len()
    ));
    Ok(())
}

/// What `diff` finds.
#[derive(Debug, Serialize)]
struct Found {
    /// Files of the folder of the cluster file and of the living lab.
    files: Vec<FileDifference>,
    /// What `lab up` would do to a lab that was made; none where there is no lab.
    plan: Option<Plan>,
}

async fn diff(cx: &Cx, lab: &Lab, output: Option<&Path>, json: bool) -> anyhow::Result<u8> {
    let found = find(cx, lab, output).await.map_err(|error| {
        // The exit code of an unexpected error is 1, which `diff` uses for a difference.
        if error.is::<Failure>() {
            error
        } else {
            error.context(Failure::new(FailureKind::Host, "cannot compare"))
        }
    })?;
    let differs = !found.files.is_empty() || found.plan.as_ref().is_some_and(|plan| !plan.is_noop());
    if json {
        output::json(&found)?;
    } else {
        let color = output::is_coloured(&std::io::stdout());
        output::print(difference::text(&found.files, color))?;
        if let Some(plan) = found.plan.filter(|plan| !plan.is_noop()) {
            output::line(format_args!("`cargo xtask lab up {}` would do:", lab.cluster_words(cx)))?;
            output::print(render(&plan, color))?;
        }
    }
    Ok(if differs { exit_code::DIFFERENT } else { 0 })
}

async fn find(cx: &Cx, lab: &Lab, output: Option<&Path>) -> anyhow::Result<Found> {
    let lives = lab.state()?.is_some();
    let compare =
        |folder: &Path| difference::between(folder, &cx.layout.shown(folder), &rendered(cx, lab, folder)?);
    let mut files = match folder(cx, lab, "diff", output) {
        Ok(folder) => compare(&folder)?,
        // Of a lab whose cluster file lies elsewhere there is its own inventory to compare.
        Err(_) if lives => Vec::new(),
        Err(error) => return Err(error),
    };
    if !lives {
        return Ok(Found { files, plan: None });
    }
    files.append(&mut compare(&lab.files.inventory_folder())?);
    Ok(Found { files, plan: Some(planned(cx, lab).await?) })
}
