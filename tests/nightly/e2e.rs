//! `e2e`: from nothing to a verdict and back.

use lab_tests::checkout::{read_json, walk};
use lab_tests::{Living, living, needs};

#[test]
fn e2e_gives_verdict_and_leaves_nothing() {
    needs!(Containers, Kubespray);
    let quick = Living::planned("quick", &living::quick());
    let run = living::to_its_end("the run", quick.checkout.lab(&["e2e", "quick", "--json"])).ok();

    let report = run.json();
    let verdicts = |what: &str| -> Vec<(String, String)> {
        let of = |one: &serde_json::Value, key: &str| one[key].as_str().unwrap_or_default().to_owned();
        let key = if what == "phases" { "name" } else { "id" };
        report[what].as_array().unwrap().iter().map(|one| (of(one, key), of(one, "verdict"))).collect()
    };
    let phases = ["prepare", "up", "deploy", "gpu-operator", "validate", "destroy"];
    assert_eq!(verdicts("phases"), phases.map(|name| (name.to_owned(), "passed".to_owned())));
    let checks = verdicts("checks");
    assert!(checks.len() >= 12 && checks.iter().all(|(_, verdict)| verdict == "passed"), "{checks:?}");
    assert_eq!((&report["kubernetes"], &report["kubespray"]), (&"1.34.3".into(), &"v2.30.0".into()));
    let mut kept = Vec::new();
    walk(&quick.checkout.output("quick").join("runs"), &mut |path| {
        kept.extend(path.ends_with("report.json").then(|| read_json(path)));
        if path.ends_with("junit.xml") {
            let junit = std::fs::read_to_string(path).unwrap();
            assert_eq!(junit.matches("<testcase ").count(), phases.len() + checks.len(), "{junit}");
        }
    });
    assert_eq!(kept, std::slice::from_ref(&report), "the printed report is the stored one");
    quick.destroy();
}
