//! Container images, put together without a container engine: layers, a configuration, a manifest.
//!
//! Layers are not compressed: machines of a lab are near, and unpacking would cost their processors more than it saves.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write as _};
use std::path::Path;

use anyhow::Context as _;
use oci_spec::image::{
    Arch, ConfigBuilder, Descriptor, HistoryBuilder, ImageConfigurationBuilder, ImageManifestBuilder,
    MediaType, Os, RootFsBuilder, SCHEMA_VERSION, Sha256Digest,
};

use crate::artifacts::store::{Blob, Digest, Writer};

use super::archive::{self, Tree};

/// Stands in for every time.
const NO_TIME: &str = "1970-01-01T00:00:00Z";
const SEARCH_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What an image is, beside its layers.
pub struct About<'a> {
    /// `amd64`.
    pub architecture: &'a str,
    /// The command it runs.
    pub entrypoint: &'a [&'a str],
    /// Variables of its environment beside the search path, `NAME=value`.
    pub environment: &'a [&'a str],
    /// Who runs it, where not root.
    pub user: Option<&'a str>,
    /// One line a layer, lowest first: its contents.
    pub history: &'a [String],
}

/// An image in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its manifest.
    pub manifest: Digest,
    /// As the manifest says of itself.
    pub media_type: String,
    /// Manifest, configuration, layers.
    pub blobs: Vec<Blob>,
}

/// Puts a layer into the store, through a file in `folder`.
///
/// # Errors
/// When it cannot be written.
pub fn layer(writer: &Writer, tree: &Tree, folder: &Path) -> anyhow::Result<Blob> {
    put(writer, folder, |file| archive::write(tree, file))
}

/// Puts an archive in the format of gzip into the store, through a file in `folder`.
///
/// # Errors
/// When it cannot be written.
pub fn gzip(writer: &Writer, tree: &Tree, folder: &Path) -> anyhow::Result<Blob> {
    put(writer, folder, |file| archive::write_gzip(tree, file))
}

fn put(
    writer: &Writer,
    folder: &Path,
    write: impl FnOnce(BufWriter<File>) -> std::io::Result<BufWriter<File>>,
) -> anyhow::Result<Blob> {
    let mut temporary = tempfile::tempfile_in(folder)
        .with_context(|| format!("cannot write below `{}`", folder.display()))?;
    let context = || format!("cannot make an archive below `{}`", folder.display());
    let file = temporary.try_clone().with_context(context)?;
    write(BufWriter::new(file)).and_then(|mut buffer| buffer.flush()).with_context(context)?;
    std::io::Seek::rewind(&mut temporary).with_context(context)?;
    writer.put(&mut BufReader::new(temporary), None)
}

/// Puts the configuration and the manifest of an image over these layers, lowest first, into the store.
///
/// # Errors
/// When they cannot be written.
pub fn image(writer: &Writer, layers: &[Blob], about: &About<'_>) -> anyhow::Result<Stored> {
    let text = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let mut config = ConfigBuilder::default()
        .env(text(&[&[SEARCH_PATH], about.environment].concat()))
        .entrypoint(text(about.entrypoint))
        .working_dir("/");
    if let Some(user) = about.user {
        config = config.user(user);
    }
    let history = about
        .history
        .iter()
        .map(|line| HistoryBuilder::default().created(NO_TIME).created_by(line.as_str()).build())
        .collect::<Result<Vec<_>, _>>()?;
    let contents = RootFsBuilder::default()
        .typ("layers")
        .diff_ids(layers.iter().map(|layer| layer.sha256.oci()).collect::<Vec<_>>())
        .build()?;
    let configuration = ImageConfigurationBuilder::default()
        .created(NO_TIME)
        .architecture(Arch::from(about.architecture))
        .os(Os::Linux)
        .config(config.build()?)
        .rootfs(contents)
        .history(history)
        .build()?;
    let configuration = writer.put_bytes(configuration.to_string()?.as_bytes())?;
    let manifest = ImageManifestBuilder::default()
        .schema_version(SCHEMA_VERSION)
        .media_type(MediaType::ImageManifest)
        .config(descriptor(MediaType::ImageConfig, &configuration)?)
        .layers(
            layers
                .iter()
                .map(|layer| descriptor(MediaType::ImageLayer, layer))
                .collect::<anyhow::Result<Vec<_>>>()?,
        )
        .build()?;
    let manifest = writer.put_bytes(manifest.to_string()?.as_bytes())?;
    let mut blobs = vec![manifest.clone(), configuration];
    blobs.extend_from_slice(layers);
    Ok(Stored { manifest: manifest.sha256, media_type: MediaType::ImageManifest.to_string(), blobs })
}

fn descriptor(kind: MediaType, blob: &Blob) -> anyhow::Result<Descriptor> {
    let digest: Sha256Digest = blob.sha256.hex().parse().context("a digest of ours is not one of OCI's")?;
    Ok(Descriptor::new(kind, blob.size, digest))
}
