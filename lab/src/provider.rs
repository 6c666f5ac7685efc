//! Makes and removes the resources of a lab, behind traits of the few verbs that a lab needs. It decides nothing.
//!
//! Every call blocks, so callers run it where blocking is allowed. Making an existing resource and removing an absent one
//! succeed. Two providers exist: libvirt, and a fake for tests that fails, hangs and dies on demand.

use std::path::Path;
use std::sync::Arc;

use lab_core::libvirt_xml::{DomainRecord, NetworkHost, NetworkRecord, VolumeRecord};
use lab_core::plan::MachineState;
use lab_core::spec::MachineKind;
use lab_core::units::Bytes;

pub mod fake;
pub mod libvirt;
#[cfg(test)]
mod tests;

/// A domain of some lab, as its provider has it.
#[derive(Debug, Clone)]
pub struct FoundDomain {
    /// What its definition says.
    pub record: DomainRecord,
    /// Whether it runs.
    pub state: MachineState,
    /// The provider's number for this run of it; none while it does not run.
    pub run: Option<u32>,
}

/// Machines, by the names of their domains.
pub trait Domains {
    /// Every domain that carries a lab's metadata.
    ///
    /// # Errors
    /// When the provider does not answer.
    fn domains(&self) -> anyhow::Result<Vec<FoundDomain>>;

    /// Defines a domain, or redefines it.
    ///
    /// # Errors
    /// When the provider refuses the definition.
    fn define_domain(&self, kind: MachineKind, xml: &str) -> anyhow::Result<()>;

    /// Starts a defined domain; one that runs already is left alone. Returns the provider's number for the run.
    ///
    /// # Errors
    /// When it does not start, or there is none.
    fn start_domain(&self, name: &str) -> anyhow::Result<u32>;

    /// Lets a paused domain go on.
    ///
    /// # Errors
    /// When it does not go on, or there is none.
    fn resume_domain(&self, name: &str) -> anyhow::Result<u32>;

    /// Presses the domain's power button. A container has none: its first process gets the signal to power off.
    ///
    /// # Errors
    /// When the button cannot be pressed.
    fn shut_down_domain(&self, name: &str) -> anyhow::Result<()>;

    /// Takes the domain's power.
    ///
    /// # Errors
    /// When the domain goes on.
    fn power_off_domain(&self, name: &str) -> anyhow::Result<()>;

    /// Whether a domain runs, and which run it is; none if it is not defined.
    ///
    /// # Errors
    /// When the provider does not answer.
    fn domain_state(&self, name: &str) -> anyhow::Result<Option<(MachineState, Option<u32>)>>;

    /// Takes the domain's power and removes its definition.
    ///
    /// # Errors
    /// When it stays.
    fn remove_domain(&self, name: &str) -> anyhow::Result<()>;

    /// The terminal on the computer behind a running container's first console: `/dev/pts/3`.
    ///
    /// # Errors
    /// When it does not run, or has none.
    fn console_terminal(&self, name: &str) -> anyhow::Result<String>;
}

/// Networks.
pub trait Networks {
    /// Every network that carries a lab's metadata, and whether it is active.
    ///
    /// # Errors
    /// When the provider does not answer.
    fn networks(&self) -> anyhow::Result<Vec<(NetworkRecord, bool)>>;

    /// Defines a network, or redefines it.
    ///
    /// # Errors
    /// When the provider refuses the definition.
    fn define_network(&self, xml: &str) -> anyhow::Result<()>;

    /// Starts a defined network; an active one is left alone.
    ///
    /// # Errors
    /// When it does not start, or there is none.
    fn start_network(&self, name: &str) -> anyhow::Result<()>;

    /// Removes machines from a living network and its definition, and adds others.
    ///
    /// # Errors
    /// When the provider refuses a host, or there is no such network.
    fn update_network_hosts(
        &self,
        name: &str,
        remove: &[NetworkHost],
        add: &[NetworkHost],
    ) -> anyhow::Result<()>;

    /// Stops a network and removes its definition.
    ///
    /// # Errors
    /// When it stays.
    fn remove_network(&self, name: &str) -> anyhow::Result<()>;
}

/// Storage: one pool of a lab's disks, each a clone of a base image.
pub trait Storage {
    /// Makes the pool and its folder if missing, starts it, and refreshes its list of volumes.
    ///
    /// # Errors
    /// When the provider refuses it.
    fn ensure_pool(&self, name: &str, path: &str) -> anyhow::Result<()>;

    /// Names of all pools, those of others too.
    ///
    /// # Errors
    /// When the provider does not answer.
    fn pools(&self) -> anyhow::Result<Vec<String>>;

    /// Removes a pool, everything in it, and its folder.
    ///
    /// # Errors
    /// When it stays.
    fn remove_pool(&self, name: &str) -> anyhow::Result<()>;

    /// The volumes of a pool; none where there is no such pool or it is not active.
    ///
    /// # Errors
    /// When the provider does not answer.
    fn volumes(&self, pool: &str) -> anyhow::Result<Vec<VolumeRecord>>;

    /// Makes a volume, and returns its path. An existing one of that name is from an interrupted call, and is
    /// replaced.
    ///
    /// # Errors
    /// When the provider refuses it, or there is no such pool.
    fn create_volume(&self, pool: &str, name: &str, xml: &str) -> anyhow::Result<String>;

    /// Makes a volume bigger.
    ///
    /// # Errors
    /// When the provider refuses it, or there is none.
    fn grow_volume(&self, pool: &str, name: &str, capacity: Bytes) -> anyhow::Result<()>;

    /// The path of a volume; none if it is not there.
    ///
    /// # Errors
    /// When there is no such pool.
    fn volume_path(&self, pool: &str, name: &str) -> anyhow::Result<Option<String>>;

    /// Fills a volume with the bytes of a file on this computer, wherever the machines run.
    ///
    /// # Errors
    /// When the file cannot be read, or the provider does not take it.
    fn upload_volume(&self, pool: &str, name: &str, from: &Path) -> anyhow::Result<()>;

    /// Removes a volume.
    ///
    /// # Errors
    /// When it stays.
    fn remove_volume(&self, pool: &str, name: &str) -> anyhow::Result<()>;
}

/// A connection to what runs the machines of labs.
pub trait Provider: Domains + Networks + Storage + Send + Sync {
    /// The URI at which libvirt's own programs reach machines of a kind.
    fn uri(&self, kind: MachineKind) -> &str;

    /// Why it runs no containers; none where it does.
    fn without_containers(&self) -> Option<&str>;
}

/// Connects to a libvirt that labs share, or to the fake that stands in for it in tests.
///
/// # Errors
/// When nothing answers at the URI.
pub fn open(uri: &str) -> anyhow::Result<Arc<dyn Provider>> {
    match fake::requested() {
        Some(folder) => Ok(Arc::new(fake::Fake::shared(&folder, uri))),
        None => Ok(Arc::new(libvirt::Libvirt::open(uri)?)),
    }
}
