//! Calls of `cargo`, with an environment in which nothing is built twice.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use std::{env, io};

use anyhow::Context as _;
use xshell::Cmd;

use crate::cx::Cx;
use crate::failure::Failure;

/// `cargo`, the one that runs us where there is one.
///
/// `cargo run` leaks variables about the package `xtask` to its children. Build scripts that watch
/// them would then run again on each change of caller, and everything above them would be rebuilt.
pub fn cargo(cx: &Cx) -> Cmd<'_> {
    sanitised(cx, &env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")))
}

/// A program that calls cargo, in the same environment.
pub fn sanitised<'a>(cx: &'a Cx, program: &OsStr) -> Cmd<'a> {
    let leaked = env::vars_os().map(|(name, _)| name).filter(|name| is_leaked(&name.to_string_lossy()));
    leaked.fold(cx.sh.cmd(program), Cmd::env_remove).quiet()
}

/// Whether `cargo run` set this variable for us; what the user set to steer cargo is kept.
fn is_leaked(name: &str) -> bool {
    const PREFIXES: [&str; 5] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_CFG_"];
    matches!(name, "CARGO" | "CARGO_PRIMARY_PACKAGE" | "OUT_DIR" | "LD_LIBRARY_PATH" | "RUST_RECURSION_COUNT")
        || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// The packages of the `lab` program and of what it looks for beside itself: the GPU stand-in, which goes into machines.
const PROGRAMS: [&str; 3] = ["lab", "gpu-stand-in-driver", "gpu-stand-in-cuda"];

/// Builds the `lab` program, with the programs that it takes along, and gives its path.
///
/// Says nothing when there is nothing to build. Otherwise cargo shows its progress: the first build
/// takes a minute, and a silent minute looks like a hang.
///
/// # Errors
/// When `lab` does not compile; cargo has printed the reason.
pub fn build_lab(cx: &Cx) -> anyhow::Result<PathBuf> {
    let binary = profile_directory()?.join("lab");
    let quiet = is_fresh(&binary, &cx.folders.root).then_some("--quiet");
    let packages = PROGRAMS.iter().flat_map(|package| ["--package", *package]);
    cargo(cx).arg("build").args(packages).args(quiet).run().map_err(|_| Failure {
        code: crate::failure::UNEXPECTED,
        message: "the lab program does not build".into(),
        hint: None,
    })?;
    Ok(binary)
}

/// The directory that cargo puts our own profile's binaries in: we lie there ourselves.
fn profile_directory() -> anyhow::Result<PathBuf> {
    let own = env::current_exe().context("cannot find this program's own file")?;
    let directory = own.parent().context("this program's own file has no directory")?;
    // Unit tests lie one deeper.
    Ok(if directory.ends_with("deps") { directory.parent().unwrap_or(directory) } else { directory }
        .to_owned())
}

/// Whether no source is newer than the binary. Only decides how much cargo says; cargo itself
/// decides what to build.
fn is_fresh(binary: &Path, root: &Path) -> bool {
    let Ok(built) = fs::metadata(binary).and_then(|metadata| metadata.modified()) else { return false };
    ["Cargo.toml", "Cargo.lock", "gpu-stand-in", "lab"]
        .iter()
        .all(|name| newest(&root.join(name)).is_ok_and(|changed| changed <= built))
}

/// The latest change below a path.
fn newest(path: &Path) -> io::Result<SystemTime> {
    let metadata = fs::symlink_metadata(path)?;
    let mut latest = metadata.modified()?;
    if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            latest = latest.max(newest(&entry?.path())?);
        }
    }
    Ok(latest)
}
