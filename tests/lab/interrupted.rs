//! Ctrl-C: once is a request, twice is an order.

use std::time::Duration;

use lab_tests::Checkout;
use lab_tests::cluster::Cluster;
use lab_tests::computer::{Computer, processes};
use lab_tests::redact;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long `up` may take to the step that is waited for.
const SOON: Duration = Duration::from_secs(300);
/// The exit code of a command that was asked to stop.
const INTERRUPTED: i32 = 130;

#[test]
fn up_stops_when_asked_and_says_what_is_left() {
    let checkout = Checkout::with(&Cluster::new("one", &["node"]));
    let before = Computer::look(checkout.root());
    let mut up = checkout.lab(&["up", "one"]).start();
    up.says("node: booting", SOON);
    up.press(Signal::SIGINT);
    let stopped = up.answer().code(INTERRUPTED);
    let from = stopped.stderr.find("stopping").expect("it says that it stops");
    redact::settings(&checkout.root().display().to_string())
        .bind(|| insta::assert_snapshot!(&stopped.stderr[from..]));
    assert_eq!(checkout.state("one", "node"), "starting");

    checkout.lab(&["up", "one"]).answer().ok();
    assert_eq!(checkout.on("one", "node", "echo reached"), "reached\n");
    checkout.destroy("one", &before);
}

#[test]
fn up_stops_at_once_when_asked_twice() {
    let checkout = Checkout::with(&Cluster::new("one", &["node"]).off());
    let before = Computer::look(checkout.root());
    checkout.lab(&["up", "one"]).answer().ok();
    // A libvirt that does not answer is a step that does not end.
    let found = processes(checkout.root()).into_iter().find(|(_, line)| line.starts_with("libvirtd "));
    let daemon = Pid::from_raw(found.expect("the host has a libvirtd").0);
    kill(daemon, Signal::SIGSTOP).unwrap();

    let mut up = checkout.lab(&["up", "one"]).start();
    up.listens_to_ctrl_c();
    up.press(Signal::SIGINT);
    up.says("press Ctrl-C again", Duration::from_secs(20));
    up.press(Signal::SIGINT);
    let stopped = up.answer().code(INTERRUPTED);
    insta::assert_snapshot!(stopped.stderr);

    // Nor does it keep a lab from being destroyed.
    checkout.destroy("one", &before);
}
