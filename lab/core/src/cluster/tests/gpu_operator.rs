//! The GPU Operator in a cluster file: what each mistake says, and what the original plan's own values would have
//! done.

use rstest::Context;

use super::messages::{Case, END, edited, rendered};
use super::*;

/// The second machine with a GPU, and the operator with these keys.
macro_rules! with {
    ($keys:literal) => {
        concat!("- name: two\n    gpus: [{model: Tesla T4}]\ngpu_operator: {", $keys, "}\n")
    };
}

/// Values that are wrong by themselves.
pub(super) const SINGLE: &[Case] = &[
    ("a version that is no longer known", END, with!("version: v23.9.1")),
    ("a version that is near to a known one", END, with!("version: v25.3.3")),
    ("a version that nothing is near", END, with!("version: latest")),
    ("words of the operator", END, with!("driver: image, runtime: cdi, mig: all")),
    ("Kubernetes' own namespace", END, with!("namespace: kube-system")),
    ("no namespace", END, with!("namespace: GPU_Operator")),
    (
        "a chart by a bad reference",
        END,
        with!("chart: {url: 'oci://charts.lab/gpu-operator', sha256: 'e3b0c442'}"),
    ),
    ("a chart that cannot be proven", END, with!("chart: {url: 'https://charts.lab/a.tgz'}")),
    ("slices that share nothing", END, with!("sharing: [{machines: [two], replicas: 1}]")),
    ("no number of slices", END, with!("sharing: [{machines: [two]}]")),
    ("values as a text", END, with!("values: 'driver.enabled=false'")),
];

/// Values that are wrong beside others.
pub(super) const TOGETHER: &[Case] = &[
    ("no machine has a GPU", END, "- name: two\ngpu_operator: {}\n"),
    ("a driver from a container", END, with!("driver: container")),
    ("a driver from a container, by the chart's key", END, with!("values: {driver: {enabled: true}}")),
    ("a plugin that the chart does not have", END, with!("version: v25.10.1, runtime: nri")),
    (
        "a plugin for another runtime",
        END,
        with!("version: v26.7.0}\nkubernetes: {container_runtime: {engine: crio}"),
    ),
    (
        "a plugin for a newer containerd",
        END,
        with!("version: v26.7.0}\nkubernetes: {container_runtime: {version: 1.7.24}"),
    ),
    (
        "a plugin that Kubespray switches off",
        END,
        with!("version: v26.7.0}\nkubespray: {variables: {k8s_cluster: {nri_enabled: false}}"),
    ),
    (
        "a default runtime that is not there yet",
        END,
        with!("version: v25.3.4}\nkubespray: {variables: {all: {containerd_default_runtime: nvidia}}"),
    ),
    (
        "a file beside containerd's that is not read",
        END,
        with!(
            "version: v25.10.1}\nkubespray: {variables: {k8s_cluster: {containerd_extra_args: 'oom_score = -999'}}"
        ),
    ),
    ("slices of a machine without a GPU", END, with!("sharing: [{machines: [one], replicas: 4}]")),
    ("slices of a machine that is not there", END, with!("sharing: [{machines: [tow], replicas: 4}]")),
    ("slices of a model that is not there", END, with!("sharing: [{model: Tesla T40, replicas: 4}]")),
    ("slices of nothing", END, with!("sharing: [{replicas: 4}, {machines: [two], model: T4, replicas: 4}]")),
    ("slices twice", END, with!("sharing: [{model: T4, replicas: 4}, {machines: [two], replicas: 2}]")),
    (
        "slices of one of two models",
        END,
        "- name: two\n    gpus: [{model: Tesla T4}, {model: RTX A6000}]\ngpu_operator: {sharing: [{model: T4, replicas: 4}]}\n",
    ),
    ("a GPU that cannot be divided", END, with!("mig: single")),
    (
        "slices of divided GPUs",
        END,
        "- name: two\n    gpus: [{model: A100}]\ngpu_operator: {mig: mixed, sharing: [{machines: [two], replicas: 4}]}\n",
    ),
    ("a ServiceMonitor without its kind", END, with!("monitoring: {service_monitor: true}")),
    (
        "a ServiceMonitor without an exporter",
        END,
        with!("monitoring: {exporter: false, service_monitor: true}"),
    ),
    (
        "keys that the chart does not have",
        END,
        with!(
            "values: {drivers: {enabled: false}, serviceMonitor: {enabled: true}, toolkit: {instalDir: /opt}, cdi: {default_: true, nriPluginEnabled: true}, devicePlugin: {config: {map: a}}, kdcgm: 1}"
        ),
    ),
    (
        "values that change nothing",
        END,
        with!("values: {gfd: {enabled: true}, cdi: {enabled: true, default: true}}"),
    ),
    (
        "values of another kind",
        END,
        with!("values: {driver: true, toolkit: {env: {A: b}, enabled: 'false'}, daemonsets: {labels: [a]}}"),
    ),
    (
        "values against keys of the file",
        END,
        with!(
            "sharing: [{machines: [two], replicas: 2}], values: {mig: {strategy: single}, devicePlugin: {config: {name: mine}}, dcgmExporter: {enabled: false}}"
        ),
    ),
    (
        "versions of single parts",
        END,
        with!(
            "values: {toolkit: {version: 'sha256:abc'}, gfd: {version: v0.8.2}, node-feature-discovery: {image: {tag: v0.18.0}}, devicePlugin: {version: v0.18.1, repository: registry.lab/nvidia}}"
        ),
    ),
    (
        "a configuration that is not among its own",
        END,
        with!(
            "values: {devicePlugin: {config: {name: mine, create: true, default: any, data: {one: 'version: v1', other: 'version: v1'}}}}"
        ),
    ),
];

