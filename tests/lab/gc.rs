//! What is left when somebody removes a lab's folder by hand.

use lab_tests::cluster::Cluster;
use lab_tests::computer::Computer;
use lab_tests::{Checkout, redact};

#[test]
fn a_host_whose_folder_is_gone_is_found_and_ended() {
    let checkout = Checkout::with(&Cluster::new("one", &["node"]).off());
    let before = Computer::look(checkout.root());
    checkout.lab(&["up", "one"]).answer().ok();
    std::fs::remove_dir_all(checkout.output("one")).unwrap();

    let own = |text: &str| -> String {
        // Somebody else may have lost a lab on this computer as well.
        let root = checkout.root().display().to_string();
        text.lines().filter(|line| line.contains(&root)).collect()
    };
    let found = checkout.lab(&["gc"]).answer().code(40);
    redact::settings(&checkout.root().display().to_string())
        .bind(|| insta::assert_snapshot!(own(&found.stdout)));
    checkout.lab(&["gc", "--remove"]).answer().ok();
    assert_eq!(own(&checkout.lab(&["gc"]).answer().stdout), "");
    assert_eq!(checkout.left(), Vec::<String>::new());
    before.assert_nothing_new(checkout.root());
}
