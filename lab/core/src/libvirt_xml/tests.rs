use std::collections::BTreeMap;

use rstest::rstest;

use super::xml::parse;
use super::*;
use crate::fixtures;
use crate::identity::{MachineNumbers, machine_numbers};
use crate::plan::{Inputs, PublicKeys, desired};
use crate::spec::{ClusterSpec, Egress, HostSpec, ImageSpec, MachineKind};

fn numbers(spec: &ClusterSpec) -> BTreeMap<String, MachineNumbers> {
    machine_numbers(&fixtures::lab(), spec.machines.iter().map(|machine| machine.name.as_str()))
}

fn network(host: HostSpec, egress: Egress) -> NetworkPlan {
    let mut spec = ClusterSpec { host, ..fixtures::spec() };
    spec.network.egress = egress;
    network_plan(&spec, &fixtures::lab(), &numbers(&spec))
}

fn system() -> HostSpec {
    HostSpec::Libvirt("qemu:///system".to_owned())
}

fn machine(acceleration: Acceleration, boot: Boot) -> MachinePlan {
    let spec = fixtures::spec();
    let lab = fixtures::lab();
    let images = BTreeMap::from([(ImageSpec::Debian13, "a".repeat(64))]);
    let keys = PublicKeys { login: fixtures::LOGIN_KEY.to_owned(), host: BTreeMap::new() };
    let inputs = Inputs { spec: &spec, lab: &lab, acceleration, images: &images, keys: &keys };
    let desired = desired(&inputs);
    MachinePlan {
        lab: lab.clone(),
        cluster: spec.name.clone(),
        machine: "control-plane".to_owned(),
        uuid: desired.numbers["control-plane"].uuid,
        applied: desired.machines["control-plane"].applied.clone(),
        boot,
        root_disk: "/var/lib/lab/disks/control-plane.qcow2".to_owned(),
        network: desired.network.name,
        console_log: "/var/lib/lab/console/control-plane.log".to_owned(),
    }
}

fn kernel() -> Boot {
    Boot::Kernel {
        kernel: "/var/lib/lab/images/debian-13/vmlinux".to_owned(),
        initrd: "/var/lib/lab/disks/control-plane.initrd".to_owned(),
        command_line: "root=PARTLABEL=root rw console=ttyS0 quiet".to_owned(),
    }
}

fn seeded() -> Boot {
    Boot::Disk { seed: "/var/lib/lab/disks/control-plane-seed.img".to_owned() }
}

fn container() -> ContainerPlan {
    let plan = machine(Acceleration::Tcg, kernel());
    let applied =
        AppliedMachine { kind: MachineKind::Container, acceleration: Acceleration::Native, ..plan.applied };
    ContainerPlan {
        lab: plan.lab,
        cluster: plan.cluster,
        machine: plan.machine,
        uuid: plan.uuid,
        applied,
        first_program: "/usr/lib/lab/first".to_owned(),
        root: "/var/lib/lab/roots/control-plane/mounted".to_owned(),
        folders: vec![("/var/lib/lab/roots/control-plane/plain".to_owned(), "/var/lib/plain".to_owned())],
        network: plan.network,
    }
}

#[test]
fn container_definition_reads_back() {
    let xml = container_xml(&container());
    insta::assert_snapshot!("container", xml);
    let read = read_domain(&xml).unwrap().unwrap();
    assert_eq!(read.applied, Some(container().applied));
    assert_eq!(read.machine, "control-plane");
}

#[test]
fn terminal_of_running_container_is_first_console() {
    let running = "<domain type='lxc'><devices><emulator/><console type='pty' tty='/dev/pts/3'>\
                   <source path='/dev/pts/3'/></console><console type='pty'><source path='/dev/pts/4'/></console>\
                   </devices></domain>";
    assert_eq!(read_console(running).unwrap().as_deref(), Some("/dev/pts/3"));
    assert_eq!(read_console(&container_xml(&container())).unwrap(), None);
}

#[rstest]
#[case::embedded("network_embedded", HostSpec::Embedded, Egress::None)]
#[case::isolated("network_isolated", system(), Egress::None)]
#[case::nat("network_nat", system(), Egress::Nat)]
fn network_becomes_xml(#[case] name: &str, #[case] host: HostSpec, #[case] egress: Egress) {
    insta::assert_snapshot!(name, network_xml(&network(host, egress)));
}

#[rstest]
#[case::translated("vm_tcg_kernel", Acceleration::Tcg, kernel())]
#[case::accelerated("vm_kvm_kernel", Acceleration::Kvm, kernel())]
#[case::cloud_image("vm_kvm_seeded", Acceleration::Kvm, seeded())]
fn virtual_machine_becomes_xml(#[case] name: &str, #[case] acceleration: Acceleration, #[case] boot: Boot) {
    insta::assert_snapshot!(name, domain_xml(&machine(acceleration, boot)));
}

#[test]
fn pool_becomes_xml() {
    let name = resource_name("dev", &fixtures::lab());
    insta::assert_snapshot!("pool", pool_xml(&name, "/var/lib/lab/disks"));
}

