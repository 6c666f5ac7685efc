//! libvirt's own schema accepts every definition that the lab gives to libvirt.

use lab_core::libvirt_xml::{
    Acceleration, Backing, Boot, ContainerPlan, MachinePlan, VolumeFormat, VolumePlan, container_xml,
    domain_xml, network_xml, pool_xml, resource_name, volume_xml,
};
use lab_core::spec::{ClusterSpec, Egress, HostSpec, MachineKind};
use lab_core::units::Bytes;
use lab_tests::{Answer, run};
use rstest::rstest;

use crate::dev;

/// Asks the checker that comes with libvirt.
fn validate(xml: &str) -> Answer {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("definition.xml");
    std::fs::write(&file, xml).unwrap();
    run("virt-xml-validate").arg(&file).answer()
}

fn domain(acceleration: Acceleration, boot: Boot) -> String {
    let spec = dev::spec();
    let plan = dev::plan(&spec, acceleration);
    domain_xml(&MachinePlan {
        lab: dev::lab(),
        cluster: spec.name,
        machine: "control-plane".to_owned(),
        uuid: plan.numbers["control-plane"].uuid,
        applied: plan.machines["control-plane"].applied.clone(),
        boot,
        root_disk: "/home/a user/<&>'\"/control-plane.qcow2".to_owned(),
        network: plan.network.name,
        console_log: "/home/a user/console.log".to_owned(),
    })
}

fn container() -> String {
    let mut spec = dev::spec();
    spec.machines[0].kind = MachineKind::Container;
    let plan = dev::plan(&spec, Acceleration::Tcg);
    container_xml(&ContainerPlan {
        lab: dev::lab(),
        cluster: spec.name,
        machine: "control-plane".to_owned(),
        uuid: plan.numbers["control-plane"].uuid,
        applied: plan.machines["control-plane"].applied.clone(),
        first_program: "/usr/lib/lab/first".to_owned(),
        root: "/home/a user/<&>'\"/mounted".to_owned(),
        folders: vec![("/home/a user/plain".to_owned(), "/var/lib/plain".to_owned())],
        network: plan.network.name,
    })
}

fn kernel() -> Boot {
    Boot::Kernel {
        kernel: "/store/vmlinux".to_owned(),
        initrd: "/store/initrd".to_owned(),
        command_line: "root=PARTLABEL=root console=ttyS0 quiet".to_owned(),
    }
}

fn seeded() -> Boot {
    Boot::Disk { seed: "/store/seed.img".to_owned() }
}

fn network(host: HostSpec, egress: Egress) -> String {
    let mut spec = ClusterSpec { host, ..dev::spec() };
    spec.network.egress = egress;
    network_xml(&dev::plan(&spec, Acceleration::Tcg).network)
}

fn system() -> HostSpec {
    HostSpec::Libvirt("qemu:///system".to_owned())
}

fn volume(format: VolumeFormat, backing: Option<VolumeFormat>) -> String {
    let backing = backing.map(|format| Backing { path: "/store/a & b/disk".to_owned(), format });
    volume_xml(&VolumePlan { name: "node.qcow2".to_owned(), capacity: Bytes::from_gib(8), format, backing })
}

#[rstest]
#[case::domain_tcg_kernel(domain(Acceleration::Tcg, kernel()))]
#[case::domain_kvm_kernel(domain(Acceleration::Kvm, kernel()))]
#[case::domain_tcg_cloud_image(domain(Acceleration::Tcg, seeded()))]
#[case::domain_kvm_cloud_image(domain(Acceleration::Kvm, seeded()))]
#[case::container(container())]
#[case::network_embedded(network(HostSpec::Embedded, Egress::None))]
#[case::network_isolated(network(system(), Egress::None))]
#[case::network_nat(network(system(), Egress::Nat))]
#[case::pool(pool_xml(&resource_name("dev", &dev::lab()), "/home/a user/<&>/disks"))]
#[case::volume_clone(volume(VolumeFormat::Qcow2, Some(VolumeFormat::Qcow2)))]
#[case::volume_clone_of_raw(volume(VolumeFormat::Qcow2, Some(VolumeFormat::Raw)))]
#[case::volume_raw(volume(VolumeFormat::Raw, None))]
fn libvirt_accepts_every_definition(#[case] xml: String) {
    validate(&xml).ok();
}

#[test]
fn libvirt_refuses_a_definition_with_an_element_it_does_not_know() {
    let spoiled = domain(Acceleration::Tcg, kernel()).replace("<devices>", "<devices><gizmo/>");
    assert_ne!(validate(&spoiled).code, 0);
}
