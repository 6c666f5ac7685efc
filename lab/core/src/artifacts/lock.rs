//! `artifacts.lock.json`: every file and every container image that a deploy will need, as Kubespray's own defaults
//! resolve them for an inventory. Sorted, and the same bytes for the same inventory.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// All that a deploy will need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// Which Kubespray says so.
    pub kubespray: Pinned,
    /// The digest of everything that this was computed from: another one means that it is out of date.
    #[serde(default)]
    pub inputs: String,
    /// The version of Kubernetes, `1.34.3`.
    pub kubernetes: String,
    /// The architecture of the machines in Kubespray's words, `amd64`.
    pub architecture: String,
    /// Files, by name.
    pub files: Vec<File>,
    /// Container images, by name.
    pub images: Vec<Image>,
}

/// A Kubespray.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pinned {
    /// Its tag.
    pub version: String,
    /// Its commit.
    pub commit: String,
}

/// A file that machines download.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Kubespray's name for it, `kubeadm`.
    pub name: String,
    /// Where it is downloaded from.
    pub url: String,
    /// Lower-case hexadecimal. None where neither Kubespray nor the inventory has one, as for a version that its maker never
    /// published: only an own build can give such a file.
    pub sha256: Option<String>,
    /// Where it is put on a machine; the name of the file in a cache is the last part of it. Empty for a file that no machine
    /// gets: the computer that installs something needs it.
    pub dest: String,
    /// The groups whose machines need it.
    pub groups: Vec<String>,
    /// The machines that need it, where not every machine of the groups does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machines: Option<Vec<String>>,
}

/// A container image that machines pull.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Kubespray's name for it, `calico_node`.
    pub name: String,
    /// `quay.io/calico/node:v3.30.6`.
    pub image: String,
    /// `sha256:…`, where Kubespray or the inventory pins one.
    pub digest: Option<String>,
    /// The groups whose machines need it.
    pub groups: Vec<String>,
    /// The machines that need it, where not every machine of the groups does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machines: Option<Vec<String>>,
}

/// The output of the playbook `resolve-artifacts.yml` for one machine.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Resolved {
    /// The groups of the machine.
    groups: BTreeSet<String>,
    /// `amd64`.
    architecture: String,
    kubernetes: String,
    kubeadm_image_repo: String,
    /// All that it could need.
    downloads: BTreeMap<String, Download>,
    /// Images that Kubespray could use and does not list.
    unlisted: Vec<Unlisted>,
}

/// An entry of Kubespray's `downloads` (roles/kubespray_defaults/defaults/main/download.yml), or of the like.
#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Download {
    enabled: bool,
    #[serde(default)]
    container: bool,
    #[serde(default)]
    repo: Value,
    #[serde(default)]
    tag: Value,
    #[serde(default)]
    url: Value,
    #[serde(default)]
    dest: Value,
    #[serde(default)]
    checksum: Value,
    #[serde(default)]
    groups: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Unlisted {
    name: String,
    #[serde(flatten)]
    download: Download,
}

/// Why there is no lock.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// An entry lacks data needed to download it.
    #[error("`{name}` for {machine} has no {what}: it cannot be downloaded")]
    Incomplete {
        /// The entry.
        name: String,
        /// For whom.
        machine: String,
        /// The missing data.
        what: &'static str,
    },
    /// Machines of one cluster would get different ones.
    #[error("machines get different {what}: {values}")]
    Differs {
        /// The name of the differing value.
        what: &'static str,
        /// The values.
        values: String,
    },
    /// Nothing was resolved.
    #[error("nothing was resolved")]
    Nothing,
}

/// Reads the output of one machine's task; `None` for any other task.
pub fn resolved(output: &Value) -> Option<Resolved> {
    let output = match output {
        Value::String(text) => serde_json::from_str(text).ok()?,
        other => other.clone(),
    };
    output.get("lab_resolved")?.as_bool()?.then_some(())?;
    serde_json::from_value(output).ok()
}

