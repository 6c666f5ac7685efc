//! The members of etcd, and whether a majority of them is left.

use serde::Deserialize;

use super::{Refusal, Situation, counted};
use crate::spec::{ClusterSpec, Role};

/// The etcd of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Etcd {
    /// Its members.
    pub members: Vec<Member>,
    /// Whether a majority of them agrees, so that anything can be written.
    pub quorum: bool,
}

/// A member of etcd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The machine that has its address; the member's own name where no machine of the cluster file does.
    pub machine: String,
    /// Whether it answers.
    pub healthy: bool,
}

/// How many of so many members are a majority.
fn majority(members: usize) -> usize {
    members / 2 + 1
}

impl Etcd {
    fn healthy(&self) -> usize {
        self.members.iter().filter(|member| member.healthy).count()
    }

    /// Why a member cannot go, whether for good or only to be restarted; `None` where the others go on without it.
    /// `for_good`: the others are all members there are afterwards, so that fewer of them are a majority.
    pub(super) fn cannot_spare(&self, machine: &str, for_good: bool) -> Option<String> {
        let count = self.members.len();
        if !self.quorum {
            return Some(format!("etcd has no majority: {} of {count} members answer", self.healthy()));
        }
        let left = self.members.iter().filter(|member| member.healthy && member.machine != machine).count();
        let all = if for_good { count.saturating_sub(1) } else { count };
        (left < majority(all)).then(|| {
            format!(
                "etcd would lose its majority without `{machine}`: of {} only {left} would answer, and {} are needed",
                counted(all, "member"),
                majority(all)
            )
        })
    }
}

impl Situation<'_> {
    /// The etcd, as its members say.
    pub(super) fn etcd(&self) -> Result<&Etcd, Refusal> {
        self.living.etcd.as_ref().ok_or_else(|| {
            Refusal::new(
                format!("no member of the etcd of `{}` answers", self.spec.name),
                format!("`cargo xtask lab status {}` shows which machines run", self.words),
            )
        })
    }
}

/// The output of `etcdctl` with `--write-out json`.
#[derive(Deserialize)]
struct MemberList {
    members: Vec<ListedMember>,
}

#[derive(Deserialize)]
struct ListedMember {
    #[serde(default)]
    name: String,
    #[serde(rename = "clientURLs", default)]
    client_urls: Vec<String>,
    #[serde(rename = "peerURLs", default)]
    peer_urls: Vec<String>,
}

#[derive(Deserialize)]
struct EndpointHealth {
    endpoint: String,
    health: bool,
}

#[derive(Deserialize)]
struct EndpointStatus {
    #[serde(rename = "Endpoint")]
    endpoint: String,
}

/// Reads the output of a member: `members` of `member list`, `health` of `endpoint health`, `status` of
/// `endpoint status`, each as JSON. Without a majority no member lists the others, and each answers for
/// itself alone: then they are those of the cluster file.
pub fn read_etcd(spec: &ClusterSpec, members: &str, health: &str, status: &str) -> Etcd {
    let health: Vec<EndpointHealth> = serde_json::from_str(health.trim()).unwrap_or_default();
    let status: Vec<EndpointStatus> = serde_json::from_str(status.trim()).unwrap_or_default();
    let address = |machine: &str| {
        let found = spec.machines.iter().find(|one| one.name == machine);
        found.map(|machine| machine.address.to_string()).unwrap_or_default()
    };
    match serde_json::from_str::<MemberList>(members.trim()) {
        Ok(list) => {
            let of_address = |url: &String| {
                let machine =
                    spec.machines.iter().find(|machine| host(url) == machine.address.to_string())?;
                Some(machine.name.clone())
            };
            let members = list.members.into_iter().map(|member| {
                let urls = || member.client_urls.iter().chain(&member.peer_urls);
                let answers = |endpoint: &EndpointHealth| {
                    endpoint.health && urls().any(|url| host(url) == host(&endpoint.endpoint))
                };
                Member {
                    machine: urls().find_map(of_address).unwrap_or_else(|| member.name.clone()),
                    healthy: health.iter().any(answers),
                }
            });
            Etcd { members: members.collect(), quorum: true }
        }
        Err(_) => {
            let machines = spec.machines.iter().filter(|machine| machine.roles.contains(&Role::Etcd));
            let answers = |machine: &str| status.iter().any(|one| host(&one.endpoint) == address(machine));
            let members = machines
                .map(|machine| Member { machine: machine.name.clone(), healthy: answers(&machine.name) });
            Etcd { members: members.collect(), quorum: false }
        }
    }
}

/// The host of `https://192.168.200.10:2379`.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.rsplit_once(':').map_or(rest, |(host, _)| host)
}
