//! Ctrl-C once is a request, twice is an order. To a command that changes nothing, once is an order too.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::output;

/// The effect of the first SIGINT or SIGTERM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFirstSignal {
    /// Ends the program at once, even in the middle of a computation. For commands that leave nothing half made.
    End,
    /// Cancels, so that the step at hand is finished and recorded. The second signal ends the program.
    Cancel,
}

/// Cancels `cancel` or ends the program at the first SIGINT or SIGTERM, as `first` says, and ends it at the second.
///
/// # Errors
/// When the system refuses the handlers.
pub fn listen(cancel: CancellationToken, first: OnFirstSignal) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    // A task of its own: the command may compute on the main thread for long.
    tokio::spawn(async move {
        let mut asked = false;
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if first == OnFirstSignal::End {
                output::aside("stopped; nothing was changed");
                leave();
            }
            if asked {
                output::aside("stopped at once; `cargo xtask lab status` shows the state of the lab");
                leave();
            }
            asked = true;
            output::aside("stopping after the step at hand; press Ctrl-C again to stop at once");
            cancel.cancel();
        }
    });
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "an order to stop waits for no destructor")]
fn leave() -> ! {
    crate::process::group::end_all();
    // 128 and the number of SIGINT, as shells have it: `cli::exit_code` gives the same to an interrupted command.
    std::process::exit(128 + nix::sys::signal::Signal::SIGINT as i32)
}
