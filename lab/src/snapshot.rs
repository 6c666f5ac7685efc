//! Snapshots: the state of a whole lab at one moment, to be restored later.
//!
//! A snapshot that is asked for copies nothing large: its machines are stopped, what a container wrote becomes a frozen layer
//! below what it writes from then on, and the disk of a virtual machine becomes the backing file of the one it goes on
//! with. One that a deploy keeps by itself is a copy, so that the new cluster goes on. A restored lab stands on the
//! snapshot's layers. Layers lie under `output/snapshots/layers/`, and are removed when no snapshot and no lab stands on them.
//! Whether a snapshot fits a cluster file is decided in `lab_core::snapshot`.

mod keep;
mod restore;
mod take;

pub use keep::{Copied, copy};
pub use restore::restore;
pub use take::{fresh_name, take};

/// How the names of snapshots begin that are kept by themselves, right after a deploy.
const KEPT: &str = "deployed-";
