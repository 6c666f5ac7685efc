//! Soak: long commands, killed at random moments and called again.
//!
//! A kill is SIGKILL to the command alone, as the kernel's out-of-memory killer sends it. After it no
//! program of the command may live on, the same command must reach its end, its result must be right, and
//! the computer must be as it was before. The random moments follow from a seed, which is printed.

mod subjects;

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::checkout::{Checkout, walk};
use crate::computer::Computer;
use crate::run::{KILLED, Run};
use crate::wait;

pub use subjects::{SUBJECTS, named};

/// How long the programs of a killed command may take to end.
const ORPHAN_TIMEOUT: Duration = Duration::from_secs(20);
/// The mark that `lab` gives to the programs it starts; its process id follows.
const MARK: &str = "LAB_COMMAND=";

/// A command to be killed.
#[derive(Debug, Clone, Copy)]
pub struct Subject {
    /// Its name in the table and on the command line.
    pub name: &'static str,
    /// Whether it needs a whole cluster, which takes minutes to deploy.
    pub needs_cluster: bool,
    /// Why it cannot run on this computer; `None` where it can.
    pub obstacle: fn() -> Option<String>,
    /// A checkout in which it can be called.
    prepare: fn() -> Checkout,
    /// Makes the state that it starts from.
    reset: fn(&Checkout),
    /// The command.
    command: fn(&Checkout) -> Run,
    /// Calls it again after a kill, and panics where its result is not right.
    resume: fn(&Checkout),
    /// Removes things that must not be there when the computer is compared.
    finish: fn(&Checkout),
}

/// The outcome of the kills of one command.
#[derive(Debug, Default)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// How often it was killed before it had ended by itself.
    pub kills: u32,
    /// After how many of these kills the same command came to its right end.
    pub converged: u32,
    /// Its leftovers: programs, unfinished files, changes of the computer.
    pub leftovers: Vec<String>,
    /// Why it did not come to its right end.
    pub failures: Vec<String>,
}

impl Row {
    /// Whether every kill was followed by the right end, and nothing was left.
    pub fn is_good(&self) -> bool {
        self.kills == self.converged && self.leftovers.is_empty() && self.failures.is_empty()
    }
}

/// A command with its checkout, over all of its kills.
pub struct Soak {
    subject: Subject,
    checkout: Checkout,
    before: Computer,
    typical: Duration,
    row: Row,
}

impl Soak {
    /// Prepares a checkout, and lets the command run once to its end: how long that takes is the range of
    /// the random moments.
    ///
    /// # Panics
    /// When the command fails without being killed.
    pub fn begin(subject: Subject) -> Self {
        let mut soak = Self::of(subject, Duration::ZERO);
        (subject.reset)(&soak.checkout);
        soak.typical = (subject.command)(&soak.checkout).answer().ok().took;
        soak
    }

    /// Prepares a checkout for a command that takes about as long as `typical`.
    pub fn of(subject: Subject, typical: Duration) -> Self {
        let checkout = (subject.prepare)();
        let before = Computer::look(checkout.root());
        let row = Row { name: subject.name.to_owned(), ..Row::default() };
        Self { subject, checkout, before, typical, row }
    }

    /// The checkout that it is called in.
    pub fn checkout(&self) -> &Checkout {
        &self.checkout
    }

    /// How often the command was killed.
    pub fn kills(&self) -> u32 {
        self.row.kills
    }

    /// Whether every kill was followed by the right end, and nothing was left so far.
    pub fn is_good(&self) -> bool {
        self.row.is_good()
    }

    /// Kills the command once, at `fraction` of the time that it takes, and calls it again.
    pub fn kill(&mut self, fraction: f64) {
        let (subject, checkout) = (self.subject, &self.checkout);
        let moment = self.typical.mul_f64(fraction);
        let mut leftovers = Vec::new();
        let round = catch_unwind(AssertUnwindSafe(|| {
            (subject.reset)(checkout);
            let started = (subject.command)(checkout).start();
            let pid = started.pid();
            wait::rest(moment);
            started.signal(Signal::SIGKILL);
            let answer = started.answer();
            // It may end between any look at it and the signal, so its exit code alone says who was first.
            if answer.code == 0 {
                return Some(answer.took);
            }
            answer.code(KILLED);
            leftovers.extend(orphans(pid.as_raw()));
            (subject.resume)(checkout);
            None
        }));
        leftovers.extend(temporary_files(checkout.root()));
        let at = format!("killed after {:.3} s", moment.as_secs_f64());
        self.row.leftovers.extend(leftovers.into_iter().map(|left| format!("{at}: {left}")));
        match round {
            // It was quicker than before: caches are warm.
            Ok(Some(took)) => self.typical = took,
            Ok(None) => {
                self.row.kills += 1;
                self.row.converged += 1;
            }
            Err(panic) => {
                self.row.kills += 1;
                self.row.failures.push(format!("{at}: {}", message(&*panic)));
            }
        }
    }

