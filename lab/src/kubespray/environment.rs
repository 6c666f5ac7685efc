//! Python environments for Kubespray: one for each requirements file, under `environments/` of the cache beside those that
//! `cargo xtask setup` makes and by the same rules.
//!
//! Beside what a checkout requires it holds mitogen, where that is known to work. The name of an environment holds the
//! digest of its inputs. None is used whose ansible-core is outside the range that the checkout asserts.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use lab_cache::python::{self, Python, RECORD};
use lab_core::kubespray::{AnsibleRange, Pythons};
use serde::{Deserialize, Serialize};

use crate::cx::Cx;
use crate::failure::{Failure, FailureKind};
use crate::process::invocation;
use crate::progress::Task;
use crate::timeouts::{PYTHON_ENVIRONMENT_TIMEOUT, PYTHON_VERSION_TIMEOUT};
use crate::wait::Deadline;
use crate::{cache, files};

use super::checkout::Checkout;

/// What every Kubespray lists its Python packages in.
const REQUIREMENTS: &str = "requirements.txt";

/// An environment that is whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Environment {
    /// Its folder, with `bin/ansible-playbook` and its kin.
    pub path: PathBuf,
    /// Its contents.
    #[serde(flatten)]
    pub contents: Contents,
}

/// The contents of an environment: its record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// The Python it was made with, `3.11.2`.
    pub python: String,
    /// Its ansible-core, `2.17.14`.
    pub ansible_core: String,
    /// All packages, `jinja2==3.1.6`, sorted: what the requirements do not pin is found here.
    pub packages: Vec<String>,
}

impl Environment {
    /// One of its programs.
    pub fn program(&self, name: &str) -> PathBuf {
        self.path.join("bin").join(name)
    }

    /// Whether it has what keeps one Python on each machine for a whole run.
    pub fn has_mitogen(&self) -> bool {
        self.contents.packages.iter().any(|package| package.starts_with("mitogen=="))
    }
}

/// Where the environment of a checkout lies, made or not.
///
/// # Errors
/// When the checkout lists no packages.
pub fn place(cx: &Cx, checkout: &Checkout) -> anyhow::Result<PathBuf> {
    let folder = cx.layout.environments();
    // The same folder may be reached by several names; its contents use the canonical one.
    let folder = folder.canonicalize().unwrap_or(folder);
    let requirements = checkout.read(REQUIREMENTS)?;
    let mitogen = checkout.ansible_range()?.mitogen().unwrap_or_default();
    let content = [folder.as_os_str().as_encoded_bytes(), requirements.as_ref(), mitogen.as_bytes()];
    let digest = cache::short_digest(&content.join(&0));
    Ok(folder.join(format!("kubespray-{digest}")))
}

/// The environment of a checkout where it is whole.
///
/// # Errors
/// When it is whole and the checkout refuses its Ansible.
pub fn find(cx: &Cx, checkout: &Checkout) -> anyhow::Result<Option<Environment>> {
    let path = place(cx, checkout)?;
    let Some(contents) = read(&path) else { return Ok(None) };
    accept(&checkout.ansible_range()?, &contents.ansible_core, checkout)?;
    Ok(Some(Environment { path, contents }))
}

/// The record of an environment that was made to the end and whose Python still exists.
pub(super) fn read(path: &Path) -> Option<Contents> {
    python::is_whole(path).then_some(())?;
    serde_json::from_slice(&std::fs::read(path.join(RECORD)).ok()?).ok()
}

/// Refuses an ansible-core that the checkout's own playbooks would refuse.
fn accept(range: &AnsibleRange, ansible_core: &str, checkout: &Checkout) -> anyhow::Result<()> {
    if range.holds(ansible_core) {
        return Ok(());
    }
    let AnsibleRange { from, below } = range;
    let message = format!(
        "Kubespray {} runs with ansible-core from {from} and below {below}, and its requirements install {ansible_core}",
        checkout.commit
    );
    let hint = "its requirements.txt and its playbooks disagree: fetch a release";
    Err(Failure::new(FailureKind::Host, message).hint(hint).into())
}

