//! The events of a run of Ansible: the lines of our callback plugin,
//! `ansible/callback_plugins/lab_events.py`.
//!
//! The plugin passes on nothing that a module returned as a whole. Its events can still hold a secret, such
//! as a command that failed: see [`crate::secrets`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Something that happened, and when.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Line {
    /// Seconds since 1970, by the clock of the computer that runs Ansible.
    pub at: f64,
    /// The event.
    #[serde(flatten)]
    pub event: Event,
}

/// Something that happened in a run of Ansible.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event {
    /// A play began.
    Play {
        /// Its name.
        name: String,
    },
    /// A task began.
    Task {
        /// Its name, with its role in front: `download : Download files`.
        name: String,
        /// The file and line that it stands in.
        path: Option<String>,
    },
    /// A task ended on one machine, or will be tried there again.
    Result {
        /// The task's name.
        task: String,
        /// The machine; `localhost` for the computer itself.
        host: String,
        /// How long it took there, in seconds.
        seconds: Option<f64>,
        /// Its outcome.
        #[serde(flatten)]
        outcome: Outcome,
    },
    /// The run is over.
    Recap {
        /// By machine.
        hosts: BTreeMap<String, Counts>,
    },
}

/// The outcome of a task on one machine.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum Outcome {
    /// Done, and nothing was changed.
    Ok {
        /// The message of a `debug` task.
        #[serde(default)]
        said: Value,
    },
    /// Done, and something was changed.
    Changed,
    /// Not needed.
    Skipped,
    /// It failed.
    Failed(Failure),
    /// It failed and will be tried again.
    Retry {
        /// How often at most.
        left: u32,
        /// Why it failed.
        #[serde(default)]
        message: String,
    },
    /// The machine could not be logged in to.
    Unreachable {
        /// Why.
        #[serde(default)]
        message: String,
    },
}

/// Why a task failed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Failure {
    /// The playbook goes on all the same.
    pub ignored: bool,
    /// The message of the module; empty where there is none.
    pub message: String,
    /// The item of a loop for which it failed.
    pub item: Option<String>,
    /// The command that failed.
    pub command: Option<String>,
    /// The condition that did not hold, where the task asserts some.
    pub assertion: Option<String>,
    /// The end of a failed program's standard error.
    pub stderr: Option<String>,
}

/// How many tasks ended in which way on one machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Done, those that changed something included.
    pub ok: u32,
    /// Changed something.
    pub changed: u32,
    /// Failed for good.
    pub failures: u32,
    /// Not needed.
    pub skipped: u32,
    /// The machine could not be logged in to.
    pub unreachable: u32,
    /// Failed, and that was forgiven.
    pub ignored: u32,
    /// Failed, and other tasks mended it.
    pub rescued: u32,
}

/// Reads one line; `None` for one that is no event, such as a warning.
pub fn read(line: &str) -> Option<Line> {
    serde_json::from_str(line).ok()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn each_kind_of_line_is_read() {
        let lines = include_str!("testdata/events.jsonl").lines().map(read).collect::<Option<Vec<_>>>();
        insta::assert_debug_snapshot!(lines.unwrap());
    }

    #[rstest]
    #[case("")]
    #[case("[WARNING]: x")]
    #[case("{}")]
    #[case("[]")]
    #[case(r#"{"event":"new","at":1}"#)]
    #[case(r#"{"event":"play","at":1}"#)]
    fn other_line_is_no_event(#[case] line: &str) {
        assert_eq!(read(line), None);
    }
}