/// The lock, from the resolved needs of machines that stand for others (see [`super::representatives`]).
///
/// # Errors
/// When something has no address or a checksum that is none, or machines disagree about a common value.
pub fn lock(
    kubespray: Pinned,
    inputs: &str,
    resolved: &BTreeMap<String, Resolved>,
    stands_for: &BTreeMap<String, Vec<String>>,
) -> Result<Lock, LockError> {
    let one = |what: &'static str, value: fn(&Resolved) -> &String| {
        let values: BTreeSet<&String> = resolved.values().map(value).collect();
        match values.iter().collect::<Vec<_>>().as_slice() {
            [] => Err(LockError::Nothing),
            [one] => Ok((**one).clone()),
            many => {
                let many: Vec<&str> = many.iter().map(|value| value.as_str()).collect();
                Err(LockError::Differs { what, values: many.join(", ") })
            }
        }
    };
    let kubernetes = one("versions of Kubernetes", |machine| &machine.kubernetes)?;
    let architecture = one("architectures", |machine| &machine.architecture)?;
    let mut needs = Needs::default();
    for (machine, resolved) in resolved {
        for (name, download) in &resolved.downloads {
            needs.add(machine, resolved, name, download)?;
        }
        for Unlisted { name, download } in &resolved.unlisted {
            needs.add(machine, resolved, name, &Download { container: true, ..download.clone() })?;
        }
        for (name, download) in kubeadm_images(resolved) {
            needs.add(machine, resolved, &name, &download)?;
        }
    }
    let everybody =
        |machine: &String| stands_for.get(machine).cloned().unwrap_or_else(|| vec![machine.clone()]);
    let users = |need: &Need| {
        let groups: Vec<String> = need.groups.iter().cloned().collect();
        let members = resolved.iter().filter(|(_, one)| !one.groups.is_disjoint(&need.groups));
        let all: BTreeSet<&String> = members.map(|(machine, _)| machine).collect();
        let some = all.len() != need.machines.len();
        let mut machines: Vec<String> = need.machines.iter().flat_map(everybody).collect();
        machines.sort();
        (groups, some.then_some(machines))
    };
    let files = needs.files.iter().map(|((name, url, sha256, dest), need)| {
        let (groups, machines) = users(need);
        let [name, url, dest] = [name, url, dest].map(Clone::clone);
        File { name, url, sha256: sha256.clone(), dest, groups, machines }
    });
    let images = needs.images.iter().map(|((name, image, digest), need)| {
        let (groups, machines) = users(need);
        Image { name: name.clone(), image: image.clone(), digest: digest.clone(), groups, machines }
    });
    let (files, images) = (files.collect(), images.collect());
    Ok(Lock { kubespray, inputs: inputs.to_owned(), kubernetes, architecture, files, images })
}

/// Adds what the GPU Operator needs to a lock: images (name, reference), which machines pull when its pods start, and for
/// the computer that installs it the chart, by its URL, and the helm that Kubespray knows.
///
/// # Errors
/// When Kubespray's helm has no address or a checksum that is none.
pub fn add_gpu_operator(
    lock: &mut Lock,
    resolved: &BTreeMap<String, Resolved>,
    chart: &str,
    images: &[(String, String)],
) -> Result<(), LockError> {
    let file = |name: &str, url: String, sha256| File {
        name: name.to_owned(),
        url,
        sha256,
        dest: String::new(),
        groups: vec![],
        machines: None,
    };
    lock.files.push(file("gpu_operator_chart", chart.to_owned(), None));
    let helm = resolved.iter().find_map(|(machine, one)| Some((machine, one.downloads.get("helm")?)));
    // Machines may get one too, from the same address.
    if let Some((machine, helm)) = helm
        && lock.files.iter().all(|file| file.name != "helm")
    {
        let lacks = |what| LockError::Incomplete { name: "helm".to_owned(), machine: machine.clone(), what };
        let url = text(&helm.url).ok_or_else(|| lacks("address"))?;
        let sha256 = sha256_of(helm).map_err(|()| lacks("SHA-256"))?;
        lock.files.push(file("helm", url, sha256));
    }
    lock.images.extend(images.iter().map(|(name, image)| Image {
        name: name.clone(),
        image: image.clone(),
        digest: None,
        groups: vec!["k8s_cluster".to_owned()],
        machines: None,
    }));
    lock.files.sort_by(|one, other| (&one.name, &one.url).cmp(&(&other.name, &other.url)));
    lock.images.sort_by(|one, other| (&one.name, &one.image).cmp(&(&other.name, &other.image)));
    Ok(())
}

/// The SHA-256 of a file, lower-case hexadecimal; `None` where there is no checksum.
fn sha256_of(download: &Download) -> Result<Option<String>, ()> {
    let Some(checksum) = text(&download.checksum) else { return Ok(None) };
    let digits = checksum.strip_prefix("sha256:").unwrap_or(&checksum).to_lowercase();
    let good = digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if good { Ok(Some(digits)) } else { Err(()) }
}

