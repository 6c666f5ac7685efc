//! Reads the files of a Kubespray checkout for its index. What they say is decided in `lab-core`.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use lab_core::kubespray::index::{Built, Checkout, Index, build, known_tags, wants, write};
use lab_core::source::SourceFile;

use crate::cx::Cx;
use crate::failure::{Failure, exit};
use crate::files;
use crate::process::invocation;
use crate::wait::Deadline;

/// Files of Kubespray are small; one that is not is none of it.
const LARGEST: u64 = 4 << 20;

/// Makes the index of a checkout and returns its text, or writes it to a file. What could not be read is
/// said on standard error; an index that lacks a file is not written.
///
/// # Errors
/// As [`of_folder`], or if the file cannot be written.
pub async fn read(cx: &Cx, folder: &Path, to: Option<&Path>) -> anyhow::Result<String> {
    let Built { index, problems } = of_folder(cx, folder).await?;
    for problem in &problems {
        cx.progress.note(&format!("{}:{}: {}", problem.file, problem.line, problem.message));
    }
    let text = write(&index);
    let Some(to) = to else { return Ok(text) };
    if problems.iter().any(|problem| problem.missing) {
        let message = format!("the index is not written: it would lack files of `{}`", folder.display());
        anyhow::bail!(Failure::new(exit::USAGE, message).hint("mend or fetch the checkout again"));
    }
    files::write_if_changed(to, text.as_bytes(), files::PUBLIC)?;
    Ok(String::new())
}

/// Makes the index of the checkout in a folder.
///
/// # Errors
/// If the folder cannot be read or is no Kubespray.
pub async fn of_folder(cx: &Cx, folder: &Path) -> anyhow::Result<Built> {
    let at = folder
        .canonicalize()
        .with_context(|| Failure::new(exit::USAGE, format!("cannot read `{}`", folder.display())))?;
    let (version, commit) = git(cx, &at).await;
    cx.blocking(move || {
        let mut files = Vec::new();
        walk(&at, "", &mut files)?;
        let checkout = Checkout { version, commit, files };
        build(&checkout).map_err(|error| {
            let hint = "give the folder of a Kubespray checkout, or a known tag";
            let message = format!("`{}` is not Kubespray", at.display());
            anyhow::Error::from(error).context(Failure::new(exit::USAGE, message).hint(hint))
        })
    })
    .await
}

/// Reads every file that the index is made from. A link counts where it leads to a file of the checkout.
fn walk(root: &Path, relative: &str, files: &mut Vec<SourceFile>) -> anyhow::Result<()> {
    let folder = root.join(relative);
    let unreadable = |path: &Path| Failure::new(exit::USAGE, format!("cannot read `{}`", path.display()));
    for entry in std::fs::read_dir(&folder).with_context(|| unreadable(&folder))? {
        let entry = entry.with_context(|| unreadable(&folder))?;
        // A name that is no text is none of Kubespray's.
        let Ok(name) = entry.file_name().into_string() else { continue };
        let path = if relative.is_empty() { name } else { format!("{relative}/{name}") };
        let at = entry.path();
        let kind = entry.file_type().with_context(|| unreadable(&at))?;
        if kind.is_dir() {
            if matches!(path.split('/').next(), Some("roles" | "playbooks" | "extra_playbooks" | "inventory"))
            {
                walk(root, &path, files)?;
            }
            continue;
        }
        let inside = || at.canonicalize().is_ok_and(|to| to.starts_with(root) && to.is_file());
        if wants(&path) && (kind.is_file() || (kind.is_symlink() && inside())) {
            if at.metadata().with_context(|| unreadable(&at))?.len() > LARGEST {
                let message = format!("`{}` is too large for a file of Kubespray", at.display());
                anyhow::bail!(Failure::new(exit::USAGE, message));
            }
            let bytes = std::fs::read(&at).with_context(|| unreadable(&at))?;
            files.push(SourceFile { path, text: String::from_utf8_lossy(&bytes).into_owned() });
        }
    }
    Ok(())
}

/// What git calls the checkout, and its commit; nothing where the folder is not itself a checkout of git.
async fn git(cx: &Cx, folder: &Path) -> (Option<String>, Option<String>) {
    if !folder.join(".git").exists() {
        return (None, None);
    }
    let ask = async |arguments: &[&str]| {
        let git = invocation("git").arg("-C").arg(folder).args(arguments);
        let answer = git.read(&cx.cancel, Deadline::after(Duration::from_secs(20))).await.ok()?;
        Some(answer.trim().to_owned()).filter(|answer| !answer.is_empty())
    };
    let version = ask(&["describe", "--tags", "--always", "--dirty"]).await;
    let commit = ask(&["rev-parse", "HEAD"]).await;
    // A shallow checkout has the commit of a release and not its tag.
    let changed = version.as_ref().is_some_and(|version| version.ends_with("-dirty"));
    let known = |tag: &&str| !changed && Index::known(tag).is_some_and(|index| index.commit == commit);
    match commit.as_ref().and_then(|_| known_tags().find(known)) {
        Some(tag) => (Some(tag.to_owned()), commit),
        None => (version, commit),
    }
}
