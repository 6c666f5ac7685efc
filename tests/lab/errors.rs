//! What people are told when something is not as the lab needs it: the whole of both streams, and the exit code.

use std::fs::{self, File};

use lab_tests::cluster::Cluster;
use lab_tests::{Checkout, redact};
use rstest::rstest;

/// Compares what was said with the snapshot of this name.
fn assert_said(checkout: &Checkout, name: &str, words: &[&str]) {
    let said = checkout.lab(words).answer();
    redact::settings(&checkout.root().display().to_string())
        .bind(|| insta::assert_snapshot!(name, format!("$ lab {}\n{said}", words.join(" "))));
}

#[test]
fn a_lab_that_was_never_up_is_destroyed_by_the_path_of_its_file_and_the_file_stays() {
    let checkout = Checkout::with(&Cluster::new("one", &["node"]));
    let file = checkout.root().join("inventories/one/cluster.yaml");
    let before = std::fs::read(&file).unwrap();
    let said = checkout.lab(&["destroy", file.to_str().unwrap()]).answer().ok();
    assert!(said.stderr.contains("there is no lab `one`"), "{said}");
    assert_eq!(std::fs::read(&file).unwrap(), before);
}

#[rstest]
#[case::an_unknown_cluster("unknown_cluster", &["up", "nowhere"])]
#[case::a_lab_that_is_not_there_to_look_at("status_of_nothing", &["status", "one"])]
#[case::a_lab_that_is_not_there_to_stop("down_of_nothing", &["down", "one"])]
#[case::a_lab_that_is_not_there_to_destroy("destroy_of_nothing", &["destroy", "one"])]
#[case::an_unknown_lab_to_destroy("destroy_of_an_unknown_lab", &["destroy", "nowhere"])]
#[case::an_unknown_machine("unknown_machine", &["ssh", "nod", "--cluster", "one"])]
#[case::a_machine_of_a_lab_that_does_not_run("ssh_to_nothing", &["ssh", "node", "--cluster", "one"])]
#[case::one_machine_of_a_lab_that_does_not_run("stop_of_nothing", &["vm", "stop", "node", "--cluster", "one"])]
#[case::the_log_of_nothing("logs_of_nothing", &["logs", "node", "--cluster", "one"])]
#[case::a_wrong_port("wrong_port", &["proxy", "node:ssh", "--cluster", "one"])]
fn what_cannot_be_done_is_told(#[case] name: &str, #[case] words: &[&str]) {
    let checkout = Checkout::with(&Cluster::new("one", &["node"]));
    assert_said(&checkout, name, words);
    assert_eq!(checkout.left(), Vec::<String>::new(), "nothing was made");
}

#[test]
fn all_mistakes_of_a_cluster_file_are_told_at_once() {
    let checkout = Checkout::new();
    let text = Cluster::new("one", &["node", "node"]).text();
    let text = text.replace("2GiB", "2 gigs").replace("auto_start", "autostart").replace("/24", "/33");
    checkout.write("one", &text);
    assert_said(&checkout, "mistakes_in_a_cluster_file", &["up", "one"]);
    assert_eq!(checkout.left(), Vec::<String>::new(), "nothing was made");
}

#[test]
fn two_commands_do_not_change_one_lab_at_once() {
    let checkout = Checkout::with(&Cluster::new("one", &["node"]).off());
    checkout.lab(&["up", "one"]).answer().ok();
    let held = File::create(checkout.output("one").join("lock")).unwrap();
    held.lock().unwrap();
    assert_said(&checkout, "up_of_a_lab_that_is_held", &["up", "one"]);
    assert_said(&checkout, "destroy_of_a_lab_that_is_held", &["destroy", "one"]);
    assert_said(
        &checkout,
        "stop_of_a_machine_of_a_lab_that_is_held",
        &["vm", "stop", "node", "--cluster", "one"],
    );
    assert_eq!(checkout.state("one", "node"), "off", "to look needs no lock");
}

#[test]
fn a_lab_with_a_damaged_state_can_still_be_removed() {
    let checkout = Checkout::with(&Cluster::new("one", &["node"]));
    fs::write(checkout.make_output("one").join("state.json"), "{").unwrap();
    assert_said(&checkout, "up_with_a_damaged_state", &["up", "one"]);
    checkout.lab(&["destroy", "one"]).answer().ok();
    assert_eq!(checkout.left(), Vec::<String>::new());
}
