//! What runs as the embedded host.
//!
//! Two processes. The outer one makes the namespaces, is known by its record `host.json`, holds the lock
//! of the host as long as it lives, and ends the inner one when it is asked to, or when the folder of the
//! host is gone and no command can find the host any more. The inner one is the
//! first process of the process namespace: it starts libvirtd, reaps every orphan, and when it
//! ends the kernel ends everything in the namespace with it, QEMU and dnsmasq included.
//!
//! Nothing of the computer is changed: every mount is private to the mount namespace, and files are
//! written only below the host's folder. This runs before any async runtime, with one thread,
//! because a process with several threads can neither unshare nor join a user namespace.

use std::fs::File;
use std::io::{BufRead as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::Context as _;
use nix::mount::{MsFlags, mount};
use nix::poll::{PollFd, PollFlags, poll};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{Pid, setsid};
use serde::{Deserialize, Serialize};

use crate::files::{self, PUBLIC};
use crate::layout::{HostFiles, LabFiles};
use crate::process::invocation;
use crate::processes::{ProcessId, in_namespace, namespace, own_program};
use crate::timeouts::{
    FOLDER_CHECK_MILLISECONDS, LAST_HOST_END_INTERVAL, LAST_HOST_END_TIMEOUT, LIBVIRTD_START_INTERVAL,
    LIBVIRTD_START_TIMEOUT, LOST_HOST_END_INTERVAL, LOST_HOST_END_TIMEOUT,
};
use crate::wait::{Deadline, Probe, until_blocking};

use super::embedded::survivors;
use super::{cgroups, containers};

/// The folders of libvirt's that become private, as (folder below the host's own, where libvirt looks).
/// They are compiled into libvirt's daemons (its meson.build: sysconfdir, localstatedir, runstatedir).
const PRIVATE_FOLDERS: [(&str, &str); 4] = [
    ("etc", "/etc/libvirt"),
    ("run", "/run/libvirt"),
    ("lib", "/var/lib/libvirt"),
    ("log", "/var/log/libvirt"),
];

/// Permission bits of those folders: dnsmasq reads below them as a user of its own. The folder above is private.
const LIBVIRT_FOLDER: u32 = 0o755;

/// libvirt's cache of capabilities is the only one of its folders that hosts share.
const CACHE: &str = "/var/cache/libvirt";

/// The drivers that the host's libvirtd loads. One that cannot start would end the daemon, and each costs time.
const DRIVERS: [&str; 3] = ["network", "qemu", "storage"];
/// The driver of containers, loaded where they can be had.
const CONTAINER_DRIVER: &str = "lxc";

/// Accounts that libvirt looks up by name when it starts, under any settings (the defaults of Debian's
/// build; qemu_conf.c looks them up before it reads qemu.conf), as (file, lines). A bare computer lacks them.
const ACCOUNTS: [(&str, &[&str]); 2] = [
    ("/etc/passwd", &["libvirt-qemu:x:64055:64055::/nonexistent:/usr/sbin/nologin"]),
    ("/etc/group", &["libvirt-qemu:x:64055:", "kvm:x:64056:"]),
];

/// Settings of libvirt's QEMU driver. Each line is what a process without real root can do: it cannot change
/// owners of disks, has no security module, no cgroups of its own, and no log daemon beside it.
const QEMU_CONF: &str = r#"user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
cgroup_controllers = []
namespaces = []
stdio_handler = "file"
"#;

/// Settings of libvirt's LXC driver: a computer's own security module knows nothing of the lab's files.
const LXC_CONF: &str = "security_driver = \"none\"\n";

/// Settings of libvirtd. A program that connects to a socket owns the lab, so the sockets are the owner's alone: Debian's
/// default is one for everybody.
const LIBVIRTD_CONF: &str = r#"auth_unix_ro = "none"
auth_unix_rw = "none"
unix_sock_ro_perms = "0700"
unix_sock_rw_perms = "0700"
unix_sock_admin_perms = "0700"
log_level = 3
"#;

/// libvirtd's socket, as seen from inside the host.
pub const SOCKET: &str = "/run/libvirt/libvirt-sock";

/// The line by which the launcher learns that libvirtd answers.
pub const READY: &str = "ready";
/// The line that asks the launcher to map the subordinate ids.
pub const MAP: &str = "map";
/// The launcher's answer once they are mapped.
pub const MAPPED: &str = "mapped";
/// The line of a supervisor that found another one at work.
pub const BUSY: &str = "busy";

/// `host.json`: who the supervisor is, and which namespaces are its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostRecord {
    /// The outer process.
    pub supervisor: ProcessId,
    /// Inode of the network namespace; `None` until it is made.
    pub network_namespace: Option<u64>,
    /// Inode of the namespace of processes; `None` until it is made.
    pub process_namespace: Option<u64>,
    /// The inner process, which sees what libvirtd sees; `None` until it is started.
    pub first: Option<ProcessId>,
    /// Why this host runs no containers; `None` where it does.
    pub no_containers: Option<String>,
    /// Its control groups.
    #[serde(default)]
    pub groups: Vec<PathBuf>,
}

