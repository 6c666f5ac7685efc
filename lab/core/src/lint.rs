//! The lint: judges the settings of an inventory for one Kubespray before anything runs.
//!
//! Works on settings, groups and the index of a Kubespray, whether they come from a cluster file or from an
//! inventory of another author: one set of rules. Each rule has a file of its own kind here, a stable
//! code, and a line in [`codes::EXPLANATIONS`]. Pure: files are read and printed elsewhere.
//!
//! The lint skips templates and encrypted values: their values are unknown before Ansible runs.

mod allow;
pub mod codes;
mod companions;
mod disk;
mod gates;
mod groups;
mod mtu;
mod names;
mod networks;
mod nodes;
mod removed;
mod report;
mod sarif;
mod security;
mod shapes;
#[cfg(test)]
mod tests;
mod versions;

use std::cell::OnceCell;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde_json::Value;

pub use report::{Allowed, Report};
pub use sarif::sarif;

use crate::cluster::Places;
use crate::host::{DiskFacts, HostFacts};
use crate::kubespray::index::{Index, Variable};
use crate::kubespray::read::parts::{Parts, Step};
use crate::kubespray::read::{self, Inventory};
use crate::kubespray::{Groups, Origin, Scope, Setting, Values};
use crate::source::{Code, Finding, Findings, Place, Severity, SourceFile, Span};
use crate::spec::{ClusterSpec, HostSpec, MachineKind, Role};

/// The Kubespray that is judged against.
#[derive(Debug)]
pub struct Kubespray<'a> {
    /// Its index.
    pub index: &'a Index,
    /// Every other Kubespray that is known, so that a name that came or went is distinguished from a wrong one. Read
    /// only when there is such a name.
    pub others: fn() -> Vec<Index>,
}

/// Options of the lint.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// How names of the user's own begin: they are not Kubespray's, and not judged.
    pub own_prefixes: Vec<String>,
}

/// Judges an inventory of another author.
pub fn inventory(mut inventory: Inventory, kubespray: &Kubespray<'_>, options: &Options) -> Report {
    let findings = std::mem::take(&mut inventory.findings);
    let place = |setting: &Setting| match setting.origin {
        Origin::File { file, name, value } => (Place { file, span: name }, Place { file, span: value }),
        Origin::ClusterFile(_) | Origin::Harness(_) => (START, START),
    };
    let subject = Subject {
        groups: &inventory.groups,
        settings: &inventory.settings,
        files: &inventory.files,
        place: &place,
        network: None,
        shared_disk: None,
        facts: None,
        implied_cluster: inventory.implied_cluster,
        options,
    };
    let findings = Lint::new(subject, kubespray, findings).judge();
    Report::new(findings, inventory.files)
}

/// Judges a cluster file by `settings`, the ones that it renders to.
pub fn cluster(
    source: SourceFile,
    spec: &ClusterSpec,
    settings: &[Setting],
    kubespray: &Kubespray<'_>,
    facts: Option<&HostFacts>,
    options: &Options,
) -> Vec<Finding> {
    let groups = groups_of(spec);
    let places: OnceCell<Places> = OnceCell::new();
    let files = [source];
    let place = |setting: &Setting| {
        let Origin::ClusterFile(path) = &setting.origin else { return (START, START) };
        let found = places.get_or_init(|| Places::of(&files[0])).find(path);
        found.map_or((START, START), |found| {
            (Place { file: 0, span: found.name }, Place { file: 0, span: found.value })
        })
    };
    let containers = spec.machines.iter().filter(|machine| machine.kind == MachineKind::Container);
    let containers: Vec<&str> = containers.map(|machine| machine.name.as_str()).collect();
    let of_machines = || {
        let found = places.get_or_init(|| Places::of(&files[0])).find("machines");
        found.map_or(START, |found| Place { file: 0, span: found.name })
    };
    let disk = facts.and_then(|facts| facts.disk);
    let shared_disk = disk.filter(|_| !containers.is_empty()).map(|facts| SharedDisk {
        facts,
        machines: &containers,
        place: &of_machines,
    });
    // The computer's routes do not exist in the embedded host's network.
    let facts = facts.filter(|_| matches!(spec.host, HostSpec::Libvirt(_)));
    let network = spec.network.subnet;
    let of_network = || {
        let found = places.get_or_init(|| Places::of(&files[0])).find("network.subnet");
        found.map_or(START, |found| Place { file: 0, span: found.value })
    };
    let subject = Subject {
        groups: &groups,
        settings,
        files: &files,
        place: &place,
        network: Some(Network { subnet: network, mtu: spec.network.mtu, place: &of_network }),
        shared_disk,
        facts,
        implied_cluster: false,
        options,
    };
    let findings = Lint::new(subject, kubespray, Findings::default()).judge();
    findings.finish_files(|_| &files[0].text)
}

