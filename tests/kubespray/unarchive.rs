//! The action plugin of ours for archives: what a full disk truncated is unpacked anew by the next run.

use std::fs;
use std::path::Path;

use lab_tests::checkout::real_root;
use lab_tests::kubespray::reaching;
use lab_tests::{Checkout, needs, run};
use rstest::rstest;
use serde_json::Value;

const PLAYBOOK: &str = r#"
- hosts: localhost
  gather_facts: false
  tasks:
    - name: Unpack without room
      unarchive: &unpack
        src: "{{ folder }}/archive.tar.gz"
        dest: "{{ folder }}/small"
        remote_src: true
      ignore_errors: true
    - name: Show what is left
      debug:
        msg: "{{ lookup('ansible.builtin.pipe', 'ls ' + folder + '/small') }}"
    - name: Make room
      file:
        path: "{{ folder }}/small/filler"
        state: absent
    - name: Unpack with room
      unarchive: *unpack
    - name: Compare
      command: "cmp {{ folder }}/program {{ folder }}/small/program"
    - name: Unpack once more
      unarchive: *unpack
"#;
/// Its folder becomes a file system of a MiB, more than half of it taken.
const FULL: &str =
    r#"mount -t tmpfs -o size=1m none "$0" && head -c 700000 /dev/zero >"$0/filler" && exec "$@""#;

/// Task and outcome of each event, with the words that a person reads.
fn outcomes(environment: &Path, strategy: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir(path("small")).unwrap();
    fs::write(path("first"), "whole").unwrap();
    fs::write(path("program"), [7; 600_000]).unwrap();
    fs::write(path("playbook.yml"), PLAYBOOK).unwrap();
    run("tar")
        .args(["--create", "--gzip", "--file", "archive.tar.gz", "--mtime=@0", "first", "program"])
        .directory(folder.path())
        .answer()
        .ok();
    let ours = real_root().join("ansible");
    let small = path("small").display().to_string();
    let answer = run(environment.join("bin/ansible-playbook"))
        .env("ANSIBLE_STRATEGY", strategy)
        .env("ANSIBLE_STRATEGY_PLUGINS", ours.join("strategy_plugins"))
        .env("ANSIBLE_CALLBACK_PLUGINS", ours.join("callback_plugins"))
        .env("ANSIBLE_ACTION_PLUGINS", ours.join("action_plugins"))
        .env("ANSIBLE_STDOUT_CALLBACK", "lab_events")
        .env("ANSIBLE_HOME", folder.path())
        .env("HOME", folder.path())
        .arg("--extra-vars")
        .arg(format!("folder={}", folder.path().display()))
        .arg(path("playbook.yml"))
        .through(&["unshare", "--map-root-user", "--mount", "sh", "-c", FULL, &small])
        .answer()
        .ok();
    let text = answer.stdout.replace(&folder.path().display().to_string(), "FOLDER");
    let events = text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{answer}")));
    let results = events.filter(|event: &Value| event["event"] == "result");
    let words = |event: Value| {
        let words = ["task", "outcome", "message", "said", "stderr"]
            .map(|name| event[name].as_str().map(str::to_owned));
        words.into_iter().flatten().collect::<Vec<_>>().join("\n  ")
    };
    results.map(words).collect::<Vec<_>>().join("\n")
}

#[rstest]
fn archive_truncated_by_full_disk_is_unpacked_anew_by_next_run(
    // One release for each series of ansible-core.
    #[values("v2.30.0", "v2.31.0")] release: &str,
    #[values("linear", "lab_linear")] strategy: &str,
) {
    needs!(Kubespray);
    let checkout = Checkout::new();
    let fetch = checkout.lab(&["kubespray", "fetch", "--version", release, "--json"]);
    let fetched = reaching(fetch).answer().ok().json();
    let environment = Path::new(fetched["environment"]["path"].as_str().unwrap());
    let filters = [(r"\S*/tar: ", "tar: "), (r"only \d+ of", "only SOME of")];
    insta::with_settings!({filters => filters}, {
        insta::assert_snapshot!(outcomes(environment, strategy), @r"
        Unpack without room
          failed
          failed to unpack FOLDER/archive.tar.gz to FOLDER/small
          tar: program: Wrote only SOME of 10240 bytes
        tar: Exiting with failure status due to previous errors
        Show what is left
          ok
          filler
        first
        Make room
          changed
        Unpack with room
          changed
        Compare
          changed
        Unpack once more
          ok
        ");
    });
}
