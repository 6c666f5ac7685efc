//! The commands that can be soaked: the state they start from, and how a right result is recognised.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::Subject;
use crate::checkout::{Checkout, variable, walk};
use crate::cluster::Cluster;
use crate::computer::processes;
use crate::kubespray::{reaching, unreachable};
use crate::living::{quick, to_its_end};
use crate::own_builds::{build, lock, passed_on, records, states};
use crate::run::{Run, run};
use crate::skip::no_containers;

/// The lab of these commands, and its two machines.
const LAB: &str = "soaked";
const MACHINES: [&str; 2] = ["first", "second"];
/// The snapshot that is taken and restored.
const SNAPSHOT: &str = "soak";
/// A small part for own builds, of modules and of Debian's packages.
const IMAGES: [(&str, &str); 1] = [("pod_infra", "registry.k8s.io/pause:3.10.1")];

/// Every command, the quickest first.
pub const SUBJECTS: [Subject; 12] = [
    Subject { name: "up", reset: destroy, command: up, resume: up_again, ..OF_A_LAB },
    Subject { name: "down", reset: bring_up, command: down, resume: down_again, ..OF_A_LAB },
    Subject { name: "destroy", reset: bring_up, command: destroying, resume: destroy_again, ..OF_A_LAB },
    Subject {
        name: "snapshot",
        reset: without_snapshot,
        command: snapshot,
        resume: snapshot_again,
        ..OF_A_LAB
    },
    Subject { name: "restore", reset: with_snapshot, command: restore, resume: restore_again, ..OF_A_LAB },
    Subject {
        name: "checkout",
        needs_cluster: false,
        obstacle: unreachable,
        prepare: Checkout::with_empty_cache,
        reset: |checkout| remove(checkout, "cache/kubespray"),
        command: fetch,
        resume: fetch_again,
        finish: nothing,
    },
    Subject {
        name: "artifacts",
        needs_cluster: false,
        obstacle: possible,
        prepare: Checkout::with_own_cache,
        reset: |checkout| remove(checkout, "cache/artifacts"),
        command: build_artifacts,
        resume: build_artifacts_again,
        finish: nothing,
    },
    Subject {
        name: "image",
        needs_cluster: false,
        obstacle: possible,
        prepare: making_images,
        reset: without_image,
        command: build_image,
        resume: build_image_again,
        finish: nothing,
    },
    Subject {
        name: "environment",
        needs_cluster: false,
        obstacle: unreachable,
        prepare: Checkout::with_empty_cache,
        reset: without_environment,
        command: fetch,
        resume: fetch_again,
        finish: nothing,
    },
    Subject {
        name: "validate",
        reset: nothing,
        command: |checkout| checkout.lab(&["validate", "quick"]),
        resume: validate_again,
        prepare: deployed,
        ..OF_QUICK
    },
    Subject { name: "deploy", reset: new_machines, command: deploy, resume: deploy_again, ..OF_QUICK },
    Subject {
        name: "e2e",
        reset: destroy_quick,
        command: |checkout| passed_on(reaching(checkout.lab(&["e2e", "quick"]))),
        resume: end_to_end_again,
        ..OF_QUICK
    },
];

/// The common part of commands on a small lab of containers.
const OF_A_LAB: Subject = Subject {
    name: "",
    needs_cluster: false,
    obstacle: containers,
    prepare: || {
        let cluster = Cluster::new(LAB, &MACHINES).kind("container");
        let checkout = Checkout::with(&cluster);
        checkout.lab(&["up", LAB]).answer().ok();
        checkout
    },
    reset: nothing,
    command: up,
    resume: nothing,
    finish: |checkout| {
        destroy(checkout);
        remove(checkout, "output/snapshots");
        assert_eq!(checkout.left(), Vec::<String>::new(), "files were left");
    },
};

