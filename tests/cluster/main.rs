//! A whole real Kubernetes: `quick`, its three machines as containers, deployed by Kubespray from own builds.
//!
//! A deploy takes minutes, so one test does all that needs the same cluster.

mod cloud;
mod quick;
mod snapshot;
