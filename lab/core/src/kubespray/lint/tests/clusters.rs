//! Cluster files: judged by what they render to, told at their own lines.

use super::*;
use crate::cluster::check;

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
fn what_the_harness_sets_itself_is_right_for_every_release() {
    for tag in TAGS {
        let text = CLUSTER.replace("VARIABLES", "kube_log_level: 2").replace("v2.30.0", tag);
        assert_eq!(judge_cluster(&text, None).findings, [], "{tag}");
    }
}

#[test]
fn the_clusters_of_the_checkout_are_right() {
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
fn findings_are_told_at_the_lines_of_the_cluster_file(#[case] variables: &str, #[case] expected: &str) {
    let report = judge_cluster(&CLUSTER.replace("VARIABLES", variables), None);
    assert_eq!(short(&report).join("|"), expected);
}

#[test]
fn the_network_of_the_machines_is_known() {
    let text =
        CLUSTER.replace("VARIABLES", "kube_log_level: 2") + "network: {subnet: 10.233.0.0/24, mtu: 1400}\n";
    let report = judge_cluster(&text, None);
    assert_eq!(short(&report), ["!overlapping-networks 13"]);
}

/// On a libvirt of this computer, what the computer routes is near the machines.
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

/// Without what they are about there is no spec: a comment cannot help.
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
