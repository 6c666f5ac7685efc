//! What is known of a version of the chart: its keys, and what a rendering makes of them. Data and questions about
//! them; judges nothing.
//!
//! Keys, defaults, names of CRDs and DaemonSets lie in `charts/`, made by [`super::build`] of a checkout of the
//! project. The facts that no file of the chart says are in [`Facts`], each with its source.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One version of the chart.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// What the files of the chart say.
    pub data: ChartData,
    /// What they do not.
    pub facts: Facts,
}

/// The files of a chart, as data. Names, defaults and places only, none of their text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChartData {
    /// The tag, which is also the version of the chart and of the application: `v25.3.4`.
    pub version: String,
    /// All forty digits of the commit.
    pub commit: String,
    /// The condition on Kubernetes in its `Chart.yaml`.
    pub kubernetes: String,
    /// The version of Node Feature Discovery in it; the tag of that image.
    pub node_feature_discovery: String,
    /// The full names of its CustomResourceDefinitions, sorted.
    pub crds: Vec<String>,
    /// The DaemonSets that the operator can make, by the folder of `assets/` that each comes from.
    pub daemon_sets: BTreeMap<String, DaemonSet>,
    /// Every key of its values by its path: `driver.manager.version`.
    pub keys: BTreeMap<String, Key>,
}

/// A DaemonSet that the operator makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DaemonSet {
    /// Its name.
    pub name: String,
    /// The labels that a node must have, all of them.
    pub selector: BTreeMap<String, String>,
}

/// A key of the chart's values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// The kind of value behind it.
    pub kind: Kind,
    /// The chart's own value, where it has one and the key is no [`Kind::Map`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
}

/// The kind of value behind a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A mapping whose keys are known.
    Map,
    /// A mapping whose keys are the user's own.
    Free,
    /// A list.
    List,
    /// Yes or no.
    Boolean,
    /// A number.
    Number,
    /// A text.
    Text,
    /// Anything; the chart has no value there to learn the kind from.
    Any,
}

/// What no file of a chart says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// The branch of the driver that the chart installs by itself, and is tested with: `driver.version`.
    pub tested_driver: u16,
    /// The oldest branch of the driver that the validator's CUDA program runs on: `CUDA_SAMPLES_VERSION` in
    /// `validator/versions.mk` or `docker/Dockerfile`, and NVIDIA's table of minor version compatibility.
    pub least_driver: u16,
    /// The oldest containerd: with CDI in the container runtime since v25.10 (`cdi.enabled`), 1.7.
    pub least_containerd: &'static str,
    /// The oldest containerd for `runtime: nri`; `None` where the chart cannot do it (`cdi.nriPluginEnabled`).
    pub least_containerd_nri: Option<&'static str>,
    /// Whether the toolkit writes a file of its own below [`super::DROP_IN_FOLDER`]
    /// (`DefaultContainerdDropInConfigFile` in `controllers/object_controls.go`), and not containerd's own file.
    pub drop_in: bool,
    /// Whether the exporter never gets ready while there is no CRD for ServiceMonitors: so up to v26.3.3.
    pub service_monitor_needs_crd: bool,
    /// Whether NVIDIA still mends it.
    pub support: Support,
}

/// Whether NVIDIA still mends a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// Supported.
    Supported,
    /// Only faults are mended.
    Deprecated,
    /// No longer.
    Ended,
}

/// The text of each version's data, and its facts. Oldest first.
const KNOWN: &[(&str, &str, Facts)] = &[
    (
        "v24.9.2",
        include_str!("charts/v24.9.2.json"),
        Facts {
            tested_driver: 550,
            least_driver: 450,
            least_containerd: "1.6",
            least_containerd_nri: None,
            drop_in: false,
            service_monitor_needs_crd: true,
            support: Support::Ended,
        },
    ),
    (
        "v25.3.4",
        include_str!("charts/v25.3.4.json"),
        Facts {
            tested_driver: 580,
            least_driver: 450,
            least_containerd: "1.6",
            least_containerd_nri: None,
            drop_in: false,
            service_monitor_needs_crd: true,
            support: Support::Ended,
        },
    ),
    (
        "v25.10.1",
        include_str!("charts/v25.10.1.json"),
        Facts {
            tested_driver: 580,
            least_driver: 525,
            least_containerd: "1.7",
            least_containerd_nri: None,
            drop_in: true,
            service_monitor_needs_crd: true,
            support: Support::Ended,
        },
    ),
    (
        "v26.3.3",
        include_str!("charts/v26.3.3.json"),
        Facts {
            tested_driver: 580,
            least_driver: 525,
            least_containerd: "1.7",
            least_containerd_nri: Some("1.7.30"),
            drop_in: true,
            service_monitor_needs_crd: true,
            support: Support::Deprecated,
        },
    ),
    (
        "v26.7.0",
        include_str!("charts/v26.7.0.json"),
        Facts {
            tested_driver: 595,
            least_driver: 580,
            least_containerd: "1.7",
            least_containerd_nri: Some("1.7.30"),
            drop_in: true,
            service_monitor_needs_crd: false,
            support: Support::Supported,
        },
    ),
];

/// The known versions of the chart, oldest first.
pub const VERSIONS: [&str; KNOWN.len()] = {
    let mut versions = [""; KNOWN.len()];
    let mut at = 0;
    while at < KNOWN.len() {
        versions[at] = KNOWN[at].0;
        at += 1;
    }
    versions
};

/// The chart that is installed where a cluster file names none: the newest whose operands can all be built here.
pub const DEFAULT_VERSION: &str = "v25.3.4";

/// A known version of the chart.
pub fn chart(version: &str) -> Option<&'static Chart> {
    // A test reads every one of them.
    static CHARTS: LazyLock<BTreeMap<&str, Chart>> = LazyLock::new(|| {
        let known = KNOWN.iter().filter_map(|(version, text, facts)| {
            Some((*version, Chart { data: serde_json::from_str(text).ok()?, facts: *facts }))
        });
        known.collect()
    });
    CHARTS.get(version)
}

impl Chart {
    /// The key at a path, and how much of the path led there: the whole of it, or the part up to a mapping with
    /// keys of the user's own. `None`: the chart has no such key.
    pub fn find(&self, path: &[&str]) -> Option<&Key> {
        let mut key = None;
        for end in 1..=path.len() {
            let found = self.data.keys.get(&path[..end].join("."))?;
            if found.kind != Kind::Map && end < path.len() {
                return matches!(found.kind, Kind::Free | Kind::Any).then_some(found);
            }
            key = Some(found);
        }
        key
    }

    /// The names of the keys directly below a path; of the whole chart's for an empty one.
    pub fn below(&self, path: &str) -> Vec<&str> {
        let prefix = if path.is_empty() { String::new() } else { format!("{path}.") };
        let keys = self.data.keys.keys();
        keys.filter_map(|key| key.strip_prefix(prefix.as_str())).filter(|rest| !rest.contains('.')).collect()
    }

    /// Whether it has a key: `has("cdi.default")`.
    pub fn has(&self, path: &str) -> bool {
        self.data.keys.contains_key(path)
    }

    /// The chart's own value of a key.
    pub fn default(&self, path: &str) -> Option<&Value> {
        self.data.keys.get(path)?.default.as_ref()
    }
}
