//! The store of artefacts and its sources: real compilers, and real servers on this computer's loopback. It is killed,
//! cut off, filled up and corrupted. No machine.

mod broken;
mod build;
mod bundle;
mod fetch;
mod gc;
mod registry;
mod server;
mod site;
