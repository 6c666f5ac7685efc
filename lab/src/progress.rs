//! What a person or a script sees while something is done: on a terminal a live line for each task that runs, below the
//! lines of those that are over; plain lines elsewhere; one JSON object a line with `--json`. The same events go to the
//! run's own file.

use std::fs::File;
use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::timeouts::PROGRESS_INTERVAL;
use crate::{files, output};

/// How events are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Live,
    Plain,
    Json,
}

/// Where an event stands in the life of its task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// The task goes on with something new.
    Step,
    /// It is over, and well.
    Done,
    /// It is over, and not well.
    Failed,
    /// It was left out, for a reason.
    Skipped,
    /// A remark that belongs to no task.
    Note,
}

/// What an event says, for programs: they need not read its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The task goes on with something new.
    Step,
    /// The task is over, and well; no other kind says more.
    Finished,
    /// A machine was logged in to.
    Reached,
    /// A machine is defined, and does not run.
    Defined,
    /// A machine was stopped.
    Stopped,
    /// A machine or a lab is gone.
    Removed,
    /// A phase or a lab was restored from a snapshot.
    Restored,
    /// A phase had nothing to do.
    Unchanged,
    /// A check passed.
    Passed,
    /// The task is over, and not well.
    Failed,
    /// The task was left out, for a reason.
    Skipped,
    /// A remark that belongs to no task.
    Note,
}

impl Kind {
    fn state(self) -> State {
        match self {
            Self::Step => State::Step,
            Self::Failed => State::Failed,
            Self::Skipped => State::Skipped,
            Self::Note => State::Note,
            _ => State::Done,
        }
    }
}

/// One line of `--json` and of `events.jsonl`.
#[derive(Debug, Serialize)]
struct Event<'a> {
    /// Since the command began.
    seconds: f64,
    /// A machine's name, or the name of a phase.
    task: &'a str,
    state: State,
    kind: Kind,
    text: &'a str,
}

/// Shows events. Clones show on the same screen.
#[derive(Clone)]
pub struct Progress {
    mode: Mode,
    start: Instant,
    screen: MultiProgress,
    file: Arc<Mutex<Option<File>>>,
}

impl Progress {
    /// Chooses how to show: JSON on standard output if asked for, else on standard error, live where
    /// that is a terminal.
    pub fn new(json: bool) -> Self {
        let mode = match (json, std::io::stderr().is_terminal()) {
            (true, _) => Mode::Json,
            (false, true) => Mode::Live,
            (false, false) => Mode::Plain,
        };
        let screen = MultiProgress::new();
        if mode == Mode::Live {
            output::share(&screen);
        }
        Self { mode, start: Instant::now(), screen, file: Arc::default() }
    }

    /// Whether standard output is for events.
    pub fn is_json(&self) -> bool {
        self.mode == Mode::Json
    }

    /// Keeps events in a file from now on, beside showing them.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn keep(&self, path: &Path) -> anyhow::Result<()> {
        *self.file.lock().expect("no holder of this lock panics") = Some(files::create_private(path)?);
        Ok(())
    }

    /// Since the command began.
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Begins to show a task.
    pub fn task(&self, name: &str) -> Task {
        let bar = if self.mode == Mode::Live {
            // Cut at the width of the terminal: a line that wraps cannot be drawn over.
            let style = ProgressStyle::with_template("{spinner} {prefix:<16} {wide_msg} {elapsed:>4}")
                .expect("the template is a constant");
            let bar =
                self.screen.add(ProgressBar::new_spinner().with_style(style).with_prefix(name.to_owned()));
            bar.enable_steady_tick(PROGRESS_INTERVAL);
            bar
        } else {
            ProgressBar::hidden()
        };
        Task { progress: self.clone(), name: name.to_owned(), bar, start: Instant::now() }
    }

    /// A remark that belongs to no task.
    pub fn note(&self, text: &str) {
        self.event("lab", Kind::Note, text);
        match self.mode {
            Mode::Live | Mode::Plain => output::aside(text),
            Mode::Json => {}
        }
    }

    fn event(&self, task: &str, kind: Kind, text: &str) {
        let seconds = (self.start.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
        let line = serde_json::to_string(&Event { seconds, task, state: kind.state(), kind, text })
            .expect("plain fields have a JSON form");
        if self.mode == Mode::Json {
            // A closed standard output must not end the command.
            let _ = output::line(&line);
        }
        if let Some(file) = self.file.lock().expect("no holder of this lock panics").as_mut() {
            // The record of a run is worth less than the run.
            let _ = writeln!(file, "{line}");
        }
    }
}

/// One thing that is being done.
pub struct Task {
    progress: Progress,
    name: String,
    bar: ProgressBar,
    start: Instant,
}

impl Task {
    /// The task goes on with something new.
    pub fn step(&self, text: &str) {
        self.progress.event(&self.name, Kind::Step, text);
        match self.progress.mode {
            Mode::Live => self.bar.set_message(text.to_owned()),
            Mode::Plain => {
                eprintln!("{:>7.1}s  {}: {text}", self.progress.elapsed().as_secs_f64(), self.name)
            }
            Mode::Json => {}
        }
    }

    /// How far the task is, for who watches it live. It is no event: it changes many times a second.
    pub fn show(&self, text: &str) {
        if self.progress.mode == Mode::Live {
            self.bar.set_message(text.to_owned());
        }
    }

    /// The task is over, and well.
    pub fn done(&self, text: &str) {
        self.done_as(Kind::Finished, text);
    }

    /// The task has succeeded; `kind` is its event for programs.
    pub fn done_as(&self, kind: Kind, text: &str) {
        self.over(kind, "✓", text);
    }

    /// The task is over before it began, for a reason.
    pub fn skipped(&self, why: &str) {
        self.over(Kind::Skipped, "-", &format!("skipped: {why}"));
    }

    /// The task is over, and not well.
    pub fn failed(&self, text: &str) {
        self.over(Kind::Failed, "✗", text);
    }

    /// Since the task began.
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    fn over(&self, kind: Kind, mark: &str, text: &str) {
        self.progress.event(&self.name, kind, text);
        match self.progress.mode {
            Mode::Live => {
                self.bar.finish_and_clear();
                output::aside(format_args!("{mark} {:<16} {text}", self.name));
            }
            Mode::Plain => {
                eprintln!("{:>7.1}s {mark} {}: {text}", self.progress.elapsed().as_secs_f64(), self.name)
            }
            Mode::Json => {}
        }
    }
}

impl Drop for Task {
    /// A task that was given up must not go on turning.
    fn drop(&mut self) {
        if !self.bar.is_finished() {
            self.bar.finish_and_clear();
        }
    }
}
