//! Each rule: where it fires, and where it is silent.

use super::*;

/// With v2.30.0 unless the case says otherwise; the expected findings are `code line`, `!` in front of errors.
#[rstest]
// Names.
#[case::misspelt("kube_verison: 1.34.3", "!unknown-variable 1")]
#[case::misspelt_by_case("Kube_Network_Plugin: calico", "!unknown-variable 1")]
#[case::another_name("kubernetes_version: 1.34.3", "!unknown-variable 1")]
#[case::unknown("my_company_ntp: a", "unknown-variable 1")]
#[case::used_in_a_template("my_mtu: 1400\ncalico_mtu: \"{{ my_mtu }}\"", "")]
#[case::used_in_a_list(
    "mirror: a\ncontainerd_registries_mirrors: [{prefix: x, mirrors: [{host: '{{ mirror }}'}]}]",
    ""
)]
#[case::connection_of_ansible("ansible_user: debian\nansible_python_interpreter: /usr/bin/python3", "")]
#[case::no_name("kube-version: 1.34.3", "bad-variable 1")]
#[case::known("supplementary_addresses_in_ssl_keys: [10.0.0.1]\nhelm_enabled: false", "")]
#[case::fixed("kube_major_version: '1.34'", "!fixed-variable 1")]
#[case::removed("cilium_remove_old_resources: true", "removed-variable 1")]
#[case::refused_by_calico("ipip: false", "!removed-variable 1")]
#[case::refused_but_not_looked_at("ipip: false\nkube_network_plugin: flannel", "removed-variable 1")]
// Shapes.
#[case::text_for_a_boolean("metrics_server_enabled: 'true'", "text-boolean 1")]
#[case::text_for_no("metrics_server_enabled: 'false'", "!text-boolean 1")]
#[case::text_for_an_asserted_boolean("helm_enabled: 'true'", "!text-boolean 1")]
#[case::a_word_for_a_boolean("metrics_server_enabled: maybe", "!wrong-shape 1")]
#[case::a_boolean("metrics_server_enabled: yes\nhelm_enabled: off", "")]
#[case::a_template_for_a_boolean("metrics_server_enabled: \"{{ 1 == 1 }}\"", "")]
#[case::text_for_a_list("kube_feature_gates: NodeSwap=true", "!wrong-shape 1")]
#[case::mapping_for_a_list("kubeadm_patches: {a: b}", "!wrong-shape 1")]
#[case::list_for_a_mapping("kubelet_config_extra_args: [a]", "!wrong-shape 1")]
#[case::list_for_a_text("etcd_data_dir: [a]", "!wrong-shape 1")]
#[case::list_for_a_number("kubelet_max_pods: [110]", "!wrong-shape 1")]
#[case::quantity_for_a_number("etcd_snapshot_count: '10000'", "")]
#[case::empty_for_a_list("kube_feature_gates: ''", "")]
#[case::the_default_is_a_text("docker_iptables_enabled: 'false'", "")]
// Choices.
#[case::a_plugin("kube_network_plugin: weave", "!unknown-choice 1")]
#[case::a_runtime("container_manager: cri-o", "!unknown-choice 1")]
#[case::no_is_a_boolean("dns_mode: no", "!unknown-choice 1")]
#[case::none_is_a_word("dns_mode: none", "")]
#[case::a_mode_of_calico("calico_vxlan_mode: always", "!unknown-choice 1")]
#[case::a_right_choice("kube_network_plugin: kube-ovn\nkube_proxy_mode: nftables", "")]
#[case::download_alone("download_localhost: true", "!missing-companion 1")]
#[case::download_together("download_localhost: true\ndownload_run_once: true", "")]
#[case::etcd_in_docker("etcd_deployment_type: docker", "!missing-companion 1")]
#[case::everything_in_docker("etcd_deployment_type: docker\ncontainer_manager: docker", "")]
#[case::gvisor("gvisor_enabled: true\ncontainer_manager: crio", "!missing-companion 1")]
#[case::gvisor_with_the_default("gvisor_enabled: true", "")]
#[case::kata("kata_containers_enabled: true\ncontainer_manager: docker", "!missing-companion 1")]
#[case::renewal("kube_external_ca_mode: true\nauto_renew_certificates: true", "!missing-companion 1")]
#[case::metallb("metallb_enabled: true", "!missing-companion 1")]
#[case::metallb_without_ipvs("metallb_enabled: true\nkube_proxy_mode: iptables", "")]
#[case::metallb_with_arp("metallb_enabled: true\nkube_proxy_strict_arp: true", "")]
#[case::metallb_with_a_template(
    "metallb_enabled: true\nkube_proxy_strict_arp: \"{{ metallb_enabled }}\"",
    ""
)]
#[case::cloud("cloud_provider: external", "!missing-companion 1")]
#[case::cloud_by_name("cloud_provider: openstack", "!unknown-choice 1")]
#[case::whole_cloud("cloud_provider: external\nexternal_cloud_provider: openstack", "")]
#[case::no_cloud("cloud_provider: ''", "")]
#[case::route_reflectors("peer_with_calico_rr: true", "!missing-companion 1")]
#[case::route_reflectors_with_id("peer_with_calico_rr: true\ncluster_id: 1.0.0.1", "")]
#[case::deprecated("nvidia_accelerator_enabled: true", "deprecated-variable 1")]
#[case::typo_of_another_time("matallb_auto_assign: true", "removed-variable 1")]
// Versions.
#[case::prefix("kube_version: v1.34.3", "!version-format 1")]
#[case::prefix_of_a_part("calico_cni_version: v3.30.6", "!version-format 1")]
#[case::too_old("kube_version: 1.28.0", "!unsupported-version 1")]
#[case::too_new("kube_version: 1.99.0", "!unsupported-version 1")]
#[case::no_such_patch("kube_version: 1.33.99", "!unsupported-version 1")]
#[case::no_patch("kube_version: '1.34'", "!unsupported-version 1")]
#[case::a_number("kube_version: 1.30", "!version-format 1")]
#[case::a_short_number("kube_version: 1.34", "!version-format 1|!unsupported-version 1")]
#[case::a_number_without_zeros("docker_version: 28.3", "")]
#[case::a_word("containerd_version: latest", "!unsupported-version 1")]
#[case::supported("kube_version: 1.33.7\ncalico_version: 3.29.1\ncontainerd_version: \"1.7.23\"", "")]
#[case::with_its_own_checksum("runc_version: 9.9.9\nrunc_binary_checksum: sha256:00", "")]
#[case::part_of_another_calico("calico_version: 3.30.5\ncalico_typha_version: 3.30.6", "version-pair 2")]
#[case::etcd_of_another_kubernetes("etcd_version: 3.6.7", "!unsupported-version 1|version-pair 1")]
#[case::etcd_of_this_kubernetes("etcd_version: 3.5.25", "")]
// Feature gates.
#[case::removed_gate("kube_feature_gates: ['CSIMigration=true']", "!removed-feature-gate 1")]
#[case::removed_gate_of_one_component(
    "kubelet_feature_gates:\n  - NodeSwap=true\n  - KMSv2=false",
    "!removed-feature-gate 3"
)]
#[case::gate_of_a_later_kubernetes(
    "kube_version: 1.32.11\nkube_feature_gates: [NativeHistograms=true]",
    "!unknown-feature-gate 2"
)]
#[case::misspelt_gate("kube_feature_gates: [NodeSwop=true]", "!unknown-feature-gate 1")]
#[case::gate_twice("kube_feature_gates:\n- NodeSwap=true\n- NodeSwap=True", "duplicate-feature-gate 3")]
#[case::gate_both_ways("kube_feature_gates:\n- NodeSwap=true\n- NodeSwap=false", "!duplicate-feature-gate 3")]
#[case::gate_without_a_value("kube_feature_gates: [NodeSwap]", "!bad-feature-gate 1")]
#[case::gate_as_a_mapping("kube_feature_gates: [{NodeSwap: true}]", "!bad-feature-gate 1")]
#[case::gate_with_a_word("kube_feature_gates: [NodeSwap=on]", "!bad-feature-gate 1")]
#[case::right_gates(
    "kube_feature_gates: [AllAlpha=false, NodeSwap=true]\nkubeadm_feature_gates: [RootlessControlPlane=true]",
    ""
)]
// Networks.
#[case::no_network("kube_pods_subnet: 10.233.64.0", "!bad-subnet 1")]
#[case::bits_behind_the_prefix("kube_pods_subnet: 10.233.64.1/18", "!bad-subnet 1")]
#[case::pods_and_services(
    "kube_pods_subnet: 10.96.128.0/20\nkube_service_addresses: 10.96.0.0/12",
    "!overlapping-networks 1"
)]
#[case::pods_and_the_default_of_services("kube_pods_subnet: 10.233.0.0/16", "!overlapping-networks 1")]
#[case::pods_and_machines("kube_pods_subnet: 192.0.2.0/24", "!overlapping-networks 1")]
#[case::local_dns_in_the_pods("nodelocaldns_ip: 10.233.64.10", "!overlapping-networks 1")]
#[case::local_dns_not_used("nodelocaldns_ip: 10.233.64.10\nenable_nodelocaldns: false", "")]
#[case::local_dns_is_no_address("nodelocaldns_ip: localhost", "!bad-address 1")]
#[case::apart("kube_pods_subnet: 10.244.0.0/16\nkube_service_addresses: 10.96.0.0/12", "")]
#[case::too_few_parts(
    "kube_network_plugin: flannel\nkube_pods_subnet: 10.244.0.0/23",
    "!too-few-pod-addresses 2"
)]
#[case::too_many_pods("kube_network_plugin: cilium\nkubelet_max_pods: 300", "!too-few-pod-addresses 2")]
#[case::blocks_of_calico("calico_pool_blocksize: 18", "!too-few-pod-addresses 1")]
#[case::calico_needs_no_parts("kube_pods_subnet: 10.244.0.0/23\nkubelet_max_pods: 300", "")]
// MTU.
#[case::mtu_as_text("calico_mtu: '1440'", "!wrong-shape 1")]
#[case::mtu_and_vxlan("calico_mtu: 1480", "mtu-encapsulation 1")]
#[case::mtu_and_ipip(
    "calico_mtu: 1480\ncalico_ipip_mode: Always\ncalico_vxlan_mode: Never\ncalico_network_backend: bird",
    ""
)]
#[case::mtu_and_wireguard("calico_mtu: 1450\ncalico_wireguard_enabled: true", "mtu-encapsulation 1")]
#[case::mtu_that_fits("calico_mtu: 1440", "")]
#[case::mtu_of_a_faster_network("calico_mtu: 8950", "")]
#[case::both_encapsulations("calico_ipip_mode: Always", "!mtu-encapsulation 1")]
#[case::ipip_without_bird("calico_ipip_mode: CrossSubnet\ncalico_vxlan_mode: Never", "!mtu-encapsulation 1")]
#[case::mtu_of_another_plugin("calico_mtu: 1500\nkube_network_plugin: flannel", "")]
// Security.
#[case::open_port("kube_read_only_port: 10255", "open-kubelet 1")]
#[case::closed_port("kube_read_only_port: 0", "")]
#[case::open_kubelet("kubelet_authorization_mode_webhook: false", "open-kubelet 1")]
#[case::closed_kubelet("kubelet_authorization_mode_webhook: true", "")]
#[case::tokens("kube_token_auth: true", "weak-authentication 1")]
#[case::shown_secrets("unsafe_show_logs: true", "shown-secrets 1")]
#[case::hidden_secrets("unsafe_show_logs: false", "")]
#[case::ignored_asserts("ignore_assert_errors: yes", "ignored-asserts 1")]
#[case::no_rbac("authorization_modes: [Node]", "anonymous-access 1")]
#[case::everything_allowed("authorization_modes: [AlwaysAllow, RBAC]", "anonymous-access 1")]
#[case::rbac("authorization_modes: [Node, RBAC]\nkube_api_anonymous_auth: true", "")]
#[case::become_everywhere("ansible_become: true", "become-everywhere 1")]
#[case::no_host_keys("ansible_ssh_common_args: '-o StrictHostKeyChecking=no'", "host-key-checking 1")]
#[case::no_host_keys_by_name("ansible_host_key_checking: false", "host-key-checking 1")]
#[case::host_keys("ansible_ssh_common_args: '-o ControlMaster=no'", "")]
#[case::plain_password("ansible_become_password: secret", "plain-password 1")]
#[case::password_of_a_registry(
    "containerd_registry_auth: [{registry: r, username: u, password: secret}]",
    "plain-password 1"
)]
#[case::looked_up_password("ansible_become_password: \"{{ lookup('env', 'P') }}\"", "")]
#[case::encrypted_password("ansible_password: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  61", "~not-judged 1")]
fn variables_for_everybody(#[case] variables: &str, #[case] expected: &str) {
    assert_eq!(found(variables, "v2.30.0").join("|"), expected);
}

