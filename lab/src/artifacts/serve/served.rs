//! What of a lock the store has, and under which names machines ask for it. Reads records, no blobs.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use lab_core::artifacts::lock::{File, Lock};
use lab_core::kubespray::{OwnBuild, Served, is_file_root, repository_of};

use crate::artifacts::store::{Digest, Hasher, ImageRecord, Source, Store};

use super::{files_url, registry_url};

/// Part of a tree's digest: a new layout needs a new number.
const LAYOUT: &str = "1";

/// Everything that is served.
#[derive(Debug, Default)]
pub struct ServedArtifacts {
    /// Paths below the file server's root, and what lies there.
    pub files: Vec<(String, Digest)>,
    /// Images, by what machines ask for.
    pub images: Vec<(Reference, ImageRecord)>,
    /// How many files and images the lock names.
    pub wanted: usize,
    /// What a person should know.
    pub notes: Vec<String>,
    registries: BTreeSet<String>,
    own_builds: Vec<OwnBuild>,
}

/// What an image is asked for by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// `registry.k8s.io`.
    pub registry: String,
    /// `coredns/coredns`.
    pub path: String,
    /// `v1.12.1`; `latest` where there is none, as everywhere.
    pub tag: String,
}

impl Reference {
    /// Reads `registry.k8s.io/pause:3.10.1` as containerd does: without a registry it is one of Docker's. `None` for what
    /// no registry can have, or what asks by digest.
    pub fn parse(text: &str) -> Option<Self> {
        let (rest, tag) = match text.rsplit_once(':') {
            Some((rest, tag)) if !tag.contains('/') => (rest, tag),
            _ => (text, "latest"),
        };
        let is_host = |word: &&str| word.contains(['.', ':']) || *word == "localhost";
        let (registry, path) = match rest.split_once('/').filter(|(first, _)| is_host(first)) {
            Some((registry, path)) => (registry, path.to_owned()),
            None => ("docker.io", rest.to_owned()),
        };
        let path =
            if registry == "docker.io" && !path.contains('/') { format!("library/{path}") } else { path };
        let good = |word: &str| {
            !word.is_empty()
                && word
                    .bytes()
                    .all(|byte| matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-'))
                && word.bytes().any(|byte| byte != b'.')
        };
        let all = path.split('/').chain([tag]).chain(registry.split(':')).all(good);
        all.then(|| Self { registry: registry.to_owned(), path, tag: tag.to_owned() })
    }

    /// Its repository in the lab's registry: each other registry is a folder of it.
    pub fn repository(&self) -> String {
        format!("{}/{}", repository_of(&self.registry), self.path)
    }
}

/// The path below the file server's root of what machines ask for by a URL: its host and its path. Below a mirror that the
/// cluster file names, hosts are folders already. `None` for a URL that no plain file can have.
pub fn path_of(url: &str, mirror: Option<&str>) -> Option<String> {
    let below = mirror.and_then(|mirror| url.strip_prefix(mirror.trim_end_matches('/'))?.strip_prefix('/'));
    let path = match below {
        Some(below) => below,
        None => url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?,
    };
    let good = |part: &str| {
        !part.is_empty() && part != "." && part != ".." && !part.contains(['?', '#', '%', '\\', '\0'])
    };
    (path.contains('/') && path.split('/').all(good)).then(|| path.to_owned())
}

impl ServedArtifacts {
    /// Takes what the store has of a lock.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub fn fill(store: &Store, lock: &Lock, mirror: Option<&str>) -> anyhow::Result<Self> {
        // No machine asks for the others.
        let of_machines: Vec<&File> = lock.files.iter().filter(|file| !file.dest.is_empty()).collect();
        let mut artifacts = Self { wanted: of_machines.len() + lock.images.len(), ..Self::default() };
        for file in of_machines {
            let Some(record) = store.file(&file.url)? else { continue };
            let sha256 = record.blob.sha256;
            let Some(path) = path_of(&file.url, mirror) else {
                artifacts
                    .notes
                    .push(format!("`{}` cannot be served: its address is no plain path", file.url));
                continue;
            };
            if !path.split('/').next().is_some_and(is_file_root) {
                artifacts.notes.push(format!("no setting makes machines ask the lab for `{}`", file.url));
            }
            if record.source == Source::OwnBuild && file.sha256.as_deref() != Some(sha256.hex()) {
                let build = OwnBuild {
                    name: file.name.clone(),
                    version: record.version,
                    sha256: sha256.hex().to_owned(),
                };
                if !artifacts.own_builds.contains(&build) {
                    artifacts.own_builds.push(build);
                }
            }
            artifacts.files.push((path, sha256));
        }
        for image in &lock.images {
            let Some(reference) = Reference::parse(&image.image) else {
                artifacts.notes.push(format!("`{}` cannot be served: it is no plain reference", image.image));
                continue;
            };
            // Every registry that is named, so that machines do not wait for one that they do not reach.
            artifacts.registries.insert(reference.registry.clone());
            let Some(record) = store.image(&image.image)? else { continue };
            let own = [Some(&record.manifest), record.index.as_ref()];
            if let Some(pinned) = &image.digest
                && !own.iter().flatten().any(|digest| digest.oci() == *pinned)
            {
                artifacts
                    .notes
                    .push(format!("`{}` is pinned to {pinned}, which the store does not have", image.image));
                continue;
            }
            artifacts.images.push((reference, record));
        }
        Ok(artifacts)
    }

