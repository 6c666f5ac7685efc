//! What checks of a cluster and tests of ours need: data, so that what is not met is told as a skip with its reason. Who
//! runs them finds out whether a need is met.

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
}
