//! A checkout of a test's own: its cluster files, its labs, its user's home. The cache is the one that the tests were
//! given, because its content takes minutes to make.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, symlink};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::cluster::Cluster;
use crate::computer::Computer;
use crate::run::{Run, run};
use crate::stand_ins;

/// A checkout that goes with its labs when it is dropped.
#[derive(Debug)]
pub struct Checkout {
    folder: TempDir,
    cache: PathBuf,
    /// The `lab` program.
    pub program: PathBuf,
    /// The environment with the Ansible that it calls.
    pub ansible: PathBuf,
    /// The first words of each call; see [`Run::through`].
    pub prefix: Vec<String>,
    /// Variables that each call of it has beside the usual ones.
    environment: Vec<(&'static str, OsString)>,
}

impl Default for Checkout {
    fn default() -> Self {
        Self::new()
    }
}

impl Checkout {
    /// An empty one.
    ///
    /// # Panics
    /// When it cannot be made, or the tests were not started by `cargo xtask test`.
    pub fn new() -> Self {
        let [cache, program, ansible] = ["LAB_CACHE", "LAB_BIN", "LAB_ANSIBLE"].map(variable);
        Self::of(temporary_folder(), cache.into(), program.into(), ansible.into())
    }

    /// One whose `lab` meets stand-ins for everything outside of it; see [`stand_ins`].
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn with_stand_ins(program: &Path) -> Self {
        let folder = temporary_folder();
        let root = folder.path().to_owned();
        fs::DirBuilder::new()
            .mode(0o700)
            .create(root.join("cache"))
            .expect("a folder can be made in a new one");
        let programs = root.join(stand_ins::PROGRAMS);
        let ansible = programs.parent().expect("the folder of programs is in another").to_owned();
        let mut checkout = Self::of(folder, root.join("cache"), program.to_owned(), ansible);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths([programs].into_iter().chain(std::env::split_paths(&path)));
        checkout.environment = vec![
            ("PATH", path.expect("no folder on PATH has a colon in its name")),
            ("LAB_TEST_PROVIDER", root.join(stand_ins::PROVIDER).into()),
            (stand_ins::GPU.0, root.join(stand_ins::GPU.1).into()),
        ];
        stand_ins::lay_out(&checkout);
        checkout
    }

    fn of(folder: TempDir, cache: PathBuf, program: PathBuf, ansible: PathBuf) -> Self {
        let checkout = Self { folder, cache, program, ansible, prefix: vec![], environment: vec![] };
        for name in ["inventories", "home"] {
            fs::create_dir(checkout.root().join(name)).expect("a folder can be made in a new one");
        }
        symlink(real_root().join("ansible"), checkout.root().join("ansible"))
            .expect("a link can be made in a new folder");
        checkout
    }

    /// One with a cache of its own, but for the Python environments, which take long to make.
    ///
    /// # Panics
    /// As [`Checkout::new`].
    pub fn with_own_cache() -> Self {
        let checkout = Self::with_empty_cache();
        checkout.share("environments");
        checkout
    }

    /// One with an empty cache of its own.
    ///
    /// # Panics
    /// As [`Checkout::new`].
    pub fn with_empty_cache() -> Self {
        let mut checkout = Self::new();
        checkout.cache = checkout.root().join("cache");
        fs::DirBuilder::new().mode(0o700).create(&checkout.cache).expect("a folder can be made in a new one");
        checkout
    }

    /// Has a part of the cache that the tests were given in its own.
    ///
    /// # Panics
    /// When it has one of its own.
    pub fn share(&self, part: &str) {
        let shared = Path::new(&variable("LAB_CACHE")).join(part);
        fs::create_dir_all(&shared).expect("the cache of the tests can be written");
        symlink(shared, self.cache.join(part)).expect("a link can be made in a new folder");
    }

    /// Its cache.
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// One with a cluster file.
    pub fn with(cluster: &Cluster) -> Self {
        let checkout = Self::new();
        checkout.write(&cluster.name, &cluster.text());
        checkout
    }

    /// Writes or replaces the cluster file of this name.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, name: &str, text: &str) {
        let folder = self.root().join("inventories").join(name);
        fs::create_dir_all(&folder).expect("a folder can be made");
        fs::write(folder.join("cluster.yaml"), text).expect("a cluster file can be written");
    }

    /// Its folder.
    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    /// The home of the user who works with it.
    pub fn home(&self) -> PathBuf {
        self.root().join("home")
    }

    /// The folder of a lab.
    pub fn output(&self, cluster: &str) -> PathBuf {
        self.root().join("output").join(cluster)
    }

