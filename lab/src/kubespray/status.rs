//! `kubespray status`: lists the fetched commits and their environments. Changes nothing.

use std::path::{Path, PathBuf};

use lab_core::kubespray::{RELEASES, release};
use serde::Serialize;

use crate::cx::Cx;
use crate::lab::state::StateFile;
use crate::{cache, files};

use super::checkout::{self, Checkout};
use super::environment::{self, Contents};
use super::source::Pin;

/// One checkout, as `--json` prints it.
#[derive(Debug, Serialize)]
pub struct Found {
    /// The release's tag, or the commit where it has none.
    pub version: String,
    /// All forty digits.
    pub commit: String,
    /// Its folder.
    pub checkout: PathBuf,
    /// Its problem; none for one that is exactly its commit.
    pub problem: Option<String>,
    /// Whether `kubespray-src` leads to it.
    pub current: bool,
    /// The versions of ansible-core that it accepts: from the first, below the second.
    pub ansible_range: Option<(String, String)>,
    /// Where its environment lies, made or not.
    pub environment: Option<PathBuf>,
    /// The contents of its environment; none if it is not made.
    pub contents: Option<Contents>,
    /// The labs that are made and use it.
    pub labs: Vec<String>,
}

/// All that is fetched, releases first, in their order.
///
/// # Errors
/// When git cannot be run.
pub async fn look(cx: &Cx) -> anyhow::Result<Vec<Found>> {
    let link = std::fs::read_link(cx.layout.kubespray().link()).ok();
    let current = link.as_deref().and_then(Path::file_name);
    let mut found = Vec::new();
    for commit in commits(cx) {
        let Ok(pin) = Pin::new(&commit) else { continue };
        let path = cx.layout.kubespray().checkout(&commit);
        let problem = checkout::find(cx, &pin).await.err().map(|error| error.to_string());
        let checkout = Checkout { commit: commit.clone(), path };
        let environment = environment::place(cx, &checkout).ok();
        found.push(Found {
            version: pin.version,
            problem,
            current: current.is_some_and(|name| *name == *commit),
            ansible_range: checkout.ansible_range().ok().map(|range| (range.from, range.below)),
            contents: environment.as_deref().and_then(environment::read),
            environment,
            labs: labs(cx, &commit)?,
            commit,
            checkout: checkout.path,
        });
    }
    let rank = |found: &Found| RELEASES.iter().position(|release| release.commit == found.commit);
    found.sort_by_key(|found| (rank(found).unwrap_or(usize::MAX), found.commit.clone()));
    Ok(found)
}

/// The commits that have a folder.
pub fn commits(cx: &Cx) -> Vec<String> {
    let entries = std::fs::read_dir(cx.layout.kubespray().checkouts()).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut commits: Vec<_> =
        names.filter(|name| Pin::new(name).is_ok_and(|pin| pin.commit == *name)).collect();
    commits.sort();
    commits
}

/// The labs that are made and whose Ansible settings lead to a commit's checkout.
///
/// # Errors
/// When it is not known which checkouts share the cache.
pub fn labs(cx: &Cx, commit: &str) -> anyhow::Result<Vec<String>> {
    let mut labs = Vec::new();
    for layout in cache::checkouts(&cx.layout)? {
        for name in files::names(&layout.output())? {
            let files = layout.lab(&name);
            let uses =
                std::fs::read_to_string(files.ansible_settings()).is_ok_and(|text| text.contains(commit));
            // A state that cannot be read is still a lab's.
            if uses && !matches!(StateFile::load(&files), Ok(None)) {
                labs.push(cx.layout.name_of(&layout, &name));
            }
        }
    }
    labs.sort();
    Ok(labs)
}

/// The table for people.
pub fn table(found: &[Found]) -> String {
    if found.is_empty() {
        return "no Kubespray is fetched; `cargo xtask kubespray fetch` fetches the default release\n"
            .to_owned();
    }
    let mut text = format!("{:<9}{:<15}{:<12}{:<38}LABS\n", "VERSION", "COMMIT", "STATE", "ENVIRONMENT");
    for one in found {
        let environment = match &one.contents {
            Some(contents) => format!("ansible-core {}, Python {}", contents.ansible_core, contents.python),
            None => "not made".to_owned(),
        };
        let version = if release(&one.version).is_some() { &one.version } else { "-" };
        let state = if one.problem.is_some() { "CHANGED" } else { "as fetched" };
        let commit = format!("{}{}", &one.commit[..12], if one.current { "*" } else { "" });
        let labs = one.labs.join(", ");
        let line = format!("{version:<9}{commit:<15}{state:<12}{environment:<38}{labs}");
        text.push_str(line.trim_end());
        text.push('\n');
        if let Some(problem) = &one.problem {
            text.push_str(&format!("  {problem}\n"));
        }
    }
    text.push_str("* kubespray-src leads to this one\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(version: &str, commit: &str) -> Found {
        Found {
            version: version.to_owned(),
            commit: commit.to_owned(),
            checkout: PathBuf::from("/checkout").join(commit),
            problem: None,
            current: false,
            ansible_range: None,
            environment: None,
            contents: None,
            labs: vec![],
        }
    }

    #[test]
    fn status_is_printed_as_table() {
        let contents = Contents { python: "3.11.2".into(), ansible_core: "2.17.14".into(), packages: vec![] };
        let commit = release("v2.30.0").unwrap().commit;
        let table = table(&[
            Found {
                current: true,
                contents: Some(contents),
                labs: vec!["dev".into(), "quick".into()],
                ..found("v2.30.0", commit)
            },
            Found {
                problem: Some("the checkout was changed: `roles/x.yml`".into()),
                ..found(&"7".repeat(40), &"7".repeat(40))
            },
        ]);
        insta::assert_snapshot!(table);
        insta::assert_snapshot!(super::table(&[]));
    }
}
