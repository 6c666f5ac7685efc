//! What a machine is made of: its files in their places on the host of the machines, and its domain, which
//! names them. When each is made is decided by `apply`.

use std::path::Path;

use anyhow::Context as _;
use lab_core::identity::{MachineIdentity, boot, cloud};
use lab_core::libvirt_xml::{
    Acceleration, Boot, MachinePlan, VolumeFormat, VolumePlan, domain_xml, volume_xml,
};
use lab_core::spec::{HostSpec, MachineKind};

use crate::cx::Cx;
use crate::disks::disk_name;
use crate::files::{self, PUBLIC, SECRET};
use crate::image::{self, BaseImage};
use crate::lab::Lab;
use crate::provider::Provider;

use super::apply::ApplyContext;
use super::observe::BASE_PREFIX;
use super::{container, stand_in};

/// The folder of the lab's storage pool, on the host of the machines.
pub(super) fn pool_path(context: &ApplyContext) -> String {
    match context.lab.spec.host {
        HostSpec::Embedded => context.lab.files.disks().display().to_string(),
        // Where libvirt's own packages keep images, and where its security drivers expect them.
        HostSpec::Libvirt(_) => format!("/var/lib/libvirt/images/{}", context.reached.resource),
    }
}

/// Copies a file to the host of the machines, and returns its path there. The embedded host sees this
/// computer's files; another libvirt is given a copy in the lab's pool.
fn place(
    lab: &Lab,
    provider: &dyn Provider,
    pool: &str,
    name: &str,
    file: &Path,
    again: bool,
) -> anyhow::Result<String> {
    if lab.spec.host == HostSpec::Embedded {
        return Ok(file.display().to_string());
    }
    if let Some(path) = provider.volume_path(pool, name)?
        && !again
    {
        return Ok(path);
    }
    let plan = VolumePlan {
        name: name.to_owned(),
        capacity: lab_core::units::Bytes(file.metadata()?.len()),
        format: VolumeFormat::Raw,
        backing: None,
    };
    let path = provider.create_volume(pool, name, &volume_xml(&plan))?;
    // A volume that was not filled whole must not be found by the next try.
    if let Err(error) = provider.upload_volume(pool, name, file) {
        provider.remove_volume(pool, name)?;
        return Err(error);
    }
    Ok(path)
}

/// Copies a base image's disk to the host of the machines, and returns its path there.
///
/// # Errors
/// When it is another host and does not take it.
pub(super) fn place_base(
    lab: &Lab,
    provider: &dyn Provider,
    pool: &str,
    base: &BaseImage,
) -> anyhow::Result<String> {
    place(lab, provider, pool, &format!("{BASE_PREFIX}{}.qcow2", base.key), &base.disk, false)
}

/// Removes a machine's own files from the pool of another computer.
///
/// # Errors
/// When that does not remove them.
pub(super) fn remove_placed(
    lab: &Lab,
    provider: &dyn Provider,
    pool: &str,
    machine: &str,
) -> anyhow::Result<()> {
    if lab.spec.host == HostSpec::Embedded {
        return Ok(());
    }
    for kind in ["initrd", "seed"] {
        provider.remove_volume(pool, &format!("{machine}.{kind}"))?;
    }
    Ok(())
}

/// Writes what gives a machine its identity: the initial file system with the identity behind it, or a seed.
///
/// # Errors
/// When a file cannot be read or written.
pub(super) fn write_identity(context: &ApplyContext, name: &str) -> anyhow::Result<()> {
    let machine = context.lab.machine(name)?;
    let mut identity = MachineIdentity::new(
        &context.lab.spec,
        machine,
        context.desired.numbers[name].clone(),
        context.keys.host.get(name).context("the machine has no host key")?.clone(),
        &context.keys.login,
    );
    identity.authority.clone_from(&context.keys.authority);
    identity.extra = stand_in::files(&context.lab, machine)?;
    let own = context.lab.files.machine(name);
    if machine.kind == MachineKind::Container {
        files::private_folder(&own.folder)?;
        return container::write_identity(&context.lab.files.root(name), &identity);
    }
    match &context.images[&machine.image].boot {
        image::Boot::Direct { initrd, .. } => {
            let mut bytes =
                std::fs::read(initrd).with_context(|| format!("cannot read `{}`", initrd.display()))?;
            bytes.extend(boot::identity_archive(&identity));
            files::write_atomic(&own.initrd(), &bytes, SECRET)?;
        }
        image::Boot::Disk => {
            files::write_atomic(&own.seed(), &cloud::seed_disk(&cloud::seed(&identity)), SECRET)?
        }
    }
    Ok(())
}

/// The kernel's command line. QEMU 7.2 translates code that a kernel patches while another processor runs it
/// so that one boot in twenty panicked: an emulated machine starts with one processor, and its image
/// turns the others on when it is up (`lab-late.service` in the image's recipe).
fn kernel_command_line(command_line: &str, acceleration: Acceleration) -> String {
    match acceleration {
        Acceleration::Kvm | Acceleration::Native => command_line.to_owned(),
        Acceleration::Tcg => format!("{command_line} maxcpus=1"),
    }
}

/// Defines a machine's domain, with every file it names in its place.
///
/// # Errors
/// When libvirt refuses it or a file does not get to its place.
pub(super) async fn define(cx: &Cx, context: &ApplyContext, name: &str) -> anyhow::Result<()> {
    let context = context.clone();
    let name = name.to_owned();
    cx.blocking(move || {
        let (provider, pool) = (&*context.reached.provider, &context.reached.resource);
        let machine = context.lab.machine(&name)?;
        let own = context.lab.files.machine(&name);
        if machine.kind == MachineKind::Container {
            let xml = container::definition(&context, &name);
            files::write_if_changed(&own.domain(), xml.as_bytes(), PUBLIC)?;
            return provider.define_domain(machine.kind, &xml);
        }
        let base = &context.images[&machine.image];
        let boot = match &base.boot {
            image::Boot::Direct { kernel, command_line, .. } => Boot::Kernel {
                kernel: place(
                    &context.lab,
                    provider,
                    pool,
                    &format!("{BASE_PREFIX}{}.kernel", base.key),
                    kernel,
                    false,
                )?,
                initrd: place(&context.lab, provider, pool, &format!("{name}.initrd"), &own.initrd(), true)?,
                command_line: kernel_command_line(command_line, context.acceleration),
            },
            image::Boot::Disk => Boot::Disk {
                seed: place(&context.lab, provider, pool, &format!("{name}.seed"), &own.seed(), true)?,
            },
        };
        let root_disk = provider
            .volume_path(pool, &disk_name(&name))?
            .with_context(|| format!("`{name}` has no disk"))?;
        let console_log = match context.lab.spec.host {
            HostSpec::Embedded => own.console().display().to_string(),
            HostSpec::Libvirt(_) => format!("{}/{name}.console.log", pool_path(&context)),
        };
        let plan = MachinePlan {
            lab: context.state.get().lab,
            cluster: context.lab.spec.name.clone(),
            machine: name.clone(),
            uuid: context.desired.numbers[&name].uuid,
            applied: context.desired.machines[&name].applied.clone(),
            boot,
            root_disk,
            network: context.desired.network.name.clone(),
            console_log,
        };
        let xml = domain_xml(&plan);
        files::write_if_changed(&own.domain(), xml.as_bytes(), PUBLIC)?;
        provider.define_domain(machine.kind, &xml)
    })
    .await
}
