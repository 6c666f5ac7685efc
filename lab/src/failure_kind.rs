//! The kind of an error: that of its failure, unless the user asked to stop.

use crate::failure::{Failure, FailureKind};
use crate::process::ProcessError;
use crate::wait::WaitError;

/// The kind of an error. A cancelled program or wait makes it an interruption, however deep it lies.
pub fn of(error: &anyhow::Error) -> FailureKind {
    if error.chain().any(|cause| {
        matches!(cause.downcast_ref(), Some(ProcessError::Cancelled { .. }))
            || matches!(cause.downcast_ref(), Some(WaitError::Cancelled { .. }))
    }) {
        return FailureKind::Interrupted;
    }
    error.downcast_ref::<Failure>().map_or(FailureKind::Unexpected, |failure| failure.kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kind_is_that_of_the_failure() {
        let error = anyhow::anyhow!("no such device")
            .context(Failure::new(FailureKind::Host, "cannot start `dev-a`"));
        assert_eq!(of(&error), FailureKind::Host);
        assert_eq!(of(&anyhow::anyhow!("no such device")), FailureKind::Unexpected);
    }

    #[test]
    fn cancelled_wait_is_an_interruption_however_deep_it_lies() {
        let cause = WaitError::Cancelled { what: "ssh".to_owned() };
        let error =
            anyhow::Error::from(cause).context(Failure::new(FailureKind::Provision, "machines are not up"));
        assert_eq!(of(&error), FailureKind::Interrupted);
    }
}
