//! What a cluster has right now, asked on its machines: which of them can be logged in to, its nodes, its etcd.
//!
//! Asked there and not through the kubeconfig, which names one control plane: what was lost is what this is for.
//! Changes nothing, decides nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Context as _;
use k8s_openapi::api::core::v1::Node;
use kube::api::ObjectList;
use lab_core::deploy::change::{Etcd, Living, LivingNode, read_etcd};
use lab_core::spec::Role;

use crate::cx::Cx;
use crate::files;
use crate::life::lab::{Lab, Reached};
use crate::life::reach;
use crate::wait::Deadline;

use super::kubeconfig::{ADMIN, api_port, control_planes};

/// How long a machine may take to let somebody in, and to answer one question. A machine that is gone answers nothing.
const ANSWER: Duration = Duration::from_secs(20);
/// For how long Ansible's facts of a machine count; less than it keeps them (`fact_caching_timeout`), so that none run out
/// in the middle of a playbook.
const FRESH: Duration = Duration::from_secs(20 * 3600);
/// Where Kubespray says how etcd is reached on a member (roles/etcd/templates/etcd.env.j2).
const ETCD_SETTINGS: &str = "/etc/etcd.env";
/// The client, which is not to wait for a member that is gone.
const ETCDCTL: &str = "etcdctl --command-timeout=5s --write-out=json";

/// Looks.
///
/// # Errors
/// When the user asks to stop.
pub async fn look(cx: &Cx, lab: &Lab, reached: &Reached) -> anyhow::Result<Living> {
    let mut logins = Vec::new();
    for machine in &lab.spec.machines {
        let (cx, name) = (cx.clone(), machine.name.clone());
        let probe = reached.inside(&reach::ssh(lab, &name).args(["-o", "ConnectTimeout=5", "--", "true"]));
        logins.push(tokio::spawn(async move {
            let answered = probe.output(&cx.cancel, Deadline::after(ANSWER)).await;
            answered.is_ok_and(|output| output.status.success()).then_some(name)
        }));
    }
    let mut living = Living { remembered: remembered(lab)?, ..Living::default() };
    for login in logins {
        living.reached.extend(login.await.context("a login broke off")?);
    }
    for machine in control_planes(lab).filter(|machine| living.reached.contains(&machine.name)) {
        if let Some(nodes) = nodes(cx, lab, reached, &machine.name).await {
            living.answering.insert(machine.name.clone());
            living.nodes.get_or_insert(nodes);
        }
    }
    let members = lab.spec.machines.iter().filter(|machine| machine.roles.contains(&Role::Etcd));
    for machine in members.filter(|machine| living.reached.contains(&machine.name)) {
        let etcd = etcd(cx, lab, reached, &machine.name).await;
        // One that knows of a majority knows more than one that does not.
        let is_better = match (&living.etcd, &etcd) {
            (None, Some(_)) => true,
            (Some(known), Some(new)) => new.quorum && !known.quorum,
            _ => false,
        };
        if is_better {
            living.etcd = etcd;
        }
        if living.etcd.as_ref().is_some_and(|etcd| etcd.quorum) {
            break;
        }
    }
    anyhow::ensure!(
        !cx.cancel.is_cancelled(),
        crate::wait::WaitError::Cancelled { what: "a look at the cluster".to_owned() }
    );
    Ok(living)
}

/// The machines whose facts Ansible remembers.
fn remembered(lab: &Lab) -> anyhow::Result<BTreeSet<String>> {
    let folder = lab.files.facts();
    let is_fresh = |name: &String| {
        let written = folder.join(name).metadata().and_then(|found| found.modified());
        written.is_ok_and(|at| at.elapsed().is_ok_and(|age| age < FRESH))
    };
    Ok(files::names(&folder)?.into_iter().filter(is_fresh).collect())
}

/// The nodes, as the API server of one control plane knows them.
async fn nodes(cx: &Cx, lab: &Lab, reached: &Reached, machine: &str) -> Option<Vec<LivingNode>> {
    let server = format!("https://127.0.0.1:{}", api_port(lab));
    let words = ["kubectl", "--kubeconfig", ADMIN, "--server", &server, "--request-timeout", "10s"];
    let words = words.into_iter().chain(["get", "nodes", "--output", "json"]);
    let text = said(cx, lab, reached, machine, &words.collect::<Vec<_>>().join(" ")).await?;
    let list: ObjectList<Node> = serde_json::from_str(&text).ok()?;
    let nodes = list.items.into_iter().map(|node| {
        let status = node.status.unwrap_or_default();
        let ready = status.conditions.iter().flatten().find(|condition| condition.type_ == "Ready");
        LivingNode {
            name: node.metadata.name.unwrap_or_default(),
            ready: ready.is_some_and(|ready| ready.status == "True"),
            version: status
                .node_info
                .map(|info| info.kubelet_version.trim_start_matches('v').to_owned())
                .unwrap_or_default(),
        }
    });
    Some(nodes.collect())
}

/// The etcd, as one member knows it; `None` where there is none on the machine, or it does not answer.
async fn etcd(cx: &Cx, lab: &Lab, reached: &Reached, machine: &str) -> Option<Etcd> {
    // The settings name the member's own address; etcdctl refuses another beside it as an argument.
    let ask = async |etcdctl: &str| {
        let program = format!("sh -c 'set -a; . {ETCD_SETTINGS}; {etcdctl}'");
        said(cx, lab, reached, machine, &program).await
    };
    if let Some(members) = ask(&format!("{ETCDCTL} member list")).await {
        // Some of what it says may be that a member is not well.
        let health = ask(&format!("{ETCDCTL} endpoint health --cluster || true")).await.unwrap_or_default();
        return Some(read_etcd(&lab.spec, &members, &health, ""));
    }
    let members = lab.spec.machines.iter().filter(|machine| machine.roles.contains(&Role::Etcd));
    let endpoints: Vec<String> = members.map(|machine| format!("https://{}:2379", machine.address)).collect();
    let all = endpoints.join(",");
    let status = ask(&format!("ETCDCTL_ENDPOINTS={all} {ETCDCTL} endpoint status || true")).await?;
    let etcd = read_etcd(&lab.spec, "", "", &status);
    etcd.members.iter().any(|member| member.healthy).then_some(etcd)
}

/// What a command says as root on a machine; `None` where it fails.
async fn said(cx: &Cx, lab: &Lab, reached: &Reached, machine: &str, command: &str) -> Option<String> {
    let run = reached.inside(&reach::ssh(lab, machine).args(["--", "sudo", command]));
    let output = run.output(&cx.cancel, Deadline::after(ANSWER)).await.ok()?;
    output.status.success().then_some(output.stdout)
}
