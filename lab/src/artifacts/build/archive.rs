//! Archives whose bytes depend on their contents alone: sorted, no times, no names of people.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use flate2::{Compression, GzBuilder};

/// Something in an archive.
#[derive(Debug, Clone)]
pub enum Node {
    /// An empty folder.
    Folder {
        /// Permission bits.
        mode: u32,
    },
    /// A file that lies somewhere on this computer.
    File {
        /// Where.
        from: PathBuf,
        /// Permission bits.
        mode: u32,
    },
    /// A file of these bytes.
    Bytes {
        /// All of them.
        bytes: Vec<u8>,
        /// Permission bits.
        mode: u32,
    },
    /// A link to another path.
    Link {
        /// As it is written into the link.
        to: String,
    },
}

/// What goes into an archive, by its path there: relative, without `.` and `..`.
pub type Tree = BTreeMap<String, Node>;

/// All ordinary files below a folder, under the path `to` with a final `/`.
///
/// # Errors
/// When the folder cannot be read.
pub fn folder(from: &Path, to: &str) -> anyhow::Result<Tree> {
    let mut tree = Tree::new();
    let mut open = vec![(from.to_owned(), to.to_owned())];
    while let Some((from, to)) = open.pop() {
        let context = || format!("cannot read the folder `{}`", from.display());
        for entry in std::fs::read_dir(&from).with_context(context)? {
            let entry = entry.with_context(context)?;
            let path = format!("{to}{}", entry.file_name().to_string_lossy());
            let kind = entry.file_type().with_context(context)?;
            if kind.is_dir() {
                open.push((entry.path(), format!("{path}/")));
            } else if kind.is_file() {
                tree.insert(path, Node::File { from: entry.path(), mode: 0o644 });
            }
        }
    }
    Ok(tree)
}

/// Writes a tree, with the folders above everything that is in it.
///
/// # Errors
/// When a file cannot be read or the archive cannot be written.
pub fn write<W: Write>(tree: &Tree, to: W) -> io::Result<W> {
    let mut all = tree.clone();
    for path in tree.keys() {
        for (end, _) in path.match_indices('/') {
            all.entry(path[..end].to_owned()).or_insert(Node::Folder { mode: 0o755 });
        }
    }
    let mut archive = tar::Builder::new(to);
    for (path, node) in &all {
        match node {
            Node::Folder { mode } => {
                let mut header = header(*mode, tar::EntryType::Directory, 0);
                archive.append_data(&mut header, format!("{path}/"), io::empty())?;
            }
            Node::File { from, mode } => {
                let mut file = std::fs::File::open(from)?;
                let size = file.metadata()?.len();
                let mut header = header(*mode, tar::EntryType::Regular, size);
                // A file that grows meanwhile must not run into the next entry.
                archive.append_data(&mut header, path, (&mut file).take(size))?;
            }
            Node::Bytes { bytes, mode } => {
                let mut header = header(*mode, tar::EntryType::Regular, bytes.len() as u64);
                archive.append_data(&mut header, path, bytes.as_slice())?;
            }
            Node::Link { to } => {
                let mut header = header(0o777, tar::EntryType::Symlink, 0);
                archive.append_link(&mut header, path, to)?;
            }
        }
    }
    archive.into_inner()
}

/// As [`write`], in the format of gzip.
///
/// # Errors
/// As [`write`].
pub fn write_gzip<W: Write>(tree: &Tree, to: W) -> io::Result<W> {
    // Not compressed: Ansible reads an archive three times on each machine to unpack it, and it is never sent far.
    let gzip = GzBuilder::new().mtime(0).write(to, Compression::none());
    write(tree, gzip)?.finish()
}

fn header(mode: u32, kind: tar::EntryType, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header
}
