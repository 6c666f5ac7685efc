//! The stand-in's own program on a machine: puts device nodes, PCI functions and the module list there at boot, and
//! breaks GPUs on demand.
//!
//! `gpu-stand-in boot` is run by a unit of systemd at every boot, before the container runtime; `fault` and `clear` by
//! `cargo xtask lab gpu-fault`. What it puts where is in the block of the installed library, and nowhere else. All
//! paths are below a root, which is `/` but in tests.

mod place;
mod system;

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use gpu_stand_in_nvml::block::{Block, Fault, Gpu};

/// The library as programs of the machine find it.
const LIBRARY: &str = "usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1";
const USAGE: &str =
    "usage: gpu-stand-in [--root DIR] boot | clear | fault INDEX xid NUMBER | fault INDEX remove|hot|ecc";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("gpu-stand-in: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> io::Result<String> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (root, words) = match words.as_slice() {
        ["--root", root, words @ ..] => (PathBuf::from(root), words),
        words => (PathBuf::from("/"), words),
    };
    match words {
        ["boot"] => {
            let block = cleared(&root)?;
            place::modules(&root)?;
            Ok(summary(&block))
        }
        ["clear"] => Ok(summary(&cleared(&root)?)),
        ["fault", index, fault @ ..] => {
            let unknown = || io::Error::other(USAGE);
            let index: u32 = index.parse().map_err(|_| unknown())?;
            let fault = match fault {
                ["xid", xid] => Fault::Xid(xid.parse().map_err(|_| unknown())?),
                ["remove"] => Fault::Remove,
                ["hot"] => Fault::Hot,
                ["ecc"] => Fault::Ecc,
                _ => return Err(unknown()),
            };
            let block = Block::rewrite(&root.join(LIBRARY), |block| block.changed(index, fault))?;
            let gpu = block.gpus.iter().find(|gpu| gpu.index == index).ok_or_else(unknown)?;
            if gpu.faults.removed {
                place::remove(&root, gpu)?;
            }
            Ok(format!("{}: {}\n", title(gpu), words_of(fault)))
        }
        _ => Err(io::Error::other(USAGE)),
    }
}

/// Every GPU as planned: a boot and a reset are the same to a card.
fn cleared(root: &Path) -> io::Result<Block> {
    let block = Block::rewrite(&root.join(LIBRARY), |block| Ok(block.cleared()))?;
    place::functions(root, &block.gpus)?;
    place::nodes(root, &block.gpus)?;
    Ok(block)
}

fn title(gpu: &Gpu) -> String {
    format!("stand-in GPU {}, {}, {}", gpu.index, gpu.name, gpu.uuid)
}

fn words_of(fault: Fault) -> String {
    match fault {
        Fault::Xid(xid) => format!("XID {xid}"),
        Fault::Remove => "off the bus, XID 79".to_owned(),
        Fault::Hot => "too hot".to_owned(),
        Fault::Ecc => "one more error of two bits, XID 48".to_owned(),
    }
}

fn summary(block: &Block) -> String {
    block.gpus.iter().map(|gpu| format!("{}: as planned\n", title(gpu))).collect()
}
