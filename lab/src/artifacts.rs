//! Artefacts: every file and container image that a deploy needs, in one store of this checkout.
//!
//! `store` keeps them by digest and knows nothing of where they come from. What is needed says the lock of a cluster.

#![allow(dead_code, unused_imports, reason = "the commands that use it follow")]

pub mod build;
pub mod store;
