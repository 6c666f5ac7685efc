//! The life of a lab: what each command does to make the world match the spec, and to end it again.
//!
//! `lab_core::plan` decides, this room carries out. Every step is recorded before it is taken, so that
//! a command that was killed at any point is followed by one that goes on.

pub mod apply;
pub mod container;
pub mod destroy;
pub mod down;
pub mod gc;
pub mod image_use;
pub mod limits;
pub mod make;
pub mod observe;
pub mod offline;
mod place;
pub mod shell;
pub mod single;
pub mod stand_in;
pub mod status;
pub mod topology;
