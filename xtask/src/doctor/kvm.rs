//! Whether KVM really runs a guest.
//!
//! The device alone proves nothing: there are computers where `/dev/kvm` opens and a stock kernel
//! hangs in it. So the processor must show its extension, and a kernel must have booted.

use super::{Finding, Fix};
use crate::folders::Folders;
use crate::host::Host;

/// Long enough for a kernel without a root file system on a slow computer.
const PROBE_SECONDS: &str = "20";

/// The message of a kernel at the end of its own start, when it finds no root file system: the proof
/// that it ran.
const END_OF_START: &str = "VFS: Unable to mount root fs";

/// The processor's extension for virtual machines, if it shows one.
pub fn extension(host: &Host) -> Option<&'static str> {
    if host.arch == "aarch64" {
        return Some("native Arm");
    }
    let info = host.read("/proc/cpuinfo")?;
    let flags = info.lines().find(|line| line.starts_with("flags"))?;
    ["vmx", "svm"].into_iter().find(|name| flags.split_whitespace().any(|flag| flag == *name))
}

/// The probe: device, processor, then a boot.
pub fn probe(host: &Host, folders: &Folders) -> Finding {
    const COST: &str = "machines are emulated, far slower";
    let Some(extension) = extension(host) else {
        let device = if host.exists("/dev/kvm") { "there, but not in the processor" } else { "no /dev/kvm" };
        return Finding::note(format!("{device}: {COST}"), None);
    };
    if !host.exists("/dev/kvm") {
        let module = match extension {
            "vmx" => "sudo modprobe kvm_intel",
            "svm" => "sudo modprobe kvm_amd",
            _ => return Finding::note(format!("no /dev/kvm: {COST}"), None),
        };
        return Finding::note(format!("no /dev/kvm: {COST}"), Some(Fix::Command(module.into())));
    }
    if !host.opens("/dev/kvm") {
        let command = format!("sudo usermod --append --groups kvm {} # then log in again", host.user);
        return Finding::note(format!("/dev/kvm is not for you: {COST}"), Some(Fix::Command(command)));
    }
    let emulator = format!("qemu-system-{}", host.arch);
    if host.program(&emulator).is_none() {
        return Finding::note("/dev/kvm opens; not proven yet, as there is no QEMU", Some(Fix::Setup));
    }
    let Some(kernel) = kernel(host, folders) else {
        return Finding::note("/dev/kvm opens; not proven yet, as there is no kernel to boot", None);
    };
    let console = boot(host, &emulator, &kernel);
    match console.as_deref() {
        Some(console) if console.contains(END_OF_START) => {
            Finding::good(format!("{extension}; a kernel ran in it"))
        }
        Some(console) => {
            let last = console.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("nothing");
            Finding::note(format!("a kernel broke off in it, at: {}", last.trim()), None)
        }
        None => Finding::note(format!("a kernel hung in it for {PROBE_SECONDS} s: {COST}"), None),
    }
}

/// A kernel to boot: one of our own images, else one of this computer's that we may read.
fn kernel(host: &Host, folders: &Folders) -> Option<String> {
    let own = std::fs::read_dir(folders.images())
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("vmlinuz"));
    let own = own.filter(|path| path.is_file()).map(|path| path.to_string_lossy().into_owned()).max();
    own.or_else(|| {
        let names = host.list("/boot").into_iter().filter(|name| name.starts_with("vmlinuz"));
        names.map(|name| format!("/boot/{name}")).filter(|path| host.read(path).is_some()).max()
    })
}

/// The output of the guest's console, or None if the guest did not end in time.
fn boot(host: &Host, emulator: &str, kernel: &str) -> Option<String> {
    let (machine, console) = if host.arch == "aarch64" { ("virt", "ttyAMA0") } else { ("q35", "ttyS0") };
    let append = format!("console={console} panic=-1");
    let machine = format!("{machine},accel=kvm");
    let mut words = vec!["--kill-after=1", PROBE_SECONDS, emulator, "-machine", &machine, "-cpu", "host"];
    words.extend(["-m", "256", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]);
    words.extend(["-serial", "stdio", "-kernel", kernel, "-append", &append]);
    host.output("timeout", &words)
}
