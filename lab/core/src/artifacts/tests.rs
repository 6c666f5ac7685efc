use std::collections::{BTreeMap, BTreeSet};

use rstest::rstest;

use super::lock::{File, Image as LockImage, Lock, Pinned};
use super::modules::REFUSED_CRI_TOOLS;
use super::*;
use crate::kubespray::index::{Index, known_tags};

#[rstest]
#[case("https://x/etcd/releases/download/v3.5.33/etcd-v3.5.33-linux-amd64.tar.gz", "3.5.33")]
#[case("https://x/plugins/releases/download/v1.8.0/cni-plugins-linux-amd64-v1.8.0.tgz", "1.8.0")]
#[case("https://x/containerd/releases/download/v2.2.1/containerd-2.2.1-linux-amd64.tar.gz", "2.2.1")]
#[case("https://x/runc/releases/download/v1.3.4/runc.amd64", "1.3.4")]
#[case("https://x/runc/releases/download/v1.4.0-rc.2/runc.amd64", "1.4.0-rc.2")]
#[case("https://dl.k8s.io/release/v1.34.3/bin/linux/amd64/kubelet", "1.34.3")]
#[case("https://x/projectcalico/calico/archive/v3.30.6.tar.gz", "3.30.6")]
#[case("http://10.77.0.1/files/helm-v3.18.4-linux-amd64.tar.gz", "3.18.4")]
fn version_of_file_is_in_address(#[case] url: &str, #[case] version: &str) {
    assert_eq!(of_file(url).as_deref(), Some(version));
}

#[rstest]
#[case("registry.k8s.io/pause:3.10.1", Some("3.10.1"))]
#[case("registry.k8s.io/coredns/coredns:v1.12.1", Some("1.12.1"))]
#[case("localhost:5000/coredns:v1.12.1@sha256:00", Some("1.12.1"))]
#[case("localhost:5000/coredns", None)]
#[case("docker.io/library/busybox:latest", None)]
fn version_of_image_is_tag(#[case] reference: &str, #[case] version: Option<&str>) {
    assert_eq!(of_image(reference).as_deref(), version);
}

#[test]
fn libraries_of_kubernetes_have_own_versions() {
    assert_eq!(staging("1.34.3").as_deref(), Some("0.34.3"));
    assert_eq!(staging("2.0.0"), None);
}

#[test]
fn every_program_that_a_part_names_is_one_of_its_module() {
    for part in PARTS {
        for (module, programs) in part.product.programs() {
            assert_eq!(programs.is_empty(), matches!(part.product, Product::Chart { .. }), "{}", part.name);
            for program in programs {
                assert!(module.package(program).is_some(), "{}: {program}", part.name);
            }
        }
        if let Product::Image(image) = &part.product {
            let entrypoint = image.entrypoint[0].trim_start_matches('/');
            assert!(image.members.iter().any(|member| member.path == entrypoint), "{}", part.name);
        }
    }
}

#[test]
fn every_file_that_is_built_has_a_variable_for_its_checksum() {
    for part in PARTS.iter().filter(|part| part.kind == Kind::File) {
        let of_machines = !["gpu_operator_chart", "kwok"].contains(&part.name);
        if of_machines && !matches!(part.product, Product::None { .. }) {
            assert!(checksum_variable(part.name).is_some(), "{}", part.name);
        }
    }
}

#[test]
fn key_changes_with_every_input_of_build() {
    let kubelet = part(Kind::File, "kubelet", "1.34.3").unwrap();
    let kubectl = part(Kind::File, "kubectl", "1.34.3").unwrap();
    let keys = BTreeSet::from([
        key(kubelet, "1.34.3", "1.34.3", "amd64", "go1.26.8"),
        key(kubelet, "1.34.4", "1.34.3", "amd64", "go1.26.8"),
        key(kubelet, "1.34.3", "1.34.3", "arm64", "go1.26.8"),
        key(kubelet, "1.34.3", "1.34.3", "amd64", "go1.26.9"),
        key(kubectl, "1.34.3", "1.34.3", "amd64", "go1.26.8"),
    ]);
    assert_eq!(keys.len(), 5);
    let again = key(kubelet, "1.34.3", "1.34.3", "amd64", "go1.26.8");
    assert!(keys.contains(&again) && again.len() == 16);
    let runc = part(Kind::File, "runc", "1.3.4").unwrap();
    let of_debian = |compiler| key(runc, "1.3.4", "1.34.3", "amd64", compiler);
    assert_eq!(of_debian("go1.26.8"), of_debian("go1.26.9"), "runc is not compiled");
}

