//! The computer that a measurement was made on, as far as it matters to the numbers.

use crate::cx::Cx;
use crate::doctor::{Status, kvm};
use crate::host::Host;
use crate::json::Json;

/// Processor, memory, kernel, accelerator; commit and date.
pub fn describe(cx: &Cx) -> Json {
    let host = Host::real();
    let info = host.read("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split(':').nth(1));
    let cores = info.lines().filter(|line| line.starts_with("processor")).count();
    let memory = host.read("/proc/meminfo").unwrap_or_default();
    let memory = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse().ok());
    let memory: Option<f64> = memory.map(|kib: f64| (kib / f64::from(1 << 20)).round());
    let accelerator = if kvm::probe(&host, &cx.folders).status == Status::Good { "kvm" } else { "tcg" };
    let git = |words: &[&str]| cx.sh.cmd("git").args(words).quiet().ignore_stderr().read().ok();
    let changed = git(&["status", "--porcelain"]).is_some_and(|text| !text.is_empty());
    let commit =
        git(&["rev-parse", "HEAD"]).map(|commit| if changed { format!("{commit}, changed") } else { commit });
    Json::Object(vec![
        ("processor", Json::optional(model.map(str::trim))),
        ("cores", Json::Number(f64::from(u32::try_from(cores).unwrap_or(u32::MAX)))),
        ("memory_gib", memory.map_or(Json::Null, Json::Number)),
        (
            "kernel",
            Json::optional(host.read("/proc/sys/kernel/osrelease").map(|text| text.trim().to_owned())),
        ),
        ("accelerator", Json::Text(accelerator.into())),
        ("commit", Json::optional(commit)),
        ("date", Json::optional(host.output("date", &["--utc", "+%FT%TZ"]))),
    ])
}
