//! `reset`: the machines without the cluster.

use super::{Change, Decision, Refusal, Situation, Step};

/// The change that removes the cluster, and keeps the machines.
///
/// # Errors
/// When a machine cannot be reached: it would stay a part of a cluster that is gone.
pub fn reset(situation: &Situation<'_>) -> Result<Decision, Refusal> {
    let Situation { spec, words, .. } = *situation;
    situation.needs(spec.machines.iter().map(|machine| machine.name.as_str()))?;
    let mut change = Change::new("reset", situation);
    for machine in &spec.machines {
        change.machine(&machine.name, "is cleaned of Kubernetes, containers and etcd; the machine restarts");
    }
    // Kubespray's reset.yml asks unless it is given this, and Ansible has no terminal for an answer.
    change.steps.push(Step::new("reset.yml", "takes the cluster away").variable("reset_confirmation", "yes"));
    change.lost.push(format!(
        "the cluster `{}` with everything in it (etcd, pods and their data on their machines, certificates)",
        spec.name
    ));
    change.next.push(format!("`cargo xtask deploy {words}` makes a new cluster on the same machines"));
    Ok(Decision::Do(change))
}
