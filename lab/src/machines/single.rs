//! One machine of a lab, by itself.

use crate::cx::Cx;
use crate::lab::{Lab, running};
use crate::progress::Kind;

use super::down;

/// Asks a machine to shut down; its disk stays, and `up` starts it again.
///
/// # Errors
/// When the lab does not run, or the machine cannot be stopped.
pub async fn stop(cx: &Cx, lab: &Lab, machine: &str) -> anyhow::Result<()> {
    lab.machine(machine)?;
    let reached = running(cx, lab).await?;
    let _held = lab.hold()?;
    let task = cx.progress.task(machine);
    task.step("shutting down");
    down::stop_machine(cx, &reached, machine, &reached.domains[machine], &task).await?;
    task.done_as(Kind::Stopped, &format!("stopped in {:.1} s", task.elapsed().as_secs_f64()));
    Ok(())
}
