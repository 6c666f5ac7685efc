//! Files that a user names: cluster files, inventories, images. Owns the refusal of everything that is no ordinary
//! file, and of files that are too large. Does not look into them.
//!
//! Opening a FIFO waits for a writer, possibly for ever, and opening a device may do anything. So the kind of a path
//! is looked at before it is opened, and once more on the opened file.

use std::fs::{File, FileType};
use std::io::Read as _;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

use anyhow::Context as _;
use nix::errno::Errno;
use nix::fcntl::OFlag;

use crate::failure::{Failure, FailureKind};

/// How large a file of some role may be.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    /// The name of such a file in messages, with its article.
    pub role: &'static str,
    /// The largest in bytes.
    pub bytes: u64,
    /// The advice about a larger one.
    pub hint: &'static str,
}

/// Kubernetes ends at 5,000 nodes, and a machine with every key takes 500 bytes.
pub const CLUSTER_FILE: Limit = Limit {
    role: "a cluster file",
    bytes: 4 << 20,
    hint: "keep only the cluster in it: a file of 5,000 machines with every key has 2.5 MiB",
};

/// 5,000 hosts with 3 KiB of variables each, as `ansible-inventory --list` writes them into one file.
pub const INVENTORY_FILE: Limit = Limit {
    role: "a file of an inventory",
    bytes: 16 << 20,
    hint: "spread it over several files: Ansible reads all that lie in group_vars/GROUP and host_vars/HOST",
};

/// The largest of Kubespray itself, with the definitions of cert-manager, has 600 KiB.
pub const KUBESPRAY_FILE: Limit = Limit {
    role: "a file of Kubespray",
    bytes: 4 << 20,
    hint: "give a checkout of Kubespray in which no such file was added",
};

/// The kind of a path. Links are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathKind {
    /// Nothing is there.
    Missing,
    /// An ordinary file.
    File,
    /// A folder.
    Folder,
    /// Anything else, as a message calls it: `a FIFO`.
    Other(&'static str),
}

impl PathKind {
    /// Looks at a path.
    ///
    /// # Errors
    /// With the system's reason, when the path cannot be looked at.
    pub fn of(path: &Path) -> std::io::Result<Self> {
        let error = match path.metadata() {
            Ok(metadata) => return Ok(Self::of_type(metadata.file_type())),
            Err(error) => error,
        };
        match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ENOENT) if path.is_symlink() => Ok(Self::Other("a link that leads nowhere")),
            Some(Errno::ENOENT | Errno::ENOTDIR | Errno::ENAMETOOLONG) => Ok(Self::Missing),
            Some(Errno::ELOOP) => Ok(Self::Other("a link that leads back to itself")),
            _ => Err(error),
        }
    }

    fn of_type(kind: FileType) -> Self {
        if kind.is_file() {
            Self::File
        } else if kind.is_dir() {
            Self::Folder
        } else if kind.is_fifo() {
            Self::Other("a FIFO")
        } else if kind.is_socket() {
            Self::Other("a socket")
        } else {
            Self::Other("a device")
        }
    }

    /// The name of anything but an ordinary file in messages, with its article.
    pub fn name_unless_file(self) -> Option<&'static str> {
        match self {
            Self::Missing | Self::File => None,
            Self::Folder => Some("a folder"),
            Self::Other(name) => Some(name),
        }
    }
}

/// Looks at a path that the user named.
///
/// # Errors
/// With the path and the system's reason, when it cannot be looked at.
pub fn kind_of(path: &Path) -> anyhow::Result<PathKind> {
    PathKind::of(path).with_context(|| Failure::new(FailureKind::Usage, unreadable(path)))
}

fn unreadable(path: &Path) -> String {
    format!("cannot read `{}`", path.display())
}

/// The refusal of a path that is no ordinary file.
pub fn not_a_file(path: &Path, kind: &str) -> Failure {
    Failure::new(FailureKind::Usage, format!("`{}` is {kind}, not a file", path.display()))
        .hint("put an ordinary file there, or move it away")
}

/// Opens an ordinary file for reading.
///
/// # Errors
/// When it is anything else, or cannot be opened.
pub fn open(path: &Path) -> anyhow::Result<File> {
    let refuse = |kind: PathKind| match kind.name_unless_file() {
        Some(name) => Err(not_a_file(path, name)),
        None => Ok(()),
    };
    refuse(PathKind::of(path).with_context(|| unreadable(path))?)?;
    // Between the two looks, the path may become something else. O_NONBLOCK changes nothing for an ordinary file.
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file =
        File::options().read(true).custom_flags(flags.bits()).open(path).with_context(|| unreadable(path))?;
    refuse(PathKind::of_type(file.metadata().with_context(|| unreadable(path))?.file_type()))?;
    Ok(file)
}

/// Reads an ordinary file that the user named.
///
/// # Errors
/// As [`open`], or when it is larger: with its size and the limit.
pub fn read(path: &Path, limit: Limit) -> anyhow::Result<Vec<u8>> {
    read_within(path, limit).map_err(|error| {
        if error.is::<Failure>() {
            error
        } else {
            error.context(Failure::new(FailureKind::Usage, unreadable(path)))
        }
    })
}

