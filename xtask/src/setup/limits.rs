//! Raises the kernel's limits that containers share, and takes that back.
//!
//! Owns one file, [`FILE`], which holds every value that it sets and the one before. Must not touch other settings, nor
//! raise anything without consent.

use std::fmt::Write as _;
use std::io::IsTerminal as _;

use anyhow::Context as _;

use super::Root;
use crate::cx::Cx;
use crate::failure::Failure;
use crate::host::Host;
use crate::limits::{self, Found};

/// Read at every boot: sysctl.d(5).
const FILE: &str = "/etc/sysctl.d/90-lab.conf";
const FIRST_LINE: &str =
    "# Written by `cargo xtask setup --limits`; `cargo xtask setup --undo` takes it back.";
/// A limit that is enough for fewer clusters of three containers is raised.
const ENOUGH_CLUSTERS: u64 = 4;

/// A setting that is changed, with its value before.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Change {
    setting: String,
    before: u64,
    after: u64,
}

/// Why limits are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// `--limits`: they are to be raised.
    Raised,
    /// They are offered to a person who sets up the computer.
    Offered,
}

/// How limits that are too low are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    /// They are raised without a question.
    Raise,
    /// A person is asked.
    Ask,
    /// They stay, and a note names the command that raises them.
    Leave,
    /// They are to be raised, and there is no terminal to agree on.
    Refuse,
}

/// `--yes` answers the question of `--limits` only: a script that sets up a computer does not change its kernel.
fn decide(wanted: Wanted, yes: bool, is_terminal: bool) -> Decision {
    match (wanted, yes, is_terminal) {
        (Wanted::Raised, true, _) => Decision::Raise,
        (Wanted::Raised, false, false) => Decision::Refuse,
        (Wanted::Raised | Wanted::Offered, false, true) => Decision::Ask,
        (Wanted::Offered, true, _) | (Wanted::Offered, false, false) => Decision::Leave,
    }
}

/// Raises limits where that is wanted and agreed to. A kernel that refuses is a note: virtual machines and single
/// clusters work without.
///
/// # Errors
/// When `--limits` has no terminal to ask on, or another program wrote the file.
pub fn raise(cx: &Cx, host: &Host, wanted: Wanted, dry_run: bool) -> anyhow::Result<()> {
    let is_asked_for = wanted == Wanted::Raised;
    // Only labs of root have containers.
    if !is_asked_for && host.uid != 0 {
        return Ok(());
    }
    let changes = changes(host);
    if changes.is_empty() {
        if is_asked_for {
            println!("nothing to raise: every limit is enough for {ENOUGH_CLUSTERS} clusters of containers");
        }
        return Ok(());
    }
    if dry_run {
        print!("{}", text(&changes));
        return Ok(());
    }
    let is_agreed = match decide(wanted, cx.yes, std::io::stdin().is_terminal()) {
        Decision::Leave => {
            eprintln!("note: {}", left_alone(&limits::examine(host)));
            return Ok(());
        }
        Decision::Refuse => return Err(Failure::host("there is no terminal to ask on", "add --yes").into()),
        Decision::Raise => {
            eprint!("{}", text(&changes));
            true
        }
        Decision::Ask => {
            eprint!("{}", text(&changes));
            super::ask("Raise them?", is_asked_for)?
        }
    };
    if !is_agreed {
        eprintln!("the limits stay as they are");
        return Ok(());
    }
    apply(cx, host, changes)
}

/// Sets changed values back to those before, unless they have been changed since, and removes the file.
///
/// # Errors
/// When another program wrote the file, or the kernel refuses.
pub fn undo(cx: &Cx, host: &Host, dry_run: bool) -> anyhow::Result<()> {
    let Some(written) = written(host)? else {
        println!("nothing to take back: there is no {FILE}");
        return Ok(());
    };
    let commands = undo_commands(host, &written);
    if dry_run {
        for command in commands {
            println!("{}", command.join(" "));
        }
        return Ok(());
    }
    for change in &written {
        if limits::value(host, &change.setting) != Some(change.after) {
            eprintln!("note: {} was changed since and stays as it is", change.setting);
        }
    }
    let root = Root::new(cx, host, false)?;
    for command in commands {
        root.run(&command)?;
    }
    eprintln!("the limits are as they were");
    Ok(())
}

