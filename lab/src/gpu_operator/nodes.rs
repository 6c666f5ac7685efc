//! What an installation does to the cluster beside helm: the namespace, the chart's kinds, labels of nodes, runtimes.
//!
//! Asks through kubectl, as a person would. Waits for no GPU.

use std::collections::BTreeMap;

use anyhow::Context as _;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::ResourceExt as _;
use lab_core::gpu_operator::{
    CONFIG_LABEL, FIND_RUNTIME, NodeMarks, RELEASE, TOOLKIT_DAEMON_SET, gpu_nodes, namespace_labels,
    node_labels, unfit_nodes,
};
use serde::Deserialize;
use serde_json::json;

use crate::cluster::kubectl;
use crate::cx::Cx;
use crate::failure::{Failure, FailureKind};
use crate::files::{self, PUBLIC};
use crate::lab::{Lab, Reached, reach};
use crate::timeouts::GPU_RUNTIME_TIMEOUT;
use crate::wait::Deadline;

use super::asked_for;
use super::helm::Release;

/// containerd's configuration on a node, as Kubespray writes it.
const CONFIGURATION: &str = "/etc/containerd/config.toml";
/// What it was before the toolkit rewrote it.
pub const KEPT_CONFIGURATION: &str = "/etc/containerd/config.toml.before-gpu-operator";

/// Makes the namespace, or gives one that is there the label without which its pods are refused.
///
/// # Errors
/// When the cluster refuses.
pub async fn namespace(cx: &Cx, lab: &Lab, reached: &Reached, name: &str) -> anyhow::Result<()> {
    let object = json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": { "name": name, "labels": namespace_labels() },
    });
    let place = lab.files.gpu_operator().namespace();
    files::write_if_changed(&place, &serde_json::to_vec_pretty(&object)?, PUBLIC)?;
    apply(cx, lab, reached, &place).await
}

/// Makes or changes the chart's kinds: helm itself makes them once and never changes them.
///
/// # Errors
/// When the cluster refuses, or they are not served in time.
pub async fn definitions(cx: &Cx, lab: &Lab, reached: &Reached) -> anyhow::Result<()> {
    let place = lab.files.gpu_operator().definitions();
    apply(cx, lab, reached, &place).await?;
    let file = place.display().to_string();
    kubectl::read(cx, lab, reached, ["wait", "--for", "condition=Established", "--filename", &file]).await?;
    Ok(())
}

async fn apply(cx: &Cx, lab: &Lab, reached: &Reached, file: &std::path::Path) -> anyhow::Result<()> {
    let file = file.display().to_string();
    let words =
        ["apply", "--server-side", "--force-conflicts", "--field-manager", "lab", "--filename", &file];
    kubectl::read(cx, lab, reached, words).await?;
    Ok(())
}

/// Gives nodes the label that selects their configuration of the device plugin, and takes it from all others.
///
/// # Errors
/// When the cluster refuses, or lacks a node of the cluster file.
pub async fn labels(cx: &Cx, lab: &Lab, reached: &Reached) -> anyhow::Result<()> {
    let wanted: BTreeMap<String, BTreeMap<String, String>> = node_labels(&lab.spec);
    for node in kubectl::objects::<Node>(cx, lab, reached, &["nodes"]).await? {
        let name = node.name_any();
        let asked = wanted.get(&name).and_then(|labels| labels.get(CONFIG_LABEL));
        let word = match (asked, node.labels().get(CONFIG_LABEL)) {
            (Some(asked), found) if found != Some(asked) => format!("{CONFIG_LABEL}={asked}"),
            (None, Some(_)) => format!("{CONFIG_LABEL}-"),
            _ => continue,
        };
        kubectl::read(cx, lab, reached, ["label", "--overwrite", "node", &name, &word]).await?;
    }
    Ok(())
}

/// Refuses a cluster with nodes that neither Node Feature Discovery nor the operator can mark.
///
/// # Errors
/// With the reason of each such node, or when the cluster does not answer.
pub async fn refuse_unfit(cx: &Cx, lab: &Lab, reached: &Reached) -> anyhow::Result<()> {
    let nodes = kubectl::objects::<Node>(cx, lab, reached, &["nodes"]).await?;
    let marks = |node: &Node| (node.name_any(), node.labels().len(), node.annotations().len());
    let marks: Vec<_> = nodes.iter().map(marks).collect();
    let marks = marks.iter().map(|(name, labels, annotations)| NodeMarks {
        name,
        labels: *labels,
        annotations: *annotations,
    });
    let unfit = unfit_nodes(marks);
    anyhow::ensure!(
        unfit.is_empty(),
        Failure::new(FailureKind::Plan, unfit.join("; ")).hint(
            "kubelet gives each node that it registers both; `kubectl label` and `kubectl annotate` add one"
        )
    );
    Ok(())
}

