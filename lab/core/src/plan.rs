//! The plan: the steps that make the world match the spec, and their reasons.
//!
//! [`plan`] compares the spec with libvirt's resources and returns an ordered list of steps. It does
//! nothing itself; `lab` carries the steps out, in this order:
//!
//! 1. the steps `before` of all machines, in any order;
//! 2. the steps of the network;
//! 3. the `steps` of all machines, each machine on its own, all of them at once if you like.
//!
//! A plan may be broken off after any step: planning again from new observations leads to the same end. Two
//! orders make that true. A domain is defined after its disk is made and removed after its disk is gone, so
//! that a disk without a domain never holds another machine's data. And a machine that would lose its network
//! is stopped before the network is changed.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::gpu_stand_in;
use crate::identity::{LabId, MachineNumbers, machine_numbers, public_key_digest};
use crate::libvirt_xml::{
    Acceleration, AppliedMachine, NetworkHost, NetworkPlan, NetworkSettings, network_plan,
};
use crate::spec::{ClusterSpec, ImageSpec, MachineKind};
use crate::units::Bytes;

mod applied;
mod machine;
mod network;
mod render;
mod step;

pub use render::render;
pub use step::{MachineOperation, MachineStep, NetworkOperation, NetworkStep};

/// The input of a plan beside the observations.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// The spec.
    pub spec: &'a ClusterSpec,
    /// Of the lab.
    pub lab: &'a LabId,
    /// The engine that runs the processors of virtual machines on this host.
    pub acceleration: Acceleration,
    /// For every image that the spec names, the key of its content. An image without a key has the
    /// empty one, which no disk has.
    pub images: &'a BTreeMap<ImageSpec, String>,
    /// The public keys made so far.
    pub keys: &'a PublicKeys,
}

/// Public keys, as lines of OpenSSH. A key that is not there yet counts as a new one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PublicKeys {
    /// The one that may log in.
    pub login: String,
    /// Host keys by machine.
    pub host: BTreeMap<String, String>,
}

/// The resources of one lab in libvirt.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observed {
    /// The lab's network.
    pub network: Option<ObservedNetwork>,
    /// By machine name, for every machine of which anything is there.
    pub machines: BTreeMap<String, ObservedMachine>,
}

/// A network as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedNetwork {
    /// Whether it is started.
    pub active: bool,
    /// None: no lab defines such a network.
    pub settings: Option<NetworkSettings>,
    /// The machines that its DHCP server knows.
    pub hosts: BTreeSet<NetworkHost>,
}

/// The existing parts of a machine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ObservedMachine {
    /// Its domain.
    pub domain: Option<ObservedDomain>,
    /// Its root disk.
    pub disk: Option<ObservedDisk>,
    /// Whether there are files that give it its identity.
    pub identity: bool,
}

/// A domain as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedDomain {
    /// Whether it runs.
    pub state: MachineState,
    /// Read from the metadata of the inactive definition; none if this version cannot read it.
    pub applied: Option<AppliedMachine>,
    /// Whether a login has succeeded since it was started.
    pub reached: bool,
}

/// A root disk as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedDisk {
    /// Size that the machine sees.
    pub size: Bytes,
    /// Key of the image that it is a clone of; none if it is a clone of nothing known.
    pub image: Option<String>,
}

/// Whether a domain runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MachineState {
    /// It has processors that run.
    Running,
    /// It was stopped in the middle, by a person or by a full disk.
    Paused,
    /// Its kernel panicked; libvirt preserves the domain.
    Crashed,
    /// There is no process.
    ShutOff,
}

/// The steps and their reasons. Serializes to the documented form of `lab plan --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// Name of the cluster.
    pub cluster: String,
    /// The network.
    pub network: NetworkActions,
    /// Machines in the order of the file, then those that are no longer in it, by name.
    pub machines: Vec<MachineActions>,
}

/// The action on a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Made.
    Create,
    /// Changed, without loss of its data.
    Change,
    /// Removed and made again.
    Replace,
    /// As it should be, but not running or not reached yet.
    Start,
    /// Taken away.
    Remove,
    /// As it should be.
    Keep,
}

/// The steps for the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NetworkActions {
    /// In one word.
    pub action: Action,
    /// Why.
    pub reasons: Vec<Reason>,
    /// The network by the spec.
    pub wanted: NetworkSettings,
    /// In this order.
    pub steps: Vec<NetworkStep>,
}

/// The steps for one machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MachineActions {
    /// Name of the machine.
    pub name: String,
    /// In one word.
    pub action: Action,
    /// Why. Empty only for a machine that is kept because nothing differs.
    pub reasons: Vec<Reason>,
    /// Whether the content of its disk is lost.
    pub destroys_data: bool,
    /// Whether a running machine is stopped and started again.
    pub restarts: bool,
    /// The machine by the spec; none if it is removed.
    pub wanted: Option<Wanted>,
    /// To be done before the network is touched.
    pub before: Vec<MachineStep>,
    /// To be done after the network, in this order.
    pub steps: Vec<MachineStep>,
}

/// A machine as the spec wants it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Wanted {
    /// The content of its metadata.
    #[serde(flatten)]
    pub applied: AppliedMachine,
    /// Size of its root disk.
    pub disk: Bytes,
    /// Whether `up` starts it.
    pub auto_start: bool,
}

