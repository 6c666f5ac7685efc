//! The real `lab` against stand-ins: every command with good and bad words, exit codes, JSON, and the end of the program at
//! every call of its provider. Starts no machine and no daemon, needs no network and no root.

mod errors;
mod faults;
mod killed;
mod stories;
mod words;

use std::path::Path;

use lab_tests::cluster::Cluster;
use lab_tests::{Checkout, stand_ins};

/// A checkout with stand-ins, a cluster file and the image that it asks for.
fn checkout(cluster: &Cluster) -> Checkout {
    let checkout = Checkout::with_stand_ins(Path::new(env!("CARGO_BIN_EXE_lab")));
    checkout.write(&cluster.name, &cluster.text());
    stand_ins::add_image(&checkout, &cluster.name);
    checkout
}
