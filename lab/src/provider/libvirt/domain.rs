//! Machines.

use anyhow::Context as _;
use lab_core::libvirt_xml::{read_console, read_domain};
use lab_core::plan::MachineState;
use lab_core::spec::MachineKind;
use virt::domain::{Domain, DomainState};
use virt::error::{Error, ErrorNumber};
use virt::sys;

use crate::timeouts::{FIRST_PROCESS_INTERVAL, FIRST_PROCESS_TIMEOUT};
use crate::wait::{Deadline, Probe, until_blocking};

use super::super::{Domains, FoundDomain};
use super::{Libvirt, ended, optional};

/// How often a container is started that libvirt loses each time. One in ten is lost beside a virtual machine.
const STARTS: u32 = 8;

impl Domains for Libvirt {
    fn domains(&self) -> anyhow::Result<Vec<FoundDomain>> {
        let mut found = Vec::new();
        let mut domains = Vec::new();
        for driver in self.drivers() {
            domains.extend(driver.list_all_domains(0).context("cannot list the domains")?);
        }
        for domain in domains {
            let Some(definition) = optional(domain.xml_desc(sys::VIR_DOMAIN_XML_INACTIVE))? else { continue };
            if let Some(record) = read_domain(&definition)? {
                let state = state(&domain)?;
                found.push(FoundDomain { record, state, run: domain.id() });
            }
        }
        Ok(found)
    }

    fn define_domain(&self, kind: MachineKind, xml: &str) -> anyhow::Result<()> {
        self.driver(kind)?.define_domain_xml(xml).context("libvirt refused the machine's definition")?;
        Ok(())
    }

    fn start_domain(&self, name: &str) -> anyhow::Result<u32> {
        let domain = self.domain(name)?;
        if state(&domain)? == MachineState::ShutOff {
            let started = match is_container(&domain)? {
                true => start_container(&domain),
                false => domain.create().map(drop).map_err(Into::into),
            };
            started.with_context(|| format!("cannot start `{name}`"))?;
        }
        domain.id().with_context(|| format!("`{name}` ended as soon as it was started"))
    }

    fn resume_domain(&self, name: &str) -> anyhow::Result<u32> {
        let domain = self.domain(name)?;
        domain.resume().with_context(|| format!("cannot let `{name}` go on"))?;
        domain.id().with_context(|| format!("`{name}` ended as soon as it went on"))
    }

    fn shut_down_domain(&self, name: &str) -> anyhow::Result<()> {
        let Some(domain) = self.find(name)? else { return Ok(()) };
        let asked = if is_container(&domain)? { heard(signal_power_off(&domain)) } else { domain.shutdown() };
        match asked {
            // libvirt calls the request invalid for a machine that has ended, and for a container that it has lost.
            Err(error) if state(&domain)? != MachineState::ShutOff => {
                Err(error).with_context(|| format!("cannot ask `{name}` to shut down"))
            }
            _ => Ok(()),
        }
    }

    fn power_off_domain(&self, name: &str) -> anyhow::Result<()> {
        let Some(domain) = self.find(name)? else { return Ok(()) };
        ended(domain.destroy()).with_context(|| format!("cannot take the power of `{name}`"))
    }

    fn domain_state(&self, name: &str) -> anyhow::Result<Option<(MachineState, Option<u32>)>> {
        let Some(domain) = self.find(name)? else { return Ok(None) };
        Ok(Some((state(&domain)?, domain.id())))
    }

    fn remove_domain(&self, name: &str) -> anyhow::Result<()> {
        self.power_off_domain(name)?;
        let Some(domain) = self.find(name)? else { return Ok(()) };
        // A definition with firmware variables, snapshots or a saved state is not removed without saying so.
        let flags = sys::VIR_DOMAIN_UNDEFINE_NVRAM
            | sys::VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
            | sys::VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA;
        let removed = match ended(domain.undefine_flags(flags)) {
            // The test driver knows no flags.
            Err(_) => ended(domain.undefine()),
            done => done,
        };
        removed.with_context(|| format!("cannot remove the definition of `{name}`"))
    }

    fn console_terminal(&self, name: &str) -> anyhow::Result<String> {
        let definition = self.domain(name)?.xml_desc(0)?;
        read_console(&definition)?.with_context(|| format!("`{name}` has no console"))
    }
}

