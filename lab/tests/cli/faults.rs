//! A provider that fails, hangs, or loses its connection, and machines that die: what people see, and that the same command
//! goes on afterwards.

use std::time::Duration;

use lab_tests::cluster::Cluster;
use lab_tests::redact;
use nix::sys::signal::Signal;
use rstest::rstest;

/// How long a command may take to a line that a test waits for.
const SOON: Duration = Duration::from_secs(60);

#[rstest]
#[case::network_is_refused("define_network=fail")]
#[case::disk_is_refused("create_volume=fail")]
#[case::machine_is_refused("define_domain=fail")]
#[case::machine_does_not_start("start_domain=fail")]
#[case::machine_ends_at_once("start_domain=end")]
#[case::kernel_panics("start_domain=panic")]
#[case::connection_is_lost("start_network=lose")]
#[case::host_does_not_answer("domains=fail")]
fn up_says_what_failed_and_goes_on(#[case] fault: &str) {
    let checkout = super::checkout(&Cluster::new("one", &["node"]));
    let failed = checkout.lab(&["up", "one"]).env("LAB_TEST_FAULTS", fault).answer();
    let name = fault.replace(['=', '_'], "-");
    redact::transcript(&checkout.root().display().to_string())
        .bind(|| insta::assert_snapshot!(name, failed.to_string()));
    checkout.lab(&["up", "one"]).answer().ok();
    assert_eq!(checkout.state("one", "node"), "running");
}

#[test]
fn down_takes_the_power_of_a_machine_whose_button_cannot_be_pressed() {
    let checkout = super::checkout(&Cluster::new("one", &["node"]));
    checkout.lab(&["up", "one"]).answer().ok();
    let down = checkout.lab(&["down", "one"]).env("LAB_TEST_FAULTS", "shut_down_domain=fail").answer().ok();
    assert!(
        down.stderr.contains("`shut_down_domain` fails, as the test demands; taking its power"),
        "{down}"
    );
    assert_eq!(checkout.state("one", "node"), "off");
}

#[test]
fn up_whose_provider_hangs_stops_when_interrupted_twice() {
    let checkout = super::checkout(&Cluster::new("one", &["node"]));
    let mut up = checkout.lab(&["up", "one"]).env("LAB_TEST_FAULTS", "start_domain=hang").start();
    up.says("node: starting", SOON);
    up.press(Signal::SIGINT);
    up.says("press Ctrl-C again", SOON);
    up.press(Signal::SIGINT);
    up.answer().code(130);
    checkout.lab(&["up", "one"]).answer().ok();
    assert_eq!(checkout.state("one", "node"), "running");
}
