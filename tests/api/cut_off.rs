//! SIGKILL in the middle of `gpu-operator`: the next one goes on.

use std::net::TcpListener;

use lab_core::gpu_operator::values;
use lab_tests::gpu_cluster::{GpuCluster, NAME, chart};
use lab_tests::run::KILLED;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// The record of a revision, which helm makes before and changes after everything else.
const FIRST: &str = "secrets/sh.helm.release.v1.gpu-operator.v1";
const SECOND: &str = "secrets/sh.helm.release.v1.gpu-operator.v2";

/// Runs a command, and kills it as soon as it has changed one of these, if it has not ended by then: what an earlier one had
/// changed already it does not change.
fn kill_at(cluster: &mut GpuCluster, command: &str, moments: &[&str]) {
    let before = cluster.plane.changes().len();
    let mut started = cluster.checkout.lab(&["gpu-operator", command, NAME, "--yes"]).start();
    cluster.play(|cluster| {
        let changes = cluster.plane.changes();
        let is_now = changes[before..].iter().any(|change| moments.contains(&change.what.as_str()));
        (started.has_ended() || is_now).then_some(())
    });
    started.signal(Signal::SIGKILL);
    let answer = started.answer();
    assert!([0, KILLED].contains(&answer.code), "{answer}");
}

/// Kills installations, each of which goes on where the one before it stopped. The last one stops in the middle of helm's work.
pub fn installations(cluster: &mut GpuCluster) {
    let silent = hold_policies(cluster);
    for moment in [
        "namespaces/gpu-operator",
        "customresourcedefinitions/clusterpolicies.nvidia.com",
        "nodes/gpu-worker-1",
    ] {
        kill_at(cluster, "install", &[moment, FIRST]);
    }
    kill_at(cluster, "install", &[FIRST]);
    assert_eq!(cluster.release().as_deref(), Some("gpu-operator pending-install 1"));
    cluster.plane.kubectl("delete mutatingwebhookconfiguration silent");
    drop(silent);
}

/// Has the API wait for half a minute with each new ClusterPolicy, which is the last that helm makes: for a webhook that
/// never answers.
fn hold_policies(cluster: &GpuCluster) -> TcpListener {
    let address = cluster.spec.machines[0].address;
    let silent = TcpListener::bind((address, 0)).expect("the network of this thread has the address");
    let port = silent.local_addr().expect("it listens").port();
    let webhook = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
        "metadata": { "name": "silent" },
        "webhooks": [{
            "name": "silent.lab.test", "failurePolicy": "Ignore", "timeoutSeconds": 30, "sideEffects": "None",
            "admissionReviewVersions": ["v1"], "clientConfig": { "url": format!("https://{address}:{port}/") },
            "rules": [{ "apiGroups": ["nvidia.com"], "apiVersions": ["v1"], "operations": ["CREATE"],
                "resources": ["clusterpolicies"] }],
        }],
    });
    cluster.plane.apply(&[webhook]);
    silent
}

/// Kills an upgrade, which the next one finishes. Jobs of the chart do not end meanwhile, so that helm is in the middle.
pub fn upgrade(cluster: &mut GpuCluster, file: &str) {
    cluster.change(&file.replace("replicas: 4", "replicas: 2"));
    cluster.plane.signal("kwok", Signal::SIGSTOP);
    kill_at(cluster, "upgrade", &[SECOND]);
    cluster.plane.signal("kwok", Signal::SIGCONT);
    assert_eq!(cluster.release().as_deref(), Some("gpu-operator pending-upgrade 2"));
    cluster.lab(&["gpu-operator", "upgrade", NAME]).ok();
    assert_eq!(cluster.values(), values(&cluster.spec, chart(&cluster.spec)));
}

/// Kills removals, which the next one finishes. A Job of the chart does not end during the first one.
pub fn removals(cluster: &mut GpuCluster, before: &[Value]) {
    cluster.plane.signal("kwok", Signal::SIGSTOP);
    kill_at(cluster, "remove", &["deployments/gpu-operator"]);
    cluster.plane.signal("kwok", Signal::SIGCONT);
    assert_eq!(cluster.release().as_deref(), Some("gpu-operator uninstalling 2"));
    let moments = [
        "namespaces/gpu-operator",
        "customresourcedefinitions/clusterpolicies.nvidia.com",
        "nodes/gpu-worker-1",
    ];
    for moment in moments {
        kill_at(cluster, "remove", &[moment]);
    }
    cluster.lab(&["gpu-operator", "remove", NAME, "--yes"]).ok();
    assert_eq!(json!(cluster.nodes()), json!(before), "nodes are as they were");
    assert_eq!(cluster.left(), Vec::<String>::new());
}
