//! `upgrade`: from the versions that were deployed to those of the cluster file.
//!
//! Kubespray's docs/operations/upgrades.md: by `upgrade-cluster.yml`, up only, and no minor release of Kubespray left
//! out. kubeadm's rule for Kubernetes is the same: up, and by one minor release at a time
//! (<https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/kubeadm-upgrade/>).

use super::{Change, Decision, LivingNode, Refusal, Situation, Step, are};
use crate::kubespray::{TAGS, Version};
use crate::spec::{MachineSpec, Role};

/// Which Kubespray, and which Kubernetes by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versions {
    /// A tag, `v2.30.0`; a commit where it has none that is known.
    pub kubespray: String,
    /// `1.34.3`.
    pub kubernetes: String,
}

/// The change that upgrades the cluster to the versions of the cluster file. `unfinished`: an upgrade was
/// begun and did not end.
///
/// # Errors
/// When Kubernetes or Kubespray forbids the way, or etcd would not live through it.
pub fn upgrade(
    situation: &Situation<'_>,
    deployed: &Versions,
    wanted: &Versions,
    unfinished: bool,
) -> Result<Decision, Refusal> {
    let Situation { spec, words, .. } = *situation;
    if deployed == wanted && !unfinished {
        return Ok(Decision::Nothing(format!(
            "the cluster `{}` has Kubernetes {} by Kubespray {}, as its cluster file says",
            spec.name, wanted.kubernetes, wanted.kubespray
        )));
    }
    release_follows(&deployed.kubespray, &wanted.kubespray)?;
    let nodes = situation.nodes()?;
    kubernetes_goes(nodes, deployed, wanted)?;
    situation.needs(spec.machines.iter().map(|machine| machine.name.as_str()))?;
    let of_machine = |machine: &&MachineSpec| nodes.iter().find(|node| node.name == machine.name);
    let new: Vec<&str> = situation
        .wanted_nodes()
        .filter(|machine| of_machine(machine).is_none())
        .map(|machine| machine.name.as_str())
        .collect();
    if !new.is_empty() {
        return Err(Refusal::new(
            format!("{} no node yet, and upgrade-cluster.yml makes none", are(&new)),
            format!(
                "with the versions that were deployed (Kubespray {}, Kubernetes {}) in the cluster file, `cargo xtask deploy scale {words}` makes nodes; or leave new machines out until after the upgrade",
                deployed.kubespray, deployed.kubernetes
            ),
        ));
    }
    let not_ready: Vec<&str> =
        nodes.iter().filter(|node| !node.ready).map(|node| node.name.as_str()).collect();
    if !not_ready.is_empty() && !unfinished {
        return Err(Refusal::new(
            format!("{} not ready, and an upgrade mends nothing", are(&not_ready)),
            format!("`cargo xtask validate {words}` shows the failures"),
        ));
    }
    // Kubespray restarts every member.
    for machine in situation.with_role(Role::Etcd) {
        let etcd = situation.etcd()?;
        if etcd.members.len() > 1
            && let Some(why) = etcd.cannot_spare(&machine.name, false)
        {
            let hint = format!(
                "each member is restarted by an upgrade; mend the others first: `cargo xtask validate {words}`, `cargo xtask deploy recover-control-plane {words}`"
            );
            return Err(Refusal::new(why, hint));
        }
    }
    let mut change = Change::new("upgrade", situation);
    let planes = situation.with_role(Role::ControlPlane);
    let workers = situation.with_role(Role::Worker).filter(|one| !one.roles.contains(&Role::ControlPlane));
    for (machines, how) in [
        (planes.collect::<Vec<_>>(), "one control plane after the other"),
        (workers.collect(), "after them, a fifth of the workers at a time"),
    ] {
        for machine in machines {
            let from = of_machine(&machine).map_or("", |node| node.version.as_str());
            let what = if from == wanted.kubernetes {
                format!("has {from} already; the new Kubespray changes the rest, {how}")
            } else {
                format!("is drained, goes from {from} to {}, takes pods again: {how}", wanted.kubernetes)
            };
            change.machine(&machine.name, what);
        }
    }
    change.steps.push(Step::new("upgrade-cluster.yml", "upgrades one machine after the other"));
    change.notes.push(if deployed.kubespray == wanted.kubespray {
        format!("by Kubespray {}, as before", wanted.kubespray)
    } else {
        format!("by Kubespray {} instead of {}", wanted.kubespray, deployed.kubespray)
    });
    change.notes.push(
        "draining ends every pod: one that no controller replaces is gone, and so is the data of each emptyDir"
            .to_owned(),
    );
    change.notes.push("there is no way back but an older snapshot or a new cluster".to_owned());
    Ok(Decision::Do(change))
}

