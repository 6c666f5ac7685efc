//! SIGKILL at every call by which a command changes something at its provider: the next `up` goes on from there, and
//! `destroy` leaves nothing.

use std::path::Path;

use lab_tests::cluster::{Cluster, Machine};
use lab_tests::run::KILLED;
use lab_tests::stand_ins::PROVIDER;
use lab_tests::{Checkout, run};
use rstest::rstest;

/// Runs a command over and over, each time killed one point further, until no point is left. `prepare` puts the lab in
/// the state where the command begins, `look` sees what the killed one left. Returns how often the command was killed.
fn kill_at_each_call(
    checkout: &Checkout,
    words: &[&str],
    mut prepare: impl FnMut(),
    mut look: impl FnMut(&str),
) -> usize {
    let mut killed = 0;
    for call in 1.. {
        for when in ["kill-before", "kill-after"] {
            prepare();
            let fault = format!("{call}={when}");
            let answer = checkout.lab(words).env("LAB_TEST_FAULTS", &fault).answer();
            if answer.code == 0 {
                return killed;
            }
            assert_eq!(answer.code, KILLED, "{words:?} was not killed at {fault}: {answer}");
            killed += 1;
            look(&fault);
        }
    }
    unreachable!("every command ends")
}

/// A cluster before and after a change of its file; nothing is there before the first `up`.
fn change(kind: &'static str, change: &str) -> (Option<Cluster>, Cluster) {
    let one = Cluster::new("killed", &["node"]).kind(kind);
    let mut two = one.clone();
    two.machines.push(Machine::off("second"));
    let mut larger = one.clone();
    larger.machines[0].memory = "2304MiB".to_owned();
    match change {
        "first" => (None, one),
        "a machine comes" => (Some(one), two),
        "a machine goes" => (Some(two), one),
        "a machine grows" => (Some(one), larger),
        _ => panic!("there is no change `{change}`"),
    }
}

#[rstest]
fn up_goes_on_wherever_it_was_killed(
    #[values("vm", "container")] kind: &'static str,
    #[values("first", "a machine comes", "a machine goes", "a machine grows")] what: &str,
) {
    let (before, after) = change(kind, what);
    let checkout = super::checkout(&after);
    let (output, kept) = (checkout.root().join("output"), checkout.root().join("kept"));
    if let Some(before) = before {
        checkout.write("killed", &before.text());
        checkout.lab(&["up", "killed"]).answer().ok();
        copy(&output, &kept);
        checkout.write("killed", &after.text());
    }
    let prepare = || copy(&kept, &output);
    let killed = kill_at_each_call(&checkout, &["up", "killed", "--yes"], prepare, |fault| {
        let again = checkout.lab(&["up", "killed", "--yes"]).answer();
        assert_eq!(again.code, 0, "after {fault}: {again}");
        let again = checkout.lab(&["up", "killed"]).answer().ok();
        assert!(again.stderr.contains("nothing to do"), "after {fault}: {again}");
    });
    assert!(killed >= 4, "this `up` has more calls than {killed}");
    assert_eq!(checkout.on("killed", "node", "hostname"), "node: hostname\n");
}

/// Makes one folder what another is; one that is not there is gone.
fn copy(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    if from.exists() {
        run("cp").arg("--archive").arg(from).arg(to).answer().ok();
    }
}

#[rstest]
#[case::vm("vm")]
#[case::container("container")]
fn destroy_leaves_nothing_wherever_up_was_killed(#[case] kind: &'static str) {
    let checkout = super::checkout(&Cluster::new("killed", &["node"]).kind(kind));
    let killed = kill_at_each_call(
        &checkout,
        &["up", "killed"],
        || {},
        |fault| {
            checkout.lab(&["destroy", "killed"]).answer().ok();
            assert_eq!(checkout.left(), Vec::<String>::new(), "after {fault}");
        },
    );
    assert!(killed >= 8, "an `up` from nothing has more calls than {killed}");
}

#[rstest]
#[case::down("down")]
#[case::destroy("destroy")]
fn command_that_was_killed_is_called_again(#[case] command: &str) {
    let mut cluster = Cluster::new("killed", &["node", "second"]);
    cluster.host = Some("qemu:///system".to_owned());
    cluster.subnet = "10.251.3.0/24".to_owned();
    let checkout = super::checkout(&cluster);
    checkout.lab(&["up", "killed"]).answer().ok();
    let places = ["output", PROVIDER]
        .map(|name| (checkout.root().join(name), checkout.root().join(name).with_extension("kept")));
    places.iter().for_each(|(place, kept)| copy(place, kept));
    let prepare = || places.iter().for_each(|(place, kept)| copy(kept, place));
    let killed = kill_at_each_call(&checkout, &[command, "killed"], prepare, |fault| {
        let again = checkout.lab(&[command, "killed"]).answer();
        assert_eq!(again.code, 0, "after {fault}: {again}");
        if command == "destroy" {
            assert_eq!(checkout.left(), Vec::<String>::new(), "after {fault}");
            let found = checkout.lab(&["gc", "--uri", "qemu:///system"]).answer();
            assert_eq!((found.code, found.stdout.as_str()), (0, ""), "after {fault}");
        } else {
            assert_eq!(checkout.state("killed", "node"), "off", "after {fault}");
        }
    });
    assert!(killed >= 4, "`{command}` has more calls than {killed}");
}
