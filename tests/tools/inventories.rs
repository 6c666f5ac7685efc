//! Inventories that other people wrote: we read them as Ansible does, host by host.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use lab_core::kubespray::Values;
use lab_core::kubespray::read::{self, Entry, Inventory};
use lab_core::source::SourceFile;
use lab_tests::checkout::variable;
use lab_tests::run;
use rstest::rstest;
use serde_json::{Value, json};

/// Every group that a host is in, and every value that counts for it, by host.
type Meaning = BTreeMap<String, (BTreeSet<String>, BTreeMap<String, Value>)>;

fn ours(folder: &Path, hosts: &str, files: &[(&str, &str)]) -> Meaning {
    let source = |path: &str| {
        let text = fs::read_to_string(folder.join(path)).unwrap();
        SourceFile { path: path.to_owned(), text }
    };
    let mut entries = BTreeSet::new();
    for (path, _) in files.iter().filter(|(path, _)| *path != hosts) {
        for (at, _) in path.match_indices('/').skip(1) {
            entries.insert(Entry { path: path[..at].to_owned(), is_folder: true });
        }
        entries.insert(Entry { path: (*path).to_owned(), is_folder: false });
    }
    let mut reading = read::hosts(source(hosts));
    let wanted = reading.wanted(&entries.into_iter().collect::<Vec<_>>(), "");
    let read = wanted.into_iter().map(|wanted| {
        let source = source(&wanted.path);
        let variables = read::variables(&source.text);
        (wanted.scope, source, variables)
    });
    meaning(&reading.finish(read.collect::<Vec<_>>()))
}

fn meaning(inventory: &Inventory) -> Meaning {
    let (groups, values) = (&inventory.groups, Values::new(&inventory.groups, &inventory.settings));
    let names: Vec<&str> = values.names().collect();
    let hosts = groups.hosts().iter().enumerate();
    hosts
        .map(|(number, host)| {
            let of_host = groups.groups_of(number).iter().map(|&group| groups.groups()[group].name.clone());
            let variables = names
                .iter()
                .filter_map(|name| Some(((*name).to_owned(), values.of_host(name, number)?.value.clone())));
            (host.name.clone(), (of_host.collect(), variables.collect()))
        })
        .collect()
}

fn ansibles(folder: &Path, hosts: &str) -> Meaning {
    let home = tempfile::tempdir().unwrap();
    let listed = run(format!("{}/bin/ansible-inventory", variable("LAB_ANSIBLE")))
        .args(["--list", "--inventory"])
        .arg(folder.join(hosts))
        .env("HOME", home.path())
        .answer()
        .ok()
        .json();
    let names = |value: &Value| -> Vec<String> {
        let names = value.as_array().into_iter().flatten();
        names.map(|name| name.as_str().unwrap().to_owned()).collect()
    };
    let mut meaning = Meaning::new();
    for group in listed.as_object().unwrap().keys().filter(|name| *name != "_meta") {
        let (mut left, mut below) = (vec![group.clone()], BTreeSet::new());
        while let Some(group) = left.pop() {
            if below.insert(group.clone()) {
                left.extend(names(&listed[&group]["children"]));
            }
        }
        for host in below.iter().flat_map(|group| names(&listed[group]["hosts"])) {
            meaning.entry(host).or_default().0.insert(group.clone());
        }
    }
    for (host, variables) in listed["_meta"]["hostvars"].as_object().unwrap() {
        let variables = variables.as_object().unwrap().clone();
        meaning.entry(host.clone()).or_default().1 = variables.into_iter().collect();
    }
    meaning
}

const INI: &str = "\
lonely ansible_host=10.0.0.1 semicolon=a;b
# a comment
; another

[kube_control_plane]
node[01:02]   ip=10.0.0.9 flag=true truth=True none=None list='[1, \"a\", {\"b\": 2}]'
node01 ip=10.0.0.1 quoted=\"a b\" bare={\"k\":\"v\"} hash=a#b
[2001:db8::1]:2222 x=1

[kube_node] # behind a head
worker-[a:c]:2200 padded=010 hexadecimal=0x10 float=1.30 tuple=(1,2) version=1.30.1 minus=-5
rack[1:2]-n[1:3:2] text='it''s' escaped=a\\ b big=1_000 exponent=1e3 string=\"'quoted'\"

