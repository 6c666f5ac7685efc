//! The whole finding for each mistake, as a person sees it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use rstest::Context;

use super::*;
use crate::source::Finding;

/// A title, and the change that makes the smallest file wrong: a text in it and its replacement.
pub(super) type Case = (&'static str, &'static str, &'static str);

/// The end of the smallest file, where keys of the second machine and of the file can be added.
pub(super) const END: &str = "- name: two\n";

const STRUCTURE: &[Case] = &[
    ("unknown key with a near one", END, "- name: two\n    adress: 192.168.200.20\n"),
    ("unknown key in another spelling", END, "- name: two\n    autoStart: false\n"),
    ("unknown key with none near", END, "- name: two\n    xyzzy: 1\n"),
    ("unknown key of the file", "name: test", "name: test\nnetworks: {}"),
    ("missing keys", "apiVersion: lab/v1alpha1\nkind: Cluster\nname: test\n", ""),
    ("missing name of a machine", END, "- cpus: 2\n"),
    ("no value", "name: test", "name:"),
    ("the same key twice", END, "- name: two\n    cpus: 2\n    memory: 2GiB\n    cpus: 4\n"),
    ("a list where a text belongs", "name: test", "name: [test]"),
    ("a text where a list belongs", "roles: [control-plane]", "roles: control-plane"),
    ("a mapping where a list belongs", "machines:\n  - name: one", "machines:\n    name: one"),
    ("a text where a mapping belongs", END, "two\n"),
    ("a yes or no where a text belongs", END, "- name: two\n    labels: {inference-ready: true, size: 3}\n"),
    ("a text where a number belongs", END, "- name: two\n    cpus: \"4\"\n"),
    ("a word where a number belongs", END, "- name: two\n    cpus: four\n"),
    ("a fraction where a whole number belongs", END, "- name: two\n    cpus: 1.5\n"),
    ("a word where true or false belongs", END, "- name: two\n    auto_start: never\n"),
    ("another version", "lab/v1alpha1", "lab/v1"),
    ("another kind", "kind: Cluster", "kind: cluster"),
    ("a version that reads as a number", END, "- name: two\nkubespray: {version: 2.30}\n"),
    (
        "several mistakes",
        "name: test\nmachines:\n  - name: one\n    roles: [control-plane]\n",
        "name: Test\nmachines:\n  - name: one\n    role: [control-plane]\n    memory: 8Gi\n    address: 10.0.0.300\n",
    ),
];

const SYNTAX: &[(&str, &str)] = &[
    ("empty", ""),
    ("only comments", "# nothing here\n\n"),
    ("not a mapping", "- one\n- two\n"),
    ("a tab", "apiVersion: lab/v1alpha1\nnetwork:\n\tsubnet: 10.0.0.0/24\n"),
    ("a bracket left open", "name: test\nmachines: [one, two\nkind: Cluster\n"),
    (
        "a bracket left open in a list of machines",
        "machines:\n  - name: one\n    roles: [control-plane, worker\n  - name: two\n    roles: [worker]\n",
    ),
    ("a bracket of another kind", "machines:\n  - {name: one, roles: [worker}\n  - {name: two}\n"),
    ("a quote left open", "name: \"test\nkind: Cluster\n"),
    ("a colon too many", "name: test: two\n"),
    ("a key without a colon", "name: test\nmachines\n"),
    ("crooked indentation", "network:\n    subnet: 10.0.0.0/24\n  mtu: 1500\n"),
    ("an alias to nothing", "name: *test\n"),
    ("an anchor inside itself", "name: &test [*test]\n"),
    ("two documents", "name: test\n---\nname: two\n"),
    ("an infinite number", "kubespray: {variables: {all: {x: .inf}}}\n"),
];

const VALUES: &[Case] = &[
    (
        "sizes that were nearly right",
        END,
        "- {name: a, memory: 8G}\n  - {name: b, memory: 8Gi}\n  - {name: c, memory: 8gb}\n  - {name: d, memory: 1.5GiB}\n  - {name: e, memory: 2048}\n  - {name: f, memory: much}\n  - {name: g, memory: 99999999999TiB}\n",
    ),
    (
        "numbers out of range",
        END,
        "- {name: a, cpus: 0}\n  - {name: b, cpus: 1000}\n  - {name: c, cpus: -1}\nnetwork: {mtu: 900}\n",
    ),
    ("unknown role", "[control-plane]", "[controlplane]"),
    ("unknown role with none near", END, "- {name: a, roles: [worker, database]}\n"),
    ("unknown kind of machine", END, "- {name: a, kind: VM}\n"),
    ("unknown egress", END, "- name: a\nnetwork: {egress: internet}\n"),
    ("hosts", END, "- name: a\nhost: embeded\n"),
    ("a host of another driver", END, "- name: a\nhost: esx://server/\n"),
    (
        "labels",
        END,
        "- name: a\n    labels: {'gpu type': a, a/b/c: x, /x: x, ok: 'not ok', long: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, dot: a.}\n",
    ),
    (
        "taints",
        END,
        "- name: a\n    taints: [gpu, 'gpu=a:NoScheduling', 'gpu=a b:NoSchedule', '=a:NoSchedule', 'a:NoSchedule', 'a=b:NoSchedule', {key: gpu}]\n",
    ),
    (
        "GPUs",
        END,
        "- name: a\n    gpus: [{address: '65:00.0'}, {address: card0}, {}, {address: '0000:65:00.0', model: T4}, {model: ''}]\n",
    ),
    (
        "stand-ins for GPUs",
        END,
        "- name: a\n    gpus: [{stand_in: rtx a6000}, {stand_in: Voodoo}, {stand_in: [L4]}, {stand_in: L4, model: L4}]\n",
    ),
    (
        "images",
        END,
        "- {name: a, image: debian12}\n  - {name: b, image: {path: a.qcow2}}\n  - {name: c, image: {sha512: abc}}\n  - {name: d, image: {url: a.qcow2, sha512: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855}}\n  - {name: e, image: {path: '', url: 'http://a', sha512: xyz}}\n  - {name: f, image: 7}\n",
    ),
    ("Kubespray version", END, "- name: a\nkubespray: {version: 2.30.0}\n"),
    ("Kubespray version that is not built in", END, "- name: a\nkubespray: {version: v2.28.0}\n"),
    ("Kubespray version that nothing is near", END, "- name: a\nkubespray: {version: master}\n"),
    ("Kubespray source", END, "- name: a\nkubespray: {source: --upload-pack=x}\n"),
    (
        "a tag of Ansible's",
        END,
        "- name: a\nkubespray: {variables: {all: {a: !vault x, b: !unsafe '{{ c }}', d: !!str 1}}}\n",
    ),
    (
        "a number that would be rounded",
        END,
        "- name: a\nkubespray: {variables: {all: {a: 123456789012345678901234567890}}}\n",
    ),
    (
        "Kubespray variables",
        END,
        "- name: a\nkubespray: {variables: {k8s-cluster: {a: 1}, gpu: {a: 1}, all: {kube-version: 1, 1st: 2}, etcd: [a]}}\n",
    ),
];

const OPTIONS: &[Case] = &[
    (
        "a version with a `v`",
        END,
        "- name: a\nkubernetes: {version: v1.28.0, network: {version: 'v3.30.3'}}\n",
    ),
    ("half a version", END, "- name: a\nkubernetes: {version: 1.30, container_runtime: {version: 2}}\n"),
    ("no version", END, "- name: a\nkubernetes: {version: latest}\n"),
    (
        "words of Kubernetes",
        END,
        "- name: a\nkubernetes: {container_runtime: {engine: cri-o}, network: {plugin: calcio, encapsulation: VXLAN}, dns: {mode: core_dns}}\n",
    ),
    (
        "networks of Kubernetes",
        END,
        "- name: a\nkubernetes: {network: {pods: 10.244.0.0, services: 10.96.0.1/12, mtu: 500, node_prefix: 32}, dns: {node_local_address: local}}\n",
    ),
    (
        "a kubelet",
        END,
        "- name: a\nkubernetes: {kubelet: {max_pods: 0, system_reserved: {cpu: half, memory: 512Mi}}}\n",
    ),
    ("feature gates as a list", END, "- name: a\nkubernetes: {feature_gates: ['CSIMigration=true']}\n"),
    (
        "feature gates",
        END,
        "- name: a\nkubernetes: {feature_gates: {csi-migration: true, CSIMigration: 'true'}}\n",
    ),
    (
        "names of the API",
        END,
        "- name: a\nkubernetes: {api: {names: ['https://API.example.com:6443/', 10.0.0.300, 'a b']}}\n",
    ),
    ("an add-on that is no key", END, "- name: a\nkubernetes: {addons: {metrics-server: true}}\n"),
    ("mirrors", END, "- name: a\nmirrors: {files: files.lab, images: 'oci://registry.lab'}\n"),
    (
        "settings that a network plugin does not have",
        END,
        "- name: a\nkubernetes: {network: {plugin: flannel, mtu: 1400, encapsulation: ipip, policy: true}}\n",
    ),
    (
        "settings that a plugin of the user's own choice does not have",
        END,
        "- name: a\nkubernetes: {network: {version: 1.2.3, mtu: 1400}}\nkubespray: {variables: {k8s_cluster: {kube_network_plugin: weave}}}\n",
    ),
    (
        "a plugin that is not known is one mistake",
        END,
        "- name: a\nkubernetes: {network: {plugin: weave, mtu: 1400}}\n",
    ),
    ("a registry without TLS", END, "- name: a\nmirrors: {images: 'http://registry.lab:5000'}\n"),
];

const NAMES: &[Case] = &[
    ("upper case and underscores", "name: one", "name: GPU_worker_1"),
    ("a dash at the end", "name: one", "name: one-"),
    ("too long", "name: one", "name: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
    ("empty", "name: one", "name: ''"),
    ("nothing to propose", "name: one", "name: '---'"),
    ("a number", "name: one", "name: 1"),
    ("reserved by the resolver", "name: one", "name: localhost"),
    ("reserved by Kubespray", "name: one", "name: etcd"),
    ("reserved by Kubespray, with an underscore", "name: one", "name: kube_node"),
    ("two machines with one name", "name: two", "name: one"),
    ("a cluster name that is a path", "name: test", "name: ../test"),
    ("a cluster name that is too long", "name: test", "name: a-cluster-with-a-very-long-name-indeed"),
];

const NETWORK: &[Case] = &[
    ("not a network", END, "- name: two\nnetwork: {subnet: 192.168.200.0}\n"),
    ("nothing like a network", END, "- name: two\nnetwork: {subnet: lan}\n"),
    ("host bits", END, "- name: two\nnetwork: {subnet: 192.168.200.10/24}\n"),
    ("not private", END, "- name: two\nnetwork: {subnet: 8.8.8.0/24}\n"),
    ("too small", END, "- name: two\nnetwork: {subnet: 192.168.200.0/29}\n"),
    (
        "full",
        END,
        "- name: two\n  - name: three\n  - name: four\n  - name: five\n  - name: six\n  - name: seven\nnetwork: {subnet: 192.168.200.0/28}\n",
    ),
    (
        "not an address",
        END,
        "- {name: two, address: 192.168.200}\n  - {name: three, address: 192.168.200.10/24}\n",
    ),
    ("outside the subnet", END, "- {name: two, address: 10.0.0.1}\n"),
    (
        "taken by the network",
        END,
        "- {name: two, address: 192.168.200.0}\n  - {name: three, address: 192.168.200.255}\n  - {name: four, address: 192.168.200.1}\n",
    ),
    (
        "two machines with one address",
        END,
        "- {name: two, address: 192.168.200.20}\n  - {name: three, address: 192.168.200.20}\n",
    ),
    ("gateway outside", END, "- name: two\nnetwork: {gateway: 192.168.201.1}\n"),
    ("gateway is the broadcast address", END, "- name: two\nnetwork: {gateway: 192.168.200.255}\n"),
    (
        "a bad subnet is one mistake",
        END,
        "- {name: two, address: 10.0.0.1}\nnetwork: {subnet: lan, gateway: 10.0.0.1}\n",
    ),
    ("no way out of the embedded host", END, "- name: two\nnetwork: {egress: nat}\n"),
];

const KUBERNETES: &[Case] = &[
    (
        "no machines",
        "machines:\n  - name: one\n    roles: [control-plane]\n  - name: two\n",
        "machines: []\n",
    ),
    ("no control plane", "[control-plane]", "[worker]"),
    ("an unknown role hides who is a control plane", "[control-plane]", "[controller]"),
    ("two control planes", END, "- {name: two, roles: [control-plane]}\n"),
    ("two members of etcd", END, "- {name: two, roles: [etcd]}\n  - {name: three, roles: [worker, etcd]}\n"),
    (
        "a small control plane",
        "roles: [control-plane]",
        "roles: [control-plane]\n    cpus: 1\n    memory: 1GiB",
    ),
    ("a worker that is too small for Kubespray alone", END, "- {name: two, memory: 1GiB}\n"),
    ("small defaults", END, "- name: two\ndefaults: {cpus: 1, memory: 512MiB, disk: 8GiB}\n"),
    ("a small disk", END, "- {name: two, disk: 10GiB}\n"),
    ("a container with a size", END, "- {name: two, kind: container, disk: 30GiB}\n"),
    (
        "a container of a cloud image",
        END,
        "- name: two\n    kind: container\n    image: {path: a.qcow2, sha512: abababababababababababababababababababababababababababababababababababababababababababababababababababababababababababababababab}\n",
    ),
    ("a container on another host", END, "- {name: two, kind: container}\nhost: qemu:///system\n"),
    (
        "stand-ins beside physical GPUs",
        END,
        "- {name: two, gpus: [{model: T4}, {stand_in: Tesla T4}]}\n  - {name: three, kind: container, gpus: [{stand_in: Tesla T4}, {address: '0000:65:00.0'}]}\n",
    ),
    (
        "too many stand-ins",
        END,
        "- {name: two, gpus: [{stand_in: L4}, {stand_in: L4}, {stand_in: L4}, {stand_in: L4}, {stand_in: L4}, {stand_in: L4}, {stand_in: L4}, {stand_in: L4}, {stand_in: L4}]}\n",
    ),
    (
        "a stand-in on a cloud image",
        END,
        "- name: two\n    gpus: [{stand_in: L4}]\n    image: {path: a.qcow2, sha512: abababababababababababababababababababababababababababababababababababababababababababababababababababababababababababababababab}\n",
    ),
    ("a container with a GPU", END, "- {name: two, kind: container, gpus: [{model: T4}]}\n"),
    (
        "one GPU twice",
        END,
        "- {name: two, gpus: [{address: '0000:65:00.0'}]}\n  - {name: three, gpus: [{address: '0000:65:00.0'}]}\n",
    ),
    (
        "a wrong value is not judged further",
        "roles: [control-plane]",
        "roles: [control-plane]\n    memory: 1Gi\n    cpus: one",
    ),
];

const HOST: &[Case] = &[
    (
        "a subnet that is routed already",
        END,
        "- name: two\nhost: qemu:///system\nnetwork: {subnet: 10.20.30.0/24}\n",
    ),
    ("the embedded host has its own networks", END, "- name: two\nnetwork: {subnet: 10.20.30.0/24}\n"),
    ("more than the computer has", END, "- {name: two, cpus: 8, memory: 16GiB}\n"),
    ("only machines that start count", END, "- {name: two, cpus: 8, memory: 16GiB, auto_start: false}\n"),
];

fn facts() -> HostFacts {
    HostFacts {
        routes: vec![
            ("192.168.200.0/24".parse().unwrap(), "eth0".to_owned()),
            ("10.20.0.0/16".parse().unwrap(), "wg0".to_owned()),
        ],
        available_memory: Some(Bytes::from_mib(5000)),
        cpus: Some(4),
        disk: None,
    }
}

pub(super) fn edited((title, from, to): Case) -> (&'static str, String) {
    assert_eq!(SMALLEST.matches(from).count(), 1, "{title}: {from:?} is in the smallest file once");
    (title, SMALLEST.replace(from, to))
}

/// Title and rendered findings of every case, one after the other.
pub(super) fn rendered(
    cases: impl IntoIterator<Item = (&'static str, String)>,
    facts: Option<&HostFacts>,
) -> String {
    let mut all = String::new();
    for (title, text) in cases {
        let source = source(&text);
        let checked = check(&source, facts);
        let errors = checked.findings.iter().any(|finding| finding.severity == Severity::Error);
        assert_eq!(checked.spec.is_none(), errors, "{title}: there is a spec exactly without errors");
        writeln!(all, "## {title}\n\n{}", render(&checked.findings, &source, false)).unwrap();
    }
    all
}

#[rstest]
#[case::structure(STRUCTURE)]
#[case::values(VALUES)]
#[case::names(NAMES)]
#[case::network(NETWORK)]
#[case::kubernetes(KUBERNETES)]
#[case::options(OPTIONS)]
fn mistakes_are_reported(#[context] context: Context, #[case] cases: &[Case]) {
    let name = context.description.unwrap();
    insta::assert_snapshot!(name, rendered(cases.iter().copied().map(edited), None));
}

#[test]
fn mistakes_of_syntax_are_reported() {
    let cases = SYNTAX.iter().map(|(title, text)| (*title, (*text).to_owned()));
    insta::assert_snapshot!("syntax", rendered(cases, None));
}

#[test]
fn mistakes_about_the_computer_are_reported() {
    insta::assert_snapshot!("host", rendered(HOST.iter().copied().map(edited), Some(&facts())));
}

/// A mistake in a single value, without regard to others, is one that editors find while it is written.
#[test]
fn schema_refuses_single_values_too() {
    let validator = jsonschema::draft7::new(&schema()).unwrap();
    let edits = [STRUCTURE, VALUES, NAMES, OPTIONS, gpu_operator::SINGLE].into_iter().flatten();
    for (title, text) in edits.map(|case| edited(*case)) {
        let twice = ["the same key twice", "two machines with one name"].contains(&title)
            || ["does not have", "for another runtime", "tag of Ansible's", "would be rounded"]
                .iter()
                .any(|end| title.ends_with(end));
        match serde_saphyr::from_str::<serde_json::Value>(&text) {
            Ok(value) if !twice => assert!(!validator.is_valid(&value), "{title}"),
            // Not YAML, or wrong only beside another value.
            Ok(_) | Err(_) => {}
        }
    }
}

/// A code that no case shows is an unread message.
#[test]
fn every_code_is_shown_by_a_case() {
    let gpu_operator = [gpu_operator::SINGLE, gpu_operator::TOGETHER];
    let edits = [STRUCTURE, VALUES, NAMES, NETWORK, KUBERNETES, OPTIONS, HOST]
        .into_iter()
        .chain(gpu_operator)
        .flatten();
    let texts = edits.map(|case| edited(*case).1).chain(SYNTAX.iter().map(|(_, text)| (*text).to_owned()));
    let facts = facts();
    let shown: BTreeSet<Code> = texts
        .flat_map(|text| check(&source(&text), Some(&facts)).findings)
        .map(|finding: Finding| finding.code)
        .collect();
    let of_file = Code::ALL.iter().filter(|code| !code.is_of_lint());
    let missing: Vec<&Code> = of_file.filter(|code| !shown.contains(code)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn findings_are_data_for_scripts() {
    let text = SMALLEST.replace("name: two", "name: one\n    mémoire: 1GiB");
    insta::assert_json_snapshot!(check(&source(&text), None).findings);
}

#[test]
fn colour_only_adds_escape_sequences() {
    let source = source(&SMALLEST.replace("two", "Two"));
    let findings = check(&source, None).findings;
    let coloured = render(&findings, &source, true);
    assert!(coloured.contains("\u{1b}["));
    assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), render(&findings, &source, false));
}
