//! The run of mmdebstrap that fetches Debian's packages, and unpacks them without installing any.

use lab_core::artifacts::Userland;

use crate::cx::Cx;
use crate::process::{ProcessError, invocation};
use crate::wait::Deadline;
use crate::{image, orphans};

use super::compile::Place;
use super::explain;
use super::userland::Packages;

/// The release of Debian that the lab's machines run.
const SUITE: &str = "trixie";
/// Where in the archive the names of the packages' files lie.
const NAMES: &str = "usr/packages-of-this-archive";

/// Fetches the packages of a userland, in a folder of their own, and reads them.
///
/// # Errors
/// When they cannot be had.
pub async fn fetch(
    cx: &Cx,
    userland: &Userland,
    place: &Place,
    architecture: &str,
    deadline: Deadline,
) -> anyhow::Result<Packages> {
    let Place { folder, log, lock } = place;
    let archive = folder.join("packages.tar");
    let unfinished = folder.to_owned();
    // What an interrupted run unpacked is of no use to this one.
    cx.blocking(move || {
        orphans::end(&unfinished)?;
        crate::files::remove(&unfinished)?;
        crate::files::make_folder(&unfinished)
    })
    .await?;
    let mirror = image::debian_mirror();
    let root = nix::unistd::geteuid().is_root();
    let mode = if root { "--mode=root" } else { "--mode=unshare" };
    let mut run = invocation("mmdebstrap")
        .args(["--variant=extract", "--format=tar", mode])
        .arg(format!("--architectures={architecture}"))
        .arg(format!("--include={}", userland.packages.join(",")))
        // The names of the files say the versions. They go into the archive: a hook of an ordinary user's mmdebstrap
        // cannot write anywhere else.
        .arg("--skip=download/empty")
        .arg(format!("--extract-hook=ls \"$1/var/cache/apt/archives\" > \"$1/{NAMES}\""))
        .arg(SUITE)
        .arg(&archive)
        .args(&mirror)
        .log(log)
        .isolated()
        .holding(lock);
    if root {
        // What an interrupted run leaves goes with the folder. An ordinary user's subordinate ids may not reach it.
        run = run.env("TMPDIR", folder);
    }
    match run.read(&cx.cancel, deadline).await {
        Ok(_) => {}
        Err(error @ ProcessError::Cancelled { .. }) => return Err(error.into()),
        Err(error) => {
            let text = std::fs::read_to_string(log).unwrap_or_default();
            let what = if text.contains("No space left on device") {
                "cannot unpack Debian's packages: the disk is full"
            } else if matches!(error, ProcessError::Start { .. }) {
                "cannot fetch Debian's packages: there is no mmdebstrap"
            } else {
                "cannot fetch Debian's packages"
            };
            let failure = explain::failure(what, log)
                .hint("run `cargo xtask setup`, or name another mirror in LAB_DEBIAN_MIRROR");
            return Err(anyhow::Error::new(error).context(failure));
        }
    }
    let packages = cx
        .blocking({
            let archive = archive.clone();
            move || Packages::read(&archive, NAMES)
        })
        .await?;
    crate::files::remove(&archive)?;
    Ok(packages)
}
