//! The cluster file from outside: the inventories that come with the project, the schema, planned and default
//! values, and that no text is too strange. `messages` shows the findings for mistakes.

use crate::source::{Severity, render};
use std::path::{Path, PathBuf};

use rstest::rstest;

use super::*;
use crate::spec::{HostSpec, ImageSpec, MachineKind, Role};
use crate::units::Bytes;

mod gpu_operator;
mod locate;
mod messages;
mod robustness;

/// The smallest file that is right.
const SMALLEST: &str = "\
apiVersion: lab/v1alpha1
kind: Cluster
name: test
machines:
  - name: one
    roles: [control-plane]
  - name: two
";

/// A file with every key that there is.
fn everything() -> String {
    format!(
        "{SMALLEST}    image: {{url: 'https://example.com/a.qcow2', sha512: {}}}
    kind: vm
    roles: [worker]
    address: 172.20.0.40
    cpus: 3
    memory: 4GiB
    disk: 5GiB
    labels: {{zone: a}}
    gpus: [{{address: '0000:65:00.0'}}, {{model: Tesla T4}}]
    taints: ['a=b:NoExecute', 'c:NoSchedule']
    auto_start: no
  - name: four
    gpus: [{{stand_in: RTX A6000}}, {{stand_in: L4}}]
  - name: three
    image: {{path: images/own.qcow2, sha512: {}}}
defaults: {{kind: vm, cpus: 4, memory: 8GiB, disk: 40GiB, image: debian13, labels: {{owner: me}}, auto_start: true}}
host: qemu+ssh://root@server/system
network: {{subnet: 172.20.0.0/16, gateway: 172.20.0.254, egress: nat, mtu: 9000}}
kubespray:
  version: v2.31.0
  source: ../mirrors/kubespray
  strategy: linear
  variables:
    all: {{download_run_once: yes, large: 18446744073709551615}}
    k8s_cluster: {{kubelet_max_pods: 110, quoted: '110', nested: {{list: [1, 2.5, null]}}}}
kubernetes:
  version: 1.35.4
  container_runtime: {{engine: containerd, version: 2.2}}
  network:
    plugin: calico
    version: 3.31.5
    mtu: 8950
    encapsulation: vxlan
    policy: false
    pods: 10.244.0.0/16
    services: 10.96.0.0/12
    node_prefix: 25
  dns: {{mode: coredns_dual, node_local: true, node_local_address: 169.254.25.10}}
  addons: {{metrics_server: true, ingress_nginx: false, helm: true}}
  kubelet: {{max_pods: 60, system_reserved: {{cpu: 0.25, memory: 512MiB}}}}
  feature_gates: {{InPlacePodVerticalScaling: true, AnyVolumeDataSource: false}}
  api: {{names: [api.example.com, 10.0.0.5, 'fd00::1']}}
mirrors: {{files: 'http://files.lab:8080/', images: 'https://registry.lab:5000/kubernetes'}}
gpu_operator:
  version: v26.7.0
  namespace: gpu
  chart: {{url: 'https://charts.lab/gpu-operator-v26.7.0.tgz', sha256: {}}}
  driver: host
  runtime: toolkit
  sharing: [{{machines: [two], replicas: 4}}]
  mig: none
  monitoring: {{exporter: true, service_monitor: true}}
  values: {{operator: {{logging: {{level: debug}}}}, toolkit: {{env: [{{name: A, value: b}}]}}}}
",
        "AB".repeat(64),
        "0f".repeat(64),
        "CD".repeat(32)
    )
}

fn inventories() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../inventories")
}

/// Every inventory that comes with the project, by name.
fn each_inventory() -> Vec<(String, String)> {
    let folders = std::fs::read_dir(inventories()).unwrap().map(|entry| entry.unwrap().path());
    let folders = folders.filter(|path| path.is_dir());
    let named = folders.map(|path| {
        let text = std::fs::read_to_string(path.join("cluster.yaml")).unwrap();
        (path.file_name().unwrap().to_str().unwrap().to_owned(), text)
    });
    let inventories: Vec<_> = named.collect();
    assert!(inventories.iter().any(|(name, _)| name == "dev"), "the default inventory is there");
    inventories
}

fn source(text: &str) -> SourceFile {
    SourceFile { path: "cluster.yaml".to_owned(), text: text.to_owned() }
}

/// The spec of a text that must have no findings.
fn spec(text: &str) -> ClusterSpec {
    let source = source(text);
    let checked = check(&source, None);
    assert_eq!(render(&checked.findings, &source, false), "");
    checked.spec.unwrap()
}

#[test]
fn every_inventory_checks_without_findings() {
    for (name, text) in each_inventory() {
        assert_eq!(spec(&text).name, name);
    }
}

#[test]
fn every_inventory_names_the_schema_in_its_first_line() {
    for (name, text) in each_inventory() {
        let first = text.lines().next().unwrap();
        assert_eq!(first, "# yaml-language-server: $schema=../cluster.schema.json", "{name}");
    }
}

#[test]
fn files_that_are_right_fit_the_schema() {
    let validator = jsonschema::draft7::new(&schema()).unwrap();
    for text in each_inventory().into_iter().map(|(_, text)| text).chain([SMALLEST.to_owned(), everything()])
    {
        let value: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
        let problems: Vec<String> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
        assert_eq!(problems, Vec::<String>::new(), "{text}");
    }
}

#[test]
fn committed_schema_matches_types() {
    let path = inventories().join("cluster.schema.json");
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        std::fs::write(&path, format!("{:#}\n", schema())).unwrap();
    }
    let committed: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    assert!(committed == schema(), "write it again: INSTA_UPDATE=always cargo test -p lab-core schema");
}