impl HostRecord {
    /// A host of which only the supervisor is known.
    pub fn of(supervisor: ProcessId) -> Self {
        Self {
            supervisor,
            network_namespace: None,
            process_namespace: None,
            first: None,
            no_containers: None,
            groups: Vec::new(),
        }
    }
}

/// The outer process. Speaks with its launcher over standard output and input, one word a line.
///
/// # Errors
/// When a namespace or a mount is refused, or libvirtd does not start. The launcher shows it.
pub fn outer(folder: &Path, cache: &Path) -> anyhow::Result<()> {
    files::set_umask_of_machines();
    let files = HostFiles { folder: folder.to_owned() };
    let Some(lock) = files::try_lock(&files.lock())? else {
        println!("{BUSY}");
        return Ok(());
    };
    setsid().context("cannot leave the terminal")?;
    wait_for_the_last_one(&files)?;
    let mut record = HostRecord {
        no_containers: containers::obstacle(),
        ..HostRecord::of(ProcessId::of(std::process::id().cast_signed())?)
    };
    if record.no_containers.is_none() {
        record.groups = cgroups::planned(folder)?;
    }
    write_record(&files, &record)?;

    let computer = Computer::seen_from_here()?;
    // Signals are taken one by one below; blocked before the first child so that none is lost.
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.add(Signal::SIGCHLD);
    signals.thread_block().context("cannot block signals")?;

    if !nix::unistd::geteuid().is_root() {
        unshare(CloneFlags::CLONE_NEWUSER).context("the kernel refuses a user namespace")?;
        println!("{MAP}");
        std::io::stdout().flush()?;
        let mut answer = String::new();
        std::io::stdin().lock().read_line(&mut answer)?;
        anyhow::ensure!(answer.trim() == MAPPED, "the subordinate ids were not mapped");
    }
    let mut namespaces = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS;
    if record.no_containers.is_none() {
        cgroups::enter(folder)?;
        namespaces |= CloneFlags::CLONE_NEWCGROUP;
    }
    unshare(namespaces).context("the kernel refuses the host's namespaces")?;
    // Recorded from here on, so that the record leads to what lives in the namespaces.
    record.network_namespace = namespace(record.supervisor.pid, "net");
    private_mounts(folder, cache, record.no_containers.is_none())?;

    let mut inner = invocation(own_program()).args(["internal", "host-inner"]).arg(folder).spawn(
        Stdio::null(),
        Stdio::piped(),
        Stdio::inherit(),
    )?;
    let inner_pid = Pid::from_raw(inner.id().cast_signed());
    record.process_namespace = namespace(inner.id().cast_signed(), "pid");
    record.first = Some(ProcessId::of(inner.id().cast_signed())?);
    write_record(&files, &record)?;
    let mut line = String::new();
    let mut says = std::io::BufReader::new(inner.stdout.take().context("the inner process has no output")?);
    says.read_line(&mut line).context("cannot hear the inner process")?;
    // Passed on, so that the reader of "ready" also finds the whole record.
    print!("{line}");
    std::io::stdout().flush()?;
    let arrived = SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC).context("cannot wait for signals")?;
    loop {
        let mut sources = [PollFd::new(arrived.as_fd(), PollFlags::POLLIN)];
        let count = poll(&mut sources, FOLDER_CHECK_MILLISECONDS).context("cannot wait for signals")?;
        let is_lost = count == 0 && !files::is_named(&lock, &files.lock());
        let is_asked = count > 0
            && arrived.read_signal()?.is_some_and(|signal| signal.ssi_signo == Signal::SIGTERM as u32);
        if is_asked || is_lost {
            // A command that asks has ended the machines already; those of a lost host have no owner.
            let _ = kill(inner_pid, Signal::SIGKILL);
        }
        if is_lost {
            eprintln!("the folder of the host is gone, and the host ends itself");
            inner.wait()?;
            return computer.forget(folder, &record);
        }
        if let Some(status) = inner.try_wait()? {
            let asked = std::os::unix::process::ExitStatusExt::signal(&status) == Some(9);
            anyhow::ensure!(asked, "the inner process ended by itself with {status}");
            return Ok(());
        }
    }
}

/// The namespaces of the computer, kept open by a supervisor for its own end.
struct Computer {
    mounts: File,
    groups: File,
}

