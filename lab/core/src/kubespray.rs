//! The input of Kubespray and of every program that logs in to the machines, and facts about Kubespray
//! itself.

mod access;
mod ansible;
pub mod events;
mod groups;
pub mod index;
mod inventory;
pub mod prove;
pub mod read;
mod release;
pub(crate) mod render;
mod setting;
mod yaml;

pub use access::{Access, AccessError, known_hosts, ssh_config};
pub use ansible::AnsibleSettings;
pub use groups::{Group, Groups, Host, Values};
pub use inventory::Login;
pub use release::{
    AnsibleRange, DEFAULT_RELEASE, OLDEST_READABLE, Pythons, RELEASES, Release, TAGS, Version, is_too_old,
    other_release, release,
};
pub use render::{
    ARTIFACTS_FILE, ArtifactsFile, Files, OwnBuild, Served, artifacts_file, is_file_root, made_for, render,
    repository_of, settings,
};
pub use setting::{Origin, Scope, Setting};

#[cfg(test)]
mod tests;
