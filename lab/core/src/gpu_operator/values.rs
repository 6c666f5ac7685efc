//! The values that the chart is given, each with where it comes from.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::chart::Chart;
use super::nodes::{
    EXCLUSIVE, RESOURCE, control_plane_taint, gpu_nodes_of, has_stand_ins, is_node, shared, taints,
};
use crate::source::suggest::shorten;
use crate::spec::{ClusterSpec, GpuDriver, GpuOperatorSpec, GpuRuntime, MachineSpec, MigStrategy, Taint};
use crate::yaml_writer;

/// The ConfigMap of the device plugin's configurations.
pub const DEVICE_CONFIG: &str = "device-plugin-config";

/// One value, and where it comes from.
#[derive(Debug, Clone, PartialEq)]
struct Setting {
    /// `driver.enabled`, in steps.
    path: Vec<String>,
    value: Value,
    origin: String,
}

/// The values of a cluster as `values.yaml`: the same bytes for the same cluster. Each value has a comment with the
/// key of the cluster file that it comes from, or the reason for it.
pub fn render(spec: &ClusterSpec, chart: &Chart) -> String {
    let settings = spec.gpu_operator.iter().flat_map(|operator| all(&spec.machines, operator, chart));
    let settings: Vec<Setting> = settings.collect();
    let mut root = Branch::default();
    for setting in &settings {
        root.insert(&setting.path, setting);
    }
    let mut text = format!(
        "# Made by the lab {} from its cluster file, for the chart gpu-operator {}; changes are overwritten.\n---\n",
        spec.name, chart.data.version
    );
    root.write(&mut text, 0);
    text
}

/// The same values as data; none where the cluster has no GPU Operator.
pub fn values(spec: &ClusterSpec, chart: &Chart) -> Value {
    match &spec.gpu_operator {
        Some(operator) => values_of(&spec.machines, operator, chart),
        None => Value::Object(Map::new()),
    }
}

/// The values of an operator for some machines.
pub fn values_of(machines: &[MachineSpec], operator: &GpuOperatorSpec, chart: &Chart) -> Value {
    let mut values = Map::new();
    for setting in all(machines, operator, chart) {
        put(&mut values, &setting.path, setting.value);
    }
    Value::Object(values)
}

fn put(map: &mut Map<String, Value>, path: &[String], value: Value) {
    match path {
        [] => {}
        [last] => {
            map.insert(last.clone(), value);
        }
        [first, rest @ ..] => {
            let below = map.entry(first.clone()).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(below) = below {
                put(below, rest, value);
            }
        }
    }
}

/// The value that counts in the end: of the rendered values, or else the chart's own.
pub fn effective(values: &Value, chart: &Chart, path: &str) -> Option<Value> {
    let pointer = format!("/{}", path.replace('.', "/"));
    values.pointer(&pointer).or_else(|| chart.default(path)).cloned()
}

/// Whether a key is switched on in the end.
pub(super) fn is_on(values: &Value, chart: &Chart, path: &str) -> bool {
    effective(values, chart, path) == Some(Value::Bool(true))
}

/// A mapping of the values while they are put together.
#[derive(Debug, Default)]
struct Branch<'s> {
    below: BTreeMap<&'s str, Branch<'s>>,
    leaf: Option<&'s Setting>,
}

impl<'s> Branch<'s> {
    fn insert(&mut self, path: &'s [String], setting: &'s Setting) {
        match path.split_first() {
            None => self.leaf = Some(setting),
            Some((first, rest)) => self.below.entry(first).or_default().insert(rest, setting),
        }
    }

    fn write(&self, text: &mut String, depth: usize) {
        for (name, branch) in &self.below {
            match branch.leaf {
                Some(Setting { value, origin, .. }) => {
                    yaml_writer::commented_entry(text, name, value, depth, origin);
                }
                None => {
                    yaml_writer::open_mapping(text, name, depth);
                    branch.write(text, depth + 1);
                }
            }
        }
    }
}

