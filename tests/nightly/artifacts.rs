//! All artefacts of `quick`, and the GPU Operator's stack, cold, from the modules and packages that a lock names.

use std::fs;
use std::time::Duration;

use lab_tests::checkout::real_root;
use lab_tests::kubespray::reaching;
use lab_tests::own_builds::{build, lock, passed_on, states, unpack_file, unpack_image};
use lab_tests::{Checkout, run, wait};

/// On two slow and busy processors.
const PATIENCE: Duration = Duration::from_secs(3 * 60 * 60);

/// A program in an archive or file of the store: its artefact, its path there, what it is asked, what it answers.
const PROGRAMS: [(&str, &str, &[&str], &str); 10] = [
    ("kubeadm", "kubeadm", &["version", "-o", "short"], "v{kubernetes}"),
    ("kubelet", "kubelet", &["--version"], "Kubernetes v{kubernetes}"),
    ("kubectl", "kubectl", &["version", "--client"], "Client Version: v{kubernetes}"),
    ("etcd", "etcd-v{version}-linux-amd64/etcd", &["--version"], "etcd Version: {version}"),
    ("etcd", "etcd-v{version}-linux-amd64/etcdctl", &["version"], "etcdctl version: {version}"),
    ("containerd", "bin/containerd", &["--version"], " v{version}"),
    ("containerd", "bin/ctr", &["--version"], " v{version}"),
    ("nerdctl", "nerdctl", &["--version"], "nerdctl version {version}"),
    ("crictl", "crictl", &["--version"], "crictl version v{version}"),
    ("cni", "loopback", &["--version"], "CNI loopback plugin v{version}"),
];

/// An image of the store, what its entry point is asked, what it answers.
const IMAGES: [(&str, &str, &str); 9] = [
    ("agnhost", "--version", "app version"),
    ("kubeadm_kube-apiserver", "--version", "Kubernetes v{version}"),
    ("kubeadm_kube-controller-manager", "--version", "Kubernetes v{version}"),
    ("kubeadm_kube-scheduler", "--version", "Kubernetes v{version}"),
    ("kubeadm_kube-proxy", "--version", "Kubernetes v{version}"),
    ("coredns", "-version", "CoreDNS-{version}"),
    ("kube_router", "--version", "version v{version}"),
    ("metrics_server", "--version", "v{version}"),
    ("pod_infra", "-v", "pause {version}"),
];

/// Root in the image, and in a network of its own: ipset asks the kernel before it says its version.
const UNSHARE: [&str; 3] = ["--map-root-user", "--net", "--root"];

#[test]
fn artifacts_of_quick_are_built_and_print_their_version() {
    let checkout = Checkout::with_own_cache();
    checkout.share("kubespray");
    let file = real_root().join("inventories/quick/cluster.yaml");
    checkout.write("quick", &fs::read_to_string(file).expect("`quick` is there"));
    let mut build = passed_on(reaching(checkout.lab(&["artifacts", "build", "quick", "--json"]))).start();
    wait::until("all artefacts of quick", PATIENCE, || build.has_ended().then_some(()));
    let said = build.answer().ok().json();
    for (name, state) in states(&said) {
        assert_eq!(state, "built", "{name}");
    }
    let version = |name: &str| {
        let found = said.as_array().into_iter().flatten().find(|one| one["name"] == name);
        found
            .and_then(|one| one["version"].as_str())
            .unwrap_or_else(|| panic!("`quick` has no {name}"))
            .to_owned()
    };
    let kubernetes = version("kubeadm");
    for (name, path, question, answer) in PROGRAMS {
        let fill =
            |text: &str| text.replace("{version}", &version(name)).replace("{kubernetes}", &kubernetes);
        let program = unpack_file(&checkout, name).join(fill(path));
        let said = run(&program).args(question).answer().ok();
        let text = said.stdout + &said.stderr;
        assert!(text.contains(&fill(answer)), "{path} says {text}");
    }
    for (name, question, answer) in IMAGES {
        let (root, entrypoint) = unpack_image(&checkout, name);
        let answer = answer.replace("{version}", &version(name));
        let unshare = run("unshare").args(UNSHARE).arg(&root);
        let said = unshare.args([&entrypoint, question]).answer().ok();
        let text = said.stdout + &said.stderr;
        assert!(text.contains(&answer), "{name} says {text}");
        if name == "kubeadm_kube-proxy" || name == "kube_router" {
            let tools = "iptables -V && ip6tables-save -V && ipset -v && nft -v && ip -V && conntrack -V";
            let unshare = run("unshare").args(UNSHARE).arg(&root);
            unshare.args(["/bin/sh", "-c", tools]).answer().ok();
        }
    }
}

