//! `xtask` and `lab-core` are built where nothing but Rust and a linker is. Every change is linted for less: that no
//! package of theirs compiles or finds native libraries in the usual ways.

use lab_tests::checkout::real_root;
use lab_tests::run;

#[test]
fn xtask_and_lab_core_build_without_native_libraries() {
    let target = tempfile::tempdir().unwrap();
    let mut build = run(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "--package", "xtask", "--package", "lab-core", "--target-dir"])
        .arg(target.path())
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .directory(&real_root());
    // Rust and the packages are those of the user who runs the tests.
    for name in ["HOME", "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"] {
        if let Some(value) = std::env::var_os(name) {
            build = build.env(name, value);
        }
    }
    // Only the linker is left: every build of a native library, and every search for one, fails.
    for program in ["PKG_CONFIG", "CC", "CXX"] {
        build = build.env(program, "/bin/false");
    }
    build.answer().ok();
}
