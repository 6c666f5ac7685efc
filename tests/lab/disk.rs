//! Commands on a disk that is full, then read-only, then has room again: one sentence, and the last call goes on.

use lab_tests::cluster::Cluster;
use lab_tests::disk::{Attempt, Kind, attempts};
use lab_tests::kubespray::reaching;
use lab_tests::own_builds::{build, lock, passed_on};
use lab_tests::{Checkout, needs, redact};

/// The lab of these tests.
const LAB: &str = "one";

fn assert_said(checkout: &Checkout, name: &str, said: &str) {
    redact::settings(&checkout.root().display().to_string()).bind(|| insta::assert_snapshot!(name, said));
}

#[test]
fn lab_on_a_full_disk_is_refused_in_one_sentence_and_made_when_there_is_room() {
    needs!(Containers);
    for (name, before, attempt, after) in [
        (
            "up",
            ":",
            // The state itself does not fit any more.
            Attempt { command: "$LAB up one", room: Some(0), closed: "" },
            "$LAB exec --all --cluster one -- hostname",
        ),
        (
            "snapshot",
            // Machines that stop would make room.
            "$LAB up one && $LAB down one",
            Attempt { command: "$LAB snapshot one --name kept", room: Some(0), closed: "snapshots" },
            "$LAB snapshots one --verify",
        ),
        (
            "restore",
            "$LAB up one && $LAB snapshot one --name kept",
            // It makes room for itself: what the lab is now goes first.
            Attempt { command: "$LAB restore one kept --yes", room: None, closed: "one" },
            "$LAB exec --all --cluster one -- hostname",
        ),
    ] {
        let checkout = Checkout::with(&Cluster::new(LAB, &["node"]).kind("container"));
        let after = format!("{after} && $LAB destroy one");
        let run = attempts(&checkout, checkout.lab(&[]), ("output", Kind::Tmpfs), before, &[attempt], &after);
        assert_said(&checkout, name, &run.answer().ok().stdout);
    }
}

#[test]
fn checkout_on_a_full_disk_is_refused_in_one_sentence_and_made_when_there_is_room() {
    needs!(Root);
    needs!(Kubespray);
    let checkout = Checkout::with_own_cache();
    let command = passed_on(reaching(checkout.lab(&[])));
    let attempt = Attempt { command: "$LAB kubespray fetch", room: Some(3072), closed: "" };
    let run = attempts(
        &checkout,
        command,
        ("cache/kubespray", Kind::Tmpfs),
        ":",
        &[attempt],
        "$LAB kubespray status",
    );
    assert_said(&checkout, "checkout", &run.answer().ok().stdout);
}

#[test]
fn own_build_on_a_full_disk_is_refused_in_one_sentence_and_made_when_there_is_room() {
    needs!(Root);
    let checkout = Checkout::with_own_cache();
    let command = build(&checkout, &lock(&[], &[("pod_infra", "registry.k8s.io/pause:3.10.1")]));
    let attempt = Attempt {
        command: "$LAB artifacts build --lock \"$LAB_ROOT/artifacts.lock.json\"",
        room: Some(1024),
        closed: "",
    };
    let run = attempts(
        &checkout,
        command,
        ("cache/artifacts", Kind::Tmpfs),
        ":",
        &[attempt],
        "$LAB artifacts verify",
    );
    assert_said(&checkout, "own_build", &run.answer().ok().stdout);
}
