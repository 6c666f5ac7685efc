//! `group_vars/all/artifacts.yml` of a living lab: where its machines ask for files and images, and the
//! checksums of the files that were built here.
//!
//! It is a file of the living lab alone: committed files, and the source of `artifacts.lock.json`, name
//! public places. It stands behind `all.yml` in its folder, so that Ansible reads it later and it wins over
//! `mirrors.files`; a variable of the user's own is never set here.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::FILE_ROOTS;
use super::files::first_line;
use super::plugin::container_engine;
use crate::artifacts::checksum_variable;
use crate::identity::CA_ON_MACHINES;
use crate::spec::{ClusterSpec, ContainerEngine};
use crate::yaml_writer;

/// Where the file lies below the folder of the inventory.
pub const ARTIFACTS_FILE: &str = "group_vars/all/artifacts.yml";

/// Containerd's settings of mirrors: roles/container-engine/containerd/templates/hosts.toml.j2, the same in every known release.
const MIRRORS: &str = "containerd_registries_mirrors";

/// The artefacts that the lab serves to its machines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// The file server, `http://192.168.200.1:8080`; a file lies there under the host and the path of its address.
    pub files: String,
    /// The registry, `https://192.168.200.1:5000`; `None` where it cannot run.
    pub registry: Option<String>,
    /// Every registry that the lock's images name, `registry.k8s.io`.
    pub registries: BTreeSet<String>,
    /// Files of the lock that are served as own builds.
    pub own_builds: Vec<OwnBuild>,
}

/// A file that was built here, in place of its maker's release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnBuild {
    /// Kubespray's name for it, `kubelet`.
    pub name: String,
    /// Its version, where it has one.
    pub version: Option<String>,
    /// Of its bytes, hexadecimal.
    pub sha256: String,
}

/// The file, and notes about it for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactsFile {
    /// The whole text.
    pub text: String,
    /// One sentence each: where the user's own settings win, and those without a variable of Kubespray.
    pub notes: Vec<String>,
}

/// Whether machines fetch the files of a host from the lab.
pub fn is_file_root(host: &str) -> bool {
    FILE_ROOTS.iter().any(|(_, known)| *known == host)
}

/// The name of a registry below the lab's own one: a repository's name has no colon, a port has.
pub fn repository_of(registry: &str) -> String {
    registry.replace(':', "_")
}

/// Writes the file for a cluster.
pub fn artifacts_file(spec: &ClusterSpec, served: &Served) -> ArtifactsFile {
    let text = first_line(spec) + "---\n";
    let mut file = Draft { spec, text, notes: Vec::new() };
    let comment = if spec.mirrors.files.is_some() {
        "the lab's own file server, in place of mirrors.files: `artifacts fetch` asks the mirror, machines ask the lab"
    } else {
        "the lab's own file server: machines reach nothing else"
    };
    let roots = FILE_ROOTS.iter().map(|(name, host)| (*name, json!(format!("{{{{ files_repo }}}}/{host}"))));
    file.section(comment, [("files_repo", json!(served.files))].into_iter().chain(roots));
    if let Some(registry) = &served.registry {
        registries(&mut file, registry, &served.registries);
    }
    for build in &served.own_builds {
        let what = match &build.version {
            Some(version) => format!("own build of {} {version}", build.name),
            None => format!("own build of {}", build.name),
        };
        match checksum_variable(&build.name) {
            Some(variable) => {
                let checksum = json!(format!("sha256:{}", build.sha256));
                // An empty one in `all` only says that Kubespray knows none, of a version that it does not know.
                if file.is_empty(variable) {
                    file.merged(&what, variable, checksum);
                } else {
                    file.section(&what, [(variable, checksum)]);
                }
            }
            None => file.notes.push(format!(
                "Kubespray has no variable for the checksum of `{}`: the {what} will be refused by machines",
                build.name
            )),
        }
    }
    ArtifactsFile { text: file.text, notes: file.notes }
}

