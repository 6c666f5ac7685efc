//! Ansible: its settings, playbooks on a living lab, and what it makes of an inventory. Must not know what a playbook does.

pub mod access;
pub mod needs;
pub mod ping;
pub mod play;
pub mod prove;
pub mod run;
