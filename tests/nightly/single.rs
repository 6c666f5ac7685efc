//! `single`: a whole Kubernetes on one virtual machine with a kernel of its own, emulated where there is no KVM; deployed,
//! checked, saved, restored.

use lab_tests::checkout::{read_json, walk};
use lab_tests::{Living, living, needs};

#[test]
fn cluster_on_one_virtual_machine_passes_checks_and_is_restored() {
    needs!(Kubespray);
    let single = Living::planned("single", &living::shipped("single"));
    living::to_its_end("the run of single", single.checkout.lab(&["e2e", "single", "--keep"])).ok();
    let mut reports = Vec::new();
    walk(&single.checkout.output("single").join("runs"), &mut |path| {
        reports.extend(path.ends_with("report.json").then(|| read_json(path)));
    });
    let [report] = reports.as_slice() else { panic!("one run leaves one report: {reports:?}") };
    let skipped = |check: &&serde_json::Value| check["verdict"] == "skipped";
    let skipped = report["checks"].as_array().unwrap().iter().filter(skipped);
    let skipped: Vec<_> = skipped.map(|check| check["id"].as_str().unwrap_or_default()).collect();
    assert_eq!(skipped, ["top", "pod-to-pod"], "one node has no metrics-server, and no other to reach");

    let uid = || single.kubectl("get namespace kube-system -o jsonpath={.metadata.uid}").ok().stdout;
    let before = uid();
    for words in [
        &["snapshot", "single", "--name", "whole"][..],
        &["destroy", "single", "--yes"],
        &["restore", "single", "whole", "--yes"],
    ] {
        let answer = living::to_its_end("a snapshot", single.checkout.lab(words)).ok();
        eprintln!("{}: {:.0} s", words[0], answer.took.as_secs_f64());
    }
    assert_eq!(uid(), before, "it is the same cluster");
    single.passes(&["nodes", "leases", "dns"]);
    single.destroy();
}
