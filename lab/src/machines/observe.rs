//! What libvirt has of a lab, as the planner wants to know it.

use std::collections::BTreeMap;

use anyhow::Context as _;
use lab_core::plan::{Observed, ObservedDisk, ObservedDomain, ObservedMachine, ObservedNetwork};

use crate::cx::Cx;
use crate::disks::{root, snapshots};
use crate::failure::{Failure, FailureKind};
use crate::lab::state::LabState;
use crate::lab::{Lab, Reached};
use crate::layout::LabFiles;

/// Looks at everything of the lab that libvirt knows.
///
/// # Errors
/// When libvirt does not answer.
pub async fn observe(cx: &Cx, lab: &Lab, reached: &Reached, state: &LabState) -> anyhow::Result<Observed> {
    let (provider, resource, id) = (reached.provider.clone(), reached.resource.clone(), state.lab.clone());
    let (networks, domains, volumes) = cx
        .blocking(move || Ok((provider.networks()?, provider.domains()?, provider.volumes(&resource)?)))
        .await
        .with_context(|| {
            Failure::new(
                FailureKind::Provision,
                format!("the host of the lab `{}` does not say what there is", lab.spec.name),
            )
        })?;
    let network = networks
        .into_iter()
        .find(|(record, _)| record.lab == id)
        .map(|(record, active)| ObservedNetwork { active, settings: record.settings, hosts: record.hosts });
    let mut machines: BTreeMap<String, ObservedMachine> = BTreeMap::new();
    for found in domains.into_iter().filter(|found| found.record.lab == id) {
        let machine = found.record.machine;
        let run = found.run.map(|run| reached.run_name(run));
        let known = run.is_some() && state.reached.get(&machine) == run.as_ref();
        machines.entry(machine).or_default().domain =
            Some(ObservedDomain { state: found.state, applied: found.record.applied, reached: known });
    }
    for volume in volumes {
        // Kernels, seeds and base images lie in the same pool where the host is another computer.
        let Some(machine) = volume.name.strip_suffix(".qcow2").filter(|name| !name.starts_with(BASE_PREFIX))
        else {
            continue;
        };
        let image = volume.backing.as_deref().and_then(image_key);
        machines.entry(machine.to_owned()).or_default().disk =
            Some(ObservedDisk { size: volume.capacity, image });
    }
    let mut observed = Observed { network, machines };
    add_roots(&lab.files, &mut observed);
    add_identities(&lab.files, &mut observed);
    Ok(observed)
}

/// Notes which containers have a root.
pub fn add_roots(files: &LabFiles, observed: &mut Observed) {
    for (machine, root) in root::all(files) {
        observed.machines.entry(machine).or_default().disk = Some(root);
    }
}

/// Notes for which machines there are files that give them their identity.
pub fn add_identities(files: &LabFiles, observed: &mut Observed) {
    for entry in std::fs::read_dir(files.machines()).into_iter().flatten().flatten() {
        observed.machines.entry(entry.file_name().to_string_lossy().into_owned()).or_default().identity =
            true;
    }
}

/// How the name of a base image in a lab's pool begins. No machine's name can hold an underscore.
pub const BASE_PREFIX: &str = "base_";

/// The key of the image that a disk is a clone of, from the path of its backing file: `<store>/<key>/<file>` on
/// this computer, `<pool>/base_<key>.qcow2` on another. A frozen layer knows the image that it stands on itself.
pub fn image_key(backing: &str) -> Option<String> {
    let path = std::path::Path::new(backing);
    if let Some(key) = snapshots::image_of(path) {
        return Some(key);
    }
    let file = path.file_stem()?.to_str()?;
    if let Some(key) = file.strip_prefix(BASE_PREFIX) {
        return Some(key.to_owned());
    }
    Some(path.parent()?.file_name()?.to_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_key_is_read_from_its_path() {
        assert_eq!(image_key("/store/0123abcd/disk.qcow2").as_deref(), Some("0123abcd"));
        assert_eq!(image_key("/pool/base_0123abcd.qcow2").as_deref(), Some("0123abcd"));
    }
}