/// Removes helm's record of a revision that a killed helm left in the middle of its work.
///
/// # Errors
/// When the cluster refuses.
pub async fn forget_revision(cx: &Cx, lab: &Lab, reached: &Reached, release: &Release) -> anyhow::Result<()> {
    let words =
        ["delete", "secret", "--ignore-not-found", "--namespace", &release.namespace, &release.record()];
    kubectl::read(cx, lab, reached, words).await?;
    Ok(())
}

/// The name of a ClusterPolicy that no release of ours made; `None` where there is none.
///
/// # Errors
/// When the cluster does not answer.
pub async fn foreign_policy(cx: &Cx, lab: &Lab, reached: &Reached) -> anyhow::Result<Option<String>> {
    #[derive(Deserialize)]
    struct Policy {
        metadata: Metadata,
    }
    #[derive(Deserialize)]
    struct Metadata {
        name: String,
        #[serde(default)]
        annotations: BTreeMap<String, String>,
    }

    let namespace = &asked_for(cx, lab)?.namespace;
    let found: Vec<Policy> = kubectl::objects(cx, lab, reached, &["clusterpolicies.nvidia.com"]).await?;
    // A killed first installation leaves objects of ours without a release.
    let is_ours = |policy: &&Policy| {
        let annotation =
            |name: &str| policy.metadata.annotations.get(&format!("meta.helm.sh/release-{name}"));
        annotation("name").is_some_and(|name| name == RELEASE)
            && annotation("namespace").is_some_and(|found| found == namespace)
    };
    Ok(found.iter().find(|policy| !is_ours(policy)).map(|policy| policy.metadata.name.clone()))
}

/// Has the toolkit configure containerd again on each node whose containerd does not know its runtime.
///
/// # Errors
/// When a node does not answer, or its runtime does not come back.
pub async fn configure_runtimes(cx: &Cx, lab: &Lab, reached: &Reached) -> anyhow::Result<()> {
    let namespace = &asked_for(cx, lab)?.namespace;
    let selector = format!("app={TOOLKIT_DAEMON_SET}");
    let words = ["pods", "--namespace", namespace, "--selector", &selector];
    for pod in kubectl::objects::<Pod>(cx, lab, reached, &words).await? {
        let name = pod.name_any();
        let node = pod.spec.and_then(|spec| spec.node_name).unwrap_or_default();
        if lab.machine(&node).is_err() || has_runtime(cx, lab, reached, &node).await? {
            continue;
        }
        keep_configuration(cx, lab, reached, &node).await?;
        let task = cx.progress.task(RELEASE);
        task.step(&format!("giving containerd on {node} its runtime again, which Kubespray took away"));
        // The DaemonSet makes another one, which configures containerd when it starts.
        kubectl::read(cx, lab, reached, ["delete", "pod", "--namespace", namespace, &name]).await?;
        let set = format!("daemonset/{TOOLKIT_DAEMON_SET}");
        let timeout = format!("{}s", GPU_RUNTIME_TIMEOUT.base().as_secs());
        let words = ["rollout", "status", &set, "--namespace", namespace, "--timeout", &timeout];
        kubectl::read(cx, lab, reached, words)
            .await
            .with_context(|| format!("the toolkit on `{node}` does not come back"))?;
        task.done(&format!("containerd on {node} has its runtime again"));
    }
    Ok(())
}

/// Keeps containerd's configuration of every node with a GPU as it is before the toolkit rewrites it, for [`super::remove`].
///
/// # Errors
/// When a node does not answer.
pub async fn keep_configurations(cx: &Cx, lab: &Lab, reached: &Reached) -> anyhow::Result<()> {
    for machine in gpu_nodes(&lab.spec) {
        if !has_runtime(cx, lab, reached, &machine.name).await? {
            keep_configuration(cx, lab, reached, &machine.name).await?;
        }
    }
    Ok(())
}

async fn keep_configuration(cx: &Cx, lab: &Lab, reached: &Reached, node: &str) -> anyhow::Result<()> {
    let words = ["--", "sudo", "cp", "--preserve", CONFIGURATION, KEPT_CONFIGURATION];
    reached
        .inside(&reach::ssh(lab, node).args(words))
        .read(&cx.cancel, Deadline::after(GPU_RUNTIME_TIMEOUT.base()))
        .await
        .with_context(|| format!("cannot keep the configuration of containerd on `{node}`"))?;
    Ok(())
}

/// Whether containerd of a node knows the toolkit's runtime, by its configuration.
async fn has_runtime(cx: &Cx, lab: &Lab, reached: &Reached, node: &str) -> anyhow::Result<bool> {
    let look = reached.inside(&reach::ssh(lab, node).args(["--", FIND_RUNTIME]));
    let found = look.output(&cx.cancel, Deadline::after(GPU_RUNTIME_TIMEOUT.base())).await?;
    // ssh itself failed; of the configuration the output says all.
    anyhow::ensure!(
        found.status.code() != Some(255),
        "cannot read the configuration of containerd on `{node}`: {}",
        found.stderr.trim()
    );
    Ok(!found.stdout.trim().is_empty())
}