#[rstest]
#[case::dropped("ingress_nginx_enabled: true", "v2.31.0", "!dropped-addon 1")]
#[case::dropped_and_off(
    "ingress_nginx_enabled: false\ndashboard_namespace: x",
    "v2.31.0",
    "removed-variable 1|removed-variable 2"
)]
#[case::netchecker("deploy_netchecker: true", "v2.31.0", "!dropped-addon 1")]
#[case::netchecker_as_the_sample("deploy_netchecker: false", "v2.31.0", "")]
#[case::not_dropped_yet("ingress_nginx_enabled: true\ndashboard_enabled: true", "v2.30.0", "")]
#[case::refused("kubelet_static_pod_path: x", "v2.31.0", "!removed-variable 1")]
#[case::not_refused_yet("kubelet_static_pod_path: x", "v2.30.0", "")]
#[case::not_there_yet("kube_apiserver_use_authorization_config_file: true", "v2.29.0", "")]
#[case::oldest_kubernetes("kube_version: 1.31.0", "v2.29.0", "")]
#[case::below_it("kube_version: 1.31.0", "v2.30.0", "!unsupported-version 1")]
fn variables_by_release(#[case] variables: &str, #[case] tag: &str, #[case] expected: &str) {
    assert_eq!(found(variables, tag).join("|"), expected);
}

