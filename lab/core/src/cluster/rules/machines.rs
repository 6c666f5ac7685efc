//! Single machines, values that must be unique, and whether the computer can carry the machines.

use std::collections::{BTreeSet, HashMap};
use std::net::Ipv4Addr;

use crate::cluster::decode::{List, Located, Optional, Read};
use crate::cluster::raw::{self, CloudImage, Defaults, Image, Labels};
use crate::cluster::scalars::Count;
use crate::gpu_stand_in;
use crate::host::HostFacts;
use crate::source::{Code, Findings, Span};
use crate::spec::{GpuRequest, HostSpec, ImageSpec, MachineKind, MachineSpec, Role, Taint};
use crate::units::{Bytes, gibibytes};

/// Virtual size of the lab's own base image. A root disk cannot be smaller.
pub const BASE_DISK: Bytes = Bytes::from_gib(20);

const DEFAULT_CPUS: Count = Count(2);
const DEFAULT_MEMORY: Bytes = Bytes::from_gib(2);

/// A machine as far as it is known: a field is empty if a finding reports its value.
pub(super) struct Draft<'f> {
    pub(super) file: &'f raw::Machine,
    pub(super) roles: Option<BTreeSet<Role>>,
    pub(super) cpus: Option<Located<Count>>,
    pub(super) memory: Option<Located<Bytes>>,
    kind: Option<Located<MachineKind>>,
    disk: Option<Located<Bytes>>,
    image: Option<ImageSpec>,
    taints: Vec<Taint>,
    gpus: Vec<(GpuRequest, Span)>,
    labels: Vec<&'f Labels>,
    auto_start: Option<bool>,
}

impl Draft<'_> {
    /// Its name in messages.
    pub(super) fn title(&self) -> String {
        self.file
            .name
            .0
            .as_ref()
            .map_or_else(|| "this machine".to_owned(), |name| format!("`{}`", name.value.0))
    }

    /// The machine, if nothing about it was wrong.
    pub(super) fn finish(&self, address: Ipv4Addr) -> Option<MachineSpec> {
        let labels = self.labels.iter().flat_map(|labels| &labels.0);
        Some(MachineSpec {
            name: self.file.name.0.as_ref()?.value.0.clone(),
            kind: self.kind?.value,
            roles: self.roles.clone()?,
            address,
            cpus: self.cpus?.value.0,
            memory: self.memory?.value,
            disk: self.disk?.value,
            image: self.image.clone()?,
            labels: labels.map(|(key, value)| (key.value.0.clone(), value.value.0.clone())).collect(),
            taints: self.taints.clone(),
            gpus: self.gpus.iter().map(|(gpu, _)| gpu.clone()).collect(),
            auto_start: self.auto_start?,
        })
    }
}

/// Makes a machine from its own values, then the cluster file's defaults, then the lab's defaults, and judges
/// it by itself.
pub(super) fn draft<'f>(
    file: &'f raw::Machine,
    defaults: &'f Optional<Defaults>,
    findings: &mut Findings,
) -> Draft<'f> {
    let defaults = defaults.as_ref().and_then(|read| read.0.as_ref());
    let kind = effective(&file.kind, defaults.map(|all| &all.kind), MachineKind::Vm, file.span);
    let disk = effective(&file.disk, defaults.map(|all| &all.disk), BASE_DISK, file.span);
    let auto_start = effective(&file.auto_start, defaults.map(|all| &all.auto_start), true, file.span);
    let image = match file.image.as_ref().or(defaults.and_then(|all| all.image.as_ref())) {
        Some(read) => read.0.as_ref().and_then(|image| resolve_image(image, findings)),
        None => Some(ImageSpec::Debian13),
    };
    if let (Some(disk), Some(ImageSpec::Debian13)) = (disk, &image)
        && disk.value < BASE_DISK
    {
        findings
            .error(
                Code::DiskTooSmall,
                disk.span,
                format!("{} is smaller than the image that the root disk is cloned from", disk.value),
            )
            .hint(format!("write {BASE_DISK} or more: the disk takes only as much as is written to it"));
    }
    let gpus: Vec<_> = read_items(&file.gpus).filter_map(|gpu| resolve_gpu(gpu, findings)).collect();
    check_stand_ins(image.as_ref(), &gpus, findings);
    if kind.is_some_and(|kind| kind.value == MachineKind::Container) {
        check_container(file, image.as_ref(), &gpus, findings);
    }
    Draft {
        file,
        roles: roles(&file.roles),
        cpus: effective(&file.cpus, defaults.map(|all| &all.cpus), DEFAULT_CPUS, file.span),
        memory: effective(&file.memory, defaults.map(|all| &all.memory), DEFAULT_MEMORY, file.span),
        kind,
        disk,
        image,
        taints: taints(&file.taints, findings),
        gpus,
        // The machine's own come last, and win.
        labels: [defaults.and_then(|all| all.labels.as_ref()), file.labels.as_ref()]
            .into_iter()
            .filter_map(|read| read?.0.as_ref())
            .collect(),
        auto_start: auto_start.map(|auto_start| auto_start.value),
    }
}