/// The groups that a cluster file's machines are rendered into.
fn groups_of(spec: &ClusterSpec) -> Groups {
    let mut groups = Groups::new();
    let cluster = groups.group("k8s_cluster", None);
    for (name, role) in
        [("kube_control_plane", Role::ControlPlane), ("kube_node", Role::Worker), ("etcd", Role::Etcd)]
    {
        let group = groups.group(name, None);
        if role != Role::Etcd {
            groups.add_child(cluster, group);
        }
        for machine in spec.machines.iter().filter(|machine| machine.roles.contains(&role)) {
            let host = groups.host(&machine.name, None);
            groups.add_host(group, host);
        }
    }
    groups.finish()
}

/// Where nothing better is known.
const START: Place = Place { file: 0, span: Span { start: 0, end: 0 } };

/// The network of a cluster file.
#[derive(Clone, Copy)]
struct Network<'a> {
    subnet: Ipv4Net,
    mtu: u16,
    /// Where it is written. Looked for only when it is asked for: that costs as much as reading the file.
    place: &'a dyn Fn() -> Place,
}

/// The computer's disk, as the container machines of a cluster file see it.
#[derive(Clone, Copy)]
struct SharedDisk<'a> {
    facts: DiskFacts,
    /// Names of the containers.
    machines: &'a [&'a str],
    /// Where the list of machines is written.
    place: &'a dyn Fn() -> Place,
}

/// The inventory that is judged.
struct Subject<'a> {
    groups: &'a Groups,
    settings: &'a [Setting],
    files: &'a [SourceFile],
    /// Where a setting's name and its value stand.
    place: &'a dyn Fn(&Setting) -> (Place, Place),
    /// Of a cluster file.
    network: Option<Network<'a>>,
    /// Of a cluster file with containers, where the computer is known.
    shared_disk: Option<SharedDisk<'a>>,
    facts: Option<&'a HostFacts>,
    implied_cluster: bool,
    options: &'a Options,
}

/// Which part of a setting a finding is about.
#[derive(Clone, Copy)]
enum Part<'p> {
    Name,
    Value,
    /// A part of the value.
    Inside(Step<'p>),
}

/// The other known Kubesprays, each oldest first.
struct Others {
    older: Vec<Index>,
    newer: Vec<Index>,
}

impl Others {
    fn new(than: &Index, mut others: Vec<Index>) -> Self {
        let own = removed::version_of(&than.version);
        others.sort_by_key(|index| removed::version_of(&index.version));
        others.retain(|index| removed::version_of(&index.version) != own);
        let newer = others.partition_point(|index| removed::version_of(&index.version) < own);
        let newer = others.split_off(newer);
        Self { older: others, newer }
    }
}

/// One run of every rule.
struct Lint<'a> {
    subject: Subject<'a>,
    index: &'a Index,
    kubespray: &'a Kubespray<'a>,
    others: OnceCell<Others>,
    values: Values<'a>,
    parts: PartsOfFile,
    findings: Findings,
}

/// The parts of the file that was asked about last: the settings of one variable come in the order of the files.
#[derive(Default)]
struct PartsOfFile {
    file: Option<usize>,
    parts: Parts,
}

