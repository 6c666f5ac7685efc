//! `single`: a whole Kubernetes on one virtual machine with a kernel of its own, emulated where there is no KVM.

use lab_tests::checkout::{read_json, walk};
use lab_tests::{Living, living, needs_kubespray};

#[test]
fn a_cluster_on_one_virtual_machine_is_deployed_and_passes_every_check() {
    needs_kubespray!();
    let single = Living::planned("single", &living::shipped("single"));
    living::to_its_end("the run of single", single.checkout.lab(&["e2e", "single"])).ok();
    let mut reports = Vec::new();
    walk(&single.checkout.output("single").join("runs"), &mut |path| {
        reports.extend(path.ends_with("report.json").then(|| read_json(path)));
    });
    let [report] = reports.as_slice() else { panic!("one run leaves one report: {reports:?}") };
    let skipped = |check: &&serde_json::Value| check["verdict"] == "skipped";
    let skipped = report["checks"].as_array().unwrap().iter().filter(skipped);
    let skipped: Vec<_> = skipped.map(|check| check["id"].as_str().unwrap_or_default()).collect();
    assert_eq!(skipped, ["pod-to-pod", "top"], "one node has no other to reach, and no metrics-server");
    single.destroy();
}
