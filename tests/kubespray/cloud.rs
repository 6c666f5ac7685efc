//! `cloud` where nothing can be deployed: it reports the lack before it makes any machine.

use lab_tests::computer::Computer;
use lab_tests::kubespray::reaching;
use lab_tests::{Checkout, living, needs};

#[test]
fn cloud_start_refuses_missing_artefacts_before_machines() {
    needs!(Kubespray);
    // A store of its own, in which there is nothing.
    let checkout = Checkout::with_own_cache();
    checkout.share("kubespray");
    checkout.write("quick", &living::quick());
    let before = Computer::look(checkout.root());

    let start = reaching(checkout.lab(&["cloud", "start", "quick"])).answer().code(11);
    assert!(start.stderr.contains("✗ [1/9]: validate the configuration"), "{start}");
    assert!(start.stderr.contains("18 of the 18 artefacts of the cluster `quick` are missing"), "{start}");
    assert!(start.stderr.contains("`cargo xtask artifacts build quick`"), "how to go on: {start}");
    assert!(!checkout.output("quick").join("state.json").exists(), "a lab was made");

    let status = checkout.lab(&["cloud", "status", "quick"]).answer().code(20);
    assert!(status.stdout.contains("`cargo xtask cloud start quick` starts them"), "{status}");
    let stop = checkout.lab(&["cloud", "stop", "quick"]).answer().ok();
    assert!(stop.stderr.contains("there is no lab `quick`"), "{stop}");
    checkout.lab(&["cloud", "destroy", "quick"]).answer().ok();
    checkout.destroy("quick", &before);
}

#[test]
fn cloud_start_reports_mistakes_of_file_in_first_step() {
    let checkout = Checkout::new();
    checkout.write("odd", "apiVersion: lab/v1alpha1\nkind: Cluster\nname: odd\nmachines: []\n");
    let start = checkout.lab(&["cloud", "start", "odd"]).answer().code(2);
    assert!(start.stderr.contains("✗ [1/9]: validate the configuration"), "{start}");
    let json = checkout.lab(&["cloud", "start", "odd", "--json"]).answer().code(2);
    let events: Vec<serde_json::Value> =
        json.stdout.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect();
    assert!(events.iter().any(|event| event["task"] == "[1/9]" && event["state"] == "failed"), "{json}");
}