/// `node_labels` and `node_taints` of one machine.
#[rstest]
#[case::labels("node_labels: {workload-type: general, zone: 'a', n: 5, empty: ''}", "")]
#[case::label_as_a_boolean("node_labels: {ready: true}", "bad-label 1")]
#[case::label_of_nothing("node_labels: {ready: }", "bad-label 1")]
#[case::nested_label("node_labels:\n  a: {b: c}", "!bad-label 2")]
#[case::labels_by_machine("node_labels:\n  two:\n    a: b", "!bad-label 2")]
#[case::label_key("node_labels:\n  good: x\n  'bad key': x", "!bad-label 3")]
#[case::label_value("node_labels:\n  good: 'x y'", "!bad-label 2")]
#[case::labels_as_text("node_labels: 'a=b'", "!bad-label 1")]
#[case::taints("node_taints: ['nvidia.com/gpu=present:NoSchedule', 'a:NoExecute']", "")]
#[case::taint_as_a_mapping("node_taints:\n  - {key: a, value: b, effect: NoSchedule}", "!bad-taint 2")]
#[case::taints_by_machine("node_taints: {two: ['a:NoSchedule']}", "!bad-taint 1")]
#[case::taint_without_an_effect("node_taints: ['a=b']", "!bad-taint 1")]
#[case::taint_with_another_effect("node_taints: ['a=b:NoScheduling']", "!bad-taint 1")]
#[case::taints_as_text("node_taints: 'a=b:NoSchedule'", "!bad-taint 1")]
fn variables_of_a_machine(#[case] variables: &str, #[case] expected: &str) {
    let report = judge(&[("inventory.ini", HOSTS), ("host_vars/two.yml", variables)], "v2.30.0");
    assert_eq!(short(&report).join("|"), expected);
}

