//! Checks of GPUs that run pods: what a pod that asks for GPUs sees, and what one that asks for none or too many does.
//!
//! Pods run the image of the operator's validator, which every GPU node has: a shell, and no variable that asks for GPUs.

use std::collections::BTreeSet;

use anyhow::Context as _;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{DeleteParams, ListParams, LogParams, PostParams};
use kube::{Api, ResourceExt as _};
use lab_core::gpu_operator::RESOURCE;
use lab_core::needs::Need;
use serde_json::{Value, json};

use crate::timeouts::GPU_POD_TIMEOUT;
use crate::validate::access::{Looked, Site, error_text};
use crate::validate::check::{BASE, Check, Context};
use crate::validate::probes::OURS;

use super::cluster::not_well;
use super::gpu::{GpuNode, on_node, planned};

/// Prints the devices of NVIDIA's that a pod sees.
const DEVICES: &str = "ls -1 /dev | grep '^nvidia' || echo none";
/// The CUDA sample that NVIDIA's own tests of the operator run.
const CUDA_SAMPLE: &str = "nvcr.io/nvidia/k8s/cuda-sample:vectoradd-cuda12.5.0-ubuntu22.04";

/// NVIDIA's cards slow down from about so many degrees Celsius on (`Slowdown Temp` of `nvidia-smi -q`: 89 to 98).
const TOO_HOT: f64 = 90.0;

/// Those that take GPUs run one after the other: each wants all of them.
pub const CHECKS: &[Check] = &[
    Check {
        id: "gpu-isolation",
        title: "a pod that asks for no GPU sees none",
        run: |context| Box::pin(isolation(context)),
        ..RUNS_PODS
    },
    Check {
        id: "gpu-pending",
        title: "a pod that asks for too many GPUs waits, and says why",
        run: |context| Box::pin(pending(context)),
        ..RUNS_PODS
    },
    Check {
        id: "gpu-pods",
        title: "pods see the planned GPUs and no others",
        disturbs: true,
        run: |context| Box::pin(pods(context)),
        ..RUNS_PODS
    },
    Check {
        id: "gpu-test-pod",
        title: "the test pod of the plan runs to its end",
        disturbs: true,
        run: |context| Box::pin(test_pod(context)),
        ..RUNS_PODS
    },
    Check {
        id: "gpu-sharing",
        title: "as many pods as there are slices share a GPU",
        needs: &[Need::GpuOperator, Need::SharedGpus],
        disturbs: true,
        run: |context| Box::pin(sharing(context)),
        ..RUNS_PODS
    },
    Check {
        id: "gpu-metrics",
        title: "metrics name the planned GPUs, and report no fault",
        needs: &[Need::GpuOperator, Need::GpuExporter],
        run: |context| Box::pin(metrics(context)),
        ..RUNS_PODS
    },
    Check {
        id: "gpu-cuda",
        title: "a CUDA program computes on every node",
        needs: &[Need::GpuOperator, Need::Cuda],
        disturbs: true,
        run: |context| Box::pin(cuda(context)),
        ..RUNS_PODS
    },
];

const RUNS_PODS: Check = Check { needs: &[Need::GpuOperator], ..BASE };

/// The namespace of a check's pods, which [`crate::validate::probes::remove`] removes.
struct Room<'a> {
    site: &'a Site,
    pods: Api<Pod>,
    image: String,
}

impl<'a> Room<'a> {
    async fn make(context: &'a Context, check: &str) -> Result<Self, Vec<String>> {
        Self::try_make(context, check).await.map_err(|error| vec![error_text(&error)])
    }

    async fn try_make(context: &'a Context, check: &str) -> anyhow::Result<Self> {
        let site = &context.site;
        let image = site.gpu_image.clone().context("the image of the operator's validator is not known")?;
        context.makes_namespaces();
        let name = format!("lab-checks-{check}-{}", std::process::id());
        let namespace: Namespace =
            serde_json::from_value(json!({ "metadata": { "name": name, "labels": { OURS: "" } } }))?;
        let namespaces: Api<Namespace> = Api::all(site.client.clone());
        namespaces.create(&PostParams::default(), &namespace).await?;
        Ok(Self { site, pods: Api::namespaced(site.client.clone(), &name), image })
    }

    /// Makes a pod that runs a script.
    async fn start(&self, name: &str, spec: Value) -> Result<(), Vec<String>> {
        let mut whole = json!({
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
        });
        for (key, value) in spec.as_object().into_iter().flatten() {
            whole[key] = value.clone();
        }
        let made = async {
            let pod: Pod = serde_json::from_value(json!({ "metadata": { "name": name }, "spec": whole }))?;
            self.pods.create(&PostParams::default(), &pod).await?;
            anyhow::Ok(())
        };
        made.await.map_err(|error| vec![error_text(&error)])
    }

