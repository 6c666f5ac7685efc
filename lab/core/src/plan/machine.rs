//! Plans the steps for one machine.

use super::applied::{differences, differs};
use super::{
    Action, Effect, MachineActions, MachineOperation, MachineState, ObservedDisk, ObservedDomain,
    ObservedMachine, Reason, Wanted,
};
use crate::units::Bytes;

use MachineOperation::{
    CreateDisk, DefineDomain, GrowDisk, PowerOff, RemoveDisk, RemoveDomain, RemoveIdentity, Resume, Start,
    Stop, WaitReachable, WriteIdentity,
};

/// The action on the root disk.
enum Disk {
    Create,
    Keep,
    Grow { from: Bytes },
    Replace,
}

/// A machine that is no longer in the file. Its address may be another's by now, so it is stopped
/// before anything else happens.
pub(super) fn removal(name: &str, found: &ObservedMachine) -> MachineActions {
    let runs = found.domain.as_ref().is_some_and(|domain| domain.state != MachineState::ShutOff);
    let mut operations = Vec::new();
    operations.extend(found.identity.then_some(RemoveIdentity));
    operations.extend(found.disk.is_some().then_some(RemoveDisk));
    operations.extend(found.domain.is_some().then_some(RemoveDomain));
    MachineActions {
        name: name.to_owned(),
        action: Action::Remove,
        reasons: vec![Reason::NotInFile],
        destroys_data: found.disk.is_some(),
        restarts: false,
        wanted: None,
        before: steps(name, runs.then_some(PowerOff)),
        steps: steps(name, operations),
    }
}

/// A machine of the file. `network_restarts`: every machine on the network loses it.
pub(super) fn actions(
    name: &str,
    wanted: &Wanted,
    found: &ObservedMachine,
    network_restarts: bool,
) -> MachineActions {
    let kind_differs = (found.domain.as_ref())
        .and_then(|domain| domain.applied.as_ref())
        .is_some_and(|applied| applied.kind != wanted.applied.kind);
    let (disk, mut reasons) = match &found.disk {
        // Resources of the other kind are removed, however they compare.
        Some(_) if kind_differs => (Disk::Keep, vec![]),
        disk => compare_disk(wanted, disk.as_ref()),
    };
    let replaced = matches!(disk, Disk::Replace);
    let Some(domain) = &found.domain else {
        reasons.insert(0, if found.disk.is_some() { Reason::DomainMissing } else { Reason::Missing });
        let mut operations = disk_operations(&disk, wanted);
        operations.extend([WriteIdentity, DefineDomain]);
        operations.extend(wanted.auto_start.then_some([Start, WaitReachable]).into_iter().flatten());
        return MachineActions {
            name: name.to_owned(),
            action: if replaced { Action::Replace } else { Action::Create },
            reasons,
            destroys_data: replaced,
            restarts: false,
            wanted: Some(wanted.clone()),
            before: vec![],
            steps: steps(name, operations),
        };
    };

    let image_reported = reasons.iter().any(|reason| matches!(reason, Reason::Differs { what: "image", .. }));
    let differences = match &domain.applied {
        None => vec![Reason::Unreadable],
        Some(applied) => differences(applied, &wanted.applied),
    };
    if found.disk.is_none() {
        reasons.push(Reason::DiskMissing);
    }
    // The reason of the disk says it already where both differ, with the cost.
    reasons.extend(
        differences
            .into_iter()
            .filter(|reason| !(image_reported && matches!(reason, Reason::Differs { what: "image", .. }))),
    );
    if reasons.is_empty() {
        return unchanged(name, wanted, domain, network_restarts);
    }

    let runs = domain.state != MachineState::ShutOff;
    let destroys_data = replaced || (kind_differs && found.disk.is_some());
    let new_disk = destroys_data || found.disk.is_none();
    let starts = runs || wanted.auto_start;
    let stop = match domain.state {
        MachineState::ShutOff => None,
        // Only a machine that listens can be asked, and only one with a future is worth the wait.
        MachineState::Running if !new_disk => Some(Stop),
        MachineState::Running | MachineState::Paused | MachineState::Crashed => Some(PowerOff),
    };
    let mut operations = Vec::new();
    if kind_differs {
        operations.extend(found.identity.then_some(RemoveIdentity));
        operations.extend(found.disk.is_some().then_some(RemoveDisk));
        operations.push(RemoveDomain);
        operations.extend(disk_operations(&Disk::Create, wanted));
    } else {
        operations.extend(disk_operations(&disk, wanted));
    }
    operations.extend([WriteIdentity, DefineDomain]);
    operations.extend(starts.then_some([Start, WaitReachable]).into_iter().flatten());
    let moves = domain
        .applied
        .as_ref()
        .is_none_or(|applied| applied.address != wanted.applied.address || applied.mac != wanted.applied.mac);
    // An address that is given up may be another machine's next.
    let (before, operations) = if network_restarts || moves {
        (steps(name, stop), operations)
    } else {
        (vec![], stop.into_iter().chain(operations).collect())
    };
    MachineActions {
        name: name.to_owned(),
        action: if new_disk { Action::Replace } else { Action::Change },
        reasons,
        destroys_data,
        restarts: runs,
        wanted: Some(wanted.clone()),
        before,
        steps: steps(name, operations),
    }
}