/// The environment of a checkout, made if it is not there.
///
/// # Errors
/// When no Python fits, the package index cannot be reached, or what it gave does not fit the checkout.
pub async fn ensure(cx: &Cx, checkout: &Checkout) -> anyhow::Result<Environment> {
    let range = checkout.ansible_range()?;
    let parent = cx.layout.environments();
    std::fs::create_dir_all(&parent).with_context(|| format!("cannot make `{}`", parent.display()))?;
    let path = place(cx, checkout)?;
    lab_cache::note_use(cx.layout.cache(), "environments", path.file_name().unwrap_or_default());
    if let Some(environment) = find(cx, checkout)? {
        return Ok(environment);
    }
    let task = cx.progress.task("ansible");
    let deadline = Deadline::after(PYTHON_ENVIRONMENT_TIMEOUT);
    let what = "another command that makes the same Python environment";
    let lock = super::hold(cx, &lock(&path), what, deadline, &task).await?;
    let made = match find(cx, checkout) {
        Ok(None) => make(cx, &path, checkout, &range, &lock, deadline, &task).await,
        found => found.transpose().expect("the other case was the one before"),
    };
    match &made {
        Ok(made) => {
            let (core, seconds) = (&made.contents.ansible_core, task.elapsed().as_secs_f64());
            task.done(&format!("ansible-core {core} in {seconds:.1} s"));
        }
        Err(_) => task.failed("its environment could not be made"),
    }
    made
}

/// Held by commands that make or remove an environment, shared by those that use it.
pub fn lock(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.lock"))
}

async fn make(
    cx: &Cx,
    path: &Path,
    checkout: &Checkout,
    range: &AnsibleRange,
    lock: &Arc<File>,
    deadline: Deadline,
    task: &Task,
) -> anyhow::Result<Environment> {
    task.step("looking for a Python");
    let python = choose(cx, range).await?;
    remove(path)?;
    task.step(&format!("installing Ansible with Python {}", python.version));
    let requirements = checkout.path.join(REQUIREMENTS);
    let filled = fill(cx, path, &requirements, range.mitogen(), &python, lock, deadline).await;
    let recorded = filled.and_then(|contents| {
        accept(range, &contents.ansible_core, checkout)?;
        files::write_atomic(&path.join(RECORD), &serde_json::to_vec_pretty(&contents)?, files::PUBLIC)?;
        Ok(contents)
    });
    match recorded {
        Ok(contents) => Ok(Environment { path: path.to_owned(), contents }),
        Err(error) => {
            // The first error matters more than one of the removal.
            let _ = remove(path);
            Err(error)
        }
    }
}

/// Removes an environment, its record first: without it the leftovers of an interruption are no environment.
///
/// # Errors
/// With the path and the system's reason.
pub(super) fn remove(path: &Path) -> anyhow::Result<()> {
    files::remove(&path.join(RECORD))?;
    files::remove(path)
}

async fn fill(
    cx: &Cx,
    path: &Path,
    requirements: &Path,
    mitogen: Option<&str>,
    python: &Python,
    lock: &Arc<File>,
    deadline: Deadline,
) -> anyhow::Result<Contents> {
    let failed = |error: crate::process::ProcessError| {
        let full = error.to_string().contains("No space left on device");
        let failure = if full {
            Failure::new(
                FailureKind::Host,
                "the disk is full: the Python environment for Kubespray was not made",
            )
            .hint("make room for half a gigabyte, then fetch again")
        } else {
            Failure::new(FailureKind::Host, "the Python environment for Kubespray could not be made")
                .hint("pip reads PIP_INDEX_URL and its own configuration: a mirror of Python's package index serves")
        };
        anyhow::Error::from(error).context(failure)
    };
    let venv = invocation(&python.program).args(python::VENV.split(' ')).arg(path);
    let pip = invocation(path.join("bin/python3")).args(python::PIP.split(' ')).arg(requirements);
    // Compiling twenty thousand files of which a few hundred are used costs more than it ever saves.
    for command in [venv, pip.arg("--no-compile").args(mitogen)] {
        command.holding(lock).read(&cx.cancel, deadline).await.map_err(failed)?;
    }
    let packages = installed(path)?;
    let core = packages.iter().find_map(|package| package.strip_prefix("ansible-core=="));
    let core = core.context("its requirements install no ansible-core")?.to_owned();
    Ok(Contents { python: python.version.clone(), ansible_core: core, packages })
}

/// The packages of an environment, from the folders in which pip records them.
fn installed(path: &Path) -> anyhow::Result<Vec<String>> {
    let lib = path.join("lib");
    let mut packages = Vec::new();
    for python in
        std::fs::read_dir(&lib).with_context(|| format!("cannot read `{}`", lib.display()))?.flatten()
    {
        for entry in std::fs::read_dir(python.path().join("site-packages")).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if let Some((name, version)) =
                name.strip_suffix(".dist-info").and_then(|name| name.rsplit_once('-'))
            {
                packages.push(format!("{}=={version}", name.replace('_', "-").to_lowercase()));
            }
        }
    }
    packages.sort();
    Ok(packages)
}

