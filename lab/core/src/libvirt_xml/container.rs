//! A system container: a domain of libvirt's LXC driver.

use super::xml::{Element, element};
use super::{ContainerPlan, domain_name, machine_metadata};

/// How long a period of the processor's share is, in microseconds: the kernel's own default.
const PERIOD: u64 = 100_000;

/// Capabilities whose use would change the computer rather than the container.
const WITHHELD: [&str; 2] = ["sys_module", "sys_time"];

/// Devices that a container has besides the usual ones: kubelet reads the kernel's messages, and some file
/// systems of pods are made by their own programs.
const DEVICES: [&str; 2] = ["/dev/kmsg", "/dev/fuse"];

/// The container's definition (libvirt's docs: formatdomain, drvlxc).
pub fn container_xml(plan: &ContainerPlan) -> String {
    let applied = &plan.applied;
    let quota = PERIOD * u64::from(applied.cpus);
    let withheld = WITHHELD.iter().map(|name| element(name).attribute("state", "off"));
    element("domain")
        .attribute("type", "lxc")
        .child(element("name").text(domain_name(&plan.cluster, &plan.machine)))
        .child(element("uuid").text(plan.uuid))
        .child(element("metadata").child(machine_metadata(&plan.lab, &plan.cluster, &plan.machine, applied)))
        .child(element("memory").attribute("unit", "KiB").text(applied.memory.kib()))
        .child(element("vcpu").text(applied.cpus))
        // A container sees every processor of the computer; how much of them it gets is a share of time.
        .child(element("cputune").child(element("period").text(PERIOD)).child(element("quota").text(quota)))
        .child(element("resource").child(element("partition").text("/machine")))
        .child(
            element("os")
                .child(element("type").attribute("arch", "x86_64").text("exe"))
                .child(element("init").text(&plan.first_program)),
        )
        .child(
            element("features")
                .child(element("capabilities").attribute("policy", "allow").children(withheld)),
        )
        .child(element("clock").attribute("offset", "utc"))
        .child(element("on_poweroff").text("destroy"))
        .child(element("on_reboot").text("restart"))
        .child(element("on_crash").text("destroy"))
        .child(devices(plan))
        .to_document()
}

fn devices(plan: &ContainerPlan) -> Element {
    let network = &plan.applied.network;
    let console = || element("console").attribute("type", "pty");
    let interface = element("interface")
        .attribute("type", "network")
        .child(element("mac").attribute("address", plan.applied.mac))
        .child(element("source").attribute("network", &plan.network))
        .child(element("guest").attribute("dev", "eth0"))
        // Set by libvirt before the first program runs: nothing has to be asked for or waited for.
        .child(
            element("ip")
                .attribute("family", "ipv4")
                .attribute("address", plan.applied.address)
                .attribute("prefix", network.subnet.prefix_len()),
        )
        .child(
            element("route")
                .attribute("family", "ipv4")
                .attribute("address", "0.0.0.0")
                .attribute("prefix", 0)
                .attribute("gateway", network.gateway),
        )
        .child(element("mtu").attribute("size", network.mtu));
    let capabilities = DEVICES.iter().map(|path| {
        element("hostdev")
            .attribute("mode", "capabilities")
            .attribute("type", "misc")
            .child(element("source").child(element("char").text(path)))
    });
    element("devices")
        .child(folder(&plan.root, "/"))
        .children(plan.folders.iter().map(|(source, target)| folder(source, target)))
        .child(interface)
        .children(capabilities)
        // The first is the machine's own, which is logged to a file; the second is for people.
        .child(console())
        .child(console())
}

fn folder(source: &str, target: &str) -> Element {
    element("filesystem")
        .attribute("type", "mount")
        .attribute("accessmode", "passthrough")
        .child(element("source").attribute("dir", source))
        .child(element("target").attribute("dir", target))
}
