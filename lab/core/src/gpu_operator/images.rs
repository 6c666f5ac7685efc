//! The images that a rendering pulls, and where the chart itself comes from.

use serde_json::Value;

use super::chart::Chart;
use super::values::{effective, is_on, values};
use crate::spec::ClusterSpec;

/// An image that a node pulls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChartImage {
    /// Its name among the artefacts of a cluster: `gpu_device_plugin`.
    pub name: &'static str,
    /// As a container runtime takes it: `nvcr.io/nvidia/k8s-device-plugin:v0.17.4`.
    pub reference: String,
}

/// Name of the image, the key of the chart's values below which it stands, and the key that switches it on.
const IMAGES: [(&str, &str, Option<&str>); 11] = [
    ("gpu_operator", "operator", None),
    ("gpu_operator_validator", "validator", None),
    ("gpu_container_toolkit", "toolkit", Some("toolkit.enabled")),
    ("gpu_device_plugin", "devicePlugin", Some("devicePlugin.enabled")),
    ("gpu_feature_discovery", "gfd", Some("gfd.enabled")),
    ("gpu_dcgm_exporter", "dcgmExporter", Some("dcgmExporter.enabled")),
    ("gpu_dcgm", "dcgm", Some("dcgm.enabled")),
    ("gpu_driver_manager", "driver.manager", Some("driver.enabled")),
    ("gpu_mig_manager", "migManager", Some("migManager.enabled")),
    ("gpu_node_status_exporter", "nodeStatusExporter", Some("nodeStatusExporter.enabled")),
    ("node_feature_discovery", "node-feature-discovery.image", Some("nfd.enabled")),
];

/// The images that the values of a cluster make its nodes pull, each once under the first of its names: GPU Feature
/// Discovery is in the device plugin's, and since v25.10 the validator in the operator's.
///
/// The image of a driver is not among them: its tag ends with the node's distribution, which no cluster file says.
pub fn images(spec: &ClusterSpec, chart: &Chart) -> Vec<ChartImage> {
    let values = values(spec, chart);
    let mut images: Vec<ChartImage> = Vec::new();
    for (name, key, switch) in IMAGES {
        if switch.is_some_and(|switch| !is_on(&values, chart, switch)) {
            continue;
        }
        let reference = reference(&values, chart, key);
        if !images.iter().any(|image| image.reference == reference) {
            images.push(ChartImage { name, reference });
        }
    }
    images
}

/// As the operator joins it (`ImagePath` in `internal/image/image.go`), and the inner chart its own.
fn reference(values: &Value, chart: &Chart, key: &str) -> String {
    let text = |name: &str| match effective(values, chart, &format!("{key}.{name}")) {
        Some(Value::String(text)) if !text.is_empty() => Some(text),
        _ => None,
    };
    let repository = text("repository").unwrap_or_default();
    if key == "node-feature-discovery.image" {
        let tag = text("tag").unwrap_or_else(|| chart.data.node_feature_discovery.clone());
        return format!("{repository}:{tag}");
    }
    let image = text("image").unwrap_or_default();
    // Of the operator and the validator it is the version of the application.
    let version = text("version").unwrap_or_else(|| chart.data.version.clone());
    let mark = if version.starts_with("sha256:") { '@' } else { ':' };
    format!("{repository}/{image}{mark}{version}")
}

/// Where the chart is downloaded from. Empty where the cluster has no GPU Operator.
pub fn chart_url(spec: &ClusterSpec) -> String {
    let Some(operator) = &spec.gpu_operator else { return String::new() };
    match &operator.chart {
        Some(chart) => chart.url.clone(),
        None => format!("https://helm.ngc.nvidia.com/nvidia/charts/gpu-operator-{}.tgz", operator.version),
    }
}
