use std::collections::BTreeMap;
use std::fmt::Write as _;

use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

use super::*;
use crate::kubespray::groups::Values;
use crate::source::render_files;

/// An inventory from its files; the first one is that of the hosts.
fn read(files: &[(&str, &str)]) -> Inventory {
    let source = |path: &str, text: &str| SourceFile { path: path.to_owned(), text: text.to_owned() };
    let mut reading = hosts(source(files[0].0, files[0].1));
    let mut entries = Vec::new();
    for (path, _) in &files[1..] {
        let parts: Vec<&str> = path.split('/').collect();
        for end in 2..parts.len() {
            entries.push(Entry { path: parts[..end].join("/"), is_folder: true });
        }
        entries.push(Entry { path: (*path).to_owned(), is_folder: false });
    }
    let wanted = reading.wanted(&entries, "");
    let text = |wanted: &Wanted| files.iter().find(|(path, _)| *path == wanted.path).unwrap().1;
    let read: Vec<_> = wanted
        .into_iter()
        .map(|wanted| {
            let text = text(&wanted);
            (wanted.scope, source(&wanted.path, text), variables(text))
        })
        .collect();
    reading.finish(read)
}

/// Everything that counts for every host, as `ansible-inventory --list` shows it.
fn effective(inventory: &Inventory) -> BTreeMap<String, BTreeMap<String, Value>> {
    let values = Values::new(&inventory.groups, &inventory.settings);
    let names: Vec<&str> = values.names().collect();
    let hosts = inventory.groups.hosts().iter().enumerate();
    hosts
        .map(|(number, host)| {
            let of_host = names
                .iter()
                .filter_map(|name| Some(((*name).to_owned(), values.of_host(name, number)?.value.clone())));
            (host.name.clone(), of_host.collect())
        })
        .collect()
}

fn members<'a>(inventory: &'a Inventory, group: &str) -> Vec<&'a str> {
    let hosts = inventory.groups.hosts();
    inventory.groups.members(group).iter().map(|&host| hosts[host].name.as_str()).collect()
}

/// The findings, as people see them.
fn render_findings(inventory: Inventory) -> String {
    let files = inventory.files;
    let findings = inventory.findings.finish_files(|file| &files[file].text);
    render_files(&findings, &files, false)
}

const INI: &str = "\
gateway ansible_host=10.0.0.1

[kube_control_plane]
node[1:2] ip=10.0.0.9 flag=true truth=True number=7 list='[1, 2]'

[kube_node]
node2 ip=10.0.0.2   # a comment
worker-[a:b]:2222 note=\"two words\"

[etcd:children]
kube_control_plane

[k8s_cluster:children]
kube_control_plane
kube_node

[k8s_cluster:vars]
kube_version = 1.30
text = a # b
";

#[test]
fn ini_file_gives_hosts() {
    let inventory = read(&[("inventory.ini", INI)]);
    assert_eq!(members(&inventory, "all"), ["gateway", "node1", "node2", "worker-a", "worker-b"]);
    assert_eq!(members(&inventory, "etcd"), ["node1", "node2"]);
    assert_eq!(members(&inventory, "k8s_cluster"), ["node1", "node2", "worker-a", "worker-b"]);
    assert_eq!(members(&inventory, "ungrouped"), ["gateway"]);
    let effective = effective(&inventory);
    assert_eq!(
        json!(effective),
        json!({
            "gateway": {"ansible_host": "10.0.0.1"},
            "node1": {"ip": "10.0.0.9", "flag": "true", "truth": true, "number": 7, "list": [1, 2],
                "kube_version": 1.3, "text": "a # b"},
            "node2": {"ip": "10.0.0.2", "flag": "true", "truth": true, "number": 7, "list": [1, 2],
                "kube_version": 1.3, "text": "a # b"},
            "worker-a": {"ansible_port": 2222, "note": "two words", "kube_version": 1.3, "text": "a # b"},
            "worker-b": {"ansible_port": 2222, "note": "two words", "kube_version": 1.3, "text": "a # b"},
        })
    );
    assert_eq!(render_findings(inventory), "");
}

