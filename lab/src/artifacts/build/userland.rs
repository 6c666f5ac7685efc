//! Debian's packages, as far as images and files need them: fetched with mmdebstrap, read from its archive.
//!
//! Which libraries a program needs is read from the program itself; nothing of the packages is run.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;
use lab_core::artifacts::{Userland, UserlandFile};
use object::elf::FileHeader64;
use object::read::elf::{Dyn as _, FileHeader as _, ProgramHeader as _};
use object::{Endianness, elf};

use super::archive::{Node, Tree};

/// Where merged file systems lead the old folders.
const MERGED: [(&str, &str); 4] =
    [("bin", "usr/bin"), ("lib", "usr/lib"), ("lib64", "usr/lib64"), ("sbin", "usr/sbin")];
/// A chain of links that is longer leads nowhere.
const LINKS: usize = 16;
/// Below here lies nothing that a program needs to run.
const LEFT_OUT: [&str; 4] =
    ["usr/share/doc/", "usr/share/man/", "usr/share/locale/", "usr/share/bash-completion/"];

/// Packages, unpacked in memory.
#[derive(Debug)]
pub struct Packages {
    tree: Tree,
    /// Name and version of each.
    pub versions: BTreeMap<String, String>,
}

impl Packages {
    /// Reads an archive of unpacked packages. Its file `names` lists the files they came in, whose names say the versions.
    ///
    /// # Errors
    /// When the archive cannot be read or lacks that file.
    pub fn read(archive: &Path, names: &str) -> anyhow::Result<Self> {
        let context = || format!("cannot read `{}`", archive.display());
        let file = std::fs::File::open(archive).with_context(context)?;
        let mut tree = Tree::new();
        let mut archive = tar::Archive::new(std::io::BufReader::new(file));
        for entry in archive.entries().with_context(context)? {
            let mut entry = entry.with_context(context)?;
            let path = entry.path().with_context(context)?.to_string_lossy().into_owned();
            let path = path.trim_start_matches("./").trim_end_matches('/').to_owned();
            if !path.starts_with("usr/") || LEFT_OUT.iter().any(|folder| path.starts_with(folder)) {
                continue;
            }
            let mode = entry.header().mode().unwrap_or(0o644) & 0o777;
            let link = entry.link_name().with_context(context)?.map(|to| to.to_string_lossy().into_owned());
            match entry.header().entry_type() {
                tar::EntryType::Regular => {
                    let mut bytes = Vec::new();
                    entry.read_to_end(&mut bytes).with_context(context)?;
                    tree.insert(path, Node::Bytes { bytes, mode });
                }
                tar::EntryType::Symlink => {
                    let to = link.with_context(context)?;
                    tree.insert(path, Node::Link { to });
                }
                // The file came before its second name.
                tar::EntryType::Link => {
                    let to = link.with_context(context)?;
                    if let Some(node) = tree.get(to.trim_start_matches("./")).cloned() {
                        tree.insert(path, node);
                    }
                }
                _ => {}
            }
        }
        let Some(Node::Bytes { bytes, .. }) = tree.remove(names) else {
            anyhow::bail!("the archive of Debian's packages does not list its contents");
        };
        let versions = String::from_utf8_lossy(&bytes).lines().filter_map(version).collect();
        Ok(Self { tree, versions })
    }

    /// The bytes of a file, wherever links lead to it.
    ///
    /// # Errors
    /// When there is none.
    pub fn bytes(&self, path: &str) -> anyhow::Result<&[u8]> {
        let (_, bytes) = self.resolve(path).with_context(|| format!("no package has the file `{path}`"))?;
        Ok(bytes)
    }

    /// What of the packages an image gets, with the libraries that its programs need.
    ///
    /// # Errors
    /// When something that is wanted, or a library that something needs, is in no package.
    pub fn userland(&self, wanted: &Userland) -> anyhow::Result<Tree> {
        let triplet = self.triplet().context("the packages have no folder of libraries")?;
        let mut tree = Tree::new();
        for UserlandFile { path, links, also } in wanted.files {
            let path = path.replace("{triplet}", &triplet);
            if path.ends_with('/') {
                let inside: Vec<&String> = self.tree.keys().filter(|one| one.starts_with(&path)).collect();
                anyhow::ensure!(!inside.is_empty(), "no package has the folder `{path}`");
                for one in inside {
                    self.take(one, &triplet, &mut tree)?;
                }
                continue;
            }
            self.take(&path, &triplet, &mut tree)?;
            let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
            for link in *links {
                tree.insert(format!("{folder}/{link}"), Node::Link { to: name.to_owned() });
            }
            if let Some(place) = also {
                let bytes = self.bytes(&path)?.to_owned();
                tree.insert((*place).to_owned(), Node::Bytes { bytes, mode: 0o644 });
            }
        }
        for (old, new) in MERGED {
            tree.insert(old.to_owned(), Node::Link { to: new.to_owned() });
            tree.entry(new.to_owned()).or_insert(Node::Folder { mode: 0o755 });
        }
        Ok(tree)
    }

    /// `x86_64-linux-gnu`.
    fn triplet(&self) -> Option<String> {
        let libc = self.tree.keys().find(|path| path.ends_with("/libc.so.6"))?;
        libc.split('/').rev().nth(1).map(str::to_owned)
    }

