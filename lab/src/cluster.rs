//! The Kubernetes cluster of a lab: the kubeconfig, and kubectl. Must not change the cluster.

pub mod deployed;
pub mod kubeconfig;
pub mod kubectl;
