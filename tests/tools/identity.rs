//! The kernel's archive format and FAT, read by tools that are not ours.

use lab_core::identity::{boot, cloud};
use lab_tests::run;

use crate::dev;

#[test]
fn cpio_lists_the_archive_of_an_identity() {
    let archive = boot::identity_archive(&dev::identity());
    let listed = run("cpio")
        .args(["--list", "--verbose", "--numeric-uid-gid"])
        .env("TZ", "UTC")
        .input(&archive)
        .answer()
        .ok();
    // It prints the number of blocks on standard error.
    insta::assert_snapshot!(listed.stdout);
}

#[test]
fn cpio_unpacks_identity_of_machine() {
    let identity = dev::identity();
    let folder = tempfile::tempdir().unwrap();
    run("cpio")
        .args(["--extract", "--no-preserve-owner"])
        .input(&boot::identity_archive(&identity))
        .directory(folder.path())
        .answer()
        .ok();
    let read = |name: &str| std::fs::read_to_string(folder.path().join("identity").join(name)).unwrap();
    assert_eq!(read("etc/hostname"), "control-plane\n");
    assert_eq!(read("etc/machine-id").trim(), identity.numbers.machine_id);
    assert_eq!(read("etc/ssh/ssh_host_ed25519_key"), identity.host_key.private);
    assert_eq!(read("home/debian/.ssh/authorized_keys").trim(), identity.login_key);
    let key = folder.path().join("identity/etc/ssh/ssh_host_ed25519_key");
    let mode = std::os::unix::fs::MetadataExt::mode(&key.metadata().unwrap());
    assert_eq!(mode & 0o777, 0o600, "a private key is its owner's alone");
}

#[test]
fn seed_has_label_that_cloud_init_looks_for() {
    let folder = tempfile::tempdir().unwrap();
    let seed = folder.path().join("seed.img");
    std::fs::write(&seed, cloud::seed_disk(&cloud::seed(&dev::identity()))).unwrap();
    let probed = run("blkid").args(["--probe", "--output", "export"]).arg(&seed).answer().ok();
    let fields: Vec<&str> = probed
        .stdout
        .lines()
        .filter(|line| line.starts_with("LABEL=") || line.starts_with("TYPE="))
        .collect();
    assert_eq!(fields, ["LABEL=CIDATA", "TYPE=vfat"], "{probed}");
}
