//! Rules between the values of a cluster file, and the spec that they make.
//!
//! Each rule reports its findings and goes on with the valid rest. A reported value is judged no further: one
//! mistake is one finding.

use std::collections::BTreeMap;

use super::decode::{Located, Optional};
use super::raw;
use super::scalars::kubespray::KubesprayVersion;
use crate::host::HostFacts;
use crate::kubespray::DEFAULT_RELEASE;
use crate::source::Findings;
use crate::spec::{ClusterSpec, HostSpec, KubespraySpec, Strategy};

mod gpu_operator;
mod kubernetes;
mod machines;
mod network;
mod options;

pub use machines::BASE_DISK;

/// The Kubespray that is deployed where the file names none.
const DEFAULT_KUBESPRAY: KubesprayVersion = KubesprayVersion(DEFAULT_RELEASE);

/// Judges a file whose values were read one by one. Use the result only if nothing was found, before or here.
pub(super) fn resolve(
    file: &raw::Cluster,
    facts: Option<&HostFacts>,
    findings: &mut Findings,
) -> Option<ClusterSpec> {
    let host = value_or(&file.host, HostSpec::Embedded);
    let network = network::resolve(&file.network, host.as_ref(), facts, findings);
    let list = file.machines.0.as_ref()?;
    let drafts: Vec<_> =
        list.read().map(|machine| machines::draft(machine, &file.defaults, findings)).collect();
    machines::check_unique(&drafts, findings);
    kubernetes::check(list, &drafts, findings);
    if let Some(host) = &host {
        machines::check_containers(host, &drafts, findings);
    }
    if let Some(facts) = facts {
        machines::check_host(list.span, &drafts, facts, findings);
    }
    let addresses = network::addresses(network.as_ref(), &drafts, findings);
    let mut machines: Vec<_> =
        drafts.iter().zip(addresses).filter_map(|(draft, address)| draft.finish(address?)).collect();
    kubernetes::place_etcd(&mut machines);
    let kubespray = kubespray(&file.kubespray);
    let variables = kubespray.as_ref().map(|kubespray| kubespray.variables.clone()).unwrap_or_default();
    let kubernetes = options::kubernetes(&file.kubernetes, &variables, findings);
    let mirrors = options::mirrors(&file.mirrors);
    let complete = machines.len() == list.items.len();
    let cluster = gpu_operator::Cluster {
        machines: &machines,
        complete,
        kubernetes: &kubernetes,
        variables: &variables,
    };
    let gpu_operator = gpu_operator::resolve(&file.gpu_operator, &cluster, findings);
    Some(ClusterSpec {
        name: file.name.0.as_ref()?.value.0.clone(),
        host: host?,
        network: network?,
        kubespray: kubespray?,
        kubernetes,
        mirrors,
        gpu_operator,
        machines,
    })
}

/// The value in the file, or `otherwise` where it has none. `None`: a finding reports its value.
fn value_or<T: Clone>(field: &Optional<Located<T>>, otherwise: T) -> Option<T> {
    match field {
        Some(read) => read.0.as_ref().map(|located| located.value.clone()),
        None => Some(otherwise),
    }
}

fn kubespray(raw: &Optional<raw::Kubespray>) -> Option<KubespraySpec> {
    let Some(raw) = raw else {
        return Some(KubespraySpec {
            version: DEFAULT_KUBESPRAY.0.to_owned(),
            source: None,
            strategy: Strategy::LabLinear,
            variables: BTreeMap::new(),
        });
    };
    let raw = raw.0.as_ref()?;
    let version = value_or(&raw.version, DEFAULT_KUBESPRAY)?;
    let strategy = value_or(&raw.strategy, Strategy::LabLinear)?;
    let source = raw.source.as_ref().and_then(|read| read.0.as_ref()).map(|located| located.value.0.clone());
    let groups = raw.variables.iter().filter_map(|read| read.0.as_ref()).flat_map(|groups| &groups.0);
    let variables = groups.map(|(group, variables)| {
        let variables = variables.0.iter().map(|(name, value)| (name.value.0.clone(), value.0.clone()));
        (group.value.0.to_owned(), variables.collect())
    });
    Some(KubespraySpec { version: version.0.to_owned(), source, strategy, variables: variables.collect() })
}
