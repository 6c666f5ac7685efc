//! Pods of our own, which checks look out of: one on every node, one that is talked to, one that is let in.
//!
//! They run agnhost, the image of Kubernetes' own tests: it serves its name over HTTP and says why a connection did not
//! come about (`connect`: `DNS`, `REFUSED`, `TIMEOUT`). All of it is in a namespace of its own, which is removed.

use std::collections::BTreeMap;

use anyhow::Context as _;
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Namespace, Pod, Service, ServiceAccount};
use kube::api::{AttachParams, DeleteParams, ListParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;

use crate::timeouts::{POD_CONNECT_TIMEOUT, POD_EXEC_TIMEOUT, POD_REMOVAL_TIMEOUT};
use crate::wait::Deadline;

use super::access::{Site, error_text};
use super::suites::cluster::not_well;

/// The port that pods serve their name on.
pub const PORT: u16 = 8080;
/// The label of every namespace of checks.
pub const OURS: &str = "lab.checks";

/// The probes of one run, all ready.
#[derive(Clone)]
pub struct Probes {
    /// The cluster's API.
    pub client: Client,
    /// Their namespace.
    pub namespace: String,
    /// A pod on every node, in the order of their nodes' names.
    pub each: Vec<Probe>,
    /// The pod that is talked to through a service.
    pub target: Probe,
    /// The pod that policies guard. No other check talks to it, because they all run at the same time.
    pub guarded: Probe,
    /// The pod that a policy lets in.
    pub friend: Probe,
    /// The service's address.
    pub service: String,
    /// Its port on every node.
    pub node_port: u16,
    /// How many times longer than usual anything may take.
    pub times: u32,
}

/// A pod.
#[derive(Debug, Clone)]
pub struct Probe {
    /// Its name.
    pub pod: String,
    /// Where it runs.
    pub node: String,
    /// Its address.
    pub address: String,
}

/// What a command in a pod came to.
pub struct Executed {
    /// Whether it ended well.
    pub well: bool,
    /// What it said on standard output.
    pub stdout: String,
    /// What it said on standard error, without its last line break.
    pub stderr: String,
}

impl Probes {
    /// Makes the probes and waits until all are ready.
    ///
    /// # Errors
    /// With what keeps them.
    pub async fn make(site: &Site, nodes: usize) -> Result<Self, Vec<String>> {
        Self::try_make(site, nodes).await.unwrap_or_else(|error| Err(vec![error_text(&error)]))
    }

    async fn try_make(site: &Site, nodes: usize) -> anyhow::Result<Result<Self, Vec<String>>> {
        let image = site.agnhost.as_deref().context(
            "the image that probes run is not known: `cargo xtask artifacts list` of the cluster finds it out",
        )?;
        let client = site.client.clone();
        let name = format!("lab-checks-{}", std::process::id());
        let create = PostParams::default();
        let namespaces: Api<Namespace> = Api::all(client.clone());
        namespaces
            .create(&create, &of(json!({ "metadata": { "name": name, "labels": { OURS: "" } } }))?)
            .await?;
        // No pod is let in before the controller manager has made this.
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), &name);
        let account = site
            .settle(accounts.clone(), || async {
                let lacking = || vec![format!("the new namespace `{name}` gets no service account: the controller manager does not work")];
                Ok(accounts.get_opt("default").await?.map(|_| Vec::new()).ok_or_else(lacking))
            })
            .await;
        if let Err(why) = account {
            return Ok(Err(why));
        }
        let pods: Api<Pod> = Api::namespaced(client.clone(), &name);
        let sets: Api<DaemonSet> = Api::namespaced(client.clone(), &name);
        let services: Api<Service> = Api::namespaced(client.clone(), &name);
        let (set, service) = (of(probe_set(image))?, of(target_service())?);
        let single = |name: &str| {
            of::<Pod>(
                json!({ "metadata": { "name": name, "labels": { "app": name } }, "spec": pod_spec(image) }),
            )
        };
        let (target, guarded, friend) = (single("target")?, single("guarded")?, single("friend")?);
        let (_, _, _, _, service) = tokio::try_join!(
            sets.create(&create, &set),
            pods.create(&create, &target),
            pods.create(&create, &guarded),
            pods.create(&create, &friend),
            services.create(&create, &service),
        )?;
        let spec = service.spec.context("the service has no addresses")?;
        let ready = site
            .settle(pods.clone(), || async {
                let pods = pods.list(&ListParams::default()).await?.items;
                let problems: Vec<String> = pods.iter().filter_map(not_well).collect();
                let lacking = (nodes + 3).saturating_sub(pods.len());
                Ok(match (problems.is_empty(), lacking) {
                    (true, 0) => Ok(vec![]),
                    (true, lacking) => Err(vec![format!("{lacking} probes were not placed on a node")]),
                    (false, _) => Err(problems),
                })
            })
            .await;
        if let Err(why) = ready {
            return Ok(Err(why));
        }
        let mut all = placed(&pods).await?;
        let target = all.remove("target").context("the target is gone")?;
        let guarded = all.remove("guarded").context("the guarded pod is gone")?;
        let friend = all.remove("friend").context("the friend is gone")?;
        let mut each: Vec<Probe> = all.into_values().collect();
        each.sort_by(|one, other| one.node.cmp(&other.node));
        let port = spec.ports.iter().flatten().find_map(|port| port.node_port);
        Ok(Ok(Self {
            namespace: name,
            each,
            target,
            guarded,
            friend,
            service: spec.cluster_ip.context("the service has no address")?,
            node_port: port
                .and_then(|port| u16::try_from(port).ok())
                .context("the service has no port on nodes")?,
            client,
            times: site.times,
        }))
    }

    /// Runs a command in a pod.
    ///
    /// # Errors
    /// When the API refuses or does not answer in time.
    pub async fn exec(&self, probe: &Probe, words: &[&str]) -> anyhow::Result<Executed> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        let deadline = Deadline::after(POD_EXEC_TIMEOUT.times(self.times));
        let done = async {
            let mut attached = pods.exec(&probe.pod, words.iter().copied(), &AttachParams::default()).await?;
            let status = attached.take_status();
            let (mut stdout, mut stderr) = (String::new(), String::new());
            if let Some(mut stream) = attached.stdout() {
                stream.read_to_string(&mut stdout).await?;
            }
            if let Some(mut stream) = attached.stderr() {
                stream.read_to_string(&mut stderr).await?;
            }
            let status = match status {
                Some(status) => status.await,
                None => None,
            };
            let status = status.context("the API did not say how the command ended")?;
            let well = status.status.as_deref() == Some("Success");
            let stderr = stderr.trim_end().to_owned();
            anyhow::Ok(Executed { well, stdout, stderr })
        };
        tokio::select! {
            done = done => done,
            () = deadline.passed() => anyhow::bail!("no answer from `{}` within {} s", probe.pod, deadline.length().as_secs()),
        }
    }

    /// Why a pod cannot connect to `to`; `None` where it can.
    pub async fn cannot_connect(&self, from: &Probe, to: &str) -> Option<String> {
        let timeout = format!("--timeout={}s", POD_CONNECT_TIMEOUT.times(self.times).as_secs());
        match self.exec(from, &["/agnhost", "connect", &timeout, to]).await {
            Ok(Executed { well: true, .. }) => None,
            Ok(Executed { stderr, .. }) => {
                Some(stderr.lines().next().unwrap_or("it did not say why").to_owned())
            }
            Err(error) => Some(format!("{error:#}")),
        }
    }
}

