//! Judges a lock's entries by the table: which can be built, in which version, and which cannot.

use super::lock::Lock;
use super::parts::{Kind, ModuleVersion, Part, Product};
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
    let rule = part.product.programs().map_or(ModuleVersion::Same, |(module, _)| module.version);
    let module_version = match rule {
        ModuleVersion::Same | ModuleVersion::Own => Some(version.to_owned()),
        ModuleVersion::Staging => staging(kubernetes),
        ModuleVersion::Kubernetes => Some(kubernetes.to_owned()),
    };
    match module_version {
        Some(module_version) => How::Build { part, module_version },
        None => not(format!("Kubernetes {kubernetes} has no libraries that are known here"), elsewhere),
    }
}
