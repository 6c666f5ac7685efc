//! Stand-ins for GPUs: what a machine shows where NVIDIA's driver and its cards would be.
//!
//! Owns which models there are, and what is planned for each machine: [`planned`] is what the driver's stand-in
//! is given, and what checks compare a cluster with. Knows nothing of how a machine is made; the programs of the
//! stand-in are in `gpu-stand-in/`, and `docs/gpu-stand-in.md` says what it proves and what it cannot.

use crate::identity::{Uuid, digest_of};
use crate::spec::{GpuRequest, MachineSpec};
use crate::units::Bytes;

mod block;
mod files;

pub use block::LENGTH as BLOCK_LENGTH;
pub use files::{CONTROL, Programs, files, files_without};

/// The version of the driver that is stood in for. It is that of chart v25.3.4 of the GPU Operator, and says what it is
/// in its last part: NVML, GPU Feature Discovery (`X.Y.Z`, any text in each part), the container toolkit (the name
/// of `libcuda.so.VERSION`) and so labels of nodes all show it whole.
pub const DRIVER_VERSION: &str = "580.82.07-stand-in";
/// NVIDIA among the vendors of PCI functions.
pub const VENDOR: u16 = 0x10de;
/// As many stand-ins as one machine can have: so many fit into a block.
pub const MOST_OF_A_MACHINE: usize = 8;
/// The class of a PCI function that draws pictures too. GPU Feature Discovery calls its mode `graphics`.
const DISPLAY: u32 = 0x03_0000;
/// The class of a PCI function that only computes. GPU Feature Discovery calls its mode `compute`.
const COMPUTE: u32 = 0x03_0200;
/// The buses of stand-ins begin behind those that a virtual machine's own functions are on.
const FIRST_BUS: u8 = 0x40;
/// How many buses the first stand-in of a machine can be on.
const BUSES: u8 = 0x80;

/// A model that there is a stand-in for.
#[derive(Debug, PartialEq, Eq)]
pub struct Model {
    /// As a cluster file names it: `RTX A6000`.
    pub name: &'static str,
    /// As NVML names it. GPU Feature Discovery makes its label of it, with `-` for blanks, so that the label too
    /// says that it is a stand-in.
    pub product: &'static str,
    /// All of its memory, as NVML counts it.
    pub memory: Bytes,
    /// Major and minor number of its CUDA compute capability.
    pub compute: (u32, u32),
    /// Of its PCI function, beside [`VENDOR`].
    pub device: u16,
    /// Of its PCI function: 24 bits of class, subclass and interface.
    pub class: u32,
    /// The power that it may draw, in milliwatts.
    pub power_limit: u32,
    /// Whether its memory corrects errors and counts them.
    pub ecc: bool,
}

/// Every model, by the public data of the real cards: NVIDIA's data sheets, its table of CUDA GPUs, the PCI ID
/// Repository.
pub const MODELS: &[Model] = &[
    model("RTX A6000", "NVIDIA RTX A6000 STAND-IN", 49_140, (8, 6), 0x2230, DISPLAY, 300, true),
    model("Tesla T4", "Tesla T4 STAND-IN", 15_360, (7, 5), 0x1eb8, COMPUTE, 70, true),
    model("A100", "NVIDIA A100 80GB PCIe STAND-IN", 81_920, (8, 0), 0x20b5, COMPUTE, 300, true),
    model("H100", "NVIDIA H100 PCIe STAND-IN", 81_559, (9, 0), 0x2331, COMPUTE, 350, true),
    model("L4", "NVIDIA L4 STAND-IN", 23_034, (8, 9), 0x27b8, COMPUTE, 72, true),
    model("L40S", "NVIDIA L40S STAND-IN", 46_068, (8, 9), 0x26b9, COMPUTE, 350, true),
    model("RTX 4090", "NVIDIA GeForce RTX 4090 STAND-IN", 24_564, (8, 9), 0x2684, DISPLAY, 450, false),
];

#[expect(clippy::too_many_arguments, reason = "a row of the table above")]
const fn model(
    name: &'static str,
    product: &'static str,
    mebibytes: u64,
    compute: (u32, u32),
    device: u16,
    class: u32,
    watts: u32,
    ecc: bool,
) -> Model {
    let memory = Bytes::from_mib(mebibytes);
    Model { name, product, memory, compute, device, class, power_limit: watts * 1000, ecc }
}

/// One stand-in of a machine, as it is planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedGpu {
    /// Its slot, counted from 0: its index and the minor number of its device node, `/dev/nvidia0`.
    pub index: u32,
    /// Its model.
    pub model: &'static Model,
    /// Address of its PCI function, `0000:65:00.0`. Unique in its machine.
    pub address: String,
    /// As NVML writes it, `GPU-…`. Unique in all clusters.
    pub uuid: String,
    /// Its temperature in degrees Celsius, as long as nothing is wrong.
    pub temperature: u32,
    /// The power that it draws, in milliwatts.
    pub power: u32,
}

/// The models of the stand-ins of a machine, by slot; none for a machine without any.
pub fn models(machine: &MachineSpec) -> impl Iterator<Item = &'static Model> {
    machine.gpus.iter().filter_map(|gpu| match gpu {
        GpuRequest::StandIn(name) => MODELS.iter().find(|model| model.name == name),
        GpuRequest::Address(_) | GpuRequest::Model(_) => None,
    })
}

/// The stand-ins of a machine, by slot: count, models, UUIDs and PCI addresses, before the machine exists. Derived
/// from the names of the cluster and of the machine and from the slot alone, so that a cluster that is made again
/// has the same ones.
pub fn planned(cluster: &str, machine: &MachineSpec) -> Vec<PlannedGpu> {
    let [first, ..] = digest_of::<1>(&["stand-in bus", cluster, &machine.name]);
    let planned = models(machine).zip(0u8..).map(|(model, slot)| {
        let uuid = digest_of(&["stand-in GPU", cluster, &machine.name, &slot.to_string()]);
        PlannedGpu {
            index: slot.into(),
            model,
            address: format!("0000:{:02x}:00.0", FIRST_BUS + first % BUSES + slot),
            uuid: format!("GPU-{}", Uuid::from_digest(uuid)),
            // A card without work: a little warm, a tenth of its power. Two cards are seldom equal.
            temperature: 32 + u32::from(uuid[0] % 8),
            power: model.power_limit / 10 + u32::from(uuid[1]),
        }
    });
    planned.collect()
}

#[cfg(test)]
mod tests;
