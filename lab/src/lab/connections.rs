//! Shared SSH connections to the machines of a lab: ended here. They outlive the program that opened them.

use tokio_util::sync::CancellationToken;

use crate::files;
use crate::layout::LabFiles;
use crate::process::invocation;
use crate::timeouts::SSH_CONTROL_TIMEOUT;
use crate::wait::Deadline;

/// Ends every shared connection of a lab. What cannot be ended ends by itself a minute after its last task.
pub async fn close(lab: &LabFiles) {
    for socket in std::fs::read_dir(lab.sockets()).into_iter().flatten().flatten() {
        let mut path = std::ffi::OsString::from("ControlPath=");
        path.push(socket.path());
        let end = invocation("ssh").args(["-F", "none", "-O", "exit", "-o"]).arg(path).arg("machine");
        // Not the caller's token: a cancelled run must end its connections too.
        let _ = end.output(&CancellationToken::new(), Deadline::after(SSH_CONTROL_TIMEOUT)).await;
        // A socket without a listener.
        let _ = files::remove(&socket.path());
    }
}