#[rstest]
#[case::no_control_plane("[kube_node]\na\n[etcd]\na\n", "!no-control-plane 0")]
#[case::no_etcd("[kube_control_plane]\na\n", "!no-etcd 1")]
#[case::etcd_by_kubeadm("[kube_control_plane]\na\n[all:vars]\netcd_deployment_type=kubeadm\n", "")]
#[case::even_etcd(
    "[kube_control_plane]\na etcd_member_name=a\nb etcd_member_name=b\n[etcd:children]\nkube_control_plane\n",
    "!even-etcd 4"
)]
#[case::unpinned("[kube_control_plane]\na\n[etcd]\na\nb\nc\n", "~unpinned-etcd-name 3")]
#[case::pinned(
    "[kube_control_plane]\na\n[etcd]\na etcd_member_name=a\nb etcd_member_name=b\nc etcd_member_name=c\n",
    ""
)]
#[case::etcd_name_twice(
    "[kube_control_plane]\na\n[etcd]\na etcd_member_name=a\nb etcd_member_name=b\nc etcd_member_name=a\n",
    "!duplicate-name 6"
)]
#[case::etcd_name_for_all(
    "[kube_control_plane]\na\n[etcd]\na\nb\nc\n[etcd:vars]\netcd_member_name=e\n",
    "!duplicate-name 8"
)]
#[case::bad_name("[kube_control_plane]\nGPU_1\n[etcd]\nGPU_1\n", "!bad-name 2")]
#[case::dotted_name("[kube_control_plane]\na.example.com\n[etcd]\na.example.com\n", "")]
#[case::name_of_a_bastion("[kube_control_plane]\na\n[etcd]\na\n[bastion]\nJump_Host\n", "")]
#[case::no_address("[kube_control_plane]\na ip=somewhere\n[etcd]\na\n", "!bad-address 2")]
#[case::one_address(
    "[kube_control_plane]\na ip=192.0.2.1\n[kube_node]\nb ip=192.0.2.1\n[etcd]\na\n",
    "!duplicate-address 4"
)]
#[case::machines_in_the_default_pods(
    "[kube_control_plane]\na ip=10.233.70.1\n[etcd]\na\n",
    "!overlapping-networks 2"
)]
#[case::other_ssh_address(
    "[kube_control_plane]\na ansible_host=198.51.100.1 ip=192.0.2.1\n[etcd]\na\n",
    "~uncertified-address 2"
)]
#[case::certified(
    "[kube_control_plane]\na ansible_host=198.51.100.1 ip=192.0.2.1 supplementary_addresses_in_ssl_keys=\"['198.51.100.1']\"\n[etcd]\na\n",
    ""
)]
#[case::kubeconfig_by_ssh_address(
    "[kube_control_plane]\na ansible_host=198.51.100.1 ip=192.0.2.1\n[etcd]\na\n[all:vars]\nkubeconfig_localhost_ansible_host=True\n",
    "!uncertified-address 2"
)]
#[case::same_ssh_address("[kube_control_plane]\na ansible_host=192.0.2.1 ip=192.0.2.1\n[etcd]\na\n", "")]
#[case::own_address_unknown("[kube_control_plane]\na ansible_host=198.51.100.1\n[etcd]\na\n", "")]
#[case::implied(
    "[kube_control_plane]\na\n[etcd]\na\n[k8s_cluster:vars]\nkube_log_level=2\n[k8s_cluster]\n",
    "~implied-group 1"
)]
#[case::old_group("[kube_control_plane]\na\n[etcd]\na\n[kube-node]\nb\n", "old-group 5")]
#[case::empty_group(
    "[kube_control_plane]\na\n[etcd]\na\n[gpus]\n[gpus:vars]\nkube_log_level=3\n",
    "ineffective-variable 7"
)]
#[case::misspelt_group("[kube_control_plane]\na\n[etcd]\na\n[kube_nodes]\nb\n", "!unknown-group 5")]
#[case::misspelt_by_dashes(
    "[kube_control_plane]\na\n[etcd]\na\n[kube-control-plane]\nb\n",
    "!unknown-group 5"
)]
#[case::part_of_a_group("[kube_control_plane]\na\n[etcd:children]\netcd1\n[etcd1]\na\n", "")]
#[case::group_of_the_users_own(
    "[kube_control_plane]\na\n[etcd]\na\n[gpu_nodes]\nb\n[kube_node:children]\ngpu_nodes\n",
    ""
)]
#[case::set_twice(
    "[kube_control_plane]\na x_ip=1 ip=192.0.2.1\n[etcd]\na ip=192.0.2.2\n[all:vars]\nkube_log_level=2\nkube_log_level=3\n[kube_node:vars]\ny=\"{{ x_ip }} {{ y }}\"\n[kube_node]\n",
    "overridden-variable 2|overridden-variable 6"
)]
#[case::kubesprays_own_may_be_empty(
    "[kube_control_plane]\na\n[etcd]\na\n[calico_rr]\n[calico_rr:vars]\ncluster_id=1.0.0.1\n",
    ""
)]
#[case::ini_text(
    "[kube_control_plane]\na\n[etcd]\na\n[all:vars]\nhelm_enabled=true\nmetrics_server_enabled=True\n",
    "!text-boolean 6"
)]
#[case::ini_number(
    "[kube_control_plane]\na\n[etcd]\na\n[all:vars]\nkube_version=1.30\n",
    "!version-format 6"
)]
#[case::only_etcd(
    "[kube_control_plane]\na\n[etcd]\nb\n[k8s_cluster]\na\n[k8s_cluster:vars]\ncontainer_manager=crio\n",
    "ineffective-variable 8"
)]
fn inventories(#[case] hosts: &str, #[case] expected: &str) {
    let report = judge(&[("inventory.ini", hosts)], "v2.30.0");
    assert_eq!(short(&report).join("|").replace("plane 1", "plane 0"), expected);
}