/// The stack of chart v25.3.4.
const GPU_STACK: [(&str, &str); 6] = [
    ("gpu_operator", "nvcr.io/nvidia/gpu-operator:v25.3.4"),
    ("gpu_operator_validator", "nvcr.io/nvidia/cloud-native/gpu-operator-validator:v25.3.4"),
    ("gpu_container_toolkit", "nvcr.io/nvidia/k8s/container-toolkit:v1.17.8-ubuntu20.04"),
    ("gpu_device_plugin", "nvcr.io/nvidia/k8s-device-plugin:v0.17.4"),
    ("node_feature_discovery", "registry.k8s.io/nfd/node-feature-discovery:v0.17.3"),
    ("gpu_dcgm_exporter", "nvcr.io/nvidia/k8s/dcgm-exporter:4.3.1-4.4.0-ubuntu22.04"),
];

/// Programs of its images, and what they answer. The operator has no question for its version.
const GPU_PROGRAMS: [(&str, &str, &str); 14] = [
    ("gpu_operator", "kubectl version --client", "Client Version: v1.34.3"),
    ("gpu_operator", "gpu-operator --help", "-leader-elect"),
    ("gpu_operator_validator", "nvidia-validator --version", "v25.3.4"),
    ("gpu_operator_validator", "bash -c 'stat -c %F /var/nvidia/manifests'", "directory"),
    ("gpu_container_toolkit", "nvidia-toolkit --version", "1.17.8"),
    ("gpu_container_toolkit", "nvidia-ctk --version", "1.17.8"),
    ("gpu_container_toolkit", "nvidia-cdi-hook --version", "1.17.8"),
    ("gpu_device_plugin", "nvidia-device-plugin --version", "v0.17.4"),
    ("gpu_device_plugin", "gpu-feature-discovery --version", "v0.17.4"),
    ("gpu_device_plugin", "config-manager --help", "--oneshot"),
    ("gpu_dcgm_exporter", "dcgm-exporter --version", "(the lab's own stand-in)"),
    ("node_feature_discovery", "/usr/bin/nfd-master -version", "v0.17.3"),
    ("node_feature_discovery", "/usr/bin/nfd-worker -version", "v0.17.3"),
    ("node_feature_discovery", "/usr/bin/nfd-gc -version", "v0.17.3"),
];

#[test]
fn gpu_stack_is_built_and_its_chart_installs_its_images() {
    let checkout = Checkout::with_own_cache();
    let files = [
        ("gpu_operator_chart", "https://helm.ngc.nvidia.com/nvidia/charts/gpu-operator-v25.3.4.tgz"),
        ("helm", "https://get.helm.sh/helm-v3.18.4-linux-amd64.tar.gz"),
    ];
    let mut build = build(&checkout, &lock(&files, &GPU_STACK)).start();
    wait::until("the GPU Operator's stack", PATIENCE, || build.has_ended().then_some(()));
    for (name, state) in states(&build.answer().ok().json()) {
        assert_eq!(state, "built", "{name}");
    }
    for (name, question, answer) in GPU_PROGRAMS {
        let (root, _) = unpack_image(&checkout, name);
        let unshare = run("unshare").args(UNSHARE).arg(&root);
        // One of the images has no shell.
        let said = match question.split_once(' ') {
            Some((program, argument)) if program.starts_with('/') => unshare.args([program, argument]),
            _ => unshare.args(["/bin/sh", "-c", question]),
        };
        let said = said.answer();
        let text = said.stdout + &said.stderr;
        assert!(text.contains(answer), "{name}: {question} says {text}");
    }
    let helm = unpack_file(&checkout, "helm").join("linux-amd64/helm");
    let chart = unpack_file(&checkout, "gpu_operator_chart").join("gpu-operator");
    let said = run(&helm).args(["template", "--include-crds", "gpu"]).arg(&chart).answer().ok();
    for (name, reference) in GPU_STACK {
        // Validator, toolkit, plugin and exporter stand in the ClusterPolicy, in three words each.
        let tag = reference.rsplit_once(':').map_or("", |(_, tag)| tag);
        assert!(said.stdout.contains(tag), "the chart does not ask for {name} in {tag}");
    }
}
