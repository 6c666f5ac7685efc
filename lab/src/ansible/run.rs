//! A run of Ansible on a living lab: shown while it goes, kept for afterwards, judged at its end.
//!
//! In the run's folder it leaves the events (`ansible.jsonl`) and what came of them (`summary.json`), in `output/logs/`
//! the log for people, in the cache how long each task took. What looks like a secret is taken out of all of them.
//! Decides nothing: `lab_core::deploy` does.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use lab_core::deploy::advice::{self, Known};
use lab_core::deploy::{Estimate, Follower, Problem, Summary};
use lab_core::kubespray::events::{self, Counts, Event, Line};
use lab_core::secrets::Secrets;

use crate::cx::Cx;
use crate::failure::{Failure, FailureKind};
use crate::lab::{Lab, Reached, reach};
use crate::process::Invocation;
use crate::progress::Task;
use crate::timeouts::{JOURNAL_TIMEOUT, PLAYBOOK_TIMEOUT};
use crate::wait::Deadline;
use crate::{files, output};

/// How many lines of a journal an error quotes, and how many the records keep.
const QUOTED_LINES: usize = 12;
const KEPT_LINES: usize = 200;
/// The summary lists a play that takes at least so many seconds.
const MIN_LISTED_SECONDS: f64 = 1.0;
/// How many of the slowest tasks the summary lists.
const SLOWEST: usize = 5;

/// A run of a playbook.
pub struct Run<'a> {
    /// The lab.
    pub lab: &'a Lab,
    /// The lab that lives.
    pub reached: &'a Reached,
    /// What it does, as a word of a file name: `deploy`.
    pub what: &'a str,
    /// The folder of its records.
    pub records: PathBuf,
    /// Where it is remembered how long its tasks take.
    pub history: PathBuf,
    /// The command that goes on after a failure.
    pub again: String,
    /// What of it goes to standard output.
    pub prints: Prints,
}

/// What of a run goes to standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prints {
    /// What came of it, for people.
    Tables,
    /// Ansible's events, one a line.
    Events,
    /// Nothing: the caller has something of its own to print.
    Nothing,
}

impl Prints {
    /// What `--json` of a command that deploys means.
    pub fn json(json: bool) -> Self {
        if json { Self::Events } else { Self::Tables }
    }
}

/// Runs a playbook and returns what came of it.
///
/// # Errors
/// When it fails, with the known facts of the failure; when it is cancelled.
pub async fn run(cx: &Cx, run: &Run<'_>, program: &Invocation) -> anyhow::Result<Summary> {
    let mut shown = Shown::new(cx, run)?;
    let secrets = shown.secrets.clone();
    let ended = run
        .reached
        .inside(program)
        .stream(&cx.cancel, Deadline::after(PLAYBOOK_TIMEOUT), |line| shown.line(cx, line, run.prints))
        .await;
    let seconds = shown.task.elapsed().as_secs_f64();
    let ended = match ended {
        Ok(ended) => ended,
        Err(error) => {
            shown.task.failed(&format!("ended after {seconds:.0} s"));
            let hint = format!("{} goes on; the log is {}", run.again, shown.log.shown(cx));
            let message = format!("the {} was ended before its end", run.what);
            return Err(
                anyhow::Error::new(error).context(Failure::new(FailureKind::Deploy, message).hint(hint))
            );
        }
    };
    let summary = shown.follower.summary(SLOWEST);
    files::write_atomic(
        &run.records.join("summary.json"),
        secrets.redacted(&serde_json::to_string_pretty(&summary)?).as_bytes(),
        files::SECRET,
    )?;
    for place in [&shown.log, &shown.events] {
        if let Some(error) = &place.broken {
            cx.progress.note(&format!("warning: `{}` is not whole: {error}", place.path.display()));
        }
    }
    if ended.status.success() && summary.recap.is_some() {
        let text = serde_json::to_string(&shown.follower.history())?;
        files::write_atomic(&run.history, text.as_bytes(), files::PUBLIC)?;
        if run.prints == Prints::Tables {
            output::print(table(&summary))?;
        }
        shown.task.done(&format!("in {seconds:.0} s, {} changes", shown.follower.changes()));
        return Ok(summary);
    }
    shown.task.failed(&format!("after {seconds:.0} s"));
    if run.prints == Prints::Tables {
        output::print(table(&summary))?;
    }
    Err(failure(cx, run, &summary, &shown.log.shown(cx), &ended.stderr).await)
}

/// A file that is written while the run goes. A run is worth more than its record.
struct Kept {
    path: PathBuf,
    file: File,
    broken: Option<std::io::Error>,
}

