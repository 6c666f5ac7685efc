//! Whole inventories of several clusters, as each known Kubespray is given them.

use rstest::Context;

use super::*;
use crate::cluster;
use crate::source::{SourceFile, render as render_findings};

/// The start of every cluster file here.
const HEAD: &str = "apiVersion: lab/v1alpha1\nkind: Cluster\nname: test\n";

const ALL_IN_ONE: &str = "
machines:
  - name: node
    roles: [control-plane, worker]
";

const THREE_CONTROL_PLANES: &str = "
kubernetes:
  version: <kube_version>
  network: {plugin: cilium, encapsulation: vxlan, mtu: 1450}
  addons: {ingress_nginx: false, helm: true}
  api: {names: [api.example.com, 10.0.0.5]}
machines:
  - {name: control-plane-1, roles: [control-plane]}
  - {name: control-plane-2, roles: [control-plane]}
  - {name: control-plane-3, roles: [control-plane]}
  - {name: etcd-1, roles: [etcd]}
  - {name: worker-1}
";

const GPU: &str = "
defaults: {labels: {owner: research}}
gpu_operator: {version: v25.10.1}
machines:
  - {name: control-plane, roles: [control-plane]}
  - name: gpu-worker
    gpus: [{model: RTX A6000}]
    labels: {gpu-type: rtx-a6000, inference-ready: 'true', empty: ''}
    taints: ['nvidia.com/gpu=present:NoSchedule', 'dedicated:NoExecute']
kubespray:
  variables:
    kube_node: {containerd_additional_runtimes: [{name: nvidia, type: io.containerd.runc.v2, options: {BinaryName: /usr/bin/nvidia-container-runtime, SystemdCgroup: true}}]}
";

const MIRRORED: &str = "
kubernetes:
  version: <kube_version>
  container_runtime: {engine: containerd, version: <containerd_version>}
  network: {plugin: calico, version: <calico_version>, encapsulation: ipip, mtu: 1480}
mirrors: {files: 'http://files.lab:8080', images: registry.lab:5000}
kubespray:
  variables:
    all: {download_validate_certs: off, unsafe_show_logs: false}
    k8s_cluster:
      calico_mtu: 1400
      containerd_extra_args: \"[plugins.x]\\n  y = 1\\n\"
      kubelet_custom_flags: ['--v=2', '010', no]
      nodelocaldns_external_zones: [{zones: [example.com], nameservers: [1.1.1.1]}]
      local_path_provisioner_enabled: yes
machines:
  - {name: control-plane, roles: [control-plane]}
  - {name: worker}
";

/// The cluster on hardware that comes with the project.
fn plan(index: &Index) -> String {
    let path =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../inventories/cloud-cluster/cluster.yaml");
    let text = std::fs::read_to_string(path).unwrap().replace("3.30.6", "<calico_version>");
    // The lint refuses it for a release that has it no more.
    let wanted = index.variables.contains_key("ingress_nginx_enabled");
    let text = text.replace("ingress_nginx: true", &format!("ingress_nginx: {wanted}"));
    if wanted {
        text
    } else {
        text.lines().filter(|line| !line.contains("ingress_nginx_")).map(|line| format!("{line}\n")).collect()
    }
}

/// The spec of a cluster file for a release, with the versions that it installs of itself.
fn spec(text: &str, index: &Index) -> ClusterSpec {
    let newest = |component: &str| index.components[component].versions["amd64"][0].clone();
    let mut text = text.to_owned();
    for (word, component) in [
        ("<kube_version>", "kubelet"),
        ("<containerd_version>", "containerd_archive"),
        ("<calico_version>", "calicoctl_binary"),
    ] {
        if text.contains(word) {
            text = text.replace(word, &newest(component));
        }
    }
    let source = SourceFile { path: "cluster.yaml".to_owned(), text };
    let checked = cluster::check(&source, None);
    assert_eq!(render_findings(&checked.findings, &source, false), "");
    let mut spec = checked.spec.unwrap();
    spec.kubespray.version.clone_from(&index.version);
    spec
}

/// All files as one text.
fn together(files: &Files) -> String {
    files.iter().map(|(path, text)| format!("==> {path}\n{text}\n")).collect()
}

#[rstest]
#[case::all_in_one(|_: &Index| HEAD.to_owned() + ALL_IN_ONE)]
#[case::the_original_plan(plan)]
#[case::three_control_planes(|_: &Index| HEAD.to_owned() + THREE_CONTROL_PLANES)]
#[case::gpu(|_: &Index| HEAD.to_owned() + GPU)]
#[case::mirrored(|_: &Index| HEAD.to_owned() + MIRRORED)]
fn each_release_is_given_its_inventory(#[context] context: Context, #[case] text: fn(&Index) -> String) {
    let mut releases: Vec<(Vec<&str>, String)> = Vec::new();
    for tag in index::known_tags() {
        let index = Index::known(tag).unwrap();
        let text = together(&render(&spec(&text(&index), &index), &index, &login()).unwrap());
        match releases.iter_mut().find(|(_, known)| *known == text) {
            Some((tags, _)) => tags.push(tag),
            None => releases.push((vec![tag], text)),
        }
    }
    // The first one whole, and the differences of the others.
    let (tags, first) = &releases[0];
    let mut document = format!("## {}\n\n{first}", tags.join(", "));
    for (tags, text) in &releases[1..] {
        let diff = similar::TextDiff::from_lines(first, text);
        let diff = diff.unified_diff().context_radius(1).to_string();
        write!(document, "\n## {}: as {}, but\n\n{diff}", tags.join(", "), releases[0].0[0]).unwrap();
    }
    insta::assert_snapshot!(context.description.unwrap(), document);
}

