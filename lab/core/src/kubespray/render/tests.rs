use std::fmt::Write as _;

use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::fixtures;
use crate::kubespray::index;
use crate::spec::{ClusterSpec, NetworkPlugin};

mod configuration;
mod containers;
mod served;
mod topologies;

/// The index of a release.
fn known(tag: &str) -> Index {
    Index::known(tag).unwrap()
}

fn login() -> Login {
    Login {
        user: "debian".to_owned(),
        lab_dir: "../../output/test".to_owned(),
        key: "keys/id_ed25519".to_owned(),
        ssh_config: "ssh_config".to_owned(),
    }
}

/// The settings as lines.
fn settings_text(spec: &ClusterSpec, index: &Index) -> String {
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
fn minimal_file_sets_little() {
    insta::assert_snapshot!(settings_text(&fixtures::spec(), &known("v2.31.0")));
}

#[test]
fn everything_that_can_be_asked_for_is_set() {
    insta::assert_snapshot!(settings_text(&fixtures::everything(), &known("v2.30.0")));
}

#[test]
fn variables_of_user_replace_those_of_lab() {
    let mut spec = with_variables(&json!({
        "all": { "kubeconfig_localhost": false, "ntp_enabled": true },
        "k8s_cluster": { "calico_mtu": 1400, "kubectl_localhost": false, "a_list": [1, "two", null] },
        "kube_node": { "kubelet_max_pods": 50 },
        "etcd": { "etcd_heartbeat_interval": 500 },
    }));
    spec.kubernetes.network.mtu = Some(1450);
    spec.kubernetes.kubelet.max_pods = Some(110);
    insta::assert_snapshot!(settings_text(&spec, &known("v2.31.0")));
}

#[test]
fn cluster_name_sets_domain_of_services() {
    let settings = settings(
        &with_variables(&json!({ "k8s_cluster": { "cluster_name": "mine.lab" } })),
        &known("v2.31.0"),
    );
    assert_eq!(value(&settings, "k8s_cluster", "cluster_name"), Some(&json!("mine.lab")));
    assert_eq!(value(&settings, "k8s_cluster", "dns_domain"), None);
}

#[rstest]
#[case::the_tag_has_it_and_it_is_wanted("v2.30.0", true, Some(true))]
#[case::the_tag_has_it_and_it_is_not_wanted("v2.30.0", false, Some(false))]
#[case::the_lint_refuses_what_is_wanted_and_gone("v2.31.0", true, Some(true))]
#[case::what_is_gone_and_not_wanted_is_not_said("v2.31.0", false, None)]
fn add_on_is_left_out_when_dropped_and_not_wanted(
    #[case] tag: &str,
    #[case] wanted: bool,
    #[case] set: Option<bool>,
) {
    let mut spec = fixtures::spec();
    spec.kubernetes.addons.ingress_nginx = Some(wanted);
    let settings = settings(&spec, &known(tag));
    assert_eq!(value(&settings, "k8s_cluster", "ingress_nginx_enabled"), set.map(Value::from).as_ref());
}

#[rstest]
#[case::calico(NetworkPlugin::Calico, &["calico_version", "calico_mtu", "calico_vxlan_mode"])]
#[case::cilium(NetworkPlugin::Cilium, &["cilium_version", "cilium_mtu", "cilium_tunnel_mode"])]
#[case::flannel(NetworkPlugin::Flannel, &["flannel_version", "flannel_backend_type"])]
#[case::kube_ovn(NetworkPlugin::KubeOvn, &["kube_ovn_version", "kube_ovn_mtu"])]
#[case::kube_router(NetworkPlugin::KubeRouter, &["kube_router_version"])]
#[case::none(NetworkPlugin::None, &[])]
fn each_plugin_has_variables_of_its_own(#[case] plugin: NetworkPlugin, #[case] expected: &[&str]) {
    let mut spec = fixtures::everything();
    spec.kubernetes.network.plugin = Some(plugin);
    let settings = settings(&spec, &known("v2.31.0"));
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
fn certificate_holds_name_of_machines_host(#[case] uri: &str, #[case] name: Option<&str>) {
    let mut spec = fixtures::spec();
    spec.host = crate::spec::HostSpec::Libvirt(uri.to_owned());
    let expected: Vec<&str> = ["192.168.200.1"].into_iter().chain(name).collect();
    let settings = settings(&spec, &known("v2.31.0"));
    assert_eq!(
        value(&settings, "k8s_cluster", "supplementary_addresses_in_ssl_keys"),
        Some(&json!(expected))
    );
}

#[test]
fn same_spec_gives_same_bytes_but_for_path_to_lab() {
    let (spec, index) = (fixtures::everything(), known("v2.30.0"));
    let here = render(&spec, &index, &login()).unwrap();
    assert_eq!(here, render(&spec, &index, &login()).unwrap());
    let elsewhere = Login { lab_dir: "..".to_owned(), ..login() };
    let mut moved = render(&spec, &index, &elsewhere).unwrap();
    let inventory = moved.get_mut("inventory.ini").unwrap();
    *inventory = inventory.replace(
        "{{ inventory_dir | default('') }}/..",
        "{{ inventory_dir | default('') }}/../../output/test",
    );
    assert_eq!(here, moved);
    assert!(here.values().all(|text| made_for(text) == Some("dev")));
}

#[rstest]
#[case("/labs/100%/dev", '%')]
#[case("/home/o'brien/dev", '\'')]
#[case("../{{ x }}", '{')]
fn render_refuses_ambiguous_path_to_lab(#[case] lab_dir: &str, #[case] character: char) {
    let login = Login { lab_dir: lab_dir.to_owned(), ..login() };
    let expected = AccessError::Character { path: lab_dir.to_owned(), character };
    assert_eq!(render(&fixtures::spec(), &known("v2.30.0"), &login), Err(expected));
}

#[rstest]
#[case("# Made by the lab dev from its cluster file; changes are overwritten.\n---\n", Some("dev"))]
#[case("# Made by the lab dev from its cluster file; changes are overwritten.", Some("dev"))]
#[case("# Made by the lab dev by hand\n", None)]
#[case("", None)]
fn own_file_is_known_by_first_line(#[case] text: &str, #[case] lab: Option<&str>) {
    assert_eq!(made_for(text), lab);
}

/// The words that a cluster file may say are those that every known release takes.
#[test]
fn words_of_the_cluster_file_are_those_of_the_releases() {
    for tag in index::known_tags() {
        let index = known(tag);
        let words = |variable: &str| index.choices[variable].iter().map(String::as_str).collect::<Vec<_>>();
        for (variable, ours) in [
            (
                "container_manager",
                crate::spec::ContainerEngine::WORDS.iter().map(|(word, _)| *word).collect::<Vec<_>>(),
            ),
            ("kube_network_plugin", NetworkPlugin::WORDS.iter().map(|(word, _)| *word).collect()),
            ("dns_mode", crate::spec::DnsMode::WORDS.iter().map(|(word, _)| *word).collect()),
        ] {
            let (mut ours, mut theirs) = (ours, words(variable));
            ours.sort_unstable();
            theirs.sort_unstable();
            assert_eq!(ours, theirs, "{variable} of {tag}");
        }
    }
}

/// No release misses a variable that the lab sets, but for the add-ons that were dropped.
#[test]
fn every_variable_that_the_lab_sets_is_known_to_every_release() {
    for tag in index::known_tags() {
        let index = known(tag);
        let mut unknown = Vec::new();
        for (_, plugin) in NetworkPlugin::WORDS {
            for (_, engine) in crate::spec::ContainerEngine::WORDS {
                let mut spec = fixtures::everything();
                spec.kubernetes.network.plugin = Some(*plugin);
                spec.kubernetes.container_runtime.engine = Some(*engine);
                spec.machines[1].kind = crate::spec::MachineKind::Container;
                let settings = settings(&spec, &index);
                unknown.extend(
                    settings
                        .into_iter()
                        .map(|setting| setting.name)
                        .filter(|name| !index.variables.contains_key(name) && !name.starts_with("ansible_")),
                );
            }
        }
        unknown.sort();
        unknown.dedup();
        let expected: &[&str] = if tag == "v2.31.0" { &["ingress_nginx_enabled"] } else { &[] };
        assert_eq!(unknown, expected, "{tag}");
    }
}
