//! The life of a lab: what each command does to make the world match the spec, and to end it again.
//!
//! `lab_core::plan` decides, this room carries out. Every step is recorded before it is taken, so that
//! a command that was killed at any point is followed by one that goes on.

pub mod access;
pub mod apply;
pub mod connections;
pub mod console;
pub mod container;
pub mod destroy;
pub mod down;
pub mod gc;
pub mod image_use;
pub mod keys;
pub mod lab;
pub mod limits;
pub mod observe;
pub mod offline;
mod place;
pub mod reach;
pub mod shell;
pub mod single;
pub mod state;
pub mod status;
pub mod topology;
pub mod up;
