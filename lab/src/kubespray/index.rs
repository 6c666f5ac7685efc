//! Reads the files of a Kubespray checkout for its index. What they say is decided in `lab-core`.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use lab_core::kubespray::index::{Built, Checkout, Index, build, summary, wants, write};
use lab_core::kubespray::{DEFAULT_RELEASE, OLDEST_READABLE, RELEASES, TAGS, is_too_old, other_release};
use lab_core::source::{SourceFile, suggest};

use crate::cx::Cx;
use crate::failure::{Failure, FailureKind};
use crate::process::invocation;
use crate::timeouts::CHECKOUT_NAME_TIMEOUT;
use crate::wait::Deadline;
use crate::{files, input, output};

use super::source::UPSTREAM;

/// What `kubespray index` is asked for.
#[derive(Debug, Clone)]
pub struct Question {
    /// A known tag or the folder of a checkout; the default release where it is left out.
    pub what: Option<PathBuf>,
    /// The variable to show.
    pub variable: Option<String>,
    /// The file to write the index to.
    pub write: Option<PathBuf>,
    /// Whether to print JSON.
    pub json: bool,
}

/// Answers `kubespray index`.
///
/// # Errors
/// As [`of`], if the variable is not known, or if the index lacks a file and should be written.
pub async fn answer(cx: &Cx, question: &Question) -> anyhow::Result<()> {
    let default = PathBuf::from(DEFAULT_RELEASE);
    let what = question.what.as_deref().unwrap_or(&default);
    let Built { index, problems } = of(cx, what).await?;
    if let Some(to) = &question.write {
        if problems.iter().any(|problem| problem.missing) {
            let message = format!("the index is not written: it would lack files of `{}`", what.display());
            anyhow::bail!(
                Failure::new(FailureKind::Usage, message).hint("mend the checkout, or fetch it again")
            );
        }
        files::write_if_changed(to, write(&index).as_bytes(), files::PUBLIC)?;
        return Ok(());
    }
    match &question.variable {
        Some(name) => {
            let summary =
                summary::summarise_variable(&index, name).with_context(|| unknown_variable(&index, name))?;
            if question.json {
                output::json(&summary)
            } else {
                output::print(summary::variable_text(&summary))
            }
        }
        None if question.json => output::print(write(&index)),
        None => output::print(summary::summary_text(&index)),
    }
}

