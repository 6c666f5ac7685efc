//! `state.json`: the resources of a lab. A resource is recorded before it is made, and its record is
//! removed after it is gone.
//!
//! libvirt's own metadata says what a machine is; this file says what to look for when libvirt is
//! not there to be asked, and which machines have accepted a login.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use jiff::Timestamp;
use lab_core::identity::LabId;
use lab_core::spec::HostSpec;
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, FailureKind};
use crate::files::{self, PUBLIC};
use crate::layout::LabFiles;

/// Raised when an older program could misread a newer file.
const VERSION: u32 = 1;

/// The state of one lab.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabState {
    /// Of this file.
    version: u32,
    /// Of the lab.
    pub lab: LabId,
    /// Name of the cluster.
    pub cluster: String,
    /// The file it was made from, as it was given.
    pub cluster_file: PathBuf,
    /// Where its machines run.
    pub host: HostSpec,
    /// Resources that exist or are being made: `host`, `pool`, `network`, `machine/NAME`, and `cluster` from the first
    /// deploy on.
    pub resources: BTreeSet<String>,
    /// For each machine that has accepted a login, the run of it that did.
    pub reached: BTreeMap<String, String>,
    /// The runs that Ansible has reached with the inventory as it is.
    pub pinged: BTreeMap<String, String>,
    /// When each machine was started last. What a cluster said of it before is of an earlier run.
    #[serde(default)]
    pub started: BTreeMap<String, Timestamp>,
}

/// The resource that a cluster is: from then on machines are not as `up` made them.
pub const CLUSTER: &str = "cluster";

impl LabState {
    /// Whether a machine was made or begun.
    pub fn has_machines(&self) -> bool {
        self.resources.iter().any(|resource| resource.starts_with("machine/"))
    }
}

/// A state that is written whenever it changes.
#[derive(Clone)]
pub struct StateFile {
    files: LabFiles,
    state: Arc<Mutex<LabState>>,
}

impl StateFile {
    /// Reads the state of a lab; none if there is no such lab.
    ///
    /// # Errors
    /// When the file cannot be read, or was written by a newer program.
    pub fn load(files: &LabFiles) -> anyhow::Result<Option<Self>> {
        let path = files.state();
        let Some(text) = files::read_if_present(&path)? else { return Ok(None) };
        let damaged = || {
            Failure::new(FailureKind::Usage, format!("`{}` is not a lab's state", path.display()))
                .hint("`cargo xtask lab destroy` removes the lab without it")
        };
        let state: LabState = serde_json::from_str(&text).with_context(damaged)?;
        if state.version > VERSION {
            return Err(Failure::new(
                FailureKind::Usage,
                format!("`{}` is of a newer version of this program", path.display()),
            )
            .into());
        }
        Ok(Some(Self { files: files.clone(), state: Arc::new(Mutex::new(state)) }))
    }

    /// The state of a lab that is about to be made, with a new id.
    ///
    /// # Errors
    /// When the system has no randomness or the file cannot be written.
    pub fn create(
        files: &LabFiles,
        cluster: &str,
        cluster_file: PathBuf,
        host: HostSpec,
    ) -> anyhow::Result<Self> {
        let mut id = [0; 6];
        std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut id)?;
        Self::again(files, cluster, cluster_file, host, LabId::from_bytes(id))
    }

    /// The state of a lab that was there before, of which nothing is there now.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn again(
        files: &LabFiles,
        cluster: &str,
        cluster_file: PathBuf,
        host: HostSpec,
        lab: LabId,
    ) -> anyhow::Result<Self> {
        let state = LabState {
            version: VERSION,
            lab,
            cluster: cluster.to_owned(),
            cluster_file,
            host,
            resources: BTreeSet::new(),
            reached: BTreeMap::new(),
            pinged: BTreeMap::new(),
            started: BTreeMap::new(),
        };
        let file = Self { files: files.clone(), state: Arc::new(Mutex::new(state)) };
        file.change(|_| {})?;
        Ok(file)
    }

    /// A copy of the state as it is.
    pub fn get(&self) -> LabState {
        self.state.lock().expect("no holder of this lock panics").clone()
    }

    /// Changes the state and writes it before returning.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn change(&self, change: impl FnOnce(&mut LabState)) -> anyhow::Result<()> {
        let mut state = self.state.lock().expect("no holder of this lock panics");
        change(&mut state);
        files::write_atomic(&self.files.state(), &serde_json::to_vec_pretty(&*state)?, PUBLIC)
    }

    /// Records a resource before it is made.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn record(&self, resource: &str) -> anyhow::Result<()> {
        if self.get().resources.contains(resource) {
            return Ok(());
        }
        self.change(|state| {
            state.resources.insert(resource.to_owned());
        })
    }

    /// Forgets a resource after it is gone.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn forget(&self, resource: &str) -> anyhow::Result<()> {
        self.change(|state| {
            state.resources.remove(resource);
        })
    }
}
