//! `cloud start`: from a cluster file to a cluster that can be used, in one word.

use lab_core::phases::Range;
use lab_core::report;

use crate::cluster::deployed::deployed;
use crate::cx::Cx;
use crate::failure::FailureKind;
use crate::output;

use super::{CLOUD, Options, Run, carry_out, record, status};

/// Carries out the phases of [`CLOUD`]; those that find nothing to do say so. Leaves a report in the run's folder. Returns the
/// kind of failure that the status is.
///
/// # Errors
/// When a phase fails; the next call goes on there.
pub async fn start(
    cx: &Cx,
    cluster: &str,
    options: Options,
    range: &Range,
    json: bool,
) -> anyhow::Result<Option<FailureKind>> {
    let run = Run::of(cx, cluster, options);
    let mut phases = Vec::new();
    let done = carry_out(&run, CLOUD, range, Some("cargo xtask cloud start"), Some(&mut phases)).await;
    let recorded = record(&run, phases);
    done?;
    recorded?;
    let Some(status) = run.status() else { return Ok(None) };
    if json {
        output::line(serde_json::to_string(&status)?)?;
    } else {
        output::print(status::table(&status, cx.layout.root(), &run.lab()?.cluster_words(cx)))?;
    }
    Ok(status.failure())
}

/// Writes the report; without a lab there is no folder for it.
fn record(run: &Run, phases: Vec<report::Phase>) -> anyhow::Result<()> {
    let Some(lab) = run.lab.get().filter(|lab| lab.files.state().exists()) else { return Ok(()) };
    let (folder, mut report) = record::begin(lab);
    (report.phases, report.checks) = (phases, run.checks());
    report.kubernetes = deployed(lab)?.map(|deployed| deployed.kubernetes);
    record::write(lab, &folder, &report)
}