/// Every setting, the user's own in place of the lab's.
fn all(machines: &[MachineSpec], operator: &GpuOperatorSpec, chart: &Chart) -> Vec<Setting> {
    let mut settings = own(machines, operator, chart);
    let mut users = Vec::new();
    flatten(&operator.values, &[], &mut users);
    for (path, value) in users {
        let origin = format!("gpu_operator.values.{}", path.join("."));
        // One of the two may be a mapping that the other one replaces whole.
        let replaced = |setting: &Setting| setting.path.starts_with(&path) || path.starts_with(&setting.path);
        let before = settings.iter().position(replaced);
        let origin = match before.map(|at| &settings[at]) {
            Some(Setting { value, .. }) if *value != Value::Null => {
                format!("{origin}, in place of the lab's {}", shorten(&shown(value)))
            }
            _ => origin,
        };
        settings.retain(|setting| !replaced(setting));
        settings.push(Setting { path, value, origin });
    }
    settings
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The values of a mapping by their paths. An empty mapping replaces nothing, as helm merges it.
fn flatten(map: &Map<String, Value>, below: &[String], into: &mut Vec<(Vec<String>, Value)>) {
    let mut entries: Vec<_> = map.iter().collect();
    // The order in memory depends on how the program was built.
    entries.sort_by_key(|(key, _)| *key);
    for (key, value) in entries {
        let mut path = below.to_vec();
        path.push(key.clone());
        match value {
            Value::Object(map) if !map.is_empty() => flatten(map, &path, into),
            Value::Object(_) => {}
            value => into.push((path, value.clone())),
        }
    }
}

/// Collects the lab's own settings.
struct Settings<'c> {
    chart: &'c Chart,
    all: Vec<Setting>,
}

impl Settings<'_> {
    fn set(&mut self, path: &str, value: impl Into<Value>, origin: impl Into<String>) {
        let path = path.split('.').map(str::to_owned).collect();
        self.all.push(Setting { path, value: value.into(), origin: origin.into() });
    }
}

fn own(machines: &[MachineSpec], operator: &GpuOperatorSpec, chart: &Chart) -> Vec<Setting> {
    let mut settings = Settings { chart, all: Vec::new() };
    driver(&mut settings, operator);
    sharing(&mut settings, operator);
    monitoring(&mut settings, operator);
    tolerations(&mut settings, machines);
    if has_stand_ins(machines) {
        stand_ins(&mut settings);
    }
    settings.set("nfd.enabled", true, "the operator finds GPUs by the labels of Node Feature Discovery");
    settings.set("psa.enabled", false, "the namespace has its label before the first pod");
    settings.all
}

fn driver(settings: &mut Settings<'_>, operator: &GpuOperatorSpec) {
    let host = operator.driver == GpuDriver::Host;
    let origin = format!("gpu_operator.driver: {}", operator.driver.as_str());
    settings.set("driver.enabled", !host, origin);
    let origin = format!("gpu_operator.runtime: {}", operator.runtime.as_str());
    settings.set("toolkit.enabled", true, origin.as_str());
    settings.set("cdi.enabled", true, origin.as_str());
    // Without it, the charts that have it inject GPUs the old way, past the container runtime's own rules.
    if settings.chart.has("cdi.default") {
        settings.set("cdi.default", true, origin.as_str());
    }
    if settings.chart.has("cdi.nriPluginEnabled") {
        settings.set("cdi.nriPluginEnabled", operator.runtime == GpuRuntime::Nri, origin);
    }
}

fn sharing(settings: &mut Settings<'_>, operator: &GpuOperatorSpec) {
    let divided = operator.mig != MigStrategy::None;
    let origin = format!("gpu_operator.mig: {}", operator.mig.as_str());
    settings.set("mig.strategy", operator.mig.as_str(), origin.as_str());
    settings.set("migManager.enabled", divided, origin);
    if operator.sharing.is_empty() {
        return;
    }
    const ORIGIN: &str = "gpu_operator.sharing";
    settings.set("devicePlugin.config.create", true, ORIGIN);
    settings.set("devicePlugin.config.name", DEVICE_CONFIG, ORIGIN);
    settings.set(
        "devicePlugin.config.default",
        EXCLUSIVE,
        "machines that gpu_operator.sharing does not name",
    );
    settings.set(
        "devicePlugin.config.data.exclusive",
        "version: v1",
        "machines that gpu_operator.sharing does not name",
    );
    let mut by_replicas: BTreeMap<u32, Vec<&str>> = BTreeMap::new();
    for (machine, replicas) in &operator.sharing {
        by_replicas.entry(*replicas).or_default().push(machine);
    }
    for (replicas, machines) in by_replicas {
        let path = format!("devicePlugin.config.data.{}", shared(replicas));
        settings.set(&path, time_slices(replicas), format!("{ORIGIN}: {}", machines.join(", ")));
    }
}

