//! Kubespray on this computer.

pub mod index;
