//! What every provider does, held against libvirt's own test driver and the fake. The driver is a libvirt in the memory of
//! this process, which knows definitions and states and runs nothing. What it cannot do (changing a living network,
//! filling a volume) is tested with machines.

use std::collections::BTreeMap;

use lab_core::identity::LabId;
use lab_core::libvirt_xml::{
    Acceleration, Backing, Boot, MachinePlan, VolumeFormat, VolumePlan, domain_name, domain_xml, network_xml,
    resource_name, volume_xml,
};
use lab_core::plan::{Desired, Inputs, MachineState, PublicKeys, desired};
use lab_core::spec::{ImageSpec, MachineKind};
use lab_core::units::Bytes;
use lab_core::{cluster::check, source::SourceFile};

use rstest::rstest;

use crate::layout::LabFiles;

use super::Provider;
use super::fake::Fake;
use super::libvirt::Libvirt;

const CLUSTER: &str = "\
apiVersion: lab/v1alpha1
kind: Cluster
name: small
network:
  subnet: 192.168.200.0/24
machines:
  - name: node
    roles: [control-plane]
    cpus: 2
    memory: 2GiB
";

/// A provider, with the folder that it lies in.
struct Place {
    provider: Box<dyn Provider>,
    _folder: tempfile::TempDir,
}

fn libvirt() -> Place {
    let provider = Box::new(Libvirt::open("test:///default").unwrap());
    Place { provider, _folder: tempfile::tempdir().unwrap() }
}

fn fake() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let provider = Box::new(Fake::embedded(&LabFiles { folder: folder.path().to_owned() }));
    Place { provider, _folder: folder }
}

/// What a lab with this id wants of its provider. All connections of a process share one driver, so each test has a lab
/// of its own.
fn lab(id: u8) -> (LabId, Desired) {
    let source = SourceFile { path: "cluster.yaml".to_owned(), text: CLUSTER.to_owned() };
    let spec = check(&source, None).spec.unwrap();
    let lab = LabId::from_bytes([id; 6]);
    let images = BTreeMap::from([(ImageSpec::Debian13, "image".to_owned())]);
    let keys = PublicKeys::default();
    let inputs =
        Inputs { spec: &spec, lab: &lab, acceleration: Acceleration::Tcg, images: &images, keys: &keys };
    let desired = desired(&inputs);
    (lab, desired)
}

/// The definition of the lab's machine. The test driver runs a kind of its own.
fn definition(lab: &LabId, desired: &Desired) -> String {
    let plan = MachinePlan {
        lab: lab.clone(),
        cluster: format!("small{lab}"),
        machine: "node".to_owned(),
        uuid: desired.numbers["node"].uuid,
        applied: desired.machines["node"].applied.clone(),
        boot: Boot::Kernel {
            kernel: "/store/vmlinux".to_owned(),
            initrd: "/store/initrd".to_owned(),
            command_line: "quiet".to_owned(),
        },
        root_disk: "/disks/node.qcow2".to_owned(),
        network: desired.network.name.clone(),
        console_log: "/machines/node/console.log".to_owned(),
    };
    domain_xml(&plan)
        .replace("type=\"qemu\"", "type=\"test\"")
        .replace("arch=\"x86_64\" machine=\"q35\"", "arch=\"i686\"")
}

fn domain(lab: &LabId) -> String {
    domain_name(&format!("small{lab}"), "node")
}

#[rstest]
#[case::libvirt(libvirt())]
#[case::fake(fake())]
fn network_is_defined_started_found_by_its_metadata_and_removed(#[case] place: Place) {
    let provider = place.provider;
    let (lab, desired) = lab(1);
    let ours = || {
        let mut found = provider.networks().unwrap();
        found.retain(|(network, _)| network.lab == lab);
        found
    };
    let name = &desired.network.name;

    assert!(ours().is_empty());
    provider.define_network(&network_xml(&desired.network)).unwrap();
    let (found, active) = ours().remove(0);
    assert_eq!((&found.name, &found.settings, active), (name, &Some(desired.network.settings), false));
    assert_eq!(found.hosts, desired.network.hosts);

    provider.start_network(name).unwrap();
    provider.start_network(name).unwrap();
    assert!(ours()[0].1, "it is active");
    provider.remove_network(name).unwrap();
    assert!(ours().is_empty());
    provider.remove_network(name).unwrap();
}

#[rstest]
#[case::libvirt(libvirt())]
#[case::fake(fake())]
fn resources_of_others_are_not_found(#[case] place: Place) {
    let provider = place.provider;
    // The test driver has a domain `test` and a network `default` of its own.
    assert!(provider.domains().unwrap().iter().all(|found| found.record.name != "test"));
    assert!(provider.networks().unwrap().iter().all(|(found, _)| found.name != "default"));
}