fn registries(file: &mut Draft<'_>, registry: &str, registries: &BTreeSet<String>) {
    let variables = &file.spec.kubespray.variables;
    match container_engine(file.spec.kubernetes.container_runtime.engine, variables) {
        Ok(ContainerEngine::Containerd) => {}
        Ok(other) => {
            let engine = other.as_str();
            file.notes
                .push(format!("only containerd gets the lab's registry, and this cluster has {engine}"));
            return;
        }
        // The check of the file reports it.
        Err(_) => return,
    }
    let mut own = Vec::new();
    let mut comment = "the lab's own registry: machines reach nothing else".to_owned();
    match variables.get("all").and_then(|all| all.get(MIRRORS)) {
        None => {}
        Some(Value::Array(mirrors)) => {
            own.clone_from(mirrors);
            comment = format!("kubespray.variables.all.{MIRRORS}, and {comment}");
        }
        Some(_) => {
            file.notes.push(wins("all", MIRRORS));
            return;
        }
    }
    let taken = |host: &str| own.iter().any(|mirror| mirror["prefix"] == host);
    let ours: Vec<Value> = registries
        .iter()
        .filter(|host| !taken(host))
        .map(|host| {
            json!({
                "prefix": host,
                "mirrors": [{
                    // Each registry is a folder of ours, so that two of the same path stay apart.
                    "host": format!("{registry}/v2/{}", repository_of(host)),
                    "capabilities": ["pull", "resolve"],
                    "override_path": true,
                    "skip_verify": false,
                    "ca": [CA_ON_MACHINES],
                }],
            })
        })
        .collect();
    for host in registries.iter().filter(|host| taken(host)) {
        file.notes.push(format!(
            "machines ask for images of {host} as kubespray.variables.all.{MIRRORS} says, not the lab's registry"
        ));
    }
    own.extend(ours);
    file.merged(&comment, MIRRORS, Value::Array(own));
}

fn wins(group: &str, name: &str) -> String {
    format!("kubespray.variables.{group}.{name} wins over the lab's own")
}

struct Draft<'a> {
    spec: &'a ClusterSpec,
    text: String,
    notes: Vec<String>,
}

impl Draft<'_> {
    /// Variables under one comment, but for those that the user sets.
    fn section<'n>(&mut self, comment: &str, variables: impl IntoIterator<Item = (&'n str, Value)>) {
        let mut begun = false;
        for (name, value) in variables {
            if self.users(name, true) {
                continue;
            }
            if !begun {
                self.begin(comment);
                begun = true;
            }
            yaml_writer::entry(&mut self.text, name, &value);
        }
    }

    /// A variable with the user's own of `all` in it.
    fn merged(&mut self, comment: &str, name: &str, value: Value) {
        self.users(name, false);
        self.begin(comment);
        yaml_writer::entry(&mut self.text, name, &value);
    }

    fn begin(&mut self, comment: &str) {
        if !self.text.ends_with("---\n") {
            self.text.push('\n');
        }
        yaml_writer::comment(&mut self.text, comment);
    }

    /// Whether the user set a variable of `all` to nothing.
    fn is_empty(&self, name: &str) -> bool {
        let set = self.spec.kubespray.variables.get("all").and_then(|set| set.get(name));
        set.is_some_and(|value| value.as_str() == Some(""))
    }

    /// Says which of the user's variables win, and whether one of `all` does.
    fn users(&mut self, name: &str, all_too: bool) -> bool {
        let groups = self.spec.kubespray.variables.iter().filter(|(_, set)| set.contains_key(name));
        let groups: Vec<&String> =
            groups.map(|(group, _)| group).filter(|group| all_too || *group != "all").collect();
        self.notes.extend(groups.iter().map(|group| wins(group, name)));
        groups.iter().any(|group| *group == "all")
    }
}
