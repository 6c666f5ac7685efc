//! The steps of a plan. Each has an id that is stable from version to version: `lab` records it before
//! and after, and tests break off at it.

use serde::Serialize;

use crate::libvirt_xml::NetworkHost;
use crate::units::Bytes;

/// One step for one machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MachineStep {
    /// `machine/MACHINE/OPERATION`.
    pub id: String,
    /// The operation.
    #[serde(flatten)]
    pub operation: MachineOperation,
}

/// The operations on a machine. Each may be repeated after it was broken off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "operation", rename_all = "kebab-case")]
pub enum MachineOperation {
    /// Asks the machine to shut down; at the deadline, takes its power.
    Stop,
    /// Takes its power at once.
    PowerOff,
    /// Removes the files that give it its identity.
    RemoveIdentity,
    /// Removes its root disk.
    RemoveDisk,
    /// Removes its domain: the last thing there is of it.
    RemoveDomain,
    /// Clones its root disk from an image.
    CreateDisk {
        /// Virtual size.
        size: Bytes,
        /// Key of the image.
        image: String,
    },
    /// Makes its root disk bigger.
    GrowDisk {
        /// As it is.
        from: Bytes,
        /// As it should be.
        to: Bytes,
    },
    /// Writes the files that give it its identity.
    WriteIdentity,
    /// Defines its domain, or replaces the definition.
    DefineDomain,
    /// Starts it.
    Start,
    /// Lets a paused machine go on.
    Resume,
    /// Waits until a login succeeds.
    WaitReachable,
}

impl MachineOperation {
    /// As it appears in the id of a step.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::PowerOff => "power-off",
            Self::RemoveIdentity => "remove-identity",
            Self::RemoveDisk => "remove-disk",
            Self::RemoveDomain => "remove-domain",
            Self::CreateDisk { .. } => "create-disk",
            Self::GrowDisk { .. } => "grow-disk",
            Self::WriteIdentity => "write-identity",
            Self::DefineDomain => "define-domain",
            Self::Start => "start",
            Self::Resume => "resume",
            Self::WaitReachable => "wait-reachable",
        }
    }

    /// The step of this machine.
    pub(super) fn of(self, machine: &str) -> MachineStep {
        MachineStep { id: format!("machine/{machine}/{}", self.name()), operation: self }
    }
}

/// One step for the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NetworkStep {
    /// `network/OPERATION`.
    pub id: String,
    /// The operation.
    #[serde(flatten)]
    pub operation: NetworkOperation,
}

/// The operations on the network. Each may be repeated after it was broken off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "operation", rename_all = "kebab-case")]
pub enum NetworkOperation {
    /// Stops it and removes its definition.
    Remove,
    /// Defines it, or replaces the definition.
    Define,
    /// Starts it.
    Start,
    /// Updates the living network, and its definition, with the machines that came and went. A machine whose
    /// address changed is in both lists: remove first.
    UpdateHosts {
        /// To be forgotten.
        remove: Vec<NetworkHost>,
        /// To be known.
        add: Vec<NetworkHost>,
    },
}

impl NetworkOperation {
    /// The step.
    pub(super) fn step(self) -> NetworkStep {
        let name = match self {
            Self::Remove => "remove",
            Self::Define => "define",
            Self::Start => "start",
            Self::UpdateHosts { .. } => "update-hosts",
        };
        NetworkStep { id: format!("network/{name}"), operation: self }
    }
}
