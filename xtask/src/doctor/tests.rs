//! Whole made-up computers, and what the doctor says about them.

use super::*;
use crate::host::fake::Fake;

/// No checkout lies here, so nothing has been made by setup.
const ROOT: &str = "/nonexistent/checkout";

fn nowhere() -> Folders {
    Folders { root: ROOT.into(), cache: "/nonexistent/cache".into() }
}

fn diagnosis(fake: &Fake) -> String {
    table(&examine(&fake.host, &nowhere()))
}

/// A computer on which no program at all is installed.
fn bare() -> Fake {
    Fake::new()
        .file(
            "/proc/cpuinfo",
            "processor\t: 0\nmodel name\t: AMD EPYC\nflags\t\t: fpu hypervisor sse\n\nprocessor\t: 1\n",
        )
        .file("/proc/meminfo", "MemTotal: 24684092 kB\nMemAvailable:   24252300 kB\n")
        .file("/proc/self/cgroup", "4:memory:/\n1:cpu:/\n0::/\n")
        .file("/dev/kvm", "")
        .file("/dev/net/tun", "")
        .mode("/dev/net/tun", 0o600)
        .file("/proc/sys/fs/inotify/max_user_instances", "128\n")
        .file("/proc/sys/kernel/pid_max", "32768\n")
}

/// A workstation with everything installed.
fn workstation() -> Fake {
    let mut fake = Fake::new()
        .file(
            "/proc/cpuinfo",
            "processor\t: 0\nmodel name\t: Xeon\nflags\t\t: fpu vmx sse\n\nprocessor\t: 1\n",
        )
        .file("/proc/meminfo", "MemAvailable:   67108864 kB\n")
        .file("/proc/self/cgroup", "0::/user.slice/session-1.scope\n")
        .file("/sys/fs/cgroup/cgroup.controllers", "cpu memory pids\n")
        .file("/sys/fs/cgroup/user.slice/session-1.scope/cgroup.subtree_control", "")
        .file("/sys/class/iommu/dmar0", "")
        .file("/sys/kernel/iommu_groups/0", "")
        .file("/sys/kernel/iommu_groups/1", "")
        .file("/dev/kvm", "")
        .file("/dev/net/tun", "")
        .mode("/dev/net/tun", 0o666)
        .file("/boot/vmlinuz-6.12", "")
        .file("/etc/subuid", "alice:100000:65536\n")
        .file("/etc/subgid", "alice:100000:65536\n")
        .file("/usr/include/stdio.h", "")
        .file("/usr/share/keyrings/debian-archive-keyring.gpg", "")
        .file("/usr/lib/grub/i386-pc/x", "")
        .file("/usr/lib/grub/x86_64-efi/x", "")
        .file("/usr/lib/x86_64-linux-gnu/pkgconfig/libvirt.pc", "");
    for driver in ["qemu", "network", "storage", "lxc"] {
        fake = fake.file(
            &format!("/usr/lib/x86_64-linux-gnu/libvirt/connection-driver/libvirt_driver_{driver}.so"),
            "",
        );
    }
    for program in [
        "cc",
        "virt-xml-validate",
        "xmllint",
        "qemu-img",
        "dnsmasq",
        "ip",
        "iptables",
        "mmdebstrap",
        "apt-get",
        "newuidmap",
        "ssh",
        "mke2fs",
        "sfdisk",
        "mkfs.vfat",
        "mcopy",
        "grub-mkimage",
        "zstd",
        "cpio",
        "unshare",
    ] {
        fake = fake.program(program, "true");
    }
    fake.program("libvirtd", "echo 'libvirtd (libvirt) 9.0.0'")
        .program("pkg-config", "echo 9.0.0")
        .program("qemu-system-x86_64", "echo 'QEMU emulator version 7.2.18 (Debian 1:7.2)'")
        .program(
            "timeout",
            "echo 'Linux version 6.12'; echo 'Kernel panic - not syncing: VFS: Unable to mount root fs'",
        )
        .program("df", "echo Filesystem; echo '/dev/vda 264212084 16669588 78831676 18% /'")
        .program("python3", "echo 3.11.2")
        .user("alice")
}

#[test]
fn doctor_judges_bare_computer_of_root() {
    insta::assert_snapshot!(diagnosis(&bare()));
}

#[test]
fn doctor_prints_json_of_bare_computer() {
    insta::assert_snapshot!(json(&examine(&bare().host, &nowhere())));
}

#[test]
fn doctor_judges_workstation_without_ansible() {
    insta::assert_snapshot!(diagnosis(&workstation()));
}

#[test]
fn doctor_judges_restricted_computer_of_ordinary_user() {
    let fake = workstation()
        .program("unshare", "exit 1")
        .file("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1\n")
        .file("/etc/subuid", "bob:100000:65536\n")
        .mode("/dev/net/tun", 0o600)
        .program("timeout", "exit 124")
        .program("pkg-config", "echo 10.0.0")
        .program("df", "echo x; echo '/dev/vda 4000000 1 3000000 18% /'")
        .file("/proc/meminfo", "MemAvailable:   4194304 kB\n");
    insta::assert_snapshot!(diagnosis(&fake));
}

