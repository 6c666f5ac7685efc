//! The GPU Operator against the machines, Kubernetes and Kubespray of its file. Values of the chart are judged in
//! `values`, time slices in `sharing`.

use super::value_or;
use crate::cluster::decode::Optional;
use crate::cluster::raw;
use crate::cluster::scalars::gpu_operator::{ChartVersion, Namespace};
use crate::gpu_operator::{
    Chart, DEFAULT_VERSION, DROP_IN_FOLDER, chart, containerd_imports, gpu_nodes_of, is_divisible,
};
use crate::kubespray::render::plugin::{Variables, container_engine};
use crate::source::suggest::quote;
use crate::source::{Code, Findings, Span};
use crate::spec::{
    ChartFile, ContainerEngine, GpuDriver, GpuMonitoring, GpuOperatorSpec, GpuRuntime, ImageSpec,
    KubernetesSpec, MachineSpec, MigStrategy,
};

mod sharing;
mod values;

/// What the operator is judged against.
pub(super) struct Cluster<'c> {
    pub(super) machines: &'c [MachineSpec],
    /// Whether nothing is wrong with any machine, so that what is missing among them is missing.
    pub(super) complete: bool,
    pub(super) kubernetes: &'c KubernetesSpec,
    pub(super) variables: &'c Variables,
}

impl Cluster<'_> {
    /// The value of a variable of Kubespray that the file sets.
    fn variable(&self, name: &str) -> Option<&serde_json::Value> {
        let groups = ["k8s_cluster", "all"].into_iter().chain(self.variables.keys().map(String::as_str));
        groups.filter_map(|group| self.variables.get(group)?.get(name)).next()
    }
}

fn given<T>(field: &Optional<T>) -> Option<&T> {
    field.as_ref().and_then(|read| read.0.as_ref())
}

/// The operator of a file. `None`: it has none, or a finding reports a value.
pub(super) fn resolve(
    file: &Optional<raw::GpuOperator>,
    cluster: &Cluster<'_>,
    findings: &mut Findings,
) -> Option<GpuOperatorSpec> {
    let raw = given(file)?;
    let version = value_or(&raw.version, ChartVersion(DEFAULT_VERSION));
    let chart = version.as_ref().and_then(|version| chart(version.0));
    if cluster.complete && gpu_nodes_of(cluster.machines).next().is_none() {
        let message = "no machine has a GPU, so there is nothing for the GPU Operator to do";
        findings
            .error(Code::NoGpuMachine, raw.span, message)
            .hint("give a machine a GPU, `gpus: [{model: RTX A6000}]`, or leave `gpu_operator` out");
    }
    check_driver(raw, chart, cluster, findings);
    let runtime = runtime(raw, chart, cluster, findings);
    check_mig(raw, cluster, findings);
    let monitoring = monitoring(raw, chart, cluster, findings);
    let sharing = sharing::resolve(raw, cluster, findings);
    let spec = GpuOperatorSpec {
        version: version?.0.to_owned(),
        namespace: value_or(&raw.namespace, Namespace("gpu-operator".to_owned()))?.0,
        chart: match &raw.chart {
            Some(read) => Some(chart_file(read.0.as_ref()?)?),
            None => None,
        },
        driver: value_or(&raw.driver, GpuDriver::Host)?,
        runtime: runtime?,
        sharing,
        mig: value_or(&raw.mig, MigStrategy::None)?,
        monitoring: monitoring?,
        values: given(&raw.values).map(|map| map.value.clone()).unwrap_or_default(),
    };
    if let (Some(map), Some(chart)) = (given(&raw.values), chart) {
        values::check(map, &spec, chart, cluster, findings);
    }
    Some(spec)
}

fn chart_file(raw: &raw::ChartFile) -> Option<ChartFile> {
    Some(ChartFile {
        url: raw.url.0.as_ref()?.value.0.clone(),
        sha256: raw.sha256.0.as_ref()?.value.0.clone(),
    })
}