    /// The settings that lead machines to it.
    pub fn served(&self, gateway: Ipv4Addr, with_registry: bool) -> Served {
        Served {
            files: files_url(gateway),
            registry: with_registry.then(|| registry_url(gateway)),
            registries: self.registries.clone(),
            own_builds: self.own_builds.clone(),
        }
    }

    /// The digest of everything by which two layouts differ.
    pub fn digest(&self) -> Digest {
        let mut lines: Vec<String> =
            self.files.iter().map(|(path, digest)| format!("file {path} {digest}")).collect();
        for (reference, record) in &self.images {
            let top = record.index.as_ref().unwrap_or(&record.manifest);
            let blobs: Vec<&str> = record.blobs.iter().map(|blob| blob.sha256.hex()).collect();
            lines.push(format!(
                "image {} {} {top} {}",
                reference.repository(),
                reference.tag,
                blobs.join(" ")
            ));
        }
        lines.sort();
        let mut hasher = Hasher::new();
        for line in [LAYOUT.to_owned()].iter().chain(&lines) {
            hasher.update(line.as_bytes());
            hasher.update(b"\n");
        }
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case(
        "https://dl.k8s.io/release/v1.34.3/bin/linux/amd64/kubelet",
        None,
        Some("dl.k8s.io/release/v1.34.3/bin/linux/amd64/kubelet")
    )]
    #[case(
        "https://mirror.example.com/k8s/github.com/a/b.tgz",
        Some("https://mirror.example.com/k8s/"),
        Some("github.com/a/b.tgz")
    )]
    #[case(
        "https://mirror.example.com/k8s-other/b.tgz",
        Some("https://mirror.example.com/k8s"),
        Some("mirror.example.com/k8s-other/b.tgz")
    )]
    #[case("https://example.com/../../etc/passwd", None, None)]
    #[case("https://example.com/a//b", None, None)]
    #[case("https://example.com/%2e%2e/b", None, None)]
    #[case("https://example.com/a?b=c", None, None)]
    #[case("https://example.com", None, None)]
    #[case("ftp://example.com/a", None, None)]
    fn file_is_served_under_its_host_and_path(
        #[case] url: &str,
        #[case] mirror: Option<&str>,
        #[case] expected: Option<&str>,
    ) {
        assert_eq!(path_of(url, mirror).as_deref(), expected);
    }

    #[test]
    fn file_for_no_machine_is_not_served_and_registries_of_all_images_are() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&crate::layout::Layout::new(folder.path(), folder.path()));
        let chart = "https://helm.ngc.nvidia.com/nvidia/charts/gpu-operator-v25.3.4.tgz";
        let writer = store.writer().unwrap();
        let record = crate::artifacts::store::FileRecord {
            name: "gpu_operator_chart".to_owned(),
            version: None,
            url: chart.to_owned(),
            blob: writer.put_bytes(b"chart").unwrap(),
            source: Source::OwnBuild,
            build_key: None,
            made: None,
        };
        writer.record_file(&record).unwrap();
        let lock = serde_json::from_value(serde_json::json!({
            "kubespray": {"version": "v2.30.0", "commit": "c"}, "kubernetes": "1.34.3", "architecture": "amd64",
            "files": [{"name": "gpu_operator_chart", "url": chart, "sha256": null, "dest": "", "groups": []}],
            "images": [
                {"name": "gpu_operator", "image": "nvcr.io/nvidia/gpu-operator:v25.3.4", "digest": null, "groups": []},
                {"name": "node_feature_discovery", "image": "registry.k8s.io/nfd/node-feature-discovery:v0.17.3",
                    "digest": null, "groups": []},
            ],
        }))
        .unwrap();
        let artifacts = ServedArtifacts::fill(&store, &lock, None).unwrap();
        assert_eq!((artifacts.wanted, artifacts.files.len(), artifacts.notes.len()), (2, 0, 0));
        let served = artifacts.served(Ipv4Addr::new(10, 0, 0, 1), true);
        assert_eq!(Vec::from_iter(served.registries), ["nvcr.io", "registry.k8s.io"]);
    }

    #[rstest::rstest]
    #[case("nvcr.io/nvidia/k8s/container-toolkit:v1.17.8-ubuntu20.04", Some(("nvcr.io/nvidia/k8s/container-toolkit", "v1.17.8-ubuntu20.04")))]
    #[case("registry.k8s.io/coredns/coredns:v1.12.1", Some(("registry.k8s.io/coredns/coredns", "v1.12.1")))]
    #[case("mirror.example.com:5000/pause:3.10", Some(("mirror.example.com_5000/pause", "3.10")))]
    #[case("mirror.example.com:5000/pause", Some(("mirror.example.com_5000/pause", "latest")))]
    #[case("docker.io/cloudnativelabs/kube-router:v2", Some(("docker.io/cloudnativelabs/kube-router", "v2")))]
    #[case("nginx:1.28", Some(("docker.io/library/nginx", "1.28")))]
    #[case("registry.k8s.io/../pause:1", None)]
    #[case("registry.k8s.io/pause@sha256:00", None)]
    #[case("", None)]
    fn reference_is_parsed_as_containerd_does(#[case] text: &str, #[case] expected: Option<(&str, &str)>) {
        let found = Reference::parse(text).map(|found| (found.repository(), found.tag));
        assert_eq!(found.as_ref().map(|(repository, tag)| (repository.as_str(), tag.as_str())), expected);
    }
}
