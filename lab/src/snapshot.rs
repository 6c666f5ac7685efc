//! Snapshots: a whole lab as it was, all machines stopped, and brought back later.
//!
//! Nothing is copied that is large. What a container wrote becomes a frozen layer below what it writes from then on, and the
//! disk of a virtual machine becomes the backing file of the one it goes on with; a restored lab stands on the same
//! layers. Layers lie under `output/snapshots/layers/`, and are removed when no snapshot and no lab stands on them.
//! Whether a snapshot fits a cluster file is decided in `lab_core::snapshot`.

mod digest;
mod layers;
mod restore;
mod store;
mod take;

pub use restore::restore;
pub use store::{Shown, find, hold, image_of, kept_of_deploy, list, make_room, remove, sweep, table, verify};
pub use take::{fresh_name, take};

/// How the names of snapshots begin that are kept by themselves, right after a deploy.
pub const KEPT: &str = "deployed-";
