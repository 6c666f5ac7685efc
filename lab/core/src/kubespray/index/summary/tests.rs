use rstest::rstest;

use super::*;

fn known(tag: &str) -> Index {
    Index::known(tag).unwrap()
}

#[test]
fn index_becomes_short_text() {
    insta::assert_snapshot!(summary_text(&known("v2.31.0")));
}

#[rstest]
#[case::version("v2.31.0", "etcd_version")]
#[case::choice("v2.31.0", "kube_network_plugin")]
#[case::only_used("v2.30.0", "node_taints")]
#[case::only_in_the_sample("v2.30.0", "calico_mtu")]
#[case::fixed("v2.30.0", "kube_service_subnets")]
#[case::sometimes_fixed("v2.30.0", "containerd_package")]
#[case::boolean("v2.30.0", "deploy_netchecker")]
#[case::refused("v2.31.0", "kubelet_static_pod_path")]
fn variable_becomes_whole_text(#[case] tag: &str, #[case] name: &str) {
    let summary = summarise_variable(&known(tag), name).unwrap();
    insta::assert_snapshot!(name.to_owned(), variable_text(&summary));
}

#[test]
fn variable_text_shows_an_empty_word() {
    let mut index = known("v2.31.0");
    index.choices.insert("cloud_provider".to_owned(), vec![String::new(), "external".to_owned()]);
    let text = variable_text(&summarise_variable(&index, "cloud_provider").unwrap());
    assert!(text.contains("\n  one of        \"\", external\n"), "{text}");
}

#[rstest]
#[case::removed("v2.31.0", "ingress_nginx_enabled", Some("v2.29.0, v2.29.1, v2.30.0 have it"))]
#[case::new("v2.30.0", "kubelet_fail_cgroup_v1", Some("v2.31.0 has it"))]
#[case::misspelt("v2.30.0", "calico_mtuu", Some("did you mean `calico_mtu`?"))]
#[case::nothing_like_it("v2.30.0", "zzzzzzzzzzzzzzzzzzzz", None)]
fn unknown_name_gets_hint(#[case] tag: &str, #[case] name: &str, #[case] expected: Option<&str>) {
    assert_eq!(summarise_variable(&known(tag), name), None);
    assert_eq!(unknown_variable_hint(&known(tag), name).as_deref(), expected);
}
