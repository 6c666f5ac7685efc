//! Makes of programs and packages what a lock names, and records it in the store.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use lab_core::artifacts::{Content, How, Image, Member, Module, ModuleVersion, Part, Product};

use crate::artifacts::store::record::{Made, STAND_IN_VERSION};
use crate::artifacts::store::{Blob, FileRecord, ImageRecord, Source, Writer};

use super::archive::{self, Node, Tree};
use super::chart;
use super::compile::Compiled;
use super::oci::{self, About, Stored};
use super::userland::Packages;
use super::{Job, Kind};

/// Permission bits of a program.
const PROGRAM: u32 = 0o755;
/// And of any other file.
const FILE: u32 = 0o644;

/// What products are made of.
pub struct Parts<'a> {
    /// The store.
    pub writer: &'a Writer,
    /// The compiled units; none if nothing is compiled.
    pub compiled: &'a [Compiled<'a>],
    /// Debian's packages by their list, where something needs them.
    pub packages: &'a BTreeMap<&'static [&'static str], Arc<Packages>>,
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
            Product::Program { module, program } => {
                Put::File(self.writer.put_file(&self.unit(module)?.program(program))?)
            }
            Product::Archive { module, members } => {
                let tree = self.members(module, members, &entry.version)?;
                Put::File(oci::gzip(self.writer, &tree, self.folder)?)
            }
            Product::Chart { module, folder, name } => {
                let tree = chart::tree(&self.source(module)?.join(folder), name, &entry.version)?;
                Put::File(oci::gzip(self.writer, &tree, self.folder)?)
            }
            Product::Debian { path, .. } => {
                let packages = self.packages(&part.product).context("Debian's packages were not fetched")?;
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
            Product::Debian { package, .. } => self.packaged(&part.product, package).unwrap_or_default(),
            _ if part.stand_in.is_some() => STAND_IN_VERSION.to_owned(),
            _ => asked.to_owned(),
        }
    }

    fn packages(&self, product: &Product) -> Option<&Packages> {
        self.packages.get(product.userland()?.packages).map(Arc::as_ref)
    }

    fn packaged(&self, product: &Product, package: &str) -> Option<String> {
        self.packages(product)?.versions.get(package).cloned()
    }

    /// What really went in.
    fn made(&self, product: &Product, module_version: &str) -> Made {
        if let Product::Debian { package, .. } = product {
            let packages = self.packaged(product, package).map(|version| ((*package).to_owned(), version));
            return Made { packages: packages.into_iter().collect(), ..Made::default() };
        }
        let packages = self.packages(product);
        let module = product.module().filter(|module| module.version != ModuleVersion::Own);
        let compiler = (!matches!(product, Product::Chart { .. })).then(|| self.compiler.to_owned());
        Made {
            compiler,
            module: module.map(|one| format!("{}@v{module_version}", one.fork.unwrap_or(one.path))),
            packages: packages.map(|packages| packages.versions.clone()).unwrap_or_default(),
        }
    }

    fn unit(&self, module: &Module) -> anyhow::Result<&Compiled<'_>> {
        let mut units = self.compiled.iter();
        units
            .find(|one| one.unit.module.name == module.name)
            .with_context(|| format!("nothing of {} was compiled", module.name))
    }

    fn source(&self, module: &Module) -> anyhow::Result<&Path> {
        let source = self.unit(module)?.source.as_deref();
        source.with_context(|| format!("{} has no files but its programs", module.name))
    }

    fn members(&self, module: &Module, members: &[Member], version: &str) -> anyhow::Result<Tree> {
        let compiled = self.unit(module)?;
        let node = |member: &Member| {
            let from = compiled.program(member.program);
            (member.path(version, self.architecture), Node::File { from, mode: PROGRAM })
        };
        Ok(members.iter().map(node).collect())
    }

    fn contents(&self, image: &Image) -> anyhow::Result<Tree> {
        let mut tree = Tree::new();
        for content in image.contents {
            match content {
                Content::Own { path, mode, text } => {
                    let bytes = text.as_bytes().to_owned();
                    tree.insert((*path).to_owned(), Node::Bytes { bytes, mode: *mode });
                }
                Content::Module { from, to } if from.ends_with('/') => {
                    tree.extend(archive::folder(&self.source(image.module)?.join(from), to)?);
                }
                Content::Module { from, to } => {
                    let from: PathBuf = self.source(image.module)?.join(from);
                    tree.insert((*to).to_owned(), Node::File { from, mode: FILE });
                }
            }
        }
        Ok(tree)
    }

    fn image(&self, image: &Image, version: &str) -> anyhow::Result<Stored> {
        let mut layers = Vec::new();
        let mut history = Vec::new();
        if let Some(userland) = image.userland {
            let packages = self.packages.get(userland.packages);
            let tree = packages.context("Debian's packages were not fetched")?.userland(userland)?;
            // The same bytes for every image with this userland, so the same layer.
            layers.push(oci::layer(self.writer, &tree, self.folder)?);
            history.push(format!("packages of Debian: {}", userland.packages.join(" ")));
        }
        let mut tree = self.members(image.module, image.members, version)?;
        let mut names = format!("{} {version}", image.module.name);
        for (module, members) in image.others {
            tree.extend(self.members(module, members, version)?);
            names += &format!(" and {} {}", module.name, self.unit(module)?.unit.version);
        }
        tree.extend(self.contents(image)?);
        tree.insert("etc".to_owned(), Node::Folder { mode: 0o755 });
        tree.insert("tmp".to_owned(), Node::Folder { mode: 0o1777 });
        layers.push(oci::layer(self.writer, &tree, self.folder)?);
        history.push(format!("own build of {names} with {}{}", self.compiler, stand_ins(image)));
        let about = About {
            architecture: self.architecture,
            entrypoint: image.entrypoint,
            environment: image.environment,
            user: image.user,
            history: &history,
        };
        oci::image(self.writer, &layers, &about)
    }
}

/// Names the files of an image that are ours in place of upstream's; empty where there are none.
fn stand_ins(image: &Image) -> String {
    let own = image.contents.iter().filter_map(|content| match content {
        Content::Own { path, .. } => Some(format!("/{path}")),
        Content::Module { .. } => None,
    });
    match own.collect::<Vec<_>>() {
        own if own.is_empty() => String::new(),
        own => format!("; stand-ins of our own: {}", own.join(", ")),
    }
}
