//! `lab internal enter PID -- PROGRAM…`: becomes a program inside the network of a lab's embedded host.
//!
//! Only the network changes (and the user namespace that owns it, for an ordinary user): files, processes
//! and the working folder stay the caller's. A thread cannot join a user namespace while others
//! live, so this runs in a process of its own, before any runtime is started.

use std::ffi::OsString;
use std::fs::File;

use anyhow::Context as _;
use nix::sched::{CloneFlags, setns};

use crate::process::{Invocation, invocation};
use crate::processes::{namespace, own_program};

/// `inner`, wrapped so that it runs in the network of the process `pid`.
pub fn wrap(pid: i32, inner: &Invocation) -> Invocation {
    Invocation {
        program: own_program().into_os_string(),
        arguments: [
            "internal".into(),
            "enter".into(),
            pid.to_string().into(),
            "--".into(),
            inner.program.clone(),
        ]
        .into_iter()
        .chain(inner.arguments.iter().cloned())
        .collect(),
        ..inner.clone()
    }
}

/// Joins the namespaces of `pid` and becomes `command`. Returns only when that fails.
///
/// # Errors
/// When the namespaces cannot be joined or the program cannot be started.
pub fn run(pid: i32, command: &[OsString]) -> anyhow::Result<std::convert::Infallible> {
    join(pid)?;
    let (program, arguments) = command.split_first().context("no program to run was given")?;
    Err(invocation(program).args(arguments).exec().into())
}

/// Joins the user namespace (where it is another one) and the network of `pid`.
///
/// # Errors
/// When the process is gone or is another user's.
pub fn join(pid: i32) -> anyhow::Result<()> {
    let open = |kind: &str| {
        File::open(format!("/proc/{pid}/ns/{kind}")).with_context(|| {
            format!("cannot enter the lab's host: process {pid} is gone or is another user's")
        })
    };
    let own = std::process::id().cast_signed();
    let network = open("net")?;
    if namespace(own, "user") != namespace(pid, "user") {
        setns(open("user")?, CloneFlags::CLONE_NEWUSER).context("cannot join the host's user namespace")?;
    }
    setns(network, CloneFlags::CLONE_NEWNET).context("cannot join the host's network namespace")?;
    Ok(())
}
