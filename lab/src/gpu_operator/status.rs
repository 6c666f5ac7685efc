//! What there is of the GPU Operator right now: the release, its checks, the GPUs that each node offers. Changes nothing.

use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt as _;
use lab_core::gpu_operator::{self, PlannedNode, RELEASE, RESOURCE};
use lab_core::report::{Outcome, Verdict};
use serde::Serialize;

use crate::cluster::kubectl;
use crate::cx::Cx;
use crate::lab::{Lab, Reached};
use crate::validate;

use super::{chart, helm};

/// The state of the GPU Operator, as `--json` shows it.
#[derive(Debug, Serialize)]
pub struct GpuStatus {
    /// The chart of the release and its state, `gpu-operator-v25.3.4, deployed`; `None` where it is not installed.
    pub release: Option<String>,
    /// The nodes that have GPUs by the plan.
    pub nodes: Vec<NodeGpus>,
    /// The outcomes of the checks that only look.
    pub checks: Vec<Outcome>,
}

/// The GPUs of a node.
#[derive(Debug, Serialize)]
pub struct NodeGpus {
    /// Its name.
    pub node: String,
    /// By the plan.
    pub planned: u32,
    /// The number of pods that share each, by the plan.
    pub replicas: u32,
    /// `Capacity` of `kubectl describe node`; `None` where the node does not know the resource.
    pub capacity: Option<String>,
    /// `Allocatable` of it.
    pub allocatable: Option<String>,
    /// The product, by GPU feature discovery. A stand-in says that it is one.
    pub product: Option<String>,
    /// The version of the driver, by GPU feature discovery.
    pub driver: Option<String>,
}

impl GpuStatus {
    /// Whether the release is there and no check failed.
    pub fn is_good(&self) -> bool {
        self.release.is_some() && self.checks.iter().all(|check| check.verdict == Verdict::Passed)
    }
}

/// Looks.
///
/// # Errors
/// When the cluster does not answer, or the store lacks helm.
pub async fn look(cx: &Cx, lab: &Lab, reached: &Reached) -> anyhow::Result<GpuStatus> {
    let helm = helm(cx, lab, reached)?;
    let release = helm.own_releases().await?.into_iter().find(|one| one.name == RELEASE);
    let found = kubectl::objects::<Node>(cx, lab, reached, &["nodes"]).await?;
    let nodes = gpu_operator::planned(&lab.spec, chart(cx, lab)?)
        .nodes
        .iter()
        .map(|planned| of_node(planned, &found))
        .collect();
    let checks = match release {
        Some(_) => validate::gpus_once(cx, lab, reached).await?,
        None => Vec::new(),
    };
    Ok(GpuStatus { release: release.map(|one| format!("{}, {}", one.chart, one.status)), nodes, checks })
}

fn of_node(planned: &PlannedNode, found: &[Node]) -> NodeGpus {
    let node = found.iter().find(|node| node.name_any() == planned.name);
    let status = node.and_then(|node| node.status.clone()).unwrap_or_default();
    let count = |all: Option<std::collections::BTreeMap<String, _>>| {
        let quantity: k8s_openapi::apimachinery::pkg::api::resource::Quantity = all?.remove(RESOURCE)?;
        Some(quantity.0)
    };
    let label = |name: &str| node.and_then(|node| node.labels().get(name).cloned());
    let number = |name: &str| label(&format!("nvidia.com/cuda.driver-version.{name}"));
    NodeGpus {
        node: planned.name.clone(),
        planned: planned.gpus,
        replicas: planned.replicas,
        capacity: count(status.capacity),
        allocatable: count(status.allocatable),
        product: label("nvidia.com/gpu.product"),
        driver: number("full").or_else(|| number("major")),
    }
}

/// The state for people.
pub fn table(status: &GpuStatus) -> String {
    let none = || "none".to_owned();
    let mut text =
        format!("release     {}\n\n", status.release.clone().unwrap_or_else(|| "not installed".to_owned()));
    let head = ["NODE", "PLANNED", "CAPACITY", "ALLOCATABLE", "PRODUCT", "DRIVER"].map(str::to_owned);
    let rows = status.nodes.iter().map(|node| {
        let planned = match node.replicas {
            0 | 1 => node.planned.to_string(),
            replicas => format!("{} x {replicas}", node.planned),
        };
        let count =
            |count: &Option<String>| count.as_ref().map_or_else(none, |count| format!("{RESOURCE}: {count}"));
        let [product, driver] = [&node.product, &node.driver].map(|text| text.clone().unwrap_or_else(none));
        [node.node.clone(), planned, count(&node.capacity), count(&node.allocatable), product, driver]
    });
    let rows: Vec<[String; 6]> = [head].into_iter().chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or_default();
    for row in &rows {
        let cells =
            row.iter().enumerate().map(|(column, cell)| format!("{cell:width$}", width = width(column)));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    if !status.checks.is_empty() {
        text.push('\n');
    }
    for check in &status.checks {
        let mark = if check.verdict == Verdict::Passed { "✓" } else { "✗" };
        text.push_str(&format!("{mark} {}: {}\n", check.title, check.details.join("; ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_shows_words_of_kubectl_describe() {
        let node = |name: &str, replicas: u32, count: Option<&str>| NodeGpus {
            node: name.to_owned(),
            planned: 1,
            replicas,
            capacity: count.map(str::to_owned),
            allocatable: count.map(str::to_owned),
            product: count.map(|_| "NVIDIA-RTX-A6000-STAND-IN".to_owned()),
            driver: count.map(|_| "580.82.07".to_owned()),
        };
        let outcome = Outcome {
            id: "gpu-policy".to_owned(),
            title: "the ClusterPolicy is ready".to_owned(),
            verdict: Verdict::Failed,
            seconds: 0.0,
            details: vec!["its state is `notReady`".to_owned()],
        };
        let status = GpuStatus {
            release: Some("gpu-operator-v25.3.4, deployed".to_owned()),
            nodes: vec![node("gpu-worker-1", 1, Some("1")), node("gpu-worker-2", 4, None)],
            checks: vec![outcome],
        };
        insta::assert_snapshot!(table(&status), @r"
        release     gpu-operator-v25.3.4, deployed

        NODE          PLANNED  CAPACITY           ALLOCATABLE        PRODUCT                    DRIVER
        gpu-worker-1  1        nvidia.com/gpu: 1  nvidia.com/gpu: 1  NVIDIA-RTX-A6000-STAND-IN  580.82.07
        gpu-worker-2  1 x 4    none               none               none                       none

        ✗ the ClusterPolicy is ready: its state is `notReady`
        ");
    }
}