[etcd:children]
kube_control_plane

[k8s_cluster:children]
kube_node
kube_control_plane

[k8s_cluster:vars]
plain = some words # and this
number = 5
commented = 5 # five
set={'a': [1, 2,], 'b': None}
quoted='a \\'b\\' \\x41'
over=inline

[kube_node:vars]
over=nodes
from=inline

[loud:children]
kube_node
[loud:vars]
ansible_group_priority=5
from=loud
depth=loud
[soft:children]
kube_node
[soft:vars]
depth=soft
soft=yes
[all:vars]
over=all
everybody=1
";

const YAML: &str = "\
all:
  vars: {yes: no, on_off: off, octal: 010, base60: 1:30, underscore: 1_000, float: 1.30, exponent: 1e3, dotted: 1.5e+3}
  hosts:
    lonely:
    node[1:2]:2222: {ip: 10.0.0.9, 5: five}
  children:
    kube_control_plane: {hosts: {node1: {ip: 10.0.0.1, null_value: ~, tilde: '~'}}}
    etcd: {children: {kube_control_plane: {}}}
    kube_node:
      hosts:
        worker-[a:b]:
          text: !!str 12
          folded: >-
            one
            two
          literal: |
            one
            two
      vars: &shared {shared: [1, {a: b}], date: '2001-01-01'}
    k8s_cluster: {children: {kube_control_plane: , kube_node: }, vars: {<<: *shared, merged: true}}
    words:
      hosts: {lonely: }
      vars:
        fraction: .5
        signed_fraction: -.5
        not_octal: 0900
        hexadecimal: -0x1f
        binary: 0b1_0
        hours: 190:20:30
        minutes: 1:70
        ends_in_a_point: 1.
        tagged_number: !!int \"5\"
        tagged_fraction: !!float \"5\"
        tagged_truth: !!bool \"yes\"
        first: &first {one: 1}
        second: &second {one: 2, two: 2}
        both: {<<: [*first, *second], two: 3}
";

/// The variables in every layout that Ansible reads, and some that it does not.
const VARIABLES: [(&str, &str); 14] = [
    ("group_vars/all/b.yml", "from: all-b\nall_b: on\n"),
    ("group_vars/all/a.yaml", "from: all-a\nall_a: [1, 2]\n"),
    ("group_vars/all/sub/x.json", "{\"from\": \"sub\", \"json\": true}"),
    ("group_vars/all/sub.yml", "from: sub.yml\n"),
    ("group_vars/all/plain", "plain_file: 1\n"),
    ("group_vars/all/.hidden.yml", "hidden: 1\n"),
    ("group_vars/all/old.yml~", "hidden: 1\n"),
    ("group_vars/all/old.bak", "hidden: 1\n"),
    ("group_vars/all.yml", "hidden: 1\n"),
    ("group_vars/k8s_cluster.yml", "over: cluster\ncluster: {a: 1}\n"),
    ("group_vars/kube_node/main.yml", "cluster: {b: 2}\n"),
    ("host_vars/lonely.yml", "own: 1\nansible_host: 10.9.9.9\n"),
    ("host_vars/lonely.json", "{\"own\": 2}"),
    ("host_vars/unknown.yml", "own: 3\n"),
];

#[rstest]
#[case::ini("inventory.ini", INI)]
#[case::without_an_ending("hosts", INI)]
#[case::yaml("hosts.yaml", YAML)]
#[case::yaml_without_an_ending("hosts", YAML)]
fn inventory_is_read_as_ansible_reads_it(#[case] hosts: &str, #[case] text: &str) {
    let folder = tempfile::tempdir().unwrap();
    let mut files = VARIABLES.to_vec();
    files.push((hosts, text));
    for (path, text) in &files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let (ours, ansibles) = (ours(folder.path(), hosts, &files), ansibles(folder.path(), hosts));
    assert!(ansibles.len() > 4, "{ansibles:?}");
    pretty_equal(&ours, &ansibles);
}

/// Compares host by host, so that a difference can be read.
fn pretty_equal(ours: &Meaning, ansibles: &Meaning) {
    assert_eq!(ours.keys().collect::<Vec<_>>(), ansibles.keys().collect::<Vec<_>>());
    for (host, ours) in ours {
        assert_eq!(json!(ours), json!(ansibles[host]), "the host `{host}`");
    }
}