    /// Removes the labs of the checkout and compares the computer with what it was.
    pub fn end(mut self) -> Row {
        let finished = catch_unwind(AssertUnwindSafe(|| (self.subject.finish)(&self.checkout)));
        if let Err(panic) = finished {
            self.row.failures.push(format!("at the end: {}", message(&*panic)));
        }
        self.row.leftovers.extend(self.before.new_since(self.checkout.root()));
        self.row
    }
}

/// The programs of a killed command that do not end.
fn orphans(pid: i32) -> Vec<String> {
    let prefix = format!("{MARK}{pid}.");
    let marked = || -> Vec<String> {
        let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        entries
            .filter(|entry| {
                std::fs::read(entry.path().join("environ")).is_ok_and(|bytes| {
                    bytes.split(|byte| *byte == 0).any(|field| field.starts_with(prefix.as_bytes()))
                })
            })
            .map(|entry| {
                let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
                let line = String::from_utf8_lossy(&line).replace('\0', " ");
                format!("process {} {}", entry.file_name().to_string_lossy(), line.trim())
            })
            .collect()
    };
    let start = Instant::now();
    loop {
        let left = marked();
        if left.is_empty() || start.elapsed() > ORPHAN_TIMEOUT {
            return left;
        }
        wait::pause();
    }
}

/// Files that are written beside others and were never given their names.
fn temporary_files(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    walk(root, &mut |path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') && name.ends_with(".tmp") {
            found.push(format!("file {}", path.strip_prefix(root).unwrap_or(path).display()));
        }
    });
    found
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked").to_owned()
}

/// Kills each of the commands in turn until the time is over, each at least `least` times. Commands that
/// cannot run on this computer are returned with the reason.
pub fn soak(
    subjects: &[Subject],
    seed: u64,
    time: Duration,
    least: u32,
) -> (Vec<Row>, Vec<(&'static str, String)>) {
    let start = Instant::now();
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut rows, mut skipped) = (Vec::new(), Vec::new());
    for (index, subject) in subjects.iter().enumerate() {
        if let Some(why) = (subject.obstacle)() {
            skipped.push((subject.name, why));
            continue;
        }
        // The time that is left belongs to the commands that are left.
        let share = time.saturating_sub(start.elapsed()) / u32::try_from(subjects.len() - index).unwrap_or(1);
        let began = Instant::now();
        let begun = catch_unwind(AssertUnwindSafe(|| Soak::begin(*subject)));
        let mut soak = match begun {
            Ok(soak) => soak,
            Err(panic) => {
                let failures = vec![format!("without a kill: {}", message(&*panic))];
                rows.push(Row { name: subject.name.to_owned(), failures, ..Row::default() });
                continue;
            }
        };
        // A failure leaves a state that says nothing about the next kill.
        while soak.is_good() && (soak.kills() < least || began.elapsed() < share) {
            soak.kill(random.f64());
        }
        rows.push(soak.end());
    }
    (rows, skipped)
}

/// The table for people, and after it every leftover and failure.
pub fn table(rows: &[Row], skipped: &[(&'static str, String)]) -> String {
    let mut text = format!("{:<14}{:>6}{:>11}  LEFTOVERS\n", "COMMAND", "KILLS", "CONVERGED");
    for row in rows {
        let left = if row.leftovers.is_empty() { "none".to_owned() } else { row.leftovers.len().to_string() };
        let _ = writeln!(text, "{:<14}{:>6}{:>11}  {left}", row.name, row.kills, row.converged);
    }
    for (name, why) in skipped {
        let _ = writeln!(text, "{name:<14}skipped: {why}");
    }
    for row in rows {
        for left in &row.leftovers {
            let _ = writeln!(text, "\n{} left {left}", row.name);
        }
        for failure in &row.failures {
            let _ = writeln!(text, "\n{} failed, {failure}", row.name);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_shows_kills_and_every_leftover() {
        let good = Row { name: "up".to_owned(), kills: 3, converged: 3, ..Row::default() };
        let bad = Row {
            name: "image".to_owned(),
            kills: 2,
            converged: 1,
            leftovers: vec!["killed after 1.000 s: process 7 tar".to_owned()],
            failures: vec!["killed after 2.000 s: it said no".to_owned()],
        };
        assert!(good.is_good() && !bad.is_good());
        insta::assert_snapshot!(table(&[good, bad], &[("deploy", "containers need root".to_owned())]), @r"
        COMMAND        KILLS  CONVERGED  LEFTOVERS
        up                 3          3  none
        image              2          1  1
        deploy        skipped: containers need root

        image left killed after 1.000 s: process 7 tar

        image failed, killed after 2.000 s: it said no
        ");
    }
}
