//! What takes too long for every change: everything of a cluster, built for real, and what is done to clusters that have
//! been there for a while.

mod artifacts;
mod recover;
mod upgrade;
