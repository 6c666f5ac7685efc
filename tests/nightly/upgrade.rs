//! From one release of Kubespray and Kubernetes to the next, on machines that go on.

use lab_tests::checkout::read_json;
use lab_tests::kubespray::reaching;
use lab_tests::own_builds::passed_on;
use lab_tests::{Living, living, needs};

const OLD: &str = "  version: v2.30.0\n";
const NEW: &str = "  version: v2.31.0\n";

/// `quick` by this release.
fn by(release: &str) -> String {
    let text = living::quick();
    assert!(text.contains(OLD), "`quick` has another release");
    text.replace(OLD, release)
}

/// The same machines, by another release.
fn turn_to(quick: &Living, release: &str) {
    quick.checkout.write("quick", &by(release));
    for words in [&["kubespray", "fetch", "--cluster", "quick"][..], &["artifacts", "build", "quick"]] {
        living::to_its_end("what it needs", passed_on(reaching(quick.checkout.lab(words)))).ok();
    }
    quick.checkout.lab(&["up", "quick"]).answer().ok();
}

#[test]
fn upgrade_moves_cluster_to_next_release() {
    needs!(Containers, Kubespray);
    let quick = Living::planned("quick", &by(OLD));
    quick.checkout.lab(&["up", "quick"]).answer().ok();
    quick.deploy(&["quick", "--no-snapshot"]).ok();
    let versions = || {
        let record = read_json(&quick.checkout.output("quick").join("deployed.json"));
        (record["kubespray"].clone(), record["kubernetes"].clone())
    };
    assert_eq!(versions(), ("v2.30.0".into(), "1.34.3".into()));
    let same = quick.deploy(&["upgrade", "quick"]).ok();
    assert!(same.stderr.contains("nothing to do"), "{same}");
    quick.kubectl("create deployment stays --image=registry.k8s.io/pause:3.10.1 --replicas=4").ok();

    turn_to(&quick, NEW);
    let refused = quick.deploy(&["quick"]).code(11);
    assert!(refused.stderr.contains("hint: `cargo xtask deploy upgrade quick` goes there"), "{refused}");
    quick.deploy(&["upgrade", "quick"]).ok();
    assert_eq!(versions(), ("v2.31.0".into(), "1.35.4".into()));
    let nodes = "get nodes --output jsonpath={.items[*].status.nodeInfo.kubeletVersion}";
    assert_eq!(quick.kubectl(nodes).ok().stdout, "v1.35.4 v1.35.4 v1.35.4");
    let ready = quick.kubectl("get deployment stays --output jsonpath={.status.readyReplicas}").ok();
    assert_eq!(ready.stdout, "4");
    quick.is_well();

    turn_to(&quick, OLD);
    let back = quick.deploy(&["upgrade", "quick"]).code(11);
    assert!(back.stderr.contains("Kubespray v2.30.0 is older than v2.31.0"), "{back}");
    quick.destroy();
}
