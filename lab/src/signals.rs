//! Ctrl-C once is a request, twice is an order.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::failure::exit;

/// Cancels `cancel` at the first SIGINT or SIGTERM, and ends the program at the second.
///
/// # Errors
/// When the system refuses the handlers.
pub fn listen(cancel: CancellationToken) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        let mut asked = false;
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if asked {
                eprintln!("stopped at once; `cargo xtask lab status` shows what is left");
                leave();
            }
            asked = true;
            eprintln!("stopping after the step at hand; press Ctrl-C again to stop at once");
            cancel.cancel();
        }
    });
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the second Ctrl-C is the one order that waits for nobody")]
fn leave() -> ! {
    crate::process::end_all();
    std::process::exit(exit::INTERRUPTED.into())
}
