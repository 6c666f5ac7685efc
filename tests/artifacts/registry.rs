//! Images from the registry that people trust: the distribution's own package of it.

use std::fs;
use std::net::TcpStream;
use std::time::Duration;

use lab_tests::checkout::{registry, sha256};
use lab_tests::{run, skip};
use serde_json::json;

use crate::site::{MANIFEST, Site, bytes};

/// Puts bytes where the registry keeps its blobs (its file system layout, version 2).
fn lay(root: &std::path::Path, bytes: &[u8]) -> String {
    let hex = sha256(bytes);
    let folder = root.join("docker/registry/v2/blobs/sha256").join(&hex[..2]).join(&hex);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("data"), bytes).unwrap();
    hex
}

#[test]
fn image_comes_from_real_registry() {
    let Some(program) = registry() else {
        skip!("there is no docker-registry; `cargo xtask setup` unpacks it");
    };
    let mut site = Site::new();
    let root = site.checkout.root().join("registry");
    let layer = bytes(6, 50_000);
    let config = b"{\"architecture\": \"amd64\", \"os\": \"linux\"}".to_vec();
    let described = |kind: &str, bytes: &[u8]| json!({"mediaType": kind, "digest": format!("sha256:{}", sha256(bytes)), "size": bytes.len()});
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": described("application/vnd.oci.image.config.v1+json", &config),
        "layers": [described("application/vnd.oci.image.layer.v1.tar+gzip", &layer)],
    })
    .to_string();
    let repository = root.join("docker/registry/v2/repositories/kubernetes/pause");
    let link = |place: String, hex: &str| {
        let folder = repository.join(place);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("link"), format!("sha256:{hex}")).unwrap();
    };
    for blob in [&layer, &config] {
        let hex = lay(&root, blob);
        link(format!("_layers/sha256/{hex}"), &hex);
    }
    let hex = lay(&root, manifest.as_bytes());
    link(format!("_manifests/revisions/sha256/{hex}"), &hex);
    link("_manifests/tags/3.10.1/current".to_owned(), &hex);
    link(format!("_manifests/tags/3.10.1/index/sha256/{hex}"), &hex);

    // A free port: it was given to a listener that is gone.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let settings = site.checkout.root().join("registry.yml");
    let text = format!(
        "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '127.0.0.1:{port}'}}\n",
        root.display()
    );
    fs::write(&settings, text).unwrap();
    let _registry = run(&program).arg("serve").arg(&settings).start();
    lab_tests::wait::until("the registry", Duration::from_secs(30), || {
        TcpStream::connect(("127.0.0.1", port)).ok().map(drop)
    });
    site.lock["files"] = json!([]);
    let image = format!("127.0.0.1:{port}/kubernetes/pause:3.10.1");
    site.lock["images"] = json!([{"name": "pod_infra", "image": image, "digest": null, "groups": []}]);
    site.write_lock();
    site.artifacts(&["fetch"]).answer().ok();
    site.is_whole();
    assert_eq!(fs::read(site.blob(&sha256(&layer))).unwrap(), layer);
    let list = site.artifacts(&["list", "--json"]).answer().ok().json();
    assert_eq!(list["artifacts"][0]["digest"], hex);
}
