//! What images have below their programs: packages of Debian, and which of their files.

/// The userland of an image: packages of Debian, and their parts that go in.
#[derive(Debug, serde::Serialize)]
pub struct Userland {
    /// The packages that are fetched, with those that they depend on.
    pub packages: &'static [&'static str],
    /// The content of an image. Libraries that these need come by themselves.
    pub files: &'static [UserlandFile],
}

/// A file of a userland, or a folder with all its files.
#[derive(Debug, serde::Serialize)]
pub struct UserlandFile {
    /// Its path in Debian's packages; with a final `/` everything in that folder. `{triplet}` is the folder of libraries.
    pub path: &'static str,
    /// Links to it that lie beside it.
    pub links: &'static [&'static str],
    /// Another place that it is put at as well.
    pub also: Option<&'static str>,
}

const fn file(path: &'static str, links: &'static [&'static str]) -> UserlandFile {
    UserlandFile { path, links, also: None }
}

/// The programs that kube-proxy and kube-router call: the tools of the packet filter, and a shell for people.
pub static PACKET_FILTER: Userland = Userland {
    // runc is of the same set, so that one run of mmdebstrap serves everything.
    packages: &["busybox-static", "conntrack", "dash", "iproute2", "ipset", "iptables", "nftables", "runc"],
    files: &[
        file(
            "usr/sbin/xtables-nft-multi",
            &[
                "iptables",
                "iptables-save",
                "iptables-restore",
                "iptables-nft",
                "iptables-nft-save",
                "iptables-nft-restore",
                "ip6tables",
                "ip6tables-save",
                "ip6tables-restore",
                "ip6tables-nft",
                "ip6tables-nft-save",
                "ip6tables-nft-restore",
            ],
        ),
        file("usr/lib/{triplet}/xtables/", &[]),
        file("usr/sbin/nft", &[]),
        file("usr/sbin/conntrack", &[]),
        file("usr/sbin/ipset", &[]),
        file("usr/bin/ip", &[]),
        file("usr/share/iproute2/", &[]),
        // kube-router adds its own tables to the one in /etc.
        UserlandFile {
            path: "usr/share/iproute2/rt_tables",
            links: &[],
            also: Some("etc/iproute2/rt_tables"),
        },
        // busybox's own shell would take its own `ip` for the real one.
        file("usr/bin/dash", &["sh"]),
        file("usr/bin/busybox", &["cat", "env", "grep", "head", "ls", "ps", "sleep", "tail"]),
    ],
};

/// A shell and what the scripts of the GPU Operator's pods call. Its C library is the one that programs with C need.
pub static SHELL: Userland = Userland {
    packages: &["bash", "coreutils", "grep", "libgcc-s1"],
    files: &[
        file("usr/bin/bash", &["sh"]),
        file("usr/bin/cat", &[]),
        file("usr/bin/chmod", &[]),
        file("usr/bin/cp", &[]),
        file("usr/bin/env", &[]),
        file("usr/bin/grep", &[]),
        file("usr/bin/head", &[]),
        file("usr/bin/ln", &[]),
        file("usr/bin/ls", &[]),
        file("usr/bin/mkdir", &[]),
        file("usr/bin/mv", &[]),
        file("usr/bin/readlink", &[]),
        file("usr/bin/rm", &[]),
        file("usr/bin/sleep", &[]),
        file("usr/bin/stat", &[]),
        file("usr/bin/tail", &[]),
        file("usr/bin/touch", &[]),
        file("usr/sbin/chroot", &[]),
        // The driver's library needs it, which the container runtime mounts into containers.
        file("usr/lib/{triplet}/libgcc_s.so.1", &[]),
    ],
};
