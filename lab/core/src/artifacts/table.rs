//! The table: every part that can be built, every one that cannot and why. Names and layouts are Kubespray's
//! (roles/kubespray_defaults/defaults/main/download.yml and the roles that unpack the files).

use super::parts::{
    Image, Kind, Member, Module, ModuleVersion, Part, Product, Program, Source, Stamp, Stamped, Stub,
};

/// The part that a lock's entry is; `None` for a name that the table does not know.
#[must_use]
pub fn part(kind: Kind, name: &str) -> Option<&'static Part> {
    PARTS.iter().find(|part| {
        part.kind == kind
            && match part.name.strip_suffix('*') {
                Some(start) => name.starts_with(start),
                None => part.name == name,
            }
    })
}

/// The commit and the time of a build are said by no module; `kubeadm` and others want a state of the tree.
const KUBERNETES_STAMPS: [Stamp; 8] = [
    Stamp { package: "k8s.io/component-base/version", variable: "gitVersion", value: Stamped::Tag },
    Stamp { package: "k8s.io/component-base/version", variable: "gitMajor", value: Stamped::Major },
    Stamp { package: "k8s.io/component-base/version", variable: "gitMinor", value: Stamped::Minor },
    Stamp {
        package: "k8s.io/component-base/version",
        variable: "gitTreeState",
        value: Stamped::Text("clean"),
    },
    Stamp { package: "k8s.io/client-go/pkg/version", variable: "gitVersion", value: Stamped::Tag },
    Stamp { package: "k8s.io/client-go/pkg/version", variable: "gitMajor", value: Stamped::Major },
    Stamp { package: "k8s.io/client-go/pkg/version", variable: "gitMinor", value: Stamped::Minor },
    Stamp {
        package: "k8s.io/client-go/pkg/version",
        variable: "gitTreeState",
        value: Stamped::Text("clean"),
    },
];

const PLAIN: Module = Module {
    name: "",
    path: "",
    siblings: &[],
    fork: None,
    version: ModuleVersion::Same,
    stubs: &[],
    sources: &[],
    programs: &[],
    stamps: &[],
};

static KUBERNETES: Module = Module {
    name: "kubernetes",
    path: "k8s.io/kubernetes",
    programs: &[
        Program { name: "kubelet", package: "k8s.io/kubernetes/cmd/kubelet" },
        Program { name: "kubeadm", package: "k8s.io/kubernetes/cmd/kubeadm" },
        Program { name: "kubectl", package: "k8s.io/kubernetes/cmd/kubectl" },
        Program { name: "kube-apiserver", package: "k8s.io/kubernetes/cmd/kube-apiserver" },
        Program { name: "kube-controller-manager", package: "k8s.io/kubernetes/cmd/kube-controller-manager" },
        Program { name: "kube-scheduler", package: "k8s.io/kubernetes/cmd/kube-scheduler" },
        Program { name: "kube-proxy", package: "k8s.io/kubernetes/cmd/kube-proxy" },
    ],
    stamps: &KUBERNETES_STAMPS,
    ..PLAIN
};

/// The module of the server; the clients are modules of their own.
static ETCD: Module = Module {
    name: "etcd",
    path: "go.etcd.io/etcd/server/v3",
    siblings: &["go.etcd.io/etcd/etcdctl/v3", "go.etcd.io/etcd/etcdutl/v3"],
    programs: &[
        Program { name: "etcd", package: "go.etcd.io/etcd/server/v3" },
        Program { name: "etcdctl", package: "go.etcd.io/etcd/etcdctl/v3" },
        Program { name: "etcdutl", package: "go.etcd.io/etcd/etcdutl/v3" },
    ],
    stamps: &[Stamp {
        package: "go.etcd.io/etcd/api/v3/version",
        variable: "GitSHA",
        value: Stamped::Text("own-build"),
    }],
    ..PLAIN
};

static CONTAINERD: Module = Module {
    name: "containerd",
    path: "github.com/containerd/containerd/v2",
    programs: &[
        Program { name: "containerd", package: "github.com/containerd/containerd/v2/cmd/containerd" },
        Program {
            name: "containerd-shim-runc-v2",
            package: "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
        },
        Program { name: "ctr", package: "github.com/containerd/containerd/v2/cmd/ctr" },
    ],
    stamps: &[Stamp {
        package: "github.com/containerd/containerd/v2/version",
        variable: "Version",
        value: Stamped::Tag,
    }],
    ..PLAIN
};

static NERDCTL: Module = Module {
    name: "nerdctl",
    path: "github.com/containerd/nerdctl/v2",
    programs: &[Program { name: "nerdctl", package: "github.com/containerd/nerdctl/v2/cmd/nerdctl" }],
    stubs: &[Stub {
        path: "github.com/containerd/nerdctl/mod/tigron",
        version: "v0.0.0",
        sources: &[
            Source { path: "go.mod", text: include_str!("programs/tigron/go.mod.txt") },
            Source { path: "tig/tig.go", text: include_str!("programs/tigron/tig.go") },
        ],
    }],
    stamps: &[Stamp {
        package: "github.com/containerd/nerdctl/v2/pkg/version",
        variable: "Version",
        value: Stamped::Tag,
    }],
    ..PLAIN
};

