//! Checks that look out of pods: names, pods, services, policies, logs and commands.

use std::time::Duration;

use anyhow::Context as _;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::Api;
use kube::api::{LogParams, PostParams};
use lab_core::needs::Need;
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::timeouts::{
    CLOSED_PORT_TIMEOUT, NODE_PORT_TIMEOUT, POD_NETWORK_TIMEOUT, POLICY_INTERVAL, POLICY_TIMEOUT,
};
use crate::wait::{Deadline, until};

use crate::validate::access::{Looked, Site};
use crate::validate::check::{BASE, Check};
use crate::validate::probes::{PORT, Probe, Probes};

/// The check of the probes themselves.
pub const PROBES: &str = "probes";

/// All but the first look out of probes.
pub const CHECKS: &[Check] = &[
    Check {
        id: PROBES,
        title: "every node runs a pod",
        needs: &[],
        deadline: |_| Duration::ZERO,
        run: |context| {
            Box::pin(async {
                context.probes().await.map(|probes| vec![format!("{} pods", probes.each.len())])
            })
        },
        ..LOOKS_OUT
    },
    Check {
        id: "dns",
        title: "names resolve on every node",
        // A pod answers, and may be on its way up as long as any.
        deadline: |site| site.patience.max(POD_NETWORK_TIMEOUT.times(site.times)),
        run: |context| Box::pin(async { dns(context.probes().await?).await }),
        ..LOOKS_OUT
    },
    Check {
        id: "pod-to-pod",
        title: "pods reach each other between all nodes",
        needs: &[Need::TwoNodes, Need::Probes],
        run: |context| Box::pin(async { pod_to_pod(context.probes().await?).await }),
        ..LOOKS_OUT
    },
    Check {
        id: "service",
        title: "a service is reached from every node",
        run: |context| Box::pin(async { service(context.probes().await?).await }),
        ..LOOKS_OUT
    },
    Check {
        id: "node-port",
        title: "a port of every node leads to a service",
        run: |context| Box::pin(async { node_port(&context.site, context.probes().await?).await }),
        ..LOOKS_OUT
    },
    Check {
        id: "network-policy",
        title: "policies deny and allow",
        // Policies wait for themselves, and are made once.
        deadline: |_| Duration::ZERO,
        run: |context| Box::pin(async { network_policy(context.probes().await?).await }),
        ..LOOKS_OUT
    },
    Check {
        id: "logs",
        title: "logs of containers can be read",
        run: |context| Box::pin(async { logs(context.probes().await?).await }),
        ..LOOKS_OUT
    },
    Check {
        id: "exec",
        title: "commands run in containers",
        run: |context| Box::pin(async { exec(context.probes().await?).await }),
        ..LOOKS_OUT
    },
];

/// What these checks share.
const LOOKS_OUT: Check =
    Check { needs: &[Need::Probes], deadline: |site| POD_NETWORK_TIMEOUT.times(site.times), ..BASE };

/// A pod on each node resolves the API's name and that of a service made just now.
async fn dns(probes: &Probes) -> Looked {
    let own = format!("target.{}.svc:80", probes.namespace);
    let names = ["kubernetes.default.svc:443".to_owned(), own];
    let mut tries = Vec::new();
    for from in &probes.each {
        tries.extend(names.iter().map(|name| (from.clone(), name.clone())));
    }
    let failed = all(probes, tries).await.into_iter().filter(|(_, why)| !is_resolved(why));
    result(failed, format!("{} names from {} nodes", names.len(), probes.each.len()))
}

/// Whether the name was resolved to which there was no connection: the fault is then a service's, not one of names. agnhost
/// begins what it says of a connection with these words (test/images/agnhost/connect). A pod that does not answer at all
/// may wait for a name.
fn is_resolved(why: &str) -> bool {
    ["TIMEOUT", "REFUSED", "OTHER"].iter().any(|word| why.starts_with(word))
}

