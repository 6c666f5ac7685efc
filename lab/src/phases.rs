//! Whole commands as lists of what the other rooms do: `up`, `cloud start`, `e2e`. Must not do a step itself.

pub mod cloud;
pub mod e2e;
pub mod up;
