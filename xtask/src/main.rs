//! `cargo xtask`: the table of contents of everything this project can do.

fn main() {}
