//! Everything about a lab that can be decided without touching the world.
//!
//! Text of a cluster file becomes a [`spec::ClusterSpec`], a spec and observations become a plan,
//! a spec becomes libvirt XML, an inventory, the files that give a machine its identity.
//!
//! Invariant: nothing here does I/O, reads a clock, the environment or randomness. The same input
//! gives the same bytes.
#![forbid(unsafe_code)]

pub mod artifacts;
pub mod cluster;
pub mod deploy;
pub mod gpu_operator;
pub mod gpu_stand_in;
pub mod host;
pub mod identity;
pub mod kubespray;
pub mod libvirt_xml;
pub mod limits;
pub mod lint;
pub mod load;
pub mod needs;
pub mod phases;
pub mod plan;
pub mod report;
pub mod secrets;
pub mod snapshot;
pub mod source;
pub mod spec;
pub mod units;
pub mod validate;
mod yaml_writer;

#[cfg(test)]
mod fixtures;
