//! Hosts and groups of an inventory, and which of several values of a variable counts for a host.
//!
//! Owns Ansible's rules of precedence for inventories. Knows nothing of files or formats.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::setting::{Origin, Scope, Setting};
use crate::source::Place;

/// Hosts and groups, and their members.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Groups {
    hosts: Vec<Host>,
    groups: Vec<Group>,
    host_numbers: HashMap<String, usize>,
    group_numbers: HashMap<String, usize>,
    /// Every group with each of its children, by their numbers.
    children: HashSet<(usize, usize)>,
    /// For each host the numbers of its groups, those whose values win last.
    memberships: Vec<Vec<usize>>,
    /// For each group the numbers of its hosts, those of its children among them, sorted.
    members: Vec<Vec<usize>>,
}

/// A machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// As Ansible names it.
    pub name: String,
    /// Where it is named first, where that is known.
    pub place: Option<Place>,
}

/// A group of machines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// As Ansible names it.
    pub name: String,
    /// Where it is named first, where that is known.
    pub place: Option<Place>,
    /// The value of `ansible_group_priority`: of groups at one depth, the greater one wins.
    pub priority: i64,
    children: Vec<usize>,
    hosts: Vec<usize>,
    depth: usize,
}

impl Groups {
    /// The groups that every inventory has.
    pub fn new() -> Self {
        let mut groups = Self::default();
        groups.group("all", None);
        groups.group("ungrouped", None);
        groups
    }

    /// The number of a group, which is made where it is new.
    pub fn group(&mut self, name: &str, place: Option<Place>) -> usize {
        if let Some(&number) = self.group_numbers.get(name) {
            if self.groups[number].place.is_none() {
                self.groups[number].place = place;
            }
            return number;
        }
        let number = self.groups.len();
        self.groups.push(Group {
            name: name.to_owned(),
            place,
            priority: 1,
            children: Vec::new(),
            hosts: Vec::new(),
            depth: 0,
        });
        self.group_numbers.insert(name.to_owned(), number);
        number
    }

    /// The number of a host, which is made where it is new.
    pub fn host(&mut self, name: &str, place: Option<Place>) -> usize {
        if let Some(&number) = self.host_numbers.get(name) {
            return number;
        }
        let number = self.hosts.len();
        self.hosts.push(Host { name: name.to_owned(), place });
        self.host_numbers.insert(name.to_owned(), number);
        number
    }

    /// Puts a host into a group.
    pub fn add_host(&mut self, group: usize, host: usize) {
        self.groups[group].hosts.push(host);
    }

    /// Puts a group into a group. False where that would close a circle, and nothing is done.
    pub fn add_child(&mut self, parent: usize, child: usize) -> bool {
        if self.reaches(child, parent) {
            return false;
        }
        if self.children.insert((parent, child)) {
            self.groups[parent].children.push(child);
        }
        true
    }

    fn reaches(&self, from: usize, to: usize) -> bool {
        let (mut left, mut seen) = (vec![from], HashSet::new());
        while let Some(group) = left.pop() {
            if group == to {
                return true;
            }
            if seen.insert(group) {
                left.extend(&self.groups[group].children);
            }
        }
        false
    }

    /// The value of a group's `ansible_group_priority`.
    pub fn set_priority(&mut self, group: usize, priority: i64) {
        self.groups[group].priority = priority;
    }

