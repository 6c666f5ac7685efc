//! Makes of programs and packages what a lock names, and records it in the store.

use std::path::Path;

use anyhow::Context as _;
use lab_core::artifacts::{DEBIAN_USERLAND, How, Image, Member, ModuleVersion, Part, Product};

use crate::artifacts::store::record::{Made, STAND_IN_VERSION};
use crate::artifacts::store::{Blob, FileRecord, ImageRecord, Source, Writer};

use super::archive::{Node, Tree};
use super::compile::{Place, Unit};
use super::oci::{self, About, Stored};
use super::userland::Packages;
use super::{Job, Kind};

/// Permission bits of a program.
const PROGRAM: u32 = 0o755;

/// What products are made of.
pub struct Parts<'a> {
    /// The store.
    pub writer: &'a Writer,
    /// The compiled programs and where they lie; `None` if nothing is compiled.
    pub unit: Option<(&'a Unit, &'a Place)>,
    /// Debian's packages, where something needs them.
    pub packages: Option<&'a Packages>,
    /// The version of Go, `go1.26.8`.
    pub compiler: &'a str,
    /// `amd64`.
    pub architecture: &'a str,
    /// Where temporary files may lie.
    pub folder: &'a Path,
}

/// The record in the store for an entry.
enum Put {
    File(Blob),
    Image(Stored),
}

impl Parts<'_> {
    /// Puts one entry of a lock into the store and records it. Returns its size in bytes.
    ///
    /// # Errors
    /// When something that it is made of is missing or cannot be written.
    pub fn make(&self, job: &Job) -> anyhow::Result<u64> {
        let entry = &job.entry;
        let How::Build { part, module_version } = &entry.how else {
            anyhow::bail!("`{}` is not built", entry.name);
        };
        let put = match &part.product {
            Product::Program { program, .. } => Put::File(self.writer.put_file(&self.program(program)?)?),
            Product::Archive { members, .. } => {
                let tree = self.members(members, &entry.version)?;
                Put::File(oci::gzip(self.writer, &tree, self.folder)?)
            }
            Product::Debian { path, .. } => {
                let packages = self.packages.context("Debian's packages were not fetched")?;
                Put::File(self.writer.put_bytes(packages.bytes(path)?)?)
            }
            Product::Image(image) => Put::Image(self.image(image, &entry.version)?),
            Product::None { .. } => anyhow::bail!("`{}` is not built", entry.name),
        };
        let made = Some(self.made(&part.product, module_version));
        let (name, version) = (entry.name.clone(), Some(self.version(part, &entry.version)));
        let (source, build_key) = (Source::OwnBuild, Some(job.key.clone()));
        match put {
            Put::File(blob) => {
                let size = blob.size;
                let url = entry.address.clone();
                self.writer.record_file(&FileRecord { name, version, url, blob, source, build_key, made })?;
                Ok(size)
            }
            Put::Image(Stored { manifest, media_type, blobs }) => {
                debug_assert_eq!(entry.kind, Kind::Image);
                let reference = entry.address.clone();
                let index = None;
                let record = ImageRecord {
                    name,
                    version,
                    reference,
                    manifest,
                    media_type,
                    index,
                    blobs,
                    source,
                    build_key,
                    made,
                };
                self.writer.record_image(&record)?;
                Ok(record.size())
            }
        }
    }

    /// The version that is had.
    fn version(&self, part: &Part, asked: &str) -> String {
        match &part.product {
            Product::Debian { package, .. } => self.packaged(package).unwrap_or_default(),
            _ if part.stand_in.is_some() => STAND_IN_VERSION.to_owned(),
            _ => asked.to_owned(),
        }
    }

    fn packaged(&self, package: &str) -> Option<String> {
        self.packages?.versions.get(package).cloned()
    }

    /// What really went in.
    fn made(&self, product: &Product, module_version: &str) -> Made {
        if let Product::Debian { package, .. } = product {
            let packages = self.packaged(package).map(|version| ((*package).to_owned(), version));
            return Made { packages: packages.into_iter().collect(), ..Made::default() };
        }
        let packages = self.packages.filter(|_| product.needs_debian());
        let module = product.programs().map(|(module, _)| module);
        let module = module.filter(|module| module.version != ModuleVersion::Own);
        Made {
            compiler: Some(self.compiler.to_owned()),
            module: module.map(|one| format!("{}@v{module_version}", one.fork.unwrap_or(one.path))),
            packages: packages.map(|packages| packages.versions.clone()).unwrap_or_default(),
        }
    }

    fn program(&self, name: &str) -> anyhow::Result<std::path::PathBuf> {
        let (unit, place) = self.unit.context("nothing was compiled")?;
        Ok(unit.program(place, name))
    }

    fn members(&self, members: &[Member], version: &str) -> anyhow::Result<Tree> {
        let node = |member: &Member| {
            let from = self.program(member.program)?;
            Ok((member.path(version, self.architecture), Node::File { from, mode: PROGRAM }))
        };
        members.iter().map(node).collect()
    }

    fn image(&self, image: &Image, version: &str) -> anyhow::Result<Stored> {
        let mut layers = Vec::new();
        let mut history = Vec::new();
        if image.userland {
            let packages = self.packages.context("Debian's packages were not fetched")?;
            let tree = packages.userland(&DEBIAN_USERLAND)?;
            // The same bytes for every image, so the same layer.
            layers.push(oci::layer(self.writer, &tree, self.folder)?);
            history.push(format!("packages of Debian: {}", DEBIAN_USERLAND.packages.join(" ")));
        }
        let mut tree = self.members(image.members, version)?;
        tree.insert("etc".to_owned(), Node::Folder { mode: 0o755 });
        tree.insert("tmp".to_owned(), Node::Folder { mode: 0o1777 });
        layers.push(oci::layer(self.writer, &tree, self.folder)?);
        history.push(format!("own build of {} {version} with {}", image.module.name, self.compiler));
        let about = About {
            architecture: self.architecture,
            entrypoint: image.entrypoint,
            user: image.user,
            history: &history,
        };
        oci::image(self.writer, &layers, &about)
    }
}
