//! Follows a run of Ansible line by line: its progress, its changes, and the log for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::estimate::{History, PlayTime};
use crate::kubespray::events::{Counts, Event, Failure, Line, Outcome};

/// The progress of a run so far.
#[derive(Debug, Clone, Default)]
pub struct Follower {
    began: Option<f64>,
    now: f64,
    plays: Vec<PlayTime>,
    task_began: f64,
    path: Option<String>,
    machines: Vec<(String, &'static str)>,
    changed: Vec<Change>,
    problems: Vec<Problem>,
    recap: Option<BTreeMap<String, Counts>>,
}

/// Something that failed for good on a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The play.
    pub play: String,
    /// The task, with its role in front.
    pub task: String,
    /// The file and line that it stands in.
    pub path: Option<String>,
    /// The machine.
    pub host: String,
    /// Whether the machine could not even be logged in to.
    pub unreachable: bool,
    /// Its message; empty where there is none.
    pub message: String,
    /// The item of a loop.
    pub item: Option<String>,
    /// The command that failed.
    pub command: Option<String>,
    /// The end of its standard error.
    pub stderr: Option<String>,
}

/// A task that changed something, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The task, with its role in front.
    pub task: String,
    /// The machines, in the order in which they were changed.
    pub hosts: Vec<String>,
}

/// How long a task took on all machines together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TaskTime {
    /// The play.
    pub play: String,
    /// The task, with its role in front.
    pub task: String,
    /// From its beginning to that of the next one.
    pub seconds: f64,
}

/// How long a play took.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlaySeconds {
    /// The play.
    pub play: String,
    /// All of its tasks together.
    pub seconds: f64,
}

/// The summary of a run that is over.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// From the first event to the last.
    pub seconds: f64,
    /// How many tasks began.
    pub tasks: usize,
    /// By machine; absent where the run was cut short.
    pub recap: Option<BTreeMap<String, Counts>>,
    /// The plays, in the order of the run.
    pub plays: Vec<PlaySeconds>,
    /// The slowest tasks, the slowest first.
    pub slowest: Vec<TaskTime>,
    /// The changes, in the order of the run.
    pub changed: Vec<Change>,
    /// The final failures, as far as known while it ran.
    pub problems: Vec<Problem>,
}

impl Follower {
    /// Takes one line, and returns its text for the log: nothing or whole lines.
    pub fn take(&mut self, line: &Line) -> String {
        let began = *self.began.get_or_insert(line.at);
        // A clock that is set back must not make times negative.
        self.now = self.now.max(line.at);
        let stamp = format!("{:>8.1}s", self.now - began);
        match &line.event {
            Event::Play { name } => {
                self.close_task();
                self.plays.push(PlayTime::new(name));
                format!("{stamp}  PLAY  {name}\n")
            }
            Event::Task { name, path } => {
                self.close_task();
                self.task_began = self.now;
                self.path.clone_from(path);
                self.machines.clear();
                if self.plays.is_empty() {
                    self.plays.push(PlayTime::new(""));
                }
                if let Some(play) = self.plays.last_mut() {
                    play.tasks.push((name.clone(), 0.0));
                }
                let place = path.as_ref().map(|path| format!("  ({path})")).unwrap_or_default();
                format!("{stamp}  TASK  {name}{place}\n")
            }
            Event::Result { task, host, seconds, outcome } => {
                self.result(&stamp, task, host, *seconds, outcome)
            }
            Event::Recap { hosts } => {
                self.close_task();
                self.recap = Some(hosts.clone());
                let mut text = format!("{stamp}  RECAP\n");
                for (host, counts) in hosts {
                    let Counts { ok, changed, failures, skipped, unreachable, ignored, rescued } = counts;
                    let _ = writeln!(
                        text,
                        "{:>10} {host}: ok={ok} changed={changed} failed={failures} unreachable={unreachable} \
                         skipped={skipped} ignored={ignored} rescued={rescued}",
                        ""
                    );
                }
                text
            }
        }
    }

    fn result(
        &mut self,
        stamp: &str,
        task: &str,
        host: &str,
        seconds: Option<f64>,
        outcome: &Outcome,
    ) -> String {
        let took = seconds.map(|seconds| format!(" in {seconds:.1} s")).unwrap_or_default();
        let text = |word: &str| format!("{stamp}    {word} {host}{took}\n");
        let word = match outcome {
            Outcome::Ok { .. } => "ok",
            Outcome::Changed => "changed",
            Outcome::Skipped => "skipped",
            Outcome::Failed(_) => "failed",
            Outcome::Retry { .. } => "tries again",
            Outcome::Unreachable { .. } => "unreachable",
        };
        match self.machines.iter_mut().find(|(known, _)| known == host) {
            Some((_, last)) => *last = word,
            None => self.machines.push((host.to_owned(), word)),
        }
        match outcome {
            Outcome::Ok { .. } => text("ok"),
            Outcome::Skipped => text("skipped"),
            Outcome::Changed => {
                match self.changed.last_mut().filter(|change| change.task == task) {
                    Some(change) => change.hosts.push(host.to_owned()),
                    None => self.changed.push(Change { task: task.to_owned(), hosts: vec![host.to_owned()] }),
                }
                text("changed")
            }
            Outcome::Retry { left, message } => {
                format!("{stamp}    again {host}: {left} more times at most: {message}\n")
            }
            Outcome::Failed(failure) => {
                let mut text = text(if failure.ignored { "failed, ignored" } else { "FAILED" });
                text.push_str(&details(failure));
                if !failure.ignored {
                    let failure = failure.clone();
                    self.problem(task, host, false, failure);
                }
                text
            }
            Outcome::Unreachable { message } => {
                let failure = Failure { message: message.clone(), ..Failure::default() };
                let mut text = text("UNREACHABLE");
                text.push_str(&details(&failure));
                self.problem(task, host, true, failure);
                text
            }
        }
    }

