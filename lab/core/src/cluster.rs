//! The cluster file: text to a checked [`ClusterSpec`], or to findings that a person can act on.
//!
//! The way of a file: [`crate::source`] makes a tree that knows where everything stands, `decode` makes records
//! of it by the declarations in `raw`, with the single values of `scalars` and `names`; `rules`
//! judges the values against one another and makes the spec. Every step goes on after a mistake,
//! so that one check reports all. Nothing here prints; [`crate::source::render`] makes text.

use crate::host::HostFacts;
use crate::source::{Code, Finding, Findings, SourceFile, Span, yaml};
use crate::spec::ClusterSpec;

mod decode;
mod locate;
pub(crate) mod names;
mod raw;
mod rules;
mod scalars;
mod schema;
#[cfg(test)]
mod tests;

pub use locate::{Located, Places};
pub use rules::BASE_DISK;
pub use schema::schema;

/// The result of checking a cluster file.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// There exactly if no finding is an error.
    pub spec: Option<ClusterSpec>,
    /// In the order of the file.
    pub findings: Vec<Finding>,
}

/// Checks a cluster file. With `facts`, also against the computer it is meant for.
pub fn check(source: &SourceFile, facts: Option<&HostFacts>) -> Checked {
    let mut findings = Findings::default();
    let spec = read(&source.text, facts, &mut findings);
    let spec = if findings.has_errors() { None } else { spec };
    Checked { spec, findings: findings.finish(&source.text) }
}

fn read(text: &str, facts: Option<&HostFacts>, findings: &mut Findings) -> Option<ClusterSpec> {
    let tree = yaml::parse(text, findings)?;
    if matches!(tree.value, yaml::Value::Null) {
        findings
            .error(Code::EmptyFile, Span { start: 0, end: 0 }, "there is nothing in the cluster file")
            .hint("start from a copy of inventories/dev/cluster.yaml");
        return None;
    }
    let file = <raw::Cluster as decode::Decode>::decode(&tree, findings)?;
    rules::resolve(&file, facts, findings)
}
