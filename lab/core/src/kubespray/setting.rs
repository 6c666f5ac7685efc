//! One variable that an inventory sets: rendering writes it and the lint judges it.
//!
//! Both work on these, whether they come from a cluster file or from an inventory of another author, so that
//! there is one set of rules.

use crate::source::Span;

/// One variable that an inventory sets.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// For whom.
    pub scope: Scope,
    /// The variable.
    pub name: String,
    /// Its value, as Ansible would read it.
    pub value: serde_json::Value,
    /// Where the value comes from.
    pub origin: Origin,
}

/// For whom a variable is set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// For the machines of an inventory group.
    Group(String),
    /// For one machine.
    Host(String),
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A key of the cluster file, with the names of machines for their numbers:
    /// `kubernetes.network.mtu`, `machines.gpu-worker-1.labels`.
    ClusterFile(String),
    /// The harness sets it for every lab; the words say why.
    Harness(&'static str),
    /// A place in one of the files of an inventory.
    File {
        /// The number of the file.
        file: usize,
        /// Where the variable's name stands.
        name: Span,
        /// Where its value stands.
        value: Span,
    },
}
