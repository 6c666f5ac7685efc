//! The record of a run: `report.json` and `junit.xml` in its folder, without secrets.

use std::path::{Path, PathBuf};

use lab_core::report::{Report, VERSION, junit};

use crate::files::{self, SECRET};
use crate::lab::{Lab, run_id};

/// The folder of a run that begins, and its report.
pub fn begin(lab: &Lab) -> (PathBuf, Report) {
    let folder = lab.files.runs().join(run_id());
    let report = Report {
        version: VERSION,
        cluster: lab.spec.name.clone(),
        run: folder.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        kubespray: lab.spec.kubespray.version.clone(),
        kubernetes: None,
        phases: Vec::new(),
        checks: Vec::new(),
        evidence: Vec::new(),
    };
    (folder, report)
}

/// Writes a report.
///
/// # Errors
/// When a file cannot be written.
pub fn write(lab: &Lab, folder: &Path, report: &Report) -> anyhow::Result<()> {
    let secrets = lab.secrets();
    for (name, text) in
        [("report.json", serde_json::to_string_pretty(report)? + "\n"), ("junit.xml", junit(report)?)]
    {
        files::write_atomic(&folder.join(name), secrets.redacted(&text).as_bytes(), SECRET)?;
    }
    Ok(())
}
