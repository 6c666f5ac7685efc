//! Running a playbook on a living lab: needs a machine.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use lab_tests::checkout::walk;
use lab_tests::cluster::Cluster;
use lab_tests::computer::{Computer, processes};
use lab_tests::kubespray::reaching;
use lab_tests::wait::until;
use lab_tests::{Answer, Checkout, needs};

const PLAYBOOK: &str = r#"
- name: Look at the machine
  hosts: kube_control_plane
  tasks:
    - name: Be root there
      ansible.builtin.command: id -u
      register: id
      changed_when: false
      failed_when: id.stdout != "0"
    - name: Check the given variables
      ansible.builtin.assert:
        that:
          - kubespray_version == "v2.30.0"
          - kubespray_checkout is directory
          - given == 3
          - ansible_facts.hostname == "node"
    - name: Work on this computer where a task asks for it
      ansible.builtin.command: test -e {{ kubespray_checkout }}/cluster.yml
      changed_when: false
      delegate_to: localhost
      connection: local
      become: false
    - name: Fail where asked
      ansible.builtin.fail:
        msg: as was asked
      when: fails | default(false)
"#;

fn play(checkout: &Checkout, words: &[&str]) -> Answer {
    let playbook = checkout.root().join("look.yml");
    fs::write(&playbook, PLAYBOOK).unwrap();
    reaching(checkout.lab(&["kubespray", "play", "one"]).arg(&playbook).arg("--").args(words)).answer()
}

/// The files of this name in the records of runs.
fn records(checkout: &Checkout, name: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    walk(&checkout.output("one").join("runs"), &mut |path| {
        if path.file_name().is_some_and(|file| file == name) {
            found.push(path.to_owned());
        }
    });
    found.sort();
    found
}

#[test]
fn playbook_runs_as_root_and_leaves_record_without_connection() {
    needs!(Kubespray);
    let checkout = Checkout::with(&Cluster::new("one", &["node"]));
    let before = Computer::look(checkout.root());
    let early = play(&checkout, &[]).code(20);
    assert!(early.stderr.contains("the lab `one` does not run"), "{early}");

    checkout.lab(&["up", "one"]).answer().ok();
    let answer = play(&checkout, &["-e", "{\"given\": 3}"]).ok();
    assert!(answer.stdout.starts_with("MACHINE"), "a recap for people: {answer}");
    let events = fs::read_to_string(&records(&checkout, "ansible.jsonl")[0]).unwrap();
    let last: serde_json::Value = serde_json::from_str(events.lines().last().unwrap()).unwrap();
    assert_eq!((&last["event"], &last["hosts"]["node"]["failures"]), (&"recap".into(), &0.into()));
    let summary = fs::read_to_string(&records(&checkout, "summary.json")[0]).unwrap();
    let summary: serde_json::Value = serde_json::from_str(&summary).unwrap();
    assert_eq!(summary["tasks"], 5, "{summary}");
    let logs: Vec<_> = fs::read_dir(checkout.root().join("output/logs")).unwrap().flatten().collect();
    let log = fs::read_to_string(logs[0].path()).unwrap();
    assert!(log.contains("TASK  Be root there") && log.contains("ok node"), "a log for people: {log}");
    assert!(checkout.output("one").join("ansible/facts/node").exists(), "facts are kept for this lab");
    let connections = |(_, line): &(i32, String)| line.starts_with("ssh ") || line.contains("mitogen");
    // A login notices by itself that no process holds its other end.
    until("the end of all connections", Duration::from_secs(10), || {
        (!processes(checkout.root()).iter().any(connections)).then_some(())
    });
    let sockets = fs::read_dir(checkout.output("one").join("cp")).into_iter().flatten();
    assert_eq!(sockets.count(), 0, "connections are ended");

    let failed = play(&checkout, &["-e", "{\"given\": 3, \"fails\": true}"]).code(21);
    assert!(failed.stderr.contains("error: node failed at `Fail where asked`: as was asked"), "{failed}");
    assert!(failed.stderr.contains("`cargo xtask kubespray play one "), "how to go on: {failed}");
    checkout.destroy("one", &before);
}
