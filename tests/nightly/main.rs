//! What takes too long for every change: everything of a cluster, built for real; a cluster on an emulated
//! machine; deploys by those who live in Ansible.

mod ansible;
mod artifacts;
mod single;
