//! `kubespray clean`: removes the checkouts and environments that no lab uses, whichever of our checkouts it is of.
//!
//! Everything it removes can be fetched again. What a running command uses is left and named.

use std::path::Path;

use anyhow::Context as _;

use crate::cx::Cx;
use crate::files;

use super::checkout::Checkout;
use super::{environment, status};

/// What became of it.
#[derive(Debug, Default)]
pub struct Cleaned {
    /// The removed paths, relative to the project's folder.
    pub removed: Vec<String>,
    /// The paths that stay, each with its reason.
    pub kept: Vec<String>,
}

/// Removes unused checkouts and environments. Nothing there is success.
///
/// # Errors
/// When something cannot be removed.
pub async fn clean(cx: &Cx) -> anyhow::Result<Cleaned> {
    let cx = cx.clone();
    cx.clone().blocking(move || sweep(&cx)).await
}

fn sweep(cx: &Cx) -> anyhow::Result<Cleaned> {
    let mut cleaned = Cleaned::default();
    let places = cx.layout.kubespray();
    let mut needed = Vec::new();
    for commit in status::commits(cx) {
        let path = places.checkout(&commit);
        let labs = status::labs(cx, &commit)?;
        let kept = match labs.as_slice() {
            [] => remove_checkout(cx, &commit)?,
            labs => Some(format!("the lab {} uses it", labs.join(", "))),
        };
        match kept {
            Some(why) => {
                cleaned.kept.push(format!("{}: {why}", cx.layout.shown(&path)));
                needed.extend(environment::place(cx, &Checkout { commit, path }).ok());
            }
            None => cleaned.removed.push(cx.layout.shown(&path)),
        }
    }
    remove_unfinished(cx)?;
    for name in files::names(&cx.layout.environments())? {
        let path = cx.layout.environments().join(&name);
        let canonical = path.canonicalize().unwrap_or_else(|_| path.clone());
        if !name.starts_with("kubespray-") || needed.contains(&canonical) {
            continue;
        }
        match remove_environment(&path)? {
            true => cleaned.removed.push(cx.layout.shown(&path)),
            false => cleaned.kept.push(format!("{}: a command is using it", cx.layout.shown(&path))),
        }
    }
    let link = places.link();
    if link.is_symlink() && !link.exists() {
        files::remove(link)?;
    }
    for folder in [places.checkouts().as_path(), &places.folder].into_iter().chain(link.parent()) {
        // Only an empty one goes; anything else in it is not ours to judge.
        let _ = std::fs::remove_dir(folder);
    }
    Ok(cleaned)
}

/// Removes a checkout; or says why not.
///
/// # Errors
/// When it cannot be removed.
pub fn remove_checkout(cx: &Cx, commit: &str) -> anyhow::Result<Option<String>> {
    let places = cx.layout.kubespray();
    let lock = places.lock(commit);
    let Some(_lock) = files::try_lock(&lock)? else {
        return Ok(Some("a command is using it".to_owned()));
    };
    let (path, going) = (places.checkout(commit), places.unfinished(commit));
    files::remove(&going)?;
    // Renamed first: an interruption must not leave half of it under its name.
    std::fs::rename(&path, &going).with_context(|| format!("cannot rename `{}`", path.display()))?;
    files::remove(&going)?;
    files::remove(&lock)?;
    Ok(None)
}

/// Removes an environment; returns whether no command held it.
///
/// # Errors
/// When it cannot be removed.
pub fn remove_environment(path: &Path) -> anyhow::Result<bool> {
    let lock = environment::lock(path);
    let Some(_lock) = files::try_lock(&lock)? else { return Ok(false) };
    environment::remove(path)?;
    files::remove(&lock)?;
    Ok(true)
}

/// Removes the rest of interrupted fetches, and locks without a holder.
fn remove_unfinished(cx: &Cx) -> anyhow::Result<()> {
    let places = cx.layout.kubespray();
    for name in files::names(&places.checkouts())? {
        let lock = name.strip_prefix('.').and_then(|name| name.strip_suffix(".lock"));
        let Some(commit) = name.strip_prefix(".new-").or(lock) else { continue };
        if places.checkout(commit).exists() {
            continue;
        }
        if let Some(_lock) = files::try_lock(&places.lock(commit))? {
            files::remove(&places.unfinished(commit))?;
            files::remove(&places.lock(commit))?;
        }
    }
    Ok(())
}
