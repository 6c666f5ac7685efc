//! What machines stand on: roots of containers, frozen layers, and the snapshots that keep them. Must not start or stop machines.

pub mod digest;
pub mod layers;
pub mod root;
pub mod snapshots;

/// The name of a machine's root disk in the lab's pool.
pub fn disk_name(machine: &str) -> String {
    format!("{machine}.qcow2")
}