    /// A pod pinned to a node that runs a script with so many GPUs.
    async fn on_node(&self, name: &str, node: &str, script: &str, gpus: u32) -> Result<(), Vec<String>> {
        let mut container = self.container(script);
        if gpus > 0 {
            container["resources"] = json!({ "limits": { RESOURCE: gpus } });
        }
        let spec = json!({
            "nodeSelector": { "kubernetes.io/hostname": node },
            "tolerations": [{ "operator": "Exists" }],
            "containers": [container],
        });
        self.start(name, spec).await
    }

    fn container(&self, script: &str) -> Value {
        json!({ "name": "gpu", "image": self.image, "command": ["sh", "-c", script] })
    }

    /// Waits until all pods ended well, and returns their logs by name.
    async fn logs(&self, names: &[String]) -> Result<Vec<(String, String)>, Vec<String>> {
        self.wait(|pod| phase(pod) == "Succeeded").await?;
        let mut logs = Vec::new();
        for name in names {
            let text = self.pods.logs(name, &LogParams::default()).await;
            logs.push((name.clone(), text.map_err(|error| vec![format!("no log of `{name}`: {error}")])?));
        }
        Ok(logs)
    }

    /// Waits until all pods are as asked, or one failed.
    async fn wait(&self, is_so: impl Fn(&Pod) -> bool) -> Result<(), Vec<String>> {
        let site = Site { patience: GPU_POD_TIMEOUT.times(self.site.times), ..self.site.clone() };
        let failed = std::sync::Mutex::new(Vec::new());
        let looked = site
            .settle(self.pods.clone(), || async {
                let pods = self.pods.list(&ListParams::default()).await?.items;
                let ended: Vec<&Pod> = pods.iter().filter(|pod| phase(pod) == "Failed").collect();
                if !ended.is_empty() {
                    *failed.lock().expect("no holder panics") =
                        ended.into_iter().filter_map(not_well).collect();
                    return Ok(Ok(vec![]));
                }
                let wrong: Vec<String> = pods
                    .iter()
                    .filter(|pod| !is_so(pod))
                    .map(|pod| {
                        not_well(pod)
                            .unwrap_or_else(|| format!("the pod `{}` is {}", pod.name_any(), phase(pod)))
                    })
                    .collect();
                Ok(if wrong.is_empty() { Ok(vec![]) } else { Err(wrong) })
            })
            .await;
        let failed = failed.into_inner().expect("no holder panics");
        if failed.is_empty() { looked.map(drop) } else { Err(failed) }
    }

    /// Frees the GPUs of the pods.
    async fn clear(&self) {
        let now = DeleteParams::default().grace_period(0);
        let _ = self.pods.delete_collection(&now, &ListParams::default()).await;
    }
}

fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("Pending")
}

/// The UUIDs in what `nvidia-smi -L` prints.
pub fn uuids(text: &str) -> BTreeSet<String> {
    let found = text.split("UUID: ").skip(1).filter_map(|rest| rest.split(')').next());
    found.filter(|uuid| uuid.starts_with("GPU-")).map(str::to_owned).collect()
}

async fn isolation(context: &Context) -> Looked {
    let nodes = planned(&context.site)?;
    let room = Room::make(context, "gpu-isolation").await?;
    for node in &nodes {
        room.on_node(&node.plan.name, &node.plan.name, DEVICES, 0).await?;
    }
    let names: Vec<String> = nodes.iter().map(|node| node.plan.name.clone()).collect();
    let logs = room.logs(&names).await?;
    let seen = logs.iter().filter(|(_, text)| text.trim() != "none");
    let problems: Vec<String> = seen
        .map(|(node, text)| {
            format!("on `{node}` it sees {}", text.split_whitespace().collect::<Vec<_>>().join(", "))
        })
        .collect();
    if problems.is_empty() { Ok(vec![format!("on {} nodes", nodes.len())]) } else { Err(problems) }
}

async fn pending(context: &Context) -> Looked {
    let nodes = planned(&context.site)?;
    let room = Room::make(context, "gpu-pending").await?;
    for node in &nodes {
        room.on_node(&node.plan.name, &node.plan.name, "true", node.slices() + 1).await?;
    }
    let refused = format!("Insufficient {RESOURCE}");
    room.wait(|pod| unplaced(pod).is_some_and(|why| why.contains(&refused))).await?;
    room.clear().await;
    Ok(vec![format!("{refused} on {} nodes", nodes.len())])
}

fn unplaced(pod: &Pod) -> Option<&str> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|one| one.type_ == "PodScheduled" && one.status == "False")?.message.as_deref()
}

