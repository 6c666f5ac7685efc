//! The place where machines run: an embedded host of the lab's own, or a libvirt that is there already.
//!
//! The embedded host is a supervisor process with namespaces of its own (network, mounts, processes;
//! for an ordinary user a user namespace too) and a private libvirtd in them. This module knows how to
//! find it, start it, enter it and end it; `supervisor` is what runs inside.

pub mod acceleration;
mod cgroups;
pub mod containers;
pub mod embedded;
pub mod enter;
pub mod facts;
pub mod freezer;
pub mod limits;
pub mod load;
pub mod supervisor;
