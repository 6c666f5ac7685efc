//! Ansible reads a rendered inventory, and means by it what we mean.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use lab_core::kubespray::index::Index;
use lab_core::kubespray::{Login, Scope, render, settings};
use lab_core::spec::ClusterSpec;
use lab_tests::checkout::variable;
use lab_tests::cluster::Cluster;
use lab_tests::{Checkout, Run, redact, run};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::dev;

/// Writes the inventory of a cluster to a folder whose name has a blank; the lab's own folder is beside it.
fn rendered(spec: &ClusterSpec) -> TempDir {
    let folder = tempfile::Builder::new().prefix("my labs ").tempdir().unwrap();
    let index = Index::known(&spec.kubespray.version).unwrap();
    let login = Login {
        user: "debian".to_owned(),
        lab_dir: "..".to_owned(),
        key: "keys/id_ed25519".to_owned(),
        ssh_config: "ssh_config".to_owned(),
    };
    for (path, text) in render(spec, &index, &login).unwrap() {
        let path = folder.path().join("inventory").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

/// A program of the Ansible that labs are driven with, given the inventory.
fn ansible(program: &str, folder: &Path) -> Run {
    run(format!("{}/bin/{program}", variable("LAB_ANSIBLE")))
        .arg("--inventory")
        .arg(folder.join("inventory/inventory.ini"))
        .env("HOME", folder.join("home"))
}

/// The output of `ansible-inventory --list`.
fn listed(folder: &Path) -> Value {
    let listed = ansible("ansible-inventory", folder).arg("--list").answer().ok();
    assert_eq!(listed.stderr, "", "Ansible warns");
    listed.json()
}

#[test]
fn ansible_reads_the_inventory_as_it_is_meant() {
    let folder = rendered(&dev::spec());
    let listed = listed(folder.path());
    insta::assert_snapshot!(serde_json::to_string_pretty(&listed).unwrap());
    assert!(
        !listed.to_string().contains("become"),
        "`become` would reach tasks that are handed to this computer"
    );
}

/// Every variable of every host, as Ansible merges them, is the one that the settings say.
#[test]
fn ansible_merges_the_variables_of_groups_and_machines_as_they_are_meant() {
    let mut spec = dev::read("inventories/cloud-cluster/cluster.yaml");
    spec.kubespray.variables.insert("all".to_owned(), odd_values());
    spec.kubespray
        .variables
        .insert("kube_node".to_owned(), BTreeMap::from([("kubelet_max_pods".to_owned(), json!(50))]));
    let folder = rendered(&spec);
    let listed = listed(folder.path());
    let settings = settings(&spec, &Index::known(&spec.kubespray.version).unwrap());
    for machine in &spec.machines {
        let found = &listed["_meta"]["hostvars"][&machine.name];
        let worker = machine.name != "control-plane";
        for setting in &settings {
            let applies = match &setting.scope {
                Scope::Host(name) => *name == machine.name,
                Scope::Group(name) => match name.as_str() {
                    "all" | "k8s_cluster" => !(worker && setting.name == "kubelet_max_pods"),
                    "kube_node" => worker,
                    other => panic!("nothing is set for {other}"),
                },
            };
            if applies {
                assert_eq!(found[&setting.name], setting.value, "{} of {}", setting.name, machine.name);
            }
        }
    }
}

/// Values that a reader of YAML 1.1 takes for something else when they stand without quotes, and all kinds of
/// others.
fn odd_values() -> BTreeMap<String, Value> {
    let texts = [
        "",
        "no",
        "Yes",
        "on",
        "OFF",
        "y",
        "N",
        "true",
        "null",
        "~",
        "010",
        "1.30",
        "1_000",
        "1e3",
        "0x1f",
        "0b1",
        "12:30:45",
        "2026-01-31",
        "2026-01-31 10:00:00",
        "=",
        "<<",
        "- a",
        "? a",
        "a: b",
        "a #b",
        "#a",
        "*a",
        "&a",
        "!vault",
        "%a",
        "@a",
        "`a`",
        "[a]",
        "{a: b}",
        "'a'",
        "\"a\"",
        " a",
        "a ",
        ".5",
        ".inf",
        ".NaN",
        "+1",
        "-",
        "registry:5000",
        "a,b",
        "a\\b",
        "é",
        "日本",
        "\u{1f600}",
        "\u{85}",
        "\u{2028}",
        "\u{7f}",
        "\u{feff}",
        "a\tb",
        "a\r\nb",
        "a\nb",
        "a\nb\n",
        "a\n\n  b\n",
        " a\nb",
        "a\nb\n\n",
        "a \nb",
        "\n",
        "a\n#b\n",
    ];
    let numbers =
        json!([0, -1, 1.5, 1e21, 1e-7, u64::MAX, i64::MIN, true, false, null, [], {}, [[], [1, [2]]]]);
    let mut values: BTreeMap<String, Value> =
        texts.iter().enumerate().map(|(number, text)| (format!("odd_text_{number}"), json!(text))).collect();
    values.insert("odd_numbers".to_owned(), numbers);
    let keys = texts.iter().map(|text| ((*text).to_owned(), json!([{ "inside": text }])));
    values.insert("odd_keys".to_owned(), Value::Object(keys.collect()));
    values
}

/// The paths of the lab are put in when Ansible runs, so that no rendered file names a folder of a computer.
#[test]
fn ansible_finds_the_lab_from_the_folder_of_the_inventory() {
    let folder = rendered(&dev::spec());
    let words = folder.path().join("words");
    let ssh = folder.path().join("ssh");
    fs::write(&ssh, format!("#!/bin/sh\nprintf '%s\\n' \"$@\" > '{}'\nexit 255\n", words.display())).unwrap();
    fs::set_permissions(&ssh, fs::Permissions::from_mode(0o755)).unwrap();
    let answer = ansible("ansible", folder.path())
        .args(["control-plane", "--module-name", "ansible.builtin.raw", "--args", "true"])
        .args(["--extra-vars", &json!({ "ansible_ssh_executable": ssh }).to_string()])
        .answer()
        .code(4);
    let words =
        fs::read_to_string(&words).unwrap_or_else(|error| panic!("ssh was not called: {error}\n{answer}"));
    let inventory = folder.path().join("inventory").display().to_string();
    let words: Vec<&str> = words.lines().collect();
    assert_eq!(words[..2], ["-F", &format!("{inventory}/../ssh_config")]);
    let key = format!("IdentityFile=\"{inventory}/../keys/id_ed25519\"");
    assert!(words.contains(&key.as_str()), "{words:?}");
    assert!(words.contains(&"192.168.200.10"), "{words:?}");
}

/// Kubespray's `remove-node.yml` begins with a play for a localhost that is in no inventory: it is given what all machines are.
#[test]
fn ansible_runs_something_here_though_this_computer_is_no_machine_of_the_inventory() {
    let folder = rendered(&dev::spec());
    let task = ["localhost", "--module-name", "ansible.builtin.assert", "--args", "that=true"];
    ansible("ansible", folder.path()).args(task).answer().ok();
}

/// One call after the other, with what each says and its exit code.
fn said(checkout: &Checkout, calls: &[&[&str]]) -> String {
    let answer = |words: &&[&str]| format!("$ lab {}\n{}\n", words.join(" "), checkout.lab(words).answer());
    calls.iter().map(answer).collect()
}

#[test]
fn inventory_commands_write_and_compare() {
    let checkout = Checkout::with(&Cluster::new("one", &["node", "worker"]));
    let mut transcript = said(
        &checkout,
        &[
            &["inventory", "render", "one"],
            &["inventory", "diff", "one"],
            &["inventory", "render", "one", "--json"],
        ],
    );
    let text = Cluster::new("one", &["node", "worker"])
        .text()
        .replace("[worker]", "[worker]\n    labels: {zone: a}");
    checkout.write("one", &text);
    transcript += &said(
        &checkout,
        &[
            &["inventory", "diff", "one"],
            &["inventory", "diff", "one", "--json"],
            &["inventory", "render", "one"],
        ],
    );
    checkout.write("one", &Cluster::new("one", &["node", "worker"]).text());
    let folder = checkout.root().join("inventories/one");
    fs::write(folder.join("group_vars/k8s_cluster.yml"), "mine: true\n").unwrap();
    transcript += &said(&checkout, &[&["inventory", "render", "one"]]);
    fs::remove_file(folder.join("group_vars/k8s_cluster.yml")).unwrap();
    fs::rename(folder.join("cluster.yaml"), checkout.root().join("elsewhere.yaml")).unwrap();
    let elsewhere = checkout.root().join("elsewhere.yaml").display().to_string();
    transcript += &said(
        &checkout,
        &[
            &["inventory", "render", &elsewhere],
            &["inventory", "diff", &elsewhere],
            &["inventory", "diff", &elsewhere, "--output", "inventories/one"],
            &["inventory", "render", &elsewhere, "--output", "inventories/one"],
        ],
    );
    redact::settings(&checkout.root().display().to_string()).bind(|| insta::assert_snapshot!(transcript));
}

#[test]
fn render_writes_nothing_that_kubespray_refuses() {
    let checkout = Checkout::new();
    let text = Cluster::new("one", &["node", "worker"]).text();
    let options = "kubespray: {version: v2.31.0}\nkubernetes: {addons: {ingress_nginx: true}}\n";
    checkout.write("one", &(text + options));
    let transcript = said(&checkout, &[&["inventory", "render", "one"], &["inventory", "diff", "one"]]);
    assert!(!checkout.root().join("inventories/one/inventory.ini").exists(), "{transcript}");
    let (refused, diff) = transcript.split_once("$ lab inventory diff").unwrap();
    redact::settings(&checkout.root().display().to_string()).bind(|| insta::assert_snapshot!(refused));
    assert!(diff.contains("+ingress_nginx_enabled: true"), "what it would be can be seen: {diff}");
}