#[rstest]
#[case::trap("group_vars/k8s_cluster/kube_control_plane.yml", "misplaced-file 1")]
#[case::right("group_vars/kube_control_plane.yml", "")]
#[case::for_everybody("group_vars/all/etcd.yml", "")]
#[case::of_the_group("group_vars/k8s_cluster/k8s-cluster.yml", "")]
fn names_of_files(#[case] path: &str, #[case] expected: &str) {
    let report = judge(&[("inventory.ini", HOSTS), (path, "kube_memory_reserved: 512Mi\n")], "v2.30.0");
    assert_eq!(short(&report).join("|"), expected);
}

/// A file wins over the file of hosts, and a later file over an earlier one; the same value again is no loss.
#[test]
fn overridden_value_is_reported_with_effective_one() {
    let hosts = format!("{HOSTS}[all:vars]\nkube_log_level=1\nkubelet_max_pods=100\n");
    let files = [
        ("inventory.ini", hosts.as_str()),
        ("group_vars/all/a.yml", "kube_log_level: 2\nkubelet_max_pods: 100\n"),
        ("group_vars/all/b.yml", "kube_log_level: 3\n"),
        ("group_vars/k8s_cluster.yml", "kube_log_level: 4\n"),
    ];
    let report = judge(&files, "v2.30.0");
    let places: Vec<_> = report
        .findings
        .iter()
        .map(|finding| {
            let related = &finding.related[0];
            (report.files[finding.file].path.as_str(), finding.line, report.files[related.file].path.as_str())
        })
        .collect();
    assert_eq!(
        places,
        [("inventory.ini", 15, "group_vars/all/a.yml"), ("group_vars/all/a.yml", 1, "group_vars/all/b.yml")]
    );
    insta::assert_snapshot!(report.render(false));
}

