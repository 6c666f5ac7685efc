//! Judges a lock's entries by the table: which can be built, in which version, and which cannot.

use super::lock::Lock;
use super::parts::{Kind, Module, ModuleVersion, Part, Product};
use super::{of_file, of_image, staging, table};

/// One entry of a lock.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The lock's name for it.
    pub name: String,
    /// File or image.
    pub kind: Kind,
    /// The URL of a file, the reference of an image.
    pub address: String,
    /// The version asked for, without `v`; empty where the address does not say one.
    pub version: String,
    /// How it can be had here.
    pub how: How,
}

/// How an entry can be had without its upstream's own build.
#[derive(Debug, Clone)]
pub enum How {
    /// It is built.
    Build {
        /// By this line of the table.
        part: &'static Part,
        /// The version of its module, without `v`.
        module_version: String,
    },
    /// Not at all.
    Not {
        /// Why.
        reason: String,
        /// The replacement.
        instead: String,
    },
}

/// Judges every entry of a lock, files first, in the lock's order.
pub fn plan(lock: &Lock) -> Vec<Entry> {
    let files = lock.files.iter().map(|file| (Kind::File, &file.name, &file.url, of_file(&file.url)));
    let images =
        lock.images.iter().map(|image| (Kind::Image, &image.name, &image.image, of_image(&image.image)));
    files
        .chain(images)
        .map(|(kind, name, address, version)| Entry {
            name: name.clone(),
            kind,
            address: address.clone(),
            how: how(kind, name, address, version.as_deref(), &lock.kubernetes),
            version: version.unwrap_or_default(),
        })
        .collect()
}

fn how(kind: Kind, name: &str, address: &str, version: Option<&str>, kubernetes: &str) -> How {
    let not = |reason: String, instead: &str| How::Not { reason, instead: instead.to_owned() };
    let elsewhere = "`artifacts fetch` or an exported bundle";
    let Some(part) = table::part(kind, name, version.unwrap_or_default()) else {
        return not("the table has no recipe for it".to_owned(), elsewhere);
    };
    if let Product::None { reason, instead } = part.product {
        return not(reason.to_owned(), instead);
    }
    let Some(version) = version else {
        return not(format!("`{address}` does not say a version"), elsewhere);
    };
    let of_module = match part.product.module() {
        Some(module) => module_version(module, version, kubernetes),
        None => Ok(version.to_owned()),
    };
    match of_module {
        Ok(module_version) => How::Build { part, module_version },
        Err(reason) => not(reason, elsewhere),
    }
}

/// The version of a module, without `v`, for the requested version and the cluster's Kubernetes.
///
/// # Errors
/// Why there is none, as one sentence.
pub fn module_version(module: &Module, version: &str, kubernetes: &str) -> Result<String, String> {
    match module.version {
        ModuleVersion::Same | ModuleVersion::Own => Ok(version.to_owned()),
        ModuleVersion::Kubernetes => Ok(kubernetes.to_owned()),
        ModuleVersion::Staging => staging(kubernetes)
            .ok_or_else(|| format!("Kubernetes {kubernetes} has no libraries that are known here")),
        ModuleVersion::Listed(pairs) => {
            let pair = pairs.iter().find(|(asked, _)| *asked == version);
            pair.map(|(_, module)| (*module).to_owned()).ok_or_else(|| {
                let known: Vec<&str> = pairs.iter().map(|(asked, _)| *asked).collect();
                format!("its module is known in no version but for {}", known.join(", "))
            })
        }
    }
}