/// A pod for each node that takes all its GPUs; of shared ones a pod may have one slice only.
async fn pods(context: &Context) -> Looked {
    let nodes = planned(&context.site)?;
    let room = Room::make(context, "gpu-pods").await?;
    for node in &nodes {
        let gpus = node.plan.largest_request;
        room.on_node(&node.plan.name, &node.plan.name, "nvidia-smi -L", gpus).await?;
    }
    let names: Vec<String> = nodes.iter().map(|node| node.plan.name.clone()).collect();
    let logs = room.logs(&names).await;
    room.clear().await;
    let logs = logs?;
    let problems: Vec<String> =
        nodes.iter().zip(&logs).filter_map(|(node, (_, text))| seen_problem(node, &uuids(text))).collect();
    if problems.is_empty() {
        Ok(logs.iter().map(|(node, text)| format!("{node} {}", uuids(text).len())).collect())
    } else {
        Err(problems)
    }
}

/// What is wrong with the GPUs that a pod saw on a node.
fn seen_problem(node: &GpuNode, seen: &BTreeSet<String>) -> Option<String> {
    let wanted = node.plan.largest_request as usize;
    let machine = &node.plan.name;
    if seen.len() != wanted {
        return Some(format!("a pod on `{machine}` sees {} GPUs, and requests {wanted}", seen.len()));
    }
    let strangers: Vec<&str> = seen.difference(&node.uuids).map(String::as_str).collect();
    (!node.uuids.is_empty() && !strangers.is_empty())
        .then(|| format!("a pod on `{machine}` sees {}, which the plan does not have", strangers.join(", ")))
}

/// The plan's own pod, on whichever GPU node it comes to: `nvidia-smi` with one GPU, a selector and a toleration.
async fn test_pod(context: &Context) -> Looked {
    let nodes = planned(&context.site)?;
    let room = Room::make(context, "gpu-test-pod").await?;
    let mut container = room.container("nvidia-smi && nvidia-smi -L");
    container["resources"] = json!({ "limits": { RESOURCE: 1 } });
    let spec = json!({
        "nodeSelector": { "nvidia.com/gpu.present": "true" },
        "tolerations": [{ "key": RESOURCE, "operator": "Exists", "effect": "NoSchedule" }],
        "containers": [container],
    });
    room.start("gpu-test-pod", spec).await?;
    let logs = room.logs(&["gpu-test-pod".to_owned()]).await;
    room.clear().await;
    let text = logs?.into_iter().map(|(_, text)| text).collect::<String>();
    let seen = uuids(&text);
    let planned: BTreeSet<&String> = nodes.iter().flat_map(|node| &node.uuids).collect();
    let is_planned = planned.is_empty() || seen.iter().all(|uuid| planned.contains(uuid));
    if seen.len() == 1 && is_planned {
        return Ok(vec![text.lines().next().unwrap_or_default().trim().to_owned()]);
    }
    Err(vec![format!(
        "it sees {} GPUs of the plan: {}",
        seen.len(),
        text.lines().next().unwrap_or("it printed nothing")
    )])
}

/// On each node with slices, a pod for each slice at the same time.
async fn sharing(context: &Context) -> Looked {
    let nodes: Vec<GpuNode> =
        planned(&context.site)?.into_iter().filter(|node| node.plan.replicas > 1).collect();
    let room = Room::make(context, "gpu-sharing").await?;
    let mut names = Vec::new();
    for node in &nodes {
        for slice in 0..node.slices() {
            let name = format!("{}-{slice}", node.plan.name);
            room.on_node(&name, &node.plan.name, "nvidia-smi -L && sleep 3600", 1).await?;
            names.push((node, name));
        }
    }
    // All of them run at one time: none waits for another's slice.
    let running = room.wait(|pod| phase(pod) == "Running").await;
    let mut problems = Vec::new();
    for (node, name) in &names {
        let text = room.pods.logs(name, &LogParams::default()).await.unwrap_or_default();
        problems.extend(seen_problem(node, &uuids(&text)));
    }
    room.clear().await;
    running?;
    let good = || nodes.iter().map(|node| format!("{} pods on {}", node.slices(), node.plan.name)).collect();
    if problems.is_empty() { Ok(good()) } else { Err(problems) }
}