fn unknown_variable(index: &Index, name: &str) -> Failure {
    let failure =
        Failure::new(FailureKind::Usage, format!("Kubespray {} has no variable `{name}`", index.version));
    match summary::unknown_variable_hint(index, name) {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// The index of a known tag, or of the checkout in a folder. Unreadable parts of a checkout are reported on standard
/// error.
///
/// # Errors
/// If it is neither, or as [`of_folder`].
pub async fn of(cx: &Cx, what: &Path) -> anyhow::Result<Built> {
    if let Some(index) = what.to_str().and_then(Index::known) {
        return Ok(Built { index, problems: Vec::new() });
    }
    let written = what.display().to_string();
    if !what.exists() {
        if let Some(tag) = other_release(&written) {
            return Err(not_built_in(&tag).into());
        }
        let variable =
            Index::known(DEFAULT_RELEASE).is_some_and(|index| index.variables.contains_key(&written));
        let hint = if variable {
            format!(
                "put `--variable` before the name of a variable: `cargo xtask kubespray index --variable {written}`"
            )
        } else {
            suggest::one_of("releases", &written, &TAGS)
        };
        let message = format!("`{written}` is neither a known Kubespray nor a folder");
        return Err(Failure::new(FailureKind::Usage, message).hint(hint).into());
    }
    let built = of_folder(cx, what).await?;
    for problem in &built.problems {
        let missing = if problem.missing { "; what it says is missing here" } else { "" };
        cx.progress.note(&format!("{}:{}: {}{missing}", problem.file, problem.line, problem.message));
    }
    Ok(built)
}

/// The refusal of a release that has no index here.
fn not_built_in(tag: &str) -> Failure {
    let built_in = TAGS.join(", ");
    if is_too_old(tag) {
        let message = format!("Kubespray {tag} is older than {OLDEST_READABLE}, the oldest that can be read");
        return Failure::new(FailureKind::Usage, message).hint(format!("{built_in} are built in"));
    }
    Failure::new(FailureKind::Usage, format!("Kubespray {tag} is not built in")).hint(format!(
        "{built_in} are; of another one give the folder of its checkout: git clone --depth 1 --branch {tag} {UPSTREAM}"
    ))
}

/// Makes the index of the checkout in a folder.
///
/// # Errors
/// If the folder cannot be read or is no Kubespray.
pub async fn of_folder(cx: &Cx, folder: &Path) -> anyhow::Result<Built> {
    let at = folder
        .canonicalize()
        .with_context(|| Failure::new(FailureKind::Usage, format!("cannot read `{}`", folder.display())))?;
    let (version, commit) = git(cx, &at).await;
    cx.blocking(move || {
        let mut files = Vec::new();
        walk(&at, "", &mut files)?;
        let checkout = Checkout { version, commit, files };
        build(&checkout).map_err(|error| {
            let hint = "give the folder of a Kubespray checkout, or a known tag";
            let message = format!("`{}` is not a Kubespray of {OLDEST_READABLE} or newer", at.display());
            anyhow::Error::from(error).context(Failure::new(FailureKind::Usage, message).hint(hint))
        })
    })
    .await
}

/// Reads every file that the index is made from. A link counts where it leads to a file of the checkout.
fn walk(root: &Path, relative: &str, files: &mut Vec<SourceFile>) -> anyhow::Result<()> {
    let folder = root.join(relative);
    let unreadable =
        |path: &Path| Failure::new(FailureKind::Usage, format!("cannot read `{}`", path.display()));
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
            let bytes = input::read(&at, input::KUBESPRAY_FILE)?;
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
        let answer = git.read(&cx.cancel, Deadline::after(CHECKOUT_NAME_TIMEOUT)).await.ok()?;
        Some(answer.trim().to_owned()).filter(|answer| !answer.is_empty())
    };
    let version = ask(&["describe", "--tags", "--always", "--dirty"]).await;
    let commit = ask(&["rev-parse", "HEAD"]).await;
    // A shallow checkout has the commit of a release and not its tag.
    let changed = version.as_ref().is_some_and(|version| version.ends_with("-dirty"));
    let release = RELEASES.iter().find(|release| !changed && commit.as_deref() == Some(release.commit));
    (release.map(|release| release.tag.to_owned()).or(version), commit)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_files_of_the_checkout_that_matter_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("kubespray");
        let vars = root.join("roles/web/vars");
        fs::create_dir_all(&vars).unwrap();
        fs::create_dir_all(root.join("docs")).unwrap();
        fs::write(folder.path().join("secret.yml"), "secret: 1").unwrap();
        fs::write(root.join("docs/a.yml"), "a: 1").unwrap();
        fs::write(vars.join("debian.yml"), b"name: \xff").unwrap();
        fs::write(vars.join("notes.txt"), "").unwrap();
        symlink("debian.yml", vars.join("ubuntu.yml")).unwrap();
        symlink(folder.path().join("secret.yml"), vars.join("outside.yml")).unwrap();
        symlink("nowhere.yml", vars.join("dangling.yml")).unwrap();
        // A folder that leads back to where it came from.
        symlink(&root, root.join("roles/round")).unwrap();
        let mut files = Vec::new();
        walk(&root.canonicalize().unwrap(), "", &mut files).unwrap();
        let mut read: Vec<(&str, &str)> = files.iter().map(|file| (&*file.path, &*file.text)).collect();
        read.sort_unstable();
        assert_eq!(
            read,
            [
                ("roles/web/vars/debian.yml", "name: \u{fffd}"),
                ("roles/web/vars/ubuntu.yml", "name: \u{fffd}")
            ]
        );
    }

    #[test]
    fn release_without_an_index_is_refused_with_a_way_out() {
        let refusals = ["v2.28.0", "v2.27.1"].map(|tag| crate::failure::render(&not_built_in(tag).into()));
        insta::assert_snapshot!(refusals.join("\n\n"));
    }

    #[test]
    fn oversized_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = fs::File::create(folder.path().join("site.yml")).unwrap();
        file.set_len(input::KUBESPRAY_FILE.bytes + 1).unwrap();
        let error = walk(folder.path(), "", &mut Vec::new()).unwrap_err();
        assert_eq!(crate::failure_kind::of(&error), FailureKind::Usage);
    }
}
