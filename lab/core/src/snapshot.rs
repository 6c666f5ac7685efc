//! The content of a snapshot of a lab, and whether it fits a cluster file. Nothing here reads or writes one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::identity::LabId;
use crate::libvirt_xml::AppliedMachine;
use crate::spec::{ClusterSpec, HostSpec, ImageSpec, MachineKind};

/// A machine as it was when the snapshot was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotMachine {
    /// The properties that its definition was made from.
    pub applied: AppliedMachine,
    /// The layers that its disk stands on, the newest first, down to its image.
    pub layers: Vec<String>,
    /// The digest of the newest layer: of every file in it with its owner, permissions and attributes.
    pub digest: String,
}

/// The manifest of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Its name, unique among those of its cluster.
    pub name: String,
    /// Name of the cluster.
    pub cluster: String,
    /// The lab that it is of. A restored lab is this lab again: its ids are in certificates and on disks.
    pub lab: LabId,
    /// When it was taken, RFC 3339.
    pub at: String,
    /// The digest of everything that the deploy was made from, for one taken right after it, to take the
    /// place of the next deploy from the same.
    pub deploy: Option<String>,
    /// The version of Kubernetes in it, `1.34.3`, where there is one.
    pub kubernetes: Option<String>,
    /// Whether its cluster was well when it was taken: then it must be after a restore.
    pub well: bool,
    /// By machine.
    pub machines: BTreeMap<String, SnapshotMachine>,
    /// Digests of the lab's own files that are stored with it (keys, the kubeconfig), by their path in the
    /// lab's folder.
    pub files: BTreeMap<String, String>,
}

/// Why a snapshot cannot be restored with a cluster file as it is, a sentence each; none where it can.
/// `images` holds the key of every image that the spec names.
pub fn misfits(manifest: &Manifest, spec: &ClusterSpec, images: &BTreeMap<ImageSpec, String>) -> Vec<String> {
    let mut reasons = Vec::new();
    if spec.host != HostSpec::Embedded {
        reasons.push("it is of a lab on the embedded host".to_owned());
    }
    for (name, machine) in &manifest.machines {
        let applied = &machine.applied;
        let Some(wanted) = spec.machines.iter().find(|wanted| wanted.name == *name) else {
            reasons.push(format!("it has the machine `{name}`, which is not in the cluster file"));
            continue;
        };
        if wanted.kind != applied.kind {
            let word = |kind| if kind == MachineKind::Vm { "virtual machine" } else { "container" };
            reasons.push(format!("`{name}` is a {} in it, not a {}", word(applied.kind), word(wanted.kind)));
        }
        if wanted.address != applied.address {
            reasons
                .push(format!("`{name}` has the address {} in it, not {}", applied.address, wanted.address));
        }
        if images.get(&wanted.image) != Some(&applied.image) {
            reasons.push(format!("`{name}` stands on another base image in it"));
        }
    }
    let network = manifest.machines.values().next().map(|machine| &machine.applied.network);
    if let Some(network) = network
        && (network.subnet != spec.network.subnet || network.gateway != spec.network.gateway)
    {
        let (was, is) = (network.subnet, spec.network.subnet);
        reasons.push(format!("its network is {was} with the gateway {}, not {is}", network.gateway));
    }
    reasons
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::fixtures;
    use crate::libvirt_xml::Acceleration;
    use crate::plan::{Inputs, PublicKeys, desired};

    const KEY: &str = "0123abcd";

    fn images() -> BTreeMap<ImageSpec, String> {
        BTreeMap::from([(ImageSpec::Debian13, KEY.to_owned())])
    }

    fn manifest(spec: &ClusterSpec) -> Manifest {
        let (lab, images, keys) = (fixtures::lab(), images(), PublicKeys::default());
        let wanted = desired(&Inputs {
            spec,
            lab: &lab,
            acceleration: Acceleration::Tcg,
            images: &images,
            keys: &keys,
        });
        let machine = |applied| SnapshotMachine { applied, layers: vec![], digest: String::new() };
        Manifest {
            name: "a".to_owned(),
            cluster: spec.name.clone(),
            lab,
            at: "2026-11-27T03:00:00Z".to_owned(),
            deploy: None,
            kubernetes: None,
            well: false,
            machines: wanted.machines.into_iter().map(|(name, one)| (name, machine(one.applied))).collect(),
            files: BTreeMap::new(),
        }
    }

    #[rstest]
    #[case::the_same(|_: &mut ClusterSpec| (), &[])]
    #[case::another_machine(|spec: &mut ClusterSpec| spec.machines[3].name = "other".to_owned(), &["it has the machine `gpu-worker-2`, which is not in the cluster file"])]
    #[case::one_more_is_made_by_up(|spec: &mut ClusterSpec| { let more = spec.machines[3].clone(); spec.machines.push(crate::spec::MachineSpec { name: "more".to_owned(), ..more }) }, &[])]
    #[case::another_kind(|spec: &mut ClusterSpec| spec.machines[0].kind = MachineKind::Container, &["`control-plane` is a virtual machine in it, not a container"])]
    #[case::another_address(|spec: &mut ClusterSpec| spec.machines[1].address = [192, 168, 200, 99].into(), &["`cpu-worker` has the address 192.168.200.11 in it, not 192.168.200.99"])]
    #[case::more_memory_is_changed_by_up(|spec: &mut ClusterSpec| spec.machines[1].memory = crate::units::Bytes::from_gib(9), &[])]
    #[case::another_network(|spec: &mut ClusterSpec| spec.network.subnet = "192.168.0.0/16".parse().unwrap(), &["its network is 192.168.200.0/24 with the gateway 192.168.200.1, not 192.168.0.0/16"])]
    #[case::another_host(|spec: &mut ClusterSpec| spec.host = HostSpec::Libvirt("qemu:///system".to_owned()), &["it is of a lab on the embedded host"])]
    fn snapshot_fits_cluster_file_it_was_taken_with(
        #[case] change: fn(&mut ClusterSpec),
        #[case] expected: &[&str],
    ) {
        let taken = manifest(&fixtures::spec());
        let mut spec = fixtures::spec();
        change(&mut spec);
        assert_eq!(misfits(&taken, &spec, &images()), expected);
    }

    #[test]
    fn snapshot_misfits_on_another_base_image() {
        let taken = manifest(&fixtures::spec());
        let newer = BTreeMap::from([(ImageSpec::Debian13, "ffff".to_owned())]);
        let reasons = misfits(&taken, &fixtures::spec(), &newer);
        assert_eq!(reasons.len(), 4);
        assert_eq!(reasons[0], "`control-plane` stands on another base image in it");
    }
}
