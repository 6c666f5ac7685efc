//! Values that the tests of several modules share: the original plan's four machines.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use crate::identity::{HostKey, LabId, MachineIdentity, machine_numbers};
use crate::spec::{
    AddonsSpec, ApiSpec, ClusterSpec, ContainerEngine, ContainerRuntimeSpec, DnsMode, DnsSpec, Egress,
    Encapsulation, HostSpec, ImageSpec, KubeletSpec, KubernetesSpec, KubespraySpec, MachineKind, MachineSpec,
    MilliCpus, MirrorsSpec, NetworkPlugin, NetworkSpec, PodNetworkSpec, RegistrySpec, ReservedSpec, Role,
    Strategy, Taint,
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
        kubespray: KubespraySpec {
            version: "v2.30.0".to_owned(),
            source: None,
            strategy: Strategy::LabLinear,
            variables: BTreeMap::new(),
        },
        kubernetes: KubernetesSpec::default(),
        mirrors: MirrorsSpec::default(),
        gpu_operator: None,
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

/// The same machines, with everything that can be asked of Kubernetes.
pub(crate) fn everything() -> ClusterSpec {
    let mut spec = spec();
    spec.kubernetes = KubernetesSpec {
        version: Some("1.34.3".to_owned()),
        container_runtime: ContainerRuntimeSpec {
            engine: Some(ContainerEngine::Containerd),
            version: Some("2.2.1".to_owned()),
        },
        network: PodNetworkSpec {
            plugin: Some(NetworkPlugin::Calico),
            version: Some("3.30.6".to_owned()),
            mtu: Some(1450),
            encapsulation: Some(Encapsulation::Vxlan),
            policy: Some(true),
            pods: Some("10.244.0.0/16".parse().unwrap()),
            services: Some("10.96.0.0/12".parse().unwrap()),
            node_prefix: Some(24),
        },
        dns: DnsSpec {
            mode: Some(DnsMode::Coredns),
            node_local: Some(true),
            node_local_address: Some(Ipv4Addr::new(169, 254, 25, 10)),
        },
        addons: AddonsSpec { metrics_server: Some(true), ingress_nginx: Some(true), helm: Some(false) },
        kubelet: KubeletSpec {
            max_pods: Some(110),
            system_reserved: ReservedSpec { cpu: Some(MilliCpus(500)), memory: Some(Bytes::from_mib(512)) },
        },
        feature_gates: BTreeMap::from([("InPlacePodVerticalScaling".to_owned(), true)]),
        api: ApiSpec { names: vec!["api.example.com".to_owned()] },
    };
    spec.mirrors = MirrorsSpec {
        files: Some("http://files.lab:8080".to_owned()),
        images: Some(RegistrySpec { address: "registry.lab:5000/kubernetes".to_owned() }),
    };
    spec.machines[1].labels = BTreeMap::from([("workload-type".to_owned(), "general".to_owned())]);
    spec.machines[2].labels = BTreeMap::from([("inference-ready".to_owned(), "true".to_owned())]);
    spec
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
