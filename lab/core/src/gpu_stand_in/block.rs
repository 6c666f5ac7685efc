//! The block of a machine: what its library is to answer, as a text at the end of the library's file.
//!
//! `gpu-stand-in/driver/src/block.rs` reads it; its tests read what is written here. Faults are not written here: a
//! block that is made anew has none.

use std::fmt::Write as _;

use super::{DRIVER_VERSION, PlannedGpu};

/// Its length in bytes, and what its start in the file is a multiple of: one page, so that it is written at once.
pub const LENGTH: usize = 4096;
/// Its first line, by which readers know it and its format.
const MAGIC: &str = "LAB-GPU-STAND-IN 1";
/// CUDA 13.0, which came with the driver's branch 580.
const CUDA_VERSION: u32 = 13_000;

/// The block of these GPUs. [`super::MOST_OF_A_MACHINE`] of them fit, with their faults.
pub(super) fn block(gpus: &[PlannedGpu]) -> Vec<u8> {
    let mut text = format!("{MAGIC}\nchange 0\ndriver {DRIVER_VERSION}\ncuda {CUDA_VERSION}\n");
    for PlannedGpu { index, model, address, uuid, temperature, power } in gpus {
        let (major, minor) = model.compute;
        let _ = writeln!(
            text,
            "gpu {index} uuid={uuid} address={address} device={:04x} class={:06x} memory={} compute={major}.{minor} \
             temperature={temperature} power={power} limit={} ecc={} name={}",
            model.device,
            model.class,
            model.memory.0,
            model.power_limit,
            u8::from(model.ecc),
            model.product
        );
    }
    text.push_str("end 0\n");
    let mut bytes = text.into_bytes();
    bytes.resize(LENGTH, b'\n');
    bytes
}

/// A library's file with the block of these GPUs at its end. Loaders read what the file's own header names, and not that.
pub(super) fn with_block(library: &[u8], gpus: &[PlannedGpu]) -> Vec<u8> {
    let mut file = library.to_owned();
    file.resize(file.len().next_multiple_of(LENGTH), 0);
    file.extend(block(gpus));
    file
}
