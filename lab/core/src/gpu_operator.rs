//! NVIDIA's GPU Operator: what is known of each version of its chart, and what a cluster asks of it.
//!
//! Decides values, labels, images and what must be there afterwards. Installs nothing and asks no cluster.

pub mod build;
mod chart;
mod images;
mod nodes;
mod planned;
#[cfg(test)]
mod tests;
mod traces;
pub mod values;

pub use chart::{Chart, ChartData, DEFAULT_VERSION, DaemonSet, Facts, Key, Kind, Support, VERSIONS, chart};
pub use images::{ChartImage, chart_url, images};
pub use nodes::{
    CONFIG_LABEL, EXCLUSIVE, MIG_LABEL, NodeMarks, RESOURCE, gpu_nodes, gpu_nodes_of, has_stand_ins,
    is_divisible, is_model, is_node, model, namespace_labels, node_labels, shared, unfit_nodes,
};
pub use planned::{Planned, PlannedDaemonSet, PlannedNode, RELEASE, planned};

pub use traces::{
    CHART, FIND_RUNTIME, HELM, NODE_FILES, TOOLKIT_DAEMON_SET, VALIDATOR, feature_labels, is_own_label, uuids,
};
pub use values::{render, values};

/// The folder of containerd's further configuration files.
pub const DROP_IN_FOLDER: &str = "/etc/containerd/conf.d";

/// The line of containerd's configuration that makes it read them.
pub fn containerd_imports() -> String {
    format!("imports = [\"{DROP_IN_FOLDER}/*.toml\"]")
}