/// No driver container exists for Debian (NVIDIA/gpu-operator issue 2225).
fn check_driver(
    raw: &raw::GpuOperator,
    chart: Option<&Chart>,
    cluster: &Cluster<'_>,
    findings: &mut Findings,
) {
    if let Some(driver) = given(&raw.driver).filter(|driver| driver.value == GpuDriver::Container)
        && let Some(chart) = chart
    {
        no_driver_container(driver.span, chart, cluster, findings);
    }
}

/// Reports a driver from a container where some machine with a GPU is the lab's own Debian.
fn no_driver_container(at: Span, chart: &Chart, cluster: &Cluster<'_>, findings: &mut Findings) -> bool {
    let debian = gpu_nodes_of(cluster.machines).find(|machine| machine.image == ImageSpec::Debian13);
    let Some(machine) = debian else { return false };
    let text = |key: &str| chart.default(key).and_then(|value| value.as_str()).unwrap_or_default();
    let message = format!(
        "no driver container exists for the Debian of `{}`: the operator would pull {}/{}:{}-debian13 for ever",
        machine.name,
        text("driver.repository"),
        text("driver.image"),
        text("driver.version"),
    );
    findings
        .error(Code::NoDriverContainer, at, message)
        .hint("have the driver in the machine's image, and write `gpu_operator: {driver: host}`");
    true
}

fn runtime(
    raw: &raw::GpuOperator,
    chart: Option<&Chart>,
    cluster: &Cluster<'_>,
    findings: &mut Findings,
) -> Option<GpuRuntime> {
    let by_chart = chart.map(|chart| match chart.facts.least_containerd_nri {
        Some(_) => GpuRuntime::Nri,
        None => GpuRuntime::Toolkit,
    });
    let runtime = match &raw.runtime {
        Some(read) => read.0.as_ref()?.value,
        None => by_chart?,
    };
    let at = given(&raw.runtime).map_or(raw.span, |runtime| runtime.span);
    match runtime {
        GpuRuntime::Nri => check_nri(at, chart?, cluster, findings),
        GpuRuntime::Toolkit => check_toolkit(at, chart?, cluster, findings),
    }
    Some(runtime)
}

fn check_nri(at: Span, chart: &Chart, cluster: &Cluster<'_>, findings: &mut Findings) {
    let mut refuse = |message: String, hint: &str| {
        findings.error(Code::UnsupportedCombination, at, message).hint(hint);
    };
    let Some(least) = chart.facts.least_containerd_nri else {
        return refuse(
            format!("the chart {} has no plugin for containerd", chart.data.version),
            "write `runtime: toolkit`, or take a chart since v26.3",
        );
    };
    let runtime = &cluster.kubernetes.container_runtime;
    if let Ok(engine) = container_engine(runtime.engine, cluster.variables)
        && engine != ContainerEngine::Containerd
    {
        return refuse(
            format!("`nri` is for containerd, and the container runtime is {}", engine.as_str()),
            "write `runtime: toolkit`",
        );
    }
    if let Some(version) = runtime.version.as_deref().filter(|version| is_older(version, least)) {
        return refuse(
            format!("containerd {version} is too old for `nri`, which needs {least}"),
            "leave `kubernetes.container_runtime.version` out, or write `runtime: toolkit`",
        );
    }
    if cluster.variable("nri_enabled") == Some(&serde_json::Value::Bool(false)) {
        refuse(
            "`nri` is a plugin of containerd, and the variable `nri_enabled: false` of Kubespray takes none"
                .to_owned(),
            "leave the variable out, or write `runtime: toolkit`",
        );
    }
}

fn is_older(version: &str, least: &str) -> bool {
    let numbers = |text: &str| text.split('.').filter_map(|part| part.parse().ok()).collect::<Vec<u32>>();
    let (version, least) = (numbers(version), numbers(least));
    // `1.7` stands for the newest of its kind.
    version.as_slice() < &least[..version.len().min(least.len())]
}

