//! Unused blobs go, those that a lab needs stay, and nothing goes while a fetch fills the store.

use std::fs;
use std::time::Duration;

use crate::server::Mood;
use crate::site::{Site, error};

#[test]
fn gc_removes_unneeded_blobs_on_request() {
    let site = Site::new();
    site.artifacts(&["fetch"]).answer().ok();
    // A lab that needs one file and one image of it.
    let mut lock = site.lock.clone();
    lock["files"].as_array_mut().unwrap().truncate(1);
    lock["images"].as_array_mut().unwrap().truncate(1);
    let folder = site.checkout.output("mine").join("inventory");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("artifacts.lock.json"), lock.to_string()).unwrap();
    fs::write(site.store().join("unfinished/put-1-1"), "left").unwrap();
    fs::write(site.store().join("files/broken.json"), "{").unwrap();

    let preview = site.plain(&["gc"]).answer().ok();
    site.shows("gc_preview", &preview.stdout);
    site.artifacts(&["list"]).answer().ok();
    let before = site.names("blobs/sha256").len();
    let removed = site.plain(&["gc", "--remove"]).answer().ok();
    site.shows("gc_removed", &removed.stdout);
    assert!(site.names("blobs/sha256").len() < before);
    let list = site.artifacts(&["list", "--json"]).answer().ok().json();
    let states: Vec<_> = list["artifacts"].as_array().unwrap().iter().map(|row| &row["state"]).collect();
    assert_eq!(states, ["present", "missing", "present", "missing"]);
    assert_eq!(site.names("unfinished"), Vec::<String>::new());
    site.plain(&["verify"]).answer().ok();

    // A lock that cannot be read may name anything.
    fs::write(folder.join("artifacts.lock.json"), "{").unwrap();
    let refused = site.plain(&["gc", "--remove"]).answer().code(2);
    site.shows("a_lock_that_cannot_be_read", &error(&refused));
    fs::remove_dir_all(site.checkout.output("mine")).unwrap();
    site.plain(&["gc", "--remove"]).answer().ok();
    assert_eq!(site.names("blobs/sha256"), Vec::<String>::new());
}

#[test]
fn gc_refuses_during_fetch() {
    let site = Site::new();
    site.server.moods(&Mood::Slow(20_000));
    let mut fetch = site.artifacts(&["fetch"]).start();
    fetch.says("4 to fetch", Duration::from_secs(20));
    let refused = site.plain(&["gc", "--remove"]).answer().code(10);
    site.shows("gc_during_fetch", &error(&refused));
    fetch.answer().ok();
    site.is_whole();
}