static CNI: Module = Module {
    name: "cni-plugins",
    path: "github.com/containernetworking/plugins",
    programs: &[
        Program {
            name: "bandwidth",
            package: "github.com/containernetworking/plugins/plugins/meta/bandwidth",
        },
        Program { name: "bridge", package: "github.com/containernetworking/plugins/plugins/main/bridge" },
        Program { name: "dhcp", package: "github.com/containernetworking/plugins/plugins/ipam/dhcp" },
        Program { name: "dummy", package: "github.com/containernetworking/plugins/plugins/main/dummy" },
        Program { name: "firewall", package: "github.com/containernetworking/plugins/plugins/meta/firewall" },
        Program {
            name: "host-device",
            package: "github.com/containernetworking/plugins/plugins/main/host-device",
        },
        Program {
            name: "host-local",
            package: "github.com/containernetworking/plugins/plugins/ipam/host-local",
        },
        Program { name: "ipvlan", package: "github.com/containernetworking/plugins/plugins/main/ipvlan" },
        Program { name: "loopback", package: "github.com/containernetworking/plugins/plugins/main/loopback" },
        Program { name: "macvlan", package: "github.com/containernetworking/plugins/plugins/main/macvlan" },
        Program { name: "portmap", package: "github.com/containernetworking/plugins/plugins/meta/portmap" },
        Program { name: "ptp", package: "github.com/containernetworking/plugins/plugins/main/ptp" },
        Program { name: "sbr", package: "github.com/containernetworking/plugins/plugins/meta/sbr" },
        Program { name: "static", package: "github.com/containernetworking/plugins/plugins/ipam/static" },
        Program { name: "tap", package: "github.com/containernetworking/plugins/plugins/main/tap" },
        Program { name: "tuning", package: "github.com/containernetworking/plugins/plugins/meta/tuning" },
        Program { name: "vlan", package: "github.com/containernetworking/plugins/plugins/main/vlan" },
        Program { name: "vrf", package: "github.com/containernetworking/plugins/plugins/meta/vrf" },
    ],
    stamps: &[Stamp {
        package: "github.com/containernetworking/plugins/pkg/utils/buildversion",
        variable: "BuildVersion",
        value: Stamped::Tag,
    }],
    ..PLAIN
};

static HELM: Module = Module {
    name: "helm",
    path: "helm.sh/helm/v3",
    programs: &[Program { name: "helm", package: "helm.sh/helm/v3/cmd/helm" }],
    stamps: &[
        Stamp { package: "helm.sh/helm/v3/internal/version", variable: "version", value: Stamped::Tag },
        Stamp {
            package: "helm.sh/helm/v3/internal/version",
            variable: "gitTreeState",
            value: Stamped::Text("clean"),
        },
    ],
    ..PLAIN
};

static COREDNS: Module = Module {
    name: "coredns",
    path: "github.com/coredns/coredns",
    programs: &[Program { name: "coredns", package: "github.com/coredns/coredns" }],
    stamps: &[Stamp {
        package: "github.com/coredns/coredns/coremain",
        variable: "GitCommit",
        value: Stamped::Text("own-build"),
    }],
    ..PLAIN
};

static METRICS_SERVER: Module = Module {
    name: "metrics-server",
    path: "sigs.k8s.io/metrics-server",
    programs: &[Program { name: "metrics-server", package: "sigs.k8s.io/metrics-server/cmd/metrics-server" }],
    stamps: &[Stamp { package: "k8s.io/client-go/pkg/version", variable: "gitVersion", value: Stamped::Tag }],
    ..PLAIN
};

/// Upstream's own module is refused by the public proxy. The fork keeps the module's path.
static KUBE_ROUTER: Module = Module {
    name: "kube-router",
    path: "github.com/cloudnativelabs/kube-router/v2",
    fork: Some("github.com/k3s-io/kube-router/v2"),
    programs: &[Program {
        name: "kube-router",
        package: "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router",
    }],
    stamps: &[Stamp {
        package: "github.com/cloudnativelabs/kube-router/v2/pkg/version",
        variable: "Version",
        value: Stamped::Tag,
    }],
    ..PLAIN
};

static PAUSE: Module = Module {
    name: "pause",
    version: ModuleVersion::Own,
    sources: &[Source { path: "main.go", text: include_str!("programs/pause/main.go") }],
    programs: &[Program { name: "pause", package: "." }],
    stamps: &[Stamp { package: "main", variable: "version", value: Stamped::Version }],
    ..PLAIN
};

/// cri-tools is refused by the public proxy in every version. Its interface to the runtime is not.
static CRICTL: Module = Module {
    name: "crictl",
    path: "k8s.io/cri-api",
    version: ModuleVersion::Staging,
    sources: &[
        Source { path: "main.go", text: include_str!("programs/crictl/main.go") },
        Source { path: "arguments.go", text: include_str!("programs/crictl/arguments.go") },
        Source { path: "commands.go", text: include_str!("programs/crictl/commands.go") },
    ],
    programs: &[Program { name: "crictl", package: "." }],
    stamps: &[Stamp { package: "main", variable: "version", value: Stamped::Tag }],
    ..PLAIN
};