fn module_of(kind: Kind, name: &str, version: &str) -> &'static Module {
    part(kind, name, version).unwrap().product.module().unwrap()
}

/// The output of `go mod edit -json` for a module like k8s.io/kubernetes.
const UPSTREAM: &str = r#"{"Go": "1.24.0", "Godebug": [{"Key": "default", "Value": "go1.24"}], "Require": null, "Replace": [
    {"Old": {"Path": "k8s.io/api"}, "New": {"Path": "./staging/src/k8s.io/api"}},
    {"Old": {"Path": "k8s.io/sample-cli-plugin"}, "New": {"Path": "./staging/src/k8s.io/sample-cli-plugin"}},
    {"Old": {"Path": "example.org/a", "Version": "v1.0.0"}, "New": {"Path": "example.org/b", "Version": "v1.0.1"}},
    {"Old": {"Path": "example.org/own"}, "New": {"Path": "../own"}}]}"#;

#[test]
fn go_mod_repeats_directives_ignored_in_dependency() {
    let upstream: Upstream = serde_json::from_str(UPSTREAM).unwrap();
    insta::assert_snapshot!(go_mod(module_of(Kind::File, "kubelet", "1.34.3"), "1.34.3", &upstream));
}

#[test]
fn go_mod_covers_fork_stub_and_own_program() {
    let upstream: Upstream = serde_json::from_str(r#"{"Go": "1.24.3", "Godebug": null}"#).unwrap();
    let of = |kind, name, version| go_mod(module_of(kind, name, version), version, &upstream);
    let all = [
        of(Kind::Image, "kube_router", "2.2.1"),
        of(Kind::File, "nerdctl", "2.2.1"),
        of(Kind::File, "etcd", "3.5.33"),
        of(Kind::File, "crictl", "1.34.0"),
        of(Kind::Image, "gpu_device_plugin", "0.17.4"),
        go_mod(module_of(Kind::Image, "gpu_dcgm_exporter", "4.3.1"), "0.34.3", &upstream),
        go_mod(module_of(Kind::File, "crictl", "1.35.0"), "0.35.4", &upstream),
        go_mod(module_of(Kind::Image, "pod_infra", "3.10.1"), "3.10.1", &Upstream::default()),
    ];
    insta::assert_snapshot!(all.join("\n----\n\n"));
}

fn file(name: &str, url: &str) -> File {
    File {
        name: name.into(),
        url: url.into(),
        sha256: Some("0".repeat(64)),
        dest: String::new(),
        groups: vec![],
        machines: None,
    }
}

fn image(name: &str, image: &str) -> LockImage {
    LockImage { name: name.into(), image: image.into(), digest: None, groups: vec![], machines: None }
}

#[test]
fn each_entry_of_a_lock_is_built_or_says_why_not() {
    let lock = Lock {
        kubespray: Pinned { version: "v2.30.0".into(), commit: "f4ccdb5".into() },
        inputs: String::new(),
        kubernetes: "1.34.3".into(),
        architecture: "amd64".into(),
        files: vec![
            file("calicoctl", "https://x/calico/releases/download/v3.30.6/calicoctl-linux-amd64"),
            file("cni", "https://x/download/v1.8.0/cni-plugins-linux-amd64-v1.8.0.tgz"),
            file("crictl", "https://x/download/v1.34.0/crictl-v1.34.0-linux-amd64.tar.gz"),
            file("crictl", "https://x/download/v1.35.0/crictl-v1.35.0-linux-amd64.tar.gz"),
            file("kubelet", "https://dl.k8s.io/release/latest/kubelet"),
            file("gpu_operator_chart", "https://x/charts/gpu-operator-v25.3.4.tgz"),
            file("gpu_operator_chart", "https://x/charts/gpu-operator-v25.10.1.tgz"),
            file("runc", "https://x/download/v1.3.4/runc.amd64"),
            file("youki", "https://x/v0.5.7/youki-0.5.7-x86_64-gnu.tar.gz"),
        ],
        images: vec![
            image("gpu_container_toolkit", "nvcr.io/nvidia/k8s/container-toolkit:v1.17.8-ubuntu20.04"),
            image("gpu_operator", "nvcr.io/nvidia/gpu-operator:v25.3.4"),
            image("kubeadm_kube-proxy", "registry.k8s.io/kube-proxy:v1.34.3"),
            image("nodelocaldns", "registry.k8s.io/dns/k8s-dns-node-cache:1.25.0"),
            image("pod_infra", "registry.k8s.io/pause:3.10.1"),
        ],
    };
    let lines = plan(&lock).into_iter().map(|entry| {
        let how = match entry.how {
            How::Build { part, module_version } => {
                let stand_in = part.stand_in.map(|reason| format!(", a stand-in: {reason}"));
                format!("{} at {module_version}{}", part.name, stand_in.unwrap_or_default())
            }
            How::Not { reason, instead } => format!("no: {reason}; instead: {instead}"),
        };
        format!("{:?} {} {}: {how}", entry.kind, entry.name, entry.version)
    });
    insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"));
}

/// Every version of crictl that a known release of Kubespray can ask for.
fn known_crictl_versions() -> BTreeSet<String> {
    let indexes = known_tags().map(|tag| Index::known(tag).unwrap());
    indexes.flat_map(|index| index.components["crictl"].versions["amd64"].clone()).collect()
}

#[test]
fn crictl_is_upstreams_in_every_version_that_is_not_refused() {
    let recipes = known_crictl_versions().into_iter().chain(["1.36.0".to_owned()]).map(|version| {
        let part = part(Kind::File, "crictl", &version).unwrap();
        let program = if part.stand_in.is_some() { "stand-in" } else { "upstream" };
        format!("{version} {program} from {}", part.product.module().unwrap().path)
    });
    insta::assert_snapshot!(recipes.collect::<Vec<_>>().join("\n"), @r"
    1.31.0 stand-in from k8s.io/cri-api
    1.31.1 stand-in from k8s.io/cri-api
    1.32.0 stand-in from k8s.io/cri-api
    1.33.0 stand-in from k8s.io/cri-api
    1.34.0 upstream from sigs.k8s.io/cri-tools
    1.35.0 stand-in from k8s.io/cri-api
    1.36.0 upstream from sigs.k8s.io/cri-tools
    ");
}

#[test]
fn each_refused_version_of_cri_tools_is_asked_for_by_a_known_release() {
    let known = known_crictl_versions();
    let unused: Vec<_> = REFUSED_CRI_TOOLS.iter().filter(|version| !known.contains(**version)).collect();
    assert!(unused.is_empty(), "no known release asks for {unused:?}");
}

#[test]
fn own_program_is_called_stand_in() {
    for part in PARTS {
        let own = part.product.module().is_some_and(|module| !module.sources.is_empty());
        assert_eq!(part.stand_in.is_some(), own, "{}", part.name);
    }
}

#[test]
fn stand_in_and_upstream_of_same_version_have_different_keys() {
    let key = |of| key(part(Kind::File, "crictl", of).unwrap(), "1.34.0", "1.34.3", "amd64", "go1.26.8");
    assert_ne!(key("1.34.0"), key("1.35.0"));
}

#[test]
fn stamps_are_what_the_linker_wants() {
    let module = module_of(Kind::File, "kubelet", "1.34.3");
    let arguments: BTreeMap<_, _> = module
        .stamps
        .iter()
        .filter(|stamp| stamp.package == "k8s.io/component-base/version")
        .map(|stamp| (stamp.variable, stamp.argument("1.34.3", "1.34.3")))
        .collect();
    assert_eq!(arguments["gitVersion"], "k8s.io/component-base/version.gitVersion=v1.34.3");
    assert_eq!(arguments["gitMinor"], "k8s.io/component-base/version.gitMinor=34");
}

#[test]
fn image_of_operator_has_kubectl_of_the_cluster() {
    let part = part(Kind::Image, "gpu_operator", "25.3.4").unwrap();
    let programs: Vec<_> =
        part.product.programs().into_iter().map(|(module, names)| (module.name, names)).collect();
    assert_eq!(programs, [("gpu-operator", vec!["gpu-operator"]), ("kubectl", vec!["kubectl"])]);
    let kubectl = part.product.programs()[1].0;
    assert_eq!(module_version(kubectl, "25.3.4", "1.34.3").as_deref(), Ok("1.34.3"));
}

/// All parts together take many minutes: a new field in the table's shapes must not have them all built again.
#[test]
fn keys_stay_the_same_when_shapes_grow() {
    let key = |name, kind| key(part(kind, name, "1").unwrap(), "1", "1.34.3", "amd64", "go1.26.8");
    let keys = [
        key("kubelet", Kind::File),
        key("etcd", Kind::File),
        key("runc", Kind::File),
        key("pod_infra", Kind::Image),
        key("kube_router", Kind::Image),
        key("coredns", Kind::Image),
    ];
    insta::assert_snapshot!(keys.join(" "), @"ae817c878f864118 67436dcff138c2e4 93f70ebfc90e9633 61509865cae022c7 7b8b639af934ff3e bf46ff28d01817aa");
}
