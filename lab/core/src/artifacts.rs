//! Which of a cluster's files and images can be built here: from which Go modules and packages of Debian,
//! into which archives and images. Why the others cannot.
//!
//! Only data and decisions: [`parts`] is the table, [`plan`] judges a lock by it. It must not know of a store, a
//! compiler or a disk.

mod checksum;
mod go_module;
mod gpu_stack;
mod key;
pub mod lock;
mod modules;
mod parts;
mod plan;
mod table;
mod userland;
mod version;

pub use checksum::checksum_variable;
pub use go_module::{Upstream, go_mod};
pub use key::key;
pub use parts::{
    Content, Image, Kind, Member, Module, ModuleVersion, Part, Product, Program, Source, Stamp, Stamped, Stub,
};
pub use plan::{Entry, How, module_version, plan};
pub use table::{PARTS, part};
pub use userland::{PACKET_FILTER, Userland, UserlandFile};
pub use version::{of_file, of_image, staging};

#[cfg(test)]
mod tests;