/// The common part of commands on a whole cluster.
const OF_QUICK: Subject = Subject {
    name: "",
    needs_cluster: true,
    obstacle: || containers().or_else(unreachable),
    prepare: || {
        let checkout = Checkout::new();
        checkout.write("quick", &quick());
        let artifacts = checkout.lab(&["artifacts", "build", "quick"]);
        to_its_end("all artefacts", passed_on(reaching(artifacts))).ok();
        checkout
    },
    reset: nothing,
    command: deploy,
    resume: nothing,
    finish: destroy_quick,
};

/// The command of this name.
pub fn named(name: &str) -> Option<Subject> {
    SUBJECTS.into_iter().find(|subject| subject.name == name)
}

fn possible() -> Option<String> {
    None
}

fn containers() -> Option<String> {
    no_containers().map(str::to_owned)
}

fn nothing(_: &Checkout) {}

fn remove(checkout: &Checkout, folder: &str) {
    let path = checkout.root().join(folder);
    if path.symlink_metadata().is_ok() {
        fs::remove_dir_all(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

fn up(checkout: &Checkout) -> Run {
    checkout.lab(&["up", LAB])
}

fn bring_up(checkout: &Checkout) {
    up(checkout).answer().ok();
}

fn up_again(checkout: &Checkout) {
    bring_up(checkout);
    let again = up(checkout).answer().ok();
    assert!(again.stderr.contains("nothing to do"), "{again}");
    for machine in MACHINES {
        assert_eq!(checkout.on(LAB, machine, "hostname"), format!("{machine}\n"));
    }
}

fn down(checkout: &Checkout) -> Run {
    checkout.lab(&["down", LAB])
}

fn down_again(checkout: &Checkout) {
    down(checkout).answer().ok();
    for machine in MACHINES {
        assert_eq!(checkout.state(LAB, machine), "off");
    }
}

fn destroying(checkout: &Checkout) -> Run {
    checkout.lab(&["destroy", LAB])
}

fn destroy(checkout: &Checkout) {
    destroying(checkout).answer().ok();
}

fn destroy_again(checkout: &Checkout) {
    destroy(checkout);
    assert_eq!(checkout.left(), Vec::<String>::new(), "files were left");
    assert_eq!(processes(checkout.root()), [], "programs were left");
}

fn snapshot(checkout: &Checkout) -> Run {
    checkout.lab(&["snapshot", LAB, "--name", SNAPSHOT])
}

fn snapshots(checkout: &Checkout) -> Vec<Value> {
    let listed = checkout.lab(&["snapshots", LAB, "--json"]).answer().ok().json();
    listed.as_array().cloned().unwrap_or_default()
}

fn without_snapshot(checkout: &Checkout) {
    bring_up(checkout);
    if !snapshots(checkout).is_empty() {
        checkout.lab(&["snapshots", LAB, "--remove", SNAPSHOT]).answer().ok();
    }
}

fn snapshot_again(checkout: &Checkout) {
    if snapshots(checkout).is_empty() {
        snapshot(checkout).answer().ok();
    }
    checkout.lab(&["snapshots", LAB, "--verify"]).answer().ok();
    up_again(checkout);
}

/// A snapshot, and after it something on a machine that a restore takes away.
fn with_snapshot(checkout: &Checkout) {
    if snapshots(checkout).is_empty() {
        bring_up(checkout);
        snapshot(checkout).answer().ok();
    }
    bring_up(checkout);
    let _ = checkout.on(LAB, MACHINES[0], "sudo touch /srv/after");
}

fn restore(checkout: &Checkout) -> Run {
    checkout.lab(&["restore", LAB, SNAPSHOT, "--yes"])
}

fn restore_again(checkout: &Checkout) {
    restore(checkout).answer().ok();
    assert_eq!(checkout.on(LAB, MACHINES[0], "ls /srv"), "", "the lab is as it was");
    up_again(checkout);
}

fn fetch(checkout: &Checkout) -> Run {
    passed_on(reaching(checkout.lab(&["kubespray", "fetch"])))
}

fn without_environment(checkout: &Checkout) {
    for entry in fs::read_dir(checkout.cache().join("environments")).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with("kubespray-") {
            remove(checkout, &format!("cache/environments/{}", entry.file_name().to_string_lossy()));
        }
    }
}

fn fetch_again(checkout: &Checkout) {
    fetch(checkout).answer().ok();
    checkout.lab(&["kubespray", "status"]).answer().ok();
    let mut unfinished = Vec::new();
    walk(&checkout.cache().join("kubespray"), &mut |path| {
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".new-")) {
            unfinished.push(path.display().to_string());
        }
    });
    assert_eq!(unfinished, Vec::<String>::new(), "a checkout was left half made");
}

