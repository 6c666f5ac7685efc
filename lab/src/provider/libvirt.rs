//! The connection to libvirt, and what all resources share. The only room that names `virt::`.
//!
//! Every call blocks, so callers run them where blocking is allowed. A call that asks for what is there
//! already, or for the end of what is gone already, succeeds.

mod domain;
mod network;
mod storage;

use anyhow::Context as _;
use lab_core::spec::MachineKind;
use virt::connect::Connect;
use virt::error::{Error, ErrorNumber};

/// A connection to one libvirt. Its drivers have connections of their own; networks and storage are seen through any.
pub struct Libvirt {
    connection: Connect,
    uri: String,
    /// The driver of containers, where this libvirt has one.
    containers: Option<(Connect, String)>,
}

impl Libvirt {
    /// Opens a connection.
    ///
    /// # Errors
    /// When nothing answers at the URI.
    pub fn open(uri: &str) -> anyhow::Result<Self> {
        Ok(Self { connection: connect(uri)?, uri: uri.to_owned(), containers: None })
    }

    /// Opens a connection to the driver of containers too.
    ///
    /// # Errors
    /// When nothing answers at the URI.
    pub fn with_containers(mut self, uri: &str) -> anyhow::Result<Self> {
        self.containers = Some((connect(uri)?, uri.to_owned()));
        Ok(self)
    }

    /// The URI that machines of a kind are reached at.
    pub fn uri(&self, kind: MachineKind) -> &str {
        match (kind, &self.containers) {
            (MachineKind::Container, Some((_, uri))) => uri,
            _ => &self.uri,
        }
    }

    /// The connection for machines of a kind: the one place where the two are told apart here.
    fn driver(&self, kind: MachineKind) -> anyhow::Result<&Connect> {
        match kind {
            MachineKind::Vm => Ok(&self.connection),
            MachineKind::Container => {
                let (connection, _) =
                    self.containers.as_ref().context("the lab's libvirt runs no containers")?;
                Ok(connection)
            }
        }
    }

    fn drivers(&self) -> impl Iterator<Item = &Connect> {
        [Some(&self.connection), self.containers.as_ref().map(|(connection, _)| connection)]
            .into_iter()
            .flatten()
    }
}

fn connect(uri: &str) -> anyhow::Result<Connect> {
    // libvirt prints every error by itself unless told not to.
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

#[cfg(test)]
mod tests;
