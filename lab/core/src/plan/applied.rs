//! How a machine that was made differs from the spec.

use std::fmt::Display;

use super::{Effect, Reason};
use crate::libvirt_xml::{Acceleration, AppliedMachine, Forward, NetworkSettings};
use crate::spec::MachineKind;

/// Every property of a machine that differs from the spec, in a fixed order.
pub(super) fn differences(applied: &AppliedMachine, wanted: &AppliedMachine) -> Vec<Reason> {
    let kind = |applied: &AppliedMachine| match applied.kind {
        MachineKind::Vm => "vm",
        MachineKind::Container => "container",
    };
    let acceleration = |applied: &AppliedMachine| match applied.acceleration {
        Acceleration::Kvm => "kvm",
        Acceleration::Tcg => "tcg",
        Acceleration::Native => "native",
    };
    let models = |applied: &AppliedMachine| match applied.stand_in_gpus.as_slice() {
        [] => "none".to_owned(),
        models => models.join(", "),
    };
    let differences = [
        differs("kind", kind(applied), kind(wanted), Effect::DataLoss),
        differs("image", &applied.image, &wanted.image, Effect::Restart),
        differs("acceleration", acceleration(applied), acceleration(wanted), Effect::Restart)
            .filter(|_| applied.kind == wanted.kind),
        differs("cpus", applied.cpus, wanted.cpus, Effect::Restart),
        differs("memory", applied.memory, wanted.memory, Effect::Restart),
        differs("address", applied.address, wanted.address, Effect::Restart),
        differs("MAC address", applied.mac, wanted.mac, Effect::Restart),
        differs("stand-in GPUs", models(applied), models(wanted), Effect::Restart),
        (applied.host_key != wanted.host_key).then_some(Reason::NewKey { what: "host key" }),
        (applied.login_key != wanted.login_key).then_some(Reason::NewKey { what: "login key" }),
    ];
    differences.into_iter().flatten().chain(network_differences(&applied.network, &wanted.network)).collect()
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
