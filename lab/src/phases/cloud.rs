//! `cloud start`: from a cluster file to a cluster that can be used, in one word.

use lab_core::phases::Range;

use crate::cx::Cx;
use crate::output;

use super::{CLOUD, Options, Run, carry_out, status};

/// Carries out the phases of [`CLOUD`]; those that find nothing to do say so. Returns the exit code that the status means.
///
/// # Errors
/// When a phase fails; the next call goes on there.
pub async fn start(
    cx: &Cx,
    cluster: &str,
    options: Options,
    range: &Range,
    json: bool,
) -> anyhow::Result<u8> {
    let run = Run::of(cx, cluster, options);
    carry_out(&run, CLOUD, range, Some("cargo xtask cloud start"), &mut Vec::new()).await?;
    let Some(status) = run.status() else { return Ok(0) };
    if json {
        output::line(serde_json::to_string(&status)?)?;
    } else {
        output::print(status::table(&status, cx.layout.root(), &run.lab()?.cluster_words(cx)))?;
    }
    Ok(status.code())
}
