//! Clusters that `install` refuses, before it has changed anything.

use std::fs;
use std::path::PathBuf;

use lab_core::gpu_operator::{CHART, RELEASE};
use lab_tests::gpu_cluster::{GpuCluster, NAME, NAMESPACE};
use lab_tests::own_builds::unpack_file;
use lab_tests::redact;
use serde_json::json;

use super::said;

/// The namespace of another hand's release.
const ELSEWHERE: &str = "elsewhere";

/// A state of the cluster that another hand made: its name, how it comes and how it goes.
type Case = (&'static str, fn(&GpuCluster), fn(&GpuCluster));

const CASES: [Case; 4] = [
    (
        "release_in_another_namespace",
        |cluster| install_by_hand(cluster, "theirs", ELSEWHERE),
        |cluster| drop(cluster.helm(["uninstall", "theirs", "--namespace", ELSEWHERE]).ok()),
    ),
    (
        "release_of_the_same_name",
        |cluster| install_by_hand(cluster, RELEASE, NAMESPACE),
        |cluster| drop(cluster.helm(["uninstall", RELEASE, "--namespace", NAMESPACE]).ok()),
    ),
    (
        "policy_without_release",
        |cluster| {
            let parts =
                ["daemonsets", "dcgm", "dcgmExporter", "devicePlugin", "driver", "gfd", "nodeStatusExporter"];
            let mut spec = json!({ "operator": { "defaultRuntime": "containerd" }, "toolkit": {} });
            for part in parts {
                spec[part] = json!({});
            }
            let policy = json!({
                "apiVersion": "nvidia.com/v1", "kind": "ClusterPolicy",
                "metadata": { "name": "theirs" }, "spec": spec,
            });
            cluster.plane.apply(&[policy]);
        },
        |cluster| drop(cluster.plane.kubectl("delete clusterpolicy theirs")),
    ),
    (
        "node_without_labels",
        |cluster| {
            let node = json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": "bare" } });
            cluster.plane.apply(&[node]);
        },
        |cluster| drop(cluster.plane.kubectl("delete node bare")),
    ),
];

/// Each is refused with a reason, and nothing has changed then.
pub fn refuses_clusters_of_another_hand(cluster: &mut GpuCluster) {
    for (name, make, undo) in CASES {
        make(cluster);
        let before = cluster.plane.changes();
        let refused = cluster.lab(&["gpu-operator", "install", NAME]).code(11);
        let root = cluster.checkout.root().display().to_string();
        redact::settings(&root).bind(|| insta::assert_snapshot!(name, said(&refused)));
        assert_eq!(cluster.plane.changes(), before, "{name}: nothing was changed");
        undo(cluster);
    }
}

/// The file names another namespace now: nothing is installed twice.
pub fn refuses_another_namespace(cluster: &mut GpuCluster, file: &str) {
    let moved = format!("gpu_operator:\n  namespace: {ELSEWHERE}\n");
    cluster.change(&file.replace("gpu_operator:\n", &moved));
    let refused = cluster.lab(&["gpu-operator", "install", NAME]).code(11);
    let sentence = format!("installed in the namespace `{NAMESPACE}`, and the file names `{ELSEWHERE}`");
    assert!(refused.stderr.contains(&sentence), "{refused}");
}

/// A release of a chart with the operator's name.
fn install_by_hand(cluster: &GpuCluster, name: &str, namespace: &str) {
    let chart = cluster.checkout.root().join("chart");
    fs::create_dir_all(chart.join("templates")).expect("a folder can be made");
    let write = |file: &str, text: &str| fs::write(chart.join(file), text).expect("a file can be written");
    write("Chart.yaml", "apiVersion: v2\nname: gpu-operator\nversion: v24.9.2\n");
    let object = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: theirs\n";
    write("templates/theirs.yaml", object);
    let chart = chart.display().to_string();
    cluster.helm(["install", name, &chart, "--namespace", namespace, "--create-namespace"]).ok();
}

/// Makes the chart's kind of policies as an older chart would have it, without a property of it.
pub fn make_older_kinds(cluster: &GpuCluster) {
    let folder: PathBuf = unpack_file(&cluster.checkout, CHART);
    let file = folder.join("gpu-operator/crds/nvidia.com_clusterpolicies.yaml").display().to_string();
    let words = ["create", "--dry-run=client", "--output", "json", "--filename", &file];
    let mut kind = cluster.plane.ask(words).answer().ok().json();
    let schema_of_spec = &mut kind["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    schema_of_spec["properties"].as_object_mut().expect("a spec has properties").remove("kataManager");
    schema_of_spec["properties"]["toolkit"] = json!({ "type": "object", "description": "of an older chart" });
    cluster.plane.apply(&[kind]);
    cluster.plane.kubectl("wait --for condition=Established crd/clusterpolicies.nvidia.com");
}

/// An installation has given the kind back what an older one lacked.
pub fn sees_newer_kinds(cluster: &GpuCluster) {
    let kind = cluster.plane.kubectl("get crd clusterpolicies.nvidia.com --output json").json();
    let spec = &kind["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    assert!(spec["properties"]["kataManager"].is_object(), "it is the chart's");
}
