//! Artefacts: every file and container image that a deploy needs, in one store of this checkout.
//!
//! `lock` lists the needed artefacts. `store` keeps them by digest and knows no origin. `look` compares the two.
//! `fetch`, `bundle` and builds fill the store, `serve` gives its contents to machines, `verify` and `gc` maintain it.
//! See docs/artifacts.md.

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