fn build_artifacts(checkout: &Checkout) -> Run {
    build(checkout, &lock(&[], &IMAGES))
}

fn build_artifacts_again(checkout: &Checkout) {
    let said = build_artifacts(checkout).answer().ok().json();
    assert!(states(&said).iter().all(|(_, state)| ["built", "kept"].contains(&state.as_str())), "{said}");
    assert_eq!(records(checkout).len(), IMAGES.len());
    checkout.lab(&["artifacts", "verify"]).answer().ok();
}

/// A checkout with images of its own, and the downloads of the cache.
fn making_images() -> Checkout {
    let checkout = Checkout::with_own_cache();
    let downloads = Path::new(&variable("LAB_CACHE")).join("images/cache");
    if downloads.is_dir() {
        let own = checkout.cache().join("images");
        fs::create_dir(&own).expect("a folder can be made in a new one");
        run("cp").args(["--archive", "--reflink=auto"]).arg(&downloads).arg(&own).answer().ok();
    }
    checkout
}

fn without_image(checkout: &Checkout) {
    for entry in fs::read_dir(checkout.cache().join("images")).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("debian13-") {
            remove(checkout, &format!("cache/images/{name}"));
        }
    }
}

fn build_image(checkout: &Checkout) -> Run {
    passed_on(checkout.lab(&["image", "build"]))
}

fn build_image_again(checkout: &Checkout) {
    build_image(checkout).answer().ok();
    checkout.lab(&["image", "verify"]).answer().ok();
    assert_eq!(checkout.lab(&["gc"]).answer().ok().stdout, "");
}

fn destroy_quick(checkout: &Checkout) {
    checkout.lab(&["destroy", "quick"]).answer().ok();
    remove(checkout, "output/snapshots");
}

/// Machines that were never deployed to.
fn new_machines(checkout: &Checkout) {
    destroy_quick(checkout);
    checkout.lab(&["up", "quick", "--fresh"]).answer().ok();
}

fn deploy(checkout: &Checkout) -> Run {
    passed_on(reaching(checkout.lab(&["deploy", "quick", "--no-snapshot"])))
}

fn deploy_again(checkout: &Checkout) {
    to_its_end("the deploy", deploy(checkout)).ok();
    validate_again(checkout);
}

fn deployed() -> Checkout {
    let checkout = (OF_QUICK.prepare)();
    new_machines(&checkout);
    to_its_end("the deploy", deploy(&checkout)).ok();
    checkout
}

fn validate_again(checkout: &Checkout) {
    to_its_end("the checks", checkout.lab(&["validate", "quick"])).ok();
    let words = ["kubectl", "--cluster", "quick", "--", "get", "namespaces", "--output", "name"];
    let namespaces = checkout.lab(&words).answer().ok().stdout;
    let ours: Vec<&str> = namespaces.lines().filter(|name| name.contains("lab-")).collect();
    assert_eq!(ours, Vec::<&str>::new(), "the checks left namespaces");
}

fn end_to_end_again(checkout: &Checkout) {
    to_its_end("the run", passed_on(reaching(checkout.lab(&["e2e", "quick", "--yes"])))).ok();
    assert_eq!(checkout.left(), Vec::<String>::new(), "files were left");
}