#[test]
fn kvm_is_judged_by_what_a_kernel_did() {
    let text = |fake: &Fake| kvm::probe(&fake.host, &nowhere());
    let good = text(&workstation());
    assert_eq!(good.status, Status::Good, "{good:?}");
    let crashed =
        text(&workstation().program("timeout", "echo 'Linux version'; echo 'general protection fault'"));
    assert!(crashed.text.contains("general protection fault"), "{crashed:?}");
    let hung = text(&workstation().program("timeout", "exit 124"));
    assert!(hung.text.contains("hung"), "{hung:?}");
    let emulated = text(&bare());
    assert!(emulated.text.contains("not in the processor"), "{emulated:?}");
}

#[test]
fn folders_of_labs_that_others_can_enter_are_named_with_the_command_that_closes_them() {
    let (output, cache) = ("/home/alice/it's mine/output", "/home/alice/.cache/lab");
    let folders = Folders { root: "/home/alice/it's mine".into(), cache: cache.into() };
    let of = |output_mode: u32, cache_mode: u32| {
        let mut fake = workstation();
        for (path, mode) in [(output, output_mode), (cache, cache_mode)] {
            fake = fake.file(&format!("{path}/x"), "").mode(path, mode);
        }
        let findings = examine(&fake.host, &folders);
        findings.into_iter().find(|(name, _)| *name == "other users").unwrap().1
    };
    assert_eq!(of(0o700, 0o700).status, Status::Good);
    let found = of(0o755, 0o710);
    assert_eq!((found.status, found.text), (Status::Note, format!("can enter {output}, {cache}")));
    let fix = r"chmod go-rwx '/home/alice/it'\''s mine/output' '/home/alice/.cache/lab'";
    assert_eq!(found.fix, Some(Fix::Command(fix.to_owned())));
}

#[test]
fn doctor_runs_every_probe_on_empty_computer() {
    let findings = examine(&Fake::new().user("alice").host, &nowhere());
    assert_eq!(findings.len(), probes::PROBES.len());
    assert!(missing(&findings).contains(&"libvirt"));
}

/// Processes of root have seven instances here, and one of another user has one.
#[test]
fn room_for_clusters_follows_the_tightest_limit() {
    let with_instances = |instances: &str| {
        let mut fake = Fake::new()
            .file("/proc/sys/fs/inotify/max_user_instances", instances)
            .file("/proc/sys/fs/inotify/max_user_watches", "192536\n")
            .file("/proc/sys/kernel/pid_max", "32768\n")
            .file("/proc/loadavg", "0.20 0.18 0.12 1/268 11206\n")
            .file("/proc/key-users", "    0:     9 8/8 3/1000000 40/25000000\n")
            .file("/proc/7/status", "Name:\tx\nUid:\t0\t0\t0\t0\n")
            .file("/proc/8/status", "Name:\tx\nUid:\t101\t101\t101\t101\n")
            .link("/proc/7/fd/0", "/dev/null")
            .link("/proc/8/fd/0", "anon_inode:inotify");
        for number in 1..=7 {
            fake = fake.link(&format!("/proc/7/fd/{number}"), "anon_inode:inotify");
        }
        fake
    };
    let root = &nowhere();
    let few = shared::limits(&with_instances("100\n").host, root);
    assert_eq!(
        (few.status, few.text.as_str()),
        (Status::Note, "room for 1 cluster like quick: 7 of 100 inotify instances")
    );
    assert_eq!(few.fix, Some(Fix::Command("cargo xtask setup --limits".into())));
    let many = shared::limits(&with_instances("8192\n").host, root);
    assert_eq!(many.status, Status::Good, "{many:?}");
    assert!(many.text.ends_with("268 of 32768 processes and threads"), "{many:?}");
    let of_groups = |groups: &str| {
        shared::limits(&with_instances("140\n").file("/proc/self/cgroup", groups).host, root).text
    };
    assert!(of_groups("4:memory:/\n0::/\n").starts_with("room for 2 clusters "));
    assert!(of_groups("0::/\n").starts_with("room for 1 cluster "), "runtimes watch each container there");
    let of_user = shared::limits(&with_instances("100\n").user("alice").host, root);
    assert_eq!((of_user.status, of_user.fix), (Status::Good, None), "ordinary users have no containers");
    let low = shared::limits(&with_instances("20\n").file("/proc/sys/kernel/pid_max", "500\n").host, root);
    assert_eq!(
        low.text,
        "room for 0 clusters like quick: 7 of 20 inotify instances, 268 of 500 processes and threads"
    );
}

#[test]
fn disk_for_pods_warns_before_they_leave() {
    let free = |kib: u64| {
        let fake = Fake::new().program("df", &format!("echo x; echo '/dev/vda 264212084 1 {kib} 18% /'"));
        let Finding { status, text, .. } = shared::disk(&fake.host, &nowhere());
        format!("{status:?}: {text}")
    };
    assert_eq!(free(20 << 20), "Good: 20.0 GiB free; pods leave containers below 1 GiB");
    assert_eq!(
        free(5 << 20),
        "Note: 5.0 GiB free: a deploy of quick writes 4.5 GiB, and pods leave containers below 1 GiB"
    );
    assert_eq!(free(900 << 10), "Note: 0.8 GiB free: pods leave containers below 1 GiB");
    assert_eq!(shared::disk(&Fake::new().host, &nowhere()).text, "unknown");
}
