//! The table of probes. Each looks at one thing of the computer and changes nothing.

use std::path::Path;

use super::{Finding, Fix, kvm, leftovers, shared};
use crate::folders::Folders;
use crate::host::Host;
use crate::setup::environment::{self, Environment};
use crate::setup::{packages, registry};

/// A look at one thing; the second argument says where files lie.
type Probe = fn(&Host, &Folders) -> Finding;

/// All probes, in the order of the table.
pub const PROBES: [(&str, Probe); 22] = [
    ("processor", processor),
    ("kvm", kvm::probe),
    ("iommu", iommu),
    ("libvirt", libvirt),
    ("qemu", qemu),
    ("other packages", other_packages),
    ("user namespaces", user_namespaces),
    ("subordinate ids", subordinate_ids),
    ("/dev/net/tun", tun),
    ("cgroups", cgroups),
    ("containers", containers),
    ("shared limits", shared::limits),
    ("python", python),
    ("ansible", ansible),
    ("go", go),
    ("registry", registry),
    ("leftovers", leftovers::probe),
    ("disk", disk),
    ("disk for pods", shared::disk),
    ("memory", memory),
    ("cpus", cpus),
    ("other users", other_users),
];

pub const GIB: u64 = 1 << 30;

fn processor(host: &Host, _: &Folders) -> Finding {
    let info = host.read("/proc/cpuinfo").unwrap_or_default();
    let model = field(&info, "model name").unwrap_or(&host.arch).to_owned();
    let inside = info.lines().any(|line| line.starts_with("flags") && line.contains(" hypervisor"));
    match kvm::extension(host) {
        Some(extension) => Finding::good(format!("{model}, {extension}")),
        None if inside => Finding::note(
            format!("{model}, a virtual machine without vmx or svm"),
            Some(Fix::Advice("turn on nested virtualisation outside")),
        ),
        None => Finding::note(
            format!("{model}, without vmx or svm"),
            Some(Fix::Advice("turn on VT-x or AMD-V in the firmware")),
        ),
    }
}

fn iommu(host: &Host, _: &Folders) -> Finding {
    let units = host.list("/sys/class/iommu").len();
    let groups = host.list("/sys/kernel/iommu_groups").len();
    if units > 0 && groups > 0 {
        return Finding::good(format!("groups: {groups}, units: {units}"));
    }
    let advice = "turn on VT-d or AMD-Vi in the firmware; on Intel boot with intel_iommu=on";
    Finding::note("none: no GPU can be given to a machine", Some(Fix::Advice(advice)))
}

fn libvirt(host: &Host, _: &Folders) -> Finding {
    let Some(version) = host.output("libvirtd", &["--version"]) else {
        return Finding::missing("no libvirtd", Fix::Setup);
    };
    let version = version.split_whitespace().last().unwrap_or_default();
    let lacks: Vec<_> = packages::missing(host)
        .iter()
        .filter(|one| one.what.contains("libvirt"))
        .map(|one| one.what)
        .collect();
    if !lacks.is_empty() {
        return Finding::missing(format!("libvirtd {version}, without {}", lacks.join(", ")), Fix::Setup);
    }
    match host.output("pkg-config", &["--modversion", "libvirt"]) {
        Some(headers) if headers != version => {
            let text = format!("libvirtd {version}, but headers of {headers}");
            Finding::note(text, Some(Fix::Advice("install both from one suite")))
        }
        Some(_) => Finding::good(format!("libvirtd {version}, its drivers and headers")),
        None => {
            Finding::missing(format!("libvirtd {version}; pkg-config does not find its headers"), Fix::Setup)
        }
    }
}

fn qemu(host: &Host, _: &Folders) -> Finding {
    let emulator = format!("qemu-system-{}", host.arch);
    let version = host.output(&emulator, &["--version"]);
    let version = version.as_deref().and_then(|text| text.lines().next()?.split_whitespace().nth(3));
    match (version, host.program("qemu-img")) {
        (None, _) => Finding::missing(format!("no {emulator}"), Fix::Setup),
        (Some(version), None) => {
            Finding::missing(format!("{emulator} {version}, without qemu-img"), Fix::Setup)
        }
        (Some(version), Some(_)) => Finding::good(format!("{emulator} {version}")),
    }
}

