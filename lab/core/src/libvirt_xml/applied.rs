//! The properties applied to a machine: stored in its metadata.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use super::{Acceleration, NetworkSettings};
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
    /// The engine that runs its processors.
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
    /// The network that it was given.
    pub network: NetworkSettings,
    /// Digest of its SSH host key.
    pub host_key: String,
    /// Digest of the key that may log in.
    pub login_key: String,
    /// The models of its stand-in GPUs, by slot. Machines of older versions have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stand_in_gpus: Vec<String>,
}
