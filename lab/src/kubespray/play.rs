//! Runs of `ansible-playbook`: the pinned environment, our settings, the inventory of a living lab, on its network.
//!
//! A run leaves its events, its log and its variables in a folder under `runs/`. Connections are shared while
//! it lasts and ended with it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use lab_core::kubespray::events::{self, Counts, Event, Outcome};
use serde_json::json;

use crate::cli::commands::running;
use crate::cx::Cx;
use crate::failure::{Failure, exit};
use crate::files;
use crate::life::lab::{Lab, Reached};
use crate::life::{access, connections, up};
use crate::output;
use crate::process::{Invocation, invocation};
use crate::progress::Task;
use crate::wait::Deadline;

use super::checkout::Checkout;
use super::environment::Environment;
use super::source::Request;
use super::{Fetched, environment};

/// A deploy may take hours; it is ended by its user, not by us.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Keeps a checkout and its environment from being removed.
pub struct Share {
    _checkout: File,
    _environment: File,
}

/// Shares a checkout and its environment with whoever else uses them.
///
/// # Errors
/// When they are being removed.
pub fn share(cx: &Cx, checkout: &Checkout, environment: &Environment) -> anyhow::Result<Share> {
    let take = |path: PathBuf| {
        files::try_share(&path)?.with_context(|| {
            Failure::new(exit::HOST, "another command is fetching or removing this Kubespray")
                .hint("call this again when it has ended")
        })
    };
    Ok(Share {
        _checkout: take(cx.layout.kubespray().lock(&checkout.commit))?,
        _environment: take(environment::lock(&environment.path))?,
    })
}

/// A program of an environment, as it is to be started: settings, language, and nothing else of the caller's.
#[must_use]
pub fn ansible(environment: &Environment, program: &str, settings: &Path) -> Invocation {
    // Ansible refuses a locale that is not UTF-8.
    invocation(environment.program(program)).env("ANSIBLE_CONFIG", settings).env("LC_ALL", "C.UTF-8")
}

/// The playbook that a word on the command line means: a file, one of ours, one of Kubespray's.
///
/// # Errors
/// When it means none, with those that Kubespray has.
pub fn playbook(cx: &Cx, checkout: &Checkout, word: &str) -> anyhow::Result<PathBuf> {
    let ours = cx.layout.ansible().join("playbooks").join(word);
    let places =
        [PathBuf::from(word), ours, checkout.path.join(word), checkout.path.join("playbooks").join(word)];
    if let Some(found) = places.iter().find(|place| place.is_file()) {
        return std::path::absolute(found).with_context(|| format!("cannot find `{word}`"));
    }
    let mut names: Vec<String> = Vec::new();
    for folder in [cx.layout.ansible().join("playbooks"), checkout.path.clone()] {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.ends_with(".yml") && !name.starts_with(['.', '_']) && name != "galaxy.yml" {
                names.push(name);
            }
        }
    }
    names.sort();
    let message = format!("there is no playbook `{word}`, neither a file nor one of ours or of Kubespray's");
    Err(Failure::new(exit::USAGE, message).hint(format!("there are: {}", names.join(", "))).into())
}

/// `kubespray play`: runs a playbook on a living lab.
///
/// # Errors
/// When the lab does not run, Kubespray cannot be had, or the playbook fails.
pub async fn run(cx: &Cx, lab: &Lab, word: &str, arguments: &[OsString], json: bool) -> anyhow::Result<()> {
    let reached = running(cx, lab).await?;
    anyhow::ensure!(
        lab.files.inventory().is_file(),
        Failure::new(exit::PLAN, format!("the lab `{}` has no inventory for Kubespray", lab.spec.name))
            .hint(format!("`cargo xtask check {}` says why, `lab up` writes it", lab.cluster_words(cx)))
    );
    let request = Request::of_lab(lab)?;
    let Fetched { checkout, environment, .. } = super::fetch(cx, &request).await?;
    let _share = share(cx, &checkout, &environment)?;
    let playbook = playbook(cx, &checkout, word)?;
    let _held = lab.hold()?;
    let run = lab.files.runs().join(up::run_id());
    let settings = access::ansible_settings(cx, lab)?;
    let mut variables = BTreeMap::from([
        ("kubespray_checkout", json!(checkout.path)),
        ("kubespray_version", json!(request.pin.version)),
        ("kubespray_commit", json!(checkout.commit)),
        ("lab_cluster", json!(lab.spec.name)),
    ]);
    if settings.shares_connections() {
        variables.insert("ansible_ssh_args", json!(settings.sharing_ssh_args()));
    } else {
        cx.progress.note("note: each task logs in anew, because the path of this checkout is too long for shared connections");
    }
    let written = run.join("variables.json");
    files::write_atomic(&written, &serde_json::to_vec_pretty(&variables)?, files::PUBLIC)?;
    let program = ansible(&environment, "ansible-playbook", &lab.files.ansible_settings())
        .arg("--inventory")
        .arg(lab.files.inventory())
        .arg("--become")
        .arg("--extra-vars")
        .arg(prefixed("@", &written))
        .arg(&playbook)
        .args(arguments)
        .env("ANSIBLE_LOG_PATH", run.join("ansible.log"))
        .directory(&lab.files.folder);
    let result = follow(cx, &reached, &program, &run, json).await;
    connections::close(&lab.files).await;
    result
}

