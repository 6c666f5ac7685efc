//! What a container is made of: a root that is an overlay on the image's tree, a folder for what cannot lie on an
//! overlay, its identity, its first program, and the keeper of its console.
//!
//! The files lie under `roots/<machine>/`; the mount exists only where the lab's libvirtd sees it, so it goes with
//! the host. Mounting and unmounting are done by a process of their own (`lab internal mount-root`), because joining a
//! mount namespace is for processes with one thread.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use lab_core::identity::{MachineIdentity, boot};
use lab_core::libvirt_xml::{ContainerPlan, container_xml};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns};

use crate::files::{self, SECRET};
use crate::host::embedded::EmbeddedHost;
use crate::host::enter;
use crate::layout::RootFiles;
use crate::process::{Invocation, invocation};
use crate::processes::own_program;

use super::apply::ApplyContext;

/// The first process of every container.
const FIRST_PROGRAM: &str = include_str!("container/first.sh");
/// Where it lies in a container.
const FIRST_PROGRAM_PATH: &str = "/usr/lib/lab/first";
/// What the container runtime keeps there are overlays itself, and the kernel refuses overlays on an overlay.
const PLAIN_FOLDER: &str = "/var/lib/containerd";

/// Writes the files that give a container its identity, as a tree to be copied over its root at its start.
///
/// # Errors
/// When a file cannot be written.
pub fn write_identity(root: &RootFiles, identity: &MachineIdentity) -> anyhow::Result<()> {
    let tree = root.identity();
    // The tree holds a private key, and the machine's `/` beside it is open to every user of the machine.
    files::private_folder(&root.folder)?;
    files::remove(&tree)?;
    for entry in boot::identity_entries(identity) {
        let path = tree.join(entry.path);
        match entry.content {
            boot::Content::Directory => files::make_folder(&path)?,
            boot::Content::File(bytes) => files::write_atomic(&path, &bytes, SECRET)?,
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(entry.permissions))?;
        chown(&path, Some(entry.owner), Some(entry.owner))?;
    }
    Ok(())
}

/// The machine's definition.
pub fn definition(context: &ApplyContext, name: &str) -> String {
    let root = context.lab.files.root(name);
    container_xml(&ContainerPlan {
        lab: context.state.get().lab,
        cluster: context.lab.spec.name.clone(),
        machine: name.to_owned(),
        uuid: context.desired.numbers[name].uuid,
        applied: context.desired.machines[name].applied.clone(),
        first_program: FIRST_PROGRAM_PATH.to_owned(),
        root: root.mounted().display().to_string(),
        folders: vec![(root.plain().display().to_string(), PLAIN_FOLDER.to_owned())],
        network: context.desired.network.name.clone(),
    })
}

/// Mounts a machine's root where the lab's libvirtd sees it. To be called before every start. `below`: the lower layers
/// of the overlay, the topmost first.
pub fn mounting(host: &EmbeddedHost, root: &RootFiles, below: &[PathBuf]) -> Invocation {
    invocation(own_program())
        .args(["internal", "mount-root"])
        .arg(host.first.to_string())
        .arg(&root.folder)
        .args(below)
}

/// Takes it away again.
pub fn unmounting(host: &EmbeddedHost, root: &RootFiles) -> Invocation {
    invocation(own_program()).args(["internal", "unmount-root"]).arg(host.first.to_string()).arg(&root.folder)
}

fn join_mounts(first: i32) -> anyhow::Result<()> {
    let namespace = std::fs::File::open(format!("/proc/{first}/ns/mnt"))
        .with_context(|| format!("cannot see the mounts of the lab's host: process {first} is gone"))?;
    setns(namespace, CloneFlags::CLONE_NEWNS).context("cannot join the mounts of the lab's host")
}

/// Whether something is mounted there: what lies in a mount has another device than what it is mounted on. The /proc that
/// is seen here is the host's own, in which this process has no entry to ask.
fn is_mounted(place: &Path) -> anyhow::Result<bool> {
    let device = |path: &Path| {
        path.metadata()
            .map(|metadata| metadata.dev())
            .with_context(|| format!("cannot see `{}`", path.display()))
    };
    Ok(device(place)? != device(place.parent().context("a root has a folder")?)?)
}

