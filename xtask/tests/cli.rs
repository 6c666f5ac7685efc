//! `cargo xtask` as a black box: what it prints, what it hands over, how it exits.
//!
//! The `lab` program is a stand-in, a shell script that prints its arguments and environment.

use std::ffi::OsString;
use std::path::Path;

use xshell::{Shell, TempDir};

/// Runs xtask in the checkout and gives exit code, stdout and stderr in one text.
fn xtask(arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let sh = Shell::new().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    sh.change_dir(root);
    let mut command =
        sh.cmd(env!("CARGO_BIN_EXE_xtask")).args(arguments).env_remove("LAB_BIN").env_remove("COLUMNS");
    for (name, value) in variables {
        command = command.env(name, value);
    }
    let output = command.quiet().ignore_status().output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&*root.to_string_lossy(), "[ROOT]");
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    format!("exit code {}\n--- stdout\n{stdout}--- stderr\n{stderr}", output.status.code().unwrap_or(-1))
}

/// A `lab` that prints what it was given and ends with 7.
fn stand_in() -> (TempDir, OsString) {
    let sh = Shell::new().unwrap();
    let directory = sh.create_temp_dir().unwrap();
    let script = directory.path().join("lab");
    let text = "#!/bin/sh\nfor word; do echo \"word: $word\"; done\n\
        for name in LC_ALL LAB_ROOT KUBECONFIG LIBVIRT_DEFAULT_URI ANSIBLE_CONFIG CARGO_PKG_NAME LAB_OWN; do\n\
        eval \"echo $name=\\${$name-unset}\"\ndone\nexit 7\n";
    sh.write_file(&script, text).unwrap();
    sh.cmd("chmod").args(["755".as_ref(), script.as_os_str()]).quiet().run().unwrap();
    (directory, script.into_os_string())
}

#[test]
fn xtask_without_words_prints_table_of_contents() {
    insta::assert_snapshot!(xtask(&[], &[]));
}

#[test]
fn xtask_explains_lab_command_without_word_lab() {
    insta::assert_snapshot!(xtask(&["up", "dev"], &[]));
}

#[test]
fn xtask_suggests_nearest_command() {
    insta::assert_snapshot!(xtask(&["docter"], &[]));
}

#[test]
fn lab_gets_its_words_and_clean_environment() {
    let (_directory, script) = stand_in();
    let variables = [
        ("LAB_BIN", script.to_str().unwrap()),
        ("KUBECONFIG", "/home/alice/.kube/config"),
        ("LIBVIRT_DEFAULT_URI", "qemu:///system"),
        ("ANSIBLE_CONFIG", "/etc/ansible.cfg"),
        ("CARGO_PKG_NAME", "xtask"),
        ("LC_ALL", "de_DE.UTF-8"),
        ("LAB_OWN", "kept"),
    ];
    insta::assert_snapshot!(xtask(
        &["--yes", "vm", "start", "gpu-worker-1", "--no-such-flag", "two words"],
        &variables
    ));
}

#[test]
fn missing_prebuilt_lab_is_usage_error() {
    insta::assert_snapshot!(xtask(&["lab", "status"], &[("LAB_BIN", "/nonexistent/lab")]));
}

#[test]
fn unknown_measurement_changes_nothing() {
    insta::assert_snapshot!(xtask(&["bench", "warp"], &[]));
}