    /// Computes the members of every group. To be called when every host and group is there.
    pub fn finish(mut self) -> Self {
        let all = self.group("all", None);
        let children: HashSet<usize> =
            self.groups.iter().flat_map(|group| group.children.iter().copied()).collect();
        for number in 0..self.groups.len() {
            if number != all && !children.contains(&number) {
                self.add_child(all, number);
            }
        }
        for group in &mut self.groups {
            group.hosts.sort_unstable();
            group.hosts.dedup();
        }
        let ungrouped = self.group("ungrouped", None);
        let mut grouped = vec![false; self.hosts.len()];
        for (number, group) in self.groups.iter().enumerate() {
            if number != all && number != ungrouped {
                group.hosts.iter().for_each(|&host| grouped[host] = true);
            }
        }
        self.groups[ungrouped].hosts = (0..self.hosts.len()).filter(|&host| !grouped[host]).collect();

        // A group is as deep as the longest way to it; parents come before their children.
        let order = self.parents_first(all);
        for &number in &order {
            let depth = self.groups[number].depth + 1;
            for at in 0..self.groups[number].children.len() {
                let child = self.groups[number].children[at];
                self.groups[child].depth = self.groups[child].depth.max(depth);
            }
        }
        let mut members: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); self.groups.len()];
        for &number in order.iter().rev() {
            let mut own: BTreeSet<usize> = self.groups[number].hosts.iter().copied().collect();
            for &child in &self.groups[number].children {
                own.extend(&members[child]);
            }
            members[number] = own;
        }
        members[all] = (0..self.hosts.len()).collect();
        self.members = members.into_iter().map(|hosts| hosts.into_iter().collect()).collect();

        let mut by_rank: Vec<usize> = (0..self.groups.len()).collect();
        by_rank.sort_by_key(|&number| {
            let group = &self.groups[number];
            (group.depth, group.priority, group.name.clone())
        });
        self.memberships = vec![Vec::new(); self.hosts.len()];
        for number in by_rank {
            for &host in &self.members[number] {
                self.memberships[host].push(number);
            }
        }
        self
    }

    /// Every group below one, itself first, no child before all of its parents.
    fn parents_first(&self, top: usize) -> Vec<usize> {
        let mut order = Vec::new();
        let mut seen = HashSet::from([top]);
        let mut open = vec![(top, 0)];
        while let Some((group, at)) = open.pop() {
            match self.groups[group].children.get(at) {
                None => order.push(group),
                Some(&child) => {
                    open.push((group, at + 1));
                    if seen.insert(child) {
                        open.push((child, 0));
                    }
                }
            }
        }
        order.reverse();
        order
    }

    /// Kubespray's own changes of the groups when it starts (`roles/dynamic_groups/tasks/main.yml`): the old
    /// names of its groups, and `k8s_cluster` where the inventory does not say it. True if it adds anything
    /// to `k8s_cluster`.
    pub fn imply(&mut self) -> bool {
        const OLD: [(&str, &str); 4] = [
            ("kube-master", "kube_control_plane"),
            ("kube-node", "kube_node"),
            ("calico-rr", "calico_rr"),
            ("no-floating", "no_floating"),
        ];
        /// Groups that Kubespray looks for, and that may be empty.
        const KNOWN: [&str; 6] =
            ["kube_control_plane", "kube_node", "etcd", "calico_rr", "k8s_cluster", "no_floating"];
        let before = self.groups.len();
        for name in KNOWN {
            self.group(name, None);
        }
        let mut changed = self.groups.len() > before;
        let mut added = false;
        for (old, new) in OLD {
            added |= self.imply_members(&[old], new);
        }
        if added {
            changed = true;
            *self = std::mem::take(self).finish();
        }
        let cluster = self.imply_members(&["kube_node", "kube_control_plane", "calico_rr"], "k8s_cluster");
        if changed || cluster {
            *self = std::mem::take(self).finish();
        }
        cluster
    }

    fn imply_members(&mut self, from: &[&str], to: &str) -> bool {
        let mut missing: Vec<usize> = from.iter().flat_map(|name| self.members(name)).copied().collect();
        let known: HashSet<usize> = self.members(to).iter().copied().collect();
        missing.retain(|host| !known.contains(host));
        if missing.is_empty() {
            return false;
        }
        let group = self.group(to, None);
        for host in missing {
            self.add_host(group, host);
        }
        true
    }

    /// Every host, by its number.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// Every group, by its number.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The number of a host.
    pub fn host_number(&self, name: &str) -> Option<usize> {
        self.host_numbers.get(name).copied()
    }

    /// The number of a group.
    pub fn group_number(&self, name: &str) -> Option<usize> {
        self.group_numbers.get(name).copied()
    }

    /// The numbers of a group's hosts, those of its children among them. Empty where there is no such group.
    pub fn members(&self, group: &str) -> &[usize] {
        self.group_number(group).and_then(|number| self.members.get(number)).map_or(&[], Vec::as_slice)
    }

    /// The numbers of the groups that a host is in, those whose values win last.
    pub fn groups_of(&self, host: usize) -> &[usize] {
        self.memberships.get(host).map_or(&[], Vec::as_slice)
    }
}

