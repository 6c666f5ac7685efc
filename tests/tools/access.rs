//! OpenSSH reads the files through which machines are reached, and means by them what we mean.

use std::collections::BTreeMap;
use std::fs;

use lab_core::kubespray::{Access, known_hosts, ssh_config};
use lab_core::spec::ClusterSpec;
use lab_tests::run;
use tempfile::TempDir;

use crate::dev;

/// A folder with everything in it, whose name has a blank.
struct Files {
    folder: TempDir,
    access: Access,
}

fn files(spec: &ClusterSpec) -> Files {
    let folder = tempfile::Builder::new().prefix("my labs ").tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let access = Access {
        user: "debian".to_owned(),
        key: path("id_ed25519"),
        known_hosts: path("known_hosts"),
        ssh_config: path("ssh_config"),
    };
    run("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", &access.key]).answer().ok();
    let key = fs::read_to_string(path("id_ed25519.pub")).unwrap();
    let keys: BTreeMap<_, _> =
        spec.machines.iter().map(|machine| (machine.name.clone(), key.clone())).collect();
    fs::write(&access.known_hosts, known_hosts(spec, &keys)).unwrap();
    fs::write(&access.ssh_config, ssh_config(spec, &access).unwrap()).unwrap();
    Files { folder, access }
}

/// The output of `ssh -G` about one host, sorted; settings that we do not set are left out.
fn understood(files: &Files, host: &str) -> String {
    let ours = fs::read_to_string(&files.access.ssh_config).unwrap().to_lowercase();
    let said = run("ssh").args(["-G", "-F", &files.access.ssh_config, host]).answer().ok();
    assert_eq!(said.stderr, "", "ssh complains");
    let folder = files.folder.path().display().to_string();
    let mut lines: Vec<_> = said
        .stdout
        .lines()
        .filter(|line| line.split(' ').next().is_some_and(|name| ours.contains(&format!("{name} "))))
        .map(|line| line.replace(&folder, "[LAB]"))
        .collect();
    lines.sort();
    lines.join("\n")
}

#[test]
fn openssh_reads_its_settings_as_they_are_meant() {
    let files = files(&dev::spec());
    insta::assert_snapshot!(understood(&files, "gpu-worker-1"));
    assert_eq!(
        understood(&files, "gpu-worker-1").replace("host gpu-worker-1", "host 192.168.200.12"),
        understood(&files, "192.168.200.12").replace("host gpu-worker-1", "host 192.168.200.12"),
        "a machine is the same by its name and by its address"
    );
}

#[test]
fn openssh_finds_every_pinned_host_key_by_name_and_by_address() {
    let spec = dev::spec();
    let files = files(&spec);
    for machine in &spec.machines {
        for name in [machine.name.clone(), machine.address.to_string()] {
            run("ssh-keygen").args(["-F", &name, "-f", &files.access.known_hosts]).answer().ok();
        }
    }
    let other = run("ssh-keygen").args(["-F", "192.168.200.99", "-f", &files.access.known_hosts]).answer();
    assert_eq!(other.code, 1, "{other}");
}
