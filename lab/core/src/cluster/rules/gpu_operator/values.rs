//! The user's own values of the chart, key by key: whether the chart has them, and what they do to it.

use serde_json::Value;

use super::{Cluster, no_driver_container, service_monitor_without_crd};
use crate::cluster::decode::placed::{PlacedKey, PlacedMap};
use crate::gpu_operator::values::{effective, values_of};
use crate::gpu_operator::{Chart, Kind, VERSIONS, chart as known_chart};
use crate::source::suggest::{self, quote};
use crate::source::{Code, Findings, Place, Severity, Span};
use crate::spec::GpuOperatorSpec;

/// The keys of the chart that a key of the cluster file stands for.
const OWN_KEYS: [(&str, &str); 6] = [
    ("driver.enabled", "driver"),
    ("cdi.nriPluginEnabled", "runtime"),
    ("mig.strategy", "mig"),
    ("dcgmExporter.enabled", "monitoring.exporter"),
    ("dcgmExporter.serviceMonitor.enabled", "monitoring.service_monitor"),
    ("devicePlugin.config", "sharing"),
];

/// Keys that are listed where none is near.
const MAX_LISTED: usize = 12;

/// What one key is judged with.
struct Context<'c> {
    map: &'c PlacedMap,
    operator: &'c GpuOperatorSpec,
    chart: &'c Chart,
    cluster: &'c Cluster<'c>,
    /// The values without the user's.
    rendered: Value,
}

/// Judges the values of a file. A key below a reported one is judged no further.
pub(super) fn check(
    map: &PlacedMap,
    operator: &GpuOperatorSpec,
    chart: &Chart,
    cluster: &Cluster<'_>,
    findings: &mut Findings,
) {
    let without = GpuOperatorSpec { values: serde_json::Map::new(), ..operator.clone() };
    let rendered = values_of(cluster.machines, &without, chart);
    let context = Context { map, operator, chart, cluster, rendered };
    let mut reported: Vec<&[String]> = Vec::new();
    for key in &map.keys {
        if reported.iter().any(|path| key.path.starts_with(path)) {
            continue;
        }
        if judge(&context, key, findings) {
            reported.push(&key.path);
        }
    }
    check_device_config(&context, findings);
}

/// Judges one key. True: those below it need not be judged.
fn judge(context: &Context<'_>, key: &PlacedKey, findings: &mut Findings) -> bool {
    let steps: Vec<&str> = key.path.iter().map(String::as_str).collect();
    let Some(known) = context.chart.find(&steps) else {
        unknown(context.chart, key, findings);
        return true;
    };
    // Below a mapping of the user's own, anything goes.
    if !context.chart.has(&key.path.join(".")) {
        return true;
    }
    let value = pointed(&context.map.value, &key.path);
    if let Some(expected) = misfit(known.kind, value) {
        let mut message = format!("the chart expects {expected} for {}", quote(&key.path.join(".")));
        if matches!(value, Value::String(word) if word == "false") {
            message += ", and the text `false` is a yes to its templates";
        }
        findings.error(Code::WrongType, key.value, message);
        return true;
    }
    if !matches!(known.kind, Kind::Map | Kind::Free) {
        leaf(context, key, value, findings);
    }
    false
}

/// The value at a path that is there.
fn pointed<'v>(map: &'v serde_json::Map<String, Value>, path: &[String]) -> &'v Value {
    let mut steps = path.iter();
    let first = steps.next().and_then(|step| map.get(step));
    steps.fold(first, |at, step| at?.get(step)).unwrap_or(&Value::Null)
}

/// What belongs where a value stands, if that is something else. Nothing takes the chart's own value away.
fn misfit(kind: Kind, value: &Value) -> Option<&'static str> {
    match (kind, value) {
        (_, Value::Null) | (Kind::Number | Kind::Text | Kind::Any, _) => None,
        (Kind::Map | Kind::Free, Value::Object(_)) | (Kind::List, Value::Array(_)) => None,
        (Kind::Boolean, Value::Bool(_)) => None,
        (Kind::Map | Kind::Free, _) => Some("a mapping"),
        (Kind::List, _) => Some("a list"),
        (Kind::Boolean, _) => Some("true or false"),
    }
}

