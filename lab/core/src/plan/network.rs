//! Plans the steps for the network.

use std::collections::BTreeSet;

use super::applied::network_differences;
use super::{Action, NetworkActions, NetworkOperation, ObservedNetwork, Reason};
use crate::libvirt_xml::{NetworkHost, NetworkPlan};

/// Compares the network. Machines that come and go do not disturb the others; everything else means a
/// new network.
pub(super) fn actions(wanted: &NetworkPlan, found: Option<&ObservedNetwork>) -> NetworkActions {
    use NetworkOperation::{Define, Remove, Start, UpdateHosts};

    let (action, reasons, operations) = match found {
        None => (Action::Create, vec![Reason::Missing], vec![Define, Start]),
        Some(found) => {
            let differences = match &found.settings {
                None => vec![Reason::Unreadable],
                Some(settings) => network_differences(settings, &wanted.settings),
            };
            let hosts = (found.hosts != wanted.hosts).then(|| changed_hosts(wanted, found));
            let host_reason = hosts.as_ref().map(|(remove, add)| hosts_reason(remove, add));
            if !differences.is_empty() {
                (Action::Replace, differences, vec![Remove, Define, Start])
            } else if !found.active {
                let reasons = [Reason::Inactive].into_iter().chain(host_reason).collect();
                (Action::Start, reasons, vec![Define, Start])
            } else if let (Some((remove, add)), Some(reason)) = (hosts, host_reason) {
                (Action::Change, vec![reason], vec![UpdateHosts { remove, add }])
            } else {
                (Action::Keep, vec![], vec![])
            }
        }
    };
    let steps = operations.into_iter().map(NetworkOperation::step).collect();
    NetworkActions { action, reasons, wanted: wanted.settings.clone(), steps }
}

fn changed_hosts(wanted: &NetworkPlan, found: &ObservedNetwork) -> (Vec<NetworkHost>, Vec<NetworkHost>) {
    let remove = found.hosts.difference(&wanted.hosts).cloned().collect();
    let add = wanted.hosts.difference(&found.hosts).cloned().collect();
    (remove, add)
}

fn hosts_reason(remove: &[NetworkHost], add: &[NetworkHost]) -> Reason {
    let names = |hosts: &[NetworkHost]| hosts.iter().map(|host| host.name.clone()).collect::<BTreeSet<_>>();
    let (gone, new) = (names(remove), names(add));
    Reason::Hosts {
        added: new.difference(&gone).cloned().collect(),
        moved: new.intersection(&gone).cloned().collect(),
        removed: gone.difference(&new).cloned().collect(),
    }
}
