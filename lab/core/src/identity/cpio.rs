//! Archives in the `newc` format, the one that the Linux kernel unpacks into its initial file system.
//!
//! The format is documented in the kernel's `driver-api/early-userspace/buffer-format`. No clock and no inode
//! number is read: the same entries give the same bytes.

/// One entry of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Without a slash at its start or its end.
    pub path: String,
    /// Permission bits.
    pub permissions: u32,
    /// User and group.
    pub owner: u32,
    /// Its content.
    pub content: Content,
}

/// The kind of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A directory. The kernel makes no parents: it must come before its content.
    Directory,
    /// A regular file.
    File(Vec<u8>),
}

/// File type bits of `st_mode`.
const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;

/// Archives are padded to this length, so that several can follow one another.
const BLOCK: usize = 512;

/// The archive of these entries, uncompressed, padded to a multiple of 512 bytes.
///
/// # Panics
/// If a file or a path is 4 GiB long or more, which the format cannot say.
pub(super) fn archive(entries: &[Entry]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (entry, inode) in entries.iter().zip(1..) {
        let (kind, links, bytes) = match &entry.content {
            Content::Directory => (DIRECTORY, 2, &[][..]),
            Content::File(bytes) => (REGULAR, 1, bytes.as_slice()),
        };
        let mode = kind | entry.permissions;
        append(&mut archive, &entry.path, [inode, mode, entry.owner, entry.owner, links], bytes);
    }
    append(&mut archive, "TRAILER!!!", [0, 0, 0, 0, 1], &[]);
    archive.resize(archive.len().next_multiple_of(BLOCK), 0);
    archive
}

/// Appends one member. `fields` are inode, mode, user, group and number of links.
fn append(archive: &mut Vec<u8>, path: &str, fields: [u32; 5], bytes: &[u8]) {
    let length = |length: usize| u32::try_from(length).expect("a member is shorter than 4 GiB");
    archive.extend(b"070701");
    let [inode, mode, user, group, links] = fields;
    let modified = 0;
    let (size, name) = (length(bytes.len()), length(path.len() + 1));
    // After the size come the numbers of the device it lies on and of the device it is, and after
    // the length of the name a checksum that this format leaves zero.
    for field in [inode, mode, user, group, links, modified, size, 0, 0, 0, 0, name, 0] {
        archive.extend(format!("{field:08X}").bytes());
    }
    archive.extend(path.bytes());
    archive.push(0);
    archive.resize(archive.len().next_multiple_of(4), 0);
    archive.extend(bytes);
    archive.resize(archive.len().next_multiple_of(4), 0);
}
