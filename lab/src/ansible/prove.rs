//! `inventory check`: the inventory of a cluster, rendered into a folder of its own and given to the real programs.
//! What they make of it is judged by `lab_core::kubespray::prove`.
//!
//! No machine is needed and none is asked: Ansible is given a program that always fails for ssh.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context as _;
use lab_core::artifacts::lock::{Lock, Pinned, add_gpu_operator, lock as lock_of, resolved as resolved_from};
use lab_core::kubespray::events::{self, Event, Outcome};
use lab_core::kubespray::index::Index;
use lab_core::kubespray::prove;
use lab_core::kubespray::{AnsibleSettings, Setting, settings};
use serde::Serialize;

use crate::artifacts::lock::{self, RESOLVE};
use crate::cx::Cx;
use crate::failure::{Failure, FailureKind};
use crate::files::{self, PUBLIC};
use crate::inventory;
use crate::kubespray;
use crate::kubespray::checkout::{self, Checkout};
use crate::kubespray::environment::{self, Environment};
use crate::kubespray::source::{Pin, Request};
use crate::lab::Lab;
use crate::process::{Invocation, Output, invocation};
use crate::timeouts::PROOF_TIMEOUT;
use crate::wait::Deadline;

use super::access;
use super::ping::ansible;
use super::play::{self, Share};

/// The playbooks of ours that must be right for Kubespray.
const WRAPPER: &str = "deploy-cloud-cluster.yml";

/// What became of one thing that was to be proven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It holds.
    Proven,
    /// It does not.
    Refuted,
    /// It was not looked at.
    NotProven,
}

/// One thing that was to be proven.
#[derive(Debug, Clone, Serialize)]
pub struct Step {
    /// What it is about.
    pub name: &'static str,
    /// What became of it.
    pub verdict: Verdict,
    /// The findings, one sentence each.
    pub found: Vec<String>,
    /// How long it took.
    pub seconds: f64,
}

/// All that was to be proven, as `--json` prints it.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The cluster.
    pub cluster: String,
    /// The release of Kubespray that its file names.
    pub version: String,
    /// In the order in which they are printed.
    pub steps: Vec<Step>,
}

impl Report {
    /// Whether a step has this verdict.
    pub fn has(&self, verdict: &Verdict) -> bool {
        self.steps.iter().any(|step| step.verdict == *verdict)
    }

    /// The report for people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for step in &self.steps {
            let word = match step.verdict {
                Verdict::Proven => "ok",
                Verdict::Refuted => "FAILED",
                Verdict::NotProven => "NOT PROVEN",
            };
            let mut found = step.found.iter();
            let one = step.verdict != Verdict::Refuted;
            let first = if one { found.next().map_or("", String::as_str) } else { "" };
            let line = format!("{word:<11}{:<11}{:>6.1} s  {first}", step.name, step.seconds);
            text.push_str(line.trim_end());
            text.push('\n');
            for sentence in found {
                text.push_str(&format!("  {}\n", sentence.replace('\n', "\n  ")));
            }
        }
        text
    }
}

/// What every step needs.
struct Bench<'a> {
    cx: &'a Cx,
    lab: &'a Lab,
    settings: Vec<Setting>,
    /// Machines that stand for others.
    stands_for: BTreeMap<String, Vec<String>>,
    /// Rendered into a folder that goes with us.
    inventory: PathBuf,
    ansible_settings: PathBuf,
    _folder: tempfile::TempDir,
}

/// A checkout that can be used, and what keeps it.
struct Kubespray {
    pin: Pin,
    checkout: Checkout,
    environment: Environment,
    _share: Share,
}

/// What a step found: the sentence for one that holds, or what speaks against it.
type Found = anyhow::Result<Result<String, Vec<String>>>;

