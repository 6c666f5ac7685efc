//! Checks of GPUs that look below Kubernetes: the machines themselves, containerd, helm's record of the release.

use std::io::Read as _;

use anyhow::Context as _;
use base64::Engine as _;
use k8s_openapi::api::core::v1::Secret;
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use lab_core::gpu_operator::FIND_RUNTIME;
use lab_core::needs::Need;
use lab_core::spec::GpuRuntime;
use tokio_util::sync::CancellationToken;

use crate::process::invocation;
use crate::timeouts::GPU_LOOK_TIMEOUT;
use crate::validate::access::{Looked, Site};
use crate::validate::check::{BASE, Check};
use crate::wait::Deadline;

use super::gpu::{GpuNode, planned};
use super::gpu_pods::uuids;

/// Lists what a machine has: its PCI functions that draw or compute and are NVIDIA's, its driver's list of GPUs, and
/// whether the kernel's own driver holds one.
const MACHINE: &str = "for f in /sys/bus/pci/devices/*; do \
    case $(cat $f/vendor 2>/dev/null):$(cat $f/class 2>/dev/null) in 0x10de:0x0300*|0x10de:0x0302*) echo pci ${f##*/};; esac; done; \
    grep -q '^nouveau ' /proc/modules 2>/dev/null && echo nouveau; nvidia-smi -L 2>&1";
/// The socket of containerd's plugins (NRI).
const NRI: &str = "sudo test -S /var/run/nri/nri.sock && echo nri";

/// All of them log in to machines or read records; none makes anything.
pub const CHECKS: &[Check] = &[
    Check {
        id: "gpu-machines",
        title: "machines have the planned GPUs, and a driver that lists them",
        run: |context| Box::pin(machines(&context.site)),
        ..LOOK
    },
    Check {
        id: "gpu-runtime",
        title: "containerd on every planned node can give containers GPUs",
        run: |context| Box::pin(runtime(&context.site)),
        ..LOOK
    },
    Check {
        id: "gpu-release",
        title: "the release of the GPU Operator is deployed in the pinned version",
        run: |context| Box::pin(release(&context.site)),
        ..LOOK
    },
];

const LOOK: Check = Check { needs: &[Need::GpuOperator], deadline: |site| site.patience, ..BASE };

/// What a script prints on a machine.
async fn on_machine(site: &Site, machine: &str, script: &str) -> anyhow::Result<String> {
    let settings = site.ssh_settings.as_ref().context("the lab's settings of ssh are not known")?;
    let call = invocation("ssh").arg("-F").arg(settings).args(["-o", "BatchMode=yes", machine, "--", script]);
    let deadline = Deadline::after(GPU_LOOK_TIMEOUT.times(site.times));
    let output = call.output(&CancellationToken::new(), deadline).await?;
    // ssh itself failed; of the script the output says all.
    anyhow::ensure!(output.status.code() != Some(255), "{}", output.stderr.trim());
    Ok(output.stdout)
}

async fn machines(site: &Site) -> Looked {
    let mut problems = Vec::new();
    let mut seen = Vec::new();
    for node in planned(site)? {
        match on_machine(site, &node.plan.name, MACHINE).await {
            Ok(text) => match machine_problem(&node, &text) {
                None => seen.push(format!("{} {}", node.plan.name, node.plan.gpus)),
                Some(why) => problems.push(why),
            },
            Err(error) => problems.push(format!("`{}` cannot be logged in to: {error:#}", node.plan.name)),
        }
    }
    if problems.is_empty() { Ok(seen) } else { Err(problems) }
}

/// What is wrong with the GPUs of a machine, by what [`MACHINE`] printed.
fn machine_problem(node: &GpuNode, text: &str) -> Option<String> {
    let (machine, planned) = (&node.plan.name, node.plan.gpus as usize);
    let functions = text.lines().filter(|line| line.starts_with("pci ")).count();
    if functions != planned {
        return Some(format!(
            "`{machine}` has {functions} PCI functions of NVIDIA's GPUs, and the plan has {planned}"
        ));
    }
    if text.lines().any(|line| line == "nouveau") {
        return Some(format!(
            "on `{machine}` the kernel's own driver `nouveau` is loaded, which keeps NVIDIA's from its GPUs"
        ));
    }
    let listed = uuids(text);
    if listed.len() != planned {
        let said = text.lines().rfind(|line| !line.starts_with("pci ")).unwrap_or("nothing");
        return Some(format!(
            "the driver of `{machine}` lists {} GPUs, and the plan has {planned}; it said: {said}",
            listed.len()
        ));
    }
    (!node.uuids.is_empty() && listed != node.uuids)
        .then(|| format!("the driver of `{machine}` lists other GPUs than the plan"))
}

async fn runtime(site: &Site) -> Looked {
    let Some(spec) = &site.spec.gpu_operator else { return Err(vec![]) };
    let (script, lacks) = match spec.runtime {
        GpuRuntime::Toolkit => (
            FIND_RUNTIME,
            "does not know the toolkit's runtime: something wrote its configuration anew; `gpu-operator install` has it written again",
        ),
        GpuRuntime::Nri => (NRI, "has no socket for plugins (NRI)"),
    };
    let mut problems = Vec::new();
    let nodes = planned(site)?;
    for node in &nodes {
        match on_machine(site, &node.plan.name, script).await {
            Ok(text) if !text.trim().is_empty() => {}
            Ok(_) => problems.push(format!("containerd on `{}` {lacks}", node.plan.name)),
            Err(error) => problems.push(format!("`{}` cannot be logged in to: {error:#}", node.plan.name)),
        }
    }
    if problems.is_empty() { Ok(vec![format!("on {} nodes", nodes.len())]) } else { Err(problems) }
}

/// helm's newest record of the release. Its label says the state, the record itself the version of the chart.
async fn release(site: &Site) -> Looked {
    let Some(spec) = &site.spec.gpu_operator else { return Err(vec![]) };
    let api: Api<Secret> = Api::namespaced(site.client.clone(), &spec.namespace);
    let of = ListParams::default().labels("owner=helm,name=gpu-operator");
    let found = api.list(&of).await.map_err(|error| vec![error.to_string()])?.items;
    let revision =
        |secret: &Secret| secret.labels().get("version").and_then(|text| text.parse().ok()).unwrap_or(0u64);
    let Some(newest) = found.iter().max_by_key(|secret| revision(secret)) else {
        return Err(vec![format!("there is no release of it in `{}`", spec.namespace)]);
    };
    let status = newest.labels().get("status").map_or("unknown", String::as_str);
    let chart =
        newest.data.as_ref().and_then(|data| data.get("release")).map(|bytes| chart_version(&bytes.0));
    let chart = chart.transpose().map_err(|error| vec![format!("{error:#}")])?.unwrap_or_default();
    if status != "deployed" {
        return Err(vec![format!("the release is `{status}`")]);
    }
    if chart != spec.version {
        return Err(vec![format!(
            "the release is of chart {chart}, and the cluster file asks for {}",
            spec.version
        )]);
    }
    Ok(vec![format!("chart {chart}")])
}

/// The version of the chart in helm's record: JSON, compressed, as text of base 64.
fn chart_version(record: &[u8]) -> anyhow::Result<String> {
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(record)
        .context("helm's record is no text of base 64")?;
    let mut text = String::new();
    flate2::read::GzDecoder::new(bytes.as_slice())
        .read_to_string(&mut text)
        .context("helm's record is not compressed")?;
    let value: serde_json::Value = serde_json::from_str(&text).context("helm's record is no JSON")?;
    Ok(value["chart"]["metadata"]["version"].as_str().unwrap_or_default().to_owned())
}
