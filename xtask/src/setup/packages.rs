//! The packages that a lab needs from the operating system, with their names in each distribution.
//!
//! A component is present when one of its files is there, however it came. That costs a few
//! system calls, needs no package manager, and is right for programs built by hand too.

use crate::host::Host;

/// Something that packages provide.
#[derive(Debug)]
pub struct Component {
    /// In words of people.
    pub what: &'static str,
    /// Any one of these shows that it is there: a program's name, or a path where `*` is any name.
    present: &'static [&'static str],
    /// The architecture that needs it; empty for all.
    architecture: &'static str,
    /// Its package: Debian and Ubuntu, Fedora, Arch, openSUSE.
    package: [&'static str; 4],
}

/// Families of distributions that name packages alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Installed by us, with `apt-get`.
    Debian,
    /// `dnf`.
    Fedora,
    /// `pacman`.
    Arch,
    /// `zypper`.
    Suse,
}

/// The distribution of a computer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distribution {
    /// As it calls itself.
    pub name: String,
    /// None: one whose package names we do not know.
    pub family: Option<Family>,
    /// Up to Debian 12 and Ubuntu 24.10 the package `libvirt-daemon` holds the drivers too.
    drivers_in_daemon: bool,
}

const X86: &str = "x86_64";
const ARM: &str = "aarch64";

