//! The connection to libvirt, and what all resources share. The only room that names `virt::`.
//!
//! Every call blocks, so callers run them where blocking is allowed. A call that asks for what is there
//! already, or for the end of what is gone already, succeeds.

mod domain;
mod network;
mod storage;

use anyhow::Context as _;
use virt::connect::Connect;
use virt::error::{Error, ErrorNumber};

/// A connection to one libvirt.
pub struct Libvirt {
    connection: Connect,
    uri: String,
}

impl Libvirt {
    /// Opens a connection.
    ///
    /// # Errors
    /// When nothing answers at the URI.
    pub fn open(uri: &str) -> anyhow::Result<Self> {
        // libvirt prints every error by itself unless told not to.
        virt::error::clear_error_callback();
        let connection =
            Connect::open(Some(uri)).with_context(|| format!("no libvirt answers at `{uri}`"))?;
        Ok(Self { connection, uri: uri.to_owned() })
    }

    /// The URI it was opened with.
    #[must_use]
    pub fn uri(&self) -> &str {
        &self.uri
    }
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
