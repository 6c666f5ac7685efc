//! Real Kubespray, real git, real pip, and next to no machine: fetching, proving what Kubespray is given, its own checks,
//! a playbook, the places of secrets.

mod cloud;
mod fetch;
mod index;
mod lint;
mod play;
mod prove;
mod secrets;
mod strategy;
mod unarchive;
