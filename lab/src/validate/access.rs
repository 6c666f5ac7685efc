//! What every check is given: the cluster's API, what must be, how long to wait for it.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::utils::Backoff;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Config, Resource};
use lab_core::artifacts::lock::Lock;
use lab_core::spec::ClusterSpec;
use serde::de::DeserializeOwned;
use tokio_stream::StreamExt as _;

use crate::cluster::kubeconfig::inner_server;
use crate::files;
use crate::lab::Lab;
use crate::timeouts::{API_CONNECT_TIMEOUT, WATCH_RETRY_INTERVAL};
use crate::wait::Deadline;

/// The start of a detail if the cluster's API gave no answer at all.
pub const NO_ANSWER: &str = "the API does not answer";

/// How it begins where there was none in time: the API may be well, and slow.
const LATE_ANSWER: &str = "the API does not answer in time";
/// Messages of an API server if etcd or itself was too slow (`ErrTimeout` of etcd's rpctypes; `NewTimeoutError` of
/// apimachinery).
const LATE_INSIDE: [&str; 2] = ["etcdserver: request timed out", "request did not complete within"];

/// The result of a look: the observed amount if nothing is wrong, or the problems.
pub type Looked = Result<Vec<String>, Vec<String>>;

/// A cluster that is checked.
#[derive(Clone)]
pub struct Site {
    /// The cluster's API.
    pub client: Client,
    /// What must be.
    pub spec: Arc<ClusterSpec>,
    /// The version of Kubernetes, `1.34.3`, where the cluster file or Kubespray says one.
    pub kubernetes: Option<String>,
    /// The image that probes run; `None` if the cluster has no lock.
    pub agnhost: Option<String>,
    /// The image that pods run which look at GPUs; `None` if the cluster has no GPU Operator.
    pub gpu_image: Option<String>,
    /// The lab's settings of ssh, for checks that look at machines.
    pub ssh_settings: Option<PathBuf>,
    /// How long to wait for what must come true by itself; zero for one look.
    pub patience: Duration,
    /// When each machine was started last, in seconds of Unix time: what the cluster knows from before is of an earlier run.
    pub started: BTreeMap<String, i64>,
    /// How many times longer than a real processor those of the machines may take for anything.
    pub times: u32,
    /// Whether a pod of the system that runs, and has not run for long, need not be ready yet.
    pub lenient: bool,
}

impl Site {
    /// The cluster of a lab, seen from inside its network.
    ///
    /// # Errors
    /// When the lab has no kubeconfig that can be used.
    pub async fn open(lab: &Lab, patience: Duration, times: u32, lenient: bool) -> anyhow::Result<Self> {
        let path = lab.files.kubeconfig();
        let kubeconfig = Kubeconfig::read_from(&path).context("cannot use the lab's kubeconfig")?;
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        config.cluster_url = inner_server(lab)?.parse()?;
        config.connect_timeout = Some(API_CONNECT_TIMEOUT.times(times));
        let lock = files::read_own::<Lock>(&lab.files.artifacts_lock())?;
        let image = |name: &str| {
            let found = lock.as_ref()?.images.iter().find(|image| image.name == name)?;
            Some(found.image.clone())
        };
        let (agnhost, gpu_image) = (image("agnhost"), image(lab_core::gpu_operator::VALIDATOR));
        Ok(Self {
            client: Client::try_from(config)?,
            spec: lab.spec.clone(),
            agnhost,
            gpu_image,
            ssh_settings: Some(lab.files.ssh_config()),
            kubernetes: lab.spec.kubernetes.version.clone().or(lock.map(|lock| lock.kubernetes)),
            patience,
            started: started(lab)?,
            times,
            lenient,
        })
    }

    /// Whether something that a machine said is of its present run. Clocks of machines are some tenths of a second apart.
    pub fn is_of_this_run(&self, machine: &str, time: Timestamp) -> bool {
        const APART: i64 = 2;
        self.started.get(machine).is_none_or(|started| time.as_second() + APART >= *started)
    }

    /// Looks until nothing is wrong, again whenever something of the watched kind changes, or until patience ends.
    pub async fn settle<K, F>(&self, api: Api<K>, look: impl Fn() -> F) -> Looked
    where
        K: Resource + Clone + std::fmt::Debug + Send + DeserializeOwned + 'static,
        F: Future<Output = anyhow::Result<Looked>>,
    {
        let deadline = Deadline::after(self.patience);
        let mut changes = std::pin::pin!(watcher(api, watcher::Config::default()).backoff(Again));
        loop {
            let looked = look().await.unwrap_or_else(|error| Err(vec![failure_detail(&error)]));
            if looked.is_ok() || deadline.remaining().is_zero() {
                return looked;
            }
            tokio::select! {
                // The next look meets an error of the watch too. The watch goes on by itself.
                _ = changes.next() => {}
                () = deadline.passed() => {}
            }
        }
    }
}

/// How long a watch waits before it goes on after an error.
struct Again;

impl Iterator for Again {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(WATCH_RETRY_INTERVAL)
    }
}

impl Backoff for Again {
    fn reset(&mut self) {}
}

fn started(lab: &Lab) -> anyhow::Result<BTreeMap<String, i64>> {
    let started = lab.state()?.map(|state| state.get().started).unwrap_or_default();
    Ok(started.into_iter().map(|(machine, at)| (machine, at.as_second())).collect())
}

/// Why there is nothing to look at. An error that the API answers with is an answer.
fn failure_detail(error: &anyhow::Error) -> String {
    let timed_out = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref().is_some_and(|error: &std::io::Error| error.kind() == ErrorKind::TimedOut)
    };
    match error.downcast_ref() {
        Some(kube::Error::Api(_)) => error_text(error),
        _ if error.chain().any(timed_out) => format!("{LATE_ANSWER}: {error:#}"),
        _ => format!("{NO_ANSWER}: {error:#}"),
    }
}

/// Whether a detail of a check reports a late answer, by the clock of the checks or that of the API.
pub fn is_late(detail: &str) -> bool {
    detail.starts_with(LATE_ANSWER) || LATE_INSIDE.iter().any(|text| detail.contains(text))
}

/// An error in words: of one that the API answers with, only those that are meant for people.
pub fn error_text(error: &anyhow::Error) -> String {
    match error.downcast_ref() {
        Some(kube::Error::Api(status)) if !status.message.is_empty() => status.message.clone(),
        _ => format!("{error:#}"),
    }
}

#[cfg(test)]
impl Site {
    /// The cluster of no lab, for tests: one node, looked at once.
    pub fn of_tests(config: Config) -> Self {
        let text = "apiVersion: lab/v1alpha1\nkind: Cluster\nname: quick\nmachines:\n  - name: node\n    roles: [control-plane]\n";
        let source = lab_core::source::SourceFile { path: "cluster.yaml".to_owned(), text: text.to_owned() };
        Self {
            client: Client::try_from(config).unwrap(),
            spec: Arc::new(lab_core::cluster::check(&source, None).spec.unwrap()),
            kubernetes: None,
            agnhost: None,
            gpu_image: None,
            ssh_settings: None,
            patience: Duration::ZERO,
            started: BTreeMap::new(),
            times: 1,
            lenient: false,
        }
    }
}
