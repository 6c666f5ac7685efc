//! All artefacts of `quick`, cold, from the modules and packages that its lock names.

use std::fs;
use std::time::Duration;

use lab_tests::checkout::real_root;
use lab_tests::kubespray::reaching;
use lab_tests::own_builds::{passed_on, states, unpack_file, unpack_image};
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
