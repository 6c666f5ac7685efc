//! The registry that labs give images out with: CNCF distribution, as Debian packages it.
//!
//! Installed the usual way, Debian would start a service of it on this computer. So its package is only downloaded, by
//! apt with apt's own signatures, and unpacked into the cache. It is made beside its place and renamed there.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;

use super::packages::{Distribution, Family};
use crate::cx::Cx;
use crate::folders::Folders;
use crate::host::Host;

/// The package, and the program in it.
pub const PACKAGE: &str = "docker-registry";

/// Where the package is unpacked.
pub fn folder(folders: &Folders) -> PathBuf {
    folders.environments().join("registry-debian")
}

/// The program: on the path, or unpacked.
pub fn program(host: &Host, folders: &Folders) -> Option<PathBuf> {
    let unpacked = folder(folders).join("usr/bin").join(PACKAGE);
    host.program(PACKAGE).or_else(|| unpacked.is_file().then_some(unpacked))
}

/// Whether it is missing and can be unpacked here.
pub fn can_be_had(host: &Host, folders: &Folders) -> bool {
    Distribution::of(host).family == Some(Family::Debian) && program(host, folders).is_none()
}

/// Downloads and unpacks the package.
///
/// # Errors
/// When apt has no such package or cannot reach it.
pub fn make(cx: &Cx) -> anyhow::Result<()> {
    let _held = super::environment::lock(&cx.folders)?;
    let place = folder(&cx.folders);
    if place.join("usr/bin").join(PACKAGE).is_file() {
        return Ok(());
    }
    let draft = place.with_extension("draft");
    if draft.exists() {
        fs::remove_dir_all(&draft).with_context(|| format!("cannot remove {}", draft.display()))?;
    }
    let unpacked = draft.join("unpacked");
    fs::create_dir_all(&unpacked).with_context(|| format!("cannot make {}", draft.display()))?;
    let run = |command: xshell::Cmd<'_>| command.env("LC_ALL", "C.UTF-8").quiet().ignore_stdout().run();
    let _inside = cx.sh.push_dir(&draft);
    // apt's own user may not enter the cache, and apt would warn of it.
    run(cx.sh.cmd("apt-get").args(["download", "-q", "-o", "APT::Sandbox::User=root", PACKAGE]))
        .with_context(|| format!("apt cannot download the package {PACKAGE}"))?;
    let package = fs::read_dir(&draft)?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .context("apt downloaded nothing")?;
    run(cx.sh.cmd("dpkg-deb").arg("--extract").arg(&package).arg(&unpacked))
        .with_context(|| format!("the package {PACKAGE} cannot be unpacked"))?;
    if place.exists() {
        fs::remove_dir_all(&place).with_context(|| format!("cannot remove {}", place.display()))?;
    }
    fs::rename(&unpacked, &place).with_context(|| format!("cannot make {}", place.display()))?;
    fs::remove_dir_all(&draft).with_context(|| format!("cannot remove {}", draft.display()))
}
