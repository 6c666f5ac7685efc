//! The process groups of programs that are waited for: each ends with its guard, all end with this process. Starts nothing.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// The living process groups, for an end that waits for none of them.
static LIVING: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// Ends every program that [`super::Invocation::output`] waits for: for a caller that is about to end itself at once.
pub fn end_all() {
    let living = std::mem::take(&mut *LIVING.lock().unwrap_or_else(PoisonError::into_inner));
    for group in living {
        end_group(group);
    }
}

fn end_group(group: u32) {
    if let Ok(group) = i32::try_from(group) {
        // The group may be gone already, which is success.
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
    }
}

/// Ends a process group when dropped, unless the group is marked as ended.
pub(super) struct GroupGuard(Option<u32>);

impl GroupGuard {
    pub(super) fn new(group: Option<u32>) -> Self {
        LIVING.lock().unwrap_or_else(PoisonError::into_inner).extend(group);
        Self(group)
    }

    /// The program ended by itself.
    pub(super) fn over(&mut self) {
        if let Some(group) = self.0.take() {
            LIVING.lock().unwrap_or_else(PoisonError::into_inner).remove(&group);
        }
    }

    pub(super) fn end(&mut self) {
        if let Some(group) = self.0 {
            end_group(group);
            self.over();
        }
    }
}

impl Drop for GroupGuard {
    fn drop(&mut self) {
        self.end();
    }
}
