use std::io::Read as _;

use rstest::rstest;

use super::boot::entries;
use super::cloud::{seed, seed_disk};
use super::cpio::{Content, Entry, archive};
use super::*;
use crate::fixtures;

fn lab() -> LabId {
    LabId::from_bytes([0x0a, 0x1b, 0x2c, 0x3d, 0x4e, 0x5f])
}

#[rstest]
#[case::short("0a1b2c3d4e5")]
#[case::long("0a1b2c3d4e5f0")]
#[case::upper_case("0A1B2C3D4E5F")]
#[case::not_hexadecimal("0a1b2c3d4e5g")]
#[case::empty("")]
fn lab_id_refuses_invalid_text(#[case] text: &str) {
    assert!(text.parse::<LabId>().is_err());
    assert!(serde_json::from_value::<LabId>(text.into()).is_err());
}

#[test]
fn lab_id_survives_state_file() {
    let text = serde_json::to_string(&lab()).unwrap();
    assert_eq!(text, "\"0a1b2c3d4e5f\"");
    assert_eq!(serde_json::from_str::<LabId>(&text).unwrap(), lab());
}

#[test]
fn numbers_are_derived_from_the_lab_and_the_name_alone() {
    let numbers = machine_numbers(&lab(), ["control-plane", "cpu-worker"]);
    insta::assert_snapshot!(
        numbers
            .iter()
            .map(|(name, n)| format!("{name}: {} {} {}\n", n.mac, n.uuid, n.machine_id))
            .collect::<String>()
    );
    let reversed = machine_numbers(&lab(), ["cpu-worker", "control-plane"]);
    assert_eq!(numbers, reversed);
    let other = machine_numbers(&LabId::from_bytes([0; 6]), ["control-plane"]);
    let (ours, others) = (&numbers["control-plane"], &other["control-plane"]);
    assert!(ours.mac != others.mac && ours.uuid != others.uuid && ours.machine_id != others.machine_id);
}

#[test]
fn no_two_of_many_machines_have_one_mac_address() {
    // By the birthday bound, 20,000 hashes of 24 bits hold about a dozen collisions.
    let names: Vec<String> = (0..20_000).map(|number| format!("machine-{number}")).collect();
    let first_choice: BTreeSet<_> = names.iter().map(|name| mac_address(&lab(), name, 0)).collect();
    assert!(first_choice.len() < names.len(), "the names no longer show a collision");
    let numbers = machine_numbers(&lab(), names.iter().map(String::as_str));
    let unique: BTreeSet<_> = numbers.values().map(|numbers| numbers.mac).collect();
    assert_eq!(unique.len(), names.len());
}

#[test]
fn host_key_hides_private_half_in_debug_output() {
    let identity = fixtures::identity("control-plane");
    assert!(!format!("{identity:?}").contains("PRIVATE KEY"), "{identity:?}");
}

/// Reads an archive back by the format's own description.
fn read_archive(mut bytes: &[u8]) -> Vec<(Entry, u32, u32)> {
    let mut members = Vec::new();
    loop {
        let field = |index: usize| {
            let digits = &bytes[6 + 8 * index..][..8];
            u32::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap()
        };
        assert_eq!(&bytes[..6], b"070701");
        let (name_length, size) = (field(11) as usize, field(6) as usize);
        let name = std::str::from_utf8(&bytes[110..][..name_length - 1]).unwrap().to_owned();
        assert_eq!(bytes[110 + name_length - 1], 0);
        let data = (110 + name_length).next_multiple_of(4);
        if name == "TRAILER!!!" {
            assert!(bytes[data..].iter().all(|byte| *byte == 0));
            return members;
        }
        let mode = field(1);
        let content = match mode & 0o170_000 {
            0o040_000 => Content::Directory,
            0o100_000 => Content::File(bytes[data..][..size].to_vec()),
            other => panic!("unexpected type {other:o}"),
        };
        let entry = Entry { path: name, permissions: mode & 0o7777, owner: field(2), content };
        members.push((entry, field(0), field(4)));
        bytes = &bytes[(data + size).next_multiple_of(4)..];
    }
}

#[test]
fn archive_reads_back_as_written() {
    let written = entries(&fixtures::identity("control-plane"));
    let bytes = archive(&written);
    assert_eq!(bytes.len() % 512, 0);
    let read = read_archive(&bytes);
    let inodes: BTreeSet<u32> = read.iter().map(|(_, inode, _)| *inode).collect();
    assert_eq!(inodes.len(), written.len());
    for (entry, _, links) in &read {
        assert_eq!(*links, if entry.content == Content::Directory { 2 } else { 1 });
    }
    assert_eq!(read.into_iter().map(|(entry, ..)| entry).collect::<Vec<_>>(), written);
}

#[test]
fn every_directory_comes_before_what_lies_in_it() {
    let mut made = BTreeSet::from([String::new()]);
    for entry in entries(&fixtures::identity("control-plane")) {
        let parent = entry.path.rsplit_once('/').map_or("", |(parent, _)| parent);
        assert!(made.contains(parent), "{} has no parent yet", entry.path);
        if entry.content == Content::Directory {
            made.insert(entry.path);
        }
    }
}

#[test]
fn identity_gives_files() {
    let text = entries(&fixtures::identity("control-plane"))
        .into_iter()
        .map(|Entry { path, permissions, owner, content }| match content {
            Content::Directory => format!("{permissions:04o} {owner:4} {path}/\n"),
            Content::File(bytes) => {
                let text = String::from_utf8(bytes).unwrap();
                let indented: String = text.lines().map(|line| format!("          | {line}\n")).collect();
                format!("{permissions:04o} {owner:4} {path}\n{indented}")
            }
        })
        .collect::<String>();
    insta::assert_snapshot!(text);
}

#[test]
fn cloud_image_gets_seed() {
    let seed = seed(&fixtures::identity("control-plane"));
    insta::assert_snapshot!(format!(
        "--- user-data\n{}--- meta-data\n{}--- network-config\n{}",
        seed.user_data, seed.meta_data, seed.network_config
    ));
}

#[test]
fn instance_id_changes_exactly_with_identity() {
    let identity = fixtures::identity("control-plane");
    let same = seed(&identity.clone());
    assert_eq!(same, seed(&identity));
    let moved = MachineIdentity { address: Ipv4Addr::new(192, 168, 200, 99), ..identity.clone() };
    let rekeyed = MachineIdentity { login_key: "ssh-ed25519 AAAAother".to_owned(), ..identity };
    assert_ne!(same.meta_data, seed(&moved).meta_data);
    assert_ne!(same.meta_data, seed(&rekeyed).meta_data);
}

#[test]
fn seed_disk_reads_back() {
    let seed = seed(&fixtures::identity("control-plane"));
    let mut disk = seed_disk(&seed);
    assert_eq!(disk, seed_disk(&seed));
    let volume =
        fatfs::FileSystem::new(std::io::Cursor::new(&mut disk[..]), fatfs::FsOptions::new()).unwrap();
    assert_eq!(volume.volume_label(), "CIDATA");
    let files = volume.root_dir().iter().map(|entry| {
        let entry = entry.unwrap();
        let mut text = String::new();
        entry.to_file().read_to_string(&mut text).unwrap();
        (entry.file_name(), text)
    });
    let expected = [
        ("user-data", seed.user_data.clone()),
        ("meta-data", seed.meta_data.clone()),
        ("network-config", seed.network_config.clone()),
    ];
    assert_eq!(files.collect::<Vec<_>>(), expected.map(|(name, text)| (name.to_owned(), text)));
}