/// The images that kubeadm pulls by itself and Kubespray pulls before it
/// (roles/download/tasks/prep_kubeadm_images.yml): the list of `kubeadm config images list` without those
/// that Kubespray lists itself.
fn kubeadm_images(resolved: &Resolved) -> Vec<(String, Download)> {
    let image = |name: &str, repo: String, tag: String| {
        let download = Download {
            enabled: true,
            container: true,
            repo: Value::String(repo),
            tag: Value::String(tag),
            url: Value::Null,
            dest: Value::Null,
            checksum: Value::Null,
            groups: vec!["k8s_cluster".to_owned()],
        };
        (format!("kubeadm_{name}"), download)
    };
    let parts = ["kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler"];
    let of_kubernetes = parts.map(|name| {
        image(name, format!("{}/{name}", resolved.kubeadm_image_repo), format!("v{}", resolved.kubernetes))
    });
    of_kubernetes.into()
}

/// Who needs something.
#[derive(Debug, Default)]
struct Need {
    groups: BTreeSet<String>,
    machines: BTreeSet<String>,
}

/// Everything that is needed: the same thing for several machines is one thing.
#[derive(Debug, Default)]
struct Needs {
    /// Name, URL, digest, destination.
    files: BTreeMap<(String, String, Option<String>, String), Need>,
    /// Name, image, digest.
    images: BTreeMap<(String, String, Option<String>), Need>,
}

impl Needs {
    fn add(
        &mut self,
        machine: &str,
        of: &Resolved,
        name: &str,
        download: &Download,
    ) -> Result<(), LockError> {
        // As roles/download/tasks/main.yml: a file that none of the machine's groups needs is not downloaded.
        if !download.enabled || !download.groups.iter().any(|group| of.groups.contains(group)) {
            return Ok(());
        }
        let lacks = |what| LockError::Incomplete { name: name.to_owned(), machine: machine.to_owned(), what };
        let need = if download.container {
            let repo = text(&download.repo).ok_or_else(|| lacks("repository"))?;
            let tag = text(&download.tag).ok_or_else(|| lacks("tag"))?;
            let digest = text(&download.checksum).map(|digest| match digest.split_once(':') {
                Some(_) => digest,
                None => format!("sha256:{digest}"),
            });
            self.images.entry((name.to_owned(), format!("{repo}:{tag}"), digest)).or_default()
        } else {
            let url = text(&download.url).ok_or_else(|| lacks("address"))?;
            let sha256 = sha256_of(download).map_err(|()| lacks("SHA-256"))?;
            let dest = text(&download.dest).ok_or_else(|| lacks("destination"))?;
            self.files.entry((name.to_owned(), url, sha256, dest)).or_default()
        };
        need.groups.extend(download.groups.iter().cloned());
        need.machines.insert(machine.to_owned());
        Ok(())
    }
}

