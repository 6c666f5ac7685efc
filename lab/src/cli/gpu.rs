//! The arguments of `lab gpu-fault`.

use clap::Args;

use crate::cx::Cx;
use crate::lab::Lab;
use crate::machines::stand_in::{self, Fault};

use super::OfCluster;

/// Which stand-in, and what goes wrong with it.
#[derive(Debug, Args)]
pub struct GpuFault {
    /// The machine
    machine: String,
    #[command(flatten)]
    of: OfCluster,
    /// The GPU, counted from 0
    #[arg(long, value_name = "INDEX", default_value_t = 0)]
    gpu: u32,
    #[command(flatten)]
    what: What,
}

/// One of them.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct What {
    /// Report this XID, as NVIDIA's driver does for an error; 79: it fell off the bus
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..=999))]
    xid: Option<u64>,
    /// Take it off the bus: no device node, no PCI function, XID 79
    #[arg(long)]
    remove: bool,
    /// Make it hotter than it may be
    #[arg(long)]
    hot: bool,
    /// Report an error of two bits of its memory: XID 48, and its counter
    #[arg(long)]
    ecc: bool,
    /// Make every GPU of the machine what it was planned as
    #[arg(long, conflicts_with = "gpu")]
    clear: bool,
}

impl What {
    /// The fault; `None` to clear all. One of the arguments is there.
    fn fault(&self) -> Option<Fault> {
        match self {
            Self { xid: Some(xid), .. } => Some(Fault::Xid(*xid)),
            Self { remove: true, .. } => Some(Fault::Remove),
            Self { hot: true, .. } => Some(Fault::Hot),
            Self { ecc: true, .. } => Some(Fault::Ecc),
            Self { .. } => None,
        }
    }
}

/// Runs it.
///
/// # Errors
/// Those of the command.
pub async fn run(cx: &Cx, arguments: GpuFault) -> anyhow::Result<()> {
    let lab = Lab::open(cx, &arguments.of.cluster)?;
    match arguments.what.fault() {
        Some(fault) => stand_in::fault(cx, &lab, &arguments.machine, arguments.gpu, fault).await,
        None => stand_in::clear(cx, &lab, &arguments.machine).await,
    }
}
