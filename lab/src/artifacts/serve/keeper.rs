//! `lab internal serve`: the process inside the embedded host that runs the file server and the registry.
//!
//! The host's first inner process starts it and starts it again when it ends, and takes it along when it ends itself. It
//! reads a request that `up` writes, waits until the gateway's address is there, starts the registry again when that
//! ends, and records the servers that answer. A reader trusts the record only while the keeper holds its lock.

use std::convert::Infallible;
use std::fs::File;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use inotify::{Inotify, WatchMask};
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio_stream::StreamExt as _;
use tokio_util::sync::CancellationToken;

use crate::files::{PUBLIC, open_log, private_folder, read_own, remove, try_lock, write_again};
use crate::layout::ServedFiles;
use crate::process::invocation;
use crate::processes::own_program;
use crate::timeouts::{LISTEN_INTERVAL, LISTEN_TIMEOUT, SERVER_RESTART_INTERVAL};
use crate::wait::{Deadline, Probe, pause, until};

use super::{FILES_PORT, REGISTRY_PORT, files, tree};

/// The servers to run, as `up` writes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// The only address that is listened on.
    pub gateway: Ipv4Addr,
    /// The registry; `None` where there is no program for it.
    pub registry: Option<RegistryWanted>,
}

/// A registry to be run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryWanted {
    /// The program.
    pub program: PathBuf,
    /// Its settings.
    pub settings: PathBuf,
}

/// What answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Now {
    /// The request.
    pub wanted: Wanted,
    /// Whether the file server answers.
    pub files: bool,
    /// Whether the registry answers.
    pub registry: bool,
}

impl Now {
    /// Whether everything of it is there.
    pub fn is_all_of(&self, wanted: &Wanted) -> bool {
        self.wanted == *wanted && self.files && self.registry == wanted.registry.is_some()
    }
}

/// What answers now; `None` where no keeper lives.
///
/// # Errors
/// When its files cannot be read.
pub fn now(served: &ServedFiles) -> anyhow::Result<Option<Now>> {
    if !served.lock().exists() || try_lock(&served.lock())?.is_some() {
        return Ok(None);
    }
    read_own(&served.now())
}

/// Runs until it is ended.
///
/// # Errors
/// When the folder cannot be used.
pub fn run(folder: &Path) -> anyhow::Result<Infallible> {
    let served = ServedFiles { folder: folder.to_owned() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let kept = keep(&served).await;
        // A start that fails is not repeated at once.
        pause(SERVER_RESTART_INTERVAL).await;
        kept
    })
}

async fn keep(served: &ServedFiles) -> anyhow::Result<Infallible> {
    private_folder(&served.folder)?;
    // Before the lock is taken: a reader trusts the record while the lock is held.
    remove(&served.now())?;
    let _lock =
        try_lock(&served.lock())?.context("another process serves this lab's artefacts, or inspects them")?;
    let inotify = Inotify::init().context("cannot watch files")?;
    inotify.watches().add(&served.folder, WatchMask::MOVED_TO | WatchMask::DELETE)?;
    let mut events = inotify.into_event_stream([0; 4096])?;
    let wanted_name = served.wanted().file_name().map(std::ffi::OsStr::to_owned);
    loop {
        remove(&served.now())?;
        let wanted: Option<Wanted> = read_own(&served.wanted())?;
        let other = async {
            while let Some(event) = events.next().await {
                if event.is_ok_and(|event| event.name == wanted_name) {
                    break;
                }
            }
        };
        let work = async {
            match wanted {
                Some(wanted) => serve(served, wanted).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = other => {}
            ended = work => {
                let Err(error) = ended;
                eprintln!("artefacts are not served: {error:#}");
                pause(SERVER_RESTART_INTERVAL).await;
            }
        }
    }
}

/// Serves one wish until the future is dropped.
async fn serve(served: &ServedFiles, wanted: Wanted) -> anyhow::Result<Infallible> {
    let never = CancellationToken::new();
    let address = (wanted.gateway, FILES_PORT);
    let deadline = Deadline::after(LISTEN_TIMEOUT);
    let listener = until(&never, "the gateway's address", deadline, LISTEN_INTERVAL, || async move {
        match TcpListener::bind(address).await {
            Ok(listener) => Probe::Ready(listener),
            Err(error) => Probe::NotYet(error.to_string()),
        }
    })
    .await?;
    let now = std::cell::RefCell::new(Now { wanted: wanted.clone(), files: true, registry: false });
    let say = |registry: bool| {
        now.borrow_mut().registry = registry;
        write_again(&served.now(), &serde_json::to_vec_pretty(&*now.borrow())?, PUBLIC).map(|_| ())
    };
    say(false)?;
    let root = served.current().join(tree::FILES);
    let files = files::serve(listener, &root, log(&served.files_log())?);
    let registry = async {
        match &wanted.registry {
            Some(registry) => run_registry(served, &wanted, registry, say).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        never = files => match never {},
        ended = registry => ended,
    }
}

fn log(path: &Path) -> anyhow::Result<File> {
    open_log(path).with_context(|| format!("cannot open `{}`", path.display()))
}

/// Runs the registry, again and again.
async fn run_registry(
    served: &ServedFiles,
    wanted: &Wanted,
    registry: &RegistryWanted,
    say: impl Fn(bool) -> anyhow::Result<()>,
) -> anyhow::Result<Infallible> {
    let program = invocation(own_program())
        .args(["internal", "registry"])
        .arg(&registry.program)
        .arg(&registry.settings);
    let never = CancellationToken::new();
    let address = (wanted.gateway, REGISTRY_PORT);
    loop {
        let mut run = std::pin::pin!(program.logged(log(&served.registry_log())?));
        let deadline = Deadline::after(LISTEN_TIMEOUT);
        let answers = until(&never, "the registry", deadline, LISTEN_INTERVAL, || async move {
            match TcpStream::connect(address).await {
                Ok(_) => Probe::Ready(()),
                Err(error) => Probe::NotYet(error.to_string()),
            }
        });
        let status = tokio::select! {
            status = &mut run => status?,
            answered = answers => {
                answered?;
                say(true)?;
                run.await?
            }
        };
        say(false)?;
        eprintln!("the registry ended ({status}) and is started again");
        pause(SERVER_RESTART_INTERVAL).await;
    }
}