/// Proves the inventory of a cluster.
///
/// # Errors
/// When a program cannot be run to its end, or a checkout is not as it was fetched.
pub async fn check(cx: &Cx, lab: &Lab) -> anyhow::Result<Report> {
    let bench = bench(cx, lab)?;
    let request = Request::of_lab(lab)?;
    let report =
        |steps| Report { cluster: lab.spec.name.clone(), version: request.pin.version.clone(), steps };
    let Some(kubespray) = kubespray(cx, &request.pin).await? else {
        let listed = timed("inventory", list(&bench, ansible("ansible-inventory")?)).await?;
        let missing = format!(
            "Kubespray {} is not fetched, so nothing was asked of it; `cargo xtask kubespray fetch --cluster {}` fetches it",
            request.pin.version,
            lab.cluster_words(cx)
        );
        let unproven = ["syntax", "assertions", "artifacts"].map(|name| Step {
            name,
            verdict: Verdict::NotProven,
            found: vec![missing.clone()],
            seconds: 0.0,
        });
        return Ok(report([listed].into_iter().chain(unproven).collect()));
    };
    let ours = cx.layout.ansible().join("playbooks").join(WRAPPER);
    let theirs = kubespray.checkout.path.join("cluster.yml");
    let (listed, theirs, ours, asserted, resolved) = tokio::try_join!(
        timed("inventory", list(&bench, kubespray.environment.program("ansible-inventory"))),
        timed("syntax", syntax(&bench, &kubespray, &theirs)),
        timed("wrapper", syntax(&bench, &kubespray, &ours)),
        timed("assertions", assertions(&bench, &kubespray)),
        timed("artifacts", artifacts(&bench, &kubespray)),
    )?;
    Ok(report(vec![listed, theirs, ours, asserted, resolved]))
}

async fn timed(name: &'static str, step: impl Future<Output = Found>) -> anyhow::Result<Step> {
    let start = Instant::now();
    let (verdict, found) = match step.await? {
        Ok(sentence) => (Verdict::Proven, vec![sentence]),
        Err(sentences) => (Verdict::Refuted, sentences),
    };
    let seconds = (start.elapsed().as_secs_f64() * 10.0).round() / 10.0;
    Ok(Step { name, verdict, found, seconds })
}

/// Renders the inventory and Ansible's settings into a folder of their own.
fn bench<'a>(cx: &'a Cx, lab: &'a Lab) -> anyhow::Result<Bench<'a>> {
    let folder = tempfile::Builder::new().prefix("lab-check-").tempdir().context("cannot make a folder")?;
    let at = folder.path().join("inventory");
    let rendered = inventory::rendered(cx.layout.root(), &lab.spec, &lab.files, &at)?;
    inventory::write(&at, &rendered)?;
    let inside = |name: &str| folder.path().join(name).display().to_string();
    let ansible_settings = AnsibleSettings {
        inventory: at.join("inventory.ini").display().to_string(),
        folder: inside("ansible"),
        sockets: inside("cp"),
        ..access::ansible_settings(cx, lab)?
    };
    let place = folder.path().join("ansible/ansible.cfg");
    let text = ansible_settings.text().with_context(inventory::unsayable)?;
    files::write_atomic(&place, text.as_bytes(), PUBLIC)?;
    let version = &lab.spec.kubespray.version;
    let index = Index::known(version).with_context(|| format!("there is no index of Kubespray {version}"))?;
    let settings = settings(&lab.spec, &index);
    let stands_for = prove::representatives(&lab.spec, &settings);
    let inventory = at.join("inventory.ini");
    Ok(Bench { cx, lab, settings, stands_for, inventory, ansible_settings: place, _folder: folder })
}

/// The checkout and its environment where both are there.
async fn kubespray(cx: &Cx, pin: &Pin) -> anyhow::Result<Option<Kubespray>> {
    let Some(checkout) = checkout::find(cx, pin).await? else { return Ok(None) };
    let Some(environment) = environment::find(cx, &checkout)? else { return Ok(None) };
    let share = play::share(cx, &checkout, &environment)?;
    Ok(Some(Kubespray { pin: pin.clone(), checkout, environment, _share: share }))
}

impl Bench<'_> {
    /// A program of Ansible that reaches no machine.
    fn ansible(&self, program: &Path) -> Invocation {
        invocation(program)
            .env("ANSIBLE_CONFIG", &self.ansible_settings)
            // Ansible refuses a locale that is not UTF-8.
            .env("LC_ALL", "C.UTF-8")
            .env("ANSIBLE_STDOUT_CALLBACK", play::CALLBACK)
            // Nothing here may log in to a machine, living or not.
            .env("ANSIBLE_SSH_EXECUTABLE", "false")
            .arg("--inventory")
            .arg(&self.inventory)
    }

    async fn run(&self, program: &Invocation) -> anyhow::Result<Output> {
        Ok(program.output(&self.cx.cancel, Deadline::after(PROOF_TIMEOUT)).await?)
    }

    /// Runs a playbook for the machines that stand for all, and returns what happened.
    async fn play(&self, kubespray: &Kubespray, playbook: &Path) -> anyhow::Result<(Vec<Event>, Output)> {
        let machines: Vec<&str> = self.stands_for.keys().map(String::as_str).collect();
        let variables = serde_json::json!({ "lab_architecture": std::env::consts::ARCH });
        let program = self
            .ansible(&kubespray.environment.program("ansible-playbook"))
            .args(["--limit", &machines.join(",")])
            .args(["--extra-vars", &variables.to_string()])
            .arg(playbook);
        let output = self.run(&program).await?;
        let events = output.stdout.lines().filter_map(events::read).map(|line| line.event).collect();
        Ok((events, output))
    }

    /// `4 machines`, or `2 machines that stand for 4`.
    fn machines(&self) -> String {
        let (some, all) = (self.stands_for.len(), self.lab.spec.machines.len());
        let machines = |count: usize| format!("{count} {}", if count == 1 { "machine" } else { "machines" });
        if some == all { machines(all) } else { format!("{} that stand for {all}", machines(some)) }
    }
}