impl Libvirt {
    fn domain(&self, name: &str) -> anyhow::Result<Domain> {
        self.find(name)?.with_context(|| format!("libvirt has no domain `{name}`"))
    }

    /// The domain of this name, of either kind.
    fn find(&self, name: &str) -> anyhow::Result<Option<Domain>> {
        for driver in self.drivers() {
            if let Some(domain) = optional(driver.lookup_domain_by_name(name))? {
                return Ok(Some(domain));
            }
        }
        Ok(None)
    }
}

/// Whether what a domain starts is a program, not a machine (libvirt, "Domain XML format": `<type>exe</type>`).
fn is_container(domain: &Domain) -> anyhow::Result<bool> {
    Ok(domain.os_type().context("cannot read the kind of a domain")? == "exe")
}

/// Starts a container, again where libvirt lost it. One that is lost each time is left shut off.
///
/// libvirt's `virLXCMonitorNew` lets its event loop read from a new container before it registers a handler of messages
/// (9.0, `lxc_monitor.c`). The first message, which names the container's first process, may come in between.
/// Then libvirt drops the connection: it can signal that container no more, and never learns that it has ended.
fn start_container(domain: &Domain) -> anyhow::Result<()> {
    for _ in 0..STARTS {
        domain.create()?;
        if is_known(domain) {
            return Ok(());
        }
        ended(domain.destroy())?;
    }
    anyhow::bail!("libvirt lost its connection to the container {STARTS} times")
}

/// Whether libvirt knows the first process of a container that was just started, or has seen it end.
fn is_known(domain: &Domain) -> bool {
    let deadline = Deadline::after(FIRST_PROCESS_TIMEOUT);
    let known = until_blocking("the first process", deadline, FIRST_PROCESS_INTERVAL, || {
        match heard(signal(domain, sys::VIR_DOMAIN_PROCESS_SIGNAL_NOP)) {
            Ok(()) => Probe::Ready(()),
            Err(_) if state(domain).is_ok_and(|state| state == MachineState::ShutOff) => Probe::Ready(()),
            Err(error) => Probe::NotYet(error.to_string()),
        }
    });
    known.is_ok()
}

/// libvirt learns that a container has ended only after its first process is gone: a signal to a missing process is
/// success. Other errors are not.
fn heard(asked: Result<(), Error>) -> Result<(), Error> {
    match asked {
        Err(error)
            if error.code().known() == Some(ErrorNumber::SystemError)
                && error.to_string().contains("No such process") =>
        {
            Ok(())
        }
        asked => asked,
    }
}

/// Sends the signal that systemd takes as "power off" to a container's first process (systemd(1): SIGRTMIN+4).
/// `virDomainShutdown` would not do: it writes to /run/initctl, which no process reads, or sends SIGTERM, which
/// systemd takes as "execute yourself again". libvirt counts from the kernel's first real-time signal, 32; systemd from
/// the C library's, which keeps two for itself: its fourth is libvirt's sixth.
fn signal_power_off(domain: &Domain) -> Result<(), Error> {
    signal(domain, sys::VIR_DOMAIN_PROCESS_SIGNAL_RT6)
}

/// Sends a signal to a container's first process.
fn signal(domain: &Domain, signal: sys::virDomainProcessSignal) -> Result<(), Error> {
    // The binding has no method for it.
    #[expect(unsafe_code, reason = "the pointer is that of a domain that outlives the call")]
    let done = unsafe { sys::virDomainSendProcessSignal(domain.as_ptr(), 1, signal, 0) };
    if done == 0 { Ok(()) } else { Err(Error::last_error()) }
}

fn state(domain: &Domain) -> anyhow::Result<MachineState> {
    let (state, _) = domain.state().context("cannot read the state of a domain")?;
    Ok(match state.known() {
        Some(DomainState::Paused | DomainState::PMSuspended) => MachineState::Paused,
        Some(DomainState::Crashed) => MachineState::Crashed,
        Some(DomainState::Shutoff) => MachineState::ShutOff,
        // Shutdown means "on its way there": it still has a process.
        _ => MachineState::Running,
    })
}
