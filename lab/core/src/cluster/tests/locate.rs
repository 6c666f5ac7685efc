//! Every path of the cluster file leads to the place where it is written.

use super::*;

/// The texts at the key of a path and at its value.
fn found<'t>(text: &'t str, path: &str) -> Option<(&'t str, &'t str)> {
    let found = Places::of(&source(text)).find(path)?;
    let slice = |span: Span| text.get(span.start..span.end).unwrap();
    Some((slice(found.name), slice(found.value)))
}

const TEXT: &str = "\
name: test
kubernetes:
  network: {mtu: 1440}
kubespray:
  variables:
    k8s_cluster:
      kubelet_max_pods: 90
defaults:
  labels:
    zone: a
machines:
  - name: one
    taints: ['a:NoSchedule']
  - {name: two, labels: {rack: r1}, address: 192.168.200.20}
";

#[rstest]
#[case::a_key_of_a_section("kubernetes.network.mtu", "mtu", "1440")]
#[case::a_section("kubernetes.network", "network", "{")]
#[case::a_variable("kubespray.variables.k8s_cluster.kubelet_max_pods", "kubelet_max_pods", "90")]
#[case::a_machine("machines.two.address", "address", "192.168.200.20")]
#[case::a_list_of_a_machine("machines.one.taints", "taints", "[")]
#[case::a_mapping_of_a_machine("machines.two.labels", "labels", "{")]
#[case::from_the_defaults("machines.one.labels", "labels", "zone")]
#[case::a_machine_by_what_it_has("machines.one.address", "name", "one")]
#[case::a_key_that_is_not_there("kubernetes.dns.mode", "kubernetes", "network")]
#[case::a_machine_that_is_not_there("machines.three.labels", "machines", "name")]
fn path_leads_to_key_and_value(#[case] path: &str, #[case] name: &str, #[case] value: &str) {
    assert_eq!(found(TEXT, path), Some((name, value)));
}

#[test]
fn missing_path_is_nowhere() {
    assert_eq!(found(TEXT, "mirrors.files"), None);
    assert_eq!(found("- a\n", "name"), None);
    assert_eq!(found("a: [", "a"), None);
}