/// A pod on each node connects to a pod on each other node.
async fn pod_to_pod(probes: &Probes) -> Looked {
    let mut pairs = Vec::new();
    for from in &probes.each {
        let others = probes.each.iter().filter(|to| to.node != from.node);
        pairs.extend(others.map(|to| (from.clone(), format!("{}:{PORT}", to.address))));
    }
    let count = pairs.len();
    result(all(probes, pairs).await, format!("{count} ordered pairs"))
}

/// A pod on each node connects to a service by its address.
async fn service(probes: &Probes) -> Looked {
    let address = format!("{}:80", probes.service);
    let tries = probes.each.iter().map(|from| (from.clone(), address.clone())).collect();
    result(all(probes, tries).await, format!("from {} nodes", probes.each.len()))
}

/// The service answers on its port of every node, asked from outside the cluster.
async fn node_port(site: &Site, probes: &Probes) -> Looked {
    let client = reqwest::Client::builder().no_proxy().timeout(NODE_PORT_TIMEOUT.times(site.times)).build();
    let client = client.map_err(|error| vec![error.to_string()])?;
    let mut wrong = Vec::new();
    let nodes: Vec<_> = site
        .spec
        .machines
        .iter()
        .filter(|machine| probes.each.iter().any(|probe| probe.node == machine.name))
        .collect();
    for machine in &nodes {
        let url = format!("http://{}:{}/hostname", machine.address, probes.node_port);
        let answer = async { client.get(&url).send().await?.error_for_status()?.text().await };
        match answer.await {
            Ok(text) if text.trim() == probes.target.pod => {}
            Ok(text) => {
                wrong.push(format!("`{}` answers {:?}, not the name of the pod", machine.name, text.trim()))
            }
            Err(error) => wrong.push(format!("`{}`: {:#}", machine.name, anyhow::Error::from(error))),
        }
    }
    if wrong.is_empty() { Ok(vec![format!("{} nodes", nodes.len())]) } else { Err(wrong) }
}

/// A policy keeps out what could come in before; a second one lets in one pod and no other.
async fn network_policy(probes: &Probes) -> Looked {
    let to = format!("{}:{PORT}", probes.guarded.address);
    let stranger = probes.each.iter().find(|probe| probe.node != probes.guarded.node).or(probes.each.first());
    let Some(stranger) = stranger else { return Err(vec!["there is no probe to be kept out".to_owned()]) };
    for from in [stranger, &probes.friend] {
        // Its control: what a policy keeps out must come in without one.
        comes_to(probes, from, &to, true).await?;
    }
    let policies: Api<NetworkPolicy> = Api::namespaced(probes.client.clone(), &probes.namespace);
    let make = async |name: &str, from: serde_json::Value| {
        let policy = json!({
            "metadata": { "name": name },
            "spec": { "podSelector": { "matchLabels": { "app": "guarded" } }, "policyTypes": ["Ingress"], "ingress": from },
        });
        let policy: NetworkPolicy = serde_json::from_value(policy).context("a policy of ours is none")?;
        policies.create(&PostParams::default(), &policy).await.context("the API refuses a policy")
    };
    let error = |error: anyhow::Error| vec![format!("{error:#}")];
    make("deny", json!([])).await.map_err(error)?;
    for from in [stranger, &probes.friend] {
        comes_to(probes, from, &to, false).await?;
    }
    make("allow", json!([{ "from": [{ "podSelector": { "matchLabels": { "app": "friend" } } }] }]))
        .await
        .map_err(error)?;
    comes_to(probes, &probes.friend, &to, true).await?;
    comes_to(probes, stranger, &to, false).await?;
    Ok(vec!["one denies, one allows, each after its control".to_owned()])
}

