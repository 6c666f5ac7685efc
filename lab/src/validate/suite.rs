//! The suite: which checks there are, what each needs, and in which order they run. Those that need nothing of each
//! other run at the same time.

use std::time::{Duration, Instant};

use lab_core::report::{Outcome, Verdict};
use lab_core::validate::expected;
use tokio::task::JoinSet;

use crate::failure::{Failure, exit};
use crate::output;
use crate::wait::Deadline;

use super::access::{Looked, Site};
use super::probes::{self, Probes};
use super::{cluster, handover, pods};

/// How long the network may take to know of pods and services that were just made. Nobody is told when it does.
const SETTLE: Duration = Duration::from_secs(15);
/// Why a check that looks out of pods is skipped where those do not run.
pub(super) const NO_PROBES: &str = "the pods that it looks out of do not run: see `probes`";
/// How long after a look the next one is.
const AGAIN: Duration = Duration::from_millis(500);

/// A check.
struct Check {
    id: &'static str,
    title: &'static str,
    what: What,
}

/// What a check looks at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Nodes,
    SystemPods,
    Leases,
    Top,
    /// Something that is seen out of pods.
    Pods(Seen),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    Placed,
    Dns,
    PodToPod,
    Service,
    NodePort,
    Policy,
    Logs,
    Exec,
}

const SUITE: [Check; 12] = [
    Check { id: "nodes", title: "the nodes are those of the cluster file", what: What::Nodes },
    Check { id: "system-pods", title: "every pod of the system is ready", what: What::SystemPods },
    Check { id: "leases", title: "nodes and controllers renew their leases", what: What::Leases },
    Check { id: "top", title: "nodes and pods are measured", what: What::Top },
    Check { id: "probes", title: "every node runs a pod", what: What::Pods(Seen::Placed) },
    Check { id: "dns", title: "names resolve on every node", what: What::Pods(Seen::Dns) },
    Check {
        id: "pod-to-pod",
        title: "pods reach each other between all nodes",
        what: What::Pods(Seen::PodToPod),
    },
    Check { id: "service", title: "a service is reached from every node", what: What::Pods(Seen::Service) },
    Check {
        id: "node-port",
        title: "a port of every node leads to a service",
        what: What::Pods(Seen::NodePort),
    },
    Check { id: "network-policy", title: "policies deny and allow", what: What::Pods(Seen::Policy) },
    Check { id: "logs", title: "logs of containers can be read", what: What::Pods(Seen::Logs) },
    Check { id: "exec", title: "commands run in containers", what: What::Pods(Seen::Exec) },
];

/// Whether these are names of checks.
///
/// # Errors
/// With the nearest right word.
pub fn known(ids: &[String]) -> anyhow::Result<()> {
    let all: Vec<&str> = SUITE.iter().map(|check| check.id).collect();
    for id in ids {
        if !all.contains(&id.as_str()) {
            return Err(Failure::new(exit::USAGE, format!("there is no check `{id}`"))
                .hint(lab_core::source::suggest::one_of("checks", id, &all))
                .into());
        }
    }
    Ok(())
}

/// Runs checks from where this process is, and prints each outcome as a line of JSON. `starting`: machines may have been
/// started just now.
///
/// # Errors
/// When a check breaks off, or its outcome cannot be printed.
pub async fn run_here(site: Site, ids: &[String], starting: bool) -> anyhow::Result<()> {
    if starting {
        let site = site.clone();
        // What goes wrong with that the checks find too. It ends with this process at the latest.
        tokio::spawn(async move { handover::release(&site).await });
    }
    let named = |check: &Check| ids.is_empty() || ids.iter().any(|id| id == check.id);
    // Where probes do not come up, that must fail: the checks that look out of them are skipped then.
    let needs_probes = SUITE.iter().any(|check| named(check) && matches!(check.what, What::Pods(_)));
    let wanted = |check: &&Check| named(check) || needs_probes && check.what == What::Pods(Seen::Placed);
    let mut work = JoinSet::new();
    let mut seen_from_pods = Vec::new();
    for check in SUITE.iter().filter(wanted) {
        if let What::Pods(seen) = check.what {
            seen_from_pods.push((check, seen));
            continue;
        }
        let site = site.clone();
        work.spawn(async move { tell(check, why_not(check, &site), asked(check, &site)).await });
    }
    if !seen_from_pods.is_empty() {
        let site = site.clone();
        work.spawn(async move {
            let told = from_pods(&site, seen_from_pods).await;
            if let Err(error) = probes::remove(&site).await {
                // It says nothing about the cluster that was asked about, and the next run removes it.
                eprintln!("warning: {error:#}");
            }
            told
        });
    }
    let mut told = Ok(());
    while let Some(done) = work.join_next().await {
        told = told.and(done.map_err(anyhow::Error::from).flatten());
    }
    told
}

