//! The registry: CNCF distribution, as Debian packages it. Its program, its settings and its start.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use serde_json::json;

use crate::cx::Cx;
use crate::lab::authority::Certificate;
use crate::process::invocation;

use super::REGISTRY_PORT;
use super::tree::REGISTRY;

/// What the program is called: by Debian.
const PROGRAM: &str = "docker-registry";

/// The registry program: one on PATH, else the one that `cargo xtask setup` unpacked.
pub fn program(cx: &Cx) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join(PROGRAM));
    let environments = std::fs::read_dir(cx.layout.environments()).into_iter().flatten().flatten();
    let unpacked = environments
        .map(|entry| entry.path())
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("registry-")))
        .map(|path| path.join("usr/bin").join(PROGRAM));
    on_path.chain(unpacked).find(|program| program.is_file())
}

/// The registry's settings: it serves its contents to all of the lab's network, and takes no pushes. They are
/// JSON, which is YAML, so that no path can be read as anything else.
pub fn settings(gateway: Ipv4Addr, root: &Path, certificate: &Certificate) -> String {
    let settings = json!({
        "version": 0.1,
        "log": {"level": "info", "fields": {"service": "registry"}},
        "storage": {
            "filesystem": {"rootdirectory": root.join(REGISTRY)},
            "delete": {"enabled": false},
            "redirect": {"disable": true},
            "maintenance": {"readonly": {"enabled": true}, "uploadpurging": {"enabled": false}},
        },
        "http": {
            "addr": format!("{gateway}:{REGISTRY_PORT}"),
            // It guards uploads, and there are none; without it the registry warns at each start.
            "secret": "nothing is uploaded",
            "tls": {"certificate": certificate.certificate, "key": certificate.key, "minimumtls": "tls1.2"},
        },
    });
    format!("{settings:#}\n")
}

/// `lab internal registry`: becomes the registry, which ends with its parent.
///
/// # Errors
/// When the program cannot be started.
pub fn exec(program: &Path, settings: &Path) -> anyhow::Result<std::convert::Infallible> {
    let parent = nix::unistd::getppid();
    set_pdeathsig(Signal::SIGKILL).context("cannot tie the registry to its keeper")?;
    anyhow::ensure!(nix::unistd::getppid() == parent, "the keeper is gone");
    // Without the user's environment: each variable REGISTRY_… would change a setting.
    Err(invocation("env").arg("-i").arg(program).arg("serve").arg(settings).exec().into())
}
