//! The lab's own Debian base: what goes in, and the run of mmdebstrap that makes it.
//!
//! The recipe is the scripts beside this file. They are part of the binary, and of the image's key.

use std::collections::BTreeMap;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use lab_core::units::Bytes;
use sha2::{Digest as _, Sha256};

use crate::cx::Cx;
use crate::failure::{Failure, FailureKind};
use crate::process::{ProcessError, invocation};
use crate::progress::Task;
use crate::wait::Deadline;
use crate::{files, orphans};

use super::store::{Claim, hexadecimal};
use super::{DISK, INITRD, KERNEL, Manifest, ROOT, mirror};

/// Raised when the code around the recipe changes what comes out of it.
const FORMAT: u32 = 1;
/// Names a mirror to use instead of the computer's own.
const MIRROR_VARIABLE: &str = "LAB_DEBIAN_MIRROR";
/// What the recipe leaves beside the image: name and version of each package.
const PACKAGE_LIST: &str = "packages";
const SUITE: &str = "trixie";
const ARCHITECTURE: &str = "amd64";
/// What the disk looks like to a machine. It is sparse; a machine may ask for more, and grows its root then.
const VIRTUAL_SIZE: Bytes = Bytes::from_gib(20);
/// Stands in for every time of a file that the build itself would set.
const SOURCE_DATE_EPOCH: u32 = 1_756_684_800;

/// What Kubespray installs on Debian 13 (roles/system_packages/vars/main.yml of v2.30.0): machines have no way to a
/// mirror, and packages in the image need not be installed on each of them.
const KUBESPRAY: [&str; 20] = [
    "apparmor",
    "apt-transport-https",
    "bash-completion",
    "conntrack",
    "curl",
    "ebtables",
    "gnupg",
    "ipset",
    "iptables",
    "ipvsadm",
    "kmod",
    "libseccomp2",
    "nftables",
    "openssl",
    "python3-apt",
    "rsync",
    "socat",
    "tar",
    "unzip",
    "xfsprogs",
];

/// Beside Debian's essential packages and apt.
const PACKAGES: [&str; 21] = [
    // Everything a virtual machine and Kubernetes need (ext4 built in; overlay, br_netfilter, nf_tables, ip_set, ip_vs,
    // vxlan, ipip, wireguard as modules), a quarter of the ordinary kernel's size. It has no graphics: an image for
    // GPUs wants linux-image-amd64.
    "linux-image-cloud-amd64",
    "initramfs-tools",
    "systemd",
    "systemd-sysv",
    "udev",
    // The power button, hence libvirt's graceful shutdown, is logind's, and logind speaks D-Bus.
    "dbus",
    "openssh-server",
    "sudo",
    "python3",
    "ca-certificates",
    "iproute2",
    "iputils-ping",
    "procps",
    // The root is grown with them.
    "e2fsprogs",
    "fdisk",
    // For the image's own making: initrd, unpacked kernel, boot loaders, EFI partition.
    "busybox-static",
    "zstd",
    "xz-utils",
    "grub-pc-bin",
    "grub-efi-amd64-bin",
    "mtools",
];
/// As above; apart because its name says little: `mkfs.vfat`.
const FAT_TOOLS: &str = "dosfstools";

const RECIPE: [(&str, &str); 4] = [
    ("configure.sh", include_str!("recipe/configure.sh")),
    ("disk.sh", include_str!("recipe/disk.sh")),
    ("make-disk.sh", include_str!("recipe/make-disk.sh")),
    ("init", include_str!("recipe/init")),
];

/// The kernel's command line for direct boot.
const COMMAND_LINE: [&str; 11] = [
    // For the image's own units: the initrd has set identity and address.
    "lab.direct",
    "console=ttyS0",
    "quiet",
    // A machine whose kernel gave up ends, rather than looking like a slow one.
    "panic=-1",
    // The card is `eth0` on every machine.
    "net.ifnames=0",
    // The kernel's tests of its own ciphers: 0.6 s of an emulated processor.
    "cryptomgr.notests",
    // Modules that systemd loads by itself at the start, for features that the image has no use for.
    "modprobe.blacklist=autofs4,ip_tables,qemu_fw_cfg",
    // Debian's list without those that nothing here has rules for. With `bpf` in it systemd loads a program: 0.5 s.
    "lsm=landlock,lockdown,yama,integrity,apparmor",
    // systemd does not ask the console what terminal it is, and wait for an answer.
    "TERM=dumb",
    // Its progress, with the line that says that sshd is up, as plain text.
    "systemd.show_status=yes",
    "systemd.log_color=no",
];

