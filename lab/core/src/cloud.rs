//! The eight steps of the original plan from a cluster file to a cluster that can be used, and the sentences that tell
//! what each came to.

use std::collections::BTreeMap;

use crate::plan::{Action, Plan};
use crate::report::{Outcome, Verdict, counts};

/// The steps, in their order.
pub const STEPS: [&str; 8] = [
    "validate the configuration",
    "provision the machines",
    "wait for SSH",
    "generate the inventory",
    "run Kubespray",
    "validate the cluster's health",
    "hand out the kubeconfig",
    "show the status",
];

/// What is told of a step that is over.
#[must_use]
pub fn told(step: &str, came_of_it: &str, seconds: f64) -> String {
    format!("{step}: {came_of_it} ({seconds:.1} s)")
}

/// What a plan that was carried out came to; or that a snapshot was brought back instead.
#[must_use]
pub fn provisioned(plan: &Plan, brought_back: bool) -> String {
    if brought_back {
        return format!("{} brought back from a snapshot", machines_of(plan.machines.len()));
    }
    let mut machines: BTreeMap<Action, usize> = BTreeMap::new();
    for machine in &plan.machines {
        *machines.entry(machine.action).or_default() += 1;
    }
    let told = machines.into_iter().map(|(action, count)| {
        let word = match action {
            Action::Create => "made",
            Action::Change => "changed",
            Action::Replace => "made anew",
            Action::Start => "started",
            Action::Remove => "removed",
            Action::Keep => "as the cluster file says already",
        };
        format!("{} {word}", machines_of(count))
    });
    let told = told.collect::<Vec<_>>().join(", ");
    if plan.is_noop() { format!("nothing to do: {told}") } else { told }
}

/// What writing the inventory for people came to; `folder` is `None` where the cluster file lies in no folder for one.
#[must_use]
pub fn generated(folder: Option<&str>, written: usize, removed: usize, unchanged: usize) -> String {
    match (folder, written + removed) {
        (None, _) => {
            "nothing to do: the lab's own was written before its machines, and there is no other".to_owned()
        }
        (Some(folder), 0) => format!("nothing to do: the {unchanged} files in {folder} are as they must be"),
        (Some(folder), _) => {
            format!("{written} files written, {removed} removed, {unchanged} as they were in {folder}")
        }
    }
}

/// What came of the checks.
#[must_use]
pub fn validated(checks: &[Outcome]) -> String {
    let passed = checks.iter().filter(|check| check.verdict == Verdict::Passed);
    let passed: Vec<&str> = passed.map(|check| check.id.as_str()).collect();
    format!("{}: {}", counts(checks), passed.join(", "))
}

/// `1 machine`, `2 machines`.
#[must_use]
pub fn machines_of(count: usize) -> String {
    format!("{count} machine{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests;
