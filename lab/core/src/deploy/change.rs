//! Changes of a living cluster: which playbook of Kubespray, for which machines, in which order; the losses;
//! and the changes that are refused.
//!
//! Each operation is a function from the cluster file and the state of the cluster to a plan or a refusal.
//! Kubespray's own rules are in its `docs/operations/`; each rule names its page. Nothing here asks a cluster
//! or runs a playbook: `lab/src/change.rs` does.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

use crate::spec::{ClusterSpec, MachineSpec, NetworkPlugin, Role};

mod etcd;
mod recover;
mod remove;
mod reset;
mod scale;
#[cfg(test)]
mod tests;
mod upgrade;

pub use etcd::{Etcd, Member, read_etcd};
pub use recover::{Recovery, recover};
pub use remove::{Removal, remove};
pub use reset::reset;
pub use scale::scale;
pub use upgrade::{Versions, release_follows, upgrade};

/// Our playbook for control planes that join a living cluster; see [`prepares_control_planes`].
pub const PREPARE_CONTROL_PLANES: &str = "prepare-control-planes.yml";

/// Whether control planes that join have to be prepared before Kubespray: it waits until they are ready
/// (roles/kubernetes/control-plane/tasks/kubeadm-secondary.yml) before it lays kube-router's files there
/// (roles/network_plugin/kube-router/tasks/main.yml), without which they never are.
pub fn prepares_control_planes(spec: &ClusterSpec) -> bool {
    let planes = spec.machines.iter().filter(|machine| machine.roles.contains(&Role::ControlPlane));
    spec.kubernetes.network.plugin == Some(NetworkPlugin::KubeRouter) && planes.count() > 1
}

/// The state of a cluster, as far as it answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Living {
    /// Its nodes; `None` where no API server answers.
    pub nodes: Option<Vec<LivingNode>>,
    /// The control planes whose own API server answers.
    pub answering: BTreeSet<String>,
    /// Its etcd; `None` where no member of the cluster file answers.
    pub etcd: Option<Etcd>,
    /// The machines of the cluster file that can be logged in to.
    pub reached: BTreeSet<String>,
    /// The machines of which Ansible remembers facts.
    pub remembered: BTreeSet<String>,
}

/// A node of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LivingNode {
    /// Its name.
    pub name: String,
    /// Whether Kubernetes says that it is ready.
    pub ready: bool,
    /// The version of its kubelet, `1.34.3`.
    pub version: String,
}

/// The input of every operation.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// The cluster file.
    pub spec: &'a ClusterSpec,
    /// The words that name the cluster on a command line.
    pub words: &'a str,
    /// The state of the cluster.
    pub living: &'a Living,
}

/// The decision of an operation.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// There is nothing to do, for this reason.
    Nothing(String),
    /// This is to be done.
    Do(Change),
}

/// An operation that must not be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Why, as a sentence for people.
    pub why: String,
    /// The alternative.
    pub hint: String,
}

/// The change of a cluster.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// The word of the command line.
    pub operation: &'static str,
    /// The name of the cluster.
    pub cluster: String,
    /// The machines that something happens to, in the order in which it does.
    pub machines: Vec<MachineChange>,
    /// The playbooks, in their order.
    pub steps: Vec<Step>,
    /// The losses. Where there is one, a person is asked first.
    pub lost: Vec<String>,
    /// Notes to read before.
    pub notes: Vec<String>,
    /// The tasks left for a person afterwards.
    pub next: Vec<String>,
}

/// The change of a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MachineChange {
    /// Its name.
    pub machine: String,
    /// The change.
    pub what: String,
}

/// One playbook.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Step {
    /// Its path in Kubespray, or the name of one of ours.
    pub playbook: &'static str,
    /// The machines and groups that it is limited to; all where there is none.
    pub limit: Vec<String>,
    /// Variables that it is given.
    pub variables: BTreeMap<&'static str, Value>,
    /// Its purpose.
    pub why: &'static str,
}

impl Change {
    fn new(operation: &'static str, situation: &Situation<'_>) -> Self {
        Self {
            operation,
            cluster: situation.spec.name.clone(),
            machines: Vec::new(),
            steps: Vec::new(),
            lost: Vec::new(),
            notes: Vec::new(),
            next: Vec::new(),
        }
    }

    fn machine(&mut self, machine: &str, what: impl Into<String>) {
        self.machines.push(MachineChange { machine: machine.to_owned(), what: what.into() });
    }
}

impl Step {
    fn new(playbook: &'static str, why: &'static str) -> Self {
        Self { playbook, limit: Vec::new(), variables: BTreeMap::new(), why }
    }

