//! Which base images the labs of this checkout and their snapshots stand on.

use lab_core::domain::read_domain;

use crate::cx::Cx;
use crate::files;
use crate::layout::LabFiles;
use crate::snapshot;

/// The keys of all images that a machine was defined with, from the definitions beside the machines.
///
/// # Errors
/// When a definition is there and cannot be read or understood: then nothing may be removed.
pub fn keys(cx: &Cx) -> anyhow::Result<Vec<String>> {
    let mut keys = Vec::new();
    for lab in std::fs::read_dir(cx.layout.output()).into_iter().flatten().flatten() {
        let lab = LabFiles { folder: lab.path() };
        for machine in std::fs::read_dir(lab.machines()).into_iter().flatten().flatten() {
            let definition = lab.machine(&machine.file_name().to_string_lossy()).domain();
            let Some(text) = files::read_if_present(&definition)? else { continue };
            keys.extend(read_domain(&text)?.and_then(|record| record.applied).map(|applied| applied.image));
        }
    }
    let store = cx.layout.snapshots();
    for cluster in files::names(&store.clusters())? {
        let machines = snapshot::list(&store, &cluster)?.into_iter().flat_map(|manifest| manifest.machines);
        keys.extend(machines.map(|(_, machine)| machine.applied.image));
    }
    Ok(keys)
}
