//! Cluster files: judged by the inventory that they render to, reported at their own lines.

use crate::cluster::check;
use crate::host::DiskFacts;
use crate::units::Bytes;

use super::*;

const CLUSTER: &str = "\
apiVersion: lab/v1alpha1
kind: Cluster
name: test
kubespray:
  version: v2.30.0
  variables:
    all:
      VARIABLES
machines:
  - name: one
    roles: [control-plane]
  - name: two
";

fn judge_cluster(text: &str, facts: Option<&HostFacts>) -> Report {
    let source = SourceFile { path: "cluster.yaml".to_owned(), text: text.to_owned() };
    let checked = check(&source, facts);
    let Some(spec) = &checked.spec else { return Report::cluster(checked.findings, Vec::new(), source) };
    let index = known(&spec.kubespray.version);
    let kubespray = Kubespray { index, others };
    let settings = settings(spec, index);
    let linted = cluster(source.clone(), spec, &settings, &kubespray, facts, &Options::default());
    Report::cluster(checked.findings, linted, source)
}

#[test]
fn settings_of_harness_are_right_for_every_release() {
    for tag in TAGS {
        let text = CLUSTER.replace("VARIABLES", "kube_log_level: 2").replace("v2.30.0", tag);
        assert_eq!(judge_cluster(&text, None).findings, [], "{tag}");
    }
}

#[test]
fn clusters_of_checkout_are_right() {
    let inventories = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../inventories");
    let mut seen = 0;
    for entry in std::fs::read_dir(inventories).unwrap().flatten() {
        let Ok(text) = std::fs::read_to_string(entry.path().join("cluster.yaml")) else { continue };
        let findings = judge_cluster(&text, None).findings;
        let bad: Vec<_> = findings.iter().filter(|finding| finding.severity != Severity::Note).collect();
        assert!(bad.is_empty(), "{}: {bad:#?}", entry.path().display());
        seen += 1;
    }
    assert!(seen >= 2);
}

#[rstest]
#[case::misspelt("kube_log_levle: 2", "!unknown-variable 8")]
#[case::removed("etcd_cert_dir_mode: '0700'", "removed-variable 8")]
#[case::shape("kube_feature_gates: a=true", "!wrong-shape 8")]
#[case::allowed("own: 1 # lab:allow unknown-variable: ours", "")]
#[case::machines("kube_pods_subnet: 192.168.200.0/22", "!overlapping-networks 8")]
#[case::mtu("calico_mtu: 1460", "!mtu-encapsulation 8")]
#[case::larger_than_the_network("calico_mtu: 1600", "!mtu-too-large 8")]
fn findings_point_at_lines_of_cluster_file(#[case] variables: &str, #[case] expected: &str) {
    let report = judge_cluster(&CLUSTER.replace("VARIABLES", variables), None);
    assert_eq!(short(&report).join("|"), expected);
}

#[test]
fn network_of_machines_is_known() {
    let text =
        CLUSTER.replace("VARIABLES", "kube_log_level: 2") + "network: {subnet: 10.233.0.0/24, mtu: 1400}\n";
    let report = judge_cluster(&text, None);
    assert_eq!(short(&report), ["!overlapping-networks 13"]);
}

/// On a libvirt of this computer, the computer's routes are near the machines.
#[test]
fn routes_of_the_computer_are_looked_at_where_they_matter() {
    let facts = HostFacts {
        routes: vec![("10.233.64.0/20".parse().unwrap(), "vpn0".to_owned())],
        ..HostFacts::default()
    };
    let text = CLUSTER.replace("VARIABLES", "kube_log_level: 2");
    assert_eq!(judge_cluster(&text, Some(&facts)).findings, []);
    let libvirt = text + "host: qemu:///system\n";
    let report = judge_cluster(&libvirt, Some(&facts));
    assert_eq!(short(&report), ["overlapping-networks 1"]);
}

