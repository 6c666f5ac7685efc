//! The charts as data, and what clusters make of them.

use std::collections::BTreeMap;

use rstest::rstest;
use serde_json::{Value, json};

use super::build::{build, wants, write};
use super::values::{render, values};
use super::*;
use crate::fixtures;
use crate::spec::{
    ClusterSpec, GpuDriver, GpuMonitoring, GpuOperatorSpec, GpuRequest, GpuRuntime, MigStrategy, Role, Taint,
};

fn operator(version: &str) -> GpuOperatorSpec {
    GpuOperatorSpec {
        version: version.to_owned(),
        namespace: "gpu-operator".to_owned(),
        chart: None,
        driver: GpuDriver::Host,
        runtime: GpuRuntime::Toolkit,
        sharing: BTreeMap::new(),
        mig: MigStrategy::None,
        monitoring: GpuMonitoring { exporter: true, service_monitor: false },
        values: serde_json::Map::new(),
    }
}

/// The original plan's machines, with its GPUs.
fn plan(version: &str) -> ClusterSpec {
    let mut spec = fixtures::spec();
    spec.machines[2].gpus = vec![GpuRequest::Model("RTX A6000".to_owned())];
    spec.machines[3].gpus = vec![GpuRequest::Model("Tesla T4".to_owned()); 2];
    let sharing = BTreeMap::from([("gpu-worker-2".to_owned(), 4)]);
    spec.gpu_operator = Some(GpuOperatorSpec { sharing, ..operator(version) });
    spec
}

fn taint(key: &str, effect: &str) -> Taint {
    Taint { key: key.to_owned(), value: "x".to_owned(), effect: effect.to_owned() }
}

fn known(version: &str) -> &'static Chart {
    chart(version).unwrap()
}

/// Everything that is decided for a cluster, as one text.
fn together(spec: &ClusterSpec) -> String {
    let chart = known(&spec.gpu_operator.as_ref().unwrap().version);
    let mut text = render(spec, chart);
    text += "==> images\n";
    for image in images(spec, chart) {
        text += &format!("{}: {}\n", image.name, image.reference);
    }
    text += "==> labels\n";
    for (machine, labels) in node_labels(spec) {
        text += &format!("{machine}: {labels:?}\n");
    }
    let planned = planned(spec, chart);
    text += "==> nodes\n";
    for node in planned.nodes {
        text += &format!("{node:?}\n");
    }
    text += "==> DaemonSets\n";
    for set in planned.daemon_sets {
        text += &format!("{}: {:?}\n", set.name, set.nodes);
    }
    text + "==> chart\n" + &chart_url(spec) + "\n"
}

#[test]
fn every_known_chart_is_read() {
    for version in VERSIONS {
        let chart = known(version);
        assert_eq!(chart.data.version, version);
        assert_eq!(write(&chart.data), include_text(version), "written as it was made");
        assert!(chart.has("driver.enabled") && chart.has("validator.cuda.env"), "{version}");
        let tested = chart.default("driver.version").and_then(Value::as_str).unwrap();
        assert!(tested.starts_with(&format!("{}.", chart.facts.tested_driver)), "{version}: {tested}");
        assert_eq!(
            chart.has("cdi.nriPluginEnabled"),
            chart.facts.least_containerd_nri.is_some(),
            "{version}"
        );
    }
    assert!(VERSIONS.contains(&DEFAULT_VERSION));
    assert_eq!(chart("v1.2.3"), None);
}