/// A Python that the Ansible of the range runs on.
async fn choose(cx: &Cx, range: &AnsibleRange) -> anyhow::Result<Python> {
    let mut found = Vec::new();
    for program in python::PROGRAMS.split(' ') {
        let ask = invocation(program).args(python::ASK);
        if let Ok(answer) = ask.read(&cx.cancel, Deadline::after(PYTHON_VERSION_TIMEOUT)).await {
            found.push(Python { program: program.into(), version: answer.trim().to_owned() });
        }
        if let Some(python) = best(&found, range).filter(|(_, documented)| *documented) {
            return Ok(python.0.clone());
        }
    }
    if let Some((python, _)) = best(&found, range) {
        let from = &range.from;
        cx.progress.note(&format!(
            "note: Python {} is newer than what ansible-core {from} documents; it is taken because no older one is here",
            python.version
        ));
        return Ok(python.clone());
    }
    Err(no_python(&found, range).into())
}

/// The first Python of the range's own, else the first that works all the same; and whether it is documented.
fn best<'a>(found: &'a [Python], range: &AnsibleRange) -> Option<(&'a Python, bool)> {
    // Of a series that is not known here pip itself refuses what does not fit.
    let Some(Pythons { from, to, works_to }) = range.pythons() else { return Some((found.first()?, true)) };
    let first = |newest: u32| found.iter().find(|python| python.is_within(from..=newest));
    first(to).map(|python| (python, true)).or_else(|| first(works_to).map(|python| (python, false)))
}

fn no_python(found: &[Python], range: &AnsibleRange) -> Failure {
    let fitting = range.pythons().map_or("Python 3".to_owned(), |Pythons { from, works_to, .. }| {
        format!("Python from 3.{from} to 3.{works_to} with the modules venv and ensurepip")
    });
    let there: Vec<&str> = found.iter().map(|python| python.version.as_str()).collect();
    let there =
        if there.is_empty() { "there is none".to_owned() } else { format!("there is {}", there.join(", ")) };
    Failure::new(FailureKind::Host, format!("ansible-core {} needs {fitting}, and {there}", range.from))
        .hint("install one beside the others and put it on PATH, or choose another release of Kubespray")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(from: &str, below: &str) -> AnsibleRange {
        AnsibleRange { from: from.to_owned(), below: below.to_owned() }
    }

    fn pythons(versions: &[&str]) -> Vec<Python> {
        let python = |version: &&str| Python { program: "python3".into(), version: (*version).to_owned() };
        versions.iter().map(python).collect()
    }

    #[test]
    fn documented_python_is_preferred_to_a_working_one() {
        let (old, new) = (range("2.17.3", "2.18.0"), range("2.18.0", "2.19.0"));
        for (range, there, expected) in [
            (&old, &["3.13.5", "3.11.2"][..], Some(("3.11.2", true))),
            (&old, &["3.13.5"], Some(("3.13.5", false))),
            (&old, &["3.14.0", "3.9.2"], None),
            (&new, &["3.10.1", "3.13.5"], Some(("3.13.5", true))),
            (&new, &["3.14.0", "3.10.1"], None),
            (&new, &[], None),
        ] {
            let found = pythons(there);
            let best = best(&found, range).map(|(python, documented)| (python.version.as_str(), documented));
            assert_eq!(best, expected, "{there:?}");
        }
    }

    #[test]
    fn error_names_fitting_pythons_where_none_fits() {
        let failure = no_python(&pythons(&["3.14.0", "3.9.2"]), &range("2.17.3", "2.18.0"));
        assert_eq!(
            failure.message,
            "ansible-core 2.17.3 needs Python from 3.10 to 3.13 with the modules venv and ensurepip, \
             and there is 3.14.0, 3.9.2"
        );
    }

    #[test]
    fn environment_is_absent_without_record_or_python() {
        let folder = tempfile::tempdir().unwrap();
        let contents = Contents { python: "3.11.2".into(), ansible_core: "2.17.14".into(), packages: vec![] };
        std::fs::create_dir_all(folder.path().join("bin")).unwrap();
        std::fs::write(folder.path().join("bin/python3"), "").unwrap();
        assert_eq!(read(folder.path()), None);
        std::fs::write(folder.path().join(RECORD), "").unwrap();
        assert_eq!(read(folder.path()), None, "an empty record is none");
        std::fs::write(folder.path().join(RECORD), serde_json::to_vec(&contents).unwrap()).unwrap();
        assert_eq!(read(folder.path()), Some(contents));
        std::fs::remove_file(folder.path().join("bin/python3")).unwrap();
        assert_eq!(read(folder.path()), None);
    }
}
