//! The connection to libvirt, and what all of its resources share. The only room that names `virt::`.

mod domain;
mod network;
mod storage;

use anyhow::Context as _;
use lab_core::spec::MachineKind;
use virt::connect::Connect;
use virt::error::{Error, ErrorNumber};

use super::Provider;

/// A connection to one libvirt. Its drivers have connections of their own; networks and storage are seen through any.
pub struct Libvirt {
    connection: Connect,
    uri: String,
    /// The driver of containers with its URI, or why there is none.
    containers: Result<(Connect, String), String>,
}

impl Libvirt {
    /// Opens a connection.
    ///
    /// # Errors
    /// When nothing answers at the URI.
    pub fn open(uri: &str) -> anyhow::Result<Self> {
        let containers = Err("they run on the embedded host only".to_owned());
        Ok(Self { connection: connect(uri)?, uri: uri.to_owned(), containers })
    }

    /// Opens a connection to the driver of containers too, or notes why there is none.
    ///
    /// # Errors
    /// When nothing answers at the URI.
    pub fn with_containers(mut self, uri: Result<String, String>) -> anyhow::Result<Self> {
        self.containers = match uri {
            Ok(uri) => Ok((connect(&uri)?, uri)),
            Err(why) => Err(why),
        };
        Ok(self)
    }

    /// The connection for machines of a kind: the one place here that distinguishes the two.
    fn driver(&self, kind: MachineKind) -> anyhow::Result<&Connect> {
        match (kind, &self.containers) {
            (MachineKind::Vm, _) => Ok(&self.connection),
            (MachineKind::Container, Ok((connection, _))) => Ok(connection),
            (MachineKind::Container, Err(why)) => anyhow::bail!("this libvirt runs no containers: {why}"),
        }
    }

    fn drivers(&self) -> impl Iterator<Item = &Connect> {
        [Some(&self.connection), self.containers.as_ref().ok().map(|(connection, _)| connection)]
            .into_iter()
            .flatten()
    }
}

impl Provider for Libvirt {
    fn uri(&self, kind: MachineKind) -> &str {
        match (kind, &self.containers) {
            (MachineKind::Container, Ok((_, uri))) => uri,
            _ => &self.uri,
        }
    }

    fn without_containers(&self) -> Option<&str> {
        self.containers.as_ref().err().map(String::as_str)
    }
}

fn connect(uri: &str) -> anyhow::Result<Connect> {
    // libvirt prints every error by itself without this.
    virt::error::clear_error_callback();
    Connect::open(Some(uri)).with_context(|| format!("no libvirt answers at `{uri}`"))
}

/// Whether libvirt says that the thing does not exist.
fn is_missing(error: &Error) -> bool {
    matches!(
        error.code().known(),
        Some(
            ErrorNumber::NoDomain
                | ErrorNumber::NoNetwork
                | ErrorNumber::NoStoragePool
                | ErrorNumber::NoStorageVolume
        )
    )
}

/// A lookup where "there is none" is an answer.
fn optional<T>(result: Result<T, Error>) -> Result<Option<T>, Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Ends something, where it being gone already is success.
fn ended(result: Result<(), Error>) -> Result<(), Error> {
    match result {
        Err(error) if !is_missing(&error) && error.code().known() != Some(ErrorNumber::OperationInvalid) => {
            Err(error)
        }
        _ => Ok(()),
    }
}
