//! What a check is: data, which the runner carries out without knowing what it looks at.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lab_core::gpu_operator::has_stand_ins;
use lab_core::needs::Need;
use lab_core::validate::expected;
use tokio::sync::OnceCell;

use super::access::{Looked, Site};
use super::probes::Probes;

/// Why a check that looks out of pods is skipped where those do not run.
pub const NO_PROBES: &str = "the pods that it looks out of do not run: see `probes`";

/// A check of a living cluster.
pub struct Check {
    /// Its name for scripts: `pod-to-pod`.
    pub id: &'static str,
    /// The fact that it proves, as a sentence.
    pub title: &'static str,
    /// What must be there; else it is skipped, with the reason.
    pub needs: &'static [Need],
    /// Other checks see what it does: it runs alone, after them.
    pub disturbs: bool,
    /// For how long the runner looks again while something is wrong. Zero for a check that waits by itself.
    pub deadline: fn(&Site) -> Duration,
    /// Looks once, or until nothing is wrong.
    pub run: for<'a> fn(&'a Context) -> Pin<Box<dyn Future<Output = Looked> + Send + 'a>>,
}

/// What most checks share: they need nothing, disturb nothing, and wait by themselves.
pub const BASE: Check = Check {
    id: "",
    title: "",
    needs: &[],
    disturbs: false,
    deadline: |_| Duration::ZERO,
    run: |_| Box::pin(async { Err(vec!["nothing was looked at".to_owned()]) }),
};

/// What a check looks at.
#[derive(Clone)]
pub struct Context {
    /// The cluster.
    pub site: Site,
    /// Made once, for all checks.
    probes: Arc<OnceCell<Result<Probes, Vec<String>>>>,
    /// Whether a check made a namespace of its own.
    namespaces: Arc<AtomicBool>,
}

impl Context {
    /// For the checks of one run.
    pub fn new(site: Site) -> Self {
        Self { site, probes: Arc::default(), namespaces: Arc::default() }
    }

    /// The probes; makes them where that was not tried.
    ///
    /// # Errors
    /// With what keeps them.
    pub async fn probes(&self) -> Result<&Probes, Vec<String>> {
        let nodes = expected(&self.site.spec, None).len();
        self.probes.get_or_init(|| Probes::make(&self.site, nodes)).await.as_ref().map_err(Clone::clone)
    }

    /// To be called before a check makes a namespace of its own: it is removed at the end.
    pub fn makes_namespaces(&self) {
        self.namespaces.store(true, Ordering::Relaxed);
    }

    /// Whether anything was made, or tried to be, that has to be removed.
    pub fn made_namespaces(&self) -> bool {
        self.probes.initialized() || self.namespaces.load(Ordering::Relaxed)
    }

    /// Why a need is not met; `None` where it is.
    pub async fn lacks(&self, need: Need) -> Option<String> {
        let spec = &self.site.spec;
        match need {
            Need::TwoNodes => {
                (expected(spec, None).len() < 2).then(|| "one node has no other to reach".to_owned())
            }
            Need::MetricsServer => (spec.kubernetes.addons.metrics_server != Some(true))
                .then(|| "the cluster file asks for no metrics-server".to_owned()),
            Need::Probes => self.probes().await.is_err().then(|| NO_PROBES.to_owned()),
            Need::GpuOperator => {
                spec.gpu_operator.is_none().then(|| "the cluster file asks for no GPU Operator".to_owned())
            }
            Need::SharedGpus => {
                let shares = spec.gpu_operator.as_ref().is_some_and(|gpus| !gpus.sharing.is_empty());
                (!shares).then(|| "the cluster file shares no GPU".to_owned())
            }
            Need::GpuExporter => (!spec.gpu_operator.as_ref().is_some_and(|gpus| gpus.monitoring.exporter))
                .then(|| "the cluster file asks for no exporter of metrics".to_owned()),
            Need::Cuda => {
                has_stand_ins(&spec.machines).then(|| "its GPUs are stand-ins, which run no CUDA".to_owned())
            }
            Need::Root | Need::Containers | Need::Kubespray | Need::Registry | Need::CMake | Need::Make => {
                Some("it needs something of this computer, and does not know this computer".to_owned())
            }
        }
    }
}
