//! `kill -9` at every recorded step on real machines: `up` goes on from there, and `destroy` leaves nothing. The same is
//! tested at every call of a fake in `lab/tests/cli/killed.rs`, and at three steps of real machines in `lab/killed.rs`.

use lab_tests::cluster::{Cluster, Machine};
use lab_tests::computer::Computer;
use lab_tests::run::KILLED;
use lab_tests::{Checkout, needs};

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
