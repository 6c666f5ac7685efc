//! People at machines: a login, a command on several machines, a program in the lab's network, the console, the logs.

use std::ffi::OsString;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::process::ExitStatus;

use anyhow::Context as _;
use lab_core::plan::MachineState;
use lab_core::spec::MachineKind;
use serde::Serialize;

use crate::cx::Cx;
use crate::failure::{Failure, FailureKind};
use crate::kubespray::source::Request;
use crate::kubespray::{checkout, environment};
use crate::lab::{Lab, Reached, console, reach, running};
use crate::output;
use crate::process::invocation;
use crate::timeouts::REMOTE_COMMAND_TIMEOUT;
use crate::wait::Deadline;

/// The exit code of a command on a machine that a signal ended: 128 and SIGINT, as shells have it.
const SIGNALLED: i32 = 130;

/// Logs in, or runs one command; returns how the remote one ended.
///
/// # Errors
/// When the lab does not run or `ssh` cannot be started.
pub async fn ssh(cx: &Cx, lab: &Lab, machine: &str, words: &[OsString]) -> anyhow::Result<ExitStatus> {
    lab.machine(machine)?;
    let reached = running(cx, lab).await?;
    let run = invocation("ssh").arg("-F").arg(lab.files.ssh_config()).arg(machine).arg("--").args(words);
    Ok(reached.inside(&run).interactive(&cx.cancel).await?)
}

/// What a command did on one machine.
#[derive(Debug, Serialize)]
struct Executed {
    machine: String,
    /// 255: ssh itself failed. None: it was ended by a signal.
    exit_code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs a command on several machines at once. Output is printed machine by machine, each line behind the
/// machine's name, in the order of the cluster file; the exit code is the largest.
///
/// # Errors
/// When the lab does not run, or a name is no machine's.
pub async fn exec(
    cx: &Cx,
    lab: &Lab,
    machines: Option<Vec<String>>,
    words: &[OsString],
    json: bool,
) -> anyhow::Result<u8> {
    if let Some(machines) = &machines {
        for machine in machines {
            lab.machine(machine)?;
        }
    }
    let reached = running(cx, lab).await?;
    let machines = match machines {
        Some(machines) => machines,
        None => running_machines(cx, lab, &reached).await?,
    };
    let mut work = Vec::new();
    for machine in machines {
        let (cx, run) = (cx.clone(), reached.inside(&reach::ssh(lab, &machine).arg("--").args(words)));
        work.push(tokio::spawn(async move {
            let output = run.output(&cx.cancel, Deadline::after(REMOTE_COMMAND_TIMEOUT)).await?;
            Ok::<_, crate::process::ProcessError>(Executed {
                machine,
                exit_code: output.status.code(),
                stdout: output.stdout,
                stderr: output.stderr,
            })
        }));
    }
    let mut worst = 0;
    for machine in work {
        let done = machine.await.context("a command on a machine broke off")??;
        worst = worst.max(done.exit_code.unwrap_or(SIGNALLED));
        if json {
            output::line(serde_json::to_string(&done)?)?;
        } else {
            for line in done.stdout.lines() {
                output::line(format_args!("{}: {line}", done.machine))?;
            }
            for line in done.stderr.lines() {
                eprintln!("{}: {line}", done.machine);
            }
        }
    }
    Ok(u8::try_from(worst).unwrap_or(u8::MAX))
}

async fn running_machines(cx: &Cx, lab: &Lab, reached: &Reached) -> anyhow::Result<Vec<String>> {
    let provider = reached.provider.clone();
    let domains = cx.blocking(move || provider.domains()).await?;
    let runs = |name: &str| {
        domains.iter().any(|found| {
            Some(&found.record.name) == reached.domains.get(name) && found.state == MachineState::Running
        })
    };
    let machines: Vec<String> =
        lab.spec.machines.iter().map(|machine| machine.name.clone()).filter(|name| runs(name)).collect();
    anyhow::ensure!(
        !machines.is_empty(),
        Failure::new(FailureKind::Provision, "no machine runs")
            .hint(format!("run `cargo xtask lab up {}`", lab.cluster_words(cx)))
    );
    Ok(machines)
}

/// Attaches the terminal to a machine's serial console, with libvirt's own client.
///
/// # Errors
/// When the lab does not run or `virsh` cannot be started.
pub async fn console(cx: &Cx, lab: &Lab, machine: &str) -> anyhow::Result<ExitStatus> {
    let kind = lab.machine(machine)?.kind;
    let reached = running(cx, lab).await?;
    let run = invocation("virsh").args(["--connect", reached.provider.uri(kind)]);
    let mut run = run.args(["console", &reached.domains[machine]]);
    if kind == MachineKind::Container {
        // The first console is read by its keeper; the second is for people.
        run = run.args(["--devname", "console1"]);
    }
    Ok(run.interactive(&cx.cancel).await?)
}

/// Runs a program of this computer in the lab's network, and returns how it ended. Ansible finds the lab's settings,
/// and the programs of the lab's Kubespray where it is fetched.
///
/// # Errors
/// When the lab does not run or the program cannot be started.
pub async fn enter(cx: &Cx, lab: &Lab, words: &[OsString]) -> anyhow::Result<ExitStatus> {
    let reached = running(cx, lab).await?;
    let run = match words.split_first() {
        Some((program, words)) => invocation(program).args(words),
        None => invocation(std::env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into())),
    };
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    let pin = Request::of_lab(lab)?.pin;
    if let Some(checkout) = checkout::find(cx, &pin).await?
        && let Some(environment) = environment::find(cx, &checkout)?
    {
        let own = [environment.path.join("bin")];
        path = std::env::join_paths(own.into_iter().chain(std::env::split_paths(&path)))
            .context("a folder on PATH has a colon in its name")?;
    }
    // Ansible refuses a locale that is not UTF-8.
    let run =
        run.env("PATH", path).env("ANSIBLE_CONFIG", lab.files.ansible_settings()).env("LC_ALL", "C.UTF-8");
    Ok(reached.inside(&run).interactive(&cx.cancel).await?)
}

/// Prints a log, and goes on as it grows if asked.
///
/// # Errors
/// When there is no such log.
pub async fn logs(cx: &Cx, path: &Path, follow: bool) -> anyhow::Result<()> {
    let mut file = std::fs::File::open(path).with_context(|| {
        Failure::new(FailureKind::Usage, format!("there is no log `{}`", path.display()))
            .hint("machines write it when `cargo xtask lab up` starts them")
    })?;
    let mut growth = if follow { Some(console::growth(path)?) } else { None };
    let mut position = 0;
    loop {
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(position))?;
        position += file.read_to_end(&mut bytes)? as u64;
        output::bytes(&bytes)?;
        let Some(growth) = &mut growth else { return Ok(()) };
        tokio::select! {
            grown = growth.recv() => if grown.is_none() { return Ok(()) },
            () = cx.cancel.cancelled() => return Ok(()),
        }
    }
}
