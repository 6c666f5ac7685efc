//! Fetching from servers that behave and from servers that do not.

use std::fs;
use std::time::Duration;

use nix::sys::signal::Signal;
use rstest::rstest;

use crate::server::Mood;
use crate::site::{LARGE, Site, bytes, error};
use lab_tests::checkout::sha256;
use lab_tests::run::kill_ever_later;

#[test]
fn fetch_downloads_once_and_second_fetch_does_nothing() {
    let site = Site::new();
    site.server.want_token();
    let list = site.artifacts(&["list"]).answer().ok();
    site.shows("a_list_of_what_is_missing", &list.stdout);

    let fetched = site.artifacts(&["fetch", "--json"]).answer().ok();
    assert!(fetched.stderr.contains("4 to fetch: 5.7 MiB"), "{fetched}");
    let fetched = fetched.json();
    assert_eq!((&fetched["needed"], &fetched["fetched"]), (&4.into(), &4.into()));
    site.is_whole();
    let layer = format!("blobs/sha256:{}", sha256(&bytes(3, LARGE)));
    let log = site.server.log();
    let asked = log.iter().filter(|line| line.starts_with("GET") && line.contains(&layer)).count();
    assert_eq!(asked, 1, "a layer that two images share comes once: {log:#?}");

    site.artifacts(&["fetch"]).answer().ok();
    assert_eq!(site.server.log(), Vec::<String>::new(), "no server is asked");
    let list = site.artifacts(&["list"]).answer().ok();
    site.shows("a_list_of_what_is_there", &list.stdout);
    site.plain(&["verify"]).answer().ok();
}

#[rstest]
#[case::cut_connections(Mood::Cuts(200_000))]
#[case::ranges_that_are_ignored(Mood::NoRange)]
fn fetch_completes_from_weak_server(#[case] mood: Mood) {
    let site = Site::new();
    // A beginning is there already.
    let large = bytes(2, LARGE);
    fs::create_dir_all(site.store().join("unfinished")).unwrap();
    let part = site.store().join("unfinished").join(format!("part-{}", sha256(&large)));
    fs::write(&part, &large[..100_000]).unwrap();
    site.server.moods(&mood);
    site.artifacts(&["fetch"]).answer().ok();
    site.is_whole();
    let log = site.server.log();
    assert!(log.contains(&"GET /v1.34.3/large from 100000".to_owned()), "it is gone on with: {log:#?}");
}

#[test]
fn fetch_discards_foreign_partial_download() {
    let site = Site::new();
    fs::create_dir_all(site.store().join("unfinished")).unwrap();
    let part = site.store().join("unfinished").join(format!("part-{}", sha256(&bytes(2, LARGE))));
    fs::write(&part, bytes(9, 100_000)).unwrap();
    site.artifacts(&["fetch"]).answer().ok();
    site.is_whole();
}

#[test]
fn fetch_follows_redirect() {
    let site = Site::new();
    site.server.put("/elsewhere", "application/octet-stream", &bytes(2, LARGE));
    site.server.mood("/v1.34.3/large", Mood::Moved("/elsewhere".to_owned()));
    site.artifacts(&["fetch"]).answer().ok();
    site.is_whole();
}

#[test]
fn fetch_discards_wrong_download_and_keeps_rest() {
    let site = Site::new();
    site.server.mood("/v1.34.3/large", Mood::Wrong);
    site.server.mood("/v2/pause/manifests/3.10.1", Mood::Status(404));
    let answer = site.artifacts(&["fetch"]).answer().code(10);
    site.shows("failed_downloads", &error(&answer));
    assert!(!site.blob(&sha256(&bytes(2, LARGE))).exists());
    let list = site.artifacts(&["list", "--json"]).answer().ok().json();
    let present = list["artifacts"].as_array().unwrap().iter().filter(|row| row["state"] == "present");
    assert_eq!(present.count(), 2, "{list:#}");
    // Mended, only missing artefacts are requested.
    site.server.moods(&Mood::Good);
    site.server.log();
    site.artifacts(&["fetch"]).answer().ok();
    site.is_whole();
    assert!(!site.server.log().iter().any(|line| line.contains("small")));
}

