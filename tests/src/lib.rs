//! The common parts of tests of whole labs: a checkout of their own, running programs, waiting, what a computer
//! looks like before and after.
//!
//! The tests themselves are in `tools/` (real tools, no machine), `kubespray/` (real Kubespray, no machine), `api/` (a real
//! control plane, no machine) and `lab/` (real machines).

pub mod checkout;
pub mod cluster;
pub mod computer;
pub mod control_plane;
pub mod disk;
pub mod gpu_cluster;
pub mod instances;
pub mod kubespray;
pub mod living;
pub mod other_user;
pub mod own_builds;
pub mod redact;
pub mod run;
pub mod skip;
pub mod soak;
pub mod stand_ins;
pub mod terminal;
pub mod wait;

pub use checkout::Checkout;
pub use living::Living;
pub use run::{Answer, Run, run};
