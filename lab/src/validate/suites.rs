//! The checks that there are, a file a suite. A new check is an entry in the list of its suite.

use lab_core::needs::Need;

use super::check::Check;

pub mod cluster;
pub mod gpu;
mod gpu_chain;
mod gpu_machines;
mod gpu_pods;
pub mod pods;

/// The checks of every cluster, suite by suite.
const OF_EVERY_CLUSTER: [&[Check]; 2] = [cluster::CHECKS, pods::CHECKS];
/// The checks of a cluster with GPUs, in the order of the chain from a card to a pod.
const OF_GPUS: [&[Check]; 3] = [gpu_machines::CHECKS, gpu::CHECKS, gpu_pods::CHECKS];

/// Every check, suite by suite.
pub fn all() -> impl Iterator<Item = &'static Check> {
    OF_EVERY_CLUSTER.into_iter().flatten().chain(of_gpus())
}

/// The checks of the suite `gpu`.
pub fn of_gpus() -> impl Iterator<Item = &'static Check> {
    OF_GPUS.into_iter().flatten()
}

/// The checks of these names; where none is named, all that concern the cluster. Where probes do not come up, that must fail, because the checks
/// that need them are skipped then: the check of them runs beside those.
pub fn chosen(ids: &[String], has_gpu_operator: bool) -> Vec<&'static Check> {
    let concerns = |check: &Check| has_gpu_operator || !check.needs.contains(&Need::GpuOperator);
    let named = |check: &Check| match ids {
        [] => concerns(check),
        ids => ids.iter().any(|id| id == check.id),
    };
    let needs_probes = all().any(|check| named(check) && check.needs.contains(&Need::Probes));
    all().filter(|check| named(check) || needs_probes && check.id == pods::PROBES).collect()
}
