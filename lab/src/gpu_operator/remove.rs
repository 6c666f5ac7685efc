//! Takes the GPU Operator away, and leaves nodes as they were before it.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt as _;
use lab_core::gpu_operator::{NODE_FILES, RELEASE, RESOURCE, is_own_label};

use crate::cluster::kubectl;
use crate::cx::Cx;
use crate::failure::{Failure, FailureKind};
use crate::lab::{Lab, Reached, reach};
use crate::timeouts::{GPU_CLEANUP_TIMEOUT, GPU_HOLD_INTERVAL};
use crate::wait::{self, Deadline, Probe};

use super::nodes::KEPT_CONFIGURATION;
use super::{asked_for, chart, found, helm};

/// Restores containerd's configuration on a node, and removes files. A toolkit that was killed has not done so, and a
/// containerd that has its runtime in memory could start no container once the files are gone. kubelet remembers the devices of a plugin for five
/// minutes after it is gone (`endpointStopGracePeriod` in pkg/kubelet/cm/devicemanager); its memory goes where it is of
/// GPUs alone.
const CLEAN: [&str; 7] = [
    "systemctl stop kubelet",
    "test ! -e KEPT || mv KEPT /etc/containerd/config.toml",
    "systemctl restart containerd",
    "rm -rf FILES",
    "memory=/var/lib/kubelet/device-plugins/kubelet_internal_checkpoint",
    r#"grep -oE '"[a-z0-9.-]+\.[a-z]+/[A-Za-z0-9._-]+"' $memory | grep -qv '"nvidia.com/' || rm -f $memory"#,
    "systemctl start kubelet",
];

/// Removes the release, its kinds, its namespace, and what it put on nodes. For a caller that holds the lab. Goes on where
/// a killed removal stopped.
///
/// # Errors
/// When another installation is in the way, or the cluster or a node does not answer.
pub async fn remove(cx: &Cx, lab: &Lab, reached: &Reached) -> anyhow::Result<()> {
    let asked = &asked_for(cx, lab)?.namespace;
    let task = cx.progress.task(RELEASE);
    let helm = helm(cx, lab, reached)?;
    // Of an installation that the file no longer describes, too.
    let release = found(cx, lab, reached, &helm).await?;
    let namespace = release.as_ref().map_or(asked, |release| &release.namespace);
    task.step("removing the release");
    // The toolkit gives containerd its old runtimes back when its pods end, so that they are waited for.
    helm.remove(RELEASE, namespace).await?;
    task.step("removing what the operator and NFD made");
    // The namespace first: one with objects whose kinds have just gone ends later.
    kubectl::read(cx, lab, reached, ["delete", "namespace", "--ignore-not-found", namespace]).await?;
    for kind in &chart(cx, lab)?.data.crds {
        let words = ["delete", "customresourcedefinition", "--ignore-not-found", kind.as_str()];
        kubectl::read(cx, lab, reached, words).await?;
    }
    let classes = ["delete", "runtimeclass", "--ignore-not-found", "nvidia", "nvidia-cdi", "nvidia-legacy"];
    kubectl::read(cx, lab, reached, classes).await?;
    task.step("cleaning the nodes");
    for node in kubectl::objects::<Node>(cx, lab, reached, &["nodes"]).await? {
        clean(cx, lab, reached, &node).await?;
    }
    task.done("it is gone, and nodes are as they were before it");
    Ok(())
}

/// Removes labels, annotations and files of the GPU stack from a node, and the GPUs from what its kubelet offers.
async fn clean(cx: &Cx, lab: &Lab, reached: &Reached, node: &Node) -> anyhow::Result<()> {
    let name = node.name_any();
    for (verb, all) in [("label", node.labels()), ("annotate", node.annotations())] {
        let own: Vec<String> =
            all.keys().filter(|key| is_own_label(key)).map(|key| format!("{key}-")).collect();
        if !own.is_empty() {
            let words = [verb, "node", &name].into_iter().chain(own.iter().map(String::as_str));
            kubectl::read(cx, lab, reached, words).await?;
        }
    }
    let is_planned = lab.machine(&name).is_ok_and(|machine| !machine.gpus.is_empty());
    if !is_planned {
        return Ok(());
    }
    let script = CLEAN.join("; ").replace("FILES", &NODE_FILES.join(" ")).replace("KEPT", KEPT_CONFIGURATION);
    let quoted = format!("'{}'", script.replace('\'', r"'\''"));
    let call = reached.inside(&reach::ssh(lab, &name).args(["--", "sudo", "sh", "-c", &quoted]));
    let deadline = Deadline::after(GPU_CLEANUP_TIMEOUT.base());
    call.read(&cx.cancel, deadline).await.with_context(|| {
        Failure::new(FailureKind::Provision, format!("cannot clean `{name}`"))
            .hint("call it again when the machine answers")
    })?;
    forget_resource(cx, lab, reached, &name, deadline).await
}

/// Removes the GPUs from what a node offers. A kubelet that starts says once more, at a moment of its own, that there are none.
async fn forget_resource(
    cx: &Cx,
    lab: &Lab,
    reached: &Reached,
    node: &str,
    deadline: Deadline,
) -> anyhow::Result<()> {
    let was_gone = AtomicBool::new(false);
    let what = format!("`{node}` offering no `{RESOURCE}`");
    wait::until(&cx.cancel, &what, deadline, GPU_HOLD_INTERVAL, || async {
        match offers(cx, lab, reached, node).await {
            Ok(false) if was_gone.swap(true, Ordering::Relaxed) => Probe::Ready(()),
            Ok(false) => Probe::NotYet("it may come back".to_owned()),
            Ok(true) => {
                was_gone.store(false, Ordering::Relaxed);
                match withdraw(cx, lab, reached, node).await {
                    Ok(()) => Probe::NotYet("it was removed just now".to_owned()),
                    Err(error) => Probe::NotYet(format!("{error:#}")),
                }
            }
            Err(error) => Probe::NotYet(format!("{error:#}")),
        }
    })
    .await?;
    Ok(())
}

async fn offers(cx: &Cx, lab: &Lab, reached: &Reached, node: &str) -> anyhow::Result<bool> {
    let text = kubectl::read(cx, lab, reached, ["get", "node", node, "--output", "json"]).await?;
    let node: Node = serde_json::from_str(&text)?;
    let capacity = node.status.and_then(|status| status.capacity).unwrap_or_default();
    Ok(capacity.contains_key(RESOURCE))
}

async fn withdraw(cx: &Cx, lab: &Lab, reached: &Reached, node: &str) -> anyhow::Result<()> {
    let path = |place: &str| format!(r#"{{"op":"remove","path":"/status/{place}/nvidia.com~1gpu"}}"#);
    let patch = format!("[{},{}]", path("capacity"), path("allocatable"));
    let words = ["patch", "node", node, "--subresource", "status", "--type", "json", "--patch", &patch];
    kubectl::read(cx, lab, reached, words).await?;
    Ok(())
}
