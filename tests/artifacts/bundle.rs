//! From one site to another in a file, and wrong files.

use std::fs;

use rstest::rstest;

use crate::site::{Site, bytes, error};
use lab_tests::checkout::sha256;

fn exported() -> (Site, std::path::PathBuf) {
    let site = Site::new();
    site.artifacts(&["fetch"]).answer().ok();
    let bundle = site.checkout.root().join("bundle.tar");
    site.artifacts(&["export", "--output"]).arg(&bundle).answer().ok();
    (site, bundle)
}

#[test]
fn bundle_carries_everything_to_offline_site() {
    let (site, bundle) = exported();
    let again = site.checkout.root().join("again.tar");
    site.artifacts(&["export", "--output"]).arg(&again).answer().ok();
    assert_eq!(fs::read(&bundle).unwrap(), fs::read(&again).unwrap(), "the same store gives the same bytes");

    let mut other = Site::new();
    other.lock = site.lock.clone();
    other.write_lock();
    let read = other.plain(&["import", "--json"]).arg(&bundle).answer().ok().json();
    assert_eq!((&read["files"], &read["images"]), (&2.into(), &2.into()));
    other.is_whole();
    other.artifacts(&["fetch"]).answer().ok();
    assert_eq!(
        site.server.log().iter().filter(|line| line.contains("HEAD")).count(),
        2,
        "no server is asked again"
    );
    let list = other.artifacts(&["list", "--json"]).answer().ok().json();
    assert!(list["artifacts"].as_array().unwrap().iter().all(|row| row["source"] == "bundle"), "{list:#}");
    let second = other.plain(&["import", "--json"]).arg(&bundle).answer().ok().json();
    assert_eq!(second["blobs"], 0, "stored blobs are not written again");
}

#[test]
fn export_of_incomplete_bundle_needs_option() {
    let site = Site::new();
    site.server.mood("/v1.34.3/large", crate::server::Mood::Status(404));
    site.artifacts(&["fetch"]).answer().code(10);
    let bundle = site.checkout.root().join("bundle.tar");
    let refused = site.artifacts(&["export", "--output"]).arg(&bundle).answer().code(30);
    site.shows("a_bundle_with_something_missing", &error(&refused));
    assert!(!bundle.exists());
    let written = site.artifacts(&["export", "--incomplete", "--output"]).arg(&bundle).answer().ok();
    assert!(written.stdout.starts_with("lacking large\n1 files and 2 images"), "{written}");
}

#[test]
fn store_with_changed_bytes_gives_no_bundle() {
    let (site, bundle) = exported();
    let blob = site.blob(&sha256(&bytes(1, 1000)));
    fs::remove_file(&blob).unwrap();
    fs::write(&blob, bytes(7, 1000)).unwrap();
    let before = fs::read(&bundle).unwrap();
    site.artifacts(&["export", "--output"]).arg(&bundle).answer().code(30);
    assert_eq!(fs::read(&bundle).unwrap(), before, "the old one stays whole");
}

#[rstest]
#[case::cut("cut")]
#[case::changed("changed")]
#[case::a_way_out("a_way_out")]
#[case::no_archive("no_archive")]
#[case::empty("empty")]
fn import_refuses_wrong_bundle(#[case] what: &str) {
    let (_site, bundle) = exported();
    let mut archive = fs::read(&bundle).unwrap();
    let found =
        |bytes: &[u8], wanted: &[u8]| bytes.windows(wanted.len()).position(|part| part == wanted).unwrap();
    match what {
        "cut" => archive.truncate(archive.len() / 2),
        "changed" => {
            let at = found(&archive, &bytes(1, 1000)[..64]);
            archive[at + 10] ^= 1;
        }
        "a_way_out" => {
            // A header with another name, and the sum of its bytes so that it is taken for a whole one.
            let name = format!("blobs/sha256/{}", sha256(&bytes(1, 1000)));
            let mut headers = archive.windows(name.len()).enumerate();
            let at = headers.rfind(|(at, part)| at % 512 == 0 && *part == name.as_bytes()).unwrap().0;
            let mut header = archive[at..at + 512].to_vec();
            let way = b"../../../../tmp/lab-artifacts-way-out";
            header[..100].fill(0);
            header[..way.len()].copy_from_slice(way);
            header[148..156].copy_from_slice(b"        ");
            let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
            header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            archive[at..at + 512].copy_from_slice(&header);
        }
        "no_archive" => archive = bytes(8, 4096),
        _ => archive.clear(),
    }
    fs::write(&bundle, archive).unwrap();
    let other = Site::new();
    let answer = other.plain(&["import"]).arg(&bundle).answer().code(30);
    let said = error(&answer).replace(&bundle.display().to_string(), "[BUNDLE]");
    other.shows(&format!("a_bundle_that_is_{what}"), &said);
    assert!(!std::path::Path::new("/tmp/lab-artifacts-way-out").exists());
    for name in other.names("blobs/sha256") {
        assert_eq!(sha256(&fs::read(other.blob(&name)).unwrap()), name);
    }
    assert_eq!(other.names("unfinished"), Vec::<String>::new());
}
