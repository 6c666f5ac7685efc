//! The artefacts of a cluster: its `artifacts.lock.json`, regenerated if outdated, and each artefact in it once.
//!
//! The lock lies with the lab and goes with it. The store keeps a copy in `needs/`, so that the artefacts of a cluster
//! outlive its lab.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use lab_core::artifacts::lock::Lock;
use lab_core::artifacts::{Kind, of_file, of_image};
use lab_core::gpu_operator;
use serde::{Deserialize, Serialize};

use crate::cx::Cx;
use crate::failure::{Failure, FailureKind};
use crate::files::{self, PUBLIC};
use crate::kubespray::source::Request;
use crate::lab::Lab;
use crate::{cache, inventory};

use super::store::{Digest, Hasher, Store};

/// Changes when locks of the same inventory are computed in another way.
const FORMAT: &str = "1";
/// The playbook of ours that has Kubespray say what a cluster needs.
pub const RESOLVE: &str = "resolve-artifacts.yml";
/// What says to machines where the lab serves artefacts. It is made from the store, so no lock is made from it.
const SERVED: &str = "artifacts.yml";

/// One thing that is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// File or image.
    pub kind: Kind,
    /// Kubespray's name for it.
    pub name: String,
    /// The version that its address says, without `v`.
    pub version: Option<String>,
    /// The URL of a file, the reference of an image.
    pub address: String,
    /// The digest that is asked for: of a file where one is known, of an image where one is pinned.
    pub digest: Option<Digest>,
}

/// What a cluster needs, as the store remembers it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Remembered {
    /// While this file is there, the cluster is known.
    pub cluster_file: PathBuf,
    /// What it needs.
    pub lock: Lock,
}

/// What the GPU Operator of a cluster needs.
#[derive(Debug, Serialize)]
pub struct OfGpuOperator {
    /// The URL of the packed chart.
    pub chart: String,
    /// Names and references of images.
    pub images: Vec<(String, String)>,
}

/// What the GPU Operator of a cluster needs; `None` where its file asks for none.
pub fn of_gpu_operator(lab: &Lab) -> Option<OfGpuOperator> {
    let chart = gpu_operator::chart(&lab.spec.gpu_operator.as_ref()?.version)?;
    let images = gpu_operator::images(&lab.spec, chart).into_iter();
    Some(OfGpuOperator {
        chart: gpu_operator::chart_url(&lab.spec),
        images: images.map(|image| (image.name.to_owned(), image.reference)).collect(),
    })
}

/// The digest of everything that the lock of a cluster is computed from.
///
/// # Errors
/// When the inventory cannot be rendered.
pub fn inputs(cx: &Cx, lab: &Lab) -> anyhow::Result<String> {
    let kubespray = inputs_of_kubespray(cx, lab)?;
    let Some(operator) = of_gpu_operator(lab) else { return Ok(kubespray) };
    let mut hasher = Hasher::new();
    hasher.update(kubespray.as_bytes());
    hasher.update(&serde_json::to_vec(&operator)?);
    Ok(hasher.finish().to_string())
}

/// The digest of everything that Kubespray computes the lock of a cluster from: what of it is the GPU Operator's does not
/// make Kubespray run again.
///
/// # Errors
/// When the inventory cannot be rendered.
pub fn inputs_of_kubespray(cx: &Cx, lab: &Lab) -> anyhow::Result<String> {
    let mut hasher = Hasher::new();
    let mut add = |text: &str| {
        hasher.update(&text.len().to_le_bytes());
        hasher.update(text.as_bytes());
    };
    add(FORMAT);
    add(std::env::consts::ARCH);
    add(&Request::of_lab(lab)?.pin.commit);
    let playbook = cx.layout.ansible().join("playbooks").join(RESOLVE);
    add(&files::read_if_present(&playbook)?.unwrap_or_default());
    let folder = lab.files.inventory_folder();
    for (path, text) in inventory::rendered(cx.layout.root(), &lab.spec, &lab.files, &folder)? {
        if !path.ends_with(SERVED) {
            add(&path);
            add(&text);
        }
    }
    Ok(hasher.finish().to_string())
}

/// What a cluster needs, where that was found out before and is still so: by the lab's own lock, or as the store remembers
/// it from a lab that is gone.
///
/// # Errors
/// When a lock is there and cannot be read.
pub fn known(cx: &Cx, lab: &Lab) -> anyhow::Result<Option<Lock>> {
    recalled(cx, lab)?.map(|lock| keep(cx, lab, lock)).transpose()
}

/// Where the store remembers what a cluster needs: checkouts may have clusters of the same name.
fn remembered(cx: &Cx, lab: &Lab) -> PathBuf {
    let place = cache::short_digest(lab.cluster_file.as_os_str().as_encoded_bytes());
    Store::open(&cx.layout).files().needs().join(format!("{}-{place}.json", lab.spec.name))
}

/// The cluster that a file of needs is named for.
pub(super) fn cluster_of(file_name: &str) -> &str {
    let name = file_name.trim_end_matches(".json");
    name.rsplit_once('-').map_or(name, |(cluster, _)| cluster)
}

