//! What Kubespray and everything else that logs in to the machines is given.

mod access;
mod inventory;

pub use access::{Access, AccessError, known_hosts, ssh_config};
pub use inventory::inventory_ini;

#[cfg(test)]
mod tests;
