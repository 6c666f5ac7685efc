//! A lab whose folder was removed by hand.

use std::time::Duration;

use lab_tests::cluster::Cluster;
use lab_tests::computer::{Computer, processes};
use lab_tests::wait::until;
use lab_tests::{Checkout, redact};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

fn lab_without_folder() -> (Checkout, Computer, Pid) {
    let checkout = Checkout::with(&Cluster::new("one", &["node"]).off());
    let before = Computer::look(checkout.root());
    checkout.lab(&["up", "one"]).answer().ok();
    let supervisor = Pid::from_raw(checkout.supervisor("one"));
    (checkout, before, supervisor)
}

#[test]
fn host_whose_folder_is_gone_ends_itself() {
    let (checkout, before, _) = lab_without_folder();
    std::fs::remove_dir_all(checkout.output("one")).unwrap();
    until("the end of the host", Duration::from_secs(30), || {
        processes(checkout.root()).is_empty().then_some(())
    });
    before.assert_nothing_new(checkout.root());
}

#[test]
fn host_whose_folder_is_gone_and_that_cannot_end_itself_is_found_and_ended() {
    let (checkout, before, supervisor) = lab_without_folder();
    kill(supervisor, Signal::SIGSTOP).unwrap();
    std::fs::remove_dir_all(checkout.output("one")).unwrap();

    let own = |text: &str| -> String {
        // Another user of this computer may have lost a lab as well.
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

#[test]
fn command_that_fails_before_there_is_a_machine_ends_the_host_that_it_started() {
    let checkout = Checkout::with_own_cache();
    let cluster = Cluster::new("one", &["node"]);
    checkout.write("one", &cluster.text());
    let before = Computer::look(checkout.root());
    // Nothing answers there, so that there is no image.
    let up = checkout.lab(&["up", "one"]).env("LAB_DEBIAN_MIRROR", "http://127.0.0.1:1/debian");
    let failed = up.answer().code(10);
    assert!(failed.stderr.contains("left behind: no machine\n"), "{failed}");
    before.assert_nothing_new(checkout.root());
    checkout.destroy("one", &before);
}
