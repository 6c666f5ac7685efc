//! The `go.mod` that a module's programs are compiled with: a module of our own that requires it.
//!
//! A dependency's `replace` and `godebug` lines count for nothing when it is compiled as a dependency, so
//! ours repeats them. There is no `go.sum`: versions come from locks, and Go checks each against its public
//! checksum database.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::parts::{Module, ModuleVersion};

/// The module's own `go.mod`, as `go mod edit -json` prints it; empty for a program that stands on none.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Upstream {
    /// The oldest Go that compiles it, `1.24.0`.
    pub go: Option<String>,
    #[serde(deserialize_with = "nothing_is_empty")]
    godebug: Vec<Debug>,
    #[serde(deserialize_with = "nothing_is_empty")]
    replace: Vec<Replace>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Debug {
    key: String,
    value: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Replace {
    old: Target,
    new: Target,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Target {
    path: String,
    #[serde(default)]
    version: Option<String>,
}

/// Go writes a list without elements as `null`.
fn nothing_is_empty<'de, D, T>(from: D) -> Result<Vec<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// Modules of Kubernetes' staging folder that its programs do not need, and that not every proxy has.
const UNUSED_STAGING: [&str; 3] =
    ["k8s.io/sample-apiserver", "k8s.io/sample-cli-plugin", "k8s.io/sample-controller"];

/// Writes the `go.mod` for a module in a version without `v`. Stubs lie in folders `stub-0`, `stub-1`… beside it.
pub fn go_mod(module: &Module, version: &str, upstream: &Upstream) -> String {
    let go = upstream.go.as_deref().unwrap_or("1.24.0");
    let mut text = format!("module lab.invalid/{}\n\ngo {go}\n", module.name);
    for debug in &upstream.godebug {
        text += &format!("\ngodebug {}={}\n", debug.key, debug.value);
    }
    if module.version != ModuleVersion::Own {
        text += "\nrequire (\n";
        for path in [module.path].iter().chain(module.siblings) {
            text += &format!("\t{path} v{version}\n");
        }
        for required in module.requires {
            text += &format!("\t{required}\n");
        }
        text += ")\n";
    }
    let mut replaces = BTreeMap::new();
    for replace in &upstream.replace {
        let old = match &replace.old.version {
            Some(version) => format!("{} {version}", replace.old.path),
            None => replace.old.path.clone(),
        };
        let staged = replace.new.path.strip_prefix("./staging/src/").filter(|path| *path == replace.old.path);
        let new = match (&replace.new.version, staged, super::staging(version)) {
            (Some(version), _, _) => format!("{} {version}", replace.new.path),
            // The folder is published as a module of its own, tagged together with this one.
            (None, Some(path), Some(library)) if !UNUSED_STAGING.contains(&path) => {
                format!("{path} v{library}")
            }
            // Any other folder of upstream's repository: the requirement names the published version.
            _ => continue,
        };
        replaces.insert(old, new);
    }
    if let Some(fork) = module.fork {
        replaces.insert(module.path.to_owned(), format!("{fork} v{version}"));
    }
    for (old, new) in module.replaces {
        replaces.insert((*old).to_owned(), (*new).to_owned());
    }
    for (index, stub) in module.stubs.iter().enumerate() {
        replaces.insert(format!("{} {}", stub.path, stub.version), format!("./stub-{index}"));
    }
    if !replaces.is_empty() {
        text += "\nreplace (\n";
        for (old, new) in replaces {
            text += &format!("\t{old} => {new}\n");
        }
        text += ")\n";
    }
    text
}
