//! A Helm chart out of a module's folder, as `helm package --version V --app-version V` packs it.
//!
//! It writes no archive. The values and templates stay as they are.

use std::path::Path;

use anyhow::Context as _;

use super::archive::{self, Node, Tree};

/// What a chart says of itself.
const ABOUT: &str = "Chart.yaml";

/// The files of a chart in a version without `v`, below a folder of the chart's name.
///
/// # Errors
/// When the folder is no chart.
pub fn tree(folder: &Path, name: &str, version: &str) -> anyhow::Result<Tree> {
    let mut tree = archive::folder(folder, &format!("{name}/"))?;
    let path = folder.join(ABOUT);
    let about =
        std::fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let bytes = versioned(&about, &format!("v{version}"))?.into_bytes();
    tree.insert(format!("{name}/{ABOUT}"), Node::Bytes { bytes, mode: 0o644 });
    Ok(tree)
}

/// The text with another version of the chart and of its application.
fn versioned(about: &str, version: &str) -> anyhow::Result<String> {
    let mut text = String::new();
    let mut found = 0;
    for line in about.lines() {
        // The versions of the charts that it contains are indented.
        match ["version", "appVersion"].into_iter().find(|key| line.starts_with(&format!("{key}:"))) {
            Some(key) => {
                found += 1;
                text += &format!("{key}: {version}\n");
            }
            None => text += &format!("{line}\n"),
        }
    }
    anyhow::ensure!(found == 2, "{ABOUT} does not have one version and one appVersion");
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chart_gets_version_and_keeps_those_of_its_dependencies() {
        let about =
            "name: a\nversion: v1.0.0-devel\nappVersion: \"devel\"\ndependencies:\n  - version: v0.17.3\n";
        let expected =
            "name: a\nversion: v25.3.4\nappVersion: v25.3.4\ndependencies:\n  - version: v0.17.3\n";
        assert_eq!(versioned(about, "v25.3.4").unwrap(), expected);
        assert!(versioned("name: a\nversion: v1\n", "v25.3.4").is_err());
    }
}
