//! What writing an inventory would change on disk, as data and as text. Writes nothing.

use std::fmt::Write as _;
use std::path::Path;

use lab_core::kubespray::Files;
use lab_core::secrets::masked;
use serde::Serialize;
use similar::TextDiff;

use crate::files;

/// What would happen to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// It is not there and would be written.
    Added,
    /// It is there and would say something else.
    Changed,
    /// It is there from an earlier rendering and would be removed.
    Removed,
}

/// A file that would be different.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileDifference {
    /// Its folder, as messages show it.
    pub folder: String,
    /// Its path below the folder.
    pub path: String,
    /// What would happen to it.
    pub change: Change,
    /// The lines that differ, as `diff --unified` shows them, with the values of secrets masked.
    pub diff: String,
}

/// Compares a folder with the rendered files. `shown`: the folder as messages show it.
///
/// # Errors
/// When a file cannot be read.
pub fn between(folder: &Path, shown: &str, files: &Files) -> anyhow::Result<Vec<FileDifference>> {
    let mut differences = Vec::new();
    for (path, wanted) in files {
        let found = files::read_if_present(&folder.join(path))?;
        if found.as_ref() != Some(wanted) {
            let change = if found.is_some() { Change::Changed } else { Change::Added };
            differences.push(difference(shown, path, change, found.as_deref(), Some(wanted)));
        }
    }
    for path in super::stale(folder, files)? {
        let found = files::read_if_present(&folder.join(&path))?;
        differences.push(difference(shown, &path, Change::Removed, found.as_deref(), None));
    }
    differences.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(differences)
}

fn difference(
    shown: &str,
    path: &str,
    change: Change,
    found: Option<&str>,
    wanted: Option<&str>,
) -> FileDifference {
    let name = |text: Option<&str>| match text {
        Some(_) => format!("{shown}/{path}"),
        None => "/dev/null".to_owned(),
    };
    let diff = TextDiff::from_lines(found.unwrap_or_default(), wanted.unwrap_or_default());
    let diff = diff.unified_diff().context_radius(3).header(&name(found), &name(wanted)).to_string();
    // It may be printed where others read it: the log of a job.
    let diff = masked(&diff);
    FileDifference { folder: shown.to_owned(), path: path.to_owned(), change, diff }
}

/// All of them as one text. With `color`, for a terminal.
pub fn text(differences: &[FileDifference], color: bool) -> String {
    let mut text = String::new();
    for line in differences.iter().flat_map(|difference| difference.diff.lines()) {
        let paint = match line.as_bytes().first() {
            Some(b'+') if color => "\u{1b}[32m",
            Some(b'-') if color => "\u{1b}[31m",
            Some(b'@') if color => "\u{1b}[36m",
            _ => "",
        };
        let reset = if paint.is_empty() { "" } else { "\u{1b}[0m" };
        let _ = writeln!(text, "{paint}{line}{reset}");
    }
    text
}
