//! The strategy of ours against Ansible's own: the same tasks in the same order with the same results, by fewer processes.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use lab_tests::checkout::real_root;
use lab_tests::kubespray::reaching;
use lab_tests::{Checkout, needs, run};
use serde_json::Value;

const INVENTORY: &str = "[all]\none\ntwo\nthree\n[all:vars]\nansible_connection=local\nansible_python_interpreter=/usr/bin/python3\n";
/// The fields of an event that differ in each run.
const OF_A_RUN: [&str; 3] = ["at", "seconds", "path"];
/// Who computes: the process itself, or a fork of it.
const PROCESSES: &str = r#"
- hosts: all
  gather_facts: false
  tasks:
    - name: Compute
      ansible.builtin.debug:
        msg: "{{ lookup('ansible.builtin.pipe', 'echo $PPID') }}"
"#;

/// All the tasks that are compared, by way of a playbook that a lookup names, as ours names Kubespray's.
const NAMED: &str =
    "- ansible.builtin.import_playbook: \"{{ lookup('ansible.builtin.env', 'TASKS_OF_ALL_KINDS') }}\"\n";

/// Runs a playbook on three machines that are this computer, and gives its events.
fn events(environment: &Path, strategy: &str, playbook: &Path) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let inventory = folder.path().join("inventory.ini");
    fs::write(&inventory, INVENTORY).unwrap();
    let ours = real_root().join("ansible");
    let answer = run(environment.join("bin/ansible-playbook"))
        .env("ANSIBLE_STRATEGY", strategy)
        .env("ANSIBLE_STRATEGY_PLUGINS", ours.join("strategy_plugins"))
        .env("ANSIBLE_CALLBACK_PLUGINS", ours.join("callback_plugins"))
        .env("ANSIBLE_STDOUT_CALLBACK", "lab_events")
        .env("TASKS_OF_ALL_KINDS", real_root().join("tests/kubespray/strategy.yml"))
        .env("ANSIBLE_HOME", folder.path())
        .env("HOME", folder.path())
        .arg("--inventory")
        .arg(&inventory)
        .arg("--extra-vars")
        .arg(format!("folder={}", folder.path().display()))
        .arg(playbook)
        .answer()
        .ok();
    let text = answer.stdout.replace(&folder.path().display().to_string(), "FOLDER");
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{answer}"))).collect()
}

/// Events by task, without values that differ in each run. Within a task machines answer in any order.
fn alike(events: Vec<Value>) -> Vec<Vec<String>> {
    let mut tasks = vec![Vec::new()];
    for mut event in events {
        event.as_object_mut().unwrap().retain(|name, _| !OF_A_RUN.contains(&name.as_str()));
        if event["event"] == "task" {
            tasks.push(Vec::new());
        }
        tasks.last_mut().unwrap().push(event.to_string());
    }
    for task in &mut tasks {
        task[1..].sort();
    }
    tasks
}

#[test]
fn tasks_have_the_same_results_by_our_strategy_as_by_ansibles_own() {
    needs!(Kubespray);
    let checkout = Checkout::new();
    let folder = tempfile::tempdir().unwrap();
    let one_task = folder.path().join("processes.yml");
    fs::write(&one_task, PROCESSES).unwrap();
    let named = folder.path().join("named.yml");
    fs::write(&named, NAMED).unwrap();
    // One release for each series of ansible-core.
    for release in ["v2.30.0", "v2.31.0"] {
        let fetch = checkout.lab(&["kubespray", "fetch", "--version", release, "--json"]);
        let fetched = reaching(fetch).answer().ok().json();
        let environment = Path::new(fetched["environment"]["path"].as_str().unwrap());
        let linear = alike(events(environment, "linear", &named));
        assert_eq!(alike(events(environment, "lab_linear", &named)), linear, "{release}");
        assert!(linear.len() > 30, "{linear:?}");

        let processes = |strategy| {
            let events = events(environment, strategy, &one_task);
            events.iter().filter_map(|event| event["said"].as_str()).collect::<BTreeSet<_>>().len()
        };
        let forks = (processes("linear"), processes("lab_linear"));
        assert_eq!(forks, (3, 1), "{release}: processes for a task that only computes on three machines");
    }
}
