//! Which Kubespray is meant, and where it is fetched from: the command line and the cluster file say so.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use lab_core::kubespray::{DEFAULT_RELEASE, TAGS, other_release, release};
use lab_core::source::suggest;

use crate::cx::Cx;
use crate::failure::{Failure, FailureKind};
use crate::lab::Lab;

/// Where Kubespray's own project keeps it.
pub const UPSTREAM: &str = "https://github.com/kubernetes-sigs/kubespray";

/// A Kubespray that is fixed for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// What people call it: the tag, or the commit itself.
    pub version: String,
    /// The tag, where it has a known one.
    pub tag: Option<&'static str>,
    /// All forty digits of the commit.
    pub commit: String,
}

/// A Kubespray and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Which one.
    pub pin: Pin,
    /// What git is given to fetch from: a URL, or the absolute path of a directory.
    pub source: String,
}

impl Pin {
    /// The Kubespray with this tag or commit.
    ///
    /// # Errors
    /// With the nearest known tag, where it is neither.
    pub fn new(version: &str) -> anyhow::Result<Self> {
        if let Some(known) = release(version) {
            return Ok(Self {
                version: known.tag.to_owned(),
                tag: Some(known.tag),
                commit: known.commit.to_owned(),
            });
        }
        if version.len() == 40 && version.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            let tag = TAGS.into_iter().find(|tag| release(tag).is_some_and(|known| known.commit == version));
            let name = tag.unwrap_or(version).to_owned();
            return Ok(Self { version: name, tag, commit: version.to_owned() });
        }
        let (unknown, hint) = match other_release(version) {
            Some(tag) => {
                (format!("Kubespray {tag} is not built in"), format!("known versions: {}", TAGS.join(", ")))
            }
            None => (
                format!("there is no known Kubespray `{version}`"),
                suggest::one_of("versions", version, &TAGS),
            ),
        };
        let message = format!("{unknown}; another one is named by its whole commit");
        Err(Failure::new(FailureKind::Usage, message).hint(hint).into())
    }
}

impl Request {
    /// What the command line asks for. Without a version it is that of the cluster, and without a cluster the
    /// default; likewise the source.
    ///
    /// # Errors
    /// When there is no such version or cluster.
    pub fn new(
        cx: &Cx,
        version: Option<&str>,
        cluster: Option<&str>,
        source: Option<&str>,
    ) -> anyhow::Result<Self> {
        let of_cluster = cluster.map(|cluster| Self::of_cluster(cx, cluster)).transpose()?;
        let (pin, from) = match of_cluster {
            Some(request) => (request.pin, request.source),
            None => (Pin::new(DEFAULT_RELEASE)?, UPSTREAM.to_owned()),
        };
        let pin = version.map(Pin::new).transpose()?.unwrap_or(pin);
        let source = match source {
            Some(source) => {
                located(source, &std::env::current_dir().context("cannot find the current folder")?)
            }
            None => from,
        };
        Ok(Self { pin, source })
    }

    fn of_cluster(cx: &Cx, cluster: &str) -> anyhow::Result<Self> {
        Self::of_lab(&Lab::open(cx, cluster)?)
    }

    /// What a cluster file asks for.
    ///
    /// # Errors
    /// Never for a checked file.
    pub fn of_lab(lab: &Lab) -> anyhow::Result<Self> {
        let folder = lab.cluster_file.parent().unwrap_or(Path::new("/"));
        let asked = &lab.spec.kubespray;
        let source = asked.source.as_deref().map_or(UPSTREAM.to_owned(), |source| located(source, folder));
        Ok(Self { pin: Pin::new(&asked.version)?, source })
    }

    /// The source as messages show it: without what may be a password.
    pub fn shown_source(&self) -> String {
        without_password(&self.source)
    }
}

/// A directory as an absolute path; a URL as it stands. `host:path` is a URL in git's short form unless a
/// directory of that name is there.
fn located(source: &str, folder: &Path) -> String {
    let path = folder.join(source);
    let is_directory = path.is_dir() || Path::new(source).is_absolute() || source.starts_with('.');
    if is_directory { normal(&path).display().to_string() } else { source.to_owned() }
}

/// The canonical path, or the path itself if it cannot be resolved.
fn normal(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// `https://user:token@host/x` without `user:token@`.
fn without_password(source: &str) -> String {
    let Some((scheme, rest)) = source.split_once("://") else { return source.to_owned() };
    let (authority, path) =
        rest.split_once('/').map_or((rest, None), |(authority, path)| (authority, Some(path)));
    let host = match authority.rsplit_once('@') {
        Some((user, host)) if user.contains(':') || scheme.starts_with("http") => host,
        _ => authority,
    };
    let path = path.map(|path| format!("/{path}")).unwrap_or_default();
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_is_known_tag_or_whole_commit() {
        let pin = Pin::new("v2.31.0").unwrap();
        assert_eq!(pin.commit, "1c9add48975060f45396b34d8e022c30d7f80dab");
        assert_eq!(Pin::new(&pin.commit).unwrap(), pin);
        let other = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(Pin::new(other).unwrap(), Pin { version: other.into(), tag: None, commit: other.into() });
        for wrong in [
            "2.30.0",
            "v2.28.0",
            "v2.30",
            "master",
            "",
            "f4ccdb5",
            "F4CCDB5E72395EAF9F3444056EBD1A6625DDB89A",
        ] {
            let error = Pin::new(wrong).unwrap_err();
            assert_eq!(crate::failure_kind::of(&error), FailureKind::Usage, "{wrong}");
        }
        let refusals = ["2.30.0", "v2.28.0"].map(|tag| crate::failure::render(&Pin::new(tag).unwrap_err()));
        insta::assert_snapshot!(refusals.join("\n\n"));
    }

    #[test]
    fn directories_are_made_absolute_and_urls_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("mirror")).unwrap();
        let mirror = root.join("mirror").display().to_string();
        for (source, expected) in [
            ("mirror", mirror.as_str()),
            ("./mirror", mirror.as_str()),
            ("/srv/kubespray.git", "/srv/kubespray.git"),
            ("https://example.com/kubespray", "https://example.com/kubespray"),
            ("git@example.com:mirrors/kubespray.git", "git@example.com:mirrors/kubespray.git"),
        ] {
            assert_eq!(located(source, &root), expected, "{source}");
        }
    }

    #[test]
    fn possible_password_is_not_shown() {
        for (source, shown) in [
            ("https://me:secret@example.com/k", "https://example.com/k"),
            ("https://token@example.com:8443/k", "https://example.com:8443/k"),
            ("https://example.com", "https://example.com"),
            ("ssh://git@example.com/k", "ssh://git@example.com/k"),
            ("git@example.com:k", "git@example.com:k"),
            ("/srv/k", "/srv/k"),
        ] {
            assert_eq!(without_password(source), shown);
        }
    }
}
