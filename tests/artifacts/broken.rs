//! A disk that is full, and one that changes bytes.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use crate::site::{LARGE, Site, bytes, error};
use lab_tests::checkout::sha256;

/// The command with a small disk for the store, in a mount namespace of its own. The script prints the number of blobs left.
fn on_a_small_disk(site: &Site, size: &str, words: &[&str]) -> lab_tests::Answer {
    let place = site.store();
    fs::create_dir_all(&place).unwrap();
    let place = place.to_str().unwrap().to_owned();
    let script = "mount -t tmpfs -o size=$1 none \"$0\" && shift && \"$@\"; code=$?; \
        echo \"left: $(find \"$0\" -path '*blobs*' -type f | wc -l)\"; \
        (cd \"$0/blobs/sha256\" && for b in *; do [ -e \"$b\" ] && echo \"$b  $b\"; done | sha256sum --check --quiet) || code=99; \
        exit $code";
    site.artifacts(words)
        .through(&["unshare", "--map-root-user", "--mount", "sh", "-c", script, &place, size])
        .answer()
}

#[test]
fn fetch_refuses_too_small_disk_before_download() {
    let site = Site::new();
    let answer = on_a_small_disk(&site, "2m", &["fetch"]).code(10);
    site.shows("a_disk_that_is_too_small", &error(&answer));
    assert!(!site.server.log().iter().any(|line| line.starts_with("GET /v1.34.3/")), "{answer}");
}

#[test]
fn fetch_on_filling_disk_fails_in_one_sentence_and_leaves_no_wrong_blob() {
    let mut site = Site::new();
    // No server gives the size of the large one, so that it is found out only when there is no space left.
    site.lock["images"] = serde_json::json!([]);
    site.write_lock();
    site.server.hide_length("/v1.34.3/large");
    let answer = on_a_small_disk(&site, "2m", &["fetch"]).code(10);
    site.shows("a_disk_that_fills_up", &error(&answer));
}

#[test]
fn changed_bytes_are_found_set_aside_and_mended() {
    let site = Site::new();
    site.artifacts(&["fetch"]).answer().ok();
    let (flipped, cut) = (site.blob(&sha256(&bytes(1, 1000))), site.blob(&sha256(&bytes(3, LARGE))));
    for blob in [&flipped, &cut] {
        fs::set_permissions(blob, Permissions::from_mode(0o644)).unwrap();
    }
    let mut changed = bytes(1, 1000);
    changed[500] ^= 1;
    fs::write(&flipped, changed).unwrap();
    fs::write(&cut, &bytes(3, LARGE)[..1000]).unwrap();
    let list = site.artifacts(&["list"]).answer().ok();
    assert!(list.stdout.contains("2 CORRUPT"), "a layer that is too short is seen without reading: {list}");

    let verified = site.plain(&["verify"]).answer().code(30);
    site.shows("verify_findings", &(verified.stdout.clone() + &error(&verified)));
    let list = site.artifacts(&["list"]).answer().ok();
    site.shows("a_list_of_what_is_corrupt", &list.stdout);
    assert_eq!(site.names("corrupt").len(), 2);

    site.server.log();
    site.artifacts(&["fetch"]).answer().ok();
    site.is_whole();
    assert_eq!(site.names("corrupt"), Vec::<String>::new());
    let log = site.server.log();
    assert!(!log.iter().any(|line| line.contains("large")), "right blobs stay: {log:#?}");
    site.plain(&["verify"]).answer().ok();
}
