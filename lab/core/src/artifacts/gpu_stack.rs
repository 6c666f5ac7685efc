//! The NVIDIA GPU Operator's own stack: modules, images and the chart of chart v25.3.4, which is the newest that can be
//! built. Layouts are those of upstream's images, as far as the operator's pods use them.
//!
//! Newer charts need versions of the operator that the public module proxy refuses.

use super::modules::{KUBECTL, PLAIN};
use super::parts::{
    Content, Image, Kind, Member, Module, ModuleVersion, Part, Product, Program, Source, Stamp, Stamped,
};
use super::table::{IMAGE, image, plain, stand_in};
use super::userland::SHELL;

/// Upstream's own flags (its Makefiles). Symbols of the driver's library stay open: it is loaded when a program runs.
const OPEN_SYMBOLS: &[&str] = &["-Wl,--export-dynamic", "-Wl,--unresolved-symbols=ignore-in-object-files"];
const LAZY_SYMBOLS: &[&str] =
    &["-Wl,--export-dynamic", "-Wl,--unresolved-symbols=ignore-in-object-files", "-Wl,-z,lazy"];

/// The operator, its validator and its chart. The proxy has no tags of it; this commit is v25.3.4.
static GPU_OPERATOR_MODULE: Module = Module {
    name: "gpu-operator",
    path: "github.com/NVIDIA/gpu-operator",
    version: ModuleVersion::Listed(&[("25.3.4", "0.0.0-20250917190837-d73a0086a6ba")]),
    programs: &[
        Program { name: "gpu-operator", package: "github.com/NVIDIA/gpu-operator/cmd/gpu-operator" },
        Program { name: "validator", package: "github.com/NVIDIA/gpu-operator/validator" },
    ],
    stamps: &[
        Stamp {
            package: "github.com/NVIDIA/gpu-operator/internal/info",
            variable: "version",
            value: Stamped::Tag,
        },
        Stamp {
            package: "github.com/NVIDIA/gpu-operator/internal/info",
            variable: "gitCommit",
            value: Stamped::Text("own-build"),
        },
    ],
    ..PLAIN
};

/// The device plugin and GPU Feature Discovery.
static DEVICE_PLUGIN_MODULE: Module = Module {
    name: "k8s-device-plugin",
    path: "github.com/NVIDIA/k8s-device-plugin",
    // The proxy refuses the version that it requires, and has no newer one of that release.
    replaces: &[("sigs.k8s.io/node-feature-discovery v0.15.7", "sigs.k8s.io/node-feature-discovery v0.15.4")],
    programs: &[
        Program {
            name: "nvidia-device-plugin",
            package: "github.com/NVIDIA/k8s-device-plugin/cmd/nvidia-device-plugin",
        },
        Program {
            name: "gpu-feature-discovery",
            package: "github.com/NVIDIA/k8s-device-plugin/cmd/gpu-feature-discovery",
        },
        Program { name: "config-manager", package: "github.com/NVIDIA/k8s-device-plugin/cmd/config-manager" },
        Program {
            name: "mps-control-daemon",
            package: "github.com/NVIDIA/k8s-device-plugin/cmd/mps-control-daemon",
        },
    ],
    stamps: &[
        Stamp {
            package: "github.com/NVIDIA/k8s-device-plugin/internal/info",
            variable: "version",
            value: Stamped::Tag,
        },
        Stamp {
            package: "github.com/NVIDIA/k8s-device-plugin/internal/info",
            variable: "gitCommit",
            value: Stamped::Text("own-build"),
        },
    ],
    c_linker: OPEN_SYMBOLS,
    ..PLAIN
};