    fn problem(&mut self, task: &str, host: &str, unreachable: bool, failure: Failure) {
        let Failure { message, item, command, stderr, assertion, .. } = failure;
        let message = match assertion {
            Some(assertion) => format!("{message} (it wants `{assertion}`)"),
            None => message,
        };
        self.problems.push(Problem {
            play: self.play().to_owned(),
            task: task.to_owned(),
            path: self.path.clone(),
            host: host.to_owned(),
            unreachable,
            message,
            item,
            command,
            stderr,
        });
    }

    fn close_task(&mut self) {
        if let Some(task) = self.plays.last_mut().and_then(|play| play.tasks.last_mut())
            && task.1 == 0.0
        {
            task.1 = self.now - self.task_began;
        }
    }

    /// The play that runs; empty before the first.
    pub fn play(&self) -> &str {
        self.plays.last().map_or("", |play| play.name.as_str())
    }

    /// The task that runs; empty before the first.
    pub fn task(&self) -> &str {
        self.plays.last().and_then(|play| play.tasks.last()).map_or("", |task| task.0.as_str())
    }

    /// The results of the running task so far, by machine in the order in which they arrived.
    pub fn machines(&self) -> &[(String, &'static str)] {
        &self.machines
    }

    /// How long the task that runs has taken, in seconds, at the time of the last event.
    pub fn in_task(&self) -> f64 {
        self.now - self.task_began
    }

    /// How many changes were made so far, one for each task and machine.
    pub fn changes(&self) -> usize {
        self.changed.iter().map(|change| change.hosts.len()).sum()
    }

    /// The failures so far.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// How many machines failed for good, by Ansible's own count; `None` while it runs. A failure that other tasks
    /// mended (`rescue`) is not among them.
    pub fn failed(&self) -> Option<usize> {
        let recap = self.recap.as_ref()?;
        Some(recap.values().filter(|counts| counts.failures + counts.unreachable > 0).count())
    }

    /// The recorded times.
    pub fn history(&self) -> History {
        History { plays: self.plays.clone() }
    }

    /// The summary, with so many of the slowest tasks.
    pub fn summary(&self, slowest: usize) -> Summary {
        let tasks = self.plays.iter().flat_map(|play| {
            let of = |(task, seconds): &(String, f64)| TaskTime {
                play: play.name.clone(),
                task: task.clone(),
                seconds: *seconds,
            };
            play.tasks.iter().map(of)
        });
        let plays = self.plays.iter().map(|play| PlaySeconds {
            play: play.name.clone(),
            seconds: play.tasks.iter().map(|(_, seconds)| seconds).sum(),
        });
        let mut times: Vec<TaskTime> = tasks.collect();
        let tasks = times.len();
        times.sort_by(|one, other| other.seconds.total_cmp(&one.seconds));
        times.truncate(slowest);
        Summary {
            seconds: self.began.map_or(0.0, |began| self.now - began),
            tasks,
            recap: self.recap.clone(),
            plays: plays.collect(),
            slowest: times,
            changed: self.changed.clone(),
            problems: self.problems.clone(),
        }
    }
}

/// The facts about a failure, for the log.
fn details(failure: &Failure) -> String {
    let Failure { message, item, command, assertion, stderr, .. } = failure;
    let message = Some(message).filter(|text| !text.is_empty());
    let mut text = String::new();
    let parts = [
        ("message", message),
        ("item", item.as_ref()),
        ("command", command.as_ref()),
        ("assertion", assertion.as_ref()),
        ("stderr", stderr.as_ref()),
    ];
    for (name, value) in parts {
        for line in value.into_iter().flat_map(|value| value.lines()) {
            let _ = writeln!(text, "{:>14}{name}: {line}", "");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubespray::events;

    fn followed(lines: &str) -> (Follower, String) {
        let (mut follower, mut log) = (Follower::default(), String::new());
        for line in lines.lines() {
            log.push_str(&follower.take(&events::read(line).unwrap()));
        }
        (follower, log)
    }

    #[test]
    fn run_gives_log_and_summary() {
        let (follower, log) = followed(include_str!("testdata/run.jsonl"));
        insta::assert_snapshot!("log", log);
        insta::assert_json_snapshot!("summary", follower.summary(3));
        assert_eq!(follower.failed(), Some(2));
        assert_eq!(follower.changes(), 3);
    }

    #[test]
    fn interrupted_run_has_changes_without_recap() {
        let text = include_str!("testdata/run.jsonl");
        let most: Vec<&str> = text.lines().take(5).collect();
        let (follower, _) = followed(&most.join("\n"));
        let summary = follower.summary(1);
        assert_eq!((summary.recap, summary.changed.len()), (None, 1));
        assert_eq!((follower.play(), follower.task()), ("Install etcd", "etcd : Install"));
        assert_eq!(follower.failed(), None);
    }
}