/// A machine whose definition and disk are as they should be.
fn unchanged(name: &str, wanted: &Wanted, domain: &ObservedDomain, network_restarts: bool) -> MachineActions {
    let up = [Start, WaitReachable];
    let (action, reason, before, operations) = match domain.state {
        MachineState::Running if network_restarts => {
            (Action::Change, Some(Reason::NetworkRestarts), Some(Stop), up.to_vec())
        }
        MachineState::Running if domain.reached => (Action::Keep, None, None, vec![]),
        MachineState::Running => (Action::Start, Some(Reason::NotReached), None, vec![WaitReachable]),
        MachineState::Paused if network_restarts => {
            (Action::Change, Some(Reason::NetworkRestarts), Some(PowerOff), up.to_vec())
        }
        MachineState::Paused => (Action::Start, Some(Reason::Paused), None, vec![Resume, WaitReachable]),
        MachineState::Crashed => (Action::Start, Some(Reason::Crashed), Some(PowerOff), up.to_vec()),
        MachineState::ShutOff if wanted.auto_start => {
            (Action::Start, Some(Reason::ShutOff), None, up.to_vec())
        }
        MachineState::ShutOff => (Action::Keep, Some(Reason::StartedByHand), None, vec![]),
    };
    MachineActions {
        name: name.to_owned(),
        action,
        reasons: reason.into_iter().collect(),
        destroys_data: false,
        restarts: before.is_some(),
        wanted: Some(wanted.clone()),
        before: steps(name, before),
        steps: steps(name, operations),
    }
}

fn compare_disk(wanted: &Wanted, found: Option<&ObservedDisk>) -> (Disk, Vec<Reason>) {
    let Some(found) = found else {
        return (Disk::Create, vec![]);
    };
    let image = found.image.as_deref().unwrap_or("unknown");
    let other_image = differs("image", image, wanted.applied.image.as_str(), Effect::DataLoss);
    // A volume without a size is the folder of a container, which is no disk.
    let smaller = wanted.disk < found.size || (found.size == Bytes(0) && wanted.disk > Bytes(0));
    let effect = if smaller { Effect::DataLoss } else { Effect::Restart };
    let other_size = differs("disk", found.size, wanted.disk, effect);
    let disk = if other_image.is_some() || smaller {
        Disk::Replace
    } else if other_size.is_some() {
        Disk::Grow { from: found.size }
    } else {
        Disk::Keep
    };
    (disk, other_image.into_iter().chain(other_size).collect())
}

fn disk_operations(disk: &Disk, wanted: &Wanted) -> Vec<MachineOperation> {
    let create = CreateDisk { size: wanted.disk, image: wanted.applied.image.clone() };
    match disk {
        Disk::Create => vec![create],
        Disk::Keep => vec![],
        Disk::Grow { from } => vec![GrowDisk { from: *from, to: wanted.disk }],
        Disk::Replace => vec![RemoveDisk, create],
    }
}

fn steps(name: &str, operations: impl IntoIterator<Item = MachineOperation>) -> Vec<super::MachineStep> {
    operations.into_iter().map(|operation| operation.of(name)).collect()
}