impl Kept {
    fn new(path: PathBuf) -> anyhow::Result<Self> {
        let file = files::create_private(&path)?;
        Ok(Self { path, file, broken: None })
    }

    fn write(&mut self, text: &str, secrets: &Secrets) {
        if let Err(error) = self.file.write_all(secrets.redacted(text).as_bytes()) {
            self.broken.get_or_insert(error);
        }
    }

    fn shown(&self, cx: &Cx) -> String {
        cx.layout.shown(&self.path)
    }
}

/// The screen and the logs of a run while it goes.
struct Shown {
    task: Task,
    follower: Follower,
    /// The role of the task that runs.
    role: String,
    /// How many of its problems were printed.
    printed: usize,
    estimate: Option<Estimate>,
    log: Kept,
    events: Kept,
    secrets: Secrets,
}

impl Shown {
    fn new(cx: &Cx, run: &Run<'_>) -> anyhow::Result<Self> {
        let id = run.records.file_name().unwrap_or_default().to_string_lossy();
        let name = format!("{}-{}-{id}.log", run.lab.spec.name, run.what);
        // An unreadable history is from another version, and starts empty.
        let known = files::read_if_present(&run.history)?.and_then(|text| serde_json::from_str(&text).ok());
        Ok(Self {
            task: cx.progress.task(run.what),
            follower: Follower::default(),
            role: String::new(),
            printed: 0,
            estimate: known.map(Estimate::new),
            log: Kept::new(cx.layout.logs().join(name))?,
            events: Kept::new(run.records.join("ansible.jsonl"))?,
            secrets: run.lab.secrets(),
        })
    }

    fn line(&mut self, cx: &Cx, line: &str, prints: Prints) {
        let Some(event) = events::read(line) else {
            self.log.write(&format!("{line}\n"), &self.secrets);
            cx.progress.note(&self.secrets.redacted(line));
            return;
        };
        self.events.write(&format!("{line}\n"), &self.secrets);
        if prints == Prints::Events {
            // A closed standard output must not end the run.
            let _ = output::line(self.secrets.redacted(line));
        }
        let text = self.follower.take(&event);
        self.log.write(&text, &self.secrets);
        self.show(cx, &event);
    }

    fn show(&mut self, cx: &Cx, line: &Line) {
        match &line.event {
            Event::Play { name } => {
                self.role.clear();
                self.task.step(name);
            }
            Event::Task { name, .. } => {
                // A play may take minutes, and has too many tasks to print each.
                let role = name.split_once(" : ").map(|(role, _)| role).unwrap_or_default();
                if !role.is_empty() && role != self.role {
                    role.clone_into(&mut self.role);
                    self.task.step(&format!("{}: {role}", self.follower.play()));
                }
            }
            Event::Result { .. } => {
                for problem in &self.follower.problems()[self.printed..] {
                    cx.progress.note(&self.secrets.redacted(&problem_text(problem)));
                }
                self.printed = self.follower.problems().len();
            }
            Event::Recap { .. } => {}
        }
        let text = self.text();
        self.task.show(&text);
    }

    /// Where the run is, for a terminal: the play, below it the task and what the machines made of it.
    fn text(&mut self) -> String {
        let left = self.estimate.as_mut().and_then(|estimate| estimate.left(&self.follower));
        let left = left.map(|left| format!(", {} left", minutes(left))).unwrap_or_default();
        let (changes, failed) = (self.follower.changes(), self.follower.problems().len());
        let machines: Vec<String> =
            self.follower.machines().iter().map(|(host, outcome)| format!("{host} {outcome}")).collect();
        format!(
            "{}: {changes} changed, {failed} failed{left}\n  └ {}  {}",
            self.follower.play(),
            self.follower.task(),
            machines.join(", ")
        )
    }
}

/// Seconds as people say them.
fn minutes(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    if whole < 60 { format!("{whole} s") } else { format!("{}:{:02} min", whole / 60, whole % 60) }
}

fn problem_text(problem: &Problem) -> String {
    let Problem { host, task, message, unreachable, .. } = problem;
    let how = if *unreachable { "cannot be logged in to" } else { "failed" };
    format!("{host} {how} at `{task}`: {message}")
}