/// The machine's own value, or the defaults', or the lab's; and where to point when it is wrong.
fn effective<T: Copy>(
    own: &Optional<Located<T>>,
    default: Option<&Optional<Located<T>>>,
    otherwise: T,
    machine: Span,
) -> Option<Located<T>> {
    match own.as_ref().or_else(|| default?.as_ref()) {
        Some(read) => read.0,
        None => Some(Located { value: otherwise, span: machine }),
    }
}

fn read_items<T>(list: &Optional<List<T>>) -> impl Iterator<Item = &T> {
    list.iter().filter_map(|read| read.0.as_ref()).flat_map(List::read)
}

/// `None` if a finding reports one of them: the machine's roles are then unknown.
fn roles(written: &Optional<List<Located<Role>>>) -> Option<BTreeSet<Role>> {
    let roles: BTreeSet<Role> = match written {
        Some(read) => {
            let items = read.0.as_ref()?.items.iter();
            items.map(|item| item.0.map(|role| role.value)).collect::<Option<_>>()?
        }
        None => BTreeSet::new(),
    };
    Some(if roles.is_empty() { BTreeSet::from([Role::Worker]) } else { roles })
}

/// The settings that a container cannot have. That it needs the embedded host is judged with the whole file.
fn check_container(
    file: &raw::Machine,
    image: Option<&ImageSpec>,
    gpus: &[(GpuRequest, Span)],
    findings: &mut Findings,
) {
    const HINT: &str = "write `kind: vm` for this machine";
    if let Some((_, span)) = gpus.iter().find(|(gpu, _)| gpu.is_physical()) {
        findings
            .error(
                Code::ContainerGpu,
                *span,
                "a container shares the computer's kernel and cannot be given a GPU",
            )
            .hint(format!("{HINT}, or `- stand_in: RTX A6000` for the outside of a driver without a GPU"));
    }
    if let Some(ImageSpec::Cloud { .. }) = image {
        findings
            .error(
                Code::ContainerImage,
                file.span,
                "a container has no disk to boot from: its root is the lab's own Debian, not a cloud image",
            )
            .hint(format!("{HINT}, or leave `image` out"));
    }
    if let Some(Some(disk)) = file.disk.as_ref().map(|read| read.0) {
        findings
            .warning(
                Code::ContainerDisk,
                disk.span,
                "a container's root is a folder of this computer, which nothing keeps from growing",
            )
            .hint("leave `disk` out");
    }
}

