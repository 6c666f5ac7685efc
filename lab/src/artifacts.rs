//! Artefacts: every file and container image that a deploy needs, in one store of this checkout.
//!
//! `lock` says what is needed, `store` keeps it by digest and knows nothing of where it comes from, `look` compares the two.
//! `fetch`, `bundle` and builds fill the store; `serve` gives machines what is there; `verify` and `gc` look after it. See docs/artifacts.md.

pub mod build;
pub mod bundle;
pub mod fetch;
pub mod gc;
pub mod list;
pub mod lock;
pub mod look;
pub mod serve;
#[allow(dead_code, reason = "what builds and serves artefacts uses the rest of it")]
pub mod store;
pub mod verify;
