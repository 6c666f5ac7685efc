//! Python environments: which Python makes one, with which arguments, and whether one is whole.
//!
//! An environment is made where it stays, because its scripts name their own place. An interrupted one lacks its
//! record and is made again. Names and records belong to the callers.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

/// The file that says that an environment is whole.
pub const RECORD: &str = "complete";

/// Names and paths of Pythons, parted by blanks, in the order in which they are asked. The system's own comes first:
/// version managers put stand-ins on the path whose meaning depends on the folder and the shell.
pub const PROGRAMS: &str = "/usr/bin/python3 python3 /usr/bin/python3.12 /usr/bin/python3.11 /usr/bin/python3.13 \
                            python3.12 python3.11 python3.13 python3.10 python3.14";
/// The arguments that ask a Python for its version; one that can make no environments fails.
pub const ASK: [&str; 3] =
    ["-I", "-c", "import sys, venv, ensurepip; print('%d.%d.%d' % sys.version_info[:3])"];
/// The arguments that make an environment, parted by blanks; its path follows. The caller's Python takes no part.
pub const VENV: &str = "-I -m venv";
/// The arguments that fill it, for its own Python; the path of the requirements file follows, then options of pip.
pub const PIP: &str = "-I -m pip install --quiet --no-input --disable-pip-version-check --requirement";

/// A Python that can make environments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Python {
    /// Its name or path.
    pub program: PathBuf,
    /// `3.11.2`.
    pub version: String,
}

impl Python {
    /// Whether it is of one of these releases of Python 3.
    pub fn is_within(&self, minors: RangeInclusive<u32>) -> bool {
        let minor = self.version.strip_prefix("3.").and_then(|rest| rest.split('.').next()?.parse().ok());
        minor.is_some_and(|minor| minors.contains(&minor))
    }
}

/// Whether an environment was made to the end and its Python still exists.
pub fn is_whole(environment: &Path) -> bool {
    [RECORD, "bin/python3"].iter().all(|file| environment.join(file).exists())
}
