//! Two labs side by side, with the same subnet.

use lab_tests::Checkout;
use lab_tests::cluster::Cluster;
use lab_tests::computer::Computer;

#[test]
fn two_labs_with_one_subnet_do_not_know_of_each_other() {
    let checkout = Checkout::with(&Cluster::new("left", &["node"]));
    checkout.write("right", &Cluster::new("right", &["node"]).text());
    let before = Computer::look(checkout.root());
    let [left, right] = ["left", "right"].map(|name| checkout.lab(&["up", name]).start());
    left.answer().ok();
    right.answer().ok();

    let id = |name| {
        checkout.on(
            name,
            "node",
            "cat /etc/machine-id; ip -4 -brief address show scope global | tr -s ' ' | cut -d' ' -f3",
        )
    };
    let (left, right) = (id("left"), id("right"));
    assert_ne!(left, right, "they are different machines");
    assert!(
        left.ends_with("\n192.168.200.10/24\n") && right.ends_with("\n192.168.200.10/24\n"),
        "{left}{right}"
    );

    checkout.lab(&["destroy", "left"]).answer().ok();
    assert_eq!(checkout.state("left", "node"), "absent");
    assert_eq!(id("right"), right, "the other lab goes on");
    checkout.destroy("right", &before);
}
