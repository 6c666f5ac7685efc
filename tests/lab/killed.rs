//! `kill -9` at every recorded step: `up` goes on from there, and `destroy` leaves nothing.

use std::time::Duration;

use lab_tests::cluster::{BOOT, Cluster, Machine};
use lab_tests::computer::{Computer, processes};
use lab_tests::wait::until;
use lab_tests::{Checkout, needs};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The exit code of a program that SIGKILL ended.
const KILLED: i32 = 128 + 9;

/// Every point at which `up` can be killed now: the ids of the plan's steps, in the order in which they are taken.
fn points(checkout: &Checkout, cluster: &str) -> Vec<String> {
    let plan = checkout.lab(&["plan", cluster, "--json"]).answer().ok().json();
    let machines = plan["machines"].as_array().unwrap();
    let of_machines = |list: &'static str| {
        machines.iter().flat_map(move |machine| machine[list].as_array().unwrap().clone())
    };
    let steps = of_machines("before")
        .chain(plan["network"]["steps"].as_array().unwrap().clone())
        .chain(of_machines("steps"))
        .map(|step| step["id"].as_str().unwrap().to_owned());
    steps.flat_map(|id| [format!("{id}:before"), format!("{id}:after")]).collect()
}

/// Kills one `up` after the other, each one point further.
fn kill_at_each(checkout: &Checkout, cluster: &str, points: &[String]) {
    for point in points {
        let up = checkout.lab(&["up", cluster, "--yes"]).env("LAB_TEST_KILL_AT", point).answer();
        assert_eq!(up.code, KILLED, "`up` was not killed at {point}: {up}");
    }
}

#[test]
fn up_goes_on_wherever_it_was_killed() {
    up_goes_on("vm");
}

#[test]
fn up_goes_on_with_containers_wherever_it_was_killed() {
    needs!(Containers);
    up_goes_on("container");
}

fn up_goes_on(kind: &'static str) {
    let mut cluster = Cluster::new("killed", &["node"]).kind(kind);
    let checkout = Checkout::with(&cluster);
    let before = Computer::look(checkout.root());

    let made = points(&checkout, "killed");
    assert!(made.len() >= 12, "a plan from nothing has more steps than {made:?}");
    kill_at_each(&checkout, "killed", &made);
    checkout.lab(&["up", "killed"]).answer().ok();
    assert_eq!(checkout.on("killed", "node", "echo reached"), "reached\n");

    // A machine that comes, and is not started.
    cluster.machines.push(Machine::off("second"));
    checkout.write("killed", &cluster.text());
    let added = points(&checkout, "killed");
    assert!(added.iter().any(|point| point == "network/update-hosts:after"), "{added:?}");
    kill_at_each(&checkout, "killed", &added);
    checkout.lab(&["up", "killed"]).answer().ok();
    assert_eq!(checkout.state("killed", "second"), "off");

    // It goes again.
    cluster.machines.pop();
    checkout.write("killed", &cluster.text());
    let removed = points(&checkout, "killed");
    assert!(removed.iter().any(|point| point == "machine/second/remove-domain:after"), "{removed:?}");
    kill_at_each(&checkout, "killed", &removed);
    checkout.lab(&["up", "killed"]).answer().ok();

    // The other one is changed.
    cluster.machines[0].memory = "2304MiB".to_owned();
    checkout.write("killed", &cluster.text());
    let changed = points(&checkout, "killed");
    assert!(changed.iter().any(|point| point == "machine/node/stop:before"), "{changed:?}");
    kill_at_each(&checkout, "killed", &changed);
    checkout.lab(&["up", "killed"]).answer().ok();
    assert_eq!(checkout.on("killed", "node", "echo reached"), "reached\n");
    let again = checkout.lab(&["up", "killed"]).answer().ok();
    assert!(again.stderr.contains("nothing to do"), "{again}");
    checkout.destroy("killed", &before);
}

#[test]
fn destroy_leaves_nothing_wherever_up_was_killed() {
    destroy_leaves_nothing("vm");
}

#[test]
fn destroy_leaves_nothing_of_containers_wherever_up_was_killed() {
    needs!(Containers);
    destroy_leaves_nothing("container");
}

fn destroy_leaves_nothing(kind: &'static str) {
    let checkout = Checkout::with(&Cluster::new("killed", &["node"]).kind(kind));
    let before = Computer::look(checkout.root());
    for point in points(&checkout, "killed") {
        kill_at_each(&checkout, "killed", std::slice::from_ref(&point));
        eprintln!("killed at {point}");
        checkout.destroy("killed", &before);
    }
}

#[test]
fn a_lab_survives_the_death_of_its_libvirtd_and_of_its_host() {
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

    // The whole host: everything in it goes, and `up` begins anew.
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