/// Packages that the other probes do not name one by one.
fn other_packages(host: &Host, _: &Folders) -> Finding {
    let all = packages::missing(host);
    let others: Vec<_> =
        all.iter().filter(|one| !one.what.contains("libvirt") && !one.what.contains("QEMU")).collect();
    match others.as_slice() {
        [] => Finding::good("all there"),
        [first, rest @ ..] if rest.len() > 2 => {
            Finding::missing(format!("missing: {} and {} more", first.what, rest.len()), Fix::Setup)
        }
        few => {
            let names: Vec<_> = few.iter().map(|one| one.what).collect();
            Finding::missing(format!("missing: {}", names.join(", ")), Fix::Setup)
        }
    }
}

/// Labs of ordinary users live in one. The probe makes one.
fn user_namespaces(host: &Host, _: &Folders) -> Finding {
    let made = host.output("unshare", &["--user", "--map-root-user", "--net", "true"]).is_some();
    if made {
        return Finding::good("can be made");
    }
    let reads = |path: &str, value: &str| host.read(path).is_some_and(|text| text.trim() == value);
    let (text, fix) = if host.program("unshare").is_none() {
        ("not tried: no unshare".to_owned(), Fix::Setup)
    } else if reads("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
        let fix = "sudo sysctl --write kernel.apparmor_restrict_unprivileged_userns=0";
        ("AppArmor forbids them to ordinary users".to_owned(), Fix::Command(fix.into()))
    } else if reads("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        let fix = "sudo sysctl --write kernel.unprivileged_userns_clone=1";
        ("the kernel forbids them to ordinary users".to_owned(), Fix::Command(fix.into()))
    } else if reads("/proc/sys/user/max_user_namespaces", "0") {
        let fix = "sudo sysctl --write user.max_user_namespaces=15000";
        ("the limit is 0".to_owned(), Fix::Command(fix.into()))
    } else {
        let advice = "the container around us may forbid them: labs as root work";
        ("cannot be made".to_owned(), Fix::Advice(advice))
    };
    needed_by_users(host, text, fix)
}

fn subordinate_ids(host: &Host, _: &Folders) -> Finding {
    if host.user == "root" {
        return Finding::good("root needs none");
    }
    let range = |path: &str| {
        let text = host.read(path)?;
        let own = |line: &&str| {
            [host.user.as_str(), &host.uid.to_string()].contains(&line.split(':').next().unwrap_or(""))
        };
        let line = text.lines().find(own)?;
        line.split(':').nth(2)?.trim().parse::<u64>().ok()
    };
    match (range("/etc/subuid"), range("/etc/subgid"), host.program("newuidmap")) {
        (Some(users), Some(groups), Some(_)) if users.min(groups) >= 65_536 => {
            Finding::good(format!("{} for {}", users.min(groups), host.user))
        }
        (Some(users), Some(groups), Some(_)) => Finding::missing(
            format!("only {} for {}, 65536 are needed", users.min(groups), host.user),
            Fix::Advice("give more in /etc/subuid and /etc/subgid"),
        ),
        (Some(_), Some(_), None) => Finding::missing("no newuidmap", Fix::Setup),
        _ => Finding::missing(format!("none for {}", host.user), Fix::Setup),
    }
}

fn tun(host: &Host, _: &Folders) -> Finding {
    match host.mode("/dev/net/tun") {
        None => Finding::missing("not there", Fix::Setup),
        Some(mode) if mode & 0o666 == 0o666 => Finding::good("for everybody"),
        Some(mode) => needed_by_users(host, format!("mode {mode:04o}, closed to ordinary users"), Fix::Setup),
    }
}

/// A thing that root does without and others need.
fn needed_by_users(host: &Host, text: String, fix: Fix) -> Finding {
    if host.uid == 0 {
        Finding::note(format!("{text}; root does without"), Some(fix))
    } else {
        Finding::missing(text, fix)
    }
}

