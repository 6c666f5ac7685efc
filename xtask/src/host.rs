//! The computer as setup and doctor see it: files, programs, the user.
//!
//! Everything is read below one root directory, so that tests can give a whole computer as a
//! directory tree with small scripts for its programs. Nothing here changes anything.

use std::ffi::OsString;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::{env, fs};

use xshell::Shell;

/// A computer, real or made by a test.
pub struct Host {
    root: PathBuf,
    /// Directories that programs are looked for in, as the computer itself names them.
    path: Vec<PathBuf>,
    /// The architecture in the words of Rust: `x86_64`, `aarch64`.
    pub arch: String,
    /// Who runs us.
    pub uid: u32,
    /// The person who runs us: behind `sudo`, the one who called it.
    pub user: String,
}

impl Host {
    /// The computer we run on.
    pub fn real() -> Self {
        let mut path: Vec<PathBuf> = env::var_os("PATH").iter().flat_map(env::split_paths).collect();
        // An ordinary user of Debian does not have the directories of daemons on the path.
        path.extend(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from));
        let uid = fs::metadata("/proc/self").map_or(0, |metadata| metadata.uid());
        let mut host =
            Self { root: PathBuf::from("/"), path, arch: env::consts::ARCH.into(), uid, user: String::new() };
        host.user = match env::var("SUDO_USER") {
            Ok(caller) if uid == 0 => caller,
            _ => host.user_name(uid),
        };
        host
    }

    fn user_name(&self, uid: u32) -> String {
        let passwd = self.read("/etc/passwd").unwrap_or_default();
        let line = passwd.lines().find(|line| line.split(':').nth(2) == Some(&uid.to_string()));
        let name = line.and_then(|line| line.split(':').next()).map(str::to_owned);
        name.or_else(|| env::var("USER").ok()).unwrap_or_else(|| uid.to_string())
    }

    /// Where a path of the computer lies for this process.
    pub fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// A file's text, if it can be read.
    pub fn read(&self, path: &str) -> Option<String> {
        fs::read(self.at(path)).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Permission bits, if there is such a file.
    pub fn mode(&self, path: &str) -> Option<u32> {
        fs::metadata(self.at(path)).ok().map(|metadata| metadata.permissions().mode() & 0o7777)
    }

    /// Whether this user may open a file for reading and writing. Opening is all that is done.
    pub fn opens(&self, path: &str) -> bool {
        fs::OpenOptions::new().read(true).write(true).open(self.at(path)).is_ok()
    }

    /// Names in a directory, in order. Empty when there is no such directory.
    pub fn list(&self, path: &str) -> Vec<String> {
        let entries = fs::read_dir(self.at(path)).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// Where a symbolic link leads, as it is written.
    pub fn link(&self, path: &str) -> Option<String> {
        fs::read_link(self.at(path)).ok().map(|target| target.to_string_lossy().into_owned())
    }

    /// Whether a path exists; `*` stands for any one name.
    pub fn exists(&self, pattern: &str) -> bool {
        match pattern.split_once("/*") {
            None => self.at(pattern).exists(),
            Some((before, after)) => {
                self.list(before).iter().any(|name| self.exists(&format!("{before}/{name}{after}")))
            }
        }
    }

    /// Where a program lies, as this process can run it. A name that is a path is taken as it is.
    pub fn program(&self, name: &str) -> Option<PathBuf> {
        let places = self.path.iter().map(|directory| self.at(&directory.join(name).to_string_lossy()));
        places.into_iter().find(|place| {
            fs::metadata(place)
                .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
        })
    }

    /// The output of a program on stdout, trimmed, if it exists and succeeds.
    pub fn output(&self, program: &str, arguments: &[&str]) -> Option<String> {
        let place = self.program(program)?;
        let sh = Shell::new().ok()?;
        let command = sh.cmd(place).args(arguments).env("LC_ALL", "C").quiet().ignore_stderr();
        command.stdin("").read().ok()
    }

    /// The `PATH` for a child: ours, and the directories of daemons.
    pub fn search_path(&self) -> OsString {
        env::join_paths(&self.path).unwrap_or_default()
    }
}

#[cfg(test)]
pub mod fake {
    //! Computers made of a directory tree, for tests.

    use super::*;

    /// A made-up computer; its files go with it.
    pub struct Fake {
        /// The computer.
        pub host: Host,
        directory: xshell::TempDir,
    }

    impl Fake {
        /// An x86-64 computer without a single file, used by root.
        pub fn new() -> Self {
            let directory = Shell::new().unwrap().create_temp_dir().unwrap();
            let host = Host {
                root: directory.path().to_owned(),
                path: vec![PathBuf::from("/usr/bin"), PathBuf::from("/usr/sbin")],
                arch: "x86_64".into(),
                uid: 0,
                user: "root".into(),
            };
            Self { host, directory }
        }

        /// The same, used by another user than root.
        pub fn user(mut self, name: &str) -> Self {
            self.host.uid = 1000;
            self.host.user = name.into();
            self
        }

        /// With a file.
        pub fn file(self, path: &str, text: &str) -> Self {
            let place = self.directory.path().join(path.trim_start_matches('/'));
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            fs::write(place, text).unwrap();
            self
        }

        /// With a symbolic link.
        pub fn link(self, path: &str, target: &str) -> Self {
            let place = self.directory.path().join(path.trim_start_matches('/'));
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            std::os::unix::fs::symlink(target, place).unwrap();
            self
        }

        /// With the permission bits of a file that is there.
        pub fn mode(self, path: &str, mode: u32) -> Self {
            let place = self.directory.path().join(path.trim_start_matches('/'));
            fs::set_permissions(place, fs::Permissions::from_mode(mode)).unwrap();
            self
        }

        /// With a program that is a shell script.
        pub fn program(self, name: &str, script: &str) -> Self {
            let path = format!("/usr/bin/{name}");
            self.file(&path, &format!("#!/bin/sh\n{script}\n")).mode(&path, 0o755)
        }
    }
}
