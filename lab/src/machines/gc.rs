//! `gc`: finds leftovers of labs without an owner by the ids that they carry, not by a list of ours.
//!
//! On this computer: supervisors whose lab's folder is gone, processes in the namespaces of a supervisor that is dead,
//! and what a killed command left where it unpacked a system.
//! On a libvirt that labs share: domains, networks and storage pools that carry the id of a lab that
//! no folder under `output/` knows.

use std::collections::BTreeSet;
use std::path::PathBuf;

use lab_core::identity::LabId;
use lab_core::spec::HostSpec;
use lab_core::spec::MachineKind;

use crate::artifacts::build;
use crate::artifacts::store::Store;
use crate::cx::Cx;
use crate::host::{embedded, supervisor};
use crate::lab::state::StateFile;
use crate::layout::LabFiles;
use crate::orphans::{self, Orphans};
use crate::provider::{self, Provider};
use crate::{image, processes};

use super::destroy::{pool_lab, remove_from};

/// A resource without an owner.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Leftover {
    /// A supervisor whose folder is gone.
    Supervisor {
        /// Its process id.
        pid: i32,
        /// The folder it was started for.
        folder: PathBuf,
    },
    /// Processes in the namespaces of a dead supervisor.
    Processes {
        /// The folder of the embedded host.
        folder: PathBuf,
    },
    /// Programs and mounts of a killed command.
    Orphans {
        /// The folder that it unpacked a system in.
        folder: PathBuf,
        /// The programs and mounts.
        orphans: Orphans,
    },
    /// Resources in a libvirt.
    Lab {
        /// Where.
        uri: String,
        /// Whose.
        lab: LabId,
        /// Names of its domains, networks and pools.
        resources: Vec<String>,
    },
}

impl std::fmt::Display for Leftover {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Supervisor { pid, folder } => {
                write!(f, "process {pid}: the host of a lab whose folder `{}` is gone", folder.display())
            }
            Self::Processes { folder } => write!(f, "processes of the dead host in `{}`", folder.display()),
            Self::Orphans { folder, orphans } => {
                write!(f, "{orphans} of a killed command in `{}`", folder.display())
            }
            Self::Lab { uri, lab, resources } => write!(f, "lab {lab} at {uri}: {}", resources.join(", ")),
        }
    }
}

/// The labs under `output/`.
fn labs(cx: &Cx) -> Vec<LabFiles> {
    let entries = std::fs::read_dir(cx.layout.output()).into_iter().flatten().flatten();
    entries.map(|entry| LabFiles { folder: entry.path() }).collect()
}

/// Finds leftovers: on this computer, in every libvirt that a lab here names, and at `uri`.
///
/// # Errors
/// When a libvirt that was named on the command line does not answer.
pub async fn find(cx: &Cx, uri: Option<&str>) -> anyhow::Result<Vec<Leftover>> {
    let mut known = BTreeSet::new();
    let mut uris: BTreeSet<String> = uri.map(str::to_owned).into_iter().collect();
    let mut found = Vec::new();
    for files in labs(cx) {
        if let Ok(Some(state)) = StateFile::load(&files) {
            let state = state.get();
            known.insert(state.lab);
            if let HostSpec::Libvirt(uri) = state.host {
                uris.insert(uri);
            }
        }
        if let Ok(Some(record)) = supervisor::read_record(&files.host())
            && !record.supervisor.is_alive()
            && !embedded::survivors(&files.host().folder, &record).is_empty()
        {
            found.push(Leftover::Processes { folder: files.host().folder });
        }
    }
    for (pid, folder) in processes::supervisors() {
        if !folder.exists() {
            found.push(Leftover::Supervisor { pid, folder });
        }
    }
    for folder in abandoned(cx)? {
        let orphans = orphans::find(&folder)?;
        if !orphans.is_empty() {
            found.push(Leftover::Orphans { folder, orphans });
        }
    }
    for uri in uris {
        let (known, place) = (known.clone(), uri.clone());
        found.extend(cx.blocking(move || found_in(&*provider::open(&place)?, &known)).await?);
    }
    found.sort();
    Ok(found)
}

/// The folders in which a killed command may have left programs and mounts.
fn abandoned(cx: &Cx) -> anyhow::Result<Vec<PathBuf>> {
    let mut folders = image::abandoned(&cx.layout.images())?;
    folders.extend(build::abandoned_packages(&Store::open(&cx.layout))?);
    Ok(folders)
}

/// What a libvirt has of labs that are not among `known`.
fn found_in(provider: &dyn Provider, known: &BTreeSet<LabId>) -> anyhow::Result<Vec<Leftover>> {
    let mut labs: std::collections::BTreeMap<LabId, Vec<String>> = std::collections::BTreeMap::new();
    for found in provider.domains()? {
        labs.entry(found.record.lab).or_default().push(format!("domain {}", found.record.name));
    }
    for (network, _) in provider.networks()? {
        labs.entry(network.lab).or_default().push(format!("network {}", network.name));
    }
    for pool in provider.pools()? {
        if let Some(lab) = pool_lab(&pool) {
            labs.entry(lab).or_default().push(format!("pool {pool}"));
        }
    }
    let uri = provider.uri(MachineKind::Vm);
    Ok(labs
        .into_iter()
        .filter(|(lab, _)| !known.contains(lab))
        .map(|(lab, resources)| Leftover::Lab { uri: uri.to_owned(), lab, resources })
        .collect())
}

/// Removes the leftovers.
///
/// # Errors
/// When something cannot be removed.
pub async fn remove(cx: &Cx, leftovers: Vec<Leftover>) -> anyhow::Result<()> {
    for leftover in leftovers {
        match leftover {
            Leftover::Supervisor { pid, folder } => embedded::end_process(pid, &folder, &cx.cancel).await?,
            Leftover::Processes { folder } => {
                embedded::end(&crate::layout::HostFiles { folder }, &cx.cancel).await?;
            }
            Leftover::Orphans { folder, .. } => {
                cx.blocking(move || orphans::end(&folder)).await?;
            }
            Leftover::Lab { uri, lab, .. } => {
                cx.blocking(move || remove_from(&*provider::open(&uri)?, &lab)).await?;
            }
        }
    }
    Ok(())
}
