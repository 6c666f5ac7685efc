//! The `lab` binary: parses arguments and hands over. Decides nothing itself.

fn main() {}
