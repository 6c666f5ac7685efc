//! Makes the data of one version of the chart from the files of a checkout. Reads no disk: who does it hands the
//! texts in.
//!
//! A key is known where `values.yaml` has it or a template reads it (`validator.cuda.env` is only read). A mapping
//! that a template writes out whole is free, unless the CRD of ClusterPolicy says which keys belong there.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::chart::{ChartData, DaemonSet, Key, Kind};

/// The folder of the chart in a checkout of github.com/NVIDIA/gpu-operator.
const CHART: &str = "deployments/gpu-operator/";
/// The chart inside it.
const INNER: &str = "node-feature-discovery";
/// What the operator makes its objects of.
const ASSETS: &str = "assets/";

/// Why a checkout gives no data.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A file is not there.
    #[error("the checkout has no file {0}")]
    Missing(String),
    /// A file is no YAML, or has another shape than expected.
    #[error("{0} is not as expected: {1}")]
    Unexpected(String, String),
}

/// Whether the data is made from a file, by its path below the checkout.
pub fn wants(path: &str) -> bool {
    let of_chart = path.starts_with(CHART) && (path.ends_with(".yaml") || path.ends_with(".tpl"));
    of_chart || is_daemon_set(path)
}

/// One of the files is named after its program.
fn is_daemon_set(path: &str) -> bool {
    path.starts_with(ASSETS) && (path.ends_with("daemonset.yaml") || path.ends_with("dcgm.yml"))
}

/// The data of the chart of one version.
///
/// # Errors
/// If a file is missing or not as expected.
pub fn build(files: &BTreeMap<String, String>, version: &str, commit: &str) -> Result<ChartData, BuildError> {
    let about = yaml(files, &format!("{CHART}Chart.yaml"))?;
    let inner = yaml(files, &format!("{CHART}charts/{INNER}/Chart.yaml"))?;
    Ok(ChartData {
        version: version.to_owned(),
        commit: commit.to_owned(),
        kubernetes: text(&about, "/kubeVersion"),
        node_feature_discovery: text(&inner, "/appVersion"),
        crds: crds(files),
        daemon_sets: daemon_sets(files)?,
        keys: keys(files)?,
    })
}

/// The text of the data: one key a line, so that differences between two versions read well.
pub fn write(data: &ChartData) -> String {
    let mut text = String::from("{");
    let _ = write!(text, "\n\"version\":{}", json(&data.version));
    let _ = write!(text, ",\n\"commit\":{}", json(&data.commit));
    let _ = write!(text, ",\n\"kubernetes\":{}", json(&data.kubernetes));
    let _ = write!(text, ",\n\"node_feature_discovery\":{}", json(&data.node_feature_discovery));
    let _ = write!(text, ",\n\"crds\":{}", json(&data.crds));
    let sets = data.daemon_sets.iter().map(|(name, one)| format!("{}:{}", json(name), json(one)));
    let _ = write!(text, ",\n\"daemon_sets\":{{\n{}\n}}", sets.collect::<Vec<_>>().join(",\n"));
    let keys = data.keys.iter().map(|(path, key)| format!("{}:{}", json(path), json(key)));
    let _ = write!(text, ",\n\"keys\":{{\n{}\n}}", keys.collect::<Vec<_>>().join(",\n"));
    text.push_str("\n}\n");
    text
}

/// Texts as keys and finite numbers are all there is.
fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn yaml(files: &BTreeMap<String, String>, path: &str) -> Result<Value, BuildError> {
    let text = files.get(path).ok_or_else(|| BuildError::Missing(path.to_owned()))?;
    serde_saphyr::from_str(text).map_err(|error| BuildError::Unexpected(path.to_owned(), error.to_string()))
}

fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The names in all files of CRDs, of both charts.
fn crds(files: &BTreeMap<String, String>) -> Vec<String> {
    let of_crds = files.iter().filter(|(path, _)| path.starts_with(CHART) && path.contains("/crds/"));
    let documents = of_crds.flat_map(|(_, text)| text.split("\n---"));
    // The first name that is indented once is the one in `metadata`.
    let names = documents.filter_map(|document| {
        document.lines().find_map(|line| line.strip_prefix("  name: ")).map(|name| name.trim().to_owned())
    });
    names.collect::<BTreeSet<_>>().into_iter().collect()
}

fn daemon_sets(files: &BTreeMap<String, String>) -> Result<BTreeMap<String, DaemonSet>, BuildError> {
    let mut sets = BTreeMap::new();
    for path in files.keys().filter(|path| is_daemon_set(path)) {
        let set = yaml(files, path)?;
        let folder = path.trim_start_matches(ASSETS).split('/').next().unwrap_or_default();
        let selector = set.pointer("/spec/template/spec/nodeSelector").and_then(Value::as_object);
        let selector = selector
            .into_iter()
            .flatten()
            .filter_map(|(label, value)| Some((label.clone(), value.as_str()?.to_owned())));
        let set = DaemonSet { name: text(&set, "/metadata/name"), selector: selector.collect() };
        sets.insert(folder.to_owned(), set);
    }
    Ok(sets)
}

