//! Limits of the kernel that all container machines of a computer share: how much of each a lab needs, and whether so
//! much is left.
//!
//! Owns the measured needs and the arithmetic. `lab` reads limits and usage. Connections are
//! not here: the kernel counts them for each network namespace, so machines do not take them from each other.

use std::collections::BTreeMap;
use std::fmt;

use crate::spec::{ClusterSpec, MachineKind, MachineSpec, Role};

/// Something of which the kernel has a limited number for all containers of a computer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// Of the user that runs labs: inotify(7).
    InotifyInstances,
    /// Of the user that runs labs: inotify(7).
    InotifyWatches,
    /// Keys of root: keyrings(7).
    Keys,
    /// Bytes of the keys of root: keyrings(7).
    KeyBytes,
    /// Processes and their threads: proc(5), `pid_max` and `threads-max`; or a limit of the control group.
    Tasks,
    /// Open file descriptions of everybody: proc(5), `file-max`.
    OpenFiles,
}

/// The version of control groups that machines get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CgroupVersion {
    /// The first, or both.
    #[default]
    One,
    /// The second alone.
    Two,
}

/// Amounts by resource. A missing one is zero or unknown.
pub type Amounts = BTreeMap<Resource, u64>;

/// Limits by resource. A missing one is unknown, and not judged.
pub type Limits = BTreeMap<Resource, Limit>;

/// A limit of the computer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// How much there may be.
    pub value: u64,
    /// Its source, for people: the name of a setting for sysctl(8), or a control group.
    pub setting: String,
}

/// The need of containers for a resource, each part beside the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// The embedded host of a lab: its supervisor, libvirt, servers of artefacts.
    pub lab: u64,
    /// A container with systemd and sshd.
    pub machine: u64,
    /// The extra need of a container while it, or Kubernetes on it, starts.
    pub start: u64,
    /// The extra need of a node of Kubernetes: kubelet, the container runtime, proxy and network of pods.
    pub node: u64,
    /// The extra need of a control plane: API server, controllers, scheduler, etcd.
    pub control_plane: u64,
    /// Pods of a cluster that run anywhere: DNS, metrics.
    pub cluster: u64,
}

impl Resource {
    /// Every resource.
    pub const ALL: [Self; 6] = [
        Self::InotifyInstances,
        Self::InotifyWatches,
        Self::Keys,
        Self::KeyBytes,
        Self::Tasks,
        Self::OpenFiles,
    ];

    /// The name of the limit for sysctl(8). Others may be lower.
    pub const fn setting(self) -> &'static str {
        match self {
            Self::InotifyInstances => "fs.inotify.max_user_instances",
            Self::InotifyWatches => "fs.inotify.max_user_watches",
            Self::Keys => "kernel.keys.root_maxkeys",
            Self::KeyBytes => "kernel.keys.root_maxbytes",
            Self::Tasks => "kernel.pid_max",
            Self::OpenFiles => "fs.file-max",
        }
    }

    /// Its name for people.
    pub const fn noun(self) -> &'static str {
        match self {
            Self::InotifyInstances => "inotify instances",
            Self::InotifyWatches => "inotify watches",
            Self::Keys => "keys of root",
            Self::KeyBytes => "bytes of root's keys",
            Self::Tasks => "processes and threads",
            Self::OpenFiles => "open files",
        }
    }

    /// The need of containers. Measured on deploys of `quick` with kube-router and metrics-server on control groups of
    /// version 1, one cluster and two at once, from the first task of Kubespray to the last check. Of inotify instances
    /// systemd has 3, a console 1, kubelet 7, containerd 2, kube-proxy 1, the API server 6, controllers 7. systemd and
    /// kube-proxy have more for a moment when they start.
    ///
    /// Version 2 is counted, not measured: one more for systemd (its src/core/cgroup.c), and one with two watches for each
    /// container of a pod and for its sandbox (containerd's cgroup2/manager.go, `memoryEventNonBlockFD`). A node has three
    /// pods with one of a check, a control plane three more, and three run anywhere.
    pub const fn need(self, cgroups: CgroupVersion) -> Need {
        let need = match self {
            Self::InotifyInstances => {
                Need { lab: 1, machine: 4, start: 2, node: 10, control_plane: 13, cluster: 0 }
            }
            Self::InotifyWatches => {
                Need { lab: 5, machine: 15, start: 0, node: 220, control_plane: 30, cluster: 0 }
            }
            Self::Keys => Need { lab: 0, machine: 9, start: 0, node: 14, control_plane: 8, cluster: 0 },
            Self::KeyBytes => {
                Need { lab: 0, machine: 200, start: 0, node: 800, control_plane: 400, cluster: 0 }
            }
            Self::Tasks => Need { lab: 55, machine: 15, start: 0, node: 205, control_plane: 30, cluster: 0 },
            Self::OpenFiles => {
                Need { lab: 200, machine: 200, start: 0, node: 600, control_plane: 800, cluster: 0 }
            }
        };
        let (of_systemd, of_container) = match (self, cgroups) {
            (Self::InotifyInstances, CgroupVersion::Two) => (1, 1),
            (Self::InotifyWatches, CgroupVersion::Two) => (0, 2),
            _ => (0, 0),
        };
        Need {
            machine: need.machine + of_systemd,
            node: need.node + 6 * of_container,
            control_plane: need.control_plane + 6 * of_container,
            cluster: need.cluster + 6 * of_container,
            ..need
        }
    }
}