/// The toolkit makes a runtime `nvidia` long after Kubespray's first run, and beside Kubespray's file.
fn check_toolkit(at: Span, chart: &Chart, cluster: &Cluster<'_>, findings: &mut Findings) {
    if let Some(serde_json::Value::String(name)) = cluster.variable("containerd_default_runtime")
        && name.starts_with("nvidia")
    {
        let message = format!(
            "Kubespray's `containerd_default_runtime` is {}, a runtime that exists only once the GPU Operator runs: no pod would start",
            quote(name)
        );
        findings
            .error(Code::ToolkitOverwritten, at, message)
            .hint("leave the variable out: the operator's pods name their runtime");
    }
    if let Some(serde_json::Value::String(arguments)) = cluster.variable("containerd_extra_args")
        && chart.facts.drop_in
        && !(arguments.contains("imports") && arguments.contains(DROP_IN_FOLDER))
    {
        findings
            .warning(
                Code::ToolkitOverwritten,
                at,
                "after the next run of Kubespray containerd does not read what the toolkit writes, because `containerd_extra_args` replaces the lab's own",
            )
            .hint(format!("put this line in front of its text: {}", containerd_imports()));
    }
}

fn check_mig(raw: &raw::GpuOperator, cluster: &Cluster<'_>, findings: &mut Findings) {
    let Some(mig) = given(&raw.mig).filter(|mig| mig.value != MigStrategy::None) else { return };
    let mut gpus = gpu_nodes_of(cluster.machines).flat_map(|machine| &machine.gpus).peekable();
    if cluster.complete && gpus.peek().is_some() && gpus.all(|gpu| is_divisible(gpu) == Some(false)) {
        findings
            .warning(Code::NoMig, mig.span, "none of the GPUs of this file can be divided")
            .hint("write `mig: none`: MIG is for A30, A100, H100 and their like");
    }
    if let Some(sharing) = given(&raw.sharing).filter(|sharing| !sharing.items.is_empty()) {
        findings
            .error(
                Code::UnsupportedCombination,
                mig.span,
                "time slices are of whole GPUs, and `mig` offers parts of them",
            )
            .hint("keep one of the two: `mig: none`, or no `sharing`")
            .related(sharing.span, "the time slices");
    }
}

fn monitoring(
    raw: &raw::GpuOperator,
    chart: Option<&Chart>,
    cluster: &Cluster<'_>,
    findings: &mut Findings,
) -> Option<GpuMonitoring> {
    let Some(read) = &raw.monitoring else {
        return Some(GpuMonitoring { exporter: true, service_monitor: false });
    };
    let raw = read.0.as_ref()?;
    let exporter = value_or(&raw.exporter, true)?;
    let service_monitor = value_or(&raw.service_monitor, false)?;
    if let Some(at) = given(&raw.service_monitor).filter(|asked| asked.value).map(|asked| asked.span) {
        if !exporter {
            findings
                .error(Code::UnsupportedCombination, at, "there is nothing to collect without the exporter")
                .hint("write `exporter: true`, or leave both out");
        } else if let Some(chart) = chart {
            service_monitor_without_crd(at, chart, cluster, findings);
        }
    }
    Some(GpuMonitoring { exporter, service_monitor })
}

/// Reports a ServiceMonitor where its kind is missing. Kubespray installs it if it is asked to (roles/kubernetes-apps/common_crds).
fn service_monitor_without_crd(
    at: Span,
    chart: &Chart,
    cluster: &Cluster<'_>,
    findings: &mut Findings,
) -> bool {
    const VARIABLE: &str = "prometheus_operator_crds_enabled";
    if !chart.facts.service_monitor_needs_crd
        || cluster.variable(VARIABLE) == Some(&serde_json::Value::Bool(true))
    {
        return false;
    }
    let message = format!(
        "with the chart {} the operator never gets ready, because the cluster has no kind ServiceMonitor",
        chart.data.version
    );
    findings.error(Code::ServiceMonitorWithoutCrd, at, message).hint(format!(
        "have Kubespray install it, `kubespray: {{variables: {{k8s_cluster: {{{VARIABLE}: true}}}}}}`, or switch it on after Prometheus' operator is there"
    ));
    true
}
