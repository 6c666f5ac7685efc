use std::collections::BTreeMap;
use std::fmt::Write as _;

use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::fixtures;
use crate::spec::{ClusterSpec, NetworkPlugin};

/// An index that knows nothing but the names of variables.
fn index(names: &[&str]) -> Index {
    let variables: BTreeMap<_, _> = names.iter().map(|name| (*name, json!({}))).collect();
    serde_json::from_value(json!({
        "version": "v2.30.0",
        "commit": "",
        "ansible_core": ["2.17.3", "2.18.0"],
        "requirements": [],
        "playbooks": [],
        "groups": [],
        "distributions": [],
        "choices": {},
        "refused": [],
        "components": {},
        "files": [],
        "variables": variables,
    }))
    .unwrap()
}

/// The settings as lines.
fn told(spec: &ClusterSpec, index: &Index) -> String {
    let mut text = String::new();
    for Entry { setting, note } in entries(spec, index) {
        let of = match &setting.scope {
            Scope::Group(name) => format!("[{name}]"),
            Scope::Host(name) => name.clone(),
        };
        let from = match &setting.origin {
            Origin::ClusterFile(path) => path.clone(),
            Origin::Harness(why) => format!("({why})"),
            Origin::File { .. } => panic!("nothing is read from files here"),
        };
        let note = note.map(|note| format!("; {note}")).unwrap_or_default();
        writeln!(text, "{of} {}={} # {from}{note}", setting.name, setting.value).unwrap();
    }
    text
}

/// The value of a group's variable.
fn value<'s>(settings: &'s [Setting], group: &str, name: &str) -> Option<&'s Value> {
    let scope = Scope::Group(group.to_owned());
    let found: Vec<&Setting> =
        settings.iter().filter(|setting| setting.scope == scope && setting.name == name).collect();
    assert!(found.len() < 2, "{name} is set {} times for {group}", found.len());
    found.first().map(|setting| &setting.value)
}

fn with_variables(variables: &Value) -> ClusterSpec {
    let mut spec = fixtures::spec();
    spec.kubespray.variables = serde_json::from_value(variables.clone()).unwrap();
    spec
}

#[test]
fn a_file_that_asks_for_nothing_sets_little() {
    insta::assert_snapshot!(told(&fixtures::spec(), &index(&[])));
}

#[test]
fn everything_that_can_be_asked_for_is_set() {
    insta::assert_snapshot!(told(&fixtures::everything(), &index(&["ingress_nginx_enabled"])));
}

#[test]
fn what_the_user_passes_on_takes_the_place_of_what_the_lab_says() {
    let mut spec = with_variables(&json!({
        "all": { "kubeconfig_localhost": false, "ntp_enabled": true },
        "k8s_cluster": { "calico_mtu": 1400, "kubectl_localhost": false, "a_list": [1, "two", null] },
        "kube_node": { "kubelet_max_pods": 50 },
        "etcd": { "etcd_heartbeat_interval": 500 },
    }));
    spec.kubernetes.network.mtu = Some(1450);
    spec.kubernetes.kubelet.max_pods = Some(110);
    insta::assert_snapshot!(told(&spec, &index(&[])));
}

#[test]
fn whoever_names_the_cluster_names_the_domain_of_its_services() {
    let settings =
        settings(&with_variables(&json!({ "k8s_cluster": { "cluster_name": "mine.lab" } })), &index(&[]));
    assert_eq!(value(&settings, "k8s_cluster", "cluster_name"), Some(&json!("mine.lab")));
    assert_eq!(value(&settings, "k8s_cluster", "dns_domain"), None);
}

#[rstest]
#[case::the_tag_has_it_and_it_is_wanted(&["ingress_nginx_enabled"], true, Some(true))]
#[case::the_tag_has_it_and_it_is_not_wanted(&["ingress_nginx_enabled"], false, Some(false))]
#[case::the_lint_refuses_what_is_wanted_and_gone(&[], true, Some(true))]
#[case::what_is_gone_and_not_wanted_is_not_said(&[], false, None)]
fn an_add_on_that_the_tag_has_dropped(
    #[case] names: &[&str],
    #[case] wanted: bool,
    #[case] set: Option<bool>,
) {
    let mut spec = fixtures::spec();
    spec.kubernetes.addons.ingress_nginx = Some(wanted);
    let settings = settings(&spec, &index(names));
    assert_eq!(value(&settings, "k8s_cluster", "ingress_nginx_enabled"), set.map(Value::from).as_ref());
}

#[rstest]
#[case::calico(NetworkPlugin::Calico, &["calico_version", "calico_mtu", "calico_vxlan_mode"])]
#[case::cilium(NetworkPlugin::Cilium, &["cilium_version", "cilium_mtu", "cilium_tunnel_mode"])]
#[case::flannel(NetworkPlugin::Flannel, &["flannel_version", "flannel_backend_type"])]
#[case::kube_ovn(NetworkPlugin::KubeOvn, &["kube_ovn_version", "kube_ovn_mtu"])]
#[case::kube_router(NetworkPlugin::KubeRouter, &["kube_router_version"])]
#[case::nobody(NetworkPlugin::None, &[])]
fn each_plugin_has_variables_of_its_own(#[case] plugin: NetworkPlugin, #[case] expected: &[&str]) {
    let mut spec = fixtures::everything();
    spec.kubernetes.network.plugin = Some(plugin);
    let settings = settings(&spec, &index(&[]));
    for name in expected {
        assert!(value(&settings, "k8s_cluster", name).is_some(), "{name}");
    }
    let others = ["calico_", "cilium_", "flannel_", "kube_ovn_", "kube_router_"];
    let own = plugin.as_str().replace('-', "_");
    for setting in &settings {
        let foreign =
            others.iter().any(|prefix| setting.name.starts_with(prefix) && !setting.name.starts_with(&own));
        assert!(!foreign, "{} for {own}", setting.name);
    }
}

#[rstest]
#[case("qemu:///system", None)]
#[case("qemu+ssh://root@server/system", Some("server"))]
#[case("qemu+ssh://server:2222/system", Some("server"))]
#[case("qemu+tls://[fd00::7]:16514/system", Some("fd00::7"))]
fn the_certificate_holds_the_name_of_the_machines_host(#[case] uri: &str, #[case] name: Option<&str>) {
    let mut spec = fixtures::spec();
    spec.host = crate::spec::HostSpec::Libvirt(uri.to_owned());
    let expected: Vec<&str> = ["192.168.200.1"].into_iter().chain(name).collect();
    let settings = settings(&spec, &index(&[]));
    assert_eq!(
        value(&settings, "k8s_cluster", "supplementary_addresses_in_ssl_keys"),
        Some(&json!(expected))
    );
}
