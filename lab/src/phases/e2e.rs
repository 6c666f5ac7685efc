//! `e2e`: from a cluster file to a verdict and back to nothing: prepare, up, deploy, validate, destroy; what a nightly job runs.
//!
//! Leaves `report.json` and `junit.xml` in the run's folder, and evidence beside them where something failed. A lab that
//! was there before is used and stays; one that a killed run left goes.

use std::path::{Path, PathBuf};

use lab_core::libvirt_xml::Acceleration;
use lab_core::phases::Range;
use lab_core::report::{Phase, Verdict, counts};
use lab_core::spec::ImageSpec;

use crate::cluster::deployed::deployed;
use crate::cluster::kubectl;
use crate::cx::Cx;
use crate::deploy::DeployOptions;
use crate::deploy::prepare::{self, Needs};
use crate::failure::{Failure, FailureKind};
use crate::files::{self, SECRET};
use crate::host::acceleration;
use crate::lab::{Lab, Reached, reach, running};
use crate::process::Invocation;
use crate::timeouts::EVIDENCE_TIMEOUT;
use crate::wait::Deadline;
use crate::{image, output};

use super::{E2E, END, Options, Run, carry_out, destroy, record};

/// How many lines of a journal are kept.
const LINES: &str = "2000";

/// The default cluster of virtual machines, and that of containers.
const VIRTUAL: &str = "dev";
const CONTAINERS: &str = "quick";

/// The cluster of a run that names none: virtual machines with a kernel of their own where KVM proves to work and
/// everything that they need is here, else containers.
///
/// # Errors
/// When neither can be opened.
pub async fn default(cx: &Cx) -> anyhow::Result<Lab> {
    // The chosen machines need the image anyway, and KVM is proven by booting it.
    let image = image::ensure(cx, &ImageSpec::Debian13, cx.layout.root()).await?;
    let decision = acceleration::decide(cx, Some(&image)).await?;
    let (cluster, why) = if decision.kind == Acceleration::Kvm {
        let lab = Lab::open(cx, VIRTUAL)?;
        match prepare::needs(cx, &lab).await {
            Ok(Needs { missing: 0, .. }) => {
                (VIRTUAL, "KVM works, and all of its artefacts are here".to_owned())
            }
            Ok(Needs { wanted, missing }) => {
                (CONTAINERS, format!("{missing} of the {wanted} artefacts of `{VIRTUAL}` are missing"))
            }
            Err(error) => (CONTAINERS, format!("it is not known what `{VIRTUAL}` needs: {error:#}")),
        }
    } else {
        (CONTAINERS, format!("virtual machines are run by {}", decision.words))
    };
    cx.progress.note(&format!("no cluster was named: this runs `{cluster}`, because {why}"));
    Lab::open(cx, cluster)
}

/// Those of a verdict: it is about a deploy that was made, not about one that was kept, and the lab goes.
pub fn options(options: Options) -> Options {
    let deploy = DeployOptions { fresh: true, keep: false, ..options.deploy };
    Options { deploy, new_machines: true, all_checks: true, stays: false, ..options }
}

/// Runs everything, with the report on standard output where `json` asks for it. With `keep` the lab stays.
///
/// # Errors
/// When a phase or a check failed, after the report was written.
pub async fn run(
    cx: &Cx,
    lab: &Lab,
    options: Options,
    range: &Range,
    keep: bool,
    json: bool,
) -> anyhow::Result<()> {
    // A run that was killed left a lab that no other command has used since.
    let mark = lab.files.of_e2e();
    let was_there = lab.state()?.is_some() && !mark.is_file();
    if !was_there {
        files::private_folder(&lab.files.folder)?;
        files::write_atomic(&mark, b"", SECRET)?;
    }
    let (folder, mut report) = record::begin(lab);
    let run = Run::of_lab(cx, lab, options);
    let done = carry_out(&run, E2E, range, None, Some(&mut report.phases)).await;
    report.checks = run.checks();
    report.kubernetes = deployed(lab)?.map(|deployed| deployed.kubernetes);
    if done.is_err() {
        cx.progress.note("collecting evidence");
        report.evidence = collect(cx, lab, &folder).await;
    }
    let why_kept = match (keep, was_there) {
        (true, _) => Some("--keep was given"),
        (_, true) => Some("the lab was there before"),
        _ => None,
    };
    let mut gone = Ok(());
    match why_kept {
        Some(why) => {
            report.phases.push(Phase::skipped(destroy::PHASE.name, why));
            lab.stays()?;
        }
        None => gone = carry_out(&run, END, &Range::default(), None, Some(&mut report.phases)).await,
    }
    record::write(lab, &folder, &report)?;
    if json {
        output::json(&report)?;
    }
    let shown = cx.layout.shown(&folder);
    cx.progress.note(&format!("{}; the report is in {shown}", counts(&report.checks)));
    let has_failed = report.checks.iter().any(|check| check.verdict == Verdict::Failed);
    if !has_failed {
        done?;
    }
    gone?;
    let is_judged = range.why_not(E2E.len() - 1).is_none();
    anyhow::ensure!(
        !is_judged || report.is_good(),
        Failure::new(FailureKind::Checks, format!("the cluster `{}` is not as it must be", lab.spec.name))
            .hint(format!(
                "{shown}/report.json holds the findings, {shown}/evidence the output of the machines"
            ))
    );
    Ok(())
}

/// Collects evidence of a failure, as far as it is available, without secrets. Returns the paths below the run's folder.
async fn collect(cx: &Cx, lab: &Lab, folder: &Path) -> Vec<String> {
    let mut kept = Vec::new();
    let secrets = lab.secrets();
    let mut keep = |name: String, text: &str| {
        let path = PathBuf::from("evidence").join(&name);
        if files::write_atomic(&folder.join(&path), secrets.redacted(text).as_bytes(), SECRET).is_ok() {
            kept.push(path.display().to_string());
        }
    };
    for machine in &lab.spec.machines {
        let of = lab.files.machine(&machine.name);
        for (what, path) in [("console.log", of.console()), ("domain.xml", of.domain())] {
            if let Ok(bytes) = std::fs::read(path) {
                keep(format!("{}-{what}", machine.name), &String::from_utf8_lossy(&bytes));
            }
        }
    }
    let Ok(reached) = running(cx, lab).await else { return kept };
    for machine in &lab.spec.machines {
        let words = ["--", "sudo", "journalctl", "--no-pager", "--output", "short-iso", "--lines", LINES];
        if let Some(text) = output_of(cx, &reached, &reach::ssh(lab, &machine.name).args(words)).await {
            keep(format!("{}-journal.log", machine.name), &text);
        }
    }
    for what in ["nodes", "pods", "events"] {
        let words = ["get", what, "--all-namespaces", "--output", "json"];
        let Ok(program) = kubectl::invocation(cx, lab, words) else { break };
        if let Some(text) = output_of(cx, &reached, &program).await {
            keep(format!("{what}.json"), &text);
        }
    }
    kept
}

async fn output_of(cx: &Cx, reached: &Reached, program: &Invocation) -> Option<String> {
    let output = reached.inside(program).output(&cx.cancel, Deadline::after(EVIDENCE_TIMEOUT)).await.ok()?;
    output.status.success().then_some(output.stdout)
}
