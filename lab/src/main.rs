//! The `lab` binary: parses arguments and hands over. Decides nothing itself.

mod files;
mod process;
mod wait;

fn main() {}