/// A key that the chart passes over silently: it has no schema.
fn unknown(chart: &Chart, key: &PlacedKey, findings: &mut Findings) {
    let path = key.path.join(".");
    let version = &chart.data.version;
    let others = VERSIONS.iter().filter(|other| known_chart(other).is_some_and(|chart| chart.has(&path)));
    let own = VERSIONS.iter().position(|known| known == version);
    let others: Vec<(usize, &str)> = others
        .map(|other| (VERSIONS.iter().position(|known| known == other).unwrap_or_default(), *other))
        .collect();
    let older = others.iter().rfind(|(at, _)| Some(*at) < own);
    let newer = others.iter().find(|(at, _)| Some(*at) > own);
    let (code, message) = match (older, newer) {
        (Some((_, last)), _) => (
            Code::OtherChartKey,
            format!(
                "the chart {version} passes over {}: {last} was the last known one that has it",
                quote(&path)
            ),
        ),
        (None, Some((_, first))) => (
            Code::OtherChartKey,
            format!(
                "the chart {version} passes over {}: {first} is the first known one that has it",
                quote(&path)
            ),
        ),
        (None, None) => (
            Code::UnknownChartKey,
            format!("the chart {version} passes over {}, which it does not have", quote(&path)),
        ),
    };
    let hint =
        if code == Code::OtherChartKey { Some("take the key out".to_owned()) } else { near(chart, key) };
    findings.error(code, key.key, message).hint = hint;
}

/// The key that was most likely meant.
fn near(chart: &Chart, key: &PlacedKey) -> Option<String> {
    let (name, above) = key.path.split_last()?;
    let above = above.join(".");
    let siblings = chart.below(&above);
    if let Some(near) = suggest::nearest(name, &siblings) {
        return Some(format!("did you mean `{near}`?"));
    }
    let mut elsewhere = chart.data.keys.keys().filter(|path| path.rsplit('.').next() == Some(name.as_str()));
    if let (Some(only), None) = (elsewhere.next(), elsewhere.next()) {
        return Some(format!("did you mean `{only}`?"));
    }
    (siblings.len() <= MAX_LISTED).then(|| format!("known keys of `{above}`: {}", siblings.join(", ")))
}

/// One value that the chart takes.
fn leaf(context: &Context<'_>, key: &PlacedKey, value: &Value, findings: &mut Findings) {
    let path = key.path.join(".");
    let before = effective(&context.rendered, context.chart, &path);
    let is_version = path.ends_with(".version") || path == "node-feature-discovery.image.tag";
    if before.as_ref() == Some(value) {
        let whose = if context.chart.default(&path) == Some(value) {
            "the chart's own"
        } else {
            "what the lab writes"
        };
        let place = Place { file: 0, span: key.key };
        findings
            .at(Severity::Note, Code::IdleChartValue, place, format!("{} is {whose} already", quote(&path)))
            .hint("take the key out");
        return;
    }
    if path == "driver.enabled"
        && *value == Value::Bool(true)
        && no_driver_container(key.key, context.chart, context.cluster, findings)
    {
        return;
    }
    if path == "dcgmExporter.serviceMonitor.enabled"
        && *value == Value::Bool(true)
        && service_monitor_without_crd(key.key, context.chart, context.cluster, findings)
    {
        return;
    }
    let own =
        OWN_KEYS.iter().find(|(of_chart, _)| path == *of_chart || path.starts_with(&format!("{of_chart}.")));
    if let Some((_, own)) = own.filter(|(_, own)| *own != "sharing" || !context.operator.sharing.is_empty()) {
        findings
            .warning(
                Code::ContradictingValue,
                key.key,
                format!("{} takes the place of `gpu_operator.{own}`", quote(&path)),
            )
            .hint(format!("write `gpu_operator.{own}` instead: checks count by that"));
    } else if is_version && let Some(written) = value.as_str() {
        operand(context, key, written, findings);
    }
}