/// The numbers of a tag: `v2.30.0`.
fn numbers(tag: &str) -> Option<Version> {
    Version::parse(tag.strip_prefix('v')?)
}

/// Whether one Kubespray may upgrade a cluster of another: upgrades.md, "Multiple upgrades": do not skip
/// minor releases, patch releases are fine to skip.
///
/// # Errors
/// When it may not.
pub fn release_follows(from: &str, to: &str) -> Result<(), Refusal> {
    if from == to {
        return Ok(());
    }
    let (Some(old), Some(new)) = (numbers(from), numbers(to)) else {
        let unknown = if numbers(from).is_none() { from } else { to };
        return Err(Refusal::new(
            format!("Kubespray {unknown} is no release, so its place among the releases is unknown"),
            format!("name a release in the cluster file: {}", TAGS.join(", ")),
        ));
    };
    if new < old {
        return Err(Refusal::new(
            format!("Kubespray {to} is older than {from}, by which the cluster was deployed"),
            format!("set `version: {from}` or a newer one"),
        ));
    }
    let (old_series, new_series) = (old.series(), new.series());
    if new_series.0 != old_series.0 || new_series.1 > old_series.1 + 1 {
        // The newest release of the next series.
        let next = TAGS
            .iter()
            .rev()
            .find(|tag| numbers(tag).is_some_and(|one| one.series() == (old_series.0, old_series.1 + 1)));
        let hint = match next {
            Some(next) => format!("go to {next} first: `version: {next}`, and upgrade; then on"),
            None => "go by one minor release at a time".to_owned(),
        };
        let why = format!("Kubespray {to} does not follow on {from}: no minor release may be left out");
        return Err(Refusal::new(why, hint));
    }
    Ok(())
}

/// Up, and by one minor release. The versions of nodes count as well as the deployed ones: an upgrade may
/// have ended half way.
fn kubernetes_goes(nodes: &[LivingNode], deployed: &Versions, wanted: &Versions) -> Result<(), Refusal> {
    let running = || nodes.iter().map(|node| node.version.as_str()).chain([deployed.kubernetes.as_str()]);
    let parsed = |text: &str| Version::parse(text);
    let to = &wanted.kubernetes;
    let newest = running().max_by_key(|text| parsed(text)).unwrap_or_default();
    if parsed(to) < parsed(newest) {
        return Err(Refusal::new(
            format!(
                "Kubernetes {to} is older than {newest}, which the cluster has, and kubeadm goes only up"
            ),
            format!("set `kubernetes.version: {newest}` or a newer one"),
        ));
    }
    let oldest = running().min_by_key(|text| parsed(text)).unwrap_or_default();
    let series = |text: &str| parsed(text).map_or((0, 0), |version| version.series());
    let ((major, minor), (new_major, new_minor)) = (series(oldest), series(to));
    if new_major != major || new_minor > minor + 1 {
        return Err(Refusal::new(
            format!(
                "Kubernetes {to} does not follow on {oldest}: kubeadm goes by one minor release at a time"
            ),
            format!(
                "set `kubernetes.version` to a {major}.{} first, with a Kubespray that has one (`cargo xtask kubespray index TAG` lists them), and upgrade; then on",
                minor + 1
            ),
        ));
    }
    Ok(())
}