/// The table of versions in the document.
fn versions() -> String {
    let mut table = "| chart | tested driver | oldest driver | containerd | toolkit | device plugin | Node Feature Discovery | `runtime` | NVIDIA |\n|---|---|---|---|---|---|---|---|---|\n".to_owned();
    for version in VERSIONS {
        let Chart { data, facts } = known(version);
        let part = |key: &str| known(version).default(key).and_then(Value::as_str).unwrap();
        let (containerd, runtime) = match facts.least_containerd_nri {
            Some(nri) => (format!("{}, for `nri` {nri}", facts.least_containerd), "`nri`, `toolkit`"),
            None => (facts.least_containerd.to_owned(), "`toolkit`"),
        };
        let support = match facts.support {
            Support::Supported => "supported",
            Support::Deprecated => "only faults are mended",
            Support::Ended => "ended",
        };
        table += &format!(
            "| {version} | {} | {} | {containerd} | {} | {} | {} | {runtime} | {support} |\n",
            facts.tested_driver,
            facts.least_driver,
            part("toolkit.version"),
            part("devicePlugin.version"),
            data.node_feature_discovery,
        );
    }
    table
}

#[test]
fn document_lists_the_known_charts() {
    const START: &str = "<!-- charts -->\n";
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/gpu-operator.md");
    let committed = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = committed.split_once(START).expect("the mark of the table");
    let (_, after) = rest.split_once("<!-- end -->").expect("the end of the table");
    let made = format!("{before}{START}{}<!-- end -->{after}", versions());
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        std::fs::write(&path, &made).unwrap();
    } else {
        assert!(
            made == committed,
            "write it again: INSTA_UPDATE=always cargo test -p lab-core document_lists"
        );
    }
}

fn include_text(version: &str) -> String {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/gpu_operator/charts");
    std::fs::read_to_string(folder.join(format!("{version}.json"))).unwrap()
}

#[rstest]
fn plan_is_rendered_for_each_chart(
    #[values("v24.9.2", "v25.3.4", "v25.10.1", "v26.3.3", "v26.7.0")] version: &str,
) {
    insta::assert_snapshot!(version, together(&plan(version)));
}

#[test]
fn everything_is_rendered_as_it_is_asked_for() {
    let mut spec = plan("v26.7.0");
    spec.machines[0].roles = [Role::ControlPlane, Role::Etcd].into();
    spec.machines[1].taints = vec![taint("dedicated", "NoExecute")];
    spec.machines[2].taints.push(taint("dedicated", "NoExecute"));
    spec.machines[2].gpus = vec![GpuRequest::Model("NVIDIA A100".to_owned())];
    spec.machines[3].taints = vec![taint("slow", "PreferNoSchedule"), taint("owner", "NoSchedule")];
    spec.machines[3].labels.insert("nvidia.com/gpu.deploy.dcgm-exporter".to_owned(), "false".to_owned());
    let values = json!({
        "operator": { "logging": { "level": "debug" }, "annotations": {} },
        "toolkit": { "repository": "registry.lab/nvidia", "version": "sha256:abc", "env": [{ "name": "A", "value": "b" }] },
        "dcgm": { "enabled": true },
        "driver": { "enabled": true },
        "node-feature-discovery": { "image": { "tag": "v0.19.1" } },
    });
    let Value::Object(values) = values else { unreachable!("a mapping") };
    spec.gpu_operator = Some(GpuOperatorSpec {
        runtime: GpuRuntime::Nri,
        mig: MigStrategy::Mixed,
        monitoring: GpuMonitoring { exporter: true, service_monitor: true },
        chart: Some(crate::spec::ChartFile {
            url: "https://charts.lab/a.tgz".to_owned(),
            sha256: "ab".repeat(32),
        }),
        values,
        ..operator("v26.7.0")
    });
    insta::assert_snapshot!(together(&spec));
}

#[rstest]
fn values_are_those_that_are_rendered(
    #[values("v24.9.2", "v25.3.4", "v25.10.1", "v26.3.3", "v26.7.0")] version: &str,
) {
    let spec = plan(version);
    let chart = known(version);
    let read: Value = serde_saphyr::from_str(&render(&spec, chart)).unwrap();
    assert_eq!(read, values(&spec, chart));
    each_leaf(&read, &mut Vec::new(), &mut |path| {
        let known = chart.find(path).unwrap_or_else(|| panic!("the chart {version} has no key {path:?}"));
        assert_ne!(known.kind, Kind::Map, "{path:?}");
    });
}

