//! The exit code of an error: that of its failure, unless the user asked to stop.

use crate::failure::{Failure, exit};
use crate::process::ProcessError;
use crate::wait::WaitError;

/// The exit code an error means.
pub fn of(error: &anyhow::Error) -> u8 {
    if error.chain().any(|cause| {
        matches!(cause.downcast_ref(), Some(ProcessError::Cancelled { .. }))
            || matches!(cause.downcast_ref(), Some(WaitError::Cancelled { .. }))
    }) {
        return exit::INTERRUPTED;
    }
    error.downcast_ref::<Failure>().map_or(exit::UNEXPECTED, |failure| failure.code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_code_is_that_of_the_failure() {
        let error =
            anyhow::anyhow!("no such device").context(Failure::new(exit::HOST, "cannot start `dev-a`"));
        assert_eq!(of(&error), exit::HOST);
        assert_eq!(of(&anyhow::anyhow!("no such device")), exit::UNEXPECTED);
    }

    #[test]
    fn an_interrupted_wait_is_an_interruption_however_deep_it_lies() {
        let cause = WaitError::Cancelled { what: "ssh".to_owned() };
        let error = anyhow::Error::from(cause).context(Failure::new(exit::PROVISION, "machines are not up"));
        assert_eq!(of(&error), exit::INTERRUPTED);
    }
}