/// The container toolkit: runtimes, hooks and what installs them on a machine.
static TOOLKIT_MODULE: Module = Module {
    name: "nvidia-container-toolkit",
    path: "github.com/NVIDIA/nvidia-container-toolkit",
    version: ModuleVersion::Listed(&[("1.17.8-ubuntu20.04", "1.17.8")]),
    programs: &[
        Program { name: "nvidia-ctk", package: "github.com/NVIDIA/nvidia-container-toolkit/cmd/nvidia-ctk" },
        Program {
            name: "nvidia-cdi-hook",
            package: "github.com/NVIDIA/nvidia-container-toolkit/cmd/nvidia-cdi-hook",
        },
        Program {
            name: "nvidia-container-runtime",
            package: "github.com/NVIDIA/nvidia-container-toolkit/cmd/nvidia-container-runtime",
        },
        Program {
            name: "nvidia-container-runtime.cdi",
            package: "github.com/NVIDIA/nvidia-container-toolkit/cmd/nvidia-container-runtime.cdi",
        },
        Program {
            name: "nvidia-container-runtime.legacy",
            package: "github.com/NVIDIA/nvidia-container-toolkit/cmd/nvidia-container-runtime.legacy",
        },
        Program {
            name: "nvidia-container-runtime-hook",
            package: "github.com/NVIDIA/nvidia-container-toolkit/cmd/nvidia-container-runtime-hook",
        },
        Program {
            name: "nvidia-toolkit",
            package: "github.com/NVIDIA/nvidia-container-toolkit/tools/container/nvidia-toolkit",
        },
    ],
    stamps: &[
        Stamp {
            package: "github.com/NVIDIA/nvidia-container-toolkit/internal/info",
            variable: "version",
            value: Stamped::Module,
        },
        Stamp {
            package: "github.com/NVIDIA/nvidia-container-toolkit/internal/info",
            variable: "gitCommit",
            value: Stamped::Text("own-build"),
        },
        // The installer has a variable of its own.
        Stamp { package: "main", variable: "Version", value: Stamped::Module },
    ],
    c_linker: LAZY_SYMBOLS,
    ..PLAIN
};

/// Node Feature Discovery; its API is a module of its own.
static NFD_MODULE: Module = Module {
    name: "node-feature-discovery",
    path: "sigs.k8s.io/node-feature-discovery",
    siblings: &["sigs.k8s.io/node-feature-discovery/api/nfd"],
    programs: &[
        Program { name: "nfd-master", package: "sigs.k8s.io/node-feature-discovery/cmd/nfd-master" },
        Program { name: "nfd-worker", package: "sigs.k8s.io/node-feature-discovery/cmd/nfd-worker" },
        Program { name: "nfd-gc", package: "sigs.k8s.io/node-feature-discovery/cmd/nfd-gc" },
    ],
    stamps: &[
        Stamp {
            package: "sigs.k8s.io/node-feature-discovery/pkg/version",
            variable: "version",
            value: Stamped::Tag,
        },
        // The chart mounts the machine's folders there.
        Stamp {
            package: "sigs.k8s.io/node-feature-discovery/pkg/utils/hostpath",
            variable: "pathPrefix",
            value: Stamped::Text("/host-"),
        },
    ],
    ..PLAIN
};

/// Our own exporter of metrics. It asks the kubelet which pod has which GPU, by the API of the cluster's Kubernetes.
static EXPORTER_MODULE: Module = Module {
    name: "dcgm-exporter-stand-in",
    path: "k8s.io/kubelet",
    requires: &["github.com/NVIDIA/go-nvml v0.12.9-0"],
    version: ModuleVersion::Staging,
    sources: &[
        Source { path: "main.go", text: include_str!("programs/dcgm-exporter-stand-in/main.go") },
        Source { path: "gpus.go", text: include_str!("programs/dcgm-exporter-stand-in/gpus.go") },
        Source { path: "pods.go", text: include_str!("programs/dcgm-exporter-stand-in/pods.go") },
        Source { path: "text.go", text: include_str!("programs/dcgm-exporter-stand-in/text.go") },
    ],
    programs: &[Program { name: "dcgm-exporter", package: "." }],
    stamps: &[Stamp { package: "main", variable: "version", value: Stamped::Version }],
    c_linker: OPEN_SYMBOLS,
    ..PLAIN
};

