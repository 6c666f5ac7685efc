//! From nothing to a GPU Operator that is ready, changed, and gone again.

use lab_core::gpu_operator::{namespace_labels, values};
use lab_tests::gpu_cluster::{GpuCluster, NAME, NAMESPACE, chart};
use lab_tests::redact;
use serde_json::{Value, json};

use super::{lines, said};

/// Nothing has changed, and nothing is changed.
pub fn does_nothing_the_second_time(cluster: &mut GpuCluster) {
    let changes = cluster.plane.changes().len();
    let again = cluster.lab(&["gpu-operator", "install", NAME]).ok();
    assert_eq!(cluster.plane.changes().len(), changes, "{again}");
}

/// Other values in the cluster file are another revision.
pub fn follows_the_cluster_file(cluster: &mut GpuCluster, file: &str) {
    cluster.change(&file.replace("replicas: 4", "replicas: 2"));
    cluster.lab(&["gpu-operator", "upgrade", NAME]).ok();
    assert_eq!(cluster.values(), values(&cluster.spec, chart(&cluster.spec)));
    assert_eq!(cluster.release().as_deref(), Some("gpu-operator deployed 2"));
    let label = r"jsonpath={.metadata.labels.nvidia\.com/device-plugin\.config}";
    let label = cluster.plane.ask(["get", "node", "gpu-worker-2", "--output", label]).answer().ok().stdout;
    assert_eq!(label, "shared-2");
}

/// From nothing; what comes first, what of the cluster file arrives, and what `status` shows then.
pub fn installs_in_order(cluster: &mut GpuCluster) {
    cluster.lab(&["gpu-operator", "install", NAME]).ok();
    insta::assert_snapshot!("order_of_changes", order(cluster));
    assert_eq!(cluster.values(), values(&cluster.spec, chart(&cluster.spec)));
    let namespace = cluster.plane.kubectl(&format!("get namespace {NAMESPACE} --output json")).json();
    for (label, value) in namespace_labels() {
        assert_eq!(namespace["metadata"]["labels"][&label], value, "{label}");
    }
    let status = cluster.lab(&["gpu-operator", "status", NAME]).ok();
    insta::assert_snapshot!("status", status.stdout);
}

/// The lab's changes of the cluster; of helm's, each kind once.
fn order(cluster: &GpuCluster) -> String {
    let mut lines: Vec<String> = Vec::new();
    for change in cluster.plane.changes() {
        let what = match change.what.split_once('/') {
            Some((kind, _)) if change.by == "helm" && kind != "secrets" => kind.to_owned(),
            _ => change.what,
        };
        let line = format!("{} {} {what}", change.by, change.verb);
        if lines.last() != Some(&line) {
            lines.push(line);
        }
    }
    lines.join("\n")
}

/// The API refuses what only it can judge: a quantity of memory that is none.
pub fn goes_back_from_refused_values(cluster: &mut GpuCluster, file: &str) {
    let before = (cluster.values(), cluster.plane.list("clusterpolicies")[0]["spec"].clone());
    let values = "  values:\n    toolkit:\n      resources:\n        limits:\n          memory: much\n";
    let sharing = "replicas: 2\n";
    let right = file.replace("replicas: 4\n", sharing);
    cluster.change(&right.replace(sharing, &format!("{sharing}{values}")));
    let refused = cluster.lab(&["gpu-operator", "install", NAME]).code(21);
    let root = cluster.checkout.root().display().to_string();
    redact::settings(&root).bind(|| insta::assert_snapshot!("refused_values", said(&refused)));
    let after = (cluster.values(), cluster.plane.list("clusterpolicies")[0]["spec"].clone());
    assert_eq!(after, before, "the previous release is restored");
    assert_eq!(cluster.release().as_deref(), Some("gpu-operator deployed 4"), "3 failed");
    cluster.change(&right);
    cluster.lab(&["gpu-operator", "install", NAME]).ok();
}

/// Twice, of which the second time has nothing to do.
pub fn removes_all(cluster: &mut GpuCluster, before: &[Value]) {
    for _ in 0..2 {
        cluster.lab(&["gpu-operator", "remove", NAME, "--yes"]).ok();
        assert_eq!(json!(cluster.nodes()), json!(before), "nodes are as they were");
        assert_eq!(cluster.left(), Vec::<String>::new());
    }
    insta::assert_snapshot!("cleaned_over_ssh", lines(&cluster.said_over_ssh()));
}