fn each_leaf<'v>(value: &'v Value, path: &mut Vec<&'v str>, judge: &mut impl FnMut(&[&str])) {
    let Value::Object(map) = value else { return judge(path) };
    for (key, value) in map {
        path.push(key);
        each_leaf(value, path, judge);
        path.pop();
    }
}

/// The device plugin reads its own language from the ConfigMap.
#[test]
fn time_slices_are_a_configuration_of_the_device_plugin() {
    let values = values(&plan("v25.3.4"), known("v25.3.4"));
    let text = values["devicePlugin"]["config"]["data"]["shared-4"].as_str().unwrap();
    let config: Value = serde_saphyr::from_str(text).unwrap();
    let resources = json!([{ "name": "nvidia.com/gpu", "replicas": 4 }]);
    assert_eq!(
        config,
        json!({ "version": "v1", "sharing": { "timeSlicing": { "failRequestsGreaterThanOne": true, "resources": resources } } })
    );
}

#[rstest]
#[case::no_key("serviceMonitor", None)]
#[case::a_key("driver.enabled", Some(Kind::Boolean))]
#[case::only_read_by_a_template("validator.driver.env", Some(Kind::List))]
#[case::below_a_free_one("devicePlugin.config.data.any.thing", Some(Kind::Free))]
#[case::below_a_text("driver.version.major", None)]
#[case::of_the_crd("driver.startupProbe.successThreshold", Some(Kind::Number))]
#[case::of_the_inner_chart("node-feature-discovery.worker.tolerations", Some(Kind::List))]
fn keys_are_found_by_their_paths(#[case] path: &str, #[case] kind: Option<Kind>) {
    let steps: Vec<&str> = path.split('.').collect();
    assert_eq!(known("v25.3.4").find(&steps).map(|key| key.kind), kind);
}

/// A chart in a few lines, with everything that the data is made of.
#[test]
fn charts_hold_what_checkouts_say() {
    let chart = "deployments/gpu-operator/";
    let files = [
        ("Chart.yaml", "kubeVersion: '>= 1.16.0-0'\n"),
        (
            "values.yaml",
            "a: {on: true, list: [], free: {}, words: {x: 1}}\nnode-feature-discovery: {tag: own}\n",
        ),
        (
            "templates/one.yaml",
            "{{/* .Values.not.this */}}{{ if .Values.a.read }}{{ toYaml $.Values.a.words }}{{ end }}\n{{- with .Values.a.schema }}{{ . }}{{ end }}",
        ),
        ("charts/node-feature-discovery/Chart.yaml", "appVersion: v0.1.0\n"),
        ("charts/node-feature-discovery/values.yaml", "tag: null\nport: 80\n"),
        ("charts/node-feature-discovery/templates/two.yaml", "{{ .Values.extra }}"),
        (
            "crds/nvidia.com_clusterpolicies.yaml",
            "metadata:\n  name: clusterpolicies.nvidia.com\nspec: {versions: [{schema: {openAPIV3Schema: {properties: {spec: {properties: {a: {properties: {schema: {type: object, properties: {deep: {type: string}}}}}}}}}}}]}\n",
        ),
    ];
    let mut files: BTreeMap<String, String> =
        files.into_iter().map(|(path, text)| (format!("{chart}{path}"), text.to_owned())).collect();
    files.insert(
        "assets/state-a/0500_daemonset.yaml".to_owned(),
        "metadata: {name: nvidia-a}\nspec: {template: {spec: {nodeSelector: {deploy: 'true'}}}}\n".to_owned(),
    );
    assert!(files.keys().all(|path| wants(path)));
    assert!(!wants("deployments/gpu-operator/README.md"));
    insta::assert_snapshot!(write(&build(&files, "v1.0.0", "abc").unwrap()));
    files.remove("deployments/gpu-operator/values.yaml");
    assert_eq!(
        build(&files, "v1.0.0", "abc").unwrap_err().to_string(),
        "the checkout has no file deployments/gpu-operator/values.yaml"
    );
}
