//! CMake and make call `cargo xtask` as they are meant to. `cargo` is a stand-in that prints its arguments.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use lab_tests::checkout::real_root;
use lab_tests::{Run, needs, run};
use tempfile::TempDir;

/// A folder with a `cargo` in it, to stand first on PATH.
fn stand_in() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let cargo = folder.path().join("cargo");
    fs::write(
        &cargo,
        "#!/bin/sh\nprintf 'cargo'\nfor word; do printf ' [%s]' \"$word\"; done\necho \" ${MAKEFLAGS-}\"\n",
    )
    .unwrap();
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

fn with(stand_in: &TempDir, run: Run) -> Run {
    let path = std::env::var("PATH").unwrap();
    run.env("PATH", format!("{}:{path}", stand_in.path().display())).directory(&real_root())
}

/// The lines that the stand-in printed.
fn calls(said: &str) -> String {
    said.lines()
        .filter(|line| line.starts_with("cargo "))
        .map(|line| format!("{}\n", line.trim_end()))
        .collect()
}

#[test]
fn cmake_calls_the_same_code() {
    needs!(CMake, Make);
    let stand_in = stand_in();
    let built = |options: &[&str]| {
        // The folder has been in use: what lies in it stays.
        let build = tempfile::tempdir().unwrap();
        let kept = build.path().join("environments/kubespray-0123456789abcdef/complete");
        fs::create_dir_all(kept.parent().unwrap()).unwrap();
        fs::write(&kept, "kept").unwrap();
        let configure = run("cmake").arg("-S").arg(real_root()).arg("-B").arg(build.path()).args(options);
        with(&stand_in, configure).answer().ok();
        let target = |name: &str| {
            let build = run("cmake").arg("--build").arg(build.path()).args(["-j", "2", "--target", name]);
            calls(&with(&stand_in, build).answer().ok().stdout)
        };
        let said = ["install-kubespray", "list-kubespray-info", "clean-kubespray"].map(target).concat();
        assert_eq!(fs::read_to_string(&kept).unwrap(), "kept");
        said
    };
    insta::assert_snapshot!(built(&[]), @r"
    cargo [xtask] [kubespray] [fetch]
    cargo [xtask] [kubespray] [status]
    cargo [xtask] [kubespray] [clean]
    ");
    let options = ["-DKUBESPRAY_VERSION=v2.31.0", "-DKUBESPRAY_SOURCE=/srv/my mirror", "-DLAB_YES=ON"];
    insta::assert_snapshot!(built(&options), @r"
    cargo [xtask] [--yes] [kubespray] [fetch] [--version] [v2.31.0] [--source] [/srv/my mirror]
    cargo [xtask] [--yes] [kubespray] [status]
    cargo [xtask] [--yes] [kubespray] [clean]
    ");
}

/// Copies what CMake reads, so that a mistake cannot write into the checkout under test.
fn copy(to: &Path) {
    for file in ["CMakeLists.txt", "Makefile", "cmake/kubespray.cmake"] {
        let place: PathBuf = to.join(file);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::copy(real_root().join(file), place).unwrap();
    }
}

#[test]
fn cmake_does_not_write_over_the_makefile() {
    needs!(CMake);
    let stand_in = stand_in();
    let checkout = tempfile::tempdir().unwrap();
    copy(checkout.path());
    let makefile = fs::read(checkout.path().join("Makefile")).unwrap();
    let answer = with(&stand_in, run("cmake").arg(".")).directory(checkout.path()).answer();
    assert_ne!(answer.code, 0, "{answer}");
    assert_eq!(fs::read(checkout.path().join("Makefile")).unwrap(), makefile);
}

#[test]
fn make_calls_the_same_code() {
    needs!(Make);
    let stand_in = stand_in();
    let make = |words: &[&str]| calls(&with(&stand_in, run("make").args(words)).answer().ok().stdout);
    insta::assert_snapshot!(make(&["-j4", "cloud-cluster-deploy", "ARGS=--yes"]), @r"
    cargo [xtask] [--yes] [cloud] [start] [cloud-cluster]
    ");
    let words = ["stop", "status", "destroy"].map(|word| format!("cloud-cluster-{word}"));
    insta::assert_snapshot!(make(&[&words[0], &words[1], &words[2], "CLUSTER=quick"]), @r"
    cargo [xtask] [cloud] [stop] [quick]
    cargo [xtask] [cloud] [status] [quick]
    cargo [xtask] [cloud] [destroy] [quick]
    ");
    insta::assert_snapshot!(make(&["cloud-cluster-check", "CLUSTER=my labs/a.yaml"]), @r"
    cargo [xtask] [check] [my labs/a.yaml]
    cargo [xtask] [kubespray] [fetch] [--cluster] [my labs/a.yaml]
    cargo [xtask] [inventory] [render] [my labs/a.yaml]
    cargo [xtask] [inventory] [check] [my labs/a.yaml] [--require-checkout]
    ");
    let help = with(&stand_in, run("make")).answer().ok();
    assert!(help.stdout.starts_with("make cloud-cluster-deploy "), "{help}");
}