fn prefixed(prefix: &str, path: &Path) -> OsString {
    let mut text = OsString::from(prefix);
    text.push(path);
    text
}

/// Runs the program, keeps its events, shows what happens, and judges how it ended.
async fn follow(
    cx: &Cx,
    reached: &Reached,
    program: &Invocation,
    run: &Path,
    json: bool,
) -> anyhow::Result<()> {
    let place = run.join("ansible.jsonl");
    let mut kept = File::create(&place).with_context(|| format!("cannot write `{}`", place.display()))?;
    let mut shown =
        Shown { task: cx.progress.task("ansible"), play: String::new(), recap: None, failed: Vec::new() };
    let mut broken = None;
    let ended = reached
        .inside(program)
        .stream(&cx.cancel, Deadline::after(DAY), |line| {
            if let Err(error) = writeln!(kept, "{line}") {
                broken.get_or_insert(error);
            }
            match events::read(line) {
                Some(event) => {
                    if json {
                        // A reader that has read enough must not end what is being done.
                        let _ = output::line(line);
                    }
                    shown.event(cx, event);
                }
                None => cx.progress.note(line),
            }
        })
        .await;
    let Shown { task, recap, failed, .. } = shown;
    let ended = ended.inspect_err(|_| task.failed("it was ended"))?;
    if let Some(error) = broken {
        cx.progress.note(&format!("warning: `{}` is not whole: {error}", place.display()));
    }
    if let Some(recap) = recap.filter(|_| !json) {
        output::print(table(&recap))?;
    }
    if ended.status.success() {
        task.done(&format!("in {:.0} s", task.elapsed().as_secs_f64()));
        return Ok(());
    }
    task.failed(&format!("after {:.0} s", task.elapsed().as_secs_f64()));
    let what = match failed.last() {
        Some(last) => last.clone(),
        None => format!("Ansible ended with {}\n{}", ended.status, ended.stderr.trim()),
    };
    let hint = format!("events and log are in {}", run.display());
    Err(Failure::new(exit::DEPLOY, what.trim().to_owned()).hint(hint).into())
}

/// What is shown of a run, and what is remembered for its end.
struct Shown {
    task: Task,
    play: String,
    recap: Option<BTreeMap<String, Counts>>,
    failed: Vec<String>,
}

impl Shown {
    fn event(&mut self, cx: &Cx, event: Event) {
        match event {
            Event::Play { name } => {
                self.task.step(&name);
                self.play = name;
            }
            Event::Task { .. } => {}
            Event::Result { task, host, outcome } => {
                let why = match outcome {
                    Outcome::Ok { .. } | Outcome::Skipped => return,
                    Outcome::Failed(failure) => failure.message,
                    Outcome::Unreachable { message } => format!("it cannot be logged in to: {message}"),
                };
                let line = format!("{host}: {task}: {why}");
                cx.progress.note(&line);
                self.failed.push(line);
            }
            Event::Recap(recap) => self.recap = Some(recap),
        }
    }
}

/// The recap for people.
fn table(recap: &BTreeMap<String, Counts>) -> String {
    let width = recap.keys().map(String::len).chain([7]).max().unwrap_or(7);
    let mut text = format!(
        "{:width$} {:>6} {:>8} {:>8} {:>7} {:>12}\n",
        "MACHINE", "OK", "CHANGED", "SKIPPED", "FAILED", "UNREACHABLE"
    );
    for (host, counts) in recap {
        let Counts { ok, changed, failures, skipped, unreachable, .. } = counts;
        text.push_str(&format!(
            "{host:width$} {ok:>6} {changed:>8} {skipped:>8} {failures:>7} {unreachable:>12}\n"
        ));
    }
    text
}
