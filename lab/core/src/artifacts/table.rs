//! The table: every part that can be built, every one that cannot and why. Names and layouts are Kubespray's
//! (roles/kubespray_defaults/defaults/main/download.yml and the roles that unpack the files).

use super::gpu_stack;
use super::modules::{
    AGNHOST, CNI, CONTAINERD, COREDNS, CRI_TOOLS, CRICTL_STAND_IN, ETCD, HELM, KUBE_ROUTER, KUBERNETES, KWOK,
    METRICS_SERVER, NERDCTL, PAUSE, PLAIN, REFUSED_CRI_TOOLS,
};
use super::parts::{Image, Kind, Member, Module, Part, Product};
use super::userland::PACKET_FILTER;

/// The part that a lock's entry is in a version without `v`; `None` for a name that the table does not know.
pub fn part(kind: Kind, name: &str, version: &str) -> Option<&'static Part> {
    PARTS.iter().find(|part| {
        part.kind == kind
            && (part.versions.is_empty() || part.versions.contains(&version))
            && match part.name.strip_suffix('*') {
                Some(start) => name.starts_with(start),
                None => part.name == name,
            }
    })
}

pub(super) const fn plain(name: &'static str, kind: Kind, product: Product) -> Part {
    Part { name, kind, versions: &[], stand_in: None, product }
}

const fn program(name: &'static str, module: &'static Module) -> Part {
    plain(name, Kind::File, Product::Program { module, program: name })
}

const fn archive(name: &'static str, module: &'static Module, members: &'static [Member]) -> Part {
    plain(name, Kind::File, Product::Archive { module, members })
}

/// An image of nothing.
pub(super) const IMAGE: Image = Image {
    module: &PLAIN,
    members: &[],
    entrypoint: &[],
    user: None,
    userland: None,
    others: &[],
    contents: &[],
    environment: &[],
};

pub(super) const fn image(name: &'static str, image: Image) -> Part {
    plain(name, Kind::Image, Product::Image(image))
}

const fn not_to_be_had(name: &'static str, kind: Kind, reason: &'static str, instead: &'static str) -> Part {
    plain(name, kind, Product::None { reason, instead })
}

/// A part that is made of a program of our own, in these versions or, where there are none, in every version.
pub(super) const fn stand_in(part: Part, versions: &'static [&'static str], reason: &'static str) -> Part {
    Part { versions, stand_in: Some(reason), ..part }
}

const NO_MODULE: &str = "its upstream publishes no Go module that it can be compiled from";
const REFUSED_VERSION: &str = "the module proxy refuses this version of sigs.k8s.io/cri-tools";
const C_PROGRAM: &str = "it is not written in Go";
const UPSTREAM_IN_C: &str = "upstream's program is written in C";
const ANOTHER_NETWORK: &str = "kube_network_plugin: kube-router, which does NetworkPolicy too";

