//! What can be decided about a deploy from data alone: what happened in a run of Ansible, how long the rest of it
//! will take, what to advise when it fails; what a change of a cluster that is there comes to.
//!
//! Nothing here runs Ansible or asks a cluster; `lab/src/deploy/` does.

pub mod advice;
pub mod change;
mod estimate;
mod follow;
pub mod kubeconfig;

pub use estimate::{Estimate, History};
pub use follow::{Follower, PlaySeconds, Problem, Summary, TaskTime};