    fn limit<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.limit = names.into_iter().map(str::to_owned).collect();
        self
    }

    fn variable(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.variables.insert(name, value.into());
        self
    }

    /// The arguments of `ansible-playbook` beside the playbook and the inventory. Variables go as JSON: in
    /// the short form each would be a text, and Kubespray asserts that booleans are none.
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        if !self.limit.is_empty() {
            arguments.extend(["--limit".to_owned(), self.limit.join(",")]);
        }
        if !self.variables.is_empty() {
            let variables: serde_json::Map<String, Value> =
                self.variables.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
            arguments.extend(["--extra-vars".to_owned(), Value::Object(variables).to_string()]);
        }
        arguments
    }
}

impl Refusal {
    fn new(why: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { why: why.into(), hint: hint.into() }
    }
}

impl<'a> Situation<'a> {
    fn with_role(&self, role: Role) -> impl Iterator<Item = &'a MachineSpec> {
        self.spec.machines.iter().filter(move |machine| machine.roles.contains(&role))
    }

    /// The machines that must be nodes.
    fn wanted_nodes(&self) -> impl Iterator<Item = &'a MachineSpec> {
        let is_node = |machine: &&MachineSpec| {
            machine.roles.contains(&Role::ControlPlane) || machine.roles.contains(&Role::Worker)
        };
        self.spec.machines.iter().filter(is_node)
    }

    fn reaches(&self, machine: &str) -> bool {
        self.living.reached.contains(machine)
    }

    /// The nodes, which only an API server knows.
    ///
    /// # Errors
    /// When none answers.
    fn nodes(&self) -> Result<&'a [LivingNode], Refusal> {
        self.living.nodes.as_deref().ok_or_else(|| {
            let words = self.words;
            Refusal::new(
                format!("no API server of the cluster `{}` answers", self.spec.name),
                format!(
                    "`cargo xtask deploy {words}` makes the cluster or mends it, `cargo xtask deploy recover-control-plane {words}` makes one of its remaining control planes"
                ),
            )
        })
    }

    /// Refuses where one of some machines cannot be logged in to.
    fn needs<'b>(&self, machines: impl IntoIterator<Item = &'b str>) -> Result<(), Refusal> {
        let lacking: Vec<&str> = machines.into_iter().filter(|machine| !self.reaches(machine)).collect();
        if lacking.is_empty() {
            return Ok(());
        }
        Err(Refusal::new(
            format!("{} cannot be logged in to", listed(&lacking)),
            format!("`cargo xtask lab up {}` makes and starts the machines of the cluster file", self.words),
        ))
    }

    /// Kubespray computes the addresses of all machines also where it is limited to some, and needs their facts for it
    /// (docs/operations/nodes.md: run `facts.yml` before `--limit`). None where Ansible remembers them.
    fn facts<'b>(&self, limited_to: impl IntoIterator<Item = &'b str>) -> Option<Step> {
        let limited: BTreeSet<&str> = limited_to.into_iter().collect();
        let others = self.spec.machines.iter().map(|machine| machine.name.as_str());
        let mut unknown =
            others.filter(|name| !limited.contains(name) && !self.living.remembered.contains(*name));
        unknown.next().map(|_| facts())
    }

    /// The address at which the cluster finds its API, where the cluster file gives one (Kubespray's
    /// `loadbalancer_apiserver`).
    fn api_address(&self) -> Option<&'a str> {
        let of_group = |group: &&str| {
            self.spec.kubespray.variables.get(*group)?.get("loadbalancer_apiserver")?.get("address")?.as_str()
        };
        ["k8s_cluster", "all"].iter().find_map(of_group)
    }
}

fn facts() -> Step {
    Step::new(
        "playbooks/facts.yml",
        "facts about the other machines, so that the next playbook may be limited",
    )
}

/// `` `a` ``, `` `a` and `b` ``, `` `a`, `b` and `c` ``.
fn listed(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => String::new(),
    }
}

/// `` `a` is ``, `` `a` and `b` are ``.
fn are(names: &[&str]) -> String {
    format!("{} {}", listed(names), if names.len() == 1 { "is" } else { "are" })
}

/// `1 member`, `2 members`.
fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// A change as people read it before it is done.
pub fn render(change: &Change) -> String {
    let mut text = format!("{} of `{}`:\n", change.operation, change.cluster);
    let width = change.machines.iter().map(|one| one.machine.len()).max().unwrap_or_default();
    for MachineChange { machine, what } in &change.machines {
        let _ = writeln!(text, "  {machine:width$}  {what}");
    }
    text.push_str("by\n");
    for step in &change.steps {
        let _ = write!(text, "  {}", step.playbook);
        if !step.limit.is_empty() {
            let _ = write!(text, " --limit {}", step.limit.join(","));
        }
        for (name, value) in &step.variables {
            let _ = write!(text, " -e {name}={}", value.as_str().map_or(value.to_string(), str::to_owned));
        }
        let _ = writeln!(text, "  ({})", step.why);
    }
    for (title, lines) in
        [("lost for good", &change.lost), ("to know", &change.notes), ("afterwards", &change.next)]
    {
        if !lines.is_empty() {
            let _ = writeln!(text, "{title}");
        }
        for line in lines {
            let _ = writeln!(text, "  {line}");
        }
    }
    text
}
