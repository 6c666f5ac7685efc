//! The start of every test here: a checkout, a server, a lock of two files and two images on that server.

use std::fs;
use std::path::{Path, PathBuf};

use lab_tests::checkout::sha256;
use lab_tests::{Answer, Checkout, Run, redact};
use serde_json::{Value, json};

use crate::server::Server;

pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// How many bytes the large file and the shared layer have.
pub const LARGE: usize = 3_000_000;

/// A checkout and what it can fetch.
pub struct Site {
    pub checkout: Checkout,
    pub server: Server,
    pub lock: Value,
}

/// Bytes that are not all alike, the same for the same seed.
pub fn bytes(seed: u8, count: usize) -> Vec<u8> {
    let mut state = u32::from(seed) + 1;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..count).map(next).collect()
}

fn descriptor(kind: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": kind, "digest": format!("sha256:{}", sha256(bytes)), "size": bytes.len()})
}

impl Site {
    pub fn new() -> Self {
        let (checkout, server) = (Checkout::with_own_cache(), Server::start());
        let (small, large) = (bytes(1, 1000), bytes(2, LARGE));
        server.put("/v1.34.3/small", "application/octet-stream", &small);
        server.put("/v1.34.3/large", "application/octet-stream", &large);
        let layer = bytes(3, LARGE);
        for (name, own) in [("pause", bytes(4, 500)), ("coredns", bytes(5, 700))] {
            put_image(&server, name, "3.10.1", &[&layer, &own]);
        }
        let url = |name: &str| format!("http://{}/v1.34.3/{name}", server.address);
        let file = |name: &str, bytes: &[u8]| json!({"name": name, "url": url(name), "sha256": sha256(bytes), "dest": "/tmp/x", "groups": []});
        let image = |name: &str| {
            let image = format!("{}/{name}:3.10.1", server.address);
            json!({"name": name, "image": image, "digest": null, "groups": []})
        };
        let lock = json!({
            "kubespray": {"version": "v2.30.0", "commit": "f4ccdb5e72395eaf9f3444056ebd1a6625ddb89a"},
            "kubernetes": "1.34.3", "architecture": "amd64",
            "files": [file("small", &small), file("large", &large)],
            "images": [image("pause"), image("coredns")],
        });
        let site = Self { checkout, server, lock };
        site.write_lock();
        site
    }

    /// The lock as a file.
    pub fn lock_file(&self) -> PathBuf {
        self.checkout.root().join("lock.json")
    }

    pub fn write_lock(&self) {
        fs::write(self.lock_file(), self.lock.to_string()).unwrap();
    }

    /// `artifacts …` without a lock.
    pub fn plain(&self, words: &[&str]) -> Run {
        // A proxy is no way to a server of a test.
        self.checkout
            .lab(&["artifacts"])
            .args(words)
            .env("NO_PROXY", "127.0.0.1")
            .env("no_proxy", "127.0.0.1")
    }

    /// `artifacts … --lock FILE`.
    pub fn artifacts(&self, words: &[&str]) -> Run {
        let lock = self.lock_file().display().to_string();
        self.plain(&[&words[..1], &["--lock", &lock], &words[1..]].concat())
    }

    pub fn store(&self) -> PathBuf {
        self.checkout.cache().join("artifacts")
    }

    pub fn blob(&self, sha256: &str) -> PathBuf {
        self.store().join("blobs/sha256").join(sha256)
    }

    /// Everything that lies in a folder of the store.
    pub fn names(&self, folder: &str) -> Vec<String> {
        names(&self.store().join(folder))
    }

    /// Shows the output of a command, without values that differ from run to run.
    pub fn shows(&self, name: &str, said: &str) {
        let said = said.replace(&self.server.address, "[SERVER]");
        redact::settings(&self.checkout.root().display().to_string()).bind(|| {
            insta::assert_snapshot!(name, said);
        });
    }

    /// Checks the store with our own eyes: every blob is what its name says, and all that the lock names is there.
    pub fn is_whole(&self) {
        for name in self.names("blobs/sha256") {
            assert_eq!(sha256(&fs::read(self.blob(&name)).unwrap()), name, "a wrong blob under a right name");
        }
        let list = self.artifacts(&["list", "--json"]).answer().ok().json();
        for row in list["artifacts"].as_array().unwrap() {
            assert_eq!(row["state"], "present", "{row:#}");
        }
        assert_eq!(self.names("unfinished"), Vec::<String>::new(), "nothing half made is left");
    }
}

pub fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Gives out an image for two architectures, of which only one can be had.
pub fn put_image(server: &Server, name: &str, tag: &str, layers: &[&[u8]]) {
    let config = format!("{{\"architecture\": \"amd64\", \"os\": \"linux\", \"name\": \"{name}\"}}");
    let kind = "application/vnd.oci.image.layer.v1.tar+gzip";
    let described: Vec<Value> = layers.iter().map(|layer| descriptor(kind, layer)).collect();
    let config_kind = "application/vnd.oci.image.config.v1+json";
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": descriptor(config_kind, config.as_bytes()), "layers": described,
    })
    .to_string();
    let mut ours = descriptor(MANIFEST, manifest.as_bytes());
    ours["platform"] = json!({"os": "linux", "architecture": "amd64"});
    let mut other = descriptor(MANIFEST, b"not to be had");
    other["platform"] = json!({"os": "linux", "architecture": "arm64"});
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [other, ours]}).to_string();
    let path = |what: &str| format!("/v2/{name}/{what}");
    server.put(&path(&format!("manifests/{tag}")), INDEX, index.as_bytes());
    let digest = format!("sha256:{}", sha256(manifest.as_bytes()));
    server.put(&path(&format!("manifests/{digest}")), MANIFEST, manifest.as_bytes());
    for blob in layers.iter().copied().chain([config.as_bytes()]) {
        server.put(&path(&format!("blobs/sha256:{}", sha256(blob))), "application/octet-stream", blob);
    }
}

/// The error in an answer, without the times.
pub fn error(answer: &Answer) -> String {
    let at = answer.stderr.find("error: ").unwrap_or_else(|| panic!("no error is printed: {answer}"));
    answer.stderr[at..].to_owned()
}