/// Every part. The first that fits a name counts.
pub static PARTS: &[Part] = &[
    program("kubelet", &KUBERNETES),
    program("kubeadm", &KUBERNETES),
    program("kubectl", &KUBERNETES),
    archive(
        "etcd",
        &ETCD,
        &[
            Member { path: "etcd-v{version}-linux-{architecture}/etcd", program: "etcd" },
            Member { path: "etcd-v{version}-linux-{architecture}/etcdctl", program: "etcdctl" },
            Member { path: "etcd-v{version}-linux-{architecture}/etcdutl", program: "etcdutl" },
        ],
    ),
    archive(
        "containerd",
        &CONTAINERD,
        &[
            Member { path: "bin/containerd", program: "containerd" },
            Member { path: "bin/containerd-shim-runc-v2", program: "containerd-shim-runc-v2" },
            Member { path: "bin/ctr", program: "ctr" },
        ],
    ),
    archive("nerdctl", &NERDCTL, &[Member { path: "nerdctl", program: "nerdctl" }]),
    stand_in(
        archive("crictl", &CRICTL_STAND_IN, &[Member { path: "crictl", program: "crictl" }]),
        REFUSED_CRI_TOOLS,
        REFUSED_VERSION,
    ),
    archive("crictl", &CRI_TOOLS, &[Member { path: "crictl", program: "crictl" }]),
    archive("helm", &HELM, &[Member { path: "linux-{architecture}/helm", program: "helm" }]),
    archive(
        "cni",
        &CNI,
        &[
            Member { path: "bandwidth", program: "bandwidth" },
            Member { path: "bridge", program: "bridge" },
            Member { path: "dhcp", program: "dhcp" },
            Member { path: "dummy", program: "dummy" },
            Member { path: "firewall", program: "firewall" },
            Member { path: "host-device", program: "host-device" },
            Member { path: "host-local", program: "host-local" },
            Member { path: "ipvlan", program: "ipvlan" },
            Member { path: "loopback", program: "loopback" },
            Member { path: "macvlan", program: "macvlan" },
            Member { path: "portmap", program: "portmap" },
            Member { path: "ptp", program: "ptp" },
            Member { path: "sbr", program: "sbr" },
            Member { path: "static", program: "static" },
            Member { path: "tap", program: "tap" },
            Member { path: "tuning", program: "tuning" },
            Member { path: "vlan", program: "vlan" },
            Member { path: "vrf", program: "vrf" },
        ],
    ),
    program("kwok", &KWOK),
    // It needs a C compiler, and libseccomp to filter system calls; the machines have the library.
    plain("runc", Kind::File, Product::Debian { package: "runc", path: "usr/sbin/runc" }),
    image(
        "kubeadm_kube-apiserver",
        Image {
            module: &KUBERNETES,
            members: &[Member { path: "usr/local/bin/kube-apiserver", program: "kube-apiserver" }],
            entrypoint: &["/usr/local/bin/kube-apiserver"],
            ..IMAGE
        },
    ),
    image(
        "kubeadm_kube-controller-manager",
        Image {
            module: &KUBERNETES,
            members: &[Member {
                path: "usr/local/bin/kube-controller-manager",
                program: "kube-controller-manager",
            }],
            entrypoint: &["/usr/local/bin/kube-controller-manager"],
            ..IMAGE
        },
    ),
    image(
        "kubeadm_kube-scheduler",
        Image {
            module: &KUBERNETES,
            members: &[Member { path: "usr/local/bin/kube-scheduler", program: "kube-scheduler" }],
            entrypoint: &["/usr/local/bin/kube-scheduler"],
            ..IMAGE
        },
    ),
    image(
        "kubeadm_kube-proxy",
        Image {
            module: &KUBERNETES,
            members: &[Member { path: "usr/local/bin/kube-proxy", program: "kube-proxy" }],
            entrypoint: &["/usr/local/bin/kube-proxy"],
            userland: Some(&PACKET_FILTER),
            ..IMAGE
        },
    ),
    image(
        "coredns",
        Image {
            module: &COREDNS,
            members: &[Member { path: "coredns", program: "coredns" }],
            entrypoint: &["/coredns"],
            ..IMAGE
        },
    ),
    stand_in(
        image(
            "pod_infra",
            Image {
                module: &PAUSE,
                members: &[Member { path: "pause", program: "pause" }],
                entrypoint: &["/pause"],
                user: Some("65535:65535"),
                ..IMAGE
            },
        ),
        &[],
        UPSTREAM_IN_C,
    ),
    image(
        "metrics_server",
        Image {
            module: &METRICS_SERVER,
            members: &[Member { path: "metrics-server", program: "metrics-server" }],
            entrypoint: &["/metrics-server"],
            user: Some("65534"),
            ..IMAGE
        },
    ),
    image(
        "kube_router",
        Image {
            module: &KUBE_ROUTER,
            members: &[Member { path: "usr/local/bin/kube-router", program: "kube-router" }],
            entrypoint: &["/usr/local/bin/kube-router"],
            userland: Some(&PACKET_FILTER),
            ..IMAGE
        },
    ),
    image(
        "agnhost",
        Image {
            module: &AGNHOST,
            members: &[Member { path: "agnhost", program: "agnhost" }],
            entrypoint: &["/agnhost"],
            ..IMAGE
        },
    ),
    gpu_stack::GPU_OPERATOR_CHART,
    gpu_stack::GPU_OPERATOR,
    gpu_stack::GPU_OPERATOR_VALIDATOR,
    gpu_stack::GPU_CONTAINER_TOOLKIT,
    gpu_stack::GPU_DEVICE_PLUGIN,
    gpu_stack::NODE_FEATURE_DISCOVERY,
    gpu_stack::GPU_DCGM_EXPORTER,
    not_to_be_had("calico*", Kind::Image, NO_MODULE, ANOTHER_NETWORK),
    not_to_be_had("calico*", Kind::File, NO_MODULE, ANOTHER_NETWORK),
    not_to_be_had("cilium*", Kind::Image, NO_MODULE, ANOTHER_NETWORK),
    not_to_be_had("flannel*", Kind::Image, "a module that it needs is refused by the proxy", ANOTHER_NETWORK),
    not_to_be_had(
        "nodelocaldns",
        Kind::Image,
        "the module k8s.io/dns is refused by the proxy",
        "enable_nodelocaldns: false",
    ),
    not_to_be_had(
        "dnsautoscaler",
        Kind::Image,
        NO_MODULE,
        "enable_dns_autoscaler: false, and coredns keeps its number of replicas",
    ),
    not_to_be_had(
        "nginx",
        Kind::Image,
        C_PROGRAM,
        "loadbalancer_apiserver_localhost: false and a loadbalancer_apiserver",
    ),
    not_to_be_had(
        "haproxy",
        Kind::Image,
        C_PROGRAM,
        "loadbalancer_apiserver_localhost: false and a loadbalancer_apiserver",
    ),
];