/// Why a check has nothing to look at.
fn why_not(check: &Check, site: &Site) -> Option<String> {
    let measured = site.spec.kubernetes.addons.metrics_server == Some(true);
    let nodes = expected(&site.spec, None).len();
    match check.what {
        What::Top if !measured => Some("the cluster file asks for no metrics-server".to_owned()),
        What::Pods(Seen::PodToPod) if nodes < 2 => Some("one node has no other to reach".to_owned()),
        _ => None,
    }
}

async fn asked(check: &Check, site: &Site) -> Looked {
    match check.what {
        What::Nodes => cluster::nodes(site).await,
        What::SystemPods => cluster::system_pods(site).await,
        What::Leases => cluster::leases(site).await,
        What::Top => cluster::top(site).await,
        What::Pods(_) => Err(vec!["it needs pods".to_owned()]),
    }
}

async fn from_pods(site: &Site, checks: Vec<(&'static Check, Seen)>) -> anyhow::Result<()> {
    let start = Instant::now();
    let nodes = expected(&site.spec, None).len();
    let made = Probes::make(site, nodes).await;
    let took = start.elapsed();
    let mut work = JoinSet::new();
    for (check, seen) in checks {
        let (site, made) = (site.clone(), made.clone());
        work.spawn(async move {
            let probes = match (made, seen) {
                (Ok(probes), _) => probes,
                (Err(why), Seen::Placed) => return print(check, Verdict::Failed, took, why),
                (Err(_), _) => {
                    return print(check, Verdict::Skipped, Duration::ZERO, vec![NO_PROBES.to_owned()]);
                }
            };
            if seen == Seen::Placed {
                return print(check, Verdict::Passed, took, vec![format!("{} pods", probes.each.len())]);
            }
            let settle = match seen {
                // Policies wait for themselves, and are made once.
                Seen::Policy => Duration::ZERO,
                // Whoever answers is a pod itself, and may be on its way up as long as any.
                Seen::Dns => site.patience.max(SETTLE * site.times),
                _ => SETTLE * site.times,
            };
            let look = again_for(settle, || async {
                match seen {
                    Seen::Placed => Ok(vec![]),
                    Seen::Dns => pods::dns(&site, &probes).await,
                    Seen::PodToPod => pods::pod_to_pod(&site, &probes).await,
                    Seen::Service => pods::service(&site, &probes).await,
                    Seen::NodePort => pods::node_port(&site, &probes).await,
                    Seen::Policy => pods::network_policy(&site, &probes).await,
                    Seen::Logs => pods::logs(&site, &probes).await,
                    Seen::Exec => pods::exec(&site, &probes).await,
                }
            });
            tell(check, why_not(check, &site), look).await
        });
    }
    let mut told = Ok(());
    while let Some(done) = work.join_next().await {
        told = told.and(done.map_err(anyhow::Error::from).flatten());
    }
    told
}

/// Looks again while something is wrong, for so long.
async fn again_for<F: Future<Output = Looked>>(length: Duration, look: impl Fn() -> F) -> Looked {
    let deadline = Deadline::after(length);
    loop {
        let looked = look().await;
        if looked.is_ok() || deadline.remaining().is_zero() {
            return looked;
        }
        deadline.at_most(AGAIN).passed().await;
    }
}

async fn tell(
    check: &Check,
    why_not: Option<String>,
    look: impl Future<Output = Looked>,
) -> anyhow::Result<()> {
    if let Some(why) = why_not {
        return print(check, Verdict::Skipped, Duration::ZERO, vec![why]);
    }
    let start = Instant::now();
    match look.await {
        Ok(seen) => print(check, Verdict::Passed, start.elapsed(), seen),
        Err(why) => print(check, Verdict::Failed, start.elapsed(), why),
    }
}

fn print(check: &Check, verdict: Verdict, took: Duration, details: Vec<String>) -> anyhow::Result<()> {
    let seconds = (took.as_secs_f64() * 1000.0).round() / 1000.0;
    let (id, title) = (check.id.to_owned(), check.title.to_owned());
    output::line(serde_json::to_string(&Outcome { id, title, verdict, seconds, details })?)
}
