//! Commands on a disk that is full, then read-only, then has room again: one sentence, and the last call goes on.

use lab_tests::cluster::Cluster;
use lab_tests::kubespray::reaching;
use lab_tests::own_builds::{build, lock, passed_on};
use lab_tests::{Checkout, Run, needs_containers, needs_kubespray, redact, skip};
use nix::unistd::geteuid;

/// The lab of these tests.
const LAB: &str = "one";

/// Mounts a file system of its own over a folder, in a mount namespace that goes with the script. Words: the
/// folder, the room in KiB that is left on the full disk (`any`: it is not filled), the folder in it that becomes read-only (a file
/// system that a living lab writes to cannot), what makes the state before, what is tried, what is done
/// at the end.
const SCRIPT: &str = r#"
    folder=$0 room=$1 closed=$0/$2 before=$3 tried=$4 after=$5
    mkdir -p "$folder" && mount -t tmpfs -o size=3G tmpfs "$folder" || exit 1
    eval "$before" >/dev/null 2>&1 || { echo "the state before could not be made"; exit 1; }
    first() { sed -n '/^error: /p' "$folder.said" | head -n 1; }
    attempt() { eval "$tried" >"$folder.said" 2>&1; echo "$1: exit code $?"; first; }
    if [ "$room" != any ]; then
        free=$(df --output=avail -k "$folder" | tail -n 1)
        fallocate -l "$((free - room))KiB" "$folder/.filler"
        attempt full
        rm "$folder/.filler"
    fi
    mkdir -p "$closed" && mount --bind "$closed" "$closed" && mount -o remount,bind,ro "$closed" || exit 1
    attempt read-only
    umount "$closed"
    attempt room
    eval "$after" >"$folder.said" 2>&1 || cat "$folder.said"
"#;

fn said(checkout: &Checkout, command: Run, disk: (&str, &str, &str), steps: [&str; 3]) -> String {
    let (folder, room, closed) = disk;
    let folder = checkout.root().join(folder).display().to_string();
    let [before, tried, after] = steps;
    let words = ["--mount", "sh", "-c", SCRIPT, &folder, room, closed, before, tried, after];
    command.instead("unshare", &words).env("LAB", &checkout.program).answer().ok().stdout
}

fn assert_said(checkout: &Checkout, name: &str, said: &str) {
    redact::settings(&checkout.root().display().to_string()).bind(|| insta::assert_snapshot!(name, said));
}

#[test]
fn lab_on_a_full_disk_is_refused_in_one_sentence_and_made_when_there_is_room() {
    needs_containers!();
    for (name, room, closed, steps) in [
        // The state itself does not fit any more.
        ("up", "0", "", [":", "$LAB up one", "$LAB exec --all --cluster one -- hostname"]),
        (
            "snapshot",
            "0",
            "snapshots",
            // Machines that stop would make room.
            ["$LAB up one && $LAB down one", "$LAB snapshot one --name kept", "$LAB snapshots one --verify"],
        ),
        (
            "restore",
            // It makes room for itself: what the lab is now goes first.
            "any",
            "one",
            [
                "$LAB up one && $LAB snapshot one --name kept",
                "$LAB restore one kept --yes",
                "$LAB exec --all --cluster one -- hostname",
            ],
        ),
    ] {
        let checkout = Checkout::with(&Cluster::new(LAB, &["node"]).kind("container"));
        let after = format!("{} && $LAB destroy one", steps[2]);
        let said = said(&checkout, checkout.lab(&[]), ("output", room, closed), [steps[0], steps[1], &after]);
        assert_said(&checkout, name, &said);
    }
}

#[test]
fn checkout_on_a_full_disk_is_refused_in_one_sentence_and_made_when_there_is_room() {
    if !geteuid().is_root() {
        skip!("only root can mount");
    }
    needs_kubespray!();
    let checkout = Checkout::with_own_build();
    let command = passed_on(reaching(checkout.lab(&[])));
    let steps = [":", "$LAB kubespray fetch", "$LAB kubespray status"];
    let said = said(&checkout, command, ("build/3rd-party", "3072", ""), steps);
    assert_said(&checkout, "checkout", &said);
}

#[test]
fn own_build_on_a_full_disk_is_refused_in_one_sentence_and_made_when_there_is_room() {
    if !geteuid().is_root() {
        skip!("only root can mount");
    }
    let checkout = Checkout::with_own_build();
    let command = build(&checkout, &lock(&[], &[("pod_infra", "registry.k8s.io/pause:3.10.1")]));
    let steps =
        [":", "$LAB artifacts build --lock \"$LAB_ROOT/artifacts.lock.json\"", "$LAB artifacts verify"];
    let said = said(&checkout, command, ("build/artifacts", "1024", ""), steps);
    assert_said(&checkout, "own_build", &said);
}
