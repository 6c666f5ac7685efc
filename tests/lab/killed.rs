//! `kill -9` on real machines: of `up` at three steps, of the lab's libvirtd, and of its host.

use std::time::Duration;

use lab_tests::cluster::{BOOT, Cluster};
use lab_tests::computer::{Computer, processes};
use lab_tests::run::KILLED;
use lab_tests::wait::until;
use lab_tests::{Checkout, needs};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

#[test]
fn up_goes_on_and_destroy_leaves_nothing_after_kills() {
    kill_at_three_steps("vm");
}

#[test]
fn up_goes_on_and_destroy_leaves_nothing_of_containers_after_kills() {
    needs!(Containers);
    kill_at_three_steps("container");
}

/// Where the network, a disk and a running machine are left half way.
const STEPS: [&str; 3] =
    ["network/start:before", "machine/node/define-domain:before", "machine/node/start:after"];

fn kill_at_three_steps(kind: &'static str) {
    let checkout = Checkout::with(&Cluster::new("killed", &["node"]).kind(kind));
    let before = Computer::look(checkout.root());
    let kill_at = |step: &str| {
        checkout.lab(&["up", "killed"]).env("LAB_TEST_KILL_AT", step).answer().code(KILLED);
    };
    STEPS.into_iter().for_each(kill_at);
    checkout.lab(&["up", "killed"]).answer().ok();
    assert_eq!(checkout.on("killed", "node", "echo reached"), "reached\n");
    let again = checkout.lab(&["up", "killed"]).answer().ok();
    assert!(again.stderr.contains("nothing to do"), "{again}");
    checkout.destroy("killed", &before);
    for step in STEPS {
        kill_at(step);
        checkout.destroy("killed", &before);
    }
}

#[test]
fn lab_survives_death_of_its_libvirtd_and_host() {
    survives("vm");
}

#[test]
fn containers_survive_the_death_of_their_libvirtd_and_of_their_host() {
    needs!(Containers);
    survives("container");
}

fn survives(kind: &'static str) {
    let checkout = Checkout::with(&Cluster::new("host", &["node"]).kind(kind));
    let before = Computer::look(checkout.root());
    checkout.lab(&["up", "host"]).answer().ok();
    let boot = || checkout.on("host", "node", BOOT);
    let first = boot();

    // libvirtd alone: the machine goes on, and is found again by the next one.
    let daemons = || -> Vec<i32> {
        let found = processes(checkout.root()).into_iter();
        found.filter(|(_, line)| line.starts_with("libvirtd ")).map(|(pid, _)| pid).collect()
    };
    let [daemon] = daemons()[..] else { panic!("not one libvirtd: {:?}", daemons()) };
    kill(Pid::from_raw(daemon), Signal::SIGKILL).unwrap();
    let runs = || {
        let status = checkout.lab(&["vm", "status", "node", "--cluster", "host"]).answer();
        (status.code == 0).then_some(())
    };
    until("the next libvirtd", Duration::from_secs(60), runs);
    assert_ne!(daemons(), [daemon]);
    assert_eq!(boot(), first, "the machine went on");
    let again = checkout.lab(&["up", "host"]).answer().ok();
    assert!(again.stderr.contains("nothing to do"), "{again}");

    // The whole host: everything in it goes, and `up` begins again.
    kill(Pid::from_raw(checkout.supervisor("host")), Signal::SIGKILL).unwrap();
    until("the end of the host", Duration::from_secs(60), || {
        processes(checkout.root()).is_empty().then_some(())
    });
    assert_eq!(checkout.state("host", "node"), "off");
    checkout.lab(&["up", "host"]).answer().ok();
    assert_ne!(boot(), first);

    // And destroyed right after its death.
    kill(Pid::from_raw(checkout.supervisor("host")), Signal::SIGKILL).unwrap();
    checkout.destroy("host", &before);
}