/// Machines of kind `container`. Labs of virtual machines do without.
fn containers(host: &Host, _: &Folders) -> Finding {
    let note = |text: &str, fix| Finding::note(format!("machines cannot be containers: {text}"), Some(fix));
    if host.uid != 0 {
        let advice = "call the lab as root for `kind: container`";
        return note("only root may make their device files", Fix::Advice(advice));
    }
    if packages::missing(host).iter().any(|one| one.what.contains("LXC")) {
        return note("libvirt's LXC driver is missing", Fix::Setup);
    }
    let overlay = host.read("/proc/filesystems").unwrap_or_default();
    if !overlay.lines().any(|line| line.split_whitespace().last() == Some("overlay")) {
        return note("the kernel has no overlay file system", Fix::Command("sudo modprobe overlay".into()));
    }
    let own = host.read("/proc/self/cgroup").unwrap_or_default();
    let first = |name: &str| {
        own.lines()
            .any(|line| line.split(':').nth(1).is_some_and(|list| list.split(',').any(|one| one == name)))
    };
    let offered = host.read("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
    let lacks: Vec<_> = ["cpu", "memory", "pids"]
        .into_iter()
        .filter(|name| !first(name) && !offered.split_whitespace().any(|one| one == *name))
        .collect();
    if !lacks.is_empty() {
        let advice = "mount or delegate the control groups; a container around us must be given them";
        return note(&format!("no control group offers {}", lacks.join(", ")), Fix::Advice(advice));
    }
    if offered.is_empty() {
        return Finding::good("can be machines, by control groups of version 1");
    }
    Finding::good("can be machines")
}

fn cgroups(host: &Host, _: &Folders) -> Finding {
    if let Some(controllers) = host.read("/sys/fs/cgroup/cgroup.controllers") {
        let own = host.read("/proc/self/cgroup").unwrap_or_default();
        let own = own.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/").trim_end_matches('/');
        let delegated = host.opens(&format!("/sys/fs/cgroup{own}/cgroup.subtree_control"));
        let whose = if delegated { "delegated to you" } else { "not delegated to you" };
        return Finding::good(format!(
            "version 2 ({}), {whose}",
            controllers.split_whitespace().collect::<Vec<_>>().join(" ")
        ));
    }
    let own = host.read("/proc/self/cgroup").unwrap_or_default();
    let names: Vec<_> =
        own.lines().filter_map(|line| line.split(':').nth(1)).filter(|name| !name.is_empty()).collect();
    if names.is_empty() {
        let advice = "mount /sys/fs/cgroup; without it no machine can be limited";
        return Finding::note("none", Some(Fix::Advice(advice)));
    }
    let hybrid = own.lines().any(|line| line.starts_with("0::"));
    Finding::good(format!(
        "version 1{}: {} hierarchies",
        if hybrid { " with 2 beside it" } else { "" },
        names.len()
    ))
}

fn python(host: &Host, _: &Folders) -> Finding {
    match environment::python(host) {
        None => Finding::missing("none from 3.10 to 3.13 with venv", Fix::Setup),
        Some(python) => Finding::good(format!("{} with venv", python.version)),
    }
}

fn ansible(_: &Host, folders: &Folders) -> Finding {
    let environment = Environment::ansible(folders);
    let name = environment.path.file_name().unwrap_or_default().to_string_lossy();
    if environment.is_complete() {
        Finding::good(name)
    } else {
        Finding::missing(format!("the environment of {} is not made", environment.requirements), Fix::Setup)
    }
}

fn go(host: &Host, folders: &Folders) -> Finding {
    if let Some(version) = environment::go(host) {
        return Finding::good(version);
    }
    let environment = Environment::go(folders);
    let name = environment.path.file_name().unwrap_or_default().to_string_lossy();
    if environment.is_complete() {
        return Finding::good(name);
    }
    Finding::note("none that is new enough: artefacts cannot be built here", Some(Fix::Setup))
}

/// The server of images for machines when Kubernetes is deployed; everything else works without.
fn registry(host: &Host, folders: &Folders) -> Finding {
    if let Some(program) = registry::program(host, folders) {
        return match program.strip_prefix(folders.environments()) {
            Ok(inside) => Finding::good(inside.display().to_string()),
            Err(_) => Finding::good(registry::PACKAGE),
        };
    }
    let text = format!("no {}: machines get no images, nothing can be deployed", registry::PACKAGE);
    if registry::can_be_had(host, folders) {
        return Finding::note(text, Some(Fix::Setup));
    }
    let advice = "put CNCF distribution's `registry` on PATH under the name docker-registry";
    Finding::note(text, Some(Fix::Advice(advice)))
}

/// The base image, its packages, the build of `lab` and the disks of four small machines.
fn disk(host: &Host, folders: &Folders) -> Finding {
    let of_cache = host.mode(&folders.cache.to_string_lossy()).and_then(|_| free_bytes(host, &folders.cache));
    let free = free_bytes(host, &folders.root).map(|free| of_cache.map_or(free, |other| free.min(other)));
    amount("free", free, 5 * GIB, 15 * GIB, "image and four machines")
}

/// The free bytes of the disk that a folder is on.
pub fn free_bytes(host: &Host, folder: &Path) -> Option<u64> {
    let table = host.output("df", &["-Pk", &folder.to_string_lossy()])?;
    let free: u64 = table.lines().last()?.split_whitespace().nth(3)?.parse().ok()?;
    Some(free << 10)
}

/// Four machines of `inventories/dev` and what the computer itself needs.
fn memory(host: &Host, _: &Folders) -> Finding {
    let info = host.read("/proc/meminfo").unwrap_or_default();
    let available =
        field(&info, "MemAvailable").and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok());
    amount("available", available.map(|kib| kib << 10), 2 * GIB, 8 * GIB, "four machines")
}

