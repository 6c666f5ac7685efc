//! SIGKILL in the middle of `gpu-operator`: the next one goes on.

use std::collections::BTreeSet;

use lab_core::gpu_operator::{RELEASE, values};
use lab_tests::gpu_cluster::{GpuCluster, NAME, chart};
use lab_tests::living::shipped;
use lab_tests::needs;
use lab_tests::run::KILLED;
use nix::sys::signal::Signal;
use serde_json::json;

/// The record of a revision, which helm makes before and changes after everything else.
const FIRST: &str = "secrets/sh.helm.release.v1.gpu-operator.v1";
const SECOND: &str = "secrets/sh.helm.release.v1.gpu-operator.v2";

/// Runs a command, and kills it as soon as it has changed something.
fn kill_at(cluster: &mut GpuCluster, command: &str, what: &str) {
    let before = cluster.plane.changes().len();
    let mut started = cluster.checkout.lab(&["gpu-operator", command, NAME, "--yes"]).start();
    cluster.play(|cluster| {
        let changes = cluster.plane.changes();
        (started.has_ended() || changes[before..].iter().any(|change| change.what == what)).then_some(())
    });
    if !started.has_ended() {
        started.signal(Signal::SIGKILL);
    }
    started.answer().code(KILLED);
}

#[test]
fn installation_and_removal_go_on_wherever_they_were_killed() {
    needs!(Root);
    let file = shipped(NAME);
    let mut cluster = GpuCluster::start(&file);
    let before = cluster.nodes();
    let mut left = BTreeSet::new();
    for what in [
        "namespaces/gpu-operator",
        "customresourcedefinitions/clusterpolicies.nvidia.com",
        "nodes/gpu-worker-1",
        FIRST,
        "daemonsets/gpu-operator-node-feature-discovery-worker",
    ] {
        kill_at(&mut cluster, "install", what);
        left.extend(cluster.release());
    }
    cluster.lab(&["gpu-operator", "install", NAME]).ok();
    left.extend(cluster.release());

    cluster.change(&file.replace("replicas: 4", "replicas: 2"));
    kill_at(&mut cluster, "upgrade", SECOND);
    left.extend(cluster.release());
    cluster.lab(&["gpu-operator", "upgrade", NAME]).ok();
    assert_eq!(cluster.values(), values(&cluster.spec, chart(&cluster.spec)));
    left.extend(cluster.release());

    for what in [
        "daemonsets/gpu-operator-node-feature-discovery-worker",
        "namespaces/gpu-operator",
        "customresourcedefinitions/clusterpolicies.nvidia.com",
        "nodes/gpu-worker-1",
    ] {
        kill_at(&mut cluster, "remove", what);
        left.extend(cluster.release());
    }
    cluster.lab(&["gpu-operator", "remove", NAME, "--yes"]).ok();
    assert_eq!(json!(cluster.nodes()), json!(before), "nodes are as they were");
    assert_eq!(cluster.left(), Vec::<String>::new());
    let states = ["deployed 1", "deployed 2", "pending-install 1", "pending-upgrade 2", "uninstalling 2"];
    assert_eq!(left, states.map(|state| format!("{RELEASE} {state}")).into());
}