fn read_within(path: &Path, limit: Limit) -> anyhow::Result<Vec<u8>> {
    let file = open(path)?;
    let too_large = |size: u64| {
        let (size, most) = (mebibytes(size), mebibytes(limit.bytes));
        let message = format!("`{}` has {size}, and {} has at most {most}", path.display(), limit.role);
        Failure::new(FailureKind::Usage, message).hint(limit.hint)
    };
    let size = file.metadata().with_context(|| unreadable(path))?.len();
    if size > limit.bytes {
        return Err(too_large(size).into());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default() + 1);
    // The file may grow while it is read, and the size of a file of the kernel is 0.
    file.take(limit.bytes + 1).read_to_end(&mut bytes).with_context(|| unreadable(path))?;
    if bytes.len() as u64 > limit.bytes {
        return Err(too_large(bytes.len() as u64).into());
    }
    Ok(bytes)
}

/// Rounded up, `4.1 MiB`: a size beyond a limit never looks like the limit.
fn mebibytes(bytes: u64) -> String {
    let tenths = bytes.saturating_mul(10).div_ceil(1 << 20);
    if tenths.is_multiple_of(10) {
        format!("{} MiB", tenths / 10)
    } else {
        format!("{}.{} MiB", tenths / 10, tenths % 10)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;
    use std::path::PathBuf;

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;
    use rstest::rstest;

    use super::*;

    const TEST: Limit = Limit { role: "a test", bytes: 1 << 20, hint: "none" };

    /// Makes something that is no ordinary file under this path.
    fn make(kind: &str, path: &Path) {
        match kind {
            "folder" => std::fs::create_dir(path).unwrap(),
            "fifo" => mkfifo(path, Mode::S_IRWXU).unwrap(),
            "socket" => drop(UnixListener::bind(path).unwrap()),
            "device" => symlink("/dev/null", path).unwrap(),
            "dangling" => symlink("nowhere", path).unwrap(),
            "loop" => symlink(path, path).unwrap(),
            "link to a fifo" => {
                let target = path.with_extension("target");
                make("fifo", &target);
                symlink(target, path).unwrap();
            }
            _ => unreachable!(),
        }
    }

    #[rstest]
    #[case("folder", "a folder")]
    #[case("fifo", "a FIFO")]
    #[case("link to a fifo", "a FIFO")]
    #[case("socket", "a socket")]
    #[case("device", "a device")]
    #[case("dangling", "a link that leads nowhere")]
    #[case("loop", "a link that leads back to itself")]
    fn read_refuses_everything_but_ordinary_files(#[case] kind: &str, #[case] named: &str) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("input");
        make(kind, &path);
        let error = read(&path, TEST).unwrap_err();
        assert_eq!(error.to_string(), format!("`{}` is {named}, not a file", path.display()));
        assert_eq!(crate::failure_kind::of(&error), FailureKind::Usage);
    }

    #[test]
    fn read_refuses_a_missing_file_with_the_reason_of_the_system() {
        for path in ["/nowhere/at/all", "/dev/null/below"].map(PathBuf::from) {
            assert_eq!(PathKind::of(&path).unwrap(), PathKind::Missing);
            let error = read(&path, TEST).unwrap_err();
            assert_eq!(error.to_string(), format!("cannot read `{}`", path.display()));
            assert!(error.root_cause().is::<std::io::Error>(), "{error:?}");
            assert_eq!(crate::failure_kind::of(&error), FailureKind::Usage);
        }
    }

    #[rstest]
    #[case(1 << 20, None)]
    #[case((1 << 20) + 1, Some("has 1.1 MiB, and a test has at most 1 MiB"))]
    fn read_accepts_a_file_up_to_its_limit(#[case] length: usize, #[case] refused: Option<&str>) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), vec![b'x'; length]).unwrap();
        match (read(file.path(), TEST), refused) {
            (Ok(bytes), None) => assert_eq!(bytes.len(), length),
            (Err(error), Some(refused)) => assert!(error.to_string().contains(refused), "{error}"),
            (result, _) => panic!("{result:?}"),
        }
    }

    /// The size is looked at before a byte is read: this file has 1 TiB, and none of it is on a disk.
    #[test]
    fn read_refuses_a_large_file_by_its_size() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(1 << 40).unwrap();
        let error = read(file.path(), CLUSTER_FILE).unwrap_err();
        let expected =
            format!("`{}` has 1048576 MiB, and a cluster file has at most 4 MiB", file.path().display());
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn documentation_states_the_limits() {
        let limits = [CLUSTER_FILE, INVENTORY_FILE].map(|limit| mebibytes(limit.bytes));
        let expected = format!(
            "a cluster file has at most {} and 250,000 values, a file of an inventory {}",
            limits[0], limits[1]
        );
        assert!(include_str!("../../docs/lint.md").contains(&expected), "{expected}");
        assert!(include_str!("../../docs/configuration.md").contains(&format!("at most {}.", limits[0])));
    }

    #[test]
    fn read_limits_a_file_that_hides_its_size() {
        assert!(read(Path::new("/proc/self/maps"), Limit { bytes: 10, ..TEST }).is_err());
    }
}
