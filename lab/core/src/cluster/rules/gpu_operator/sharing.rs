//! Time slices by machine, and whether each machine has GPUs to divide.

use std::collections::{BTreeMap, HashMap};

use super::{Cluster, given};
use crate::cluster::raw;
use crate::gpu_operator::{gpu_nodes_of, is_model, model};
use crate::source::suggest::{self, quote};
use crate::source::{Code, Findings, Span};
use crate::spec::MachineSpec;

/// The time slices of each machine. Of a machine that is named twice, the first.
pub(super) fn resolve(
    raw: &raw::GpuOperator,
    cluster: &Cluster<'_>,
    findings: &mut Findings,
) -> BTreeMap<String, u32> {
    let mut sharing = BTreeMap::new();
    let mut seen: HashMap<&str, Span> = HashMap::new();
    for item in given(&raw.sharing).into_iter().flat_map(|list| list.read()) {
        let machines = match (&item.machines, &item.model) {
            (Some(_), None) => by_name(item, cluster, findings),
            (None, Some(_)) => by_model(item, cluster, findings),
            (both, _) => {
                let words = if both.is_some() { "both `machines` and" } else { "neither `machines` nor" };
                let message = format!("time slices are for {words} `model`");
                findings
                    .error(Code::BadSharing, item.span, message)
                    .hint("write one of them: `- model: Tesla T4`");
                continue;
            }
        };
        let Some(replicas) = &item.replicas.0 else { continue };
        for (machine, at) in machines {
            if let Some(before) = seen.insert(&machine.name, at) {
                findings
                    .error(Code::BadSharing, at, format!("the GPUs of `{}` are divided twice", machine.name))
                    .hint("name a machine, or its model, once")
                    .related(before, "first divided here");
                continue;
            }
            sharing.insert(machine.name.clone(), replicas.value.0);
        }
    }
    sharing
}

fn by_name<'c>(
    item: &raw::Sharing,
    cluster: &Cluster<'c>,
    findings: &mut Findings,
) -> Vec<(&'c MachineSpec, Span)> {
    let mut machines = Vec::new();
    for name in given(&item.machines).into_iter().flat_map(|list| list.read()) {
        let (at, name) = (name.span, name.value.0.as_str());
        match cluster.machines.iter().find(|machine| machine.name == name) {
            Some(machine) if machine.gpus.is_empty() => {
                findings
                    .error(
                        Code::SharingWithoutGpu,
                        at,
                        format!("the machine {} has no GPU to divide", quote(name)),
                    )
                    .hint("give it one, `gpus: [{model: Tesla T4}]`, or take it out here");
            }
            Some(machine) => machines.push((machine, at)),
            None if cluster.complete => {
                let known: Vec<&str> =
                    gpu_nodes_of(cluster.machines).map(|machine| machine.name.as_str()).collect();
                findings
                    .error(Code::UnknownMachine, at, format!("there is no machine {}", quote(name)))
                    .hint(suggest::one_of("machines with GPUs", name, &known));
            }
            None => {}
        }
    }
    machines
}

fn by_model<'c>(
    item: &raw::Sharing,
    cluster: &Cluster<'c>,
    findings: &mut Findings,
) -> Vec<(&'c MachineSpec, Span)> {
    let Some(written) = given(&item.model) else { return Vec::new() };
    let (at, name) = (written.span, written.value.0.as_str());
    let is_meant = |gpu| model(gpu).is_some_and(|model| is_model(name, model));
    let mut machines = Vec::new();
    for machine in gpu_nodes_of(cluster.machines) {
        let meant = machine.gpus.iter().filter(|gpu| is_meant(gpu)).count();
        if meant == machine.gpus.len() {
            machines.push((machine, at));
        } else if meant > 0 {
            let message =
                format!("`{}` has a GPU of another model besides, and divides all or none", machine.name);
            findings.error(Code::BadSharing, at, message).hint(format!(
                "name the machine if all of its GPUs may be divided: `- machines: [{}]`",
                machine.name
            ));
        }
    }
    let some = gpu_nodes_of(cluster.machines).any(|machine| machine.gpus.iter().any(is_meant));
    if cluster.complete && !some {
        let mut known: Vec<&str> =
            gpu_nodes_of(cluster.machines).flat_map(|machine| &machine.gpus).filter_map(model).collect();
        known.sort_unstable();
        known.dedup();
        findings
            .error(
                Code::SharingWithoutGpu,
                at,
                format!("no machine has a GPU whose model is {}", quote(name)),
            )
            .hint(suggest::one_of("models", name, &known));
    }
    machines
}