    /// The folder of a lab, made as `lab` makes it: for its owner alone.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn make_output(&self, cluster: &str) -> PathBuf {
        let folder = self.output(cluster);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).expect("a folder can be made");
        folder
    }

    /// The `lab` program in this checkout.
    ///
    /// # Panics
    /// When the tests were not started by `cargo xtask test`.
    pub fn lab(&self, words: &[&str]) -> Run {
        let run = run(&self.program).args(words).through(&self.prefix);
        let variables = self.environment.iter();
        variables
            .fold(run, |run, (name, value)| run.env(name, value))
            .env("LAB_ROOT", self.root())
            .env("LAB_CACHE", &self.cache)
            .env("LAB_ANSIBLE", &self.ansible)
            .env("HOME", self.home())
            .directory(self.root())
    }

    /// The process id of a lab's embedded host, by its record.
    ///
    /// # Panics
    /// When there is none.
    pub fn supervisor(&self, cluster: &str) -> i32 {
        let record = read_json(&self.output(cluster).join("host/host.json"));
        record["supervisor"]["pid"].as_i64().and_then(|pid| pid.try_into().ok()).expect("it names a process")
    }

    /// A program in the network of a lab's embedded host.
    pub fn inside(&self, cluster: &str, program: &str) -> Run {
        self.lab(&["internal", "enter", &self.supervisor(cluster).to_string(), "--", program])
    }

    /// The state of one machine, as `status --json` says it.
    ///
    /// # Panics
    /// When the lab cannot be looked at or has no such machine.
    pub fn state(&self, cluster: &str, machine: &str) -> String {
        let status = self.lab(&["status", cluster, "--json"]).answer().ok().json();
        let machines = status["machines"].as_array().expect("a status has machines");
        let found = machines.iter().find(|found| found["name"] == machine);
        found.and_then(|found| found["state"].as_str()).expect("the machine has a state").to_owned()
    }

    /// The output of a command in the shell of a machine.
    ///
    /// # Panics
    /// When it fails.
    pub fn on(&self, cluster: &str, machine: &str, command: &str) -> String {
        self.lab(&["ssh", machine, "--cluster", cluster, "--", command]).answer().ok().stdout
    }

    /// Destroys a lab and checks that nothing of it is left in the checkout or on the computer.
    ///
    /// # Panics
    /// When it cannot be destroyed or something is left.
    pub fn destroy(&self, cluster: &str, before: &Computer) {
        self.lab(&["destroy", cluster]).answer().ok();
        assert_eq!(self.left(), Vec::<String>::new(), "files were left");
        before.assert_nothing_new(self.root());
    }

    /// Everything that a lab left in this checkout: paths below its folder, without the records and logs of runs and the
    /// snapshots, which outlive it.
    pub fn left(&self) -> Vec<String> {
        let mut left = Vec::new();
        for top in ["output", "home"] {
            walk(&self.root().join(top), &mut |path| {
                let path = path.strip_prefix(self.root()).expect("an entry of a folder lies in it");
                let words: Vec<_> = path.iter().map(|word| word.to_string_lossy()).collect();
                let is_record = words.first().is_some_and(|word| word == "output")
                    && (["logs", "snapshots"].contains(&words[1].as_ref())
                        || words.get(2).is_none_or(|word| word == "runs"));
                if !is_record {
                    left.push(path.display().to_string());
                }
            });
        }
        left.sort();
        left
    }
}

impl Drop for Checkout {
    /// Destroys its labs, after a failed test too.
    fn drop(&mut self) {
        let labs = fs::read_dir(self.root().join("output")).into_iter().flatten().flatten();
        for lab in labs {
            let name = lab.file_name().to_string_lossy().into_owned();
            if !lab.path().join("state.json").exists() && !lab.path().join("host").exists() {
                continue;
            }
            if std::thread::panicking() {
                print_records(&lab.path());
            }
            let destroyed = self.lab(&["destroy", &name]).answer();
            if destroyed.code != 0 {
                eprintln!("the lab `{name}` of a test cannot be destroyed:\n{destroyed}");
            }
        }
    }
}

/// A folder with a short path: paths of sockets may have 108 bytes.
fn temporary_folder() -> TempDir {
    tempfile::Builder::new().prefix("lab-").tempdir().expect("a temporary folder can be made")
}

/// Prints the logs and the state of a lab before it is destroyed with its test.
fn print_records(lab: &Path) {
    walk(lab, &mut |path| {
        if path
            .file_name()
            .is_some_and(|name| name == "host.log" || name == "console.log" || name == "state.json")
        {
            let text =
                fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            eprintln!("--- {}\n{}", path.display(), lines[lines.len().saturating_sub(30)..].join("\n"));
        }
    });
}

/// A file with JSON in it.
///
/// # Panics
/// When it is none.
pub fn read_json(path: &Path) -> serde_json::Value {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The SHA-256 of bytes, in lower-case hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Calls `found` with every path below a folder, the deepest last. Links are not followed.
pub fn walk(folder: &Path, found: &mut impl FnMut(&Path)) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        found(&entry.path());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&entry.path(), found);
        }
    }
}

/// The checkout under test.
///
/// # Panics
/// Never: tests lie in it.
pub fn real_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package has a folder above it").to_owned()
}

/// The registry of this computer: the distribution's own, or the one that `cargo xtask setup` unpacked.
pub fn registry() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let unpacked = Path::new(&variable("LAB_CACHE")).join("environments/registry-debian/usr/bin");
    let programs =
        std::env::split_paths(&path).chain([unpacked]).map(|folder| folder.join("docker-registry"));
    programs.into_iter().find(|program| program.is_file())
}

/// A variable that `cargo xtask test` sets.
///
/// # Panics
/// When it is missing.
pub fn variable(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: run these tests with `cargo xtask test`"))
}