/// How many containers a lab has, by the programs in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Containers {
    /// All of them.
    pub machines: u64,
    /// Those that are nodes of Kubernetes.
    pub nodes: u64,
    /// Those that are control planes or members of etcd.
    pub control_planes: u64,
}

impl Containers {
    /// The containers of a cluster file, as they are when Kubernetes is deployed on them.
    pub fn of(spec: &ClusterSpec) -> Self {
        Self::among(spec, |_| true)
    }

    /// The same, of those machines only that `counts` names.
    pub fn among(spec: &ClusterSpec, counts: impl Fn(&str) -> bool) -> Self {
        let containers = || {
            let of_kind = spec.machines.iter().filter(|machine| machine.kind == MachineKind::Container);
            of_kind.filter(|machine| counts(&machine.name))
        };
        let with = |roles: &[Role]| {
            let has = |machine: &&MachineSpec| roles.iter().any(|role| machine.roles.contains(role));
            containers().filter(has).count() as u64
        };
        Self {
            machines: containers().count() as u64,
            nodes: with(&[Role::ControlPlane, Role::Worker]),
            control_planes: with(&[Role::ControlPlane, Role::Etcd]),
        }
    }

    /// The same machines before Kubernetes is deployed on them.
    pub fn bare(self) -> Self {
        Self { nodes: 0, control_planes: 0, ..self }
    }

    /// How much of a resource they use once everything runs.
    pub fn need(self, resource: Resource, cgroups: CgroupVersion) -> u64 {
        let Need { lab, machine, node, control_plane, cluster, .. } = resource.need(cgroups);
        let once = |amount: u64, count: u64| if count > 0 { amount } else { 0 };
        once(lab, self.machines)
            + machine * self.machines
            + node * self.nodes
            + control_plane * self.control_planes
            + once(cluster, self.nodes)
    }

    /// How much of a resource there must be for them to start.
    pub fn need_to_start(self, resource: Resource, cgroups: CgroupVersion) -> u64 {
        self.need(resource, cgroups) + resource.need(cgroups).start * self.machines
    }
}

/// A lab that lives on the computer, as far as it shares limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LivingLab {
    /// Its name for people.
    pub name: String,
    /// Its containers; none where its cluster file cannot be read.
    pub containers: Containers,
    /// How much its processes use now.
    pub used: Amounts,
}

/// The computer's limits and their usage.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// The version of its control groups.
    pub cgroups: CgroupVersion,
    /// The limits.
    pub limits: Limits,
    /// How much everything uses now, labs included.
    pub used: Amounts,
    /// Every other living lab.
    pub others: Vec<LivingLab>,
    /// How much the processes of the lab itself use now.
    pub own: Amounts,
}

/// A limit that is too low for a lab beside everything else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortage {
    /// The scarce resource.
    pub resource: Resource,
    /// How much of it there is, and the source of that number.
    pub limit: Limit,
    /// How much the lab needs.
    pub needed: u64,
    /// How much other labs need, those first that need most.
    pub others: Vec<(String, u64)>,
    /// How much everything else uses.
    pub outside: u64,
}

/// Every limit that is too low for the containers of a lab, which may live already. Other labs count with the need
/// of their files, or with their usage where that is more.
pub fn shortages(containers: Containers, facts: &Facts) -> Vec<Shortage> {
    if containers.machines == 0 {
        return Vec::new();
    }
    Resource::ALL.into_iter().filter_map(|resource| shortage(resource, containers, facts)).collect()
}

fn shortage(resource: Resource, containers: Containers, facts: &Facts) -> Option<Shortage> {
    let limit = facts.limits.get(&resource)?.clone();
    let amount = |amounts: &Amounts| amounts.get(&resource).copied().unwrap_or_default();
    let own = amount(&facts.own);
    let needed = containers.need_to_start(resource, facts.cgroups).max(own);
    let of_labs = sum(facts.others.iter().map(|lab| amount(&lab.used)));
    let outside = amount(&facts.used).saturating_sub(sum([own, of_labs]));
    let claim = |lab: &LivingLab| {
        let needed = lab.containers.need(resource, facts.cgroups);
        (lab.name.clone(), needed.max(amount(&lab.used)))
    };
    let mut others: Vec<(String, u64)> =
        facts.others.iter().map(claim).filter(|(_, needed)| *needed > 0).collect();
    others.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
    let all = sum(others.iter().map(|(_, needed)| *needed).chain([needed, outside]));
    (all > limit.value).then_some(Shortage { resource, limit, needed, others, outside })
}

fn sum(amounts: impl IntoIterator<Item = u64>) -> u64 {
    amounts.into_iter().fold(0, u64::saturating_add)
}

impl fmt::Display for Shortage {
    /// `62 inotify instances are needed, and 52 of 128 (fs.inotify.max_user_instances) are left beside 76 of the lab a`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { resource, limit: Limit { value, setting }, needed, others, outside } = self;
        let taken = sum(others.iter().map(|(_, needed)| *needed).chain([*outside]));
        let (noun, left) = (resource.noun(), value.saturating_sub(taken));
        write!(f, "{needed} {noun} are needed, and {left} of {value} ({setting}) are left")?;
        let labs = others.iter().map(|(name, needed)| format!("{needed} of the lab `{name}`"));
        let others = (*outside > 0).then(|| format!("{outside} of other programs"));
        let beside: Vec<String> = labs.chain(others).collect();
        if beside.is_empty() { Ok(()) } else { write!(f, " beside {}", beside.join(", ")) }
    }
}

#[cfg(test)]
mod tests;
