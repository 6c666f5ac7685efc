//! The digest of a folder: of every file in it with its owner, permissions and attributes.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};

/// The contents of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// `sha256:…` of names, kinds, owners, permissions, extended attributes and bytes. Times are no part of it.
    pub digest: String,
    /// Bytes of all files.
    pub size: u64,
}

/// Digests a folder, or a single file.
///
/// # Errors
/// When something in it cannot be read.
pub fn of(path: &Path) -> anyhow::Result<Content> {
    let mut hasher = Sha256::new();
    let mut size = 0;
    add(&mut hasher, &mut size, path)?;
    let digest: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Content { digest: format!("sha256:{digest}"), size })
}

fn add(hasher: &mut Sha256, size: &mut u64, path: &Path) -> anyhow::Result<()> {
    let unreadable = || format!("cannot read `{}`", path.display());
    let metadata = path.symlink_metadata().with_context(unreadable)?;
    for number in [metadata.mode(), metadata.uid(), metadata.gid()] {
        hasher.update(number.to_le_bytes());
    }
    attributes(hasher, path).with_context(unreadable)?;
    if metadata.is_dir() {
        let mut names: Vec<_> = std::fs::read_dir(path)
            .with_context(unreadable)?
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect::<Result<_, _>>()
            .with_context(unreadable)?;
        names.sort();
        hasher.update(names.len().to_le_bytes());
        for name in names {
            text(hasher, name.as_bytes());
            add(hasher, size, &path.join(name))?;
        }
    } else if metadata.is_symlink() {
        text(hasher, std::fs::read_link(path).with_context(unreadable)?.as_os_str().as_bytes());
    } else if metadata.is_file() {
        *size += metadata.len();
        hasher.update(metadata.len().to_le_bytes());
        let mut file = File::open(path).with_context(unreadable)?;
        let mut buffer = vec![0; 1 << 18];
        loop {
            match file.read(&mut buffer).with_context(unreadable)? {
                0 => break,
                count => hasher.update(&buffer[..count]),
            }
        }
    } else {
        // An overlay says by a device with the number 0 that a file of a lower layer is gone.
        hasher.update(metadata.rdev().to_le_bytes());
    }
    Ok(())
}

/// The extended attributes, sorted by name. An overlay keeps in them which folders hide those below.
fn attributes(hasher: &mut Sha256, path: &Path) -> std::io::Result<()> {
    let mut list = vec![0; 1 << 12];
    let length = rustix::fs::llistxattr(path, &mut list)?;
    let mut names: Vec<&[u8]> =
        list[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()).collect();
    names.sort_unstable();
    for name in names {
        let mut value = vec![0; 1 << 16];
        let length = rustix::fs::lgetxattr(path, name, &mut value)?;
        text(hasher, name);
        text(hasher, &value[..length]);
    }
    hasher.update([0]);
    Ok(())
}

fn text(hasher: &mut Sha256, bytes: &[u8]) {
    hasher.update(bytes.len().to_le_bytes());
    hasher.update(bytes);
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn digest_changes_with_content_mode_name_and_link() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let now = || of(folder.path()).unwrap();
        std::fs::write(path("a"), "one").unwrap();
        let mut seen = vec![now()];
        assert_eq!(now(), seen[0]);
        assert_eq!(seen[0].size, 3);
        let changes: [&dyn Fn(); 6] = [
            &|| std::fs::write(path("a"), "two").unwrap(),
            &|| std::fs::set_permissions(path("a"), std::fs::Permissions::from_mode(0o755)).unwrap(),
            &|| std::fs::rename(path("a"), path("b")).unwrap(),
            &|| std::fs::create_dir(path("c")).unwrap(),
            &|| std::os::unix::fs::symlink("b", path("link")).unwrap(),
            &|| {
                std::fs::remove_file(path("link")).unwrap();
                std::os::unix::fs::symlink("c", path("link")).unwrap();
            },
        ];
        for change in changes {
            change();
            let content = now();
            assert!(!seen.contains(&content), "{content:?}");
            seen.push(content);
        }
    }
}
