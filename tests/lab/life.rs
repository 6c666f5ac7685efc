//! One machine from nothing to nothing.

use std::time::Duration;

use lab_tests::Checkout;
use lab_tests::cluster::Cluster;
use lab_tests::computer::Computer;

#[test]
fn a_machine_is_reached_and_leaves_nothing() {
    let checkout = Checkout::with(&Cluster::new("one", &["node"]));
    let before = Computer::look(checkout.root());

    checkout.lab(&["up", "one"]).answer().ok();

    let again = checkout.lab(&["up", "one"]).answer().ok();
    assert!(again.stderr.contains("nothing to do"), "{again}");
    assert!(again.took < Duration::from_secs(1), "a second `up` took {:?}", again.took);

    checkout.lab(&["destroy", "one"]).answer().ok();
    assert_eq!(checkout.left(), Vec::<String>::new());
    before.assert_nothing_new(checkout.root());
}
