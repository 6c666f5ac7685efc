//! The servers of the embedded host for its machines, asked from inside the lab's network by a client that trusts only the
//! lab's own authority. No machine is started: who asks does not matter to the servers.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use lab_tests::checkout::{read_json, sha256};
use lab_tests::cluster::Cluster;
use lab_tests::computer::Computer;
use lab_tests::{Checkout, needs};
use serde_json::{Value, json};

const LAB: &str = "served";
const FILES: &str = "http://192.168.200.1:8080";
const REGISTRY: &str = "https://192.168.200.1:5000";
/// A file, and what it is in this test.
const URL: &str = "https://dl.k8s.io/release/v1.34.3/bin/linux/amd64/kubelet";
const KUBELET: &str = "not much of a kubelet";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A client without a proxy and with one certificate. Prints the status, the headers and the text of one answer.
const CLIENT: &str = r#"
import http.client, json, ssl, sys, urllib.parse
method, url, authority, headers = sys.argv[1:5]
parts = urllib.parse.urlsplit(url)
if parts.scheme == "https":
    connection = http.client.HTTPSConnection(parts.netloc, timeout=20, context=ssl.create_default_context(cafile=authority))
else:
    connection = http.client.HTTPConnection(parts.netloc, timeout=20)
connection.request(method, parts.path, headers=json.loads(headers), body=b"" if method in ("POST", "PUT") else None)
answer = connection.getresponse()
headers = {name.lower(): value for name, value in answer.getheaders()}
print(json.dumps({"status": answer.status, "headers": headers, "text": answer.read().decode()}))
"#;

/// A store as the other commands fill it.
struct TestStore<'a> {
    checkout: &'a Checkout,
}

impl TestStore<'_> {
    fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.checkout.cache().join("artifacts").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        if path.exists() {
            return;
        }
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
    }

    fn blob(&self, bytes: &[u8]) -> Value {
        let digest = sha256(bytes);
        self.write(&format!("blobs/sha256/{digest}"), bytes);
        json!({"sha256": digest, "size": bytes.len()})
    }

    /// The own build of a file.
    fn file(&self) {
        let blob = self.blob(KUBELET.as_bytes());
        let record = json!({
            "name": "kubelet", "version": "1.34.3", "url": URL, "sha256": blob["sha256"], "size": blob["size"],
            "source": "own-build", "build_key": "0",
        });
        self.write(
            &format!("files/{}.own-build.json", sha256(URL.as_bytes())),
            record.to_string().as_bytes(),
        );
    }

    /// An image of one layer. Returns the digest of its manifest and of its layer.
    fn image(&self, reference: &str) -> (String, String) {
        let (configuration, layer) = (self.blob(b"{}"), self.blob(reference.as_bytes()));
        let descriptor = |kind: &str, blob: &Value| {
            let digest = format!("sha256:{}", blob["sha256"].as_str().unwrap());
            json!({"mediaType": format!("application/vnd.oci.image.{kind}"), "digest": digest, "size": blob["size"]})
        };
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": descriptor("config.v1+json", &configuration), "layers": [descriptor("layer.v1.tar", &layer)],
        });
        let manifest = self.blob(manifest.to_string().as_bytes());
        let record = json!({
            "name": "image", "version": "1", "reference": reference, "manifest": manifest["sha256"],
            "media_type": MANIFEST, "blobs": [manifest, configuration, layer], "source": "own-build", "build_key": "0",
        });
        let name = format!("images/{}.own-build.json", sha256(reference.as_bytes()));
        self.write(&name, record.to_string().as_bytes());
        (manifest["sha256"].as_str().unwrap().to_owned(), layer["sha256"].as_str().unwrap().to_owned())
    }

    /// The needs of the cluster: a file, two images of one path in two registries, and one thing more.
    fn lock(&self) {
        let image =
            |image: &str| json!({"name": image, "image": image, "digest": null, "groups": ["k8s_cluster"]});
        let lock = json!({
            "kubespray": {"version": "v2.30.0", "commit": "0"}, "inputs": "0", "kubernetes": "1.34.3",
            "architecture": "amd64",
            "files": [{"name": "kubelet", "url": URL, "sha256": "0".repeat(64), "dest": "/tmp/kubelet", "groups": ["k8s_cluster"]}],
            "images": [image("registry.k8s.io/pause:3.10"), image("quay.io/pause:3.10"), image("ghcr.io/not/there:1")],
        });
        let path = self.checkout.output(LAB).join("inventory/artifacts.lock.json");
        fs::write(path, lock.to_string()).unwrap();
    }
}

fn ask(checkout: &Checkout, method: &str, url: &str, headers: &Value) -> Value {
    let authority = checkout.output(LAB).join("keys/ca.crt").display().to_string();
    let words = ["-c", CLIENT, method, url, &authority, &headers.to_string()];
    checkout.inside(LAB, "python3").args(words).answer().ok().json()
}

