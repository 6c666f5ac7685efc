//! The files that make a machine look as if NVIDIA's driver were installed. They ride with the machine's identity, so
//! that they are there again at every start.
//!
//! Device nodes, PCI functions and the module list last no longer than a boot: the program `gpu-stand-in` puts them there,
//! started by the unit here.

use super::{DRIVER_VERSION, PlannedGpu, block};
use crate::identity::boot::{Content, Entry};

/// The programs of the stand-in as they were compiled.
#[derive(Clone, PartialEq, Eq)]
pub struct Programs {
    /// `libnvidia-ml.so.1`, without a block.
    pub nvml: Vec<u8>,
    /// `libcuda.so.1`.
    pub cuda: Vec<u8>,
    /// `nvidia-smi`.
    pub smi: Vec<u8>,
    /// `gpu-stand-in`.
    pub control: Vec<u8>,
}

/// Where a machine has the program that breaks its GPUs.
pub const CONTROL: &str = "/usr/lib/lab/gpu-stand-in";

/// Where the loader of Debian looks, and so NVIDIA's tools.
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";
const UNITS: &str = "usr/lib/systemd/system";
/// Every machine has this file: empty, it keeps systemd from starting what an earlier start of the machine left there,
/// when it had stand-ins (systemd.unit(5): an empty file masks a unit).
const UNIT: &str = "etc/systemd/system/gpu-stand-in.service";

/// Without dependencies, as the first stage of the boot: who logs in finds it done. The loader's cache is made there too,
/// with the links `libnvidia-ml.so.1` and `libcuda.so.1`; NVIDIA's container toolkit finds libraries in that cache.
const SERVICE: &str = "\
[Unit]
Description=Stand-in for NVIDIA's driver: device nodes, PCI functions, module list
DefaultDependencies=no
Before=containerd.service kubelet.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/ldconfig
ExecStart=/usr/lib/lab/gpu-stand-in boot
";

/// For units that come after the stand-in.
const AFTER: &str = "[Unit]\nWants=gpu-stand-in.service\nAfter=gpu-stand-in.service\n";

/// The runtime's PATH, with the folder first in which the stand-in has a `cat` on kernels without `/proc/modules`
/// (`modules` in gpu-stand-in/driver/src/bin/gpu-stand-in/place.rs).
const RUNTIME_PATH: &str = "\n[Service]\nEnvironment=PATH=/run/gpu-stand-in/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n";

/// The files of a machine without stand-ins: what it may have of an earlier start lies idle.
pub fn files_without() -> Vec<Entry> {
    unit("")
}

/// The files of a machine with these GPUs, directories before their content. Paths have no slash at their start.
pub fn files(gpus: &[PlannedGpu], programs: &Programs) -> Vec<Entry> {
    let mut entries: Vec<Entry> =
        ["usr", "usr/bin", "usr/lib", "usr/lib/lab", LIBRARIES, "usr/lib/systemd", UNITS]
            .map(|path| entry(path, 0o755, Content::Directory))
            .into();
    let library = |name: &str| format!("{LIBRARIES}/{name}.so.{DRIVER_VERSION}");
    for (path, permissions, bytes) in [
        (library("libnvidia-ml"), 0o644, block::with_block(&programs.nvml, gpus)),
        (library("libcuda"), 0o644, programs.cuda.clone()),
        ("usr/bin/nvidia-smi".to_owned(), 0o755, programs.smi.clone()),
        (CONTROL.trim_start_matches('/').to_owned(), 0o755, programs.control.clone()),
    ] {
        entries.push(entry(&path, permissions, Content::File(bytes)));
    }
    for (unit, text) in [
        ("lab.target", AFTER.to_owned()),
        ("containerd.service", format!("{AFTER}{RUNTIME_PATH}")),
        ("kubelet.service", AFTER.to_owned()),
    ] {
        let folder = format!("{UNITS}/{unit}.d");
        entries.push(entry(&folder, 0o755, Content::Directory));
        entries.push(entry(&format!("{folder}/gpu-stand-in.conf"), 0o644, Content::File(text.into_bytes())));
    }
    entries.extend(unit(SERVICE));
    entries
}

/// The unit with its folder. The folder above that is one of every identity.
fn unit(text: &str) -> Vec<Entry> {
    let (folder, _) = UNIT.rsplit_once('/').unwrap_or_default();
    vec![entry(folder, 0o755, Content::Directory), entry(UNIT, 0o644, Content::File(text.into()))]
}

fn entry(path: &str, permissions: u32, content: Content) -> Entry {
    Entry { path: path.to_owned(), permissions, owner: 0, content }
}