/// The chart, with its definitions of resources and the chart of Node Feature Discovery inside.
pub const GPU_OPERATOR_CHART: Part = plain(
    "gpu_operator_chart",
    Kind::File,
    Product::Chart { module: &GPU_OPERATOR_MODULE, folder: "deployments/gpu-operator", name: "gpu-operator" },
);

/// What hooks of the chart call.
const HOOKS: &[(&Module, &[Member])] =
    &[(&KUBECTL, &[Member { path: "usr/local/bin/kubectl", program: "kubectl" }])];

/// The operator. It reads what it deploys from `/opt/gpu-operator`; hooks of the chart run a shell in it.
pub const GPU_OPERATOR: Part = image(
    "gpu_operator",
    Image {
        module: &GPU_OPERATOR_MODULE,
        members: &[Member { path: "usr/bin/gpu-operator", program: "gpu-operator" }],
        entrypoint: &["/usr/bin/gpu-operator"],
        user: Some("1000:1000"),
        userland: Some(&SHELL),
        others: HOOKS,
        contents: &[
            Content::Module { from: "assets/", to: "opt/gpu-operator/" },
            Content::Module { from: "manifests/", to: "opt/gpu-operator/manifests/" },
            Content::Module {
                from: "deployments/gpu-operator/crds/nvidia.com_clusterpolicies.yaml",
                to: "opt/gpu-operator/nvidia.com_clusterpolicies.yaml",
            },
            Content::Module {
                from: "deployments/gpu-operator/crds/nvidia.com_nvidiadrivers.yaml",
                to: "opt/gpu-operator/nvidia.com_nvidiadrivers.yaml",
            },
            Content::Module {
                from: "deployments/gpu-operator/charts/node-feature-discovery/crds/nfd-api-crds.yaml",
                to: "opt/gpu-operator/nfd-api-crds.yaml",
            },
        ],
        environment: &["NVIDIA_VISIBLE_DEVICES=void"],
    },
);

/// The validator, whose image the init containers of all pods of the operator use too.
pub const GPU_OPERATOR_VALIDATOR: Part = image(
    "gpu_operator_validator",
    Image {
        module: &GPU_OPERATOR_MODULE,
        members: &[Member { path: "usr/bin/nvidia-validator", program: "validator" }],
        entrypoint: &["/usr/bin/nvidia-validator"],
        userland: Some(&SHELL),
        contents: &[
            Content::Module {
                from: "validator/cuda-workload-validation.yaml",
                to: "var/nvidia/manifests/cuda-workload-validation.yaml",
            },
            // Upstream's pod runs a program of CUDA, which is not in any Go module.
            Content::Own {
                path: "var/nvidia/manifests/plugin-workload-validation.yaml",
                mode: 0o644,
                text: include_str!("programs/gpu-operator-validator/plugin-workload-validation.yaml"),
            },
        ],
        environment: &[
            "NVIDIA_DISABLE_REQUIRE=true",
            "NVIDIA_VISIBLE_DEVICES=void",
            "NVIDIA_DRIVER_CAPABILITIES=utility,compute",
        ],
        ..IMAGE
    },
);

