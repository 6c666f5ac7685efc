//! What was applied to a machine: kept in its metadata, compared with what is wanted.

use std::fmt::Display;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use super::{Effect, Reason};
use crate::domain::{Acceleration, Forward, NetworkSettings};
use crate::spec::MachineKind;
use crate::units::{Bytes, MacAddress};

/// Everything about a machine that its definition or its identity depends on.
///
/// Not in it: the size of its disk, which is read from the disk; labels, taints and roles, which are
/// Kubernetes' business; whether it is started by `up`, which needs no definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppliedMachine {
    /// Virtual machine or container.
    pub kind: MachineKind,
    /// What runs its processors.
    pub acceleration: Acceleration,
    /// Virtual processors.
    pub cpus: u32,
    /// Guest memory.
    pub memory: Bytes,
    /// Key of the image that its disk is cloned from, and that its kernel is of.
    pub image: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// Its MAC address.
    pub mac: MacAddress,
    /// The network it was told of.
    pub network: NetworkSettings,
    /// Digest of its SSH host key.
    pub host_key: String,
    /// Digest of the key that may log in.
    pub login_key: String,
}

impl AppliedMachine {
    /// Every property that differs, in a fixed order.
    pub(super) fn differences(&self, wanted: &Self) -> Vec<Reason> {
        let kind = |applied: &Self| match applied.kind {
            MachineKind::Vm => "vm",
            MachineKind::Container => "container",
        };
        let acceleration = |applied: &Self| match applied.acceleration {
            Acceleration::Kvm => "kvm",
            Acceleration::Tcg => "tcg",
            Acceleration::Native => "native",
        };
        let differences = [
            differs("kind", kind(self), kind(wanted), Effect::DataLoss),
            differs("image", &self.image, &wanted.image, Effect::Restart),
            differs("acceleration", acceleration(self), acceleration(wanted), Effect::Restart)
                .filter(|_| self.kind == wanted.kind),
            differs("cpus", self.cpus, wanted.cpus, Effect::Restart),
            differs("memory", self.memory, wanted.memory, Effect::Restart),
            differs("address", self.address, wanted.address, Effect::Restart),
            differs("MAC address", self.mac, wanted.mac, Effect::Restart),
            (self.host_key != wanted.host_key).then_some(Reason::NewKey { what: "host key" }),
            (self.login_key != wanted.login_key).then_some(Reason::NewKey { what: "login key" }),
        ];
        differences.into_iter().flatten().chain(network_differences(&self.network, &wanted.network)).collect()
    }
}

/// Every setting of a network that differs.
pub(super) fn network_differences(found: &NetworkSettings, wanted: &NetworkSettings) -> Vec<Reason> {
    let forward = |settings: &NetworkSettings| match settings.forward {
        Forward::Open => "open",
        Forward::None => "none",
        Forward::Nat => "nat",
    };
    let differences = [
        differs("subnet", found.subnet, wanted.subnet, Effect::Restart),
        differs("gateway", found.gateway, wanted.gateway, Effect::Restart),
        differs("MTU", found.mtu, wanted.mtu, Effect::Restart),
        differs("forwarding", forward(found), forward(wanted), Effect::Restart),
    ];
    differences.into_iter().flatten().collect()
}

/// The reason, if the two differ.
pub(super) fn differs<T: PartialEq + Display>(
    what: &'static str,
    from: T,
    to: T,
    effect: Effect,
) -> Option<Reason> {
    (from != to).then(|| Reason::Differs { what, from: from.to_string(), to: to.to_string(), effect })
}