#[test]
fn yaml_file_gives_same_hosts_as_ini() {
    let yaml = "\
all:
  hosts:
    gateway: {ansible_host: 10.0.0.1}
  children:
    kube_control_plane:
      hosts:
        node[1:2]: {ip: 10.0.0.9, flag: 'true', truth: yes, number: 7, list: [1, 2]}
    kube_node:
      hosts:
        node2: {ip: 10.0.0.2}
        worker-[a:b]:2222:
          note: two words
    etcd:
      children: kube_control_plane
    k8s_cluster:
      children: {kube_control_plane: , kube_node: }
      vars: {kube_version: 1.30, text: 'a # b'}
";
    let (ini, yaml) = (read(&[("inventory.ini", INI)]), read(&[("hosts.yaml", yaml)]));
    assert_eq!(effective(&yaml), effective(&ini));
    for group in ["all", "etcd", "kube_control_plane", "kube_node", "k8s_cluster", "ungrouped"] {
        assert_eq!(members(&yaml, group), members(&ini, group), "{group}");
    }
    assert_eq!(render_findings(yaml), "");
}

#[test]
fn variables_are_read_in_every_layout() {
    let hosts = "[kube_node]\na\nb.example.com\n[etcd]\na\n";
    let inventory = read(&[
        ("hosts", hosts),
        ("group_vars/all/b.yml", "from: all/b\nonly_b: 1\n"),
        ("group_vars/all/a.yaml", "from: all/a\nonly_a: 1\n"),
        ("group_vars/all/c/deep/x.json", "{\"from\": \"all/c/deep/x\", \"only_x\": [true]}"),
        ("group_vars/all/plain", "only_plain: 1\n"),
        ("group_vars/all/.hidden.yml", "hidden: 1\n"),
        ("group_vars/all/old.yml~", "hidden: 1\n"),
        ("group_vars/all/old.yml.bak", "hidden: 1\n"),
        ("group_vars/all/with.dot/x.yml", "hidden: 1\n"),
        ("group_vars/kube_node.yaml", "from: kube_node\n"),
        ("group_vars/etcd", "from: etcd\n"),
        ("host_vars/a.json", "{\"own\": 1}"),
        ("host_vars/b.example.com/main.yml", "own: 2\n"),
    ]);
    assert_eq!(
        json!(effective(&inventory)),
        json!({
            "a": {"from": "kube_node", "only_a": 1, "only_b": 1, "only_plain": 1, "only_x": [true], "own": 1},
            "b.example.com":
                {"from": "kube_node", "only_a": 1, "only_b": 1, "only_plain": 1, "only_x": [true], "own": 2},
        })
    );
    let all: Vec<&str> = inventory.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(
        all,
        [
            "hosts",
            "group_vars/all/a.yaml",
            "group_vars/all/b.yml",
            "group_vars/all/c/deep/x.json",
            "group_vars/all/plain",
            "group_vars/kube_node.yaml",
            "group_vars/etcd",
            "host_vars/a.json",
            "host_vars/b.example.com/main.yml",
        ]
    );
    assert_eq!(render_findings(inventory), "");
}

/// `lib/ansible/inventory/group.py` and `lib/ansible/inventory/helpers.py` of ansible-core: depth, priority, name.
#[test]
fn nearest_group_wins() {
    let hosts = "\
[deep]
h
[middle:children]
deep
[aa]
h
[zz]
h
[loud]
h
[all:vars]
x=all
[aa:vars]
x=aa
y=aa
w=inline
[zz:vars]
x=zz
y=zz
[loud:vars]
ansible_group_priority=10
x=loud
y=loud
z=loud
[middle:vars]
z=middle
[deep:vars]
x=deep
";
    let inventory = read(&[("inventory.ini", hosts), ("group_vars/all.yml", "w: all\n")]);
    // A file for everybody beats a value of any group in the file of hosts.
    assert_eq!(json!(effective(&inventory)["h"]), json!({"x": "deep", "y": "loud", "z": "loud", "w": "all"}));
}

#[test]
fn kubespray_makes_k8s_cluster_itself() {
    let inventory = read(&[
        ("inventory.ini", "[kube_control_plane]\na\n[kube-node]\nb\n[etcd]\nc\n"),
        ("group_vars/k8s_cluster.yml", "x: 1\n"),
    ]);
    assert!(inventory.implied_cluster);
    assert_eq!(members(&inventory, "k8s_cluster"), ["a", "b"]);
    assert_eq!(members(&inventory, "kube_node"), ["b"]);
    assert_eq!(json!(effective(&inventory)), json!({"a": {"x": 1}, "b": {"x": 1}, "c": {}}));
    assert!(!read(&[("inventory.ini", INI)]).implied_cluster);
}