fn keys(files: &BTreeMap<String, String>) -> Result<BTreeMap<String, Key>, BuildError> {
    let mut values = yaml(files, &format!("{CHART}values.yaml"))?;
    let mut inner = yaml(files, &format!("{CHART}charts/{INNER}/values.yaml"))?;
    let policy = yaml(files, &format!("{CHART}crds/nvidia.com_clusterpolicies.yaml"))?;
    let schema = policy.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec");
    // As helm does it: the outer chart's values over those of the inner one.
    merge(&mut inner, values.get(INNER).cloned().unwrap_or_default());
    if let Some(map) = values.as_object_mut() {
        map.insert(INNER.to_owned(), inner);
    }
    let mut uses = Uses::default();
    for (path, text) in files {
        if path.starts_with(&format!("{CHART}templates/")) {
            uses.read(text, &[]);
        } else if path.starts_with(&format!("{CHART}charts/{INNER}/templates/")) {
            uses.read(text, &[INNER]);
        }
    }
    let mut keys = BTreeMap::new();
    let map = values.as_object().cloned().unwrap_or_default();
    children(&[], &map, &uses, schema, &mut keys);
    Ok(keys)
}

/// As helm merges values: mappings are merged, everything else is replaced.
fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

/// The values that templates read.
#[derive(Debug, Default)]
struct Uses {
    /// The paths, and everything above them.
    read: BTreeSet<Vec<String>>,
    /// Those that are written out with everything below them.
    whole: BTreeSet<Vec<String>>,
}

impl Uses {
    fn read(&mut self, template: &str, below: &[&str]) {
        for action in template.split("{{").skip(1).filter_map(|rest| rest.split("}}").next()) {
            // A comment shows examples.
            if action.trim_start_matches(['-', ' ']).starts_with("/*") {
                continue;
            }
            let words: Vec<&str> = action.split(|c: char| c.is_whitespace() || "()".contains(c)).collect();
            let whole = words.iter().any(|word| ["toYaml", "with", "range", "tpl"].contains(word));
            for word in words {
                let Some((before, path)) = word.split_once(".Values.") else { continue };
                if !["", "$"].contains(&before) {
                    continue;
                }
                let mut full: Vec<String> = below.iter().map(|step| (*step).to_owned()).collect();
                full.extend(path.split('.').map(|step| step.trim_end_matches([',', ';']).to_owned()));
                for end in 1..=full.len() {
                    self.read.insert(full[..end].to_vec());
                }
                if whole {
                    self.whole.insert(full);
                }
            }
        }
    }

    /// The names directly below a path.
    fn below(&self, path: &[String]) -> BTreeSet<String> {
        let longer = self.read.iter().filter(|read| read.len() == path.len() + 1 && read.starts_with(path));
        longer.filter_map(|read| read.last().cloned()).collect()
    }
}

/// Adds the keys of a mapping, and everything below them.
fn children(
    path: &[String],
    values: &Map<String, Value>,
    uses: &Uses,
    schema: Option<&Value>,
    keys: &mut BTreeMap<String, Key>,
) {
    let mut names = uses.below(path);
    names.extend(values.keys().cloned());
    if uses.whole.iter().any(|whole| path.starts_with(whole)) {
        names.extend(properties(schema).map(|(name, _)| name.clone()));
    }
    for name in names {
        let mut full = path.to_vec();
        full.push(name.clone());
        let value = values.get(&name).unwrap_or(&Value::Null);
        let schema = properties(schema).find(|(property, _)| **property == name).map(|(_, schema)| schema);
        let kind = kind(&full, value, uses, schema);
        let default = (kind != Kind::Map && !value.is_null() && *value != Value::Object(Map::new()))
            .then(|| value.clone());
        keys.insert(full.join("."), Key { kind, default });
        if kind == Kind::Map {
            let empty = Map::new();
            children(&full, value.as_object().unwrap_or(&empty), uses, schema, keys);
        }
    }
}

fn properties(schema: Option<&Value>) -> impl Iterator<Item = (&String, &Value)> {
    schema.and_then(|schema| schema.get("properties")?.as_object()).into_iter().flatten()
}

fn kind(path: &[String], value: &Value, uses: &Uses, schema: Option<&Value>) -> Kind {
    let whole = uses.whole.iter().any(|whole| path.starts_with(whole));
    let by_schema = |schema: &Value| match schema.get("type").and_then(Value::as_str) {
        Some("array") => Kind::List,
        Some("boolean") => Kind::Boolean,
        Some("integer" | "number") => Kind::Number,
        Some("string") => Kind::Text,
        Some("object") if schema.get("properties").is_some() => Kind::Map,
        Some("object") => Kind::Free,
        _ => Kind::Any,
    };
    match value {
        Value::Bool(_) => Kind::Boolean,
        Value::Number(_) => Kind::Number,
        Value::String(_) => Kind::Text,
        Value::Array(_) => Kind::List,
        Value::Object(map) => {
            let known = properties(schema).next().is_some();
            if (whole && !known) || (map.is_empty() && !known && uses.below(path).is_empty()) {
                Kind::Free
            } else {
                Kind::Map
            }
        }
        Value::Null if !uses.below(path).is_empty() && !whole => Kind::Map,
        Value::Null => schema.map_or(Kind::Any, by_schema),
    }
}
