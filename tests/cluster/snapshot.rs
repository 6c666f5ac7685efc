//! The living cluster saved and restored: by name, and in the place of a deploy from the same.

use lab_tests::Living;

/// A cluster that was deployed once is not deployed again.
pub fn same_cluster_is_restored(quick: &Living) {
    let kept = quick.checkout.lab(&["snapshots", "quick", "--json"]).answer().ok().json();
    assert_eq!(kept.as_array().map(Vec::len), Some(1), "{kept}");
    assert!(kept[0]["name"].as_str().is_some_and(|name| name.starts_with("deployed-")), "{kept}");
    let nodes = || quick.kubectl("get nodes -o jsonpath={.items[*].metadata.uid}").ok().stdout;
    let made = nodes();

    quick.destroy();
    let up = quick.checkout.lab(&["up", "quick"]).answer().ok();
    assert!(up.stderr.contains("restored from the snapshot `deployed-"), "{up}");
    assert_eq!(nodes(), made, "it is the same cluster");
    let deploy = quick.checkout.lab(&["deploy", "quick"]).answer().ok();
    assert!(deploy.stderr.contains("nothing to do"), "{deploy}");
    quick.passes(&[]);

    // `deploy` restores the cluster on machines that `up` has made again.
    quick.destroy();
    quick.checkout.lab(&["up", "quick", "--fresh"]).answer().ok();
    let deploy = quick.checkout.lab(&["deploy", "quick"]).answer().ok();
    assert!(deploy.stderr.contains("the same was deployed before"), "{deploy}");
    assert_eq!(nodes(), made, "it is the same cluster");
}

/// A cluster that broke after a snapshot is whole after its restore.
pub fn broken_cluster_is_restored(quick: &Living) {
    quick.checkout.lab(&["snapshot", "quick", "--name", "whole"]).answer().ok();
    quick.kubectl("delete deployment -n kube-system coredns").ok();
    quick.kubectl("delete node worker-2").ok();
    quick.checkout.lab(&["restore", "quick", "whole", "--yes"]).answer().ok();
    quick.passes(&["nodes", "leases", "dns"]);
    let verified = quick.checkout.lab(&["snapshots", "quick", "--verify"]).answer().ok();
    assert_eq!(verified.stdout.matches("as taken").count(), 2, "{verified}");
    quick.checkout.lab(&["snapshots", "quick", "--remove", "whole"]).answer().ok();
}
