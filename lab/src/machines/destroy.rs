//! `destroy`: removes a lab in any state, except the records of its runs.
//!
//! Nothing is asked of the machines: what they hold is thrown away. The order is the one in which libvirt
//! lets go: machines, their disks, the network, the host. The state file goes last, so that a destroy that
//! was killed can be called again.

use anyhow::Context as _;
use lab_core::identity::LabId;
use lab_core::source::suggest;
use lab_core::spec::HostSpec;

use crate::cx::Cx;
use crate::disks::snapshots;
use crate::failure::{Failure, FailureKind};
use crate::files;
use crate::host::embedded;
use crate::lab::state::StateFile;
use crate::lab::{Lab, cluster_file, connections, hold};
use crate::layout::LabFiles;
use crate::progress::Kind;
use crate::provider::{self, Provider};

/// The name and the files of the lab that a name or a path on the command line means. It needs no valid cluster file:
/// a lab must be removable after its file was lost or broken.
///
/// # Errors
/// When it means nothing, with the labs that there are.
pub fn find(cx: &Cx, cluster: &str) -> anyhow::Result<(String, LabFiles)> {
    let given =
        cluster_file(cx, cluster).or_else(|_| std::path::absolute(cluster).map_err(anyhow::Error::from)).ok();
    let mut names = Vec::new();
    for entry in std::fs::read_dir(cx.layout.output()).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let files = cx.layout.lab(&name);
        let made_from = StateFile::load(&files).ok().flatten().map(|state| state.get().cluster_file);
        if name == cluster || (made_from.is_some() && made_from == given) {
            return Ok((name, files));
        }
        names.push(name);
    }
    // A cluster that has no lab is destroyed already. A path is no name of a folder.
    let is_name = !cluster.contains('/') && cx.layout.inventories().join(cluster).is_dir();
    let name = if is_name {
        Some(cluster.to_owned())
    } else {
        Lab::open(cx, cluster).ok().map(|lab| lab.spec.name.clone())
    };
    if let Some(name) = name {
        let files = cx.layout.lab(&name);
        return Ok((name, files));
    }
    names.sort();
    let hint = if names.is_empty() {
        "there are no labs".to_owned()
    } else {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        suggest::one_of("labs", cluster, &names)
    };
    Err(Failure::new(FailureKind::Usage, format!("there is no lab `{cluster}`")).hint(hint).into())
}

/// Removes the lab of a cluster. Its cluster file need not be there any more, nor be right.
///
/// # Errors
/// When something of it could not be removed.
pub async fn destroy(cx: &Cx, cluster: &str, files: &LabFiles) -> anyhow::Result<()> {
    if !files.state().exists() && !files.host().folder.exists() {
        cx.progress.note(&format!("there is no lab `{cluster}`"));
        // The proof of its inventory needs no lab, and goes with it all the same.
        files::remove(&files.artifacts_lock())?;
        files::remove(&files.of_e2e())?;
        if files.folder.exists() {
            // A command that was killed before it had written its state leaves its lock, and the file that it was writing.
            let _held = hold(files, cluster)?;
            files::remove_unfinished(&files.folder)?;
            files::remove(&files.lock())?;
        }
        for folder in [files.inventory_folder(), files.folder.clone()] {
            // Only an empty one goes.
            let _ = std::fs::remove_dir(folder);
        }
        return Ok(());
    }
    let held = hold(files, cluster)?;
    // A state that cannot be read must not keep a lab alive: the embedded host is found by its own record.
    let state = StateFile::load(files).ok().flatten().map(|state| state.get());
    let task = cx.progress.task(cluster);
    task.step("removing");
    let left = || {
        Failure::new(FailureKind::Leftovers, format!("something of the lab `{cluster}` is left"))
            .hint("call destroy again; `cargo xtask lab gc` lists the leftovers of all labs")
    };
    if let Some(state) = &state
        && let HostSpec::Libvirt(uri) = &state.host
    {
        let (uri, lab) = (uri.clone(), state.lab.clone());
        cx.blocking(move || remove_from(&*provider::open(&uri)?, &lab)).await.with_context(left)?;
    }
    clear(cx, files).await.with_context(left)?;
    let owned = files.clone();
    let everything = cx.clone();
    cx.blocking(move || {
        files::remove(&owned.of_e2e())?;
        files::remove(&owned.state())?;
        files::remove(&owned.lock())?;
        // Only runs, if any, are left; a folder without them goes too.
        if std::fs::read_dir(&owned.folder)?.next().is_none() {
            files::remove(&owned.folder)?;
        }
        // What only this lab stood on. Another command that is at the snapshots does it at its own end.
        let store = everything.layout.snapshots();
        if store.layers().is_dir()
            && let Ok(_store) = snapshots::hold(&store)
        {
            snapshots::sweep(&everything)?;
        }
        Ok(())
    })
    .await
    .with_context(left)?;
    drop(held);
    task.done_as(Kind::Removed, &format!("destroyed in {:.1} s", task.elapsed().as_secs_f64()));
    Ok(())
}

/// Ends the embedded host of a lab and removes all of its files but its state and the records of runs.
///
/// # Errors
/// When something could not be removed.
pub async fn clear(cx: &Cx, files: &LabFiles) -> anyhow::Result<()> {
    connections::close(files).await;
    embedded::end(&files.host(), &cx.cancel).await?;
    let kept = [files.runs(), files.lock(), files.state()];
    let folder = files.folder.clone();
    cx.blocking(move || {
        for entry in std::fs::read_dir(&folder)?.flatten() {
            if !kept.contains(&entry.path()) {
                files::remove(&entry.path())?;
            }
        }
        Ok(())
    })
    .await
}

/// Removes everything that carries the lab's id from a libvirt that is not the lab's own.
///
/// # Errors
/// With libvirt's reason.
pub fn remove_from(provider: &dyn Provider, lab: &LabId) -> anyhow::Result<()> {
    for found in provider.domains()? {
        if found.record.lab == *lab {
            provider.remove_domain(&found.record.name)?;
        }
    }
    for pool in provider.pools()?.into_iter().filter(|name| pool_lab(name).as_ref() == Some(lab)) {
        provider.remove_pool(&pool)?;
    }
    for (network, _) in provider.networks()? {
        if network.lab == *lab {
            provider.remove_network(&network.name)?;
        }
    }
    Ok(())
}

/// The lab that a storage pool belongs to: pools have no metadata, so its id is in the name
/// (`lab_core::libvirt_xml::resource_name`).
pub fn pool_lab(name: &str) -> Option<LabId> {
    name.strip_prefix("lab-")?.rsplit_once('-')?.1.parse().ok()
}