/// Why something is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum Reason {
    /// It does not exist.
    Missing,
    /// The cluster file no longer names it.
    NotInFile,
    /// One property differs.
    Differs {
        /// The property's name.
        what: &'static str,
        /// As it is.
        from: String,
        /// As it should be.
        to: String,
        /// The cost of that.
        effect: Effect,
    },
    /// A key differs. Keys are not printed.
    NewKey {
        /// Which.
        what: &'static str,
    },
    /// Its metadata was written by another version.
    Unreadable,
    /// The domain is there and its disk is not.
    DiskMissing,
    /// The disk is there and its domain is not.
    DomainMissing,
    /// It does not run.
    ShutOff,
    /// It is off, and the file says that it is started only by hand.
    StartedByHand,
    /// Its kernel panicked.
    Crashed,
    /// It is paused.
    Paused,
    /// It runs, and no login has succeeded yet.
    NotReached,
    /// It runs on a network that has to be started again.
    NetworkRestarts,
    /// The network is defined and not active.
    Inactive,
    /// Machines came to the network, moved in it or left it.
    Hosts {
        /// Names of machines that it does not know yet.
        added: Vec<String>,
        /// Names of machines that have another address now.
        moved: Vec<String>,
        /// Names of machines that are gone.
        removed: Vec<String>,
    },
}

/// The cost of a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// Nothing that anybody notices.
    None,
    /// The machine is stopped and started again.
    Restart,
    /// The machine loses its disk.
    DataLoss,
}

/// The machine of the spec, ready to be compared or written into definitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Desired {
    /// The network.
    pub network: NetworkPlan,
    /// MAC address, UUID and machine id by machine.
    pub numbers: BTreeMap<String, MachineNumbers>,
    /// By machine.
    pub machines: BTreeMap<String, Wanted>,
}

/// The machine of the spec.
pub fn desired(inputs: &Inputs<'_>) -> Desired {
    let Inputs { spec, lab, acceleration, images, keys } = inputs;
    let numbers = machine_numbers(lab, spec.machines.iter().map(|machine| machine.name.as_str()));
    let network = network_plan(spec, lab, &numbers);
    let machines = spec.machines.iter().map(|machine| {
        let host_key = keys.host.get(&machine.name).map_or("", String::as_str);
        let applied = AppliedMachine {
            kind: machine.kind,
            acceleration: match machine.kind {
                MachineKind::Vm => *acceleration,
                MachineKind::Container => Acceleration::Native,
            },
            cpus: machine.cpus,
            memory: machine.memory,
            image: images.get(&machine.image).cloned().unwrap_or_default(),
            address: machine.address,
            mac: numbers[&machine.name].mac,
            network: network.settings.clone(),
            host_key: public_key_digest(host_key),
            login_key: public_key_digest(&keys.login),
            stand_in_gpus: gpu_stand_in::models(machine).map(|model| model.name.to_owned()).collect(),
        };
        // A container's root is a folder: it has no size of its own.
        let disk = if machine.kind == MachineKind::Vm { machine.disk } else { Bytes(0) };
        let wanted = Wanted { applied, disk, auto_start: machine.auto_start };
        (machine.name.clone(), wanted)
    });
    let machines = machines.collect();
    Desired { network, numbers, machines }
}

/// Compares the spec with the observations.
pub fn plan(inputs: &Inputs<'_>, observed: &Observed) -> Plan {
    let desired = desired(inputs);
    let network = network::actions(&desired.network, observed.network.as_ref());
    let network_restarts = network.steps.iter().any(|step| step.operation == NetworkOperation::Start);
    let nothing = ObservedMachine::default();
    let in_file = inputs.spec.machines.iter().map(|machine| {
        let found = observed.machines.get(&machine.name).unwrap_or(&nothing);
        machine::actions(&machine.name, &desired.machines[&machine.name], found, network_restarts)
    });
    let gone = observed
        .machines
        .iter()
        .filter(|(name, found)| !desired.machines.contains_key(*name) && **found != nothing);
    let machines = in_file.chain(gone.map(|(name, found)| machine::removal(name, found))).collect();
    Plan { cluster: inputs.spec.name.clone(), network, machines }
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_noop(&self) -> bool {
        self.network.steps.is_empty()
            && self.machines.iter().all(|machine| machine.before.is_empty() && machine.steps.is_empty())
    }

    /// Whether the content of some disk is lost.
    pub fn destroys_data(&self) -> bool {
        self.machines.iter().any(|machine| machine.destroys_data)
    }

    /// How many machines are created, changed and so on, as a person reads it: `4 to create, 1 to
    /// keep`. A network that is not kept comes first.
    pub fn summary(&self) -> String {
        let mut counts: BTreeMap<Action, usize> = BTreeMap::new();
        for machine in &self.machines {
            *counts.entry(machine.action).or_default() += 1;
        }
        let network =
            (self.network.action != Action::Keep).then(|| format!("network to {}", self.network.action));
        let machines = counts.into_iter().map(|(action, count)| format!("{count} to {action}"));
        network.into_iter().chain(machines).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests;