#[rustfmt::skip] // One line a component reads as the table it is.
const COMPONENTS: &[Component] = &[
    Component { what: "a C compiler, which Rust links with", present: &["cc"], architecture: "", package: ["gcc", "gcc", "gcc", "gcc"] },
    Component { what: "C library headers", present: &["/usr/include/stdio.h"], architecture: "", package: ["libc6-dev", "glibc-devel", "glibc", "glibc-devel"] },
    Component { what: "pkg-config", present: &["pkg-config"], architecture: "", package: ["pkg-config", "pkgconf-pkg-config", "pkgconf", "pkg-config"] },
    Component { what: "libvirt's headers", present: &["/usr/lib/*/pkgconfig/libvirt.pc", "/usr/lib64/pkgconfig/libvirt.pc", "/usr/lib/pkgconfig/libvirt.pc"], architecture: "", package: ["libvirt-dev", "libvirt-devel", "libvirt", "libvirt-devel"] },
    Component { what: "libvirt's daemon", present: &["libvirtd"], architecture: "", package: ["libvirt-daemon", "libvirt-daemon", "libvirt", "libvirt-daemon"] },
    Component { what: "libvirt's QEMU driver", present: &["/usr/lib/*/libvirt/connection-driver/libvirt_driver_qemu.so", "/usr/lib64/libvirt/connection-driver/libvirt_driver_qemu.so", "/usr/lib/libvirt/connection-driver/libvirt_driver_qemu.so"], architecture: "", package: ["libvirt-daemon-driver-qemu", "libvirt-daemon-driver-qemu", "libvirt", "libvirt-daemon-driver-qemu"] },
    Component { what: "libvirt's network driver", present: &["/usr/lib/*/libvirt/connection-driver/libvirt_driver_network.so", "/usr/lib64/libvirt/connection-driver/libvirt_driver_network.so", "/usr/lib/libvirt/connection-driver/libvirt_driver_network.so"], architecture: "", package: ["libvirt-daemon-driver-network", "libvirt-daemon-driver-network", "libvirt", "libvirt-daemon-driver-network"] },
    Component { what: "libvirt's storage driver", present: &["/usr/lib/*/libvirt/connection-driver/libvirt_driver_storage.so", "/usr/lib64/libvirt/connection-driver/libvirt_driver_storage.so", "/usr/lib/libvirt/connection-driver/libvirt_driver_storage.so"], architecture: "", package: ["libvirt-daemon-driver-storage", "libvirt-daemon-driver-storage-core", "libvirt", "libvirt-daemon-driver-storage-core"] },
    Component { what: "libvirt's LXC driver", present: &["/usr/lib/*/libvirt/connection-driver/libvirt_driver_lxc.so", "/usr/lib64/libvirt/connection-driver/libvirt_driver_lxc.so", "/usr/lib/libvirt/connection-driver/libvirt_driver_lxc.so"], architecture: "", package: ["libvirt-daemon-driver-lxc", "libvirt-daemon-driver-lxc", "libvirt", "libvirt-daemon-driver-lxc"] },
    Component { what: "libvirt's clients", present: &["virt-xml-validate"], architecture: "", package: ["libvirt-clients", "libvirt-client", "libvirt", "libvirt-client"] },
    Component { what: "libvirt's schema checker", present: &["xmllint"], architecture: "", package: ["libxml2-utils", "libxml2", "libxml2", "libxml2-tools"] },
    Component { what: "QEMU", present: &["qemu-system-x86_64"], architecture: X86, package: ["qemu-system-x86", "qemu-system-x86-core", "qemu-system-x86", "qemu-x86"] },
    Component { what: "QEMU", present: &["qemu-system-aarch64"], architecture: ARM, package: ["qemu-system-arm", "qemu-system-aarch64-core", "qemu-system-aarch64", "qemu-arm"] },
    Component { what: "QEMU's disk tools", present: &["qemu-img"], architecture: "", package: ["qemu-utils", "qemu-img", "qemu-img", "qemu-img"] },
    Component { what: "DHCP and names for lab networks", present: &["dnsmasq"], architecture: "", package: ["dnsmasq-base", "dnsmasq", "dnsmasq", "dnsmasq"] },
    Component { what: "network tools", present: &["ip"], architecture: "", package: ["iproute2", "iproute", "iproute2", "iproute2"] },
    Component { what: "the packet filter that libvirt's networks use", present: &["iptables"], architecture: "", package: ["iptables", "iptables-nft", "iptables", "iptables"] },
    Component { what: "the builder of the base image", present: &["mmdebstrap"], architecture: "", package: ["mmdebstrap", "mmdebstrap", "mmdebstrap", "mmdebstrap"] },
    Component { what: "apt, which the builder calls", present: &["apt-get"], architecture: "", package: ["apt", "apt", "apt", "apt"] },
    Component { what: "Debian's signing keys", present: &["/usr/share/keyrings/debian-archive-keyring.gpg", "/usr/share/keyrings/debian-archive-keyring.pgp"], architecture: "", package: ["debian-archive-keyring", "debian-keyring", "debian-archive-keyring", "debian-archive-keyring"] },
    Component { what: "subordinate ids in namespaces", present: &["newuidmap"], architecture: "", package: ["uidmap", "shadow-utils", "shadow", "shadow"] },
    Component { what: "namespace tools", present: &["unshare"], architecture: "", package: ["util-linux", "util-linux", "util-linux", "util-linux"] },
    Component { what: "an SSH client", present: &["ssh"], architecture: "", package: ["openssh-client", "openssh-clients", "openssh", "openssh-clients"] },
    Component { what: "git, which fetches Kubespray", present: &["git"], architecture: "", package: ["git", "git", "git", "git"] },
    Component { what: "ext4 tools", present: &["mke2fs"], architecture: "", package: ["e2fsprogs", "e2fsprogs", "e2fsprogs", "e2fsprogs"] },
    Component { what: "partition tools", present: &["sfdisk"], architecture: "", package: ["fdisk", "util-linux", "util-linux", "util-linux"] },
    Component { what: "FAT tools", present: &["mkfs.vfat"], architecture: "", package: ["dosfstools", "dosfstools", "dosfstools", "dosfstools"] },
    Component { what: "files into FAT images", present: &["mcopy"], architecture: "", package: ["mtools", "mtools", "mtools", "mtools"] },
    Component { what: "GRUB's image maker", present: &["grub-mkimage", "grub2-mkimage"], architecture: "", package: ["grub-common", "grub2-tools", "grub", "grub2"] },
    Component { what: "GRUB for BIOS", present: &["/usr/lib/grub/i386-pc", "/usr/share/grub2/i386-pc"], architecture: X86, package: ["grub-pc-bin", "grub2-pc-modules", "grub", "grub2-i386-pc"] },
    Component { what: "GRUB for UEFI", present: &["/usr/lib/grub/x86_64-efi", "/usr/share/grub2/x86_64-efi"], architecture: X86, package: ["grub-efi-amd64-bin", "grub2-efi-x64-modules", "grub", "grub2-x86_64-efi"] },
    Component { what: "GRUB for UEFI", present: &["/usr/lib/grub/arm64-efi", "/usr/share/grub2/arm64-efi"], architecture: ARM, package: ["grub-efi-arm64-bin", "grub2-efi-aa64-modules", "grub", "grub2-arm64-efi"] },
    Component { what: "zstd", present: &["zstd"], architecture: "", package: ["zstd", "zstd", "zstd", "zstd"] },
    Component { what: "cpio", present: &["cpio"], architecture: "", package: ["cpio", "cpio", "cpio", "cpio"] },
];