fn status(checkout: &Checkout, method: &str, url: &str) -> u64 {
    ask(checkout, method, url, &json!({}))["status"].as_u64().unwrap()
}

fn running(checkout: &Checkout) -> Value {
    checkout.lab(&["status", LAB, "--json"]).answer().ok().json()["served"].clone()
}

/// A checkout with a store of its own, and the images of the cache.
fn own_store() -> Checkout {
    let checkout = Checkout::with_own_cache();
    checkout.share("images");
    checkout.write(LAB, &Cluster::new(LAB, &["node"]).off().text());
    checkout
}

#[test]
fn machines_are_given_files_and_images_and_nothing_else() {
    needs!(Registry);
    let checkout = own_store();
    let before = Computer::look(checkout.root());
    let artifacts = checkout.output(LAB).join("inventory/group_vars/all/artifacts.yml");
    checkout.lab(&["up", LAB]).answer().ok();
    assert!(!artifacts.exists(), "the artefacts of a deploy are not known");
    assert_eq!(running(&checkout), Value::Null);

    let store = TestStore { checkout: &checkout };
    store.file();
    let (manifest, layer) = store.image("registry.k8s.io/pause:3.10");
    let (other, _) = store.image("quay.io/pause:3.10");
    store.lock();
    let said = checkout.lab(&["up", LAB]).answer().ok();
    assert!(said.stderr.contains("3 of 4 artefacts are there for a deploy"), "{}", said.stderr);
    let all = json!({
        "files": FILES, "files_running": true, "registry": REGISTRY, "registry_running": true,
    });
    assert_eq!(running(&checkout), all);
    let variables = fs::read_to_string(&artifacts).unwrap();
    assert!(
        variables.contains(&format!("kubelet_binary_checksum: \"sha256:{}\"", sha256(KUBELET.as_bytes()))),
        "{variables}"
    );

    files(&checkout);
    images(&checkout, &manifest, &layer, &other);
    listening(&checkout);

    // The next `up` gives changed things, and leaves others as they are.
    let again = checkout.lab(&["up", LAB]).answer().ok();
    assert!(again.stderr.contains("nothing to do"), "{}", again.stderr);
    store.image("ghcr.io/not/there:1");
    let said = checkout.lab(&["up", LAB]).answer().ok();
    assert!(!said.stderr.contains("artefacts are there"), "{}", said.stderr);
    let url = format!("{REGISTRY}/v2/ghcr.io/not/there/tags/list");
    assert_eq!(
        ask(&checkout, "GET", &url, &json!({}))["text"].as_str().unwrap().trim(),
        r#"{"name":"ghcr.io/not/there","tags":["1"]}"#
    );
    let differs = checkout.lab(&["inventory", "diff", LAB]).answer();
    assert!(!differs.stdout.contains("artifacts.yml"), "{differs}");

    checkout.lab(&["down", LAB]).answer().ok();
    assert_eq!(running(&checkout)["files_running"], false);
    checkout.lab(&["up", LAB]).answer().ok();
    assert_eq!(running(&checkout), all, "they come back with the lab");
    checkout.destroy(LAB, &before);
}

fn files(checkout: &Checkout) {
    let path = format!("{FILES}/{}", URL.trim_start_matches("https://"));
    let whole = ask(checkout, "GET", &path, &json!({}));
    assert_eq!((whole["status"].as_u64(), whole["text"].as_str()), (Some(200), Some(KUBELET)));
    let head = ask(checkout, "HEAD", &path, &json!({}));
    assert_eq!(head["headers"]["content-length"], KUBELET.len().to_string());
    assert_eq!(head["text"], "");
    let part = ask(checkout, "GET", &path, &json!({"Range": "bytes=4-7"}));
    assert_eq!((part["status"].as_u64(), part["text"].as_str()), (Some(206), Some("much")));
    for (method, path, expected) in [
        ("GET", "/", 404),
        ("GET", "/dl.k8s.io", 404),
        ("GET", "/dl.k8s.io/", 404),
        ("GET", "/dl.k8s.io/nothing", 404),
        ("GET", "/../registry/docker/registry/v2/repositories", 404),
        ("GET", "/dl.k8s.io/../../wanted.json", 404),
        ("GET", "/%2e%2e/%2e%2e/wanted.json", 404),
        ("GET", "//etc/passwd", 404),
        ("PUT", "/dl.k8s.io/new", 405),
        ("POST", "/", 405),
        ("DELETE", "/dl.k8s.io/release/v1.34.3/bin/linux/amd64/kubelet", 405),
    ] {
        assert_eq!(status(checkout, method, &format!("{FILES}{path}")), expected, "{method} {path}");
    }
    let log = checkout.lab(&["logs", "--files", "--cluster", LAB]).answer().ok().stdout;
    assert!(log.contains("GET /dl.k8s.io/nothing 404"), "{log}");
}

