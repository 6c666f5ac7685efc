//! The report of a check, without allowed findings: as text, as JSON.

use std::collections::HashSet;
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::source::{Code, Finding, Related, Severity, SourceFile, Span, render_files};

use super::allow;

/// A finding that the file allows.
#[derive(Debug, Clone, PartialEq)]
pub struct Allowed {
    /// The findings.
    pub finding: Finding,
    /// Why it is right.
    pub reason: String,
}

/// The report of a check.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The files, by the numbers that findings name.
    pub files: Vec<SourceFile>,
    /// In the order of the files and their lines.
    pub findings: Vec<Finding>,
    /// In the same order.
    pub allowed: Vec<Allowed>,
}

impl Report {
    pub(super) fn new(findings: crate::source::Findings, files: Vec<SourceFile>) -> Self {
        let findings = findings.finish_files(|file| &files[file].text);
        Self::of(findings, files, |_| true)
    }

    /// A report of findings in one cluster file: those that were found when it was checked, and those of the lint.
    /// Errors of the first kind cannot be allowed: without a valid value in its place, there is no lab.
    pub fn cluster(checked: Vec<Finding>, linted: Vec<Finding>, source: SourceFile) -> Self {
        let fixed: HashSet<(Code, Span)> = checked
            .iter()
            .filter(|finding| finding.severity == Severity::Error)
            .map(|finding| (finding.code, finding.span))
            .collect();
        let mut findings = checked;
        findings.extend(linted);
        findings.sort_by_key(|finding| finding.span);
        Self::of(findings, vec![source], |finding| !fixed.contains(&(finding.code, finding.span)))
    }

    fn of(mut findings: Vec<Finding>, files: Vec<SourceFile>, allowable: impl Fn(&Finding) -> bool) -> Self {
        let allowed = allow::apply(&mut findings, &files, allowable);
        findings.sort_by_key(|finding| (finding.file, finding.span));
        let allowed = allowed.into_iter().map(|(finding, reason)| Allowed { finding, reason }).collect();
        Self { files, findings, allowed }
    }

    /// How many findings are this bad.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }

    /// Every finding with its lines. With `color`, for a terminal.
    pub fn render(&self, color: bool) -> String {
        render_files(&self.findings, &self.files, color)
    }

    /// `2 errors, 1 warning, 1 allowed`; `nothing found` where there is nothing.
    pub fn summary(&self) -> String {
        let counts = [
            (self.count(Severity::Error), "error", "errors"),
            (self.count(Severity::Warning), "warning", "warnings"),
            (self.count(Severity::Note), "note", "notes"),
            (self.allowed.len(), "allowed", "allowed"),
        ];
        let mut text = String::new();
        for (count, one, several) in counts.into_iter().filter(|(count, ..)| *count > 0) {
            let comma = if text.is_empty() { "" } else { ", " };
            let _ = write!(text, "{comma}{count} {}", if count == 1 { one } else { several });
        }
        if text.is_empty() { "nothing found".to_owned() } else { text }
    }

    /// Everything, for a script. `kubespray`: the version that was judged against, if it came to that.
    pub fn json(&self, kubespray: Option<&str>) -> Value {
        let allowed = self.allowed.iter().map(|allowed| {
            let mut value = self.finding(&allowed.finding);
            value["reason"] = json!(allowed.reason);
            value
        });
        json!({
            "kubespray": kubespray,
            "counts": {
                "errors": self.count(Severity::Error),
                "warnings": self.count(Severity::Warning),
                "notes": self.count(Severity::Note),
                "allowed": self.allowed.len(),
            },
            "findings": self.findings.iter().map(|finding| self.finding(finding)).collect::<Value>(),
            "allowed": allowed.collect::<Value>(),
        })
    }

    fn finding(&self, finding: &Finding) -> Value {
        let path = |file: usize| self.files.get(file).map(|file| file.path.as_str());
        let related = |related: &Related| {
            json!({
                "file": path(related.file),
                "line": related.line,
                "column": related.column,
                "message": related.message,
            })
        };
        json!({
            "file": path(finding.file),
            "line": finding.line,
            "column": finding.column,
            "code": finding.code,
            "severity": finding.severity,
            "message": finding.message,
            "hint": finding.hint,
            "source": finding.source,
            "related": finding.related.iter().map(related).collect::<Value>(),
        })
    }
}
