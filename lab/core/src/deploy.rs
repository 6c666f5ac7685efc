//! Decisions about a deploy from data alone: the events of a run of Ansible, the time that is left, advice on
//! failures. Plans changes of a living cluster.
//!
//! Nothing here runs Ansible or asks a cluster; `lab/src/deploy/` does.

pub mod advice;
pub mod change;
mod estimate;
mod follow;
pub mod kubeconfig;

pub use estimate::{Estimate, History};
pub use follow::{Follower, PlaySeconds, Problem, Summary, TaskTime};