fn apply(cx: &Cx, host: &Host, changes: Vec<Change>) -> anyhow::Result<()> {
    let all = merged(written(host)?.unwrap_or_default(), changes);
    let draft = cx.folders.root.join("build/90-lab.conf");
    std::fs::create_dir_all(cx.folders.root.join("build")).context("cannot make the folder build")?;
    std::fs::write(&draft, file(&all)).with_context(|| format!("cannot write {}", draft.display()))?;
    let root = Root::new(cx, host, false)?;
    let draft_path = draft.to_string_lossy();
    let mut done = raise_commands(host, &draft_path).iter().try_for_each(|command| root.run(command));
    // A container's kernel may accept a value and keep its own.
    if let Some(kept) = all.iter().find(|change| limits::value(host, &change.setting) != Some(change.after)) {
        done = done.and_then(|()| anyhow::bail!("the kernel does not take {}", kept.setting));
    }
    std::fs::remove_file(&draft).with_context(|| format!("cannot remove {}", draft.display()))?;
    let Err(error) = done else {
        eprintln!("the limits are raised; `cargo xtask setup --undo` takes that back");
        return Ok(());
    };
    eprintln!("note: {error:#}; the limits cannot be raised here");
    // Values that were set before the kernel refused are taken back, as far as it lets them.
    for command in undo_commands(host, &all) {
        let _ = root.run(&command);
    }
    Ok(())
}

/// Limits that are to be raised, in the order of their table. None is lowered.
fn changes(host: &Host) -> Vec<Change> {
    let low = |found: &Found| found.clusters_in_all() < ENOUGH_CLUSTERS && found.value < found.limit.raised;
    let mut found = limits::examine(host);
    found.retain(low);
    let change = |found: &Found| Change {
        setting: found.limit.setting.to_owned(),
        before: found.value,
        after: found.limit.raised,
    };
    found.iter().map(change).collect()
}

/// Settings, values and the file, for people.
fn text(changes: &[Change]) -> String {
    let mut text =
        "\nContainers of all labs share these limits of the kernel. To be raised, now and at every boot:\n"
            .to_owned();
    for Change { setting, before, after } in changes {
        let _ = writeln!(text, "  {setting:<31} from {before} to {after}");
    }
    let _ = writeln!(text, "Written to {FILE}; `cargo xtask setup --undo` takes it back.");
    text
}

/// Why limits that are low are not raised, with what raises them.
fn left_alone(found: &[Found]) -> String {
    let clusters = found.iter().map(Found::clusters_in_all).min().unwrap_or_default();
    format!(
        "the kernel's limits are enough for {clusters} cluster{} of containers and stay as they are; {}",
        if clusters == 1 { "" } else { "s" },
        "`cargo xtask setup --limits` raises them"
    )
}

/// The file with these changes.
fn file(changes: &[Change]) -> String {
    let mut text = format!("{FIRST_LINE}\n# Containers of all labs share these limits of the kernel.\n");
    for Change { setting, before, after } in changes {
        let _ = writeln!(text, "# {setting} was {before}\n{setting} = {after}");
    }
    text
}

/// The changes that the file records; none where there is no file.
fn written(host: &Host) -> anyhow::Result<Option<Vec<Change>>> {
    let Some(text) = host.read(FILE) else { return Ok(None) };
    if text.lines().next() != Some(FIRST_LINE) {
        let message = format!("{FILE} was not written by this program");
        return Err(Failure::host(message, "move the file away, then run this again").into());
    }
    let value = |setting: &str| {
        let line =
            text.lines().find_map(|line| line.strip_prefix(setting)?.trim_start().strip_prefix('='))?;
        line.trim().parse().ok()
    };
    let change = |line: &str| {
        let (setting, before) = line.strip_prefix("# ")?.split_once(" was ")?;
        let before = before.trim().parse().ok()?;
        Some(Change { setting: setting.to_owned(), before, after: value(setting)? })
    };
    Ok(Some(text.lines().filter_map(change).collect()))
}

/// Old changes and new ones; of a setting in both, the value before the first change is kept.
fn merged(mut old: Vec<Change>, new: Vec<Change>) -> Vec<Change> {
    for change in new {
        match old.iter_mut().find(|earlier| earlier.setting == change.setting) {
            Some(earlier) => earlier.after = change.after,
            None => old.push(change),
        }
    }
    old
}

/// Puts the file in its place and has the kernel take it.
fn raise_commands(host: &Host, draft: &str) -> [Vec<String>; 2] {
    let file = host.at(FILE).display().to_string();
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    [
        words(&["install", "-D", "--mode=0644", draft, &file]),
        words(&["sysctl", "--quiet", &format!("--load={file}")]),
    ]
}

/// Sets back what still has the value that was set, and removes the file.
fn undo_commands(host: &Host, written: &[Change]) -> Vec<Vec<String>> {
    let unchanged =
        written.iter().filter(|change| limits::value(host, &change.setting) == Some(change.after));
    let set = unchanged.map(|Change { setting, before, .. }| {
        vec!["sysctl".to_owned(), "--quiet".to_owned(), "--write".to_owned(), format!("{setting}={before}")]
    });
    let remove = vec!["rm".to_owned(), "-f".to_owned(), host.at(FILE).display().to_string()];
    set.chain([remove]).collect()
}

#[cfg(test)]
mod tests;
