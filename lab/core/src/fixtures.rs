//! Values that the tests of several modules share: the original plan's four machines.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use crate::identity::{HostKey, LabId, MachineIdentity, machine_numbers};
use crate::spec::{
    ClusterSpec, Egress, HostSpec, ImageSpec, KubernetesSpec, KubespraySpec, MachineKind, MachineSpec,
    MirrorsSpec, NetworkSpec, Role, Taint,
};
use crate::units::Bytes;

/// The id of the lab in tests.
pub(crate) fn lab() -> LabId {
    "0a1b2c3d4e5f".parse().unwrap()
}

/// The four machines of the original plan, small.
pub(crate) fn spec() -> ClusterSpec {
    ClusterSpec {
        name: "dev".to_owned(),
        host: HostSpec::Embedded,
        network: NetworkSpec {
            subnet: "192.168.200.0/24".parse().unwrap(),
            gateway: Ipv4Addr::new(192, 168, 200, 1),
            egress: Egress::None,
            mtu: 1500,
        },
        kubespray: KubespraySpec { version: "v2.30.0".to_owned(), source: None, variables: BTreeMap::new() },
        kubernetes: KubernetesSpec::default(),
        mirrors: MirrorsSpec::default(),
        machines: vec![
            MachineSpec {
                cpus: 2,
                memory: Bytes::from_gib(2),
                roles: BTreeSet::from([Role::ControlPlane, Role::Etcd]),
                ..machine("control-plane", 10)
            },
            machine("cpu-worker", 11),
            MachineSpec {
                taints: vec![Taint {
                    key: "nvidia.com/gpu".to_owned(),
                    value: "present".to_owned(),
                    effect: "NoSchedule".to_owned(),
                }],
                ..machine("gpu-worker-1", 12)
            },
            machine("gpu-worker-2", 13),
        ],
    }
}

/// A worker.
pub(crate) fn machine(name: &str, last_octet: u8) -> MachineSpec {
    MachineSpec {
        name: name.to_owned(),
        kind: MachineKind::Vm,
        roles: BTreeSet::from([Role::Worker]),
        address: Ipv4Addr::new(192, 168, 200, last_octet),
        cpus: 1,
        memory: Bytes::from_gib(1),
        disk: Bytes::from_gib(8),
        image: ImageSpec::Debian13,
        labels: BTreeMap::new(),
        taints: Vec::new(),
        gpus: Vec::new(),
        auto_start: true,
    }
}

/// A host key that opens nothing.
pub(crate) fn host_key(machine: &str) -> HostKey {
    HostKey {
        private: "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n".to_owned(),
        public: format!("ssh-ed25519 AAAAhost-{machine} {machine}\n"),
    }
}

/// The login key of the lab.
pub(crate) const LOGIN_KEY: &str = "ssh-ed25519 AAAAlogin lab-dev\n";

/// The identity of one of the machines of [`spec`].
pub(crate) fn identity(name: &str) -> MachineIdentity {
    let spec = spec();
    let numbers = machine_numbers(&lab(), spec.machines.iter().map(|machine| machine.name.as_str()));
    let machine = spec.machines.iter().find(|machine| machine.name == name).expect("a machine of the spec");
    MachineIdentity::new(&spec, machine, numbers[name].clone(), host_key(name), LOGIN_KEY)
}
