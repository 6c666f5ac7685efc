//! The scenario of a whole deploy: `quick` from nothing to the verdict, and the same deploy without any help of ours. Must not
//! touch a lab in use.

use std::time::Instant;

use super::Bench;

/// Seconds of a deploy and what it needs.
struct Deployed {
    /// From machines that answer to a cluster that is ready.
    deploy: f64,
    /// From nothing to a cluster that is ready.
    ready: f64,
    /// From nothing to the end of the checks.
    verdict: f64,
}

/// The whole way with what we do to make it short, then the deploy on new machines without any of it.
pub(super) fn quick(bench: &mut Bench<'_>) -> anyhow::Result<()> {
    let file = bench.like("quick", "bench-deploy")?;
    bench.xtask(&["lab", "destroy", &file, "--yes"])?;
    let ours = timed(bench, &file, &["deploy", &file, "--fresh", "--no-snapshot"], true);
    let kept = if ours.is_ok() { kept(bench, &file) } else { Ok(()) };
    bench.xtask(&["lab", "destroy", &file, "--yes"])?;
    let ours = ours?;
    kept?;
    bench.record("quick-ready", ours.ready);
    bench.record("quick-verdict", ours.verdict);
    bench.record("quick-deploy", ours.deploy);
    let plain = timed(bench, &file, &["lab", "internal", "deploy-plainly", &file], false);
    bench.xtask(&["lab", "destroy", &file, "--yes"])?;
    let plain = plain?.deploy;
    bench.record("quick-plain", plain);
    let ratio = ours.deploy / plain;
    bench
        .remarks
        .insert("quick-deploy", format!("`quick-deploy` took {ratio:.2} of what `quick-plain` took"));
    Ok(())
}

/// `cloud start` from nothing, and from the snapshot that it kept.
pub(super) fn cloud(bench: &mut Bench<'_>) -> anyhow::Result<()> {
    const NAME: &str = "bench-cloud";
    let file = bench.like("quick", NAME)?;
    bench.xtask(&["lab", "destroy", &file, "--yes"])?;
    remove_snapshots(bench, &file, NAME)?;
    bench.xtask(&["artifacts", "list", &file, "--yes"])?;
    for measurement in ["cloud-start", "cloud-start-kept"] {
        let calls: [(_, &[&str]); 3] = [
            (measurement, &["cloud", "start", &file, "--yes"]),
            ("cloud-status", &["cloud", "status", &file]),
            ("deploy-no-op", &["deploy", &file]),
        ];
        let done = calls.into_iter().try_for_each(|(name, words)| {
            let seconds = bench.timed(|bench| bench.xtask(words))?;
            bench.record(name, seconds);
            anyhow::Ok(())
        });
        bench.xtask(&["lab", "destroy", &file, "--yes"])?;
        done?;
    }
    remove_snapshots(bench, &file, NAME)
}

/// The GPU Operator on a cluster that is healthy and has none.
pub(super) fn gpu(bench: &mut Bench<'_>) -> anyhow::Result<()> {
    let file = bench.like("gpu", "bench-gpu")?;
    bench.xtask(&["lab", "destroy", &file, "--yes"])?;
    let measured = gpu_operator(bench, &file);
    bench.xtask(&["lab", "destroy", &file, "--yes"])?;
    let (ready, verdict) = measured?;
    bench.record("gpu-ready", ready);
    bench.record("gpu-verdict", verdict);
    Ok(())
}

/// Seconds from the start of `gpu-operator install` to its end, and to that of its checks.
fn gpu_operator(bench: &Bench<'_>, file: &str) -> anyhow::Result<(f64, f64)> {
    bench.xtask(&["cloud", "start", file, "--yes", "--until", "deploy"])?;
    let start = Instant::now();
    bench.xtask(&["gpu-operator", "install", file])?;
    let ready = start.elapsed().as_secs_f64();
    bench.xtask(&["gpu-operator", "validate", file])?;
    Ok((ready, start.elapsed().as_secs_f64()))
}

/// Those that a killed measurement left too.
fn remove_snapshots(bench: &Bench<'_>, file: &str, cluster: &str) -> anyhow::Result<()> {
    let folder = bench.cx.folders.root.join("output/snapshots/clusters").join(cluster);
    for snapshot in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = snapshot.file_name().to_string_lossy().into_owned();
        bench.xtask(&["lab", "snapshots", file, "--remove", &name])?;
    }
    Ok(())
}

/// The deployed lab saved, destroyed, and restored.
fn kept(bench: &mut Bench<'_>, file: &str) -> anyhow::Result<()> {
    const NAME: &str = "bench";
    let taken = bench.timed(|bench| bench.xtask(&["lab", "snapshot", file, "--name", NAME]))?;
    let restored = bench
        .xtask(&["lab", "destroy", file, "--yes"])
        .and_then(|()| bench.timed(|bench| bench.xtask(&["lab", "restore", file, NAME, "--yes"])));
    bench.xtask(&["lab", "snapshots", file, "--remove", NAME])?;
    bench.record("quick-snapshot", taken);
    bench.record("quick-restore", restored?);
    Ok(())
}

/// Machines from nothing, then a deploy, then perhaps the checks.
fn timed(bench: &Bench<'_>, file: &str, deploy: &[&str], checks: bool) -> anyhow::Result<Deployed> {
    let start = Instant::now();
    // The artefacts for the machines are resolved first.
    bench.xtask(&["artifacts", "list", file, "--yes"])?;
    bench.xtask(&["lab", "up", file, "--yes", "--fresh"])?;
    let up = start.elapsed().as_secs_f64();
    bench.xtask(deploy)?;
    let ready = start.elapsed().as_secs_f64();
    if checks {
        bench.xtask(&["validate", file])?;
    }
    Ok(Deployed { deploy: ready - up, ready, verdict: start.elapsed().as_secs_f64() })
}
