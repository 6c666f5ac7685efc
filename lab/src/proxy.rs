//! `proxy`: ports of machines on 127.0.0.1.
//!
//! A listening socket that was opened before a process joined a network keeps its old one. So one small
//! process opens the listeners, joins the lab's network, and carries bytes; a lab on another libvirt needs
//! no joining.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener};

use anyhow::Context as _;
use tokio::io::copy_bidirectional;

use crate::cx::Cx;
use crate::failure::{Failure, FailureKind};
use crate::host::enter;
use crate::lab::{Lab, Reached};
use crate::output;
use crate::process::invocation;
use crate::processes::own_program;

/// One port that is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forward {
    /// On 127.0.0.1; 0 takes a free one.
    pub local: u16,
    /// In the lab.
    pub to: SocketAddrV4,
}

/// Understands `[LOCAL_PORT:]MACHINE:PORT`.
///
/// # Errors
/// When it is something else, or no machine has this name.
pub fn parse(lab: &Lab, text: &str) -> anyhow::Result<Forward> {
    let wrong = || {
        Failure::new(FailureKind::Usage, format!("`{text}` is not [LOCAL_PORT:]MACHINE:PORT"))
            .hint("for example control-plane:6443")
    };
    let parts: Vec<&str> = text.split(':').collect();
    let (local, machine, port) = match parts[..] {
        [machine, port] => (port, machine, port),
        [local, machine, port] => (local, machine, port),
        _ => return Err(wrong().into()),
    };
    let number = |text: &str| text.parse::<u16>().ok().with_context(wrong);
    let address = lab.machine(machine)?.address;
    Ok(Forward { local: number(local)?, to: SocketAddrV4::new(address, number(port)?) })
}

/// Carries connections until the user asks to stop.
///
/// # Errors
/// When a local port is taken.
pub async fn serve(cx: &Cx, reached: &Reached, forwards: &[Forward]) -> anyhow::Result<()> {
    if let Some(host) = &reached.embedded {
        let words = forwards.iter().map(|forward| format!("{}={}", forward.local, forward.to));
        let run = invocation(own_program()).args(["internal", "forward", &host.pid.to_string()]).args(words);
        let status = run.interactive(&cx.cancel).await?;
        let asked = cx.cancel.is_cancelled();
        anyhow::ensure!(
            status.success() || asked,
            Failure::new(FailureKind::Provision, "the forwarder ended")
        );
        return Ok(());
    }
    carry(listen(forwards)?, async { cx.cancel.cancelled().await }).await
}

/// `lab internal forward`: the small process. Runs before any runtime, because it joins namespaces.
///
/// # Errors
/// When a port is taken or the host is gone.
pub fn run(pid: i32, words: &[String]) -> anyhow::Result<()> {
    let forwards: Vec<Forward> = words
        .iter()
        .map(|word| {
            let (local, to) = word.split_once('=').context("expected LOCAL=ADDRESS:PORT")?;
            Ok(Forward { local: local.parse()?, to: to.parse()? })
        })
        .collect::<anyhow::Result<_>>()?;
    let listeners = listen(&forwards)?;
    enter::join(pid)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let stop = async {
            // Either way the user wants it to end.
            let _ = tokio::signal::ctrl_c().await;
        };
        carry(listeners, stop).await
    })
}

fn listen(forwards: &[Forward]) -> anyhow::Result<Vec<(TcpListener, SocketAddrV4)>> {
    let mut listeners = Vec::new();
    for forward in forwards {
        let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, forward.local));
        let listener = TcpListener::bind(wanted).with_context(|| {
            Failure::new(FailureKind::Host, format!("cannot listen on {wanted}"))
                .hint("give another local port: LOCAL_PORT:MACHINE:PORT")
        })?;
        listener.set_nonblocking(true)?;
        output::line(format_args!("{} -> {}", listener.local_addr()?, forward.to))?;
        listeners.push((listener, forward.to));
    }
    Ok(listeners)
}

async fn carry(
    listeners: Vec<(TcpListener, SocketAddrV4)>,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let mut work = tokio::task::JoinSet::new();
    for (listener, to) in listeners {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        work.spawn(async move {
            loop {
                let Ok((mut near, _)) = listener.accept().await else { continue };
                tokio::spawn(async move {
                    match tokio::net::TcpStream::connect(to).await {
                        // How a connection ends is between its two ends.
                        Ok(mut far) => drop(copy_bidirectional(&mut near, &mut far).await),
                        Err(error) => eprintln!("{to}: {error}"),
                    }
                });
            }
        });
    }
    stop.await;
    Ok(())
}