impl PartsOfFile {
    fn find(&mut self, name: Place, file: &SourceFile, step: Step<'_>) -> Option<Span> {
        if self.file != Some(name.file) {
            *self = Self { file: Some(name.file), parts: Parts::of(&file.text) };
        }
        self.parts.find(name.span, step)
    }
}

impl<'a> Lint<'a> {
    fn new(subject: Subject<'a>, kubespray: &'a Kubespray<'a>, findings: Findings) -> Self {
        let values = Values::new(subject.groups, subject.settings);
        Self {
            values,
            subject,
            index: kubespray.index,
            kubespray,
            others: OnceCell::new(),
            parts: PartsOfFile::default(),
            findings,
        }
    }

    fn judge(mut self) -> Findings {
        names::check(&mut self);
        shapes::check(&mut self);
        companions::check(&mut self);
        versions::check(&mut self);
        networks::check(&mut self);
        mtu::check(&mut self);
        gates::check(&mut self);
        nodes::check(&mut self);
        disk::check(&mut self);
        groups::check(&mut self);
        security::check(&mut self);
        self.findings
    }

    /// Reports a finding about a setting. The place of its name is recorded: a comment there allows the
    /// finding too.
    fn report_finding(
        &mut self,
        severity: Severity,
        code: Code,
        setting: &Setting,
        part: Part<'_>,
        message: impl Into<String>,
    ) -> &mut Finding {
        let (name, value) = (self.subject.place)(setting);
        let place = match part {
            Part::Name => name,
            Part::Value => value,
            Part::Inside(step) => self
                .subject
                .files
                .get(name.file)
                .filter(|_| matches!(setting.origin, Origin::File { .. }))
                .and_then(|file| self.parts.find(name, file, step))
                .map_or(value, |span| Place { file: name.file, span }),
        };
        let finding = self.findings.at(severity, code, place, message);
        finding.anchor = Some(name);
        finding
    }

    fn report_finding_at(
        &mut self,
        severity: Severity,
        code: Code,
        place: Option<Place>,
        message: impl Into<String>,
    ) -> &mut Finding {
        self.findings.at(severity, code, place.unwrap_or(START), message)
    }

    /// Where Kubespray says something about a variable: its default, else where it is fixed, shown or used.
    fn source_of(&self, name: &str) -> Option<String> {
        let variable = self.index.variables.get(name)?;
        let place = variable
            .defaults
            .first()
            .map(|default| default.place)
            .or_else(|| variable.fixed.first().copied())
            .or_else(|| variable.sample.first().map(|example| example.place))
            .or_else(|| variable.used.first().copied())?;
        Some(self.index.place(place))
    }

    /// Where Kubespray asserts something about a variable: the use in a file whose name contains `file`.
    fn asserted(&self, name: &str, file: &str) -> Option<String> {
        let variable = self.index.variables.get(name)?;
        let used = variable.used.iter().map(|place| self.index.place(*place));
        used.into_iter().find(|place| place.contains(file)).or_else(|| self.source_of(name))
    }

    /// The numbers of the machines of Kubernetes; of all machines where no group says which they are.
    fn cluster_hosts(&self) -> Vec<usize> {
        let members = self.subject.groups.members("k8s_cluster");
        let members = if members.is_empty() { self.subject.groups.members("all") } else { members };
        members.to_vec()
    }

