//! Needs of checks and of our own tests, as data: a need that is not met becomes a skip with its reason. The runner of a check
//! or a test finds out whether a need is met.

/// Something that has to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// The program runs as root.
    Root,
    /// Machines can be containers on this computer.
    Containers,
    /// Kubespray can be fetched.
    Kubespray,
    /// A registry that serves images: Docker's own program.
    Registry,
    /// CMake.
    CMake,
    /// Make.
    Make,
    /// The cluster has two nodes.
    TwoNodes,
    /// The cluster has metrics-server.
    MetricsServer,
    /// Pods of the checks run on every node.
    Probes,
    /// The cluster has the GPU Operator.
    GpuOperator,
    /// Some GPU of the cluster is divided into slices of time.
    SharedGpus,
    /// Metrics of GPUs are exported.
    GpuExporter,
    /// The GPUs run CUDA programs.
    Cuda,
}