fn images(checkout: &Checkout, manifest: &str, layer: &str, other: &str) {
    let pause = format!("{REGISTRY}/v2/registry.k8s.io/pause");
    let accept = json!({"Accept": MANIFEST});
    let by_tag = ask(checkout, "GET", &format!("{pause}/manifests/3.10"), &accept);
    assert_eq!(by_tag["status"], 200, "{by_tag}");
    assert_eq!(sha256(by_tag["text"].as_str().unwrap().as_bytes()), manifest);
    assert_eq!(by_tag["headers"]["content-type"], MANIFEST);
    let by_digest = ask(checkout, "GET", &format!("{pause}/manifests/sha256:{manifest}"), &accept);
    assert_eq!(by_digest["text"], by_tag["text"]);
    let head = ask(checkout, "HEAD", &format!("{pause}/manifests/3.10"), &accept);
    assert_eq!(head["headers"]["docker-content-digest"], format!("sha256:{manifest}"));
    let blob = ask(checkout, "GET", &format!("{pause}/blobs/sha256:{layer}"), &json!({}));
    assert_eq!(blob["text"], "registry.k8s.io/pause:3.10");
    // The same path in another registry is another image.
    let quay = ask(checkout, "HEAD", &format!("{REGISTRY}/v2/quay.io/pause/manifests/3.10"), &accept);
    assert_eq!(quay["headers"]["docker-content-digest"], format!("sha256:{other}"));
    assert_eq!(status(checkout, "GET", &format!("{REGISTRY}/v2/pause/manifests/3.10")), 404);
    assert_eq!(status(checkout, "GET", &format!("{pause}/blobs/sha256:{}", "0".repeat(64))), 404);
    for (method, path) in [
        ("POST", "blobs/uploads/"),
        ("PUT", "manifests/new"),
        ("DELETE", &format!("manifests/sha256:{manifest}")),
    ] {
        let status = status(checkout, method, &format!("{pause}/{path}"));
        assert!([403, 405].contains(&status), "{method} {path}: {status}");
    }
    // Who does not know the lab's authority does not trust its registry.
    let words = ["-c", CLIENT, "GET", &pause, "/dev/null", "{}"];
    let stranger = checkout.inside(LAB, "python3").args(words).answer();
    assert_ne!(stranger.code, 0, "{stranger}");
    let log = checkout.lab(&["logs", "--registry", "--cluster", LAB]).answer().ok().stdout;
    assert!(log.contains("/v2/registry.k8s.io/pause/manifests/3.10"), "{log}");
}

/// Both are heard on the gateway's address alone, and come back when they are killed.
fn listening(checkout: &Checkout) {
    let listening =
        checkout.inside(LAB, "ss").args(["--tcp", "--listening", "--numeric", "--no-header"]).answer().ok();
    let ours: Vec<&str> = listening
        .stdout
        .lines()
        .filter_map(|line| line.split_whitespace().nth(3))
        .filter(|local| local.ends_with(":8080") || local.ends_with(":5000"))
        .collect();
    assert_eq!(ours.len(), 2, "{}", listening.stdout);
    assert!(ours.iter().all(|local| local.starts_with("192.168.200.1:")), "{ours:?}");

    for ended in ["docker-registry", "serve"] {
        kill_inside(checkout, ended);
        checkout.lab(&["up", LAB]).answer().ok();
        assert_eq!(status(checkout, "GET", &format!("{REGISTRY}/v2/")), 200, "after the end of {ended}");
    }
    let key = checkout.output(LAB).join("keys/ca.key");
    assert_eq!(fs::metadata(key).unwrap().permissions().mode() & 0o777, 0o600);
}

/// Kills the lab's own process with this word in its command line.
fn kill_inside(checkout: &Checkout, word: &str) {
    let record = read_json(&checkout.output(LAB).join("host/host.json"));
    let namespace = record["process_namespace"].as_u64().unwrap();
    let mut killed = 0;
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let path = entry.path();
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else { continue };
        if fs::read_link(path.join("ns/pid")).ok()
            != Some(Path::new(&format!("pid:[{namespace}]")).to_owned())
        {
            continue;
        }
        let line = fs::read(path.join("cmdline")).unwrap_or_default();
        let mut words = line.split(|byte| *byte == 0).map(String::from_utf8_lossy);
        if words.any(|found| found == word || found.ends_with(&format!("/{word}"))) {
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL)
                .unwrap();
            killed += 1;
        }
    }
    assert!(killed > 0, "no process is `{word}`");
}