/// The settings of an inventory, arranged so that the value that counts for a host is found at once.
#[derive(Debug)]
pub struct Values<'a> {
    groups: &'a Groups,
    settings: &'a [Setting],
    by_name: HashMap<&'a str, OfName>,
}

/// The settings of one variable, by their numbers, the one that wins last.
#[derive(Debug, Default)]
struct OfName {
    /// From the file of hosts: it loses to every file of variables.
    inline: HashMap<usize, usize>,
    groups: HashMap<usize, usize>,
    hosts: HashMap<usize, usize>,
    all: Vec<usize>,
}

impl<'a> Values<'a> {
    /// Arranges settings. Of several for one scope in one kind of file, the last one counts.
    pub fn new(groups: &'a Groups, settings: &'a [Setting]) -> Self {
        let mut by_name: HashMap<&str, OfName> = HashMap::new();
        for (number, setting) in settings.iter().enumerate() {
            let of_name = by_name.entry(&setting.name).or_default();
            of_name.all.push(number);
            match &setting.scope {
                Scope::Group(name) => {
                    let Some(group) = groups.group_number(name) else { continue };
                    let place = if is_inline(setting) { &mut of_name.inline } else { &mut of_name.groups };
                    place.insert(group, number);
                }
                Scope::Host(name) => {
                    let Some(host) = groups.host_number(name) else { continue };
                    let before = of_name.hosts.get(&host).map(|&before| &settings[before]);
                    if !(is_inline(setting) && before.is_some_and(|before| !is_inline(before))) {
                        of_name.hosts.insert(host, number);
                    }
                }
            }
        }
        Self { groups, settings, by_name }
    }

    /// The setting that counts for a host, if any.
    pub fn of_host(&self, name: &str, host: usize) -> Option<&'a Setting> {
        self.number_of_host(name, host).map(|number| &self.settings[number])
    }

    /// The number of the setting that counts for a host, if any.
    pub fn number_of_host(&self, name: &str, host: usize) -> Option<usize> {
        let of_name = self.by_name.get(name)?;
        if let Some(&own) = of_name.hosts.get(&host) {
            return Some(own);
        }
        let last = |settings: &HashMap<usize, usize>| {
            if settings.is_empty() {
                return None;
            }
            self.groups.groups_of(host).iter().rev().find_map(|group| settings.get(group).copied())
        };
        last(&of_name.groups).or_else(|| last(&of_name.inline))
    }

    /// The settings that count for any of some hosts, each once, in the order of the settings.
    pub fn of_hosts(&self, name: &str, hosts: &[usize]) -> Vec<&'a Setting> {
        if !self.by_name.contains_key(name) {
            return Vec::new();
        }
        let numbers: BTreeSet<usize> =
            hosts.iter().filter_map(|&host| self.number_of_host(name, host)).collect();
        numbers.into_iter().map(|number| &self.settings[number]).collect()
    }

    /// Every setting of a variable, whether it counts or not.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &'a Setting> {
        self.by_name
            .get(name)
            .into_iter()
            .flat_map(|of_name| &of_name.all)
            .map(|&number| &self.settings[number])
    }

    /// The names of all variables that are set.
    pub fn names(&self) -> impl Iterator<Item = &'a str> {
        self.by_name.keys().copied()
    }
}

/// Whether a setting stands in the file of hosts, by convention file 0: variables there lose to those of
/// `group_vars` of any group.
fn is_inline(setting: &Setting) -> bool {
    matches!(setting.origin, Origin::File { file: 0, .. })
}