/// `https://yaml.org/type/`, and PyYAML's reading of it.
#[rstest]
#[case("yes", json!(true))]
#[case("Off", json!(false))]
#[case("y", json!("y"))]
#[case("~", json!(null))]
#[case("", json!(null))]
#[case("010", json!(8))]
#[case("08", json!("08"))]
#[case("0x1F", json!(31))]
#[case("0b11", json!(3))]
#[case("1_000", json!(1000))]
#[case("1:30", json!(90))]
#[case("10:70", json!("10:70"))]
#[case("-12", json!(-12))]
#[case("1.30", json!(1.3))]
#[case("1.30.1", json!("1.30.1"))]
#[case("1e3", json!("1e3"))]
#[case("1.5e+3", json!(1500.0))]
#[case(".5", json!(0.5))]
#[case("10.0.0.1", json!("10.0.0.1"))]
#[case(".inf", json!(".inf"))]
#[case("'yes'", json!("yes"))]
#[case("!!str 1.30", json!("1.30"))]
#[case("!!int '3'", json!(3))]
#[case("!unsafe '{{ x }}'", json!("{{ x }}"))]
#[case("\"{{ x }}\"", json!("{{ x }}"))]
#[case("|\n  a\n  b\n", json!("a\nb\n"))]
#[case(">-\n  a\n  b\n", json!("a b"))]
#[case("[1, a, {b: on}]", json!([1, "a", {"b": true}]))]
fn yaml_is_version_1_1(#[case] text: &str, #[case] expected: Value) {
    let read = variables(&format!("x: {text}"));
    assert_eq!(read.entries.iter().map(|entry| &entry.1).collect::<Vec<_>>(), [&expected]);
}

#[test]
fn anchors_and_merged_mappings_are_followed() {
    let text = "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: *a\nd: {<<: [{z: 1}, *a]}\n";
    let values: BTreeMap<_, _> =
        variables(text).entries.into_iter().map(|(name, value, ..)| (name, value)).collect();
    assert_eq!(
        json!(values),
        json!({"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}, "c": {"x": 1, "y": 2}, "d": {"x": 1, "y": 2, "z": 1}})
    );
}

#[test]
fn every_setting_knows_where_it_stands() {
    let text = "é: 1\n'a b':\n  - x\n  - y: z\nlong: |\n  first\n  second\n";
    let inventory = read(&[
        ("inventory.ini", "a  x='1'  y=\"b c\"\n[g]\na\n[g:vars]\n z = v \n"),
        ("group_vars/all", text),
    ]);
    let places: Vec<(&str, &str)> = inventory
        .settings
        .iter()
        .map(|setting| {
            let Origin::File { file, name, value } = setting.origin else { unreachable!() };
            let text = &inventory.files[file].text;
            (&text[name.start..name.end], &text[value.start..value.end])
        })
        .collect();
    assert_eq!(
        places,
        [("x", "'1'"), ("y", "\"b c\""), ("z", "v"), ("é", "1"), ("'a b'", "x"), ("long", "first")]
    );
}

#[test]
fn parts_are_found_by_the_names_of_their_values() {
    let text = "list: [one, {two: three}]\nhosts: {a: {labels: {rack: r1}}}\nlast: {x: 1, x: 22}\n";
    let span = |word: &str| {
        let start = text.find(word).unwrap();
        Span { start, end: start + word.len() }
    };
    let parts = parts::Parts::of(text);
    for (name, step, part) in [
        ("list", parts::Step::Item(0), Some("one")),
        ("list", parts::Step::Item(1), Some("two")),
        ("list", parts::Step::Item(2), None),
        ("list", parts::Step::Key("two"), None),
        ("labels", parts::Step::Key("rack"), Some("rack")),
        ("labels", parts::Step::Value("rack"), Some("r1")),
        ("last", parts::Step::Value("x"), Some("22")),
        ("rack", parts::Step::Item(0), None),
    ] {
        let found = parts.find(span(name), step).map(|found| &text[found.start..found.end]);
        assert_eq!(found, part, "{name} {step:?}");
    }
}

/// Every mistake is reported, with its place, and the rest of the file is read.
#[rstest]
#[case::ini("ini", &[("inventory.ini", "\
[kube_node]
a ip
b ip='1
c[1:x]
d:
[bad head]
e
[kube_node:varz]
[kube_node:vars]
no value
[kube_node:children]
two words
kube_node
unknown
[gone:vars]
x=1
")])]
#[case::yaml("yaml", &[("hosts.yml", "\
all:
  hosts: [a, b]
  hots: {}
  children:
    kube_node:
      hosts: {a: 1, c: {x: 1, x: 2}}
      children: {kube_node: {}}
    etcd: [a]
")])]
#[case::plugin("plugin", &[("hosts.yml", "plugin: openstack\n")])]
#[case::no_groups("no_groups", &[("hosts.yml", "- a\n- b\n")])]
#[case::yaml_read_as_ini("yaml_read_as_ini", &[("inventory.ini", "---\nall:\n  hosts:\n")])]
#[case::variables("variables", &[
    ("hosts", "[kube_node]\na\n"),
    ("group_vars/all/template.yml", "x: {{ y }}\n"),
    ("group_vars/all/list.yml", "- x\n"),
    ("group_vars/all/bracket.yml", "x: [a, b\ny: [c]\n"),
    ("group_vars/all/tab.yml", "x:\n\ty: 1\n"),
    ("group_vars/all/documents.yml", "x: 1\n---\ny: 1\n"),
    ("group_vars/all/twice.yml", "x: 1\ny: {z: 1, z: 2}\nx: 2\n"),
    ("group_vars/all/alias.yml", "x: *unknown\n"),
    ("group_vars/all/vault", "$ANSIBLE_VAULT;1.1;AES256\n6162\n"),
    ("group_vars/all/secret.yml", "x: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  6162\n"),
])]
#[case::unread("unread", &[
    ("hosts", "[kube_node]\na\n"),
    ("group_vars/all/a.yml", "x: 1\n"),
    ("group_vars/all.yml", "x: 2\n"),
    ("group_vars/kube_nodes.yml", "x: 1\n"),
    ("group_vars/README.md", "x"),
    ("host_vars/a.yml", "x: 1\n"),
    ("host_vars/a.yaml", "x: 1\n"),
    ("host_vars/stranger.yml", "x: 1\n"),
    ("host_vars/localhost.yml", "x: 1\n"),
])]
fn mistakes_are_reported(#[case] name: &str, #[case] files: &[(&str, &str)]) {
    insta::assert_snapshot!(format!("mistakes_{name}"), render_findings(read(files)));
}

