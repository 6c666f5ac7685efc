//! Cloud images of the user's: taken from a path or a URL, used only once their digest agrees.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use lab_core::secrets::redacted;
use lab_core::units::Bytes;
use sha2::Sha512;

use crate::cx::Cx;
use crate::failure::{Failure, FailureKind};
use crate::process::invocation;
use crate::progress::Task;
use crate::timeouts::IMAGE_CONNECT_TIMEOUT;
use crate::wait::Deadline;
use crate::{files, input};

use super::store::{Claim, digest};
use super::{DISK, Manifest};

/// The name of the image with this digest.
pub(super) fn key(sha512: &str) -> anyhow::Result<String> {
    // As much of the digest as keeps two images apart; the whole is checked.
    let short = sha512.get(..16).filter(|_| sha512.len() == 128);
    Ok(format!("cloud-{}", short.with_context(|| format!("`{sha512}` is no sha512"))?))
}

/// Puts the image into the claimed folder.
pub(super) async fn fetch(
    cx: &Cx,
    claim: &Claim,
    deadline: Deadline,
    task: &Task,
    folder: &Path,
    source: &str,
    sha512: &str,
) -> anyhow::Result<Manifest> {
    let fetched = claim.folder().join("fetched");
    // Messages and the manifest have the address without its password.
    let shown = &*redacted(source);
    let download = source.starts_with("http://") || source.starts_with("https://");
    if download {
        // Kept under its digest in the cache, so that an interrupted download goes on where it was.
        let part = claim.cache("cloud")?.join(format!("{sha512}.part"));
        if !part.exists() || check(cx, &part, shown, sha512).await.is_err() {
            task.step(&format!("downloading {shown}"));
            curl(cx, deadline, source, &part).await?;
            if let Err(error) = check(cx, &part, shown, sha512).await {
                // To go on from wrong bytes would never end well.
                files::remove(&part)?;
                return Err(error);
            }
        }
        std::fs::rename(&part, &fetched).with_context(|| format!("cannot keep `{shown}`"))?;
    } else {
        let path = folder.join(source);
        task.step(&format!("copying {}", path.display()));
        // A copy, since the user's file may change under the overlays later.
        let target = fetched.clone();
        cx.blocking(move || {
            // Opening anything else, as a copy does first, may never end.
            input::open(&path)?;
            std::fs::copy(&path, &target).with_context(|| format!("cannot copy `{}`", path.display()))
        })
        .await?;
        check(cx, &fetched, shown, sha512).await?;
    }
    let information = invocation("qemu-img")
        .args(["info", "--output=json", "--"])
        .arg(&fetched)
        .read(&cx.cancel, deadline)
        .await
        .with_context(|| {
            Failure::new(FailureKind::Host, format!("cannot look into the image `{shown}`"))
                .hint("run `cargo xtask setup`")
        })?;
    let (format, virtual_size) = understood(&information, shown)?;
    let disk = claim.folder().join(DISK);
    if format == "qcow2" {
        std::fs::rename(&fetched, &disk).with_context(|| format!("cannot name `{}`", disk.display()))?;
    } else {
        task.step("converting it to qcow2");
        invocation("qemu-img")
            .args(["convert", "-f", &format, "-O", "qcow2", "--"])
            .args([&fetched, &disk])
            .read(&cx.cancel, deadline)
            .await
            .with_context(|| format!("cannot convert the image `{shown}`"))?;
        files::remove(&fetched)?;
    }
    Ok(Manifest {
        key: claim.key().to_owned(),
        source: shown.to_owned(),
        virtual_size,
        command_line: None,
        files: BTreeMap::new(),
        packages: BTreeMap::new(),
        seconds: 0,
    })
}

async fn check(cx: &Cx, path: &Path, source: &str, sha512: &str) -> anyhow::Result<()> {
    let path = path.to_owned();
    let found = cx.blocking(move || digest::<Sha512>(&path)).await?;
    if found == sha512 {
        return Ok(());
    }
    let words = format!("the image `{source}` is not the one that the cluster file names");
    Err(anyhow::anyhow!("its sha512 is {found}, not {sha512}").context(
        Failure::new(FailureKind::Usage, words).hint("compare both with the digest that its publisher gives"),
    ))
}

/// The address may hold a password, so curl reads it from a file: other users of the computer see its command line.
async fn curl(cx: &Cx, deadline: Deadline, source: &str, part: &Path) -> anyhow::Result<()> {
    let settings = part.with_extension("curl");
    files::write_atomic(&settings, curl_settings(source).as_bytes(), files::SECRET)?;
    let ended = invocation("curl")
        .args(["--fail", "--location", "--silent", "--show-error", "--continue-at", "-"])
        // The digest selects the bytes; this keeps a redirect from reading local files.
        .args(["--proto", "=http,https", "--retry", "3", "--connect-timeout"])
        .arg(IMAGE_CONNECT_TIMEOUT.as_secs().to_string())
        .arg("--output")
        .arg(part)
        .arg("--config")
        .arg(&settings)
        .read(&cx.cancel, deadline)
        .await;
    files::remove(&settings)?;
    ended.with_context(|| {
        Failure::new(FailureKind::Host, format!("cannot download `{}`", redacted(source)))
            .hint("run the command again: it goes on where it was")
    })?;
    Ok(())
}

/// A setting of curl's for an address, quoted as curl(1) says under `--config`.
pub(super) fn curl_settings(source: &str) -> String {
    let quoted: String = source
        .chars()
        .filter(|c| !c.is_control())
        .flat_map(|c| if matches!(c, '"' | '\\') { vec!['\\', c] } else { vec![c] })
        .collect();
    format!("url = \"{quoted}\"\n")
}

/// What QEMU says of a disk file.
#[derive(serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
struct DiskInformation {
    format: String,
    virtual_size: u64,
    backing_filename: Option<String>,
}

/// Reads the words of `qemu-img info`: format and virtual size.
pub(super) fn understood(text: &str, source: &str) -> anyhow::Result<(String, Bytes)> {
    let found: DiskInformation =
        serde_json::from_str(text).context("qemu-img gave something else than its information")?;
    if let Some(other) = found.backing_filename {
        // QEMU would open any file that the name leads to.
        let words =
            format!("the image `{source}` is an overlay on `{other}`, which its sha512 says nothing about");
        return Err(Failure::new(FailureKind::Usage, words)
            .hint("qemu-img convert -O qcow2 OVERLAY WHOLE.qcow2")
            .into());
    }
    Ok((found.format, Bytes(found.virtual_size)))
}