/// Compares Ansible's reading of the inventory with the intended one.
async fn list(bench: &Bench<'_>, program: PathBuf) -> Found {
    let output = bench.run(&bench.ansible(&program).arg("--list")).await?;
    let listed = serde_json::from_str(&output.stdout).ok().and_then(|printed| prove::listed(&printed));
    let Some(listed) = listed.filter(|_| output.status.success()) else {
        return Ok(Err(vec![format!("Ansible cannot read the inventory: {}", last_words(&output))]));
    };
    let folder = bench.inventory.parent().context("the inventory has no folder")?;
    let login = inventory::login(bench.cx.layout.root(), &bench.lab.files, folder)?;
    let meant = prove::meant(&bench.lab.spec, &bench.settings, &login);
    let differences = prove::differences(&meant, &listed);
    if differences.is_empty() {
        let variables = meant.machines.values().flat_map(BTreeMap::keys).count();
        let machines = meant.machines.len();
        return Ok(Ok(format!(
            "{machines} machines and their {variables} variables are read as they are meant"
        )));
    }
    // Of thousands of wrong machines a person reads only the first lines.
    const MOST: usize = 40;
    let mut findings: Vec<String> = differences.iter().take(MOST).map(ToString::to_string).collect();
    if differences.len() > MOST {
        findings.push(format!("and {} more", differences.len() - MOST));
    }
    Ok(Err(findings))
}

async fn syntax(bench: &Bench<'_>, kubespray: &Kubespray, playbook: &Path) -> Found {
    let variables = serde_json::json!({ "kubespray_checkout": kubespray.checkout.path });
    let program = bench
        .ansible(&kubespray.environment.program("ansible-playbook"))
        .args(["--syntax-check", "--extra-vars", &variables.to_string()])
        .arg(playbook);
    let output = bench.run(&program).await?;
    let name = playbook.file_name().unwrap_or_default().to_string_lossy();
    if output.status.success() {
        return Ok(Ok(format!("{name} with Kubespray {}", kubespray.pin.version)));
    }
    Ok(Err(vec![format!("{name}: {}", last_words(&output))]))
}

/// Kubespray's own assertions about an inventory.
async fn assertions(bench: &Bench<'_>, kubespray: &Kubespray) -> Found {
    let playbook = kubespray.checkout.path.join("playbooks/boilerplate.yml");
    let (events, output) = bench.play(kubespray, &playbook).await?;
    if output.status.success() {
        return Ok(Ok(format!("Kubespray's own hold for {}", bench.machines())));
    }
    Ok(Err(refused(bench, &events, &output)))
}

/// What speaks against the inventory in a run that failed.
fn refused(bench: &Bench<'_>, events: &[Event], output: &Output) -> Vec<String> {
    let mut failed = Vec::new();
    let mut findings = Vec::new();
    for event in events {
        match event {
            Event::Result { task, host, outcome: Outcome::Failed(failure), .. } if !failure.ignored => {
                failed.push((task.clone(), host.clone(), failure.clone()));
            }
            Event::Result { task, host, outcome: Outcome::Unreachable { message }, .. } => {
                findings.push(format!("{task} wanted to log in to {host}: {message}"));
            }
            _ => {}
        }
    }
    findings.extend(prove::refusals(&failed, &bench.settings).iter().map(ToString::to_string));
    if findings.is_empty() {
        findings.push(last_words(output));
    }
    findings
}