/// Each exporter has a temperature of each planned GPU of its node, and of no other; none is too hot or reports an error.
async fn metrics(context: &Context) -> Looked {
    let site = &context.site;
    let nodes = planned(site)?;
    let Some(spec) = &site.spec.gpu_operator else { return Err(vec![]) };
    let pods: Api<Pod> = Api::namespaced(site.client.clone(), &spec.namespace);
    site.settle(pods.clone(), || async {
        let found = pods.list(&ListParams::default().labels("app=nvidia-dcgm-exporter")).await?.items;
        let mut problems = Vec::new();
        let mut gpus = 0;
        for node in &nodes {
            let Some(pod) = on_node(&found, &node.plan.name) else {
                problems.push(format!("no exporter runs on `{}`", node.plan.name));
                continue;
            };
            let path =
                format!("/api/v1/namespaces/{}/pods/{}:9400/proxy/metrics", spec.namespace, pod.name_any());
            let text = site.client.request_text(http::Request::get(path).body(Vec::new())?).await?;
            problems.extend(reported_faults(&node.plan.name, &text));
            let measured = measured(&text);
            gpus += measured.len();
            if measured.len() != node.plan.gpus as usize || !node.uuids.is_empty() && measured != node.uuids {
                problems.push(format!(
                    "the exporter on `{}` measures {} GPUs of the plan's {}",
                    node.plan.name,
                    measured.len(),
                    node.plan.gpus
                ));
            }
        }
        Ok(if problems.is_empty() { Ok(vec![format!("{gpus} GPUs")]) } else { Err(problems) })
    })
    .await
}

/// The UUIDs that a temperature is there for.
fn measured(text: &str) -> BTreeSet<String> {
    let lines = text.lines().filter(|line| line.starts_with("DCGM_FI_DEV_GPU_TEMP{"));
    lines.filter_map(|line| Some(line.split("UUID=\"").nth(1)?.split('"').next()?.to_owned())).collect()
}

/// What metrics say is wrong with GPUs of a node, a sentence each.
fn reported_faults(node: &str, text: &str) -> Vec<String> {
    let fault = |line: &str| {
        let uuid = line.split("UUID=\"").nth(1)?.split('"').next()?;
        let value: f64 = line.rsplit(' ').next()?.parse().ok()?;
        match line.split('{').next()? {
            "DCGM_FI_DEV_GPU_TEMP" if value >= TOO_HOT => Some(format!("{uuid} on `{node}` has {value} °C")),
            "DCGM_FI_DEV_XID_ERRORS" if value > 0.0 => {
                Some(format!("{uuid} on `{node}` reports XID {value}"))
            }
            _ => None,
        }
    };
    text.lines().filter_map(fault).collect()
}

async fn cuda(context: &Context) -> Looked {
    let nodes = planned(&context.site)?;
    let room = Room::make(context, "gpu-cuda").await?;
    for node in &nodes {
        let spec = json!({
            "nodeSelector": { "kubernetes.io/hostname": node.plan.name },
            "tolerations": [{ "operator": "Exists" }],
            "containers": [{ "name": "gpu", "image": CUDA_SAMPLE, "resources": { "limits": { RESOURCE: 1 } } }],
        });
        room.start(&node.plan.name, spec).await?;
    }
    let names: Vec<String> = nodes.iter().map(|node| node.plan.name.clone()).collect();
    let logs = room.logs(&names).await;
    room.clear().await;
    let silent = logs?.into_iter().filter(|(_, text)| !text.contains("Test PASSED"));
    let problems: Vec<String> =
        silent.map(|(node, _)| format!("on `{node}` it does not say `Test PASSED`")).collect();
    if problems.is_empty() { Ok(vec![format!("on {} nodes", nodes.len())]) } else { Err(problems) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_are_read_from_list_of_driver() {
        let text = "GPU 0: NVIDIA RTX A6000 (UUID: GPU-aa)\nGPU 1: Tesla T4 (UUID: GPU-bb)\n  MIG 1g (UUID: MIG-cc)\n";
        assert_eq!(uuids(text).into_iter().collect::<Vec<_>>(), ["GPU-aa", "GPU-bb"]);
        assert!(uuids("No devices were found").is_empty());
    }

    #[test]
    fn metrics_name_measured_gpus_and_their_faults() {
        let text = "# HELP DCGM_FI_DEV_GPU_TEMP t\n\
            DCGM_FI_DEV_GPU_TEMP{gpu=\"0\",UUID=\"GPU-aa\"} 34\nDCGM_FI_DEV_GPU_TEMP{gpu=\"1\",UUID=\"GPU-bb\"} 97\n\
            DCGM_FI_DEV_XID_ERRORS{gpu=\"0\",UUID=\"GPU-aa\"} 79\nDCGM_FI_DEV_XID_ERRORS{gpu=\"1\",UUID=\"GPU-bb\"} 0\n";
        assert_eq!(measured(text).into_iter().collect::<Vec<_>>(), ["GPU-aa", "GPU-bb"]);
        assert_eq!(reported_faults("n", text), ["GPU-bb on `n` has 97 °C", "GPU-aa on `n` reports XID 79"]);
    }
}