/// The toolkit. Its installer takes programs and libraries from fixed places, the legacy mode's too.
pub const GPU_CONTAINER_TOOLKIT: Part = image(
    "gpu_container_toolkit",
    Image {
        module: &TOOLKIT_MODULE,
        members: &[
            Member { path: "usr/bin/nvidia-toolkit", program: "nvidia-toolkit" },
            Member { path: "usr/bin/nvidia-ctk", program: "nvidia-ctk" },
            Member { path: "usr/bin/nvidia-cdi-hook", program: "nvidia-cdi-hook" },
            Member { path: "usr/bin/nvidia-container-runtime", program: "nvidia-container-runtime" },
            Member { path: "usr/bin/nvidia-container-runtime.cdi", program: "nvidia-container-runtime.cdi" },
            Member {
                path: "usr/bin/nvidia-container-runtime.legacy",
                program: "nvidia-container-runtime.legacy",
            },
            Member {
                path: "usr/bin/nvidia-container-runtime-hook",
                program: "nvidia-container-runtime-hook",
            },
        ],
        entrypoint: &["/usr/bin/nvidia-toolkit"],
        userland: Some(&SHELL),
        contents: &[
            Content::Own {
                path: "usr/bin/nvidia-container-cli",
                mode: 0o755,
                text: include_str!("programs/gpu-container-toolkit/nvidia-container-cli"),
            },
            // The folder that the installer looks in first, on every architecture.
            Content::Own {
                path: "usr/lib64/libnvidia-container.so.1",
                mode: 0o644,
                text: include_str!("programs/gpu-container-toolkit/library.txt"),
            },
            Content::Own {
                path: "usr/lib64/libnvidia-container-go.so.1",
                mode: 0o644,
                text: include_str!("programs/gpu-container-toolkit/library.txt"),
            },
        ],
        environment: &[
            "NVIDIA_DISABLE_REQUIRE=true",
            "NVIDIA_VISIBLE_DEVICES=void",
            "NVIDIA_DRIVER_CAPABILITIES=utility",
        ],
        ..IMAGE
    },
);

/// The device plugin, with GPU Feature Discovery and what switches its configuration. Its script needs a shell.
pub const GPU_DEVICE_PLUGIN: Part = image(
    "gpu_device_plugin",
    Image {
        module: &DEVICE_PLUGIN_MODULE,
        members: &[
            Member { path: "usr/bin/nvidia-device-plugin", program: "nvidia-device-plugin" },
            Member { path: "usr/bin/gpu-feature-discovery", program: "gpu-feature-discovery" },
            Member { path: "usr/bin/config-manager", program: "config-manager" },
            Member { path: "usr/bin/mps-control-daemon", program: "mps-control-daemon" },
        ],
        entrypoint: &["/usr/bin/nvidia-device-plugin"],
        userland: Some(&SHELL),
        environment: &[
            "NVIDIA_DISABLE_REQUIRE=true",
            "NVIDIA_VISIBLE_DEVICES=all",
            "NVIDIA_DRIVER_CAPABILITIES=compute,utility",
        ],
        ..IMAGE
    },
);

/// Node Feature Discovery. Its chart names the program of each pod.
pub const NODE_FEATURE_DISCOVERY: Part = image(
    "node_feature_discovery",
    Image {
        module: &NFD_MODULE,
        members: &[
            Member { path: "usr/bin/nfd-master", program: "nfd-master" },
            Member { path: "usr/bin/nfd-worker", program: "nfd-worker" },
            Member { path: "usr/bin/nfd-gc", program: "nfd-gc" },
        ],
        entrypoint: &["/usr/bin/nfd-master"],
        user: Some("65534:65534"),
        environment: &["GRPC_GO_LOG_SEVERITY_LEVEL=INFO"],
        ..IMAGE
    },
);

/// The exporter of metrics: the operator's pod runs the entrypoint of the image.
pub const GPU_DCGM_EXPORTER: Part = stand_in(
    image(
        "gpu_dcgm_exporter",
        Image {
            module: &EXPORTER_MODULE,
            members: &[Member { path: "usr/bin/dcgm-exporter", program: "dcgm-exporter" }],
            entrypoint: &["/usr/bin/dcgm-exporter"],
            userland: Some(&SHELL),
            environment: &[
                "NVIDIA_DISABLE_REQUIRE=true",
                "NVIDIA_VISIBLE_DEVICES=all",
                "NVIDIA_DRIVER_CAPABILITIES=compute,utility",
            ],
            ..IMAGE
        },
    ),
    &[],
    "the module proxy refuses github.com/NVIDIA/dcgm-exporter, and DCGM itself is no open program",
);