impl Computer {
    fn seen_from_here() -> anyhow::Result<Self> {
        let open = |kind: &str| {
            let path = format!("/proc/self/ns/{kind}");
            File::open(&path).with_context(|| format!("cannot open `{path}`"))
        };
        Ok(Self { mounts: open("mnt")?, groups: open("cgroup")? })
    }

    /// Removes what a lost host leaves outside its folder: programs that joined its network, and its
    /// control groups, which this process has to leave first.
    fn forget(&self, folder: &Path, record: &HostRecord) -> anyhow::Result<()> {
        let own = record.supervisor.pid;
        let guests = || -> Vec<i32> {
            let all = record.network_namespace.map(|inode| in_namespace("net", inode)).unwrap_or_default();
            all.into_iter().filter(|pid| *pid != own).collect()
        };
        let deadline = Deadline::after(LOST_HOST_END_TIMEOUT);
        until_blocking("the end of the host's programs", deadline, LOST_HOST_END_INTERVAL, || {
            cgroups::thaw(&record.groups);
            let left = guests();
            for pid in &left {
                // It may have ended since it was found.
                let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
            }
            if left.is_empty() { Probe::Ready(()) } else { Probe::NotYet(format!("{left:?} live")) }
        })?;
        // Only root's hosts have control groups.
        if record.groups.is_empty() {
            return Ok(());
        }
        setns(&self.mounts, CloneFlags::CLONE_NEWNS).context("cannot return to the computer's mounts")?;
        setns(&self.groups, CloneFlags::CLONE_NEWCGROUP).context("cannot return to the computer's groups")?;
        cgroups::leave(folder)?;
        cgroups::remove(&record.groups)
    }
}

fn write_record(files: &HostFiles, record: &HostRecord) -> anyhow::Result<()> {
    files::write_atomic(&files.record(), &serde_json::to_vec_pretty(record)?, PUBLIC)
}

/// A supervisor that was killed leaves its namespace to the kernel to clear: its QEMUs hold locks on the
/// disks until they are gone.
fn wait_for_the_last_one(files: &HostFiles) -> anyhow::Result<()> {
    let Some(last) = read_record(files)? else { return Ok(()) };
    let deadline = Deadline::after(LAST_HOST_END_TIMEOUT);
    until_blocking("the end of the last host's processes", deadline, LAST_HOST_END_INTERVAL, || {
        match survivors(&files.folder, &last).as_slice() {
            [] => Probe::Ready(()),
            left => Probe::NotYet(format!("processes {left:?} live")),
        }
    })?;
    Ok(())
}

/// The record of the last supervisor, whether it lives or not.
///
/// # Errors
/// When the file is there and cannot be read. One that cannot be understood counts as none: it was
/// written whole, so it is of another version of this program.
pub fn read_record(files: &HostFiles) -> anyhow::Result<Option<HostRecord>> {
    files::read_own(&files.record())
}

fn bind(from: &Path, to: &str) -> anyhow::Result<()> {
    mount(Some(from), to, None::<&str>, MsFlags::MS_BIND, None::<&str>)
        .with_context(|| format!("cannot put `{}` over `{to}`", from.display()))
}

/// Lays the host's own folders over libvirt's, in this mount namespace alone.
fn private_mounts(folder: &Path, cache: &Path, containers: bool) -> anyhow::Result<()> {
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
        .context("cannot make the mounts private")?;
    // libvirt's run-time folder is made by its service files; a bare computer has none.
    mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, Some("mode=0755"))
        .context("cannot mount a private /run")?;
    // And libvirt locks the terminal of a console that is attached to, by a file of /var/lock.
    for folder in ["/run/libvirt", "/run/lock"] {
        std::fs::create_dir(folder)?;
    }
    for (name, target) in PRIVATE_FOLDERS {
        let own = folder.join(name);
        if name == "run" {
            // It holds what libvirt knows of living machines, and a new host has none.
            files::remove(&own)?;
        }
        files::folder_with_mode(&own, LIBVIRT_FOLDER)?;
        bind(&own, target)?;
    }
    files::make_folder(cache)?;
    bind(cache, CACHE)?;
    for (target, lines) in ACCOUNTS {
        let own = folder.join(target.trim_start_matches("/etc/"));
        let text = with_accounts(&std::fs::read_to_string(target)?, lines);
        files::write_atomic(&own, text.as_bytes(), PUBLIC)?;
        bind(&own, target)?;
    }
    files::write_atomic(&folder.join("etc/qemu.conf"), QEMU_CONF.as_bytes(), PUBLIC)?;
    files::write_atomic(&folder.join("etc/libvirtd.conf"), LIBVIRTD_CONF.as_bytes(), PUBLIC)?;
    files::write_atomic(&folder.join("etc/lxc.conf"), LXC_CONF.as_bytes(), PUBLIC)?;
    if containers {
        cgroups::mount_own()?;
    }
    let drivers = folder.join("drivers");
    files::remove(&drivers)?;
    files::make_folder(&drivers)?;
    for driver in DRIVERS.into_iter().chain(containers.then_some(CONTAINER_DRIVER)) {
        let file = format!("libvirt_driver_{driver}.so");
        let installed = driver_folder()?.join(&file);
        symlink(&installed, drivers.join(&file))?;
    }
    Ok(())
}