#[rstest]
#[case::libvirt(libvirt())]
#[case::fake(fake())]
fn pool_and_volumes_come_and_go(#[case] place: Place) {
    let provider = place.provider;
    let (lab, _) = lab(3);
    let name = resource_name("small", &lab);
    let ours = || provider.pools().unwrap().into_iter().filter(|found| *found == name).count();
    let plan = VolumePlan {
        name: "node.qcow2".to_owned(),
        capacity: Bytes::from_gib(8),
        format: VolumeFormat::Qcow2,
        backing: Some(Backing { path: "/store/image/disk.qcow2".to_owned(), format: VolumeFormat::Qcow2 }),
    };

    assert!(provider.volumes(&name).unwrap().is_empty(), "a pool that is not there has no volumes");
    provider.ensure_pool(&name, "/disks").unwrap();
    provider.ensure_pool(&name, "/disks").unwrap();
    assert_eq!(ours(), 1);

    let path = provider.create_volume(&name, &plan.name, &volume_xml(&plan)).unwrap();
    assert_eq!(path, "/disks/node.qcow2");
    assert_eq!(provider.create_volume(&name, &plan.name, &volume_xml(&plan)).unwrap(), path, "replaced");
    assert_eq!(provider.volume_path(&name, &plan.name).unwrap(), Some(path));
    let volumes = provider.volumes(&name).unwrap();
    assert_eq!(volumes.len(), 1);
    assert_eq!(volumes[0].capacity, plan.capacity);

    provider.remove_volume(&name, &plan.name).unwrap();
    provider.remove_volume(&name, &plan.name).unwrap();
    assert_eq!(provider.volume_path(&name, &plan.name).unwrap(), None);

    provider.create_volume(&name, &plan.name, &volume_xml(&plan)).unwrap();
    provider.remove_pool(&name).unwrap();
    assert_eq!(ours(), 0, "a pool goes with its volumes");
    provider.remove_pool(&name).unwrap();
}

#[rstest]
#[case::libvirt(libvirt())]
#[case::fake(fake())]
fn machine_is_defined_started_shut_down_and_removed(#[case] place: Place) {
    let provider = place.provider;
    let (lab, desired) = lab(4);
    let (name, xml) = (domain(&lab), definition(&lab, &desired));
    let state = || provider.domain_state(&name).unwrap().map(|(state, _)| state);

    assert_eq!(state(), None);
    provider.define_domain(MachineKind::Vm, &xml).unwrap();
    assert_eq!(state(), Some(MachineState::ShutOff));
    let run = provider.start_domain(&name).unwrap();
    assert_eq!(provider.start_domain(&name).unwrap(), run, "one that runs is left alone");
    assert_eq!(provider.domain_state(&name).unwrap(), Some((MachineState::Running, Some(run))));

    provider.define_domain(MachineKind::Vm, &xml).unwrap();
    assert_eq!(state(), Some(MachineState::Running), "it may be redefined while it runs");
    provider.shut_down_domain(&name).unwrap();
    assert_eq!(state(), Some(MachineState::ShutOff));
    assert_ne!(provider.start_domain(&name).unwrap(), run, "each run has a number of its own");
    provider.power_off_domain(&name).unwrap();
    provider.power_off_domain(&name).unwrap();

    provider.start_domain(&name).unwrap();
    provider.remove_domain(&name).unwrap();
    assert_eq!(state(), None, "one that runs is removed too");
    provider.remove_domain(&name).unwrap();
    provider.shut_down_domain(&name).unwrap();
    assert!(provider.start_domain(&name).unwrap_err().to_string().contains(&name));
}

#[rstest]
#[case::libvirt(libvirt())]
#[case::fake(fake())]
fn machine_is_found_by_its_metadata_with_its_settings(#[case] place: Place) {
    let provider = place.provider;
    let (lab, desired) = lab(5);
    provider.define_domain(MachineKind::Vm, &definition(&lab, &desired)).unwrap();
    let found: Vec<_> =
        provider.domains().unwrap().into_iter().filter(|found| found.record.lab == lab).collect();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].record.name, domain(&lab));
    assert_eq!(found[0].record.machine, "node");
    assert_eq!(found[0].record.applied.as_ref(), Some(&desired.machines["node"].applied));
    assert_eq!((found[0].state, found[0].run), (MachineState::ShutOff, None));
    provider.remove_domain(&domain(&lab)).unwrap();
}

#[rstest]
#[case::libvirt(libvirt())]
#[case::fake(fake())]
fn wrong_definition_is_refused(#[case] place: Place) {
    let provider = place.provider;
    let error = provider.define_domain(MachineKind::Vm, "<domain type=\"test\"/>").unwrap_err();
    assert!(format!("{error:#}").contains("definition"), "{error:#}");
}

#[test]
fn libvirt_that_does_not_answer_is_named_by_its_uri() {
    let error = Libvirt::open("test:///no/such/file").err().unwrap();
    assert!(error.to_string().contains("test:///no/such/file"), "{error:#}");
}
