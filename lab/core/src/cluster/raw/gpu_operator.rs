//! The GPU Operator of a cluster file, as written.

use crate::cluster::decode::placed::PlacedMap;
use crate::cluster::decode::{List, Located, Optional, Read, record};
use crate::cluster::names::MachineName;
use crate::cluster::scalars::Model;
use crate::cluster::scalars::gpu_operator::{ChartUrl, ChartVersion, Namespace, Replicas, Sha256};
use crate::spec::{GpuDriver, GpuRuntime, MigStrategy};

record! {
    /// NVIDIA's GPU Operator, which makes GPUs usable for pods. Left out, the cluster has none.
    struct GpuOperator("gpu_operator") {
        /// The version of its chart.
        #[schemars(extend("default" = "v25.3.4"))]
        version: Optional<Located<ChartVersion>>,
        /// The namespace of the operator and of all that it makes; one of its own.
        #[schemars(extend("default" = "gpu-operator"))]
        namespace: Optional<Located<Namespace>>,
        /// Where the chart comes from. Default: NVIDIA's repository of charts.
        chart: Optional<ChartFile>,
        /// Where the driver comes from: it is in the image of the machine (`host`), or the operator installs it
        /// from a container (`container`), of which there is none for Debian.
        #[schemars(extend("default" = "host"))]
        driver: Optional<Located<GpuDriver>>,
        /// How containers get their GPUs: by a runtime that is added to containerd's configuration (`toolkit`), or by
        /// a plugin of containerd (`nri`). Default: `nri` where the chart has it, so since v26.3.
        runtime: Optional<Located<GpuRuntime>>,
        /// Machines that divide each of their GPUs into time slices. All others give each GPU to one pod.
        sharing: Optional<List<Sharing>>,
        /// How parts of divided GPUs (MIG) are offered: not at all (`none`), as whole GPUs (`single`), or each size
        /// as a resource of its own (`mixed`).
        #[schemars(extend("default" = "none"))]
        mig: Optional<Located<MigStrategy>>,
        /// Metrics of GPUs.
        monitoring: Optional<Monitoring>,
        /// Values of the chart, merged over those that are rendered, as helm merges them: lists are replaced.
        values: Optional<PlacedMap>,
    }
}

record! {
    /// A packed chart.
    struct ChartFile("a chart") {
        /// Where it is downloaded from.
        url: Read<Located<ChartUrl>>,
        /// SHA-256 of the file, as `sha256sum` prints it.
        sha256: Read<Located<Sha256>>,
    }
}

record! {
    /// Machines that divide each of their GPUs into time slices: by their names, or all with one model.
    struct Sharing("sharing") {
        /// Names of machines.
        machines: Optional<List<Located<MachineName>>>,
        /// Text that the model's name contains: `Tesla T4`.
        model: Optional<Located<Model>>,
        /// Time slices of each GPU. So many pods share it, without limits of memory between them.
        replicas: Read<Located<Replicas>>,
    }
}

record! {
    /// Metrics of GPUs.
    struct Monitoring("monitoring") {
        /// Whether an exporter runs on each machine with a GPU.
        #[schemars(extend("default" = true))]
        exporter: Optional<Located<bool>>,
        /// Whether Prometheus' operator is asked to collect them. Before v26.7.0, the GPU Operator never gets ready
        /// where Prometheus' operator is missing.
        #[schemars(extend("default" = false))]
        service_monitor: Optional<Located<bool>>,
    }
}
