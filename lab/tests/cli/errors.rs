//! Cluster files, states and locks that are not as a command needs them: whole transcripts.

use std::fs::{self, File};

use lab_tests::cluster::Cluster;
use lab_tests::{Checkout, redact};

use super::checkout;

/// Compares the transcript of a command with the snapshot of this name.
fn assert_transcript(checkout: &Checkout, name: &str, words: &[&str]) {
    let answer = checkout.lab(words).answer();
    redact::transcript(&checkout.root().display().to_string())
        .bind(|| insta::assert_snapshot!(name, format!("$ lab {}\n{answer}", words.join(" "))));
}

#[test]
fn destroy_by_path_of_a_lab_that_was_never_up_keeps_the_file() {
    let checkout = checkout(&Cluster::new("one", &["node"]));
    let file = checkout.root().join("inventories/one/cluster.yaml");
    let before = std::fs::read(&file).unwrap();
    let answer = checkout.lab(&["destroy", file.to_str().unwrap()]).answer().ok();
    assert!(answer.stderr.contains("there is no lab `one`"), "{answer}");
    assert_eq!(std::fs::read(&file).unwrap(), before);
}

#[test]
fn up_names_all_mistakes_of_a_cluster_file() {
    let checkout = checkout(&Cluster::new("one", &["node"]));
    let text = Cluster::new("one", &["node", "node"]).text();
    let text = text.replace("2GiB", "2 gigs").replace("auto_start", "autostart").replace("/24", "/33");
    checkout.write("one", &text);
    assert_transcript(&checkout, "mistakes_in_a_cluster_file", &["up", "one"]);
    assert_eq!(checkout.left(), Vec::<String>::new(), "nothing was made");
}

#[test]
fn command_refuses_a_lab_that_another_command_holds() {
    let checkout = checkout(&Cluster::new("one", &["node"]).off());
    checkout.lab(&["up", "one"]).answer().ok();
    let held = File::create(checkout.output("one").join("lock")).unwrap();
    held.lock().unwrap();
    assert_transcript(&checkout, "up_of_a_lab_that_is_held", &["up", "one"]);
    assert_transcript(&checkout, "destroy_of_a_lab_that_is_held", &["destroy", "one"]);
    assert_transcript(
        &checkout,
        "stop_of_a_machine_of_a_lab_that_is_held",
        &["vm", "stop", "node", "--cluster", "one"],
    );
    assert_eq!(checkout.state("one", "node"), "off", "to look needs no lock");
}

/// SIGKILL may come before the first rename of a state file.
#[test]
fn destroy_removes_files_of_an_up_killed_at_its_first_write() {
    let checkout = checkout(&Cluster::new("one", &["node"]));
    let folder = checkout.make_output("one");
    for name in ["lock", ".state.json.4711.ThreadId(2).tmp"] {
        fs::write(folder.join(name), "").unwrap();
    }
    checkout.lab(&["destroy", "one"]).answer().ok();
    assert!(!folder.exists(), "{:?}", checkout.left());
}

#[test]
fn destroy_removes_a_lab_with_a_damaged_state() {
    let checkout = checkout(&Cluster::new("one", &["node"]));
    fs::write(checkout.make_output("one").join("state.json"), "{").unwrap();
    assert_transcript(&checkout, "up_with_a_damaged_state", &["up", "one"]);
    checkout.lab(&["destroy", "one"]).answer().ok();
    assert_eq!(checkout.left(), Vec::<String>::new());
}

#[test]
fn up_says_which_programs_of_the_gpu_stand_in_are_missing() {
    let mut cluster = Cluster::new("gpu", &["node"]);
    cluster.machines[0].stand_ins = vec!["L4"];
    let checkout = checkout(&cluster);
    fs::remove_file(checkout.root().join(lab_tests::stand_ins::GPU.1).join("nvidia-smi")).unwrap();
    assert_transcript(&checkout, "up_without_programs_of_the_gpu_stand_in", &["up", "gpu"]);
}