/// The name of the image that [`build`] makes.
pub(super) fn key() -> String {
    key_of(FORMAT, &packages(), &RECIPE, &COMMAND_LINE)
}

pub(super) fn key_of(format: u32, packages: &str, recipe: &[(&str, &str)], command_line: &[&str]) -> String {
    let mut digest = Sha256::new();
    let mut add = |bytes: &[u8]| {
        // The length first, so that no two lists of inputs read the same.
        digest.update((bytes.len() as u64).to_le_bytes());
        digest.update(bytes);
    };
    add(&format.to_le_bytes());
    add(SUITE.as_bytes());
    add(ARCHITECTURE.as_bytes());
    add(&VIRTUAL_SIZE.0.to_le_bytes());
    add(packages.as_bytes());
    for (name, text) in recipe {
        add(name.as_bytes());
        add(text.as_bytes());
    }
    add(command_line.join(" ").as_bytes());
    format!("debian13-{}", &hexadecimal(&digest.finalize())[..16])
}

fn packages() -> String {
    PACKAGES.iter().copied().chain([FAT_TOOLS]).chain(KUBESPRAY).collect::<Vec<_>>().join(",")
}

/// The mirror of Debian to take packages from: the one that is named, else the computer's own; mmdebstrap knows one where
/// there is neither.
pub fn the_mirror() -> Option<String> {
    std::env::var(MIRROR_VARIABLE).ok().or_else(|| mirror::of_this_computer(Path::new("/")))
}

/// Makes the image in the claimed folder.
pub(super) async fn build(
    cx: &Cx,
    claim: &Claim,
    deadline: Deadline,
    task: &Task,
) -> anyhow::Result<Manifest> {
    if std::env::consts::ARCH != "x86_64" {
        let words =
            format!("the lab's own image is made for x86_64 only, not for {}", std::env::consts::ARCH);
        return Err(Failure::new(FailureKind::Host, words)
            .hint("name a cloud image in the cluster file")
            .into());
    }
    let mirror = the_mirror();
    let work = WorkFolder::make(cx, claim, deadline).await?;
    for (name, text) in RECIPE {
        files::write_atomic(&work.path.join(name), text.as_bytes(), files::PUBLIC)?;
        std::fs::set_permissions(work.path.join(name), std::fs::Permissions::from_mode(0o755))?;
    }
    let log = claim.log()?;
    let cache = claim.cache("debian")?;
    task.step(match &mirror {
        Some(_) => "making the Debian 13 image from the packages of this computer's own mirror",
        None => "making the Debian 13 image from Debian's packages",
    });
    let archives = "/var/cache/apt/archives";
    let kept = quoted(&cache);
    let outputs = [DISK, KERNEL, INITRD, ROOT, PACKAGE_LIST];
    let inside = outputs.iter().map(|name| format!("/srv/{name}")).collect::<Vec<_>>().join(" ");
    let run = invocation("mmdebstrap")
        .args(["--variant=minbase", "--format=null", work.mode()])
        .arg(format!("--architectures={ARCHITECTURE}"))
        .arg(format!("--include={}", packages()))
        // Downloads are kept for the next build.
        .args(["--skip=download/empty", "--skip=essential/unlink"])
        .arg(format!("--setup-hook=mkdir -p \"$1{archives}\""))
        .arg(format!("--setup-hook=sync-in {kept} {archives}"))
        .arg(format!("--customize-hook=sync-out {archives} {kept}"))
        // A machine that lives for a day needs no manuals and no translations.
        .args(["man", "locale", "info"].map(|name| format!("--dpkgopt=path-exclude=/usr/share/{name}/*")))
        .args([
            "--dpkgopt=path-exclude=/usr/share/doc/*",
            "--dpkgopt=path-include=/usr/share/doc/*/copyright",
        ])
        .arg(format!("--customize-hook={}", work.hook("configure.sh")))
        .arg(format!("--customize-hook={}", work.hook("disk.sh")))
        .arg(format!("--customize-hook=copy-out {inside} {}", quoted(&claim.folder())))
        .args([SUITE, "-"])
        .args(&mirror)
        .env("TMPDIR", &work.path)
        .env("SOURCE_DATE_EPOCH", SOURCE_DATE_EPOCH.to_string())
        .env("LAB_DISK_MIB", VIRTUAL_SIZE.mib().to_string())
        .isolated()
        .holding(claim.lock())
        .log(&log);
    let ended = run.read(&cx.cancel, deadline).await;
    work.remove(cx, deadline).await?;
    if let Err(error) = ended {
        return Err(explained(error, &log, mirror.as_deref()));
    }
    let listed = claim.folder().join(PACKAGE_LIST);
    let text = std::fs::read_to_string(&listed)
        .with_context(|| format!("mmdebstrap ended well but left no `{}`", listed.display()))?;
    let packages: BTreeMap<String, String> = text
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(name, version)| (name.to_owned(), version.to_owned()))
        .collect();
    files::remove(&listed)?;
    Ok(Manifest {
        key: claim.key().to_owned(),
        source: "debian13".to_owned(),
        virtual_size: VIRTUAL_SIZE,
        command_line: Some(COMMAND_LINE.join(" ")),
        files: BTreeMap::new(),
        packages,
        seconds: 0,
    })
}