#[test]
fn syntax_finding_has_its_position_only_once() {
    let text = "x: ]\n";
    assert_eq!(variables(text).findings.finish(text)[0].message, "not valid YAML: misplaced bracket");
}

#[test]
fn aliases_cannot_make_a_small_file_large() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let inner = vec![format!("*a{}", level - 1); 10].join(", ");
        let _ = writeln!(bomb, "a{level}: &a{level} [{inner}]");
    }
    assert_eq!(variables(&bomb).findings.finish(&bomb)[0].code, Code::Syntax);
}

/// Each anchor stands on the one before: no single value is deep, and the last one would be.
#[test]
fn aliases_cannot_make_a_shallow_file_deep() {
    let mut text = "a0: &a0 [x]\n".to_owned();
    for level in 1..200 {
        let _ = writeln!(text, "a{level}: &a{level} {}*a{}{}", "[".repeat(40), level - 1, "]".repeat(40));
    }
    assert_eq!(variables(&text).findings.finish(&text)[0].code, Code::Syntax);
}

/// Reads a text as everything that it could be, and checks the invariants of every result.
fn try_out(text: &str) {
    for path in ["inventory.ini", "hosts.yaml", "hosts"] {
        let inventory = read(&[(path, text), ("group_vars/all.yml", text), ("host_vars/a.yml", text)]);
        for setting in &inventory.settings {
            let Origin::File { file, name, value } = &setting.origin else { unreachable!() };
            for span in [name, value] {
                assert!(
                    inventory.files[*file].text.get(span.start..span.end).is_some(),
                    "{setting:?} of {text:?}"
                );
            }
        }
        effective(&inventory);
        let files = inventory.files;
        let findings = inventory.findings.finish_files(|file| &files[file].text);
        for finding in &findings {
            let Span { start, end } = finding.span;
            assert!(files[finding.file].text.get(start..end).is_some(), "{finding:?} of {text:?}");
        }
        let rendered = render_files(&findings, &files, false);
        assert_eq!(rendered.is_empty(), findings.is_empty());
    }
}

#[test]
fn inventory_file_may_end_anywhere() {
    for end in (0..=INI.len()).filter(|end| INI.is_char_boundary(*end)) {
        try_out(&INI[..end]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_answered(text in any::<String>()) {
        try_out(&text);
    }

    #[test]
    fn any_inventory_like_text_is_answered(
        text in "(\\[[a-c:]{0,6}\\]|\\[a:vars\\]\n|\\[b:children\\]\n|[a-c]{1,2}|\\[1:3\\]|=| |\n|:|'|\"|#|\\\\|é|1|True|\\{|\\}|,|: |- |&a |\\*a |<<: |!vault |\\||>|~|%){0,60}",
    ) {
        try_out(&text);
    }
}
