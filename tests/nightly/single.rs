//! `single`: a whole Kubernetes on one virtual machine with a kernel of its own, emulated where there is no KVM.

use std::fs;
use std::time::Duration;

use lab_tests::checkout::{read_json, real_root, walk};
use lab_tests::computer::Computer;
use lab_tests::own_builds::passed_on;
use lab_tests::{Checkout, needs_kubespray, wait};

/// On two slow and busy processors, all emulated.
const PATIENCE: Duration = Duration::from_secs(4 * 60 * 60);

#[test]
fn a_cluster_on_one_virtual_machine_is_deployed_and_passes_every_check() {
    needs_kubespray!();
    let checkout = Checkout::new();
    checkout
        .write("single", &fs::read_to_string(real_root().join("inventories/single/cluster.yaml")).unwrap());
    let mut build = passed_on(checkout.lab(&["artifacts", "build", "single"])).start();
    wait::until("all artefacts of single", PATIENCE, || build.has_ended().then_some(()));
    build.answer().ok();
    let before = Computer::look(checkout.root());

    let mut run = checkout.lab(&["e2e", "single"]).start();
    wait::until("the run of single", PATIENCE, || run.has_ended().then_some(()));
    run.answer().ok();
    let mut reports = Vec::new();
    walk(&checkout.output("single").join("runs"), &mut |path| {
        reports.extend(path.ends_with("report.json").then(|| read_json(path)));
    });
    let [report] = reports.as_slice() else { panic!("one run leaves one report: {reports:?}") };
    let skipped = |check: &&serde_json::Value| check["verdict"] == "skipped";
    let skipped: Vec<_> = report["checks"].as_array().unwrap().iter().filter(skipped).collect();
    assert_eq!(skipped.len(), 1, "one node has no other to reach, and nothing else is skipped: {skipped:?}");
    checkout.destroy("single", &before);
}