const fn program(name: &'static str, module: &'static Module) -> Part {
    Part { name, kind: Kind::File, product: Product::Program { module, program: name } }
}

const fn archive(name: &'static str, module: &'static Module, members: &'static [Member]) -> Part {
    Part { name, kind: Kind::File, product: Product::Archive { module, members } }
}

const fn image(name: &'static str, image: Image) -> Part {
    Part { name, kind: Kind::Image, product: Product::Image(image) }
}

const fn not_to_be_had(name: &'static str, kind: Kind, reason: &'static str, instead: &'static str) -> Part {
    Part { name, kind, product: Product::None { reason, instead } }
}

const NO_MODULE: &str = "its upstream publishes no Go module that it can be compiled from";
const C_PROGRAM: &str = "it is not written in Go";
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
    archive("crictl", &CRICTL, &[Member { path: "crictl", program: "crictl" }]),
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
    Part {
        name: "runc",
        kind: Kind::File,
        // It needs a C compiler, and libseccomp to filter system calls; the machines have the library.
        product: Product::Debian { package: "runc", path: "usr/sbin/runc" },
    },
    image(
        "kubeadm_kube-apiserver",
        Image {
            module: &KUBERNETES,
            members: &[Member { path: "usr/local/bin/kube-apiserver", program: "kube-apiserver" }],
            entrypoint: &["/usr/local/bin/kube-apiserver"],
            user: None,
            userland: false,
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
            user: None,
            userland: false,
        },
    ),
    image(
        "kubeadm_kube-scheduler",
        Image {
            module: &KUBERNETES,
            members: &[Member { path: "usr/local/bin/kube-scheduler", program: "kube-scheduler" }],
            entrypoint: &["/usr/local/bin/kube-scheduler"],
            user: None,
            userland: false,
        },
    ),
    image(
        "kubeadm_kube-proxy",
        Image {
            module: &KUBERNETES,
            members: &[Member { path: "usr/local/bin/kube-proxy", program: "kube-proxy" }],
            entrypoint: &["/usr/local/bin/kube-proxy"],
            user: None,
            userland: true,
        },
    ),
    image(
        "coredns",
        Image {
            module: &COREDNS,
            members: &[Member { path: "coredns", program: "coredns" }],
            entrypoint: &["/coredns"],
            user: None,
            userland: false,
        },
    ),
    image(
        "pod_infra",
        Image {
            module: &PAUSE,
            members: &[Member { path: "pause", program: "pause" }],
            entrypoint: &["/pause"],
            user: Some("65535:65535"),
            userland: false,
        },
    ),
    image(
        "metrics_server",
        Image {
            module: &METRICS_SERVER,
            members: &[Member { path: "metrics-server", program: "metrics-server" }],
            entrypoint: &["/metrics-server"],
            user: Some("65534"),
            userland: false,
        },
    ),
    image(
        "kube_router",
        Image {
            module: &KUBE_ROUTER,
            members: &[Member { path: "usr/local/bin/kube-router", program: "kube-router" }],
            entrypoint: &["/usr/local/bin/kube-router"],
            user: None,
            userland: true,
        },
    ),
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

/// A file of the userland of images, or a folder with all its files.
#[derive(Debug, serde::Serialize)]
pub struct UserlandFile {
    /// Its path in Debian's packages; with a final `/` everything in that folder.
    pub path: &'static str,
    /// Further names of it: links beside it.
    pub links: &'static [&'static str],
}

/// What kube-proxy and kube-router call: the packet filter's tools, and a shell for people. Libraries come by themselves.
pub static DEBIAN_USERLAND: (&[&str], &[UserlandFile]) = (
    // runc is of the same set, so that one run of mmdebstrap serves everything.
    &["busybox-static", "conntrack", "iproute2", "ipset", "iptables", "nftables", "runc"],
    &[
        UserlandFile {
            path: "usr/sbin/xtables-nft-multi",
            links: &[
                "iptables",
                "iptables-save",
                "iptables-restore",
                "iptables-nft",
                "iptables-nft-save",
                "iptables-nft-restore",
                "ip6tables",
                "ip6tables-save",
                "ip6tables-restore",
                "ip6tables-nft",
                "ip6tables-nft-save",
                "ip6tables-nft-restore",
            ],
        },
        UserlandFile { path: "usr/lib/{triplet}/xtables/", links: &[] },
        UserlandFile { path: "usr/sbin/nft", links: &[] },
        UserlandFile { path: "usr/sbin/conntrack", links: &[] },
        UserlandFile { path: "usr/sbin/ipset", links: &[] },
        UserlandFile { path: "usr/bin/ip", links: &[] },
        UserlandFile { path: "usr/share/iproute2/", links: &[] },
        UserlandFile { path: "usr/bin/busybox", links: &["sh", "cat", "ls", "sleep", "env", "grep", "ps"] },
    ],
);
