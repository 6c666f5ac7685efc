use rstest::rstest;
use serde_json::{Value, json};

use super::*;

fn known(tag: &str) -> Index {
    Index::known(tag).unwrap()
}

#[rstest]
#[case::to_2_29_1("v2.29.0", "v2.29.1")]
#[case::to_2_30_0("v2.29.1", "v2.30.0")]
#[case::to_2_31_0("v2.30.0", "v2.31.0")]
fn difference_between_releases_becomes_text(#[case] from: &str, #[case] to: &str) {
    let difference = difference(&known(from), &known(to));
    insta::assert_snapshot!(format!("{from}-{to}"), difference_text(&difference));
}

#[test]
fn release_does_not_differ_from_itself() {
    let index = known("v2.30.0");
    let text = difference_text(&difference(&index, &index));
    assert_eq!(text, "Kubespray v2.30.0 to v2.30.0\n\nTheir indexes do not differ.\n");
}

#[test]
fn change_of_release_removes_measured_names() {
    let removed = |from, to| difference(&known(from), &known(to)).removed;
    let small: Vec<String> = removed("v2.29.1", "v2.30.0").into_keys().collect();
    assert_eq!(small, ["cilium_remove_old_resources", "etcd_cert_dir_mode"]);
    let large = removed("v2.30.0", "v2.31.0");
    assert_eq!(large.len(), 88);
    let before = known("v2.30.0");
    let gone = |name: &&String| {
        ["ingress_nginx_", "dashboard_", "netcheck"].iter().any(|start| name.starts_with(start))
    };
    for name in before.variables.keys().filter(gone) {
        assert!(large.contains_key(name), "{name}");
    }
}

fn set(scope: Scope, name: &str, value: Value) -> Setting {
    let key = format!("kubespray.variables.{name}");
    Setting { scope, name: name.to_owned(), value, origin: Origin::ClusterFile(key) }
}

#[test]
fn uses_of_cluster_are_reported_with_place() {
    let (from, to) = (known("v2.30.0"), known("v2.31.0"));
    let all = || Scope::Group("all".to_owned());
    let cluster = || Scope::Group("k8s_cluster".to_owned());
    let settings = [
        set(cluster(), "kube_version", json!("1.32.9")),
        set(cluster(), "calico_version", json!("3.30.6")),
        set(cluster(), "ingress_nginx_enabled", json!(true)),
        set(cluster(), "deploy_netchecker", json!(true)),
        set(all(), "kubelet_static_pod_path", json!("/etc/kubernetes/manifests")),
        set(all(), "my_own", json!({ "a": [1] })),
        set(all(), "kube_proxy_mode", json!("ipvs")),
        set(Scope::Host("gpu-1".to_owned()), "node_taints", json!(["a=b:NoSchedule"])),
        set(Scope::Host("gpu-2".to_owned()), "node_taints", json!(["a=b:NoSchedule"])),
    ];
    let difference = difference(&from, &to);
    insta::assert_snapshot!(use_text("quick", &uses(&settings, &from, &to, &difference)));
    assert_eq!(
        use_text("quick", &uses(&settings[6..7], &from, &to, &difference)),
        "The cluster `quick` uses nothing that changes, but for the versions that it leaves to Kubespray.\n"
    );
}

#[test]
fn uses_report_words_and_variables_lost_to_the_user() {
    let from = known("v2.31.0");
    let mut to = from.clone();
    to.version = "next".to_owned();
    to.choices.insert("kube_proxy_mode".to_owned(), vec!["nftables".to_owned()]);
    to.choices.insert("cloud_provider".to_owned(), vec![String::new(), "external".to_owned()]);
    if let Some(variable) = to.variables.get_mut("kube_network_node_prefix") {
        variable.fixed.push(crate::kubespray::index::Place(0, 1));
    }
    let difference = difference(&from, &to);
    insta::assert_snapshot!("words-and-fixed", difference_text(&difference));
    let group = || Scope::Group("k8s_cluster".to_owned());
    let settings =
        [set(group(), "kube_proxy_mode", json!("ipvs")), set(group(), "kube_network_node_prefix", json!(24))];
    insta::assert_snapshot!(
        "words-and-fixed-used",
        use_text("quick", &uses(&settings, &from, &to, &difference))
    );
    insta::assert_json_snapshot!("words-and-fixed-json", difference);
}
