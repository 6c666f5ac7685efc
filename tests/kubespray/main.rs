//! Real Kubespray, real git, real pip, no machine: fetching, proving what Kubespray is given, its own checks.

mod fetch;
mod index;