/// Looked for on its own, because any Python of the right age serves (see [`super::environment`]).
pub const PYTHON: &Component = &Component {
    what: "Python 3.10 to 3.13 with venv",
    present: &[],
    architecture: "",
    package: ["python3-venv", "python3", "python", "python312"],
};

/// The components that are not there.
pub fn missing(host: &Host) -> Vec<&'static Component> {
    COMPONENTS
        .iter()
        .filter(|component| component.architecture.is_empty() || component.architecture == host.arch)
        .filter(|component| !component.present.iter().any(|sign| is_there(host, sign)))
        .collect()
}

fn is_there(host: &Host, sign: &str) -> bool {
    if sign.starts_with('/') { host.exists(sign) } else { host.program(sign).is_some() }
}

impl Distribution {
    /// Reads `/etc/os-release` (os-release(5)).
    pub fn of(host: &Host) -> Self {
        let text =
            host.read("/etc/os-release").or_else(|| host.read("/usr/lib/os-release")).unwrap_or_default();
        let field = |name: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            value.unwrap_or_default().trim_matches(['"', '\'']).to_owned()
        };
        let ids = format!("{} {}", field("ID"), field("ID_LIKE"));
        let family = ids.split_whitespace().find_map(|id| match id {
            "debian" | "ubuntu" => Some(Family::Debian),
            "fedora" | "rhel" => Some(Family::Fedora),
            "arch" => Some(Family::Arch),
            "opensuse" | "suse" | "opensuse-tumbleweed" | "opensuse-leap" => Some(Family::Suse),
            _ => None,
        });
        // Derivatives name the Ubuntu release that they are made of.
        let codename =
            [field("UBUNTU_CODENAME"), field("VERSION_CODENAME")].into_iter().find(|name| !name.is_empty());
        let older = ["bullseye", "bookworm", "focal", "jammy", "noble", "oracular"];
        Self {
            name: Some(field("PRETTY_NAME"))
                .filter(|name| !name.is_empty())
                .unwrap_or("an unknown system".into()),
            family,
            drivers_in_daemon: codename.is_some_and(|name| older.contains(&name.as_str())),
        }
    }

    /// This distribution's name of a component's package. None where its names are not known.
    pub fn package(&self, component: &Component) -> Option<&'static str> {
        let [debian, fedora, arch, suse] = component.package;
        Some(match self.family? {
            Family::Debian if self.drivers_in_daemon => match debian {
                "libvirt-daemon-driver-network" | "libvirt-daemon-driver-storage" => "libvirt-daemon",
                name => name,
            },
            Family::Debian => debian,
            Family::Fedora => fedora,
            Family::Arch => arch,
            Family::Suse => suse,
        })
    }
}

impl Family {
    /// The command that installs packages, to be followed by their names; for root.
    pub fn install(self) -> &'static [&'static str] {
        match self {
            Self::Debian => {
                &["apt-get", "install", "--yes", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=120"]
            }
            Self::Fedora => &["dnf", "install", "--setopt=install_weak_deps=False"],
            Self::Arch => &["pacman", "-S", "--needed"],
            Self::Suse => &["zypper", "install", "--no-recommends"],
        }
    }
}