#[test]
fn fetch_refuses_manifest_with_other_digest() {
    let mut site = Site::new();
    site.lock["images"][0]["digest"] = format!("sha256:{}", "a".repeat(64)).into();
    site.write_lock();
    site.server.put(&format!("/v2/pause/manifests/sha256:{}", "a".repeat(64)), "", b"{}");
    let answer = site.artifacts(&["fetch"]).answer().code(10);
    site.shows("a_manifest_that_is_not_the_pinned_one", &error(&answer));
}

#[test]
fn fetch_leaves_file_without_checksum_to_own_builds() {
    let mut site = Site::new();
    site.lock["files"][1]["sha256"] = serde_json::Value::Null;
    site.write_lock();
    let answer = site.artifacts(&["fetch"]).answer().code(10);
    site.shows("a_file_without_a_checksum", &error(&answer));
}

#[test]
fn fetch_names_unreachable_host() {
    let mut site = Site::new();
    // Port 1 of this computer: no program listens there.
    for place in ["files", "images"] {
        let text = site.lock[place].to_string().replace(&site.server.address, "127.0.0.1:1");
        site.lock[place] =
            serde_json::from_str(&text.replace("127.0.0.1:1/pause", "localhost:1/pause")).unwrap();
    }
    site.write_lock();
    let answer = site.artifacts(&["fetch"]).answer().code(10);
    site.shows("hosts_that_cannot_be_reached", &error(&answer));
}

#[test]
fn invalid_lock_is_refused() {
    let site = Site::new();
    fs::write(site.lock_file(), "{}").unwrap();
    let answer = site.artifacts(&["list"]).answer().code(2);
    site.shows("a_lock_that_is_none", &answer.stderr);
    fs::remove_file(site.lock_file()).unwrap();
    site.artifacts(&["fetch"]).answer().code(2);
}

/// Killed over and over, each time a little later. Stored blobs are always right, and no byte is requested twice.
#[test]
fn fetch_goes_on_after_kill_at_any_time() {
    let site = Site::new();
    site.server.moods(&Mood::Slow(60_000));
    let fetch = || site.artifacts(&["fetch"]).start();
    let interrupted = kill_ever_later(Duration::from_millis(17), 59, fetch, || {
        for name in site.names("blobs/sha256") {
            assert_eq!(sha256(&fs::read(site.blob(&name)).unwrap()), name, "a wrong blob under a right name");
        }
    });
    assert!(interrupted > 5, "only {interrupted} fetches were interrupted");
    site.artifacts(&["fetch"]).answer().ok();
    site.is_whole();
    let log = site.server.log();
    assert!(log.iter().any(|line| line.contains("large from ")), "it resumed: {log:#?}");
}

#[test]
fn stopped_fetch_says_so_and_goes_on_later() {
    let site = Site::new();
    site.server.moods(&Mood::Slow(20_000));
    let mut fetch = site.artifacts(&["fetch"]).start();
    fetch.says("4 to fetch", Duration::from_secs(20));
    fetch.signal(Signal::SIGINT);
    fetch.answer().code(130);
    site.server.moods(&Mood::Good);
    site.artifacts(&["fetch"]).answer().ok();
    site.is_whole();
}

#[test]
fn fetches_at_the_same_time_share_the_work() {
    let site = Site::new();
    site.server.moods(&Mood::Slow(100_000));
    let fetches: Vec<_> = (0..4).map(|_| site.artifacts(&["fetch"]).start()).collect();
    for fetch in fetches {
        fetch.answer().ok();
    }
    site.is_whole();
    let log = site.server.log();
    let asked = log.iter().filter(|line| line.starts_with("GET /v1.34.3/large")).count();
    assert_eq!(asked, 1, "one fetches and the others wait for it: {log:#?}");
}