/// Without a valid value in its place there is no spec: a comment cannot help.
#[test]
fn errors_of_the_file_itself_cannot_be_allowed() {
    let text = CLUSTER.replace("VARIABLES", "kube_log_level: 2").replace(
        "  - name: two\n",
        "  - name: two\n    # lab:allow too-little-memory: only for a look\n    memory: 512MiB\n",
    );
    let report = judge_cluster(&text, None);
    assert_eq!(short(&report), ["unused-allowance 13", "!too-little-memory 14"]);
    insta::assert_snapshot!(report.render(false));
}

/// One container writes 1.5 GiB, so two need three.
#[rstest]
#[case::enough("kube_log_level: 2", 41, 1000, "")]
#[case::limits_of_the_lab("kube_log_level: 2", 39, 1000, "makes pods leave below 1.0 GiB")]
#[case::limits_of_kubernetes("eviction_hard: {}", 150, 1000, "makes pods leave below 15.0 GiB")]
#[case::own_share("eviction_hard: {nodefs.available: '20%'}", 200, 1000, "makes pods leave below 20.0 GiB")]
#[case::own_number(
    "eviction_hard: {nodefs.available: 2000000000}",
    40,
    1000,
    "makes pods leave below 1.8 GiB"
)]
#[case::own_unit("eviction_hard: {imagefs.available: 5Gi}", 60, 1000, "makes pods leave below 5.0 GiB")]
#[case::only_memory("eviction_hard: {memory.available: 100Mi}", 0, 1000, "")]
#[case::template("eviction_hard: {nodefs.available: '{{ least }}'}", 0, 1000, "")]
#[case::collection("kubelet_image_gc_high_threshold: 80", 200, 1000, "removes images below 20.0 GiB")]
#[case::both(
    "{eviction_hard: {}, kubelet_image_gc_high_threshold: 80}",
    0,
    1000,
    "makes pods leave below 15.0 GiB and removes images below 20.0 GiB"
)]
fn disk_pressure_is_noted_for_containers(
    #[case] variables: &str,
    #[case] free_tenths: u64,
    #[case] total_tenths: u64,
    #[case] expected: &str,
) {
    // In tenths of a gibibyte, of which 1.8 are more than two thousand million bytes.
    let tenths = |count: u64| Bytes(count * (1 << 30) / 10);
    let disk = Some(DiskFacts { free: tenths(free_tenths), total: tenths(total_tenths) });
    let facts = HostFacts { disk, ..HostFacts::default() };
    let text = match variables.strip_prefix('{') {
        Some(_) => CLUSTER.replace("    all:\n      VARIABLES", &format!("    all: {variables}")),
        None => CLUSTER.replace("VARIABLES", variables),
    };
    let containers = text.clone() + "defaults: {kind: container}\n";
    let report = judge_cluster(&containers, Some(&facts));
    let found: Vec<&Finding> =
        report.findings.iter().filter(|finding| finding.code == Code::DiskPressure).collect();
    if expected.is_empty() {
        assert_eq!(found, Vec::<&Finding>::new());
    } else {
        let [finding] = found.as_slice() else { panic!("{found:?}") };
        assert!(finding.message.ends_with(&format!("and kubelet {expected}")), "{}", finding.message);
        assert_eq!(finding.severity, Severity::Note, "it never fails by itself");
    }
    let virtual_machines = judge_cluster(&text, Some(&facts));
    assert!(!short(&virtual_machines).concat().contains("disk-pressure"));
}

#[test]
fn disk_pressure_points_at_the_machines() {
    let facts = HostFacts {
        disk: Some(DiskFacts { free: Bytes::from_gib(2), total: Bytes::from_gib(100) }),
        ..HostFacts::default()
    };
    let text = CLUSTER.replace("VARIABLES", "kube_log_level: 2") + "defaults: {kind: container}\n";
    insta::assert_snapshot!(judge_cluster(&text, Some(&facts)).render(false));
}