/// Where each pod runs, by its name.
async fn placed(pods: &Api<Pod>) -> anyhow::Result<BTreeMap<String, Probe>> {
    let probe = |pod: Pod| {
        let name = pod.name_any();
        let node = pod.spec.and_then(|spec| spec.node_name).unwrap_or_default();
        let address = pod.status.and_then(|status| status.pod_ip).unwrap_or_default();
        (name.clone(), Probe { pod: name, node, address })
    };
    Ok(pods.list(&ListParams::default()).await?.items.into_iter().map(probe).collect())
}

/// Removes what checks made, also that of runs that were ended, and waits until its pods are gone. The emptied namespaces go
/// as soon as every API of the cluster answers, that of metrics too (`NamespaceDeletionDiscoveryFailure`).
///
/// # Errors
/// When pods do not go, with what the API says of that.
pub async fn remove(site: &Site) -> anyhow::Result<()> {
    let namespaces: Api<Namespace> = Api::all(site.client.clone());
    let deadline = Deadline::after(POD_REMOVAL_TIMEOUT.times(site.times));
    for found in namespaces.list_metadata(&ListParams::default().labels(OURS)).await? {
        let name = found.name_any();
        let pods: Api<Pod> = Api::namespaced(site.client.clone(), &name);
        if found.metadata.deletion_timestamp.is_none() {
            // Else it would make its pods again.
            let sets: Api<DaemonSet> = Api::namespaced(site.client.clone(), &name);
            sets.delete_collection(&DeleteParams::default(), &ListParams::default()).await?;
            pods.delete_collection(&DeleteParams::default().grace_period(0), &ListParams::default()).await?;
            namespaces.delete(&name, &DeleteParams::default()).await?;
        }
        for pod in pods.list_metadata(&ListParams::default()).await? {
            let (pod, uid) = (pod.name_any(), pod.uid().unwrap_or_default());
            let is_gone = kube::runtime::conditions::is_deleted(&uid);
            tokio::select! {
                gone = kube::runtime::wait::await_condition(pods.clone(), &pod, is_gone) => drop(gone?),
                () = deadline.passed() => {
                    let seconds = deadline.length().as_secs();
                    anyhow::bail!("the pod `{pod}` of the namespace `{name}` does not go within {seconds} s");
                }
            }
        }
    }
    Ok(())
}

/// A probe on every node.
fn probe_set(image: &str) -> Value {
    json!({
        "metadata": { "name": "probe" },
        "spec": {
            "selector": { "matchLabels": { "app": "probe" } },
            "template": { "metadata": { "labels": { "app": "probe" } }, "spec": pod_spec(image) },
        },
    })
}

/// The service whose pod is `target`, with a port on every node.
fn target_service() -> Value {
    json!({
        "metadata": { "name": "target" },
        "spec": {
            "type": "NodePort",
            "selector": { "app": "target" },
            "ports": [{ "port": 80, "targetPort": PORT }],
        },
    })
}

fn pod_spec(image: &str) -> Value {
    json!({
        "containers": [{
            "name": "agnhost",
            "image": image,
            "args": ["netexec", format!("--http-port={PORT}")],
            "readinessProbe": { "httpGet": { "path": "/healthz", "port": PORT }, "periodSeconds": 1 },
        }],
        // On every node, with any taint.
        "tolerations": [{ "operator": "Exists" }],
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
    })
}

fn of<T: serde::de::DeserializeOwned>(value: Value) -> anyhow::Result<T> {
    serde_json::from_value(value).context("our own object is not of Kubernetes' shape")
}
