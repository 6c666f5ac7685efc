//! From one release of Kubespray and Kubernetes to the next, on machines that go on.

use std::fs;
use std::time::Duration;

use lab_tests::checkout::{read_json, real_root};
use lab_tests::kubespray::reaching;
use lab_tests::own_builds::passed_on;
use lab_tests::{Answer, Checkout, Run, needs_containers, needs_kubespray, wait};

/// On two slow and busy processors, with everything of two releases to be built.
const PATIENCE: Duration = Duration::from_secs(4 * 60 * 60);

const OLD: &str = "  version: v2.29.1\n";
const NEW: &str = "  version: v2.30.0\n";

fn to_its_end(what: &str, run: Run) -> Answer {
    let mut started = run.start();
    wait::until(what, PATIENCE, || started.has_ended().then_some(()));
    started.answer()
}

/// `quick` by this release, without metrics-server, which another test has.
fn write(checkout: &Checkout, release: &str) {
    let text = fs::read_to_string(real_root().join("inventories/quick/cluster.yaml")).unwrap();
    assert!(text.contains(NEW), "`quick` has another release");
    let text =
        text.replace(NEW, release).replace("    metrics_server: true\n", "    metrics_server: false\n");
    checkout.write("quick", &text);
    to_its_end("fetch", reaching(checkout.lab(&["kubespray", "fetch", "--cluster", "quick"]))).ok();
    to_its_end("build", passed_on(checkout.lab(&["artifacts", "build", "quick"]))).ok();
    checkout.lab(&["up", "quick"]).answer().ok();
}

#[test]
fn a_cluster_goes_from_one_release_to_the_next() {
    needs_containers!();
    needs_kubespray!();
    let checkout = Checkout::new();
    write(&checkout, OLD);
    let deploy = |words: &[&str]| to_its_end("deploy", checkout.lab(&["deploy"]).args(words));
    deploy(&["quick"]).ok();
    let versions = || {
        let record = read_json(&checkout.output("quick").join("deployed.json"));
        (record["kubespray"].clone(), record["kubernetes"].clone())
    };
    assert_eq!(versions(), ("v2.29.1".into(), "1.33.7".into()));
    let same = deploy(&["upgrade", "quick"]).ok();
    assert!(same.stderr.contains("nothing to do"), "{same}");
    let kubectl = |words: &str| {
        checkout.lab(&["kubectl", "--cluster", "quick", "--"]).args(words.split(' ')).answer().ok().stdout
    };
    kubectl("create deployment stays --image=registry.k8s.io/pause:3.10 --replicas=4");

    write(&checkout, NEW);
    let refused = deploy(&["quick"]).code(11);
    assert!(refused.stderr.contains("hint: `cargo xtask deploy upgrade quick` goes there"), "{refused}");
    deploy(&["upgrade", "quick"]).ok();
    assert_eq!(versions(), ("v2.30.0".into(), "1.34.3".into()));
    let nodes = "get nodes --output jsonpath={.items[*].status.nodeInfo.kubeletVersion}";
    assert_eq!(kubectl(nodes), "v1.34.3 v1.34.3 v1.34.3");
    assert_eq!(kubectl("get deployment stays --output jsonpath={.status.readyReplicas}"), "4");
    checkout.lab(&["validate", "quick"]).answer().ok();
    let again = deploy(&["quick"]).ok();
    assert!(again.stderr.contains("nothing to do"), "{again}");

    write(&checkout, OLD);
    let back = deploy(&["upgrade", "quick"]).code(11);
    assert!(back.stderr.contains("Kubespray v2.29.1 is older than v2.30.0"), "{back}");
}