/// `lab internal mount-root`: the overlay, the identity, the first program.
///
/// # Errors
/// When the kernel refuses the overlay, or a file cannot be written.
pub fn mount_root(first: i32, folder: &Path, below: &[PathBuf]) -> anyhow::Result<()> {
    join_mounts(first)?;
    files::set_umask_of_machines();
    let root = RootFiles { folder: folder.to_owned() };
    let mounted = root.mounted();
    if !is_mounted(&mounted)? {
        // A comma ends an option and a colon a lower folder; a backslash takes that from them.
        let escaped = |path: &Path| {
            path.display().to_string().replace('\\', "\\\\").replace(',', "\\,").replace(':', "\\:")
        };
        let lower: Vec<String> = below.iter().map(|path| escaped(path)).collect();
        let lower = lower.join(":");
        let options =
            format!("lowerdir={lower},upperdir={},workdir={}", escaped(&root.upper()), escaped(&root.work()));
        mount(Some("overlay"), &mounted, Some("overlay"), MsFlags::empty(), Some(options.as_str()))
            .with_context(|| {
                format!("the kernel refuses the root of the machine, an overlay on `{lower}`")
            })?;
    }
    let program = mounted.join(FIRST_PROGRAM_PATH.trim_start_matches('/'));
    files::folder_with_mode(program.parent().context("a program has a folder")?, 0o755)?;
    files::write_unread(&program, FIRST_PROGRAM.as_bytes(), 0o755)?;
    copy_tree(&root.identity(), &mounted)
}

/// `lab internal unmount-root`.
///
/// # Errors
/// When the kernel refuses.
pub fn unmount_root(first: i32, folder: &Path) -> anyhow::Result<()> {
    join_mounts(first)?;
    let mounted = RootFiles { folder: folder.to_owned() }.mounted();
    if is_mounted(&mounted)? {
        umount2(&mounted, MntFlags::MNT_DETACH)
            .with_context(|| format!("cannot take `{}` away", mounted.display()))?;
    }
    Ok(())
}

/// Copies the files of a tree over another one: files are replaced, modes and owners are the source's. A killed copy
/// leaves no file of its own that a snapshot would keep.
fn copy_tree(from: &Path, to: &Path) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(from).with_context(|| format!("cannot read `{}`", from.display()))? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let metadata = entry.metadata()?;
        if metadata.is_dir() {
            files::make_folder(&target)?;
            copy_tree(&source, &target)?;
        } else {
            files::write_unread(&target, &std::fs::read(&source)?, SECRET)?;
        }
        chown(&target, Some(metadata.uid()), Some(metadata.gid()))?;
        std::fs::set_permissions(&target, metadata.permissions())?;
    }
    Ok(())
}

/// Starts the keeper of a machine's console: a process on the host's network, so that the end of the host ends it,
/// which writes everything the machine says to a file and ends with the machine.
///
/// # Errors
/// When it cannot be started.
pub fn keep_console(host: &EmbeddedHost, terminal: &str, log: &Path) -> anyhow::Result<()> {
    if let Some(folder) = log.parent() {
        files::private_folder(folder)?;
    }
    let keeper = invocation(own_program()).args(["internal", "keep-console", terminal]).arg(log);
    Ok(enter::wrap(host.pid, &keeper).detached()?)
}

/// `lab internal keep-console`: copies a terminal to the end of a file until the terminal is gone.
///
/// # Errors
/// When the terminal or the file cannot be opened.
pub fn run_keeper(terminal: &Path, log: &Path) -> anyhow::Result<()> {
    let mut from = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(nix::libc::O_NOCTTY)
        .open(terminal)
        .with_context(|| format!("cannot open `{}`", terminal.display()))?;
    let mut to = files::open_log(log)?;
    let mut buffer = vec![0; 1 << 14];
    loop {
        match from.read(&mut buffer) {
            // A terminal whose other end is gone gives an error.
            Ok(0) | Err(_) => return Ok(()),
            Ok(count) => to.write_all(&buffer[..count])?,
        }
    }
}