/// A text, where there is one: a template that gives nothing gives `None` in Python's words.
fn text(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    Some(text).filter(|text| !text.is_empty() && text != "None")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn says(groups: &[&str], downloads: Value) -> Resolved {
        let output = json!({
            "lab_resolved": true, "groups": groups, "architecture": "amd64", "kubernetes": "1.34.3",
            "kubeadm_image_repo": "registry.k8s.io", "downloads": downloads,
            "unlisted": [{"name": "nfd", "enabled": true, "repo": "r/nfd", "tag": "v1", "groups": ["kube_node"]}],
        });
        resolved(&json!(output.to_string())).unwrap()
    }

    fn downloads() -> Value {
        json!({
            "kubectl": {"file": true, "enabled": true, "url": "https://x/kubectl", "dest": "/tmp/kubectl",
                "checksum": format!("sha256:{}", "A".repeat(64)), "groups": ["kube_control_plane"]},
            "coredns": {"container": true, "enabled": true, "repo": "r/coredns", "tag": "v1", "checksum": "",
                "groups": ["k8s_cluster"]},
            "pinned": {"container": true, "enabled": true, "repo": "r/p", "tag": 3.1, "checksum": "b".repeat(64),
                "groups": ["k8s_cluster"]},
            "unwanted": {"container": true, "enabled": false, "repo": "r/u", "tag": "", "groups": ["k8s_cluster"]},
        })
    }

    fn pinned() -> Pinned {
        Pinned { version: "v2.30.0".into(), commit: "f4ccdb5e72395eaf9f3444056ebd1a6625ddb89a".into() }
    }

    #[test]
    fn lock_covers_two_kinds_of_machines() {
        let machines = BTreeMap::from([
            ("cp".to_owned(), says(&["k8s_cluster", "kube_control_plane", "etcd"], downloads())),
            ("worker".to_owned(), says(&["k8s_cluster", "kube_node"], downloads())),
        ]);
        let stands_for =
            BTreeMap::from([("worker".to_owned(), vec!["worker".to_owned(), "worker-2".to_owned()])]);
        let lock = lock(pinned(), "0", &machines, &stands_for).unwrap();
        let text = serde_json::to_string_pretty(&lock).unwrap();
        assert_eq!(serde_json::from_str::<Lock>(&text).unwrap(), lock, "the written lock is read again");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn lock_names_machines_when_only_some_of_group_need_entry() {
        let mut other = downloads();
        other["coredns"]["tag"] = json!("v2");
        let machines = BTreeMap::from([
            ("cp".to_owned(), says(&["k8s_cluster"], downloads())),
            ("worker".to_owned(), says(&["k8s_cluster"], other)),
        ]);
        let stands_for =
            BTreeMap::from([("worker".to_owned(), vec!["worker-2".to_owned(), "worker".to_owned()])]);
        let lock = lock(pinned(), "0", &machines, &stands_for).unwrap();
        let coredns: Vec<_> = lock.images.iter().filter(|image| image.name == "coredns").collect();
        assert_eq!(coredns[0].machines.as_deref(), Some(&["cp".to_owned()][..]));
        assert_eq!(coredns[1].machines.as_deref(), Some(&["worker".to_owned(), "worker-2".to_owned()][..]));
    }

    #[test]
    fn lock_reports_entry_without_download() {
        let without = |key: &str| {
            let mut downloads = downloads();
            downloads["kubectl"][key] = json!("None");
            let machines = BTreeMap::from([("cp".to_owned(), says(&["kube_control_plane"], downloads))]);
            lock(pinned(), "0", &machines, &BTreeMap::new()).unwrap_err().to_string()
        };
        assert_eq!(without("dest"), "`kubectl` for cp has no destination: it cannot be downloaded");
        assert_eq!(without("url"), "`kubectl` for cp has no address: it cannot be downloaded");
        assert_eq!(lock(pinned(), "0", &BTreeMap::new(), &BTreeMap::new()), Err(LockError::Nothing));
    }

    #[rstest::rstest]
    #[case(json!("None"), Ok(None))]
    #[case(json!(""), Ok(None))]
    #[case(json!(format!("sha256:{}", "A".repeat(64))), Ok(Some("a".repeat(64))))]
    #[case(json!("sha512:abc"), Err("`kubectl` for cp has no SHA-256: it cannot be downloaded".to_owned()))]
    fn lock_names_file_without_checksum_and_refuses_other_kind(
        #[case] checksum: Value,
        #[case] expected: Result<Option<String>, String>,
    ) {
        let mut downloads = downloads();
        downloads["kubectl"]["checksum"] = checksum;
        let machines = BTreeMap::from([("cp".to_owned(), says(&["kube_control_plane"], downloads))]);
        let made = lock(pinned(), "0", &machines, &BTreeMap::new());
        assert_eq!(
            made.map(|lock| lock.files[0].sha256.clone()).map_err(|error| error.to_string()),
            expected
        );
    }

    #[rstest::rstest]
    #[case::unused(false, "")]
    #[case::used_by_machines(true, "/tmp/helm.tar.gz")]
    fn gpu_operator_adds_chart_helm_and_images(#[case] enabled: bool, #[case] dest: &str) {
        let mut downloads = downloads();
        downloads["helm"] = json!({"file": true, "enabled": enabled, "url": "https://x/helm-v3.18.4.tar.gz",
            "dest": "/tmp/helm.tar.gz", "checksum": "c".repeat(64), "groups": ["kube_control_plane"]});
        let machines = BTreeMap::from([("cp".to_owned(), says(&["kube_control_plane"], downloads))]);
        let mut lock = lock(pinned(), "0", &machines, &BTreeMap::new()).unwrap();
        let images = [("gpu_operator".to_owned(), "nvcr.io/nvidia/gpu-operator:v25.3.4".to_owned())];
        add_gpu_operator(&mut lock, &machines, "https://x/gpu-operator-v25.3.4.tgz", &images).unwrap();
        let files: Vec<_> = lock
            .files
            .iter()
            .map(|file| (file.name.as_str(), file.url.as_str(), file.dest.as_str()))
            .collect();
        let expected = [
            ("gpu_operator_chart", "https://x/gpu-operator-v25.3.4.tgz", ""),
            ("helm", "https://x/helm-v3.18.4.tar.gz", dest),
            ("kubectl", "https://x/kubectl", "/tmp/kubectl"),
        ];
        assert_eq!(files, expected);
        assert_eq!(lock.files[1].sha256, Some("c".repeat(64)));
        let image = lock.images.iter().find(|image| image.name == "gpu_operator").unwrap();
        assert_eq!(
            (image.image.as_str(), &image.groups[..]),
            (images[0].1.as_str(), &["k8s_cluster".to_owned()][..])
        );
    }

    #[test]
    fn only_our_own_task_is_read() {
        assert_eq!(resolved(&json!("hello")), None);
        assert_eq!(resolved(&json!({"lab_resolved": false})), None);
        assert_eq!(resolved(&json!({})), None);
    }
}
