//! A virtual machine.

use super::xml::{Element, element};
use super::{Acceleration, Boot, MachinePlan, VolumeFormat, domain_name, machine_metadata};

/// The machine's definition.
pub fn domain_xml(plan: &MachinePlan) -> String {
    let applied = &plan.applied;
    let kind = match applied.acceleration {
        Acceleration::Kvm => "kvm",
        Acceleration::Tcg | Acceleration::Native => "qemu",
    };
    element("domain")
        .attribute("type", kind)
        .child(element("name").text(domain_name(&plan.cluster, &plan.machine)))
        .child(element("uuid").text(plan.uuid))
        .child(element("metadata").child(machine_metadata(&plan.lab, &plan.cluster, &plan.machine, applied)))
        .child(element("memory").attribute("unit", "KiB").text(applied.memory.kib()))
        .child(element("vcpu").text(applied.cpus))
        .child(operating_system(&plan.boot))
        // ACPI carries the power button, which is how a machine is asked to shut down.
        .child(element("features").child(element("acpi")).child(element("apic")))
        .child(processor(applied.acceleration, applied.cpus))
        .child(element("clock").attribute("offset", "utc"))
        .child(element("on_poweroff").text("destroy"))
        .child(element("on_reboot").text("restart"))
        // A kernel that panicked must not look like a slow one, and its domain must stay for inspection.
        .child(element("on_crash").text("preserve"))
        .child(devices(plan))
        .to_document()
}

fn operating_system(boot: &Boot) -> Element {
    let os = element("os")
        .child(element("type").attribute("arch", "x86_64").attribute("machine", "q35").text("hvm"));
    match boot {
        Boot::Kernel { kernel, initrd, command_line } => os
            .child(element("kernel").text(kernel))
            .child(element("initrd").text(initrd))
            .child(element("cmdline").text(command_line)),
        Boot::Disk { .. } => os.child(element("boot").attribute("dev", "hd")),
    }
}

fn processor(acceleration: Acceleration, cpus: u32) -> Element {
    let topology =
        element("topology").attribute("sockets", 1).attribute("cores", cpus).attribute("threads", 1);
    let disabled = |name| element("feature").attribute("policy", "disable").attribute("name", name);
    match acceleration {
        Acceleration::Kvm => element("cpu").attribute("mode", "host-passthrough").child(topology),
        // The fewer features a processor has, the less a guest's kernel does with them at boot. With
        // cmpxchg16b, QEMU 7.2 lets guests under load double-fault; `svm` invites nested machines.
        Acceleration::Tcg | Acceleration::Native => element("cpu")
            .attribute("mode", "custom")
            .attribute("match", "exact")
            .attribute("check", "none")
            .child(element("model").attribute("fallback", "forbid").text("qemu64"))
            .child(topology)
            .child(disabled("cx16"))
            .child(disabled("svm")),
    }
}

/// No graphics, no USB, no balloon: a machine waits for no missing device at boot.
fn devices(plan: &MachinePlan) -> Element {
    let mut devices = element("devices").child(root_disk(&plan.root_disk));
    if let Boot::Disk { seed } = &plan.boot {
        devices = devices.child(seed_disk(seed));
    }
    devices
        .child(element("controller").attribute("type", "usb").attribute("model", "none"))
        .child(
            element("interface")
                .attribute("type", "network")
                .child(element("mac").attribute("address", plan.applied.mac))
                .child(element("source").attribute("network", &plan.network))
                .child(element("model").attribute("type", "virtio"))
                // No machine boots from the network: the card's boot ROM costs time at every start.
                .child(element("rom").attribute("enabled", "no")),
        )
        .child(
            // A terminal for people, and every byte of it in a file.
            element("serial")
                .attribute("type", "pty")
                .child(element("log").attribute("file", &plan.console_log).attribute("append", "on"))
                .child(element("target").attribute("port", 0)),
        )
        .child(
            element("console")
                .attribute("type", "pty")
                .child(element("target").attribute("type", "serial").attribute("port", 0)),
        )
        .child(
            element("rng")
                .attribute("model", "virtio")
                .child(element("backend").attribute("model", "random").text("/dev/urandom")),
        )
        .child(element("memballoon").attribute("model", "none"))
        .child(element("panic").attribute("model", "isa"))
}

fn root_disk(path: &str) -> Element {
    disk(path, "vda", VolumeFormat::Qcow2, |driver| {
        // A lab is thrown away: nothing is flushed to the host's disk for it, and blocks that the machine
        // deletes are given back.
        driver.attribute("cache", "unsafe").attribute("discard", "unmap")
    })
}

/// A disk and no CD drive: cloud kernels come without the drivers of one.
fn seed_disk(path: &str) -> Element {
    disk(path, "vdb", VolumeFormat::Raw, |driver| driver).child(element("readonly"))
}

fn disk(path: &str, name: &str, format: VolumeFormat, options: impl FnOnce(Element) -> Element) -> Element {
    let driver = element("driver").attribute("name", "qemu").attribute("type", format.name());
    element("disk")
        .attribute("type", "file")
        .attribute("device", "disk")
        .child(options(driver))
        .child(element("source").attribute("file", path))
        .child(element("target").attribute("dev", name).attribute("bus", "virtio"))
}