/// Judges a number of bytes: below `least` nothing works, below `enough` not everything.
fn amount(what: &str, bytes: Option<u64>, least: u64, enough: u64, purpose: &str) -> Finding {
    let advice = Some(Fix::Advice("free some, or make machines smaller"));
    match bytes {
        None => Finding::note("unknown", None),
        Some(bytes) if bytes < least => {
            let text = format!("{} MiB {what}, {} GiB are the least", bytes >> 20, least / GIB);
            Finding { status: super::Status::Missing, text, fix: advice }
        }
        Some(bytes) if bytes < enough => {
            Finding::note(format!("{} GiB {what}; {purpose} like {} GiB", bytes / GIB, enough / GIB), advice)
        }
        Some(bytes) => Finding::good(format!("{} GiB {what}", bytes / GIB)),
    }
}

fn cpus(host: &Host, _: &Folders) -> Finding {
    let info = host.read("/proc/cpuinfo").unwrap_or_default();
    match info.lines().filter(|line| line.starts_with("processor")).count() {
        0 => Finding::note("unknown", None),
        1 => Finding::note(
            "1: machines start one after the other",
            Some(Fix::Advice("2 are better, 4 are good")),
        ),
        count => Finding::good(count.to_string()),
    }
}

/// Whether other users of this computer can enter the folders of labs. The next command of `lab` closes them as well.
fn other_users(host: &Host, folders: &Folders) -> Finding {
    // `Layout::private` of `lab` names the same ones.
    let private = [folders.root.join("output"), folders.cache.clone()].map(|path| path.display().to_string());
    let is_open = |folder: &&String| host.mode(folder).is_some_and(|mode| mode & 0o077 != 0);
    let open: Vec<&String> = private.iter().filter(is_open).collect();
    if open.is_empty() {
        return Finding::good("cannot enter folders of labs");
    }
    let quoted: Vec<String> = open.iter().map(|path| format!("'{}'", path.replace('\'', r"'\''"))).collect();
    let fix = format!("chmod go-rwx {}", quoted.join(" "));
    Finding::note(
        format!("can enter {}", open.iter().map(|path| path.as_str()).collect::<Vec<_>>().join(", ")),
        Some(Fix::Command(fix)),
    )
}

/// The first value of a line `name : value` of a file of /proc.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':').map(str::trim))
}
