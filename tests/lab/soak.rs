//! A short soak of the commands on a small lab; `cargo xtask soak` has the long one.

use std::time::{Duration, SystemTime};

use lab_tests::needs;
use lab_tests::soak::{named, soak, table};

#[test]
fn commands_killed_at_random_moments_go_on() {
    needs!(Containers);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let seed = now.subsec_nanos().into();
    let subjects = ["up", "down", "destroy", "snapshot", "restore"].map(|name| named(name).unwrap());
    let (rows, skipped) = soak(&subjects, seed, Duration::ZERO, 2);
    assert!(rows.iter().all(|row| row.is_good()), "seed {seed}\n{}", table(&rows, &skipped));
}