/// Works out everything that a deploy of a cluster will need, and writes its `artifacts.lock.json`. A Kubespray
/// that is not here is fetched if that `fetches` things anyway.
///
/// # Errors
/// When the cluster's Kubespray is not here and may not or cannot be fetched, or refuses the inventory.
pub async fn resolve(cx: &Cx, lab: &Lab, fetches: bool) -> anyhow::Result<Lock> {
    let request = Request::of_lab(lab)?;
    if fetches {
        kubespray::fetch(cx, &request).await?;
    }
    let Some(kubespray) = kubespray(cx, &request.pin).await? else {
        let message = format!(
            "what `{}` needs says Kubespray {}, which is not fetched",
            lab.spec.name, request.pin.version
        );
        let hint = format!("cargo xtask kubespray fetch --cluster {}", lab.cluster_words(cx));
        return Err(Failure::new(FailureKind::Host, message).hint(hint).into());
    };
    locked(&bench(cx, lab)?, &kubespray).await?.map_err(|found| {
        let message = format!("Kubespray cannot say what `{}` needs", lab.spec.name);
        let hint = format!("cargo xtask inventory check {}", lab.cluster_words(cx));
        anyhow::anyhow!(found.join("\n")).context(Failure::new(FailureKind::Checks, message).hint(hint))
    })
}

/// Everything that a deploy will need, written as `artifacts.lock.json`.
async fn artifacts(bench: &Bench<'_>, kubespray: &Kubespray) -> Found {
    let place = bench.lab.files.artifacts_lock();
    let shown = bench.cx.layout.shown(&place);
    let locked = locked(bench, kubespray).await?;
    Ok(locked.map(|lock| format!("{} files and {} images: {shown}", lock.files.len(), lock.images.len())))
}

/// The lock, or what speaks against the inventory.
async fn locked(bench: &Bench<'_>, kubespray: &Kubespray) -> anyhow::Result<Result<Lock, Vec<String>>> {
    let playbook = bench.cx.layout.ansible().join("playbooks").join(RESOLVE);
    let (events, output) = bench.play(kubespray, &playbook).await?;
    if !output.status.success() {
        return Ok(Err(refused(bench, &events, &output)));
    }
    let mut resolved = BTreeMap::new();
    for event in &events {
        if let Event::Result { host, outcome: Outcome::Ok { said }, .. } = event
            && let Some(found) = resolved_from(said)
        {
            resolved.insert(host.clone(), found);
        }
    }
    let pinned = Pinned { version: kubespray.pin.version.clone(), commit: kubespray.checkout.commit.clone() };
    let inputs = lock::inputs(bench.cx, bench.lab)?;
    let lock = lock_of(pinned, &inputs, &resolved, &bench.stands_for).and_then(|mut lock| {
        if let Some(wanted) = lock::of_gpu_operator(bench.lab) {
            add_gpu_operator(&mut lock, &resolved, &wanted.chart, &wanted.images)?;
        }
        Ok(lock)
    });
    let lock = match lock {
        Ok(lock) => lock,
        Err(error) => return Ok(Err(vec![error.to_string()])),
    };
    let place = bench.lab.files.artifacts_lock();
    let text = serde_json::to_string_pretty(&lock)? + "\n";
    files::write_if_changed(&place, text.as_bytes(), PUBLIC)?;
    Ok(Ok(lock))
}

/// The end of what a program said about its failure.
fn last_words(output: &Output) -> String {
    let text = if output.stderr.trim().is_empty() { &output.stdout } else { &output.stderr };
    let lines: Vec<&str> = text.trim().lines().filter(|line| !line.trim().is_empty()).collect();
    let said = lines[lines.len().saturating_sub(10)..].join("\n");
    if said.is_empty() { format!("it ended with {}", output.status) } else { said }
}

/// `inventory check`.
///
/// # Errors
/// As [`check`].
pub async fn run(cx: &Cx, lab: &Lab, require_checkout: bool, json: bool) -> anyhow::Result<()> {
    let report = check(cx, lab).await?;
    if json {
        crate::output::json(&report)?;
    } else {
        crate::output::print(report.text())?;
    }
    if report.has(&Verdict::Refuted) {
        let message = format!("the inventory of `{}` does not hold", report.cluster);
        return Err(Failure::new(FailureKind::Checks, message).into());
    }
    if require_checkout && report.has(&Verdict::NotProven) {
        let message = format!("not everything about the inventory of `{}` was proven", report.cluster);
        let hint = format!("cargo xtask kubespray fetch --cluster {}", lab.cluster_words(cx));
        return Err(Failure::new(FailureKind::Checks, message).hint(hint).into());
    }
    Ok(())
}