/// A configuration of the device plugin. A pod that asks for two slices would get no more than with one, so it is
/// refused.
fn time_slices(replicas: u32) -> String {
    format!(
        "version: v1\nsharing:\n  timeSlicing:\n    failRequestsGreaterThanOne: true\n    resources:\n    \
         - name: {RESOURCE}\n      replicas: {replicas}"
    )
}

fn monitoring(settings: &mut Settings<'_>, operator: &GpuOperatorSpec) {
    let monitoring = operator.monitoring;
    settings.set("dcgm.enabled", false, "the exporter has a host engine of its own");
    settings.set("dcgmExporter.enabled", monitoring.exporter, "gpu_operator.monitoring.exporter");
    settings.set(
        "dcgmExporter.serviceMonitor.enabled",
        monitoring.exporter && monitoring.service_monitor,
        "gpu_operator.monitoring.service_monitor",
    );
}

/// The tolerations that nodes with GPUs need beyond the chart's own. Helm replaces lists, so that the chart's own
/// are repeated.
fn tolerations(settings: &mut Settings<'_>, all: &[MachineSpec]) {
    const OPERANDS: &str = "daemonsets.tolerations";
    const WORKER: &str = "node-feature-discovery.worker.tolerations";
    const COLLECTOR: &str = "node-feature-discovery.gc.tolerations";
    for path in [OPERANDS, WORKER] {
        let own = settings.chart.default(path).and_then(Value::as_array).cloned().unwrap_or_default();
        let mut list = own.clone();
        let mut machines = Vec::new();
        for machine in gpu_nodes_of(all) {
            for taint in taints(machine).iter().filter(|taint| !own.iter().any(|one| tolerates(one, taint))) {
                let added = toleration(taint);
                if !list.contains(&added) {
                    list.push(added);
                }
                machines.push(machine.name.as_str());
            }
        }
        machines.dedup();
        if !machines.is_empty() {
            settings.set(path, list, format!("the chart's own, and taints of {}", machines.join(", ")));
        }
    }
    // It tolerates nothing by itself, and helm would wait for it for ever.
    if !all.iter().any(|machine| is_node(machine) && taints(machine).is_empty()) {
        let list = vec![toleration(&control_plane_taint())];
        settings.set(COLLECTOR, list, "every machine has a taint, and this pod has to run somewhere");
    }
}

fn toleration(taint: &Taint) -> Value {
    json!({ "key": taint.key, "operator": "Exists", "effect": taint.effect })
}

/// Whether a toleration covers a taint (`ToleratesTaint` in Kubernetes' `staging/src/k8s.io/api/core/v1`).
pub(super) fn tolerates(toleration: &Value, taint: &Taint) -> bool {
    let field = |name: &str| toleration.get(name).and_then(Value::as_str).unwrap_or_default();
    let effect = field("effect").is_empty() || field("effect") == taint.effect;
    let key = field("key").is_empty() || field("key") == taint.key;
    effect && key && (field("operator") == "Exists" || field("value") == taint.value)
}

/// What only machines without a GPU need.
fn stand_ins(settings: &mut Settings<'_>) {
    let variable = |name: &str, value: &str| json!([{ "name": name, "value": value }]);
    // The toolkit would look for the driver's devices in /proc/devices.
    settings.set(
        "toolkit.env",
        variable("CREATE_DEVICE_NODES", "none"),
        "a stand-in's devices are made with its machine",
    );
    // It would load the kernel's module, which is not there. On a machine with a driver it must be made: without
    // the links, systemd takes devices from containers when it reloads (NVIDIA/gpu-operator issue 430).
    settings.set(
        "validator.driver.env",
        variable("DISABLE_DEV_CHAR_SYMLINK_CREATION", "true"),
        "a stand-in's links below /dev/char are made with its machine",
    );
    settings.set("validator.cuda.env", variable("WITH_WORKLOAD", "false"), "a stand-in cannot run CUDA");
    settings.set(
        "validator.plugin.env",
        variable("WITH_WORKLOAD", "true"),
        "the only proof that a pod gets what it asks for",
    );
}
