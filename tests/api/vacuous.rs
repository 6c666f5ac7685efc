//! States in which the operator calls itself ready, or nearly so, and not all planned GPUs can be used: the suite says so.

use std::collections::BTreeSet;

use lab_tests::gpu_cluster::{GpuCluster, NAME, NAMESPACE};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// The checks that count, and that of what the operator says of itself.
const CHECKS: [&str; 3] = ["gpu-labels", "gpu-daemonsets", "gpu-policy"];

/// The numbers of a DaemonSet: wanted and ready.
fn counts(cluster: &GpuCluster, name: &str) -> Option<(i64, i64)> {
    let sets = cluster.plane.list(&format!("daemonsets --namespace {NAMESPACE}"));
    let set = sets.into_iter().find(|set| set["metadata"]["name"] == name)?;
    let count = |field: &str| set["status"][field].as_i64();
    Some((count("desiredNumberScheduled")?, count("numberReady")?))
}

/// While no node has a GPU, an installation waits; once the planned ones have, it comes to its end.
pub fn installs_past_states_that_are_ready_for_nothing(cluster: &mut GpuCluster, planned: BTreeSet<String>) {
    let mut install = cluster.checkout.lab(&["gpu-operator", "install", NAME]).start();
    cluster.play(|cluster| (cluster.policy() == "ready: NFDLabelsMissing").then_some(()));
    insta::assert_snapshot!("no_node_has_a_label", cluster.checks(&CHECKS));

    cluster.plane.signal("kube-controller-manager", Signal::SIGSTOP);
    cluster.found = planned;
    cluster.find_gpus();
    cluster.play(|cluster| {
        let made = counts(cluster, "nvidia-operator-validator") == Some((0, 0));
        (made && cluster.policy() == "ready: Reconciled").then_some(())
    });
    insta::assert_snapshot!("no_pod_was_made_yet", cluster.checks(&CHECKS));
    cluster.plane.signal("kube-controller-manager", Signal::SIGCONT);
    cluster.play(|_| install.has_ended().then_some(()));
    install.answer().ok();
}

/// An operator that was ready, with a pod too few and a node too many.
pub fn sees_what_breaks_later(cluster: &mut GpuCluster) {
    let broken = break_pod(cluster, "nvidia-device-plugin-daemonset", "gpu-worker-2");
    cluster.play(|cluster| {
        let few = counts(cluster, "nvidia-device-plugin-daemonset") == Some((2, 1));
        (few && cluster.policy() == "notReady: Error").then_some(())
    });
    let said = cluster.checks(&CHECKS).replace(&broken, "[POD]");
    insta::assert_snapshot!("one_pod_is_not_ready", said);
    cluster.plane.kubectl(&format!("delete pod {broken} --namespace {NAMESPACE}"));

    cluster.found.insert("cpu-worker".to_owned());
    cluster.find_gpus();
    cluster.play(|cluster| (counts(cluster, "nvidia-operator-validator") == Some((3, 3))).then_some(()));
    insta::assert_snapshot!("one_node_too_many_has_a_label", cluster.checks(&CHECKS[..2]));
    cluster.found.remove("cpu-worker");
    cluster.plane.kubectl(&format!("delete nodefeature cpu-worker --namespace {NAMESPACE}"));
}

/// Has a pod on a node be no longer ready, and gives its name.
fn break_pod(cluster: &GpuCluster, app: &str, node: &str) -> String {
    let pods = cluster.plane.list(&format!("pods --namespace {NAMESPACE} --selector app={app}"));
    let mut pod = pods.into_iter().find(|pod| pod["spec"]["nodeName"] == node).expect("it has a pod there");
    for part in ["conditions", "containerStatuses"] {
        for one in pod["status"][part].as_array_mut().into_iter().flatten() {
            let field =
                if part == "conditions" { ("status", json!("False")) } else { ("ready", json!(false)) };
            let is_of_readiness = one["type"] == "Ready" || part == "containerStatuses";
            if is_of_readiness {
                one[field.0] = field.1;
            }
        }
    }
    let name = pod["metadata"]["name"].as_str().expect("a pod has a name").to_owned();
    let kept: Value = ["conditions", "containerStatuses"]
        .iter()
        .map(|part| ((*part).to_owned(), pod["status"][*part].clone()))
        .collect::<serde_json::Map<_, _>>()
        .into();
    cluster.plane.patch_status(&format!("pod {name} --namespace {NAMESPACE}"), &json!({ "status": kept }));
    name
}