/// An account file with those of `lines` added whose name it lacks.
fn with_accounts(file: &str, lines: &[&str]) -> String {
    let name = |line: &str| line.split(':').next().map(str::to_owned);
    let missing = lines.iter().filter(|line| !file.lines().any(|have| name(have) == name(line)));
    std::iter::once(file.trim_end()).chain(missing.copied()).flat_map(|line| [line, "\n"]).collect()
}

/// Where the distribution put libvirt's drivers: Debian and Ubuntu below the multi-arch folder, Fedora and Arch in lib64 or lib.
pub(super) fn driver_folder() -> anyhow::Result<PathBuf> {
    let arch = std::env::consts::ARCH;
    [format!("/usr/lib/{arch}-linux-gnu"), "/usr/lib64".to_owned(), "/usr/lib".to_owned()]
        .into_iter()
        .map(|base| PathBuf::from(base).join("libvirt/connection-driver"))
        .find(|folder| folder.join("libvirt_driver_qemu.so").exists())
        .context("libvirt's QEMU driver is not installed")
}

/// The inner process: first in its process namespace.
///
/// # Errors
/// When libvirtd cannot be started or does not answer.
pub fn inner(folder: &Path) -> anyhow::Result<std::convert::Infallible> {
    // When the outer process is killed, everything here must go with it.
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).context("cannot tie the host to its supervisor")?;
    // Its own mount namespace: the supervisor goes on seeing the computer's processes.
    unshare(CloneFlags::CLONE_NEWNS).context("the kernel refuses a mount namespace")?;
    mount(
        Some("proc"),
        "/proc",
        Some("proc"),
        MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC,
        None::<&str>,
    )
    .context("cannot mount /proc of the host's own processes")?;
    let loopback = invocation("ip")
        .args(["link", "set", "lo", "up"])
        .spawn(Stdio::null(), Stdio::inherit(), Stdio::inherit())?
        .wait()?;
    anyhow::ensure!(loopback.success(), "cannot set the loopback device up: {loopback}");
    let start = || {
        invocation("libvirtd")
            .args(["--config", "/etc/libvirt/libvirtd.conf", "--pid-file", "/run/libvirt/libvirtd.pid"])
            .env("LIBVIRT_DRIVER_DIR", folder.join("drivers"))
            .spawn(Stdio::null(), Stdio::null(), Stdio::inherit())
    };
    let mut daemon = start()?.id().cast_signed();
    let deadline = Deadline::after(LIBVIRTD_START_TIMEOUT);
    until_blocking("libvirtd's socket", deadline, LIBVIRTD_START_INTERVAL, || {
        // Orphans are reaped from the start: libvirtd waits for the end of the QEMUs it asks for their abilities.
        while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            match status.pid() {
                Some(pid) if pid.as_raw() == daemon => {
                    return Probe::Fatal(anyhow::anyhow!("libvirtd ended: {status:?}"));
                }
                Some(_) => {}
                None => break,
            }
        }
        // The socket is there a moment before anybody listens on it.
        match UnixStream::connect(SOCKET) {
            Ok(_) => Probe::Ready(()),
            Err(error) => Probe::NotYet(error.to_string()),
        }
    })?;
    let serve = || {
        let served = LabFiles { folder: folder.parent().unwrap_or(folder).to_owned() }.served();
        invocation(own_program()).args(["internal", "serve"]).arg(served.folder).spawn(
            Stdio::null(),
            Stdio::null(),
            Stdio::inherit(),
        )
    };
    let mut keeper = serve()?.id().cast_signed();
    println!("{READY}");
    std::io::stdout().flush()?;
    loop {
        let status = waitpid(None, None).context("no child is left")?;
        if status.pid().map(Pid::as_raw) == Some(keeper) {
            eprintln!("what serves artefacts ended ({status:?}) and is started again");
            keeper = serve()?.id().cast_signed();
        }
        if status.pid().map(Pid::as_raw) == Some(daemon) {
            // Machines outlive their libvirtd and are found again by the next one.
            eprintln!("libvirtd ended ({status:?}) and is started again");
            daemon = start()?.id().cast_signed();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn existing_account_is_not_added_again() {
        let file = "root:x:0:\nkvm:x:104:\n";
        assert_eq!(with_accounts(file, ACCOUNTS[1].1), "root:x:0:\nkvm:x:104:\nlibvirt-qemu:x:64055:\n");
    }
}
