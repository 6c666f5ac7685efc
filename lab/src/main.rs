//! The `lab` binary: parses arguments, makes the context, maps an error to an exit code. Decides nothing
//! else.

mod ansible;
mod artifacts;
mod cache;
mod change;
mod check;
mod cli;
mod cluster;
mod consent;
mod contents;
mod cx;
mod deploy;
mod disk;
mod disks;
mod failure;
mod failure_kind;
mod files;
mod gpu_operator;
mod host;
mod image;
mod input;
mod inventory;
mod kubespray;
mod lab;
mod layout;
mod machines;
mod mounts;
mod orphans;
mod output;
mod phases;
mod private;
mod process;
mod processes;
mod progress;
mod provider;
mod proxy;
mod signals;
mod snapshot;
mod stamp;
mod timeouts;
mod validate;
mod wait;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use tokio_util::sync::CancellationToken;

use cli::{Arguments, Command, Internal};
use failure::{Failure, FailureKind};
use signals::OnFirstSignal;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.command {
        // These change the namespaces of their process, which only one without other threads may do.
        Command::Internal(internal)
            if !matches!(
                internal,
                Internal::Validate { .. } | Internal::DeployPlainly { .. } | Internal::LockInputs { .. }
            ) =>
        {
            run_internal(internal).map(|()| 0)
        }
        command => run(command, arguments.yes),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) if error.is::<output::ReaderGone>() => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", failure::render(&error));
            ExitCode::from(cli::exit_code::of(failure_kind::of(&error)))
        }
    }
}

fn run_internal(internal: Internal) -> anyhow::Result<()> {
    match internal {
        Internal::HostOuter { folder, cache } => host::supervisor::outer(&folder, &cache),
        Internal::HostInner { folder } => host::supervisor::inner(&folder).map(|never| match never {}),
        Internal::Enter { pid, command } => host::enter::run(pid, &command).map(|never| match never {}),
        Internal::Reap { mark } => process::reaper::run(&mark),
        Internal::MountRoot { first, folder, below } => {
            machines::container::mount_root(first, &folder, &below)
        }
        Internal::UnmountRoot { first, folder } => machines::container::unmount_root(first, &folder),
        Internal::KeepConsole { terminal, log } => machines::container::run_keeper(&terminal, &log),
        Internal::Forward { pid, forwards } => proxy::run(pid, &forwards),
        Internal::Serve { folder } => artifacts::serve::keeper::run(&folder).map(|never| match never {}),
        Internal::Registry { program, settings } => {
            artifacts::serve::exec_registry(&program, &settings).map(|never| match never {})
        }
        Internal::MeasureCheck { folder, machines } => check::measure::run(&folder, machines),
        Internal::Validate { .. } | Internal::DeployPlainly { .. } | Internal::LockInputs { .. } => {
            anyhow::bail!("this part needs a runtime")
        }
    }
}

fn run(command: Command, yes: bool) -> anyhow::Result<u8> {
    files::limit_umask();
    let json = match &command {
        Command::Up { json, .. } | Command::Down { json, .. } | Command::Destroy { json, .. } => *json,
        Command::Cloud(command) => command.prints_events(),
        _ => false,
    };
    process::reaper::enable();
    let reads_only = command.changes_nothing();
    let first_signal = if reads_only { OnFirstSignal::End } else { OnFirstSignal::Cancel };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        let cancel = CancellationToken::new();
        signals::listen(cancel.clone(), first_signal)?;
        let cx = cx::Cx {
            layout: layout::Layout::new(root()?, cache_folder()?),
            cancel,
            progress: progress::Progress::new(json),
            yes,
        };
        cache::refuse_others(&cx.layout)?;
        if !reads_only {
            cache::enter(&cx.layout)?;
        }
        for note in private::close_open_folders(&cx.layout) {
            cx.progress.note(&note);
        }
        cli::run(&cx, command).await.map_err(|error| match error.is::<output::ReaderGone>() {
            true => error,
            false => disk::explained(&cx.layout, error),
        })
    });
    // A call to libvirt that hangs must not keep the program alive.
    runtime.shutdown_timeout(timeouts::RUNTIME_SHUTDOWN_TIMEOUT);
    process::reaper::dismiss();
    result
}

/// The cache: `LAB_CACHE`, which `cargo xtask` sets.
fn cache_folder() -> anyhow::Result<PathBuf> {
    let folder = std::env::var_os("LAB_CACHE").filter(|folder| !folder.is_empty()).with_context(|| {
        Failure::new(FailureKind::Usage, "no cache is named")
            .hint("call it as `cargo xtask lab`, or set LAB_CACHE")
    })?;
    Ok(PathBuf::from(folder))
}

/// The checkout: `LAB_ROOT`, which `cargo xtask` sets, else the nearest folder upwards with `inventories/` in it.
fn root() -> anyhow::Result<PathBuf> {
    if let Some(root) = std::env::var_os("LAB_ROOT") {
        return Ok(PathBuf::from(root));
    }
    let current = std::env::current_dir()?;
    let found = current.ancestors().find(|folder| folder.join("inventories").is_dir());
    Ok(found
        .with_context(|| {
            Failure::new(FailureKind::Usage, "this is not a checkout of the lab")
                .hint("call it as `cargo xtask lab`, or set LAB_ROOT")
        })?
        .to_owned())
}
