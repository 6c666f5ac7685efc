//! What Kubespray and everything else that logs in to the machines is given, and what is known about
//! Kubespray itself.

mod access;
pub mod index;
mod inventory;
mod setting;

pub use access::{Access, AccessError, known_hosts, ssh_config};
pub use inventory::inventory_ini;
pub use setting::{Origin, Scope, Setting};

#[cfg(test)]
mod tests;
