//! The Go modules that parts are compiled from: paths, programs, linker flags. Found by compiling each.

use super::parts::{Module, ModuleVersion, Program, Source, Stamp, Stamped, Stub};

/// The commit and the time of a build are in no module; `kubeadm` and others want a state of the tree.
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

/// A module without anything.
pub(super) const PLAIN: Module = Module {
    name: "",
    path: "",
    siblings: &[],
    requires: &[],
    replaces: &[],
    fork: None,
    version: ModuleVersion::Same,
    stubs: &[],
    sources: &[],
    programs: &[],
    stamps: &[],
    c_linker: &[],
};

/// Kubernetes itself.
pub static KUBERNETES: Module = Module {
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

/// The program that Kubernetes' own tests run in pods, and ours do.
pub static AGNHOST: Module = Module {
    name: "agnhost",
    path: "k8s.io/kubernetes",
    version: ModuleVersion::Kubernetes,
    programs: &[Program { name: "agnhost", package: "k8s.io/kubernetes/test/images/agnhost" }],
    ..PLAIN
};

/// The client of the cluster's version, for images of other versions.
pub static KUBECTL: Module = Module {
    name: "kubectl",
    path: "k8s.io/kubernetes",
    version: ModuleVersion::Kubernetes,
    programs: &[Program { name: "kubectl", package: "k8s.io/kubernetes/cmd/kubectl" }],
    stamps: &KUBERNETES_STAMPS,
    ..PLAIN
};

/// The module of the server; the clients are modules of their own.
pub static ETCD: Module = Module {
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

/// containerd, its shim and its client.
pub static CONTAINERD: Module = Module {
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

/// A client of containerd, which Kubespray pulls images with.
pub static NERDCTL: Module = Module {
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

/// The plugins of the container network interface.
pub static CNI: Module = Module {
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

/// Helm.
pub static HELM: Module = Module {
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

/// The simulator of nodes, for control planes without machines.
pub static KWOK: Module = Module {
    name: "kwok",
    path: "sigs.k8s.io/kwok",
    programs: &[Program { name: "kwok", package: "sigs.k8s.io/kwok/cmd/kwok" }],
    stamps: &[Stamp { package: "sigs.k8s.io/kwok/pkg/consts", variable: "Version", value: Stamped::Tag }],
    ..PLAIN
};

/// CoreDNS.
pub static COREDNS: Module = Module {
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

/// The metrics server.
pub static METRICS_SERVER: Module = Module {
    name: "metrics-server",
    path: "sigs.k8s.io/metrics-server",
    programs: &[Program { name: "metrics-server", package: "sigs.k8s.io/metrics-server/cmd/metrics-server" }],
    stamps: &[Stamp { package: "k8s.io/client-go/pkg/version", variable: "gitVersion", value: Stamped::Tag }],
    ..PLAIN
};

/// Upstream's own module is refused by the public proxy. The fork keeps the module's path.
pub static KUBE_ROUTER: Module = Module {
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

/// The program that holds the namespaces of a pod: our own few lines.
pub static PAUSE: Module = Module {
    name: "pause",
    version: ModuleVersion::Own,
    sources: &[Source { path: "main.go", text: include_str!("programs/pause/main.go") }],
    programs: &[Program { name: "pause", package: "." }],
    stamps: &[Stamp { package: "main", variable: "version", value: Stamped::Version }],
    ..PLAIN
};

/// The client of the container runtime interface.
pub static CRI_TOOLS: Module = Module {
    name: "crictl",
    path: "sigs.k8s.io/cri-tools",
    programs: &[Program { name: "crictl", package: "sigs.k8s.io/cri-tools/cmd/crictl" }],
    stamps: &[Stamp {
        package: "sigs.k8s.io/cri-tools/pkg/version",
        variable: "Version",
        value: Stamped::Tag,
    }],
    ..PLAIN
};

/// Versions of [`CRI_TOOLS`] that known releases of Kubespray ask for and that the public module proxy refuses, as
/// `go list -m sigs.k8s.io/cri-tools@v1.35.0` answers.
pub const REFUSED_CRI_TOOLS: &[&str] = &["1.31.0", "1.31.1", "1.32.0", "1.33.0", "1.35.0"];

/// A stand-in for crictl in the versions of [`REFUSED_CRI_TOOLS`]. It has the commands that Kubespray calls, over
/// `k8s.io/cri-api`.
pub static CRICTL_STAND_IN: Module = Module {
    name: "crictl-stand-in",
    path: "k8s.io/cri-api",
    version: ModuleVersion::Staging,
    sources: &[
        Source { path: "main.go", text: include_str!("programs/crictl-stand-in/main.go") },
        Source { path: "arguments.go", text: include_str!("programs/crictl-stand-in/arguments.go") },
        Source { path: "commands.go", text: include_str!("programs/crictl-stand-in/commands.go") },
    ],
    programs: &[Program { name: "crictl", package: "." }],
    stamps: &[Stamp { package: "main", variable: "version", value: Stamped::Tag }],
    ..PLAIN
};
