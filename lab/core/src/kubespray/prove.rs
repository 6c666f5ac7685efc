//! What an inventory is meant to say, compared with what Ansible and Kubespray made of it. Runs nothing: it is
//! given what they said.

mod assertions;
mod compare;

pub use assertions::{Refusal, refusals};
pub use compare::{Difference, Listing, differences, listed, meant, representatives};