#[rstest]
#[case::gpu_operator_single(SINGLE)]
#[case::gpu_operator_together(TOGETHER)]
fn mistakes_are_reported(#[context] context: Context, #[case] cases: &[Case]) {
    let name = context.description.unwrap();
    insta::assert_snapshot!(name, rendered(cases.iter().copied().map(edited), None));
}

/// The values of the original plan, as they stand there.
const PLAN: &str = "\
operator:
  defaultRuntime: containerd
  runtimeClass: nvidia

driver:
  enabled: true
  version: \"535.129.03\"
  repository: nvcr.io/nvidia

toolkit:
  enabled: true
  version: v1.14.3

devicePlugin:
  enabled: true
  version: v0.14.3
  config:
    name: time-slicing-config-all
    default: \"any\"

dcgm:
  enabled: true
  version: 3.1.8-3.1.5-ubuntu22.04

dcgmExporter:
  enabled: true
  version: 3.1.8-3.1.5-ubuntu22.04
  serviceMonitor:
    enabled: true  # For Prometheus integration

gfd:
  enabled: true
  version: v0.8.2

migManager:
  enabled: false  # Not using MIG for inference workloads

node-feature-discovery:
  enableNodeFeatureApi: true
";

#[test]
fn values_of_the_original_plan_give_every_finding() {
    let values: String = PLAN.lines().map(|line| format!("    {line}\n")).collect();
    let text = SMALLEST.to_owned()
        + "    gpus: [{model: Tesla T4}]\ngpu_operator:\n  version: v25.3.4\n  namespace: gpu-operator-system\n  values:\n"
        + &values;
    let source = source(&text);
    let checked = check(&source, None);
    assert!(checked.spec.is_none());
    insta::assert_snapshot!(render(&checked.findings, &source, false));
}

#[test]
fn gpu_operator_takes_defaults_of_its_chart() {
    let with = |keys: &str| {
        let text = format!("{SMALLEST}    gpus: [{{model: Tesla T4}}]\ngpu_operator: {{{keys}}}\n");
        spec(&text).gpu_operator.unwrap()
    };
    let (old, new) = (with(""), with("version: v26.7.0"));
    let default = |key: &str| {
        schema().pointer(&format!("/properties/gpu_operator/properties/{key}/default")).unwrap().clone()
    };
    assert_eq!(default("version"), old.version);
    assert_eq!(default("namespace"), old.namespace);
    assert_eq!(default("driver"), old.driver.as_str());
    assert_eq!(default("mig"), old.mig.as_str());
    assert_eq!(default("monitoring/properties/exporter"), old.monitoring.exporter);
    assert_eq!(default("monitoring/properties/service_monitor"), old.monitoring.service_monitor);
    assert_eq!((old.runtime.as_str(), new.runtime.as_str()), ("toolkit", "nri"));
    assert_eq!(spec(SMALLEST).gpu_operator, None);
}

#[rstest]
#[case::a_model("{model: t4, replicas: 4}", &[("two", 4), ("three", 4)])]
#[case::machines("{machines: [three], replicas: 2}", &[("three", 2)])]
#[case::both("{machines: [four], replicas: 3}, {model: Tesla T4, replicas: 8}", &[("two", 8), ("three", 8), ("four", 3)])]
fn sharing_is_resolved_to_machines(#[case] sharing: &str, #[case] expected: &[(&str, u32)]) {
    let text = format!(
        "{SMALLEST}    gpus: [{{model: Tesla T4}}]
  - {{name: three, gpus: [{{model: Tesla T4}}, {{model: NVIDIA Tesla T4}}]}}
  - {{name: four, gpus: [{{address: '0000:65:00.0'}}, {{model: A100}}]}}
gpu_operator: {{sharing: [{sharing}]}}\n"
    );
    let expected = expected.iter().map(|(machine, replicas)| ((*machine).to_owned(), *replicas)).collect();
    assert_eq!(spec(&text).gpu_operator.unwrap().sharing, expected);
}