#[rstest]
#[case::clone("volume_clone", VolumeFormat::Qcow2, Some(VolumeFormat::Qcow2))]
#[case::clone_of_raw("volume_clone_of_raw", VolumeFormat::Qcow2, Some(VolumeFormat::Raw))]
#[case::raw("volume_raw", VolumeFormat::Raw, None)]
fn volume_becomes_xml(#[case] name: &str, #[case] format: VolumeFormat, #[case] base: Option<VolumeFormat>) {
    let backing =
        base.map(|format| Backing { path: "/var/lib/lab/images/debian-13/disk".to_owned(), format });
    let plan = VolumePlan { name: "control-plane".to_owned(), capacity: Bytes::from_gib(8), format, backing };
    insta::assert_snapshot!(name, volume_xml(&plan));
}

#[test]
fn living_network_gets_machine() {
    let host = network(HostSpec::Embedded, Egress::None).hosts.first().cloned().unwrap();
    let (dhcp, dns) = network_host_xml(&host);
    insta::assert_snapshot!("network_host", dhcp + &dns);
}

#[test]
fn bridge_name_fits_15_bytes() {
    assert_eq!(network(HostSpec::Embedded, Egress::None).bridge.len(), 15);
}

#[test]
fn paths_are_escaped() {
    let mut plan = machine(Acceleration::Tcg, kernel());
    plan.root_disk = "/home/a user/<&>'\"/disk".to_owned();
    let domain = parse(&domain_xml(&plan)).unwrap();
    let source = domain.find(&["devices", "disk", "source"]).unwrap();
    assert_eq!(source.get("file"), Some(plan.root_disk.as_str()));
}

#[test]
fn domain_reads_back() {
    let plan = machine(Acceleration::Tcg, kernel());
    let record = read_domain(&domain_xml(&plan)).unwrap().unwrap();
    assert_eq!(
        record,
        DomainRecord {
            name: "dev-control-plane".to_owned(),
            uuid: plan.uuid.to_string(),
            lab: plan.lab,
            cluster: plan.cluster,
            machine: plan.machine,
            applied: Some(plan.applied),
        }
    );
}

#[rstest]
#[case(HostSpec::Embedded, Egress::None)]
#[case(system(), Egress::None)]
#[case(system(), Egress::Nat)]
fn network_reads_back(#[case] host: HostSpec, #[case] egress: Egress) {
    let plan = network(host, egress);
    let record = read_network(&network_xml(&plan)).unwrap().unwrap();
    assert_eq!(
        record,
        NetworkRecord {
            name: plan.name,
            uuid: plan.uuid.to_string(),
            lab: plan.lab,
            cluster: plan.cluster,
            settings: Some(plan.settings),
            hosts: plan.hosts,
        }
    );
}

/// libvirt's output for definitions of ours: other quotes, other order, elements of its own.
#[test]
fn read_accepts_output_of_libvirt() {
    let domain = read_domain(include_str!("testdata/domain.xml")).unwrap().unwrap();
    let network = read_network(include_str!("testdata/network.xml")).unwrap().unwrap();
    insta::assert_debug_snapshot!("read_from_libvirt", (domain, network));
}

#[test]
fn volume_is_read() {
    let clone = read_volume(include_str!("testdata/volume.xml")).unwrap();
    assert_eq!(
        clone,
        VolumeRecord {
            name: "control-plane.qcow2".to_owned(),
            path: "/var/lib/lab/disks/control-plane.qcow2".to_owned(),
            capacity: Bytes::from_gib(24),
            backing: Some("/var/lib/lab/images/debian-13/disk".to_owned()),
        }
    );
    let base =
        "<volume><name>base</name><capacity>512</capacity><target><path>/base</path></target></volume>";
    assert_eq!(read_volume(base).unwrap().backing, None);
    assert_eq!(read_volume("<volume><name>base</name></volume>"), Err(ReadError::Missing("capacity")));
}

#[test]
fn resources_of_others_are_passed_over() {
    let domain =
        "<domain><name>web</name><uuid>u</uuid><metadata><machine xmlns='urn:other'/></metadata></domain>";
    assert_eq!(read_domain(domain), Ok(None));
    assert_eq!(read_domain("<domain><name>web</name></domain>"), Ok(None));
    assert_eq!(read_network("<network><name>default</name></network>"), Ok(None));
}

#[test]
fn read_distinguishes_other_metadata_version_from_none() {
    let xml = domain_xml(&machine(Acceleration::Tcg, kernel())).replace("\"cpus\"", "\"processors\"");
    let record = read_domain(&xml).unwrap().unwrap();
    assert_eq!((record.machine.as_str(), record.applied), ("control-plane", None));
}

#[rstest]
#[case::not_xml("no such domain", ReadError::Xml(XmlError::Incomplete))]
#[case::cut_short("<domain><name>", ReadError::Xml(XmlError::Incomplete))]
#[case::no_lab_id(
    "<domain><name>a</name><uuid>u</uuid><metadata><machine xmlns='urn:lab:metadata:1' id='x'/></metadata></domain>",
    ReadError::LabId
)]
#[case::no_name(
    "<domain><metadata><machine xmlns='urn:lab:metadata:1' id='0a1b2c3d4e5f'/></metadata></domain>",
    ReadError::Missing("name")
)]
fn read_refuses_invalid_xml(#[case] xml: &str, #[case] error: ReadError) {
    assert_eq!(read_domain(xml), Err(error));
}