/// The settings of the original plan, as `cloud-cluster` has them: the value in its right form, or nothing
/// where the plan's own was Kubespray's default, belongs to the release, or does harm.
#[rstest]
#[case("container_manager", "all", json!("containerd"))]
#[case("containerd_version", "all", Value::Null)]
#[case("containerd_storage_dir", "all", Value::Null)]
#[case("kube_version", "all", Value::Null)]
#[case("kube_network_plugin", "k8s_cluster", json!("calico"))]
#[case("calico_version", "k8s_cluster", json!("3.30.6"))]
#[case("calico_cni_version", "k8s_cluster", Value::Null)]
#[case("enable_network_policy", "k8s_cluster", json!(true))]
#[case("calico_mtu", "k8s_cluster", json!(1440))]
#[case("kube_service_addresses", "k8s_cluster", json!("10.96.0.0/12"))]
#[case("kube_pods_subnet", "k8s_cluster", json!("10.244.0.0/16"))]
#[case("kube_network_node_prefix", "k8s_cluster", json!(24))]
#[case("dns_mode", "k8s_cluster", json!("coredns"))]
#[case("enable_nodelocaldns", "k8s_cluster", json!(true))]
#[case("nodelocaldns_ip", "k8s_cluster", json!("169.254.25.10"))]
#[case("ingress_nginx_enabled", "k8s_cluster", json!(true))]
#[case("ingress_nginx_host_network", "k8s_cluster", json!(false))]
#[case("ingress_nginx_namespace", "k8s_cluster", json!("ingress-nginx"))]
#[case("metrics_server_enabled", "k8s_cluster", json!(true))]
#[case("metrics_server_kubelet_insecure_tls", "k8s_cluster", json!(true))]
#[case("metrics_server_kubelet_preferred_address_types", "k8s_cluster", json!("InternalIP"))]
#[case("kubelet_max_pods", "k8s_cluster", json!(110))]
#[case("kube_read_only_port", "k8s_cluster", Value::Null)]
#[case("kubeconfig_localhost", "k8s_cluster", json!(true))]
#[case("kubectl_localhost", "k8s_cluster", json!(true))]
#[case("kube_feature_gates", "k8s_cluster", Value::Null)]
#[case("system_reserved", "k8s_cluster", Value::Null)]
#[case("system_memory_reserved", "k8s_cluster", json!("512Mi"))]
#[case("system_cpu_reserved", "k8s_cluster", json!("500m"))]
fn original_plan_keeps_its_settings_in_right_form(
    #[case] name: &str,
    #[case] group: &str,
    #[case] expected: Value,
) {
    let index = known("v2.30.0");
    let settings = settings(&spec(&plan(&index), &index), &index);
    assert_eq!(value(&settings, group, name).cloned().unwrap_or_default(), expected);
    let elsewhere = if group == "all" { "k8s_cluster" } else { "all" };
    assert_eq!(value(&settings, elsewhere, name), None);
}

/// A cluster file with thousands of machines.
fn large(machines: usize) -> String {
    let mut text = format!(
        "{HEAD}network: {{subnet: 10.0.0.0/16}}\nkubernetes: {{network: {{pods: 172.16.0.0/12}}}}\nmachines:\n  - {{name: control-plane, roles: [control-plane]}}\n"
    );
    for number in 1..machines {
        let zone = number % 7;
        writeln!(
            text,
            "  - {{name: worker-{number}, labels: {{zone: z{zone}}}, taints: ['zone=z{zone}:NoSchedule']}}"
        )
        .unwrap();
    }
    text
}

#[test]
fn five_thousand_machines_have_a_file_each_and_one_line_in_the_inventory() {
    let index = Index::known("v2.30.0").unwrap();
    let files = render(&spec(&large(5_000), &index), &index, &login()).unwrap();
    let inventory = &files["inventory.ini"];
    let head: String = inventory.lines().take(8).map(|line| format!("{line}\n")).collect();
    let of_machines = files.keys().filter(|path| path.starts_with("host_vars/")).count();
    let text = together(&files);
    let digest = <sha2::Sha256 as sha2::Digest>::digest(text.as_bytes());
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    insta::assert_snapshot!(format!(
        "{} files, {of_machines} of machines, {} lines in inventory.ini, {} bytes, SHA-256 {digest}\n\n{head}\n{}",
        files.len(),
        inventory.lines().count(),
        text.len(),
        files["host_vars/worker-4999.yml"]
    ));
}

/// Run by hand: `cargo test --release -p lab-core rendering_five_thousand -- --ignored --nocapture`.
#[test]
#[ignore = "it measures, and only an optimised program is worth that"]
fn rendering_five_thousand_machines_takes_well_under_a_tenth_of_a_second() {
    let index = Index::known("v2.30.0").unwrap();
    let spec = spec(&large(5_000), &index);
    let best = (0..10)
        .map(|_| {
            let start = std::time::Instant::now();
            std::hint::black_box((settings(&spec, &index), render(&spec, &index, &login()).unwrap()));
            start.elapsed()
        })
        .min()
        .unwrap();
    println!("settings and files of 5,000 machines: {best:?}");
    assert!(best < std::time::Duration::from_millis(100), "{best:?}");
}
