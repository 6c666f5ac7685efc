//! Stand-ins for GPUs on machines: the programs that they are made of, and their faults.
//!
//! What a machine gets and where it lies is decided by `lab_core::gpu_stand_in`. A fault is carried out by the stand-in's
//! own program on the machine.

use std::path::PathBuf;

use anyhow::Context as _;
use lab_core::gpu_stand_in::{self, PlannedGpu, Programs};
use lab_core::identity::boot::Entry;
use lab_core::spec::MachineSpec;

use crate::cx::Cx;
use crate::failure::{Failure, FailureKind};
use crate::lab::{Lab, reach, running};
use crate::output;
use crate::timeouts::GPU_FAULT_TIMEOUT;
use crate::wait::Deadline;

/// The variable that names the folder of the stand-in's programs, for tests that compile none.
const FOLDER: &str = "LAB_TEST_GPU_STAND_IN";

/// What goes wrong with a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The driver reports this XID.
    Xid(u64),
    /// It is off the bus.
    Remove,
    /// It is too hot.
    Hot,
    /// Its memory has an error of two bits.
    Ecc,
}

/// Whether what the lab's machines need is there, before anything of them is made.
///
/// # Errors
/// When a machine has stand-ins, and their programs are not beside this one.
pub fn check_programs(lab: &Lab) -> anyhow::Result<()> {
    if lab.spec.machines.iter().any(|machine| gpu_stand_in::models(machine).next().is_some()) {
        programs()?;
    }
    Ok(())
}

/// The files of a machine that stand in for a driver.
///
/// # Errors
/// When the machine has stand-ins, and their programs are not beside this one.
pub fn files(lab: &Lab, machine: &MachineSpec) -> anyhow::Result<Vec<Entry>> {
    let planned = gpu_stand_in::planned(&lab.spec.name, machine);
    if planned.is_empty() {
        return Ok(gpu_stand_in::files_without());
    }
    Ok(gpu_stand_in::files(&planned, &programs()?))
}

/// The programs, as cargo put them beside this one.
fn programs() -> anyhow::Result<Programs> {
    let folder = match std::env::var_os(FOLDER) {
        Some(folder) => PathBuf::from(folder),
        None => {
            let own = std::env::current_exe().context("cannot find this program's own file")?;
            own.parent().context("this program's own file has no folder")?.to_owned()
        }
    };
    let read = |name: &str| {
        let path = folder.join(name);
        std::fs::read(&path).with_context(|| format!("cannot read `{}`", path.display())).with_context(|| {
            Failure::new(FailureKind::Host, "the programs of the GPU stand-in are not there").hint(
                "start this through `cargo xtask lab`, which builds them, \
                 or run `cargo build -p gpu-stand-in-driver -p gpu-stand-in-cuda`",
            )
        })
    };
    Ok(Programs {
        nvml: read("libgpu_stand_in_nvml.so")?,
        cuda: read("libgpu_stand_in_cuda.so")?,
        smi: read("nvidia-smi")?,
        control: read("gpu-stand-in")?,
    })
}

/// Breaks one GPU of a machine.
///
/// # Errors
/// When the machine has no such GPU, or does not carry it out.
pub async fn fault(cx: &Cx, lab: &Lab, machine: &str, index: u32, fault: Fault) -> anyhow::Result<()> {
    let planned = planned(lab, machine)?;
    let Some(gpu) = planned.iter().find(|gpu| gpu.index == index) else {
        let indices: Vec<String> = planned.iter().map(|gpu| gpu.index.to_string()).collect();
        let message = format!("`{machine}` has no stand-in GPU {index}");
        let hint = format!("it has these: {}", indices.join(", "));
        return Err(Failure::new(FailureKind::Usage, message).hint(hint).into());
    };
    if fault == Fault::Ecc && !gpu.model.ecc {
        let message = format!("the model {} counts no errors of its memory", gpu.model.name);
        return Err(Failure::new(FailureKind::Usage, message)
            .hint("break it with `--xid 79`, `--hot` or `--remove`")
            .into());
    }
    let words = match fault {
        Fault::Xid(xid) => format!("xid {xid}"),
        Fault::Remove => "remove".to_owned(),
        Fault::Hot => "hot".to_owned(),
        Fault::Ecc => "ecc".to_owned(),
    };
    control(cx, lab, machine, &format!("fault {index} {words}")).await
}

/// Makes every GPU of a machine what it was planned as.
///
/// # Errors
/// When the machine has none, or does not carry it out.
pub async fn clear(cx: &Cx, lab: &Lab, machine: &str) -> anyhow::Result<()> {
    planned(lab, machine)?;
    control(cx, lab, machine, "clear").await
}

/// The stand-ins of a machine that has some.
fn planned(lab: &Lab, machine: &str) -> anyhow::Result<Vec<PlannedGpu>> {
    let planned = gpu_stand_in::planned(&lab.spec.name, lab.machine(machine)?);
    if planned.is_empty() {
        let machines = lab.spec.machines.iter();
        let with = machines.filter(|machine| gpu_stand_in::models(machine).next().is_some());
        let with: Vec<String> = with.map(|machine| format!("`{}`", machine.name)).collect();
        let hint = match with.as_slice() {
            [] => "give it one in the cluster file: `gpus: [{stand_in: RTX A6000}]`".to_owned(),
            with => format!("these machines have one: {}", with.join(", ")),
        };
        let message = format!("`{machine}` has no stand-in GPU, and only a stand-in can be broken");
        return Err(Failure::new(FailureKind::Usage, message).hint(hint).into());
    }
    Ok(planned)
}

/// Runs the stand-in's program on a machine, and prints what it says.
async fn control(cx: &Cx, lab: &Lab, machine: &str, words: &str) -> anyhow::Result<()> {
    let reached = running(cx, lab).await?;
    let command = format!("sudo {} {words}", gpu_stand_in::CONTROL);
    let run = reached.inside(&reach::ssh(lab, machine).arg("--").arg(command));
    let said = run.read(&cx.cancel, Deadline::after(GPU_FAULT_TIMEOUT)).await.with_context(|| {
        let logs = format!("cargo xtask lab ssh {machine} -- systemctl status gpu-stand-in");
        Failure::new(FailureKind::Provision, format!("the GPU stand-in of `{machine}` did not do it"))
            .hint(format!("`{logs}` shows whether it started"))
    })?;
    output::print(said)
}
