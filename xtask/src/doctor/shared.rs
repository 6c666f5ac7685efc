//! Probes of the limits of the kernel and of the disk, which machines of kind `container` share with the computer. Labs
//! of virtual machines need neither, so no finding here is `Missing`.

use super::probes::{GIB, free_bytes};
use super::{Finding, Fix};
use crate::folders::Folders;
use crate::host::Host;
use crate::limits;

/// With room for fewer clusters of containers, the finding says how to raise the limits.
const WANTED_CLUSTERS: u64 = 2;
/// Below this much free space kubelet makes pods leave a container: `eviction_hard` as the lab sets it
/// (`lab/core/src/kubespray/render/containers.rs`).
const PODS_LEAVE_BELOW: u64 = GIB;
/// Bytes that a deploy of three containers writes (`lab/core/src/lint/disk.rs`).
const WRITTEN_BY_DEPLOY: u64 = 9 * GIB / 2;

/// For how many clusters like `quick` the kernel's limits are enough, and which limits are the tightest.
pub fn limits(host: &Host, _: &Folders) -> Finding {
    let found = limits::examine(host);
    let Some(tightest) = found.first() else { return Finding::note("unknown", None) };
    let clusters = tightest.clusters();
    let of_limit = |found: &limits::Found| {
        let used = found.used.map_or_else(String::new, |used| format!("{used} of "));
        format!("{used}{} {}", found.value, found.limit.noun)
    };
    // Every limit that is low, and at least the lowest.
    let shown = found.iter().filter(|one| one.clusters() < WANTED_CLUSTERS).count().max(1);
    let numbers: Vec<String> = found[..shown].iter().map(of_limit).collect();
    let plural = if clusters == 1 { "" } else { "s" };
    let text = format!("room for {clusters} cluster{plural} like quick: {}", numbers.join(", "));
    if clusters >= WANTED_CLUSTERS || host.uid != 0 {
        return Finding::good(text);
    }
    Finding::note(text, Some(Fix::Command("cargo xtask setup --limits".into())))
}

/// Whether kubelet on containers will make pods leave for want of disk.
pub fn disk(host: &Host, folders: &Folders) -> Finding {
    let Some(free) = free_bytes(host, &folders.root) else { return Finding::note("unknown", None) };
    let tenths = |bytes: u64| format!("{}.{} GiB", bytes / GIB, bytes % GIB * 10 / GIB);
    let (free_text, limit) = (tenths(free), PODS_LEAVE_BELOW / GIB);
    let text = if free < PODS_LEAVE_BELOW {
        format!("{free_text} free: pods leave containers below {limit} GiB")
    } else if free < PODS_LEAVE_BELOW + WRITTEN_BY_DEPLOY {
        format!(
            "{free_text} free: a deploy of quick writes {}, and pods leave containers below {limit} GiB",
            tenths(WRITTEN_BY_DEPLOY)
        )
    } else {
        return Finding::good(format!("{free_text} free; pods leave containers below {limit} GiB"));
    };
    Finding::note(text, Some(Fix::Advice("free some")))
}
