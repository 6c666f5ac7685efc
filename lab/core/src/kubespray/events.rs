//! What Ansible says while it runs, read from the lines of the callback `ansible.posix.jsonl`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// Something that happened in a run of Ansible.
#[derive(Debug, Clone, PartialEq)]
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
    },
    /// A task ended on one machine.
    Result {
        /// The task's name.
        task: String,
        /// The machine; `localhost` for the computer itself.
        host: String,
        /// What came of it.
        outcome: Outcome,
    },
    /// The run is over.
    Recap(BTreeMap<String, Counts>),
}

/// What came of a task on one machine.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Done.
    Ok {
        /// Whether it changed anything.
        changed: bool,
        /// All that the module returned.
        returned: Value,
    },
    /// Not needed.
    Skipped,
    /// It failed. Whether that was forgiven is in the recap.
    Failed(Failure),
    /// The machine could not be logged in to.
    Unreachable {
        /// Why.
        message: String,
    },
}

/// Why a task failed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Failure {
    /// What the module says; empty where it says nothing.
    pub message: String,
    /// The condition that did not hold, where the task asserts some.
    pub assertion: Option<String>,
    /// The end of what a program wrote on standard error, where one failed.
    pub stderr: Option<String>,
}

/// How many tasks ended in which way on one machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
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

/// Reads one line; `None` for one that is no event, such as a warning, or one that tells nothing new.
#[must_use]
pub fn read(line: &str) -> Option<Event> {
    let value: Value = serde_json::from_str(line).ok()?;
    let name = |what: &str| value[what]["name"].as_str().unwrap_or_default().to_owned();
    let outcome = |make: fn(&Value) -> Outcome| {
        let (host, returned) = value["hosts"].as_object()?.iter().next()?;
        Some(Event::Result { task: name("task"), host: host.clone(), outcome: make(returned) })
    };
    match value["_event"].as_str()? {
        "v2_playbook_on_play_start" => Some(Event::Play { name: name("play") }),
        "v2_playbook_on_task_start" | "v2_playbook_on_handler_task_start" | "v2_runner_on_start" => {
            Some(Event::Task { name: name("task") })
        }
        "v2_runner_on_ok" => outcome(|returned| Outcome::Ok {
            changed: returned["changed"].as_bool().unwrap_or(false),
            returned: returned.clone(),
        }),
        "v2_runner_on_skipped" => outcome(|_| Outcome::Skipped),
        "v2_runner_on_failed" => outcome(|returned| Outcome::Failed(failure(returned))),
        "v2_runner_on_unreachable" => {
            outcome(|returned| Outcome::Unreachable { message: text(&returned["msg"]).unwrap_or_default() })
        }
        "v2_playbook_on_stats" => {
            let stats = value["stats"].as_object()?;
            let counts = stats.iter().map(|(host, counts)| {
                (host.clone(), serde_json::from_value(counts.clone()).unwrap_or_default())
            });
            Some(Event::Recap(counts.collect()))
        }
        _ => None,
    }
}

fn failure(returned: &Value) -> Failure {
    // Of a loop, the item that failed tells why.
    let items = returned["results"].as_array().into_iter().flatten();
    let failed = items.into_iter().find(|item| item["failed"] == Value::Bool(true));
    let told = failed.unwrap_or(returned);
    let message = text(&told["msg"]).or_else(|| text(&returned["msg"])).unwrap_or_default();
    let stderr = text(&told["stderr"]).map(|text| {
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    });
    Failure { message, assertion: text(&told["assertion"]), stderr }
}

/// A text, where there is one with something in it; other values as JSON.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(event: &str, returned: &str) -> Option<Event> {
        read(&format!(r#"{{"_event":"{event}","task":{{"name":"r : t"}},"hosts":{{"a":{returned}}}}}"#))
    }

    fn ends(outcome: Outcome) -> Option<Event> {
        Some(Event::Result { task: "r : t".into(), host: "a".into(), outcome })
    }

    #[test]
    fn each_kind_of_line_is_read() {
        let play = read(
            r#"{"_event":"v2_playbook_on_play_start","play":{"name":"Install etcd","id":"x"},"tasks":[]}"#,
        );
        assert_eq!(play, Some(Event::Play { name: "Install etcd".into() }));
        let ok = ends(Outcome::Ok { changed: true, returned: serde_json::json!({"changed": true, "rc": 0}) });
        assert_eq!(result("v2_runner_on_ok", r#"{"changed":true,"rc":0}"#), ok);
        assert_eq!(result("v2_runner_on_skipped", r#"{"skipped":true}"#), ends(Outcome::Skipped));
        assert_eq!(
            result("v2_runner_on_unreachable", r#"{"msg":"Failed to connect","unreachable":true}"#),
            ends(Outcome::Unreachable { message: "Failed to connect".into() })
        );
        let stats = r#"{"_event":"v2_playbook_on_stats","stats":{"a":{"ok":3,"changed":1,"failures":0}}}"#;
        let counts = Counts { ok: 3, changed: 1, ..Counts::default() };
        assert_eq!(read(stats), Some(Event::Recap(BTreeMap::from([("a".into(), counts)]))));
        for other in ["", "[WARNING]: x", "{}", "[]", r#"{"_event":"v2_new"}"#] {
            assert_eq!(read(other), None, "{other}");
        }
    }

    #[test]
    fn a_failure_is_told_by_the_item_that_failed() {
        let assertion = r#"{"assertion":"x is version(y)","evaluated_to":false,"msg":"too old"}"#;
        let expected =
            Failure { message: "too old".into(), assertion: Some("x is version(y)".into()), stderr: None };
        assert_eq!(result("v2_runner_on_failed", assertion), ends(Outcome::Failed(expected)));
        let items = r#"{"msg":"One or more items failed","results":[{"failed":false},{"failed":true,"msg":"no","stderr":"e1\ne2\n"}]}"#;
        let expected = Failure { message: "no".into(), assertion: None, stderr: Some("e1\ne2".into()) };
        assert_eq!(result("v2_runner_on_failed", items), ends(Outcome::Failed(expected)));
    }
}