    /// Takes a file over with the links that lead to it, what interprets it, and the libraries it needs.
    fn take(&self, path: &str, triplet: &str, to: &mut Tree) -> anyhow::Result<()> {
        let mut open = vec![path.to_owned()];
        while let Some(path) = open.pop() {
            if to.contains_key(&path) {
                continue;
            }
            let node = self.tree.get(&path).with_context(|| format!("no package has the file `{path}`"))?;
            to.insert(path.clone(), node.clone());
            match node {
                Node::Link { to } => open.push(joined(&path, to)),
                Node::Bytes { bytes, .. } => {
                    let needs = needs(bytes);
                    let libraries = needs.libraries.iter().map(|name| format!("usr/lib/{triplet}/{name}"));
                    open.extend(libraries);
                    open.extend(needs.interpreter.map(|path| merged(path.trim_start_matches('/'))));
                }
                Node::Folder { .. } | Node::File { .. } => {}
            }
        }
        Ok(())
    }

    fn resolve(&self, path: &str) -> Option<(String, &[u8])> {
        let mut path = path.to_owned();
        for _ in 0..LINKS {
            match self.tree.get(&path)? {
                Node::Bytes { bytes, .. } => return Some((path, bytes)),
                Node::Link { to } => path = joined(&path, to),
                Node::Folder { .. } | Node::File { .. } => return None,
            }
        }
        None
    }
}

/// Name and version in the name of a package's file, `conntrack_1%3a1.4.8-2_amd64.deb`.
fn version(file: &str) -> Option<(String, String)> {
    let (name, rest) = file.trim().strip_suffix(".deb")?.split_once('_')?;
    let (version, _architecture) = rest.rsplit_once('_')?;
    Some((name.to_owned(), version.replace("%3a", ":")))
}

/// The path that a link at `path` leads to.
fn joined(path: &str, to: &str) -> String {
    let mut parts: Vec<&str> = match to.strip_prefix('/') {
        Some(absolute) => return merged(absolute),
        None => path.split('/').collect(),
    };
    parts.pop();
    for part in to.split('/') {
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    merged(&parts.join("/"))
}

fn merged(path: &str) -> String {
    let old = MERGED.iter().find_map(|(old, new)| {
        let rest = path.strip_prefix(old)?.strip_prefix('/')?;
        Some(format!("{new}/{rest}"))
    });
    old.unwrap_or_else(|| path.to_owned())
}

/// What a program or library needs to be loaded.
#[derive(Debug, Default, PartialEq, Eq)]
struct Needs {
    interpreter: Option<String>,
    libraries: BTreeSet<String>,
}

/// Reads it from the file; empty if that is no ELF file of 64 bits.
fn needs(bytes: &[u8]) -> Needs {
    read_needs(bytes).unwrap_or_default()
}

fn read_needs(bytes: &[u8]) -> Option<Needs> {
    let header = FileHeader64::<Endianness>::parse(bytes).ok()?;
    let endian = header.endian().ok()?;
    let segments = header.program_headers(endian, bytes).ok()?;
    let mut needs = Needs::default();
    let mut names = Vec::new();
    let (mut address, mut size) = (0, 0);
    for segment in segments {
        if let Ok(Some(interpreter)) = segment.interpreter(endian, bytes) {
            needs.interpreter = Some(String::from_utf8_lossy(interpreter).into_owned());
        }
        for entry in segment.dynamic(endian, bytes).ok().flatten().unwrap_or_default() {
            match entry.tag(endian) {
                elf::DT_NEEDED => names.push(entry.val(endian)),
                elf::DT_STRTAB => address = entry.val(endian),
                elf::DT_STRSZ => size = entry.val(endian),
                _ => {}
            }
        }
    }
    let table = segments.iter().find_map(|one| one.data_range(endian, bytes, address, size).ok().flatten());
    let table = table.unwrap_or_default();
    for name in names {
        let rest = table.get(usize::try_from(name).ok()?..)?;
        let end = rest.iter().position(|byte| *byte == 0)?;
        needs.libraries.insert(String::from_utf8_lossy(&rest[..end]).into_owned());
    }
    Some(needs)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("conntrack_1%3a1.4.8-2_amd64.deb", Some(("conntrack", "1:1.4.8-2")))]
    #[case("runc_1.1.15+ds1-2+b4_amd64.deb", Some(("runc", "1.1.15+ds1-2+b4")))]
    #[case("partial", None)]
    #[case("lock", None)]
    fn version_is_read_from_package_name(#[case] file: &str, #[case] expected: Option<(&str, &str)>) {
        let expected = expected.map(|(name, version)| (name.to_owned(), version.to_owned()));
        assert_eq!(version(file), expected);
    }

    #[rstest]
    #[case("usr/sbin/ip", "../bin/ip", "usr/bin/ip")]
    #[case("usr/sbin/ip", "/bin/ip", "usr/bin/ip")]
    #[case("usr/lib/x/libm.so", "libm.so.6", "usr/lib/x/libm.so.6")]
    #[case("usr/lib64/ld.so", "../lib/x/ld.so", "usr/lib/x/ld.so")]
    fn links_are_followed_through_merged_folders(#[case] at: &str, #[case] to: &str, #[case] leads: &str) {
        assert_eq!(joined(at, to), leads);
    }

    #[test]
    fn needs_are_read_from_program() {
        let own = std::fs::read("/proc/self/exe").unwrap();
        let needs = needs(&own);
        assert!(needs.interpreter.is_some_and(|path| path.contains("ld-linux")));
        assert!(needs.libraries.iter().any(|name| name.starts_with("libc.so")), "{:?}", needs.libraries);
        assert_eq!(super::needs(b"#!/bin/sh"), Needs::default());
        assert_eq!(super::needs(&own[..100]), Needs::default());
    }
}