/// Waits until a pod can or cannot connect.
async fn comes_to(probes: &Probes, from: &Probe, to: &str, can: bool) -> Result<(), Vec<String>> {
    let what = format!("`{}` {} reach the pod", from.pod, if can { "can" } else { "cannot" });
    let deadline = Deadline::after(POLICY_TIMEOUT.times(probes.times));
    until(&CancellationToken::new(), &what, deadline, POLICY_INTERVAL, || async {
        match (probes.cannot_connect(from, to).await, can) {
            (None, true) => crate::wait::Probe::Ready(()),
            // A refusal is an answer too: the policy may reject, or drop.
            (Some(why), false) if why == "TIMEOUT" || why == "REFUSED" => crate::wait::Probe::Ready(()),
            (Some(why), _) => crate::wait::Probe::NotYet(why),
            (None, false) => crate::wait::Probe::NotYet("it can".to_owned()),
        }
    })
    .await
    .map_err(|error| vec![error.to_string()])
}

/// The log of a container can be read.
async fn logs(probes: &Probes) -> Looked {
    let pods: Api<Pod> = Api::namespaced(probes.client.clone(), &probes.namespace);
    let mut wrong = Vec::new();
    for probe in &probes.each {
        match pods.logs(&probe.pod, &LogParams::default()).await {
            Ok(text) if text.contains("HTTP server") => {}
            Ok(text) => wrong.push(format!(
                "on `{}` the log says {:?}",
                probe.node,
                text.lines().next().unwrap_or_default()
            )),
            Err(error) => wrong.push(format!("on `{}`: {error}", probe.node)),
        }
    }
    if wrong.is_empty() { Ok(vec![format!("from {} nodes", probes.each.len())]) } else { Err(wrong) }
}

/// A command in a container runs, its output arrives, and its failure is reported.
async fn exec(probes: &Probes) -> Looked {
    let timeout = format!("--timeout={}s", CLOSED_PORT_TIMEOUT.as_secs());
    let refused = ["/agnhost", "connect", &timeout, "127.0.0.1:1"];
    let mut wrong = Vec::new();
    for probe in &probes.each {
        let (good, bad) =
            tokio::join!(probes.exec(probe, &["/agnhost", "--help"]), probes.exec(probe, &refused));
        match (good, bad) {
            (Ok(good), Ok(bad)) if good.well && good.stdout.contains("netexec") && !bad.well => {}
            (Ok(good), Ok(bad)) => wrong.push(format!(
                "on `{}`: a command that ends well did{}, one that fails did{}",
                probe.node,
                if good.well { "" } else { " not" },
                if bad.well { " not" } else { "" }
            )),
            (Err(error), _) | (_, Err(error)) => wrong.push(format!("on `{}`: {error:#}", probe.node)),
        }
    }
    if wrong.is_empty() { Ok(vec![format!("on {} nodes", probes.each.len())]) } else { Err(wrong) }
}

/// Tries all connections at once, and gives those that did not come about: who to where, and why.
async fn all(probes: &Probes, tries: Vec<(Probe, String)>) -> Vec<(String, String)> {
    let mut work = JoinSet::new();
    for (from, to) in tries {
        let probes = probes.clone();
        work.spawn(async move {
            let why = probes.cannot_connect(&from, &to).await?;
            Some((format!("from `{}` to {to}", from.node), why))
        });
    }
    let mut failed: Vec<(String, String)> = work.join_all().await.into_iter().flatten().collect();
    failed.sort();
    failed
}

fn result(failed: impl IntoIterator<Item = (String, String)>, good: String) -> Looked {
    let failed: Vec<String> = failed.into_iter().map(|(what, why)| format!("{what}: {why}")).collect();
    if failed.is_empty() { Ok(vec![good]) } else { Err(failed) }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::no_such_name("DNS: lookup target.a.svc: no such host", false)]
    #[case::waits_for_a_name("no answer from `probe-7f` within 30 s", false)]
    #[case::nothing_listens("REFUSED", true)]
    #[case::nothing_comes_back("TIMEOUT", true)]
    fn name_is_resolved_after_attempt_to_connect(#[case] why: &str, #[case] expected: bool) {
        assert_eq!(is_resolved(why), expected);
    }
}
