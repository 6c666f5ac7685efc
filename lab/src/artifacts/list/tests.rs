use crate::artifacts::store::{Blob, FileRecord, ImageRecord};
use crate::layout::Layout;

use super::*;

fn lock() -> Lock {
    let file = |name: &str, url: &str, sha256: Option<String>| serde_json::json!({"name": name, "url": url, "sha256": sha256, "dest": "/tmp/x", "groups": []});
    let hex = |bytes: &[u8]| Some(Digest::of(bytes).to_string());
    serde_json::from_value(serde_json::json!({
        "kubespray": {"version": "v2.30.0", "commit": "c"}, "kubernetes": "1.34.3", "architecture": "amd64",
        "files": [
            file("kubectl", "https://dl.k8s.io/release/v1.34.3/bin/linux/amd64/kubectl", hex(b"kubectl")),
            file("etcd", "https://github.com/etcd-io/etcd/releases/download/v3.5.26/etcd.tar.gz", hex(b"etcd")),
            file("runc", "https://github.com/opencontainers/runc/releases/download/v1.3.4/runc", None),
            file("calicoctl", "https://github.com/projectcalico/calico/releases/download/v3.30.6/c", hex(b"c")),
            file("crictl", "https://github.com/kubernetes-sigs/cri-tools/releases/download/v1.34.0/c", None),
            file("crictl", "https://github.com/kubernetes-sigs/cri-tools/releases/download/v1.35.0/c", None),
        ],
        "images": [
            {"name": "pod_infra", "image": "registry.k8s.io/pause:3.10.1", "digest": null, "groups": []},
            {"name": "coredns", "image": "registry.k8s.io/coredns/coredns:v1.12.1", "digest": null, "groups": []},
        ],
    }))
    .unwrap()
}

#[test]
fn table_shows_source_and_problem_of_each_artifact() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&Layout::new(folder.path(), folder.path()));
    let writer = store.writer().unwrap();
    let lock = lock();
    let file = |index: usize, version: &str, bytes: &[u8], source| FileRecord {
        name: lock.files[index].name.clone(),
        version: Some(version.to_owned()),
        url: lock.files[index].url.clone(),
        blob: writer.put_bytes(bytes).unwrap(),
        source,
        build_key: None,
        made: None,
    };
    writer.record_file(&file(0, "1.34.3", b"kubectl", Source::Upstream)).unwrap();
    // An own build of another version, because the one that is asked for cannot be had.
    writer.record_file(&file(1, "3.5.33", b"own etcd", Source::OwnBuild)).unwrap();
    writer.record_file(&file(2, "1.3.4", b"own runc", Source::OwnBuild)).unwrap();
    // Built before the module proxy had this version of cri-tools.
    writer.record_file(&file(4, STAND_IN_VERSION, b"own crictl", Source::OwnBuild)).unwrap();
    let manifest = writer.put_bytes(b"manifest").unwrap();
    let image = |index: usize, layer: Blob| ImageRecord {
        name: lock.images[index].name.clone(),
        version: Some("3.10.1".to_owned()),
        reference: lock.images[index].image.clone(),
        manifest: manifest.sha256.clone(),
        media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
        index: None,
        blobs: vec![manifest.clone(), layer],
        source: Source::Bundle,
        build_key: None,
        made: None,
    };
    writer.record_image(&image(0, writer.put_bytes(b"layer").unwrap())).unwrap();
    // A layer that is longer on the disk than its record says.
    let layer = writer.put_bytes(b"another layer").unwrap();
    writer.record_image(&image(1, Blob { size: 3, ..layer })).unwrap();
    let list = look(&store, Some("quick"), &lock).unwrap();
    insta::assert_snapshot!(list.text());
    let json = serde_json::to_value(&list).unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&json["artifacts"][1]).unwrap());
}

#[rstest::rstest]
#[case(0, "0 B")]
#[case(1023, "1023 B")]
#[case(1024, "1.0 KiB")]
#[case(3_000_000, "2.9 MiB")]
#[case(5_000_000_000, "4.66 GiB")]
fn sizes_are_printed_in_units_for_people(#[case] bytes: u64, #[case] text: &str) {
    assert_eq!(shown(bytes), text);
}
