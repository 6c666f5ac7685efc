//! Compares the meaning of an inventory with Ansible's and Kubespray's reading of it. Runs nothing: it gets
//! their output.

mod assertions;
mod compare;

pub use assertions::{Refusal, refusals};
pub use compare::{Difference, Listing, differences, listed, meant, representatives};