/// The error of a run that failed: the task, the machine and the message, the journal of the unit, advice, and the
/// command that goes on.
async fn failure(cx: &Cx, run: &Run<'_>, summary: &Summary, log: &str, stderr: &str) -> anyhow::Error {
    let secrets = run.lab.secrets();
    let mut hint = format!("the log is {log}\n      {} goes on where it stopped", run.again);
    let Some(problem) = summary.problems.last() else {
        let last = stderr.trim().lines().last().unwrap_or("it said nothing").to_owned();
        return anyhow::anyhow!("{}", secrets.redacted(&last)).context(
            Failure::new(FailureKind::Deploy, format!("Ansible could not do the {}", run.what)).hint(hint),
        );
    };
    let unit = advice::unit(problem).filter(|_| !problem.unreachable);
    let journal = match unit {
        Some(unit) => journal(cx, run, &problem.host, unit).await.unwrap_or_default(),
        None => String::new(),
    };
    if let Some(Known { advice, source, .. }) = advice::known(problem, &journal) {
        hint = format!("{advice} ({source})\n      {hint}");
    }
    let mut details = String::new();
    for (name, value) in [
        ("in", &problem.path),
        ("item", &problem.item),
        ("command", &problem.command),
        ("stderr", &problem.stderr),
    ] {
        if let Some(value) = value {
            let _ = writeln!(details, "{name}: {}", value.trim());
        }
    }
    if let (Some(unit), false) = (unit, journal.is_empty()) {
        let lines: Vec<&str> = journal.lines().collect();
        let last = lines[lines.len().saturating_sub(QUOTED_LINES)..].join("\n");
        let _ = writeln!(details, "the journal of {unit} on {} ends:\n{last}", problem.host);
    }
    let failure =
        Failure::new(FailureKind::Deploy, secrets.redacted(&problem_text(problem)).into_owned()).hint(hint);
    match details.trim() {
        "" => failure.into(),
        more => anyhow::anyhow!("{}", secrets.redacted(more)).context(failure),
    }
}

/// The end of the journal of a unit, which is kept with the records of the run.
async fn journal(cx: &Cx, run: &Run<'_>, machine: &str, unit: &str) -> anyhow::Result<String> {
    // A task that is delegated may fail for a name that is no machine's.
    run.lab.machine(machine)?;
    let lines = KEPT_LINES.to_string();
    let words = [
        "--",
        "sudo",
        "journalctl",
        "--no-pager",
        "--output",
        "short-iso",
        "--lines",
        &lines,
        "--unit",
        unit,
    ];
    let read = run.reached.inside(&reach::ssh(run.lab, machine).args(words));
    let text = read.output(&cx.cancel, Deadline::after(JOURNAL_TIMEOUT)).await?.stdout;
    let text = run.lab.secrets().redacted(&text).into_owned();
    files::write_atomic(
        &run.records.join(format!("{machine}-{unit}.journal")),
        text.as_bytes(),
        files::SECRET,
    )?;
    Ok(text)
}

/// The recap for people, and where the time went.
fn table(summary: &Summary) -> String {
    let none = BTreeMap::new();
    let recap = summary.recap.as_ref().unwrap_or(&none);
    let width = recap.keys().map(String::len).chain([7]).max().unwrap_or(7);
    let mut text = String::new();
    if !recap.is_empty() {
        let _ = writeln!(
            text,
            "{:width$} {:>6} {:>8} {:>8} {:>7} {:>12}",
            "MACHINE", "OK", "CHANGED", "SKIPPED", "FAILED", "UNREACHABLE"
        );
    }
    for (host, counts) in recap {
        let Counts { ok, changed, failures, skipped, unreachable, .. } = counts;
        let _ =
            writeln!(text, "{host:width$} {ok:>6} {changed:>8} {skipped:>8} {failures:>7} {unreachable:>12}");
    }
    let long: Vec<_> = summary.plays.iter().filter(|play| play.seconds >= MIN_LISTED_SECONDS).collect();
    if !long.is_empty() {
        text.push_str("\nthe plays:\n");
    }
    for play in long {
        let _ = writeln!(text, "{:>7.1} s  {}", play.seconds, play.play);
    }
    if !summary.slowest.is_empty() {
        text.push_str("\nthe slowest tasks:\n");
    }
    for task in &summary.slowest {
        let _ = writeln!(text, "{:>7.1} s  {}", task.seconds, task.task);
    }
    text
}

/// Where it is remembered how long a playbook of a Kubespray takes on the machines of a cluster: an emulated one needs ten
/// times as long as a container.
pub fn history(cx: &Cx, cluster: &str, playbook: &Path, commit: &str) -> PathBuf {
    let name = playbook.file_stem().unwrap_or_default().to_string_lossy();
    let commit = commit.get(..12).unwrap_or(commit);
    cx.layout.cache().join("deploy").join(format!("{cluster}-{name}-{commit}.json"))
}
