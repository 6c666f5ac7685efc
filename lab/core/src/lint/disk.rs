//! Whether kubelet on machines that are containers will act on the computer's disk: they have none of their own.
//!
//! Must not judge virtual machines, nor a cluster whose computer is not known.

use serde_json::Value;

use crate::host::DiskFacts;
use crate::source::{Code, Severity};
use crate::units::{Bytes, gibibytes};

use super::{Lint, is_judged};

/// How much a deploy writes to the root of one container, with room for logs: `du` says 1.3 GiB on the control plane of
/// `quick` and 1.2 GiB on a worker with its pods.
const WRITTEN_BY_DEPLOY: Bytes = Bytes::from_mib(1536);
/// kubelet's own limits where nothing is set (pkg/kubelet/apis/config/v1beta1/defaults_linux.go, `evictionHard`).
const KUBELET_EVICTION: [(&str, &str); 2] = [("nodefs.available", "10%"), ("imagefs.available", "15%")];
/// kubelet's own `imageGCHighThresholdPercent` (pkg/kubelet/apis/config/v1beta1/defaults.go).
const KUBELET_IMAGE_COLLECTION: u64 = 85;

pub(super) fn check(lint: &mut Lint<'_>) {
    let Some(shared) = lint.subject.shared_disk else { return };
    let DiskFacts { free, total } = shared.facts;
    let hosts: Vec<usize> =
        shared.machines.iter().filter_map(|name| lint.subject.groups.host_number(name)).collect();
    let limit = |least_free: fn(&Lint<'_>, usize, Bytes) -> Option<Bytes>| {
        hosts.iter().filter_map(|host| least_free(lint, *host, total)).max()
    };
    let (eviction, collection) = (limit(eviction_below), limit(collection_below));
    let written = Bytes(WRITTEN_BY_DEPLOY.0.saturating_mul(hosts.len() as u64));
    let mut consequences = Vec::new();
    if let Some(limit) = eviction.filter(|limit| free.0 < limit.0.saturating_add(written.0)) {
        consequences.push(format!("makes pods leave below {}", gibibytes(limit)));
    }
    if let Some(limit) = collection.filter(|limit| free.0 < limit.0.saturating_add(written.0)) {
        consequences.push(format!("removes images below {}", gibibytes(limit)));
    }
    if consequences.is_empty() {
        return;
    }
    let message = format!(
        "the computer's disk has {} free: a deploy of these containers writes about {}, and kubelet {}",
        gibibytes(free),
        gibibytes(written),
        consequences.join(" and ")
    );
    lint.report_finding_at(Severity::Note, Code::DiskPressure, Some((shared.place)()), message)
        .hint("free some of it; `eviction_hard` and `kubelet_image_gc_high_threshold` set the limits");
}

/// Below how much free space pods leave a machine.
fn eviction_below(lint: &Lint<'_>, host: usize, total: Bytes) -> Option<Bytes> {
    let limits: Vec<(String, Value)> = match lint.values.of_host("eviction_hard", host).map(|set| &set.value)
    {
        Some(value) if !is_judged(value) => return None,
        // Kubespray writes nothing where it is empty (roles/kubernetes/node/templates/kubelet-config.v1beta1.yaml.j2).
        Some(Value::Object(set)) if !set.is_empty() => {
            set.iter().map(|(signal, value)| (signal.clone(), value.clone())).collect()
        }
        _ => KUBELET_EVICTION.map(|(signal, limit)| (signal.to_owned(), Value::from(limit))).to_vec(),
    };
    let of_disk = limits.iter().filter(|(signal, _)| KUBELET_EVICTION.iter().any(|(own, _)| own == signal));
    of_disk.filter_map(|(_, limit)| amount(limit, total)).max()
}

/// Below how much free space kubelet removes images that no pod uses.
fn collection_below(lint: &Lint<'_>, host: usize, total: Bytes) -> Option<Bytes> {
    let percent = match lint.values.of_host("kubelet_image_gc_high_threshold", host).map(|set| &set.value) {
        Some(value) => value.as_u64().or_else(|| value.as_str()?.parse().ok())?,
        None => KUBELET_IMAGE_COLLECTION,
    };
    // At 100 there is no collection.
    (percent < 100).then(|| part(total, 100 - percent))
}

/// A limit of kubelet: a share of the disk or a quantity of bytes as Kubernetes writes it.
fn amount(limit: &Value, total: Bytes) -> Option<Bytes> {
    let text = match limit {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    if let Some(percent) = text.strip_suffix('%') {
        return Some(part(total, percent.parse().ok()?));
    }
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit {
        "" => 1,
        "k" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "T" => 1_000_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        "Ti" => 1 << 40,
        _ => return None,
    };
    Some(Bytes(number.parse::<u64>().ok()?.saturating_mul(factor)))
}

fn part(total: Bytes, percent: u64) -> Bytes {
    Bytes((total.0 / 100).saturating_mul(percent))
}
