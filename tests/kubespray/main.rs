//! Real Kubespray, real git, real pip, and no machine but one: fetching, proving what Kubespray is given, its own checks,
//! a playbook.

mod cloud;
mod fetch;
mod index;
mod lint;
mod play;
mod prove;
mod strategy;
