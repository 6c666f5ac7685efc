//! Which base images the labs and snapshots of all checkouts that share the cache stand on.

use std::collections::{BTreeMap, BTreeSet};

use lab_core::libvirt_xml::read_domain;

use crate::cx::Cx;
use crate::disks::snapshots;
use crate::{cache, files};

/// The labs and snapshots by the keys of their images: from the definitions beside the machines, and from the manifests of
/// snapshots. Those of another checkout are named with its folder.
///
/// # Errors
/// When one is there and cannot be read or understood: then nothing may be removed.
pub fn users(cx: &Cx) -> anyhow::Result<BTreeMap<String, BTreeSet<String>>> {
    let mut users: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for layout in cache::checkouts(&cx.layout)? {
        let named = |user: &str| cx.layout.name_of(&layout, user);
        for name in files::names(&layout.output())? {
            let lab = layout.lab(&name);
            for machine in std::fs::read_dir(lab.machines()).into_iter().flatten().flatten() {
                let definition = lab.machine(&machine.file_name().to_string_lossy()).domain();
                let Some(text) = files::read_if_present(&definition)? else { continue };
                let applied = read_domain(&text)?.and_then(|record| record.applied);
                if let Some(applied) = applied {
                    users.entry(applied.image).or_default().insert(named(&name));
                }
            }
        }
        let store = layout.snapshots();
        for cluster in files::names(&store.clusters())? {
            let manifests = snapshots::list(&store, &cluster)?;
            for (_, machine) in manifests.into_iter().flat_map(|manifest| manifest.machines) {
                let user = named(&format!("snapshots of {cluster}"));
                users.entry(machine.applied.image).or_default().insert(user);
            }
        }
    }
    Ok(users)
}