/// A version of one operand.
fn operand(context: &Context<'_>, key: &PlacedKey, written: &str, findings: &mut Findings) {
    let Some((_, above)) = key.path.split_last() else { return };
    let (of, path) = (above.join("."), key.path.join("."));
    let values = pointed(&context.map.value, above);
    let default = |name: &str| context.chart.default(&format!("{of}.{name}"));
    // An image of the user's own has tags of its own.
    if ["repository", "image"]
        .iter()
        .any(|name| values.get(name).is_some_and(|own| default(name) != Some(own)))
    {
        return;
    }
    let version = &context.chart.data.version;
    let of_discovery = of.starts_with("node-feature-discovery");
    let otherwise = if of_discovery { &context.chart.data.node_feature_discovery } else { version };
    let tested = context.chart.default(&path).and_then(Value::as_str).unwrap_or(otherwise);
    let image = default("image").and_then(Value::as_str).unwrap_or("node-feature-discovery");
    let is_digest = written.starts_with("sha256:");
    let tag = format!("{image}{}{written}", if is_digest { '@' } else { ':' });
    if of == "gfd" && !is_digest {
        findings
            .error(
                Code::OperandTag,
                key.value,
                format!(
                    "the image {tag} has no GPU Feature Discovery: it is a part of the device plugin, {tested} here"
                ),
            )
            .hint(format!("leave `{path}` out"));
    } else if !is_digest && shape(written) != shape(tested) {
        let message = format!("there is no image {tag}: its tags look like {tested}");
        findings.error(Code::OperandTag, key.value, message).hint(match other_scheme(context.chart, written) {
            Some(other) if of == "dcgm" => format!(
                "that is a tag of `{other}`; leave `dcgm` out, because the exporter has a host engine of its own"
            ),
            Some(other) => format!("that is a tag of `{other}`; leave `{path}` out"),
            None => format!("leave `{path}` out: the chart is the tested set"),
        });
    } else {
        let message = format!("{tag} is not what the chart {version} is tested with: {tested}");
        findings
            .warning(Code::PinnedOperand, key.value, message)
            .hint(format!("leave `{path}` out, and choose all versions at once by `gpu_operator.version`"));
    }
}

/// The form of a tag: `v1.17.8-ubuntu20.04` is `v0.0.0-ubuntu0.0`.
fn shape(tag: &str) -> String {
    let mut shape = String::new();
    for c in tag.chars() {
        match c {
            '0'..='9' if shape.ends_with('0') => {}
            '0'..='9' => shape.push('0'),
            c => shape.push(c),
        }
    }
    shape
}

/// The operand whose tags have such a form, where the form says something: `v1.2.3` is anyone's.
fn other_scheme<'c>(chart: &'c Chart, written: &str) -> Option<&'c str> {
    let form = shape(written);
    let mut versions = chart.data.keys.iter().filter(|_| form.contains('-'));
    let (path, _) = versions.find(|(path, key)| {
        let default = key.default.as_ref().and_then(Value::as_str);
        path.ends_with(".version") && default.is_some_and(|default| shape(default) == form)
    })?;
    path.strip_suffix(".version")
}

/// The ConfigMap has to be in the operator's namespace before its pods, and nothing but the chart makes it.
fn check_device_config(context: &Context<'_>, findings: &mut Findings) {
    let asked = |name: &str| place_of(context.map, &["devicePlugin", "config", name]);
    let Some(at) = asked("name").or(asked("default")) else { return };
    if !context.operator.sharing.is_empty() {
        return;
    }
    let values = values_of(context.cluster.machines, context.operator, context.chart);
    let value = |name: &str| effective(&values, context.chart, &format!("devicePlugin.config.{name}"));
    let text =
        |name: &str| value(name).and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default();
    let data = value("data");
    let configs: Vec<&str> =
        data.iter().filter_map(Value::as_object).flat_map(|map| map.keys()).map(String::as_str).collect();
    if value("create") != Some(Value::Bool(true)) || configs.is_empty() {
        let message = format!(
            "nothing makes the ConfigMap {}, and pods of the device plugin wait for it for ever",
            quote(&text("name"))
        );
        findings.error(Code::MissingDeviceConfig, at, message).hint(
            "write `gpu_operator: {sharing: [{model: Tesla T4, replicas: 4}]}` instead, or give it `create: true` and `data`",
        );
    } else if let Some(at) = asked("default")
        && !configs.contains(&text("default").as_str())
    {
        let message = format!("there is no configuration {}", quote(&text("default")));
        findings.error(Code::MissingDeviceConfig, at, message).hint(suggest::one_of(
            "configurations",
            &text("default"),
            &configs,
        ));
    }
}

fn place_of(map: &PlacedMap, path: &[&str]) -> Option<Span> {
    map.keys.iter().find(|key| key.path == path).map(|key| key.value)
}
