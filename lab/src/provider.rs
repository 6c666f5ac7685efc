//! What makes and removes the resources of a lab. One provider, libvirt; it decides nothing.

pub mod libvirt;
