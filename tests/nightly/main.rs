//! What takes too long for every change: everything of a cluster, built for real.

mod artifacts;
