//! A lab that changes: machines stopped and started, resized, added, removed; all of it stopped and begun
//! again, with the content of its disks.

use lab_tests::cluster::{BOOT, Cluster, Machine};
use lab_tests::computer::Computer;
use lab_tests::{Checkout, needs};

#[test]
fn machines_come_and_go_and_keep_their_data() {
    come_and_go("vm");
}

#[test]
fn containers_come_and_go_and_keep_their_data() {
    needs!(Containers);
    come_and_go("container");
}

fn come_and_go(kind: &'static str) {
    let mut cluster = Cluster::new("two", &["node"]).kind(kind);
    let checkout = Checkout::with(&cluster);
    let before = Computer::look(checkout.root());
    checkout.lab(&["up", "two"]).answer().ok();
    let _ = checkout.on("two", "node", "echo kept | sudo tee /var/lib/kept");

    one_machine_is_stopped_and_started(&checkout, kind);

    let first = boot(&checkout);
    cluster.machines[0].memory = "2304MiB".to_owned();
    cluster.machines.push(Machine::new("second"));
    checkout.write("two", &cluster.text());
    a_file_that_changed_is_followed(&checkout, kind);
    assert_ne!(boot(&checkout), first, "another amount of memory needs another start");
    assert_eq!(checkout.on("two", "node", "cat /var/lib/kept"), "kept\n");

    cluster.machines.pop();
    checkout.write("two", &cluster.text());
    a_machine_goes_only_when_its_loss_was_agreed_to(&checkout);

    let text = cluster.text();
    checkout.write("two", &text.replace("[control-plane]", "[control-plane, worker]"));
    an_inventory_that_changed_is_proven_again(&checkout);

    all_is_stopped_and_started(&checkout);
    assert_eq!(checkout.on("two", "node", "cat /var/lib/kept"), "kept\n");
    checkout.destroy("two", &before);
}

/// Distinguishes one boot of a machine from another.
fn boot(checkout: &Checkout) -> String {
    checkout.on("two", "node", BOOT)
}

fn one_machine_is_stopped_and_started(checkout: &Checkout, kind: &str) {
    let vm = |verb: &str| checkout.lab(&["vm", verb, "node", "--cluster", "two"]).answer();
    let status = vm("status").ok();
    assert_eq!(status.stdout, "running\n");
    let first = boot(checkout);
    let stopped = vm("stop").ok();
    assert!(!stopped.stderr.contains("taking its power"), "it was asked, and it listened: {stopped}");
    let status = vm("status").code(20);
    assert_eq!(status.stdout, "off\n");
    let refused = checkout.lab(&["exec", "--all", "--cluster", "two", "--", "true"]).answer().code(20);
    assert!(refused.stderr.contains("no machine runs"), "{refused}");
    vm("start").ok();
    vm("status").ok();
    assert_ne!(boot(checkout), first);
    assert_eq!(checkout.on("two", "node", "cat /var/lib/kept"), "kept\n");
    if kind == "container" {
        // A stop and a start, as above, and a boot under emulation takes a quarter of a minute.
        let second = boot(checkout);
        vm("restart").ok();
        assert_ne!(boot(checkout), second);
    }
}

fn a_file_that_changed_is_followed(checkout: &Checkout, kind: &str) {
    let plan = checkout.lab(&["plan", "two"]).answer().ok();
    insta::assert_snapshot!(format!("the_plan_of_a_lab_that_grows_{kind}"), plan.stdout);
    checkout.lab(&["up", "two"]).answer().ok();
    let said = checkout.lab(&["exec", "--all", "--cluster", "two", "--", "hostname"]).answer().ok();
    assert_eq!(said.stdout, "node: node\nsecond: second\n");
    let kilobytes = checkout.on("two", "node", "awk '/MemTotal/ { print $2 }' /proc/meminfo");
    let kilobytes: u64 = kilobytes.trim().parse().unwrap();
    // The kernel keeps some for itself.
    assert!((2_100_000..=2_304 * 1024).contains(&kilobytes), "{kilobytes} KiB");
    let found = checkout.on(
        "two",
        "node",
        "getent hosts second | tr -s ' '; timeout 20 bash -c '</dev/tcp/second/22' && echo heard",
    );
    assert_eq!(found, "192.168.200.11 second\nheard\n", "machines find each other by name");
}

fn a_machine_goes_only_when_its_loss_was_agreed_to(checkout: &Checkout) {
    let refused = checkout.lab(&["up", "two"]).answer().code(11);
    assert!(
        refused.stderr.contains("the data on the disks of `second` (removed) would be lost"),
        "{refused}"
    );
    assert_eq!(checkout.state("two", "second"), "running", "nothing was done");
    checkout.lab(&["up", "two", "--yes"]).answer().ok();
    let status = checkout.lab(&["status", "two"]).answer().ok();
    assert!(!status.stdout.contains("second"), "{status}");
    assert!(!checkout.output("two").join("machines/second").exists());
    assert!(!checkout.output("two").join("disks/second.qcow2").exists());
    assert!(!checkout.output("two").join("roots/second").exists());
    let found = checkout.lab(&["ssh", "node", "--cluster", "two", "--", "getent hosts second"]).answer();
    assert_eq!(found.code, 2, "the network has forgotten it: {found}");
}

fn an_inventory_that_changed_is_proven_again(checkout: &Checkout) {
    let up = checkout.lab(&["up", "two"]).answer().ok();
    assert!(up.stderr.contains("nothing to do"), "another role is no change of a machine: {up}");
    assert!(up.stderr.contains("1 of 1 machines answered"), "{up}");
    let again = checkout.lab(&["up", "two"]).answer().ok();
    assert!(!again.stderr.contains("answered"), "it was proven already: {again}");
}

fn all_is_stopped_and_started(checkout: &Checkout) {
    checkout.lab(&["down", "two"]).answer().ok();
    assert_eq!(checkout.state("two", "node"), "off");
    let status = checkout.lab(&["status", "two", "--json"]).answer().ok().json();
    assert_eq!(status["host_running"], false);
    checkout.lab(&["down", "two"]).answer().ok();
    checkout.lab(&["up", "two"]).answer().ok();
}
