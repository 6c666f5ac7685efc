//! What there is of a lab whose embedded host does not run, read from the files that libvirt left in
//! the lab's folder. Starts nothing.

use std::path::Path;

use anyhow::Context as _;
use lab_core::libvirt_xml::{read_domain, read_network};
use lab_core::plan::{MachineState, Observed, ObservedDisk, ObservedDomain, ObservedNetwork};
use lab_core::units::Bytes;
use serde::Deserialize;

use crate::cx::Cx;
use crate::lab::Lab;
use crate::lab::state::LabState;
use crate::process::invocation;
use crate::timeouts::DISK_INFO_TIMEOUT;
use crate::wait::Deadline;

use super::observe::{add_identities, add_roots, image_key};

/// The parts of `qemu-img info --output=json` that matter.
#[derive(Deserialize)]
struct DiskInfo {
    #[serde(rename = "virtual-size")]
    virtual_size: u64,
    #[serde(rename = "backing-filename")]
    backing: Option<String>,
}

/// Reads libvirt's own files below its configuration folder: `qemu/*.xml` and `lxc/*.xml`, a folder a kind of
/// machine, and `qemu/networks/*.xml`, where networks of both kinds of machines lie.
///
/// # Errors
/// When a file cannot be read or understood.
pub async fn observe(cx: &Cx, lab: &Lab, state: &LabState) -> anyhow::Result<Observed> {
    let mut observed = Observed::default();
    let libvirt = lab.files.host().folder.join("etc");
    for text in [xml_files(&libvirt.join("qemu"))?, xml_files(&libvirt.join("lxc"))?].concat() {
        if let Some(record) = read_domain(&text)?.filter(|record| record.lab == state.lab) {
            observed.machines.entry(record.machine).or_default().domain = Some(ObservedDomain {
                state: MachineState::ShutOff,
                applied: record.applied,
                reached: false,
            });
        }
    }
    for text in xml_files(&libvirt.join("qemu/networks"))? {
        if let Some(record) = read_network(&text)?.filter(|record| record.lab == state.lab) {
            observed.network =
                Some(ObservedNetwork { active: false, settings: record.settings, hosts: record.hosts });
        }
    }
    for path in files_with_extension(&lab.files.disks(), "qcow2")? {
        let text = invocation("qemu-img")
            // Only the header is read, and the QEMU of a host that was just killed may still hold its lock.
            .args(["info", "--force-share", "--output=json"])
            .arg(&path)
            .read(&cx.cancel, Deadline::after(DISK_INFO_TIMEOUT))
            .await?;
        let info: DiskInfo = serde_json::from_str(&text).context("cannot understand qemu-img")?;
        let machine = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let image = info.backing.as_deref().and_then(image_key);
        observed.machines.entry(machine).or_default().disk =
            Some(ObservedDisk { size: Bytes(info.virtual_size), image });
    }
    add_roots(&lab.files, &mut observed);
    add_identities(&lab.files, &mut observed);
    Ok(observed)
}

fn xml_files(folder: &Path) -> anyhow::Result<Vec<String>> {
    files_with_extension(folder, "xml")?
        .iter()
        .map(|path| {
            std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))
        })
        .collect()
}

fn files_with_extension(folder: &Path, extension: &str) -> anyhow::Result<Vec<std::path::PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(vec![]),
        entries => entries.with_context(|| format!("cannot read `{}`", folder.display()))?,
    };
    let mut paths: Vec<_> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    paths.sort();
    Ok(paths)
}
