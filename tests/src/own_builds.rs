//! The common parts of tests of own builds: a lock of a few parts, a call of the build, what the store has of it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::checkout::{Checkout, read_json};
use crate::run::Run;

/// How Go reaches modules is the caller's business, as for a user.
const PASSED_ON: [&str; 6] =
    ["GOPROXY", "GONOPROXY", "GOSUMDB", "LAB_GO", "LAB_DEBIAN_MIRROR", "SSL_CERT_FILE"];

/// A lock of Kubernetes 1.34.3 with these files (name, URL) and images (name, reference).
pub fn lock(files: &[(&str, &str)], images: &[(&str, &str)]) -> Value {
    let file = |(name, url): &(&str, &str)| json!({"name": name, "url": url, "sha256": null, "dest": format!("/tmp/{name}"), "groups": []});
    let image =
        |(name, image): &(&str, &str)| json!({"name": name, "image": image, "digest": null, "groups": []});
    json!({
        "kubespray": {"version": "v2.30.0", "commit": "f4ccdb5e72395eaf9f3444056ebd1a6625ddb89a"},
        "inputs": "", "kubernetes": "1.34.3", "architecture": "amd64",
        "files": files.iter().map(file).collect::<Vec<_>>(),
        "images": images.iter().map(image).collect::<Vec<_>>(),
    })
}

/// `artifacts build --lock …` in a checkout.
///
/// # Panics
/// When the lock cannot be written.
pub fn build(checkout: &Checkout, lock: &Value) -> Run {
    passed_on(with_lock(checkout, "build", lock))
}

/// `artifacts list --lock …` in a checkout.
///
/// # Panics
/// When the lock cannot be written.
pub fn list(checkout: &Checkout, lock: &Value) -> Run {
    with_lock(checkout, "list", lock)
}

fn with_lock(checkout: &Checkout, command: &str, lock: &Value) -> Run {
    let path = checkout.root().join("artifacts.lock.json");
    let text = lock.to_string();
    // Another build may be reading it just now.
    if fs::read_to_string(&path).is_ok_and(|old| old != text) || !path.exists() {
        fs::write(&path, text).expect("a file can be written");
    }
    let path = path.display().to_string();
    checkout.lab(&["artifacts", command, "--json", "--lock", &path])
}

/// A run with those of the caller's variables that decide how Go and apt reach their downloads.
pub fn passed_on(run: Run) -> Run {
    let passed_on = PASSED_ON.iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
    passed_on.fold(run, |run, (name, value)| run.env(name, value))
}

/// The outcome of each artefact, as `--json` says it: name and state.
pub fn states(said: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    said.as_array().into_iter().flatten().map(|one| (text(&one["name"]), text(&one["state"]))).collect()
}

/// All records of the store, sorted by name.
pub fn records(checkout: &Checkout) -> Vec<Value> {
    let mut records: Vec<Value> = record_paths(checkout).iter().map(|path| read_json(path)).collect();
    records.sort_by_key(|record| record["name"].to_string());
    records
}

fn record_paths(checkout: &Checkout) -> Vec<PathBuf> {
    let folders = ["files", "images"].map(|name| checkout.cache().join("artifacts").join(name));
    let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten());
    entries.map(|entry| entry.path()).collect()
}

/// Replaces the record of the same name in the store.
///
/// # Panics
/// When there is none, or it cannot be written.
pub fn rewrite_record(checkout: &Checkout, record: &Value) {
    let paths = record_paths(checkout);
    let path = paths.iter().find(|path| read_json(path)["name"] == record["name"]);
    fs::write(path.expect("the store has the record"), record.to_string()).expect("a file can be written");
}

/// The record of one artefact.
///
/// # Panics
/// When there is none.
pub fn record(checkout: &Checkout, name: &str) -> Value {
    let found = records(checkout).into_iter().find(|record| record["name"] == name);
    found.unwrap_or_else(|| panic!("the store has no `{name}`"))
}

/// Where a blob of the store lies.
///
/// # Panics
/// When the value is no digest.
pub fn blob(checkout: &Checkout, digest: &Value) -> PathBuf {
    let digest = digest.as_str().expect("a digest is a text");
    let digest = digest.strip_prefix("sha256:").unwrap_or(digest);
    checkout.cache().join("artifacts/blobs/sha256").join(digest)
}

/// Unpacks a file of the store, an archive or a plain program, and gives the folder that it is in.
///
/// # Panics
/// When it is not in the store.
pub fn unpack_file(checkout: &Checkout, name: &str) -> PathBuf {
    let (from, to) =
        (blob(checkout, &record(checkout, name)["sha256"]), checkout.root().join("unpacked").join(name));
    fs::create_dir_all(&to).expect("a folder can be made");
    if fs::read(&from).expect("the blob is there").starts_with(&[0x1f, 0x8b]) {
        unpack(&from, &to);
    } else {
        let program = to.join(name);
        fs::copy(&from, &program).expect("a file can be copied");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("it is ours");
    }
    to
}

/// Unpacks the layers of an image, and gives the folder and the path of its entry point in there.
///
/// # Panics
/// When something of it is not in the store.
pub fn unpack_image(checkout: &Checkout, name: &str) -> (PathBuf, String) {
    let to = checkout.root().join("unpacked").join(name);
    fs::create_dir_all(&to).expect("a folder can be made");
    let manifest = read_json(&blob(checkout, &record(checkout, name)["manifest"]));
    for layer in manifest["layers"].as_array().expect("a manifest has layers") {
        unpack(&blob(checkout, &layer["digest"]), &to);
    }
    let configuration = read_json(&blob(checkout, &manifest["config"]["digest"]));
    let entrypoint = configuration["config"]["Entrypoint"][0].as_str().expect("it runs something").to_owned();
    (to, entrypoint)
}

fn unpack(from: &Path, to: &Path) {
    crate::run("tar").arg("--extract").arg("--file").arg(from).arg("--directory").arg(to).answer().ok();
}
