//! The NVIDIA GPU Operator of a cluster file, checked: which chart, and what it is asked to do.

use std::collections::BTreeMap;

use serde::Serialize;

use super::kubernetes::words;

/// The GPU Operator of a cluster.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GpuOperatorSpec {
    /// The version of the chart, `v25.3.4`: one of [`crate::gpu_operator::VERSIONS`].
    pub version: String,
    /// The namespace of the operator and of everything that it makes.
    pub namespace: String,
    /// The file that the chart comes from; NVIDIA's repository of charts where `None`.
    pub chart: Option<ChartFile>,
    /// Where the driver of the GPUs comes from.
    pub driver: GpuDriver,
    /// How containers get their GPUs.
    pub runtime: GpuRuntime,
    /// Time slices of each GPU by the name of its machine, two or more. A machine that is not here gives each of
    /// its GPUs to one pod.
    pub sharing: BTreeMap<String, u32>,
    /// How parts of divided GPUs are offered.
    pub mig: MigStrategy,
    /// Metrics of GPUs.
    pub monitoring: GpuMonitoring,
    /// Values of the user's own, merged over the rendered ones.
    pub values: serde_json::Map<String, serde_json::Value>,
}

/// A packed chart, checked before it is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChartFile {
    /// An http or https URL.
    pub url: String,
    /// Lower-case hexadecimal SHA-256 of the file.
    pub sha256: String,
}

/// Metrics of GPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct GpuMonitoring {
    /// Whether an exporter runs on each machine with a GPU.
    pub exporter: bool,
    /// Whether Prometheus' operator is asked to collect what it exports.
    pub service_monitor: bool,
}

words! {
    /// Where the driver of the GPUs comes from.
    GpuDriver {
        /// It is in the image of the machine.
        Host = "host",
        /// The operator installs it from a container. No such container exists for Debian.
        Container = "container",
    }
}

words! {
    /// How containers get their GPUs.
    GpuRuntime {
        /// The container toolkit adds a runtime to containerd's configuration.
        Toolkit = "toolkit",
        /// The container toolkit is a plugin of containerd (NRI), whose configuration stays as it is.
        Nri = "nri",
    }
}

words! {
    /// How parts of divided GPUs are offered. The words are those of the chart's `mig.strategy`.
    MigStrategy {
        /// GPUs are not divided.
        None = "none",
        /// All parts on a machine are alike, and are offered as whole GPUs.
        Single = "single",
        /// Each size of a part is a resource of its own.
        Mixed = "mixed",
    }
}
