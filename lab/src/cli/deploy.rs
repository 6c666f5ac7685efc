//! The arguments of `deploy`, and which room each goes to. Decides nothing.

use clap::{Args, Subcommand};
use lab_core::deploy::change::Removal;

use crate::ansible::run::Prints;
use crate::change::{ChangeOptions, Operation, change};
use crate::cx::Cx;
use crate::lab::Lab;
use crate::machines::limits::TooLow;
use crate::phases::{DEPLOY, Options, Run, carry_out_all};

use super::{Cluster, Limits};

/// A cluster, and its change.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:
  cargo xtask deploy quick
  cargo xtask deploy scale quick --dry-run
  \
        cargo xtask deploy remove-node quick worker-2"
)]
pub struct Deploy {
    #[command(flatten)]
    cluster: Cluster,
    /// Print Ansible's events as JSON, one a line
    #[arg(long)]
    json: bool,
    /// Run Kubespray even if the snapshot of an equal deploy could be restored, or the cluster is slow to answer
    #[arg(long)]
    fresh: bool,
    /// Do not keep a snapshot of a new cluster for the next deploy from the same
    #[arg(long)]
    no_snapshot: bool,
    #[command(flatten)]
    limits: Limits,
    #[command(subcommand)]
    change: Option<Change>,
}

/// What a change is of, and how it is done.
#[derive(Debug, Args)]
struct Of {
    /// A name under inventories/, or the path of a cluster file
    #[arg(default_value = "dev")]
    cluster: String,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, Clone, Copy, Args)]
struct How {
    /// Print what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the plan of --dry-run as JSON; else Ansible's events, one a line
    #[arg(long)]
    json: bool,
}

/// Changes of an existing cluster. Each first prints its effect on each machine, and the losses.
#[derive(Debug, Subcommand)]
enum Change {
    /// Make new machines of the cluster file nodes; the others are left alone
    #[command(
        after_help = "Add the machine to the cluster file and call `cargo xtask lab up` first.\n\nExample: cargo xtask deploy scale quick"
    )]
    Scale {
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        limits: Limits,
    },
    /// Take machines out of the cluster; they stay in the lab
    #[command(
        after_help = "Examples:\n  cargo xtask deploy remove-node quick worker-2\n  cargo xtask deploy remove-node quick worker-2 --gone --yes"
    )]
    RemoveNode {
        /// A name under inventories/, or the path of a cluster file
        cluster: String,
        /// The machines
        #[arg(required = true, value_name = "MACHINE")]
        machines: Vec<String>,
        /// They do not answer any more: remove them from the cluster only
        #[arg(long)]
        gone: bool,
        #[command(flatten)]
        how: How,
    },
    /// Go to the Kubespray and the Kubernetes of the cluster file, from those that were deployed
    #[command(
        after_help = "Change the versions in the cluster file, get the artefacts and call `cargo xtask lab up` first.\n\nExample: cargo xtask deploy upgrade quick --dry-run"
    )]
    Upgrade(Of),
    /// Take the cluster away, with everything in it; the machines stay
    #[command(after_help = "Example: cargo xtask deploy reset quick --yes")]
    Reset(Of),
    /// Recover the control plane from its remaining machines
    #[command(
        after_help = "Call `cargo xtask lab up` first: it makes a machine in the place of one that was lost.\n\nExample: cargo xtask deploy recover-control-plane cloud-cluster"
    )]
    RecoverControlPlane(Of),
}

/// Runs `deploy`.
///
/// # Errors
/// Those of the deploy or the change.
pub async fn run(cx: &Cx, arguments: Deploy) -> anyhow::Result<()> {
    let mut too_low = TooLow::Refuse;
    let (cluster, operation, how) = match arguments.change {
        None => {
            let Deploy { cluster, json, fresh, no_snapshot, limits, .. } = arguments;
            let mut options = Options::new(Prints::json(json), limits.too_low());
            (options.deploy.fresh, options.deploy.keep) = (fresh, !no_snapshot);
            return carry_out_all(&Run::of(cx, &cluster.cluster, options), DEPLOY).await;
        }
        Some(Change::Scale { of, limits }) => {
            too_low = limits.too_low();
            (of.cluster, Operation::Scale, of.how)
        }
        Some(Change::RemoveNode { cluster, machines, gone, how }) => {
            (cluster, Operation::RemoveNode(Removal { machines, gone }), how)
        }
        Some(Change::Upgrade(of)) => (of.cluster, Operation::Upgrade, of.how),
        Some(Change::Reset(of)) => (of.cluster, Operation::Reset, of.how),
        Some(Change::RecoverControlPlane(of)) => (of.cluster, Operation::Recover, of.how),
    };
    let options = ChangeOptions { dry_run: how.dry_run, json: how.json, too_low };
    change(cx, &Lab::open(cx, &cluster)?, &operation, options).await
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use crate::cli::{Arguments, Command};

    use super::*;

    fn parsed(line: &str) -> Result<Deploy, clap::Error> {
        match Arguments::try_parse_from(["lab"].into_iter().chain(line.split(' ')))?.command {
            Command::Deploy(deploy) => Ok(deploy),
            other => panic!("`{line}` is {other:?}"),
        }
    }

    #[test]
    fn deploy_parses_cluster_and_optional_subcommand() {
        for (line, cluster, change) in [
            ("deploy", "dev", None),
            ("deploy quick --json", "quick", None),
            ("--yes deploy scale quick", "dev", Some("Scale {")),
            ("deploy remove-node quick a b --gone", "dev", Some("RemoveNode {")),
            ("deploy upgrade quick --dry-run", "dev", Some("Upgrade(")),
            ("deploy reset quick --yes", "dev", Some("Reset(")),
            ("deploy recover-control-plane quick", "dev", Some("RecoverControlPlane(")),
        ] {
            let deploy = parsed(line).unwrap();
            assert_eq!(deploy.cluster.cluster, cluster, "{line}");
            let subcommand = deploy.change.map(|change| format!("{change:?}"));
            assert_eq!(subcommand.is_some(), change.is_some(), "{line}");
            assert!(subcommand.unwrap_or_default().starts_with(change.unwrap_or_default()), "{line}");
        }
        for line in
            ["deploy quick scale", "deploy quick quick", "deploy remove-node quick", "deploy scale a b"]
        {
            assert!(parsed(line).is_err(), "{line}");
        }
    }
}