/// Where mmdebstrap unpacks. For root that is inside the claimed folder. An ordinary user's subordinate ids
/// must be able to reach it, which they cannot in most home folders.
struct WorkFolder {
    path: PathBuf,
    root: bool,
}

impl WorkFolder {
    async fn make(cx: &Cx, claim: &Claim, deadline: Deadline) -> anyhow::Result<Self> {
        let user = nix::unistd::geteuid();
        let work = Self {
            root: user.is_root(),
            path: if user.is_root() {
                claim.folder().join("work")
            } else {
                let temporary = std::env::var_os("TMPDIR").map_or_else(|| "/var/tmp".into(), PathBuf::from);
                temporary.join(format!("lab-image-{user}-{}", claim.key()))
            },
        };
        work.remove(cx, deadline).await?;
        // Subordinate ids pass to what they have the name of; mmdebstrap's own folder has one that cannot be guessed.
        let mode = if work.root { 0o700 } else { 0o711 };
        std::fs::DirBuilder::new()
            .mode(mode)
            .create(&work.path)
            .with_context(|| format!("cannot make `{}`", work.path.display()))?;
        // The umask of the user may have taken away what the subordinate ids need.
        std::fs::set_permissions(&work.path, std::fs::Permissions::from_mode(mode))?;
        Ok(work)
    }

    fn mode(&self) -> &'static str {
        if self.root { "--mode=root" } else { "--mode=unshare" }
    }

    /// A hook that is a shell command: mmdebstrap gives it the root tree as `$1`.
    fn hook(&self, script: &str) -> String {
        format!("{} \"$1\"", quoted(&self.path.join(script)))
    }

    /// Removes it with all that an interrupted build may have left, which is the subordinate ids' own.
    async fn remove(&self, cx: &Cx, deadline: Deadline) -> anyhow::Result<()> {
        let path = self.path.clone();
        cx.blocking(move || orphans::end(&path)).await?;
        if !self.root && self.path.exists() {
            let remove = invocation("mmdebstrap")
                .args(["--unshare-helper", "rm", "-rf", "--"])
                .args(std::fs::read_dir(&self.path)?.flatten().map(|entry| entry.path()));
            // The removal below reports the files that it could not remove.
            let _ = remove.output(&cx.cancel, deadline).await;
        }
        files::remove(&self.path)
    }
}

/// For a shell, and for mmdebstrap's own splitting of its special hooks.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

/// Says what went wrong in one sentence, then where the whole log is and how it ended.
pub(super) fn explained(error: ProcessError, log: &Path, mirror: Option<&str>) -> anyhow::Error {
    const WHAT: &str = "cannot make the Debian 13 image";
    match error {
        ProcessError::Cancelled { .. } => return error.into(),
        ProcessError::Start { .. } => {
            let hint = "run `cargo xtask setup`";
            return anyhow::Error::new(error).context(Failure::new(FailureKind::Host, WHAT).hint(hint));
        }
        _ => {}
    }
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let unreachable = [
        "Failed to fetch",
        "Temporary failure resolving",
        "Could not connect",
        "does not have a Release file",
    ];
    let failure = if says(&["No space left on device", "You don't have enough free space"]) {
        Failure::new(FailureKind::Host, format!("{WHAT}: the disk is full"))
            .hint("make some 4 GiB of room and try again")
    } else if says(&unreachable) {
        let mirror = mirror.unwrap_or("of Debian");
        Failure::new(FailureKind::Host, format!("{WHAT}: the mirror {mirror} did not serve the packages"))
            .hint(format!("name another one in {MIRROR_VARIABLE}"))
    } else if let ProcessError::Late { seconds, .. } = error {
        Failure::new(FailureKind::Host, format!("{WHAT}: it was not done after {seconds:.0} s"))
    } else {
        Failure::new(FailureKind::Host, format!("{WHAT}: mmdebstrap failed"))
    };
    let lines: Vec<&str> = text.lines().collect();
    let last = lines[lines.len().saturating_sub(12)..].join("\n");
    anyhow::anyhow!("the whole log is `{}`, its last lines:\n{last}", log.display()).context(failure)
}