/// The schema gives defaults to editors, and the rules use them: the two must agree.
#[test]
fn defaults_in_schema_match_used_ones() {
    let schema = schema();
    let default = |pointer: &str| schema.pointer(&format!("{pointer}/default")).unwrap().clone();
    let spec = spec(SMALLEST);
    let machine = &spec.machines[1];
    let of_network = |key: &str| default(&format!("/properties/network/properties/{key}"));
    assert_eq!(of_network("subnet"), spec.network.subnet.to_string());
    assert_eq!(of_network("mtu"), spec.network.mtu);
    assert_eq!(of_network("egress"), serde_json::to_value(spec.network.egress).unwrap());
    assert_eq!(default("/properties/host"), "embedded");
    assert_eq!(spec.host, HostSpec::Embedded);
    assert_eq!(default("/properties/kubespray/properties/version"), spec.kubespray.version);
    assert_eq!(default("/properties/kubespray/properties/strategy"), spec.kubespray.strategy.name());
    assert_eq!(default("/properties/machines/items/properties/roles"), serde_json::json!(machine.roles));
    for of in ["/properties/defaults", "/properties/machines/items"] {
        let of_machine = |key: &str| default(&format!("{of}/properties/{key}"));
        assert_eq!(of_machine("kind"), serde_json::to_value(machine.kind).unwrap());
        assert_eq!(of_machine("cpus"), machine.cpus);
        assert_eq!(of_machine("memory"), machine.memory.to_string());
        assert_eq!(of_machine("disk"), machine.disk.to_string());
        assert_eq!(of_machine("image"), serde_json::to_value(&machine.image).unwrap());
        assert_eq!(of_machine("auto_start"), machine.auto_start);
    }
}

#[test]
fn dev_lab_has_four_machines_of_plan() {
    let text = std::fs::read_to_string(inventories().join("dev/cluster.yaml")).unwrap();
    insta::assert_json_snapshot!(spec(&text));
}

#[test]
fn machine_takes_missing_values_from_defaults() {
    let text = SMALLEST.to_owned()
        + "    cpus: 3
    labels: {zone: b}
defaults: {cpus: 5, memory: 3GiB, disk: 30GiB, auto_start: false, labels: {zone: a, owner: me}}
";
    let spec = spec(&text);
    let [one, two] = &spec.machines[..] else { panic!("two machines") };
    assert_eq!((one.cpus, two.cpus), (5, 3));
    assert_eq!((two.memory, two.disk), (Bytes::from_gib(3), Bytes::from_gib(30)));
    assert_eq!((two.auto_start, two.kind), (false, MachineKind::Vm));
    assert_eq!(
        two.labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>(),
        ["owner=me", "zone=b"]
    );
    assert_eq!(one.labels["zone"], "a");
}

#[rstest]
#[case::in_the_order_of_the_file("", &["", "", ""], &["192.168.200.10", "192.168.200.11", "192.168.200.12"])]
#[case::around_given_ones("", &["", "192.168.200.10", ""], &["192.168.200.11", "192.168.200.10", "192.168.200.12"])]
#[case::given_ones_may_be_low("", &["192.168.200.2", "", ""], &["192.168.200.2", "192.168.200.10", "192.168.200.11"])]
#[case::around_the_gateway("network: {subnet: 10.0.0.0/24, gateway: 10.0.0.11}", &["", "", ""], &["10.0.0.10", "10.0.0.12", "10.0.0.13"])]
#[case::from_the_start_of_the_subnet("network: {subnet: 10.1.2.64/26}", &["", "", ""], &["10.1.2.74", "10.1.2.75", "10.1.2.76"])]
fn addresses_are_planned(#[case] network: &str, #[case] given: &[&str], #[case] planned: &[&str]) {
    let mut text = format!("apiVersion: lab/v1alpha1\nkind: Cluster\nname: test\n{network}\nmachines:\n");
    for (number, address) in given.iter().enumerate() {
        text += &format!("- name: machine-{number}\n  roles: [control-plane]\n");
        if !address.is_empty() {
            text += &format!("  address: {address}\n");
        }
    }
    let addresses: Vec<String> =
        spec(&text).machines.iter().map(|machine| machine.address.to_string()).collect();
    assert_eq!(addresses, planned);
}

#[rstest]
#[case::control_planes_are_members("[control-plane]", "[worker]", &["one"])]
#[case::all_in_one("[control-plane, worker]", "[worker]", &["one"])]
#[case::chosen_members("[control-plane]", "[worker, etcd]", &["two"])]
#[case::no_roles_is_a_worker("[control-plane]", "[]", &["one"])]
fn members_of_etcd_are_written_into_the_roles(
    #[case] one: &str,
    #[case] two: &str,
    #[case] members: &[&str],
) {
    let text = SMALLEST.replace("[control-plane]", one) + &format!("    roles: {two}\n");
    let spec = spec(&text);
    let etcd: Vec<&str> = spec
        .machines
        .iter()
        .filter(|machine| machine.roles.contains(&Role::Etcd))
        .map(|machine| machine.name.as_str())
        .collect();
    assert_eq!(etcd, members);
    assert!(spec.machines.iter().all(|machine| !machine.roles.is_empty()));
}

#[test]
fn every_key_of_file_arrives_in_spec() {
    insta::assert_json_snapshot!(spec(&everything()));
}

#[test]
fn alias_stands_for_its_target() {
    let text = SMALLEST.replace("[control-plane]", "[control-plane]\n    labels: &shared {zone: a}")
        + "    labels: {<<: *shared, rack: r1}\n";
    let spec = spec(&text);
    assert_eq!(spec.machines[1].labels.len(), 2);
    assert_eq!(spec.machines[1].image, ImageSpec::Debian13);
}