#[test]
fn misplaced_file_without_variables_is_not_reported() {
    let files = [("inventory.ini", HOSTS), ("group_vars/k8s_cluster/kube_control_plane.yml", "# x: 1\n")];
    assert_eq!(judge(&files, "v2.30.0").findings, []);
}

#[test]
fn names_of_the_users_own_are_not_judged() {
    let files = [("inventory.ini", HOSTS), ("group_vars/all.yml", "acme_kube_version: 1\nother: 1\n")];
    let options = Options { own_prefixes: vec!["acme_".to_owned()] };
    let report = inventory(read(&files), &Kubespray { index: known("v2.30.0"), others }, &options);
    assert_eq!(short(&report), ["unknown-variable 2"]);
}

/// One mistake for many machines is one finding, with their number.
#[test]
fn mistake_of_many_machines_is_reported_once() {
    let mut hosts = HOSTS.to_owned();
    for number in 10..60 {
        let _ = writeln!(hosts, "[kube_node]\nn{number} ip=192.0.2.1{number} kube_verison=1 node_taints=x");
    }
    let report = judge(&[("inventory.ini", &hosts)], "v2.30.0");
    let messages: Vec<&str> = report.findings.iter().map(|finding| finding.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "Kubespray v2.30.0 has no variable `kube_verison` (and for 49 more machines)",
            "`node_taints` is a list of taints, and here it is a text: the deployment fails",
        ]
    );
}

/// Kubernetes 1.36 is in no index that comes with the program.
#[test]
fn containerd_1_does_not_go_with_kubernetes_1_36() {
    let mut index = known("v2.31.0").clone();
    for component in index.components.values_mut() {
        if component.version_variable.as_deref() == Some("kube_version") {
            component.versions.get_mut("amd64").unwrap().insert(0, "1.36.4".to_owned());
        }
    }
    let judge = |variables: &str| {
        let files = [("inventory.ini", HOSTS), ("group_vars/all.yml", variables)];
        short(&inventory(read(&files), &Kubespray { index: &index, others }, &Options::default()))
    };
    assert_eq!(judge("kube_version: 1.36.4\ncontainerd_version: 1.7.23\n"), ["!version-pair 2"]);
    assert_eq!(judge("kube_version: 1.36.4\ncontainerd_version: 2.2.3\n"), [""; 0]);
    assert_eq!(judge("kube_version: 1.35.4\ncontainerd_version: 1.7.23\n"), [""; 0]);
}
