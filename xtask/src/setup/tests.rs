//! The plan on made-up computers.

use super::*;
use crate::host::fake::Fake;

const EVERYTHING: Needs = Needs { lab: true, tools: false, go: false };

fn environment() -> Environment {
    Environment {
        requirements: "ansible/requirements.txt",
        path: "/home/alice/.cache/lab/environments/ansible-0123456789abcdef".into(),
    }
}

fn release(text: &str) -> Fake {
    Fake::new().file("/etc/os-release", text)
}

fn plan(fake: &Fake) -> String {
    Plan::make(&fake.host, EVERYTHING, vec![environment()]).text(&fake.host)
}

const DEBIAN_12: &str =
    "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\nVERSION_CODENAME=bookworm\n";
const DEBIAN_13: &str = "PRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\nID=debian\nVERSION_CODENAME=trixie\n";
const UBUNTU_24: &str = "PRETTY_NAME=\"Ubuntu 24.04.3 LTS\"\nID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=noble\nUBUNTU_CODENAME=noble\n";

#[test]
fn bare_debian_12_as_root() {
    insta::assert_snapshot!(plan(&release(DEBIAN_12).file("/dev/net/tun", "").mode("/dev/net/tun", 0o600)));
}

#[test]
fn bare_debian_13_takes_the_drivers_from_their_own_packages() {
    insta::assert_snapshot!(plan(&release(DEBIAN_13)));
}

#[test]
fn bare_ubuntu_24_04_as_an_ordinary_user() {
    let fake = release(UBUNTU_24).file("/dev/net/tun", "").mode("/dev/net/tun", 0o666).user("alice");
    insta::assert_snapshot!(plan(&fake.file("/etc/subuid", "bob:100000:65536\n")));
}

#[test]
fn bare_fedora_arch_suse_and_unknown() {
    let releases = [
        "PRETTY_NAME=\"Fedora Linux 42\"\nID=fedora\n",
        "PRETTY_NAME=\"Arch Linux\"\nID=arch\n",
        "PRETTY_NAME=\"openSUSE Tumbleweed\"\nID=\"opensuse-tumbleweed\"\nID_LIKE=\"opensuse suse\"\n",
        "PRETTY_NAME=\"Plan 9\"\nID=plan9\n",
    ];
    let texts =
        releases.map(|text| plan(&release(text).file("/dev/net/tun", "").mode("/dev/net/tun", 0o666)));
    insta::assert_snapshot!(texts.join("\n----\n\n"));
}

#[test]
fn derivatives_are_what_they_are_made_of() {
    let mint = "PRETTY_NAME=\"Linux Mint 22\"\nID=linuxmint\nID_LIKE=\"ubuntu debian\"\nVERSION_CODENAME=wilma\nUBUNTU_CODENAME=noble\n";
    let plan = Plan::make(&release(mint).host, EVERYTHING, vec![]);
    assert!(plan.packages.contains(&"libvirt-daemon"));
    assert!(!plan.packages.contains(&"libvirt-daemon-driver-network"));
}

#[test]
fn plan_has_own_qemu_on_arm_computer() {
    let mut fake = release(DEBIAN_13);
    fake.host.arch = "aarch64".into();
    let plan = Plan::make(&fake.host, EVERYTHING, vec![]);
    assert!(plan.packages.contains(&"qemu-system-arm") && plan.packages.contains(&"grub-efi-arm64-bin"));
    assert!(!plan.packages.contains(&"qemu-system-x86") && !plan.packages.contains(&"grub-pc-bin"));
}

#[test]
fn plan_leaves_out_installed_packages() {
    let fake = release(DEBIAN_13)
        .program("qemu-system-x86_64", "")
        .file("/usr/lib/x86_64-linux-gnu/pkgconfig/libvirt.pc", "")
        .program("python3", "echo 3.13.5");
    let plan = Plan::make(&fake.host, EVERYTHING, vec![environment()]);
    for package in ["qemu-system-x86", "libvirt-dev", "python3-venv"] {
        assert!(!plan.packages.contains(&package), "{package}");
    }
    assert!(plan.packages.contains(&"libvirt-daemon"));
}

#[test]
fn tests_of_pure_code_need_only_the_tools() {
    let plan = Plan::make(
        &release(DEBIAN_12).program("python3", "echo 3.11.2").host,
        Needs { lab: false, tools: true, go: false },
        vec![],
    );
    assert!(plan.is_empty());
}

#[test]
fn root_is_ready_with_a_closed_tun_device_but_others_are_not() {
    let closed = |fake: Fake| fake.file("/dev/net/tun", "").mode("/dev/net/tun", 0o600);
    assert_eq!(tun(&closed(Fake::new()).host), Some(Tun { exists: true, required: false }));
    assert_eq!(tun(&closed(Fake::new().user("alice")).host), Some(Tun { exists: true, required: true }));
    assert_eq!(tun(&Fake::new().host), Some(Tun { exists: false, required: true }));
}

#[test]
fn subordinate_ids_do_not_overlap_those_of_others() {
    let given = |subuid: &str, subgid: &str| {
        let fake = Fake::new().user("alice").file("/etc/subuid", subuid).file("/etc/subgid", subgid);
        subordinate_ids(&fake.host).map(|ids| ids.first)
    };
    assert_eq!(given("", ""), Some(100_000));
    assert_eq!(given("bob:100000:65536\n", "bob:100000:65536\ncarol:300000:65536\n"), Some(365_536));
    assert_eq!(given("alice:100000:65536\n", "alice:100000:65536\n"), None);
    assert_eq!(given("1000:100000:65536\n", "1000:100000:65536\n"), None);
    assert_eq!(given("alice:100000:65536\n", ""), Some(165_536));
    assert_eq!(given("nonsense\n:::\nbob:x:y\n", ""), Some(100_000));
    assert_eq!(subordinate_ids(&Fake::new().host), None);
}
