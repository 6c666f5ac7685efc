//! `check`: reads a cluster file or an inventory, has it judged, prints the findings. Changes nothing.

pub mod measure;

use std::path::{Path, PathBuf};

use lab_core::host::HostFacts;
use lab_core::kubespray::index::{Index, known_tags};
use lab_core::kubespray::{DEFAULT_RELEASE, settings};
use lab_core::lint::{self, Kubespray, Options, Report};
use lab_core::source::{Finding, Severity, SourceFile};
use lab_core::spec::{ClusterSpec, HostSpec};

use crate::cx::Cx;
use crate::failure::{Failure, FailureKind};
use crate::files::{self, PUBLIC};
use crate::host::facts;
use crate::kubespray::{index, read};
use crate::lab::{self, Lab};
use crate::output;

/// How findings are reported.
#[derive(Debug, Clone)]
pub struct ReportOptions {
    /// As JSON on standard output.
    pub json: bool,
    /// As SARIF into this file; `-` is standard output.
    pub sarif: Option<PathBuf>,
    /// Whether warnings count as errors.
    pub strict: bool,
}

/// What Kubespray would refuse of a lab whose file is right by itself: errors of the lint that the file does not
/// allow.
///
/// # Errors
/// When the file cannot be read, or there is no such Kubespray.
pub async fn refused(cx: &Cx, lab: &Lab) -> anyhow::Result<Report> {
    let (source, checked) = lab::read(cx, &lab.cluster_file)?;
    let index = index::of(cx, Path::new(&lab.spec.kubespray.version)).await?.index;
    let facts = facts::collect(cx.layout.root());
    let mut report = judge(source, checked.findings, &lab.spec, &index, &facts, &Options::default());
    report.findings.retain(|finding| finding.severity == Severity::Error);
    Ok(report)
}

/// Finds out before anything is done whether Kubespray would take the cluster.
///
/// # Errors
/// When it would not.
pub async fn refuse(cx: &Cx, lab: &Lab) -> anyhow::Result<()> {
    let refused = refused(cx, lab).await?;
    if refused.findings.is_empty() {
        return Ok(());
    }
    let words = lab.cluster_words(cx);
    Err(Failure::new(FailureKind::Plan, "Kubespray would refuse this cluster")
        .hint(format!("`cargo xtask check {words}` says why"))
        .into())
}

/// The findings in a cluster file and in its rendered inventory.
fn judge(
    source: SourceFile,
    checked: Vec<Finding>,
    spec: &ClusterSpec,
    index: &Index,
    facts: &HostFacts,
    options: &Options,
) -> Report {
    let judged = Kubespray { index, others };
    let linted = lint::cluster(source.clone(), spec, &settings(spec, index), &judged, Some(facts), options);
    Report::cluster(checked, linted, source)
}

/// Checks a cluster file, and what it renders to. `kubespray`: another one than the file names. Returns whether it is right.
///
/// # Errors
/// When the file cannot be read, or there is no such Kubespray.
pub async fn cluster(
    cx: &Cx,
    cluster: &str,
    kubespray: Option<&Path>,
    options: &Options,
    reporting: &ReportOptions,
) -> anyhow::Result<bool> {
    let path = lab::cluster_file(cx, cluster)?;
    let (source, checked) = lab::read(cx, &path)?;
    let Some(spec) = &checked.spec else {
        let report = Report::cluster(checked.findings, Vec::new(), source);
        return print_report(&report, None, reporting, None);
    };
    let what = kubespray.unwrap_or(Path::new(&spec.kubespray.version));
    let index = index::of(cx, what).await?.index;
    let facts = facts::collect(cx.layout.root());
    let report = judge(source, checked.findings, spec, &index, &facts, options);
    let host = if spec.host == HostSpec::Embedded { "the embedded host" } else { "a libvirt" };
    let right = format!(
        "`{}` is right: {} on {host}, Kubespray {}",
        report.files[0].path,
        counted(spec.machines.len(), "machine"),
        index.version
    );
    print_report(&report, Some(&index.version), reporting, Some(&right))
}

/// Checks an inventory that no cluster file rendered. Returns whether it is right.
///
/// # Errors
/// When a file cannot be read, or there is no such Kubespray.
pub async fn inventory(
    cx: &Cx,
    given: &Path,
    kubespray: Option<&Path>,
    options: &Options,
    reporting: &ReportOptions,
) -> anyhow::Result<bool> {
    let index = index::of(cx, kubespray.unwrap_or(Path::new(DEFAULT_RELEASE))).await?.index;
    let path = given.to_owned();
    let read = cx.blocking(move || read::inventory(&path)).await?;
    let (hosts, files) = (read.groups.hosts().len(), read.files.len());
    let report = lint::inventory(read, &Kubespray { index: &index, others }, options);
    let right = format!(
        "`{}` is right for Kubespray {}: {} in {}",
        given.display(),
        index.version,
        counted(hosts, "machine"),
        counted(files, "file")
    );
    print_report(&report, Some(&index.version), reporting, Some(&right))
}

/// `1 machine`, `2 machines`.
fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// What a code means.
///
/// # Errors
/// When there is none like it.
pub fn explain(code: &str) -> anyhow::Result<()> {
    match lint::codes::explain(code) {
        Ok(text) => output::print(text),
        Err((message, hint)) => Err(Failure::new(FailureKind::Usage, message).hint(hint).into()),
    }
}

/// Every Kubespray that is known without a checkout.
fn others() -> Vec<Index> {
    known_tags().filter_map(Index::known).collect()
}

/// Prints a report, and returns whether it is good. `right`: what to say where there is nothing to mend.
fn print_report(
    report: &Report,
    kubespray: Option<&str>,
    reporting: &ReportOptions,
    right: Option<&str>,
) -> anyhow::Result<bool> {
    let (errors, warnings) = (report.count(Severity::Error), report.count(Severity::Warning));
    let bad = errors > 0 || (reporting.strict && warnings > 0);
    let to_output = reporting.sarif.as_deref() == Some(Path::new("-"));
    if let Some(path) = &reporting.sarif {
        let sarif = lint::sarif(report, env!("CARGO_PKG_VERSION"));
        if to_output {
            output::json(&sarif)?;
        } else {
            files::write_atomic(path, format!("{sarif:#}\n").as_bytes(), PUBLIC)?;
        }
    }
    if reporting.json {
        output::json(&report.json(kubespray))?;
    } else if !to_output {
        output::print(report.render(output::is_coloured(&std::io::stdout())))?;
        match right.filter(|_| errors == 0) {
            Some(right) if report.findings.is_empty() && report.allowed.is_empty() => output::line(right)?,
            Some(right) => output::line(format_args!("{right}; {}", report.summary()))?,
            None => output::line(report.summary())?,
        }
    }
    Ok(!bad)
}