    /// The setting that counts for the cluster as a whole: that of the first control plane. Where there are no
    /// machines at all, the last one for a group.
    fn setting(&self, name: &str) -> Option<&'a Setting> {
        let groups = self.subject.groups;
        let first = ["kube_control_plane", "k8s_cluster", "all"]
            .into_iter()
            .find_map(|group| groups.members(group).first().copied());
        match first {
            Some(host) => self.values.of_host(name, host),
            None => self.values.all(name).filter(|setting| matches!(setting.scope, Scope::Group(_))).last(),
        }
    }

    /// The value that counts for the cluster as a whole, or else Kubespray's default where it is a plain one.
    /// `None` too where it cannot be judged.
    fn value(&self, name: &str) -> Option<&Value> {
        match self.setting(name) {
            Some(setting) => Some(&setting.value).filter(|value| is_judged(value)),
            None => default_of(self.index.variables.get(name)?),
        }
    }

    /// As [`Self::value`], for a text.
    fn text(&self, name: &str) -> Option<&str> {
        self.value(name).and_then(Value::as_str)
    }

    /// The version of Kubernetes that will be installed, without a `v`.
    fn kube_version(&self) -> Option<String> {
        if let Some(setting) = self.setting("kube_version") {
            let text = setting.value.as_str().filter(|_| is_judged(&setting.value))?;
            return Some(text.trim_start_matches('v').to_owned());
        }
        let kubelet = self.index.components.get("kubelet")?;
        kubelet.default.clone().or_else(|| kubelet.versions.get("amd64")?.first().cloned())
    }

    /// The settings of a variable to report: every one for a group, and of those for single machines the
    /// first, with the number of the others.
    fn settings_to_report(&self, name: &str) -> Vec<(&'a Setting, usize)> {
        let mut settings: Vec<(&Setting, usize)> = Vec::new();
        let mut first_host = None;
        for setting in self.values.all(name) {
            match (&setting.scope, first_host) {
                (Scope::Host(_), Some(at)) => {
                    let first: &mut (&Setting, usize) = &mut settings[at];
                    first.1 += 1;
                }
                (Scope::Host(_), None) => {
                    first_host = Some(settings.len());
                    settings.push((setting, 0));
                }
                (Scope::Group(_), _) => settings.push((setting, 0)),
            }
        }
        settings
    }

    /// Every setting of a variable whose value can be judged. Of equal values for single machines only the first,
    /// so that one mistake is one finding.
    fn judged(&self, name: &str) -> Vec<&'a Setting> {
        let mut seen: Vec<&Value> = Vec::new();
        self.values
            .all(name)
            .filter(|setting| is_judged(&setting.value))
            .filter(|setting| {
                if matches!(setting.scope, Scope::Group(_)) {
                    return true;
                }
                // A long search for thousands of different values would not make fewer findings.
                if seen.len() > 20 || !seen.contains(&&setting.value) {
                    seen.push(&setting.value);
                    return true;
                }
                false
            })
            .collect()
    }

    /// Every other known Kubespray.
    fn others(&self) -> &Others {
        self.others.get_or_init(|| Others::new(self.index, (self.kubespray.others)()))
    }
}

/// The plain default of a variable, if there is one.
fn default_of(variable: &Variable) -> Option<&Value> {
    variable.defaults.iter().find_map(|default| default.value.as_ref())
}

/// Whether Kubespray will see a value as written: neither a template nor encrypted.
fn is_judged(value: &Value) -> bool {
    match value {
        Value::String(text) => !is_template(text) && !read::is_encrypted(value),
        Value::Array(items) => items.iter().all(is_judged),
        Value::Object(entries) => entries.iter().all(|(key, value)| !is_template(key) && is_judged(value)),
        _ => true,
    }
}

fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%")
}

/// The boolean that Ansible reads a value as. `None`: it is neither.
fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(value) => Some(*value),
        Value::String(text) => truth_of_text(text),
        Value::Number(number) => match number.as_i64() {
            Some(0) => Some(false),
            Some(1) => Some(true),
            _ => None,
        },
        _ => None,
    }
}

/// The texts that Ansible's filter `bool` knows.
fn truth_of_text(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" | "y" | "t" => Some(true),
        "false" | "no" | "off" | "0" | "n" | "f" => Some(false),
        _ => None,
    }
}

/// A value on one line, as a message shows it.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => crate::source::suggest::quote(text),
        value => crate::source::suggest::quote(&value.to_string()),
    }
}

/// The kind of a value in words, with its article.
fn described(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a yes or no",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

/// An IPv4 address that a value holds.
fn address(value: &Value) -> Option<Ipv4Addr> {
    value.as_str()?.trim().parse().ok()
}
