//! Tests that take too long for every change: everything of a cluster, built for real; a cluster on an emulated machine;
//! deploys by those who live in Ansible and as plain Ansible does them; changes of clusters that have lived for a while.

mod ansible;
mod artifacts;
mod day_two;
mod e2e;
mod full_disk;
mod gpu;
mod join;
mod killed;
mod likeness;
mod only_rust;
mod recover;
mod single;
mod soak;
mod upgrade;