/// Containers share the kernel of the computer that the lab's own host is on.
pub(super) fn check_containers(host: &HostSpec, drafts: &[Draft<'_>], findings: &mut Findings) {
    if *host == HostSpec::Embedded {
        return;
    }
    let containers = drafts.iter().filter_map(|draft| draft.kind);
    for kind in containers.filter(|kind| kind.value == MachineKind::Container) {
        findings
            .error(Code::ContainerHost, kind.span, "containers run on the embedded host only")
            .hint("leave `host` out, or write `kind: vm`");
    }
}

fn resolve_image(image: &Image, findings: &mut Findings) -> Option<ImageSpec> {
    let CloudImage { path, url, sha512, span } = match image {
        Image::Named(name) => return Some(name.value.clone()),
        Image::Cloud(cloud) => cloud,
    };
    let source = match (path, url) {
        (Some(path), None) => path.0.as_ref()?.value.0.clone(),
        (None, Some(url)) => url.0.as_ref()?.value.0.clone(),
        (Some(_), Some(_)) => {
            findings
                .error(Code::BadImage, *span, "an image has both `path` and `url`")
                .hint("keep one of them");
            return None;
        }
        (None, None) => {
            findings
                .error(Code::BadImage, *span, "an image has neither `path` nor `url`")
                .hint("add one of them, or write `image: debian13`");
            return None;
        }
    };
    let sha512 = sha512.0.as_ref()?.value.0.clone();
    Some(ImageSpec::Cloud { source, sha512 })
}

/// The rules of stand-ins that concern the whole machine.
fn check_stand_ins(image: Option<&ImageSpec>, gpus: &[(GpuRequest, Span)], findings: &mut Findings) {
    let mut stand_ins = gpus.iter().filter(|(gpu, _)| !gpu.is_physical());
    let Some((_, first)) = stand_ins.next() else { return };
    if let Some((_, physical)) = gpus.iter().find(|(gpu, _)| gpu.is_physical()) {
        findings
            .error(Code::MixedGpus, *first, "a machine has either stand-ins or physical GPUs, not both")
            .hint("give them to two machines")
            .related(*physical, "the physical one is here");
    }
    if let Some(ImageSpec::Cloud { .. }) = image {
        findings
            .error(
                Code::StandInImage,
                *first,
                "a stand-in's driver is put into the lab's own image, not into a cloud image",
            )
            .hint("leave `image` out for this machine, or `stand_in`");
    }
    if let Some((_, span)) = stand_ins.nth(gpu_stand_in::MOST_OF_A_MACHINE - 1) {
        let most = gpu_stand_in::MOST_OF_A_MACHINE;
        findings
            .error(Code::OutOfRange, *span, format!("a machine has at most {most} stand-in GPUs"))
            .hint("give the others to another machine");
    }
}

fn resolve_gpu(gpu: &raw::Gpu, findings: &mut Findings) -> Option<(GpuRequest, Span)> {
    let problem = match (&gpu.address, &gpu.model, &gpu.stand_in) {
        (Some(address), None, None) => {
            let address = address.0.as_ref()?;
            return Some((GpuRequest::Address(address.value.0.clone()), address.span));
        }
        (None, Some(model), None) => {
            let model = model.0.as_ref()?;
            return Some((GpuRequest::Model(model.value.0.clone()), model.span));
        }
        (None, None, Some(model)) => {
            let model = model.0.as_ref()?;
            return Some((GpuRequest::StandIn(model.value.0.name.to_owned()), model.span));
        }
        (None, None, None) => "a GPU has neither `address` nor `model` nor `stand_in`",
        (Some(_), Some(_), None) => "a GPU has both `address` and `model`",
        _ => "a GPU has `stand_in` beside another key",
    };
    findings
        .error(Code::BadGpu, gpu.span, problem)
        .hint("write one of them: `- model: RTX A6000`, or `- stand_in: RTX A6000` without a GPU");
    None
}

/// Kubernetes refuses two taints with one key and effect on a node.
fn taints(written: &Optional<List<Located<Taint>>>, findings: &mut Findings) -> Vec<Taint> {
    let mut taints: Vec<Taint> = Vec::new();
    let mut seen: HashMap<(&str, &str), Span> = HashMap::new();
    for Located { value: taint, span } in read_items(written) {
        match seen.insert((&taint.key, &taint.effect), *span) {
            None => taints.push(taint.clone()),
            Some(before) => {
                let message = format!("the taint {}:{} is here twice", taint.key, taint.effect);
                findings.error(Code::DuplicateTaint, *span, message).related(before, "first written here");
            }
        }
    }
    taints
}

/// Names, and GPUs by address, belong to one machine each.
pub(super) fn check_unique(machines: &[Draft<'_>], findings: &mut Findings) {
    let mut names: HashMap<&str, Span> = HashMap::new();
    let mut gpus: HashMap<&str, Span> = HashMap::new();
    for machine in machines {
        if let Read(Some(name)) = &machine.file.name
            && let Some(before) = names.insert(&name.value.0, name.span)
        {
            findings
                .error(
                    Code::DuplicateName,
                    name.span,
                    format!("two machines have the name `{}`", name.value.0),
                )
                .related(before, "first used here");
        }
        for (gpu, span) in &machine.gpus {
            if let GpuRequest::Address(address) = gpu
                && let Some(before) = gpus.insert(address, *span)
            {
                findings
                    .error(Code::DuplicateGpu, *span, format!("the GPU {address} is asked for twice"))
                    .hint("a GPU belongs to one machine")
                    .related(before, "first asked for here");
            }
        }
    }
}

/// Whether the computer can carry the machines. Only warnings: the machines of the file may themselves use
/// the resources that are missing now.
pub(super) fn check_host(
    machines_at: Span,
    machines: &[Draft<'_>],
    facts: &HostFacts,
    findings: &mut Findings,
) {
    if let Some(cpus) = facts.cpus {
        for asked in machines.iter().filter_map(|machine| machine.cpus).filter(|asked| asked.value.0 > cpus) {
            findings.warning(
                Code::CpusExceedHost,
                asked.span,
                format!(
                    "{} processors for one machine are more than the {cpus} of the computer",
                    asked.value.0
                ),
            );
        }
    }
    let started = machines.iter().filter(|machine| machine.auto_start == Some(true));
    let sum = started
        .filter_map(|machine| machine.memory)
        .fold(0u64, |sum, memory| sum.saturating_add(memory.value.0));
    if let Some(available) = facts.available_memory
        && sum > available.0
    {
        let message = format!(
            "the machines that start together ask for {} of memory, and the computer has {} to give now",
            gibibytes(Bytes(sum)),
            gibibytes(available)
        );
        findings
            .warning(Code::MemoryExceedsHost, machines_at, message)
            .hint("give some of them less, or `auto_start: false`");
    }
}
