//! A deployed cluster in the hands of `cloud`: looked at, stopped, started again.

use std::fs;

use lab_tests::terminal::Terminal;
use lab_tests::{Living, redact, run};

/// `cloud stop` and `cloud start` give back the very cluster that was there, without a deploy.
pub fn stopped_and_started_again(quick: &Living) {
    let checkout = &quick.checkout;
    let uid = || quick.kubectl("get namespace kube-system -o jsonpath={.metadata.uid}").ok().stdout;
    let (before, deployed) = (uid(), fs::read(checkout.output("quick").join("deployed.json")).unwrap());

    let status = checkout.lab(&["cloud", "status", "quick"]).answer().ok();
    assert!(status.stdout.contains("cluster     ready"), "{status}");
    assert!(status.stdout.contains("the nodes are those of the cluster file: 3 nodes"), "{status}");

    checkout.lab(&["cloud", "stop", "quick"]).answer().ok();
    checkout.lab(&["cloud", "status", "quick"]).answer().code(20);

    let (code, shown) = Terminal::start(checkout.lab(&["cloud", "start", "quick"]), 130, 40).answer();
    assert_eq!(code, 0, "{shown}");
    // Machines are reached in any order, and checks end in any.
    let in_any_order = ["reached over ssh", "✓ nodes ", "✓ system-pods "];
    let (mut unordered, lines): (Vec<&str>, Vec<&str>) =
        shown.lines().partition(|line| in_any_order.iter().any(|part| line.contains(part)));
    unordered.sort_unstable();
    let screen = [lines, unordered].concat().join("\n");
    redact::deploy(&checkout.root().display().to_string())
        .bind(|| insta::assert_snapshot!("screen_of_cloud_start", screen));
    assert_eq!(uid(), before, "it is another cluster");
    assert_eq!(fs::read(checkout.output("quick").join("deployed.json")).unwrap(), deployed);

    // Until then it may be called ready but for pods that are on their way up.
    quick.passes(&["system-pods"]);
    let again = checkout.lab(&["cloud", "start", "quick", "--json"]).answer().ok();
    let lines: Vec<serde_json::Value> =
        again.stdout.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect();
    assert_eq!(lines.last().unwrap()["health"], "ready", "{again}");
    let idle = lines.iter().filter(|line| line["kind"] == "unchanged");
    assert_eq!(
        idle.count(),
        4,
        "machines, inventory, Kubespray and the GPU Operator have nothing to do: {again}"
    );
}

/// An API server that does not answer while this computer is overloaded is called slow, and not down.
pub fn slow_is_not_down(quick: &Living) {
    let tasks = std::thread::available_parallelism().unwrap().get() * 4;
    let busy = || run("sh").args(["-c", "ulimit -t 60; while :; do :; done"]).start();
    let load: Vec<_> = (0..tasks).map(|_| busy()).collect();
    quick.on("control-plane", "sudo pkill -STOP -x kube-apiserver");
    let status = quick.checkout.lab(&["cloud", "status", "quick", "--json"]).answer();
    quick.on("control-plane", "sudo pkill -CONT -x kube-apiserver");
    drop(load);
    let status = status.code(30);
    assert!(status.stderr.contains("this computer is busy (load "), "{status}");
    let report = status.json();
    assert_eq!(report["health"], "slow", "{status}");
    assert!(report["unseen"].as_str().unwrap().contains("while this computer was busy (load "), "{status}");
    quick.passes(&["nodes", "system-pods"]);
}