/// The lock of a cluster that was found out before, if it is still so.
///
/// # Errors
/// When a lock is there and cannot be read.
pub fn recalled(cx: &Cx, lab: &Lab) -> anyhow::Result<Option<Lock>> {
    let inputs = inputs(cx, lab)?;
    // A lock that cannot be understood is out of date.
    if let Some(lock) = files::read_own::<Lock>(&lab.files.artifacts_lock())? {
        return Ok(Some(lock).filter(|lock| lock.inputs == inputs));
    }
    // Another checkout may have found out the same.
    let needs = Store::open(&cx.layout).files().needs();
    for name in files::names_of_whole_files(&needs)? {
        let remembered = files::read_own::<Remembered>(&needs.join(name))?;
        if let Some(lock) = remembered.map(|remembered| remembered.lock).filter(|lock| lock.inputs == inputs)
        {
            return Ok(Some(lock));
        }
    }
    Ok(None)
}

/// Keeps the lock of a cluster with its lab, and in the store.
///
/// # Errors
/// When it cannot be written.
pub fn keep(cx: &Cx, lab: &Lab, lock: Lock) -> anyhow::Result<Lock> {
    lab_cache::note_use(cx.layout.cache(), "artifacts", "");
    let known = Remembered { cluster_file: lab.cluster_file.clone(), lock };
    let text = serde_json::to_string_pretty(&known)? + "\n";
    files::write_if_changed(&remembered(cx, lab), text.as_bytes(), PUBLIC)?;
    let (lock, place) = (known.lock, lab.files.artifacts_lock());
    files::write_if_changed(&place, (serde_json::to_string_pretty(&lock)? + "\n").as_bytes(), PUBLIC)?;
    Ok(lock)
}

/// A lock given as a file.
///
/// # Errors
/// When it is none.
pub fn read(path: &Path) -> anyhow::Result<Lock> {
    let shown = path.display();
    let text = files::read_if_present(path)?
        .with_context(|| Failure::new(FailureKind::Usage, format!("there is no file `{shown}`")))?;
    serde_json::from_str(&text).with_context(|| {
        Failure::new(FailureKind::Usage, format!("`{shown}` is no lock of artefacts")).hint(
            "`cargo xtask inventory check` writes one as output/<cluster>/inventory/artifacts.lock.json",
        )
    })
}

/// Everything in a lock, each address once, files first.
///
/// # Errors
/// When a digest in it is none: a person edited the lock.
pub fn items(lock: &Lock) -> anyhow::Result<Vec<Item>> {
    let mut seen = BTreeSet::new();
    let mut items = Vec::new();
    let digest = |name: &str, text: Option<&str>| match text {
        None => Ok(None),
        Some(text) => Digest::parse(text).map(Some).with_context(|| {
            Failure::new(
                FailureKind::Usage,
                format!("the lock has `{text}` for `{name}`, which is no SHA-256 digest"),
            )
        }),
    };
    for file in &lock.files {
        if seen.insert((file.url.clone(), file.sha256.clone())) {
            items.push(Item {
                kind: Kind::File,
                name: file.name.clone(),
                version: of_file(&file.url),
                address: file.url.clone(),
                digest: digest(&file.name, file.sha256.as_deref())?,
            });
        }
    }
    for image in &lock.images {
        if seen.insert((image.image.clone(), image.digest.clone())) {
            items.push(Item {
                kind: Kind::Image,
                name: image.name.clone(),
                version: of_image(&image.image),
                address: image.image.clone(),
                digest: digest(&image.name, image.digest.as_deref())?,
            });
        }
    }
    Ok(items)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(sha256: &str) -> Lock {
        serde_json::from_value(serde_json::json!({
            "kubespray": {"version": "v2.30.0", "commit": "c"}, "kubernetes": "1.34.3", "architecture": "amd64",
            "files": [
                {"name": "a", "url": "https://x/v1.2.3/a", "sha256": sha256, "dest": "/tmp/a", "groups": []},
                {"name": "b", "url": "https://x/v1.2.3/a", "sha256": sha256, "dest": "/tmp/b", "groups": []},
                {"name": "own", "url": "https://x/own", "sha256": null, "dest": "/tmp/own", "groups": []}],
            "images": [{"name": "pause", "image": "registry.k8s.io/pause:3.10.1", "digest": null, "groups": []}],
        }))
        .unwrap()
    }

    #[test]
    fn each_address_is_needed_once() {
        let items = items(&lock(&"a".repeat(64))).unwrap();
        let names: Vec<_> = items.iter().map(|item| (item.name.as_str(), item.version.as_deref())).collect();
        assert_eq!(names, [("a", Some("1.2.3")), ("own", None), ("pause", Some("3.10.1"))]);
        assert_eq!(items[1].digest, None);
    }

    #[test]
    fn invalid_digest_is_refused_by_name() {
        let error = items(&lock("../../etc")).unwrap_err();
        assert_eq!(error.to_string(), "the lock has `../../etc` for `a`, which is no SHA-256 digest");
        assert_eq!(crate::failure_kind::of(&error), FailureKind::Usage);
    }
}
