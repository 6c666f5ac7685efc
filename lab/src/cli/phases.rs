//! The options that choose phases of a command.

use clap::Args;
use lab_core::phases::{Range, RangeError};

use crate::failure::{Failure, FailureKind};
use crate::phases::Phase;

/// Which phases of a command are carried out.
#[derive(Debug, Args)]
pub struct Phases {
    /// Begin with this phase; those before it are skipped
    #[arg(long, value_name = "PHASE")]
    from: Option<String>,
    /// End with this phase; those after it are skipped
    #[arg(long, value_name = "PHASE")]
    until: Option<String>,
}

impl Phases {
    /// The range of a list.
    ///
    /// # Errors
    /// When a name is none of the list's, with the nearest, or the two are in the wrong order.
    pub fn of(&self, list: &[Phase]) -> anyhow::Result<Range> {
        let names: Vec<&str> = list.iter().map(|phase| phase.name).collect();
        let range = Range::between(&names, self.from.as_deref(), self.until.as_deref());
        range.map_err(|error| {
            let failure = Failure::new(FailureKind::Usage, error.to_string());
            match error {
                RangeError::Unknown { hint, .. } => failure.hint(hint).into(),
                RangeError::Backwards { .. } => failure.into(),
            }
        })
    }
}
