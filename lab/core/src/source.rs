//! Files that people write, read so that every value knows where it stands; and their mistakes, as findings
//! and as text.
//!
//! Owns YAML with places, findings with their codes, the nearest right word. Knows nothing of
//! clusters or of Kubespray.

pub(crate) mod brackets;
mod code;
mod finding;
mod render;
pub mod suggest;
pub(crate) mod yaml;

pub use code::Code;
pub use finding::{Finding, Place, Related, Severity, Span};
pub(crate) use finding::{Findings, Lines};
pub use render::{render, render_files};

/// A file as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// As messages should show it.
    pub path: String,
    /// All of it.
    pub text: String,
}
