//! `cargo xtask doctor`: what this computer can do, and how to mend what it cannot.
//!
//! Changes nothing, needs no network, and works before anything is installed. The probes themselves
//! are a table of functions over a [`Host`], so that whole computers can be made up in tests.

pub mod kvm;
mod leftovers;
mod probes;
mod shared;

use std::fmt::Write as _;

use crate::cx::Cx;
use crate::failure::Failure;
use crate::flags;
use crate::folders::Folders;
use crate::host::Host;
use crate::json::Json;

/// The finding of a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its meaning for labs.
    pub status: Status,
    /// One line for people.
    pub text: String,
    /// How to mend it. None where nothing is wrong.
    pub fix: Option<Fix>,
}

/// The meaning of a finding for labs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// As it should be.
    Good,
    /// Labs work, with less speed or fewer features.
    Note,
    /// Labs do not work.
    Missing,
}

/// How to mend something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fix {
    /// `cargo xtask setup` does it.
    Setup,
    /// A command to be pasted.
    Command(String),
    /// Something that only a person can do.
    Advice(&'static str),
}

impl Finding {
    fn good(text: impl Into<String>) -> Self {
        Self { status: Status::Good, text: text.into(), fix: None }
    }

    fn note(text: impl Into<String>, fix: Option<Fix>) -> Self {
        Self { status: Status::Note, text: text.into(), fix }
    }

    fn missing(text: impl Into<String>, fix: Fix) -> Self {
        Self { status: Status::Missing, text: text.into(), fix: Some(fix) }
    }
}

impl Fix {
    fn text(&self) -> &str {
        match self {
            Self::Setup => "cargo xtask setup",
            Self::Command(command) => command,
            Self::Advice(advice) => advice,
        }
    }
}

impl flags::Doctor {
    /// Prints the table or its JSON; fails when something is missing that labs need.
    pub fn run(self, cx: &Cx) -> anyhow::Result<()> {
        let findings = examine(&Host::real(), &cx.folders);
        if self.json {
            println!("{}", json(&findings));
        } else {
            print!("{}", table(&findings));
        }
        let missing = missing(&findings);
        if missing.is_empty() {
            return Ok(());
        }
        let message = format!("this computer is not ready for labs: {}", missing.join(", "));
        Err(Failure { code: crate::failure::HOST, message, hint: None }.into())
    }
}

/// Findings with the names of their probes, in the order of the table.
type Findings = Vec<(&'static str, Finding)>;

fn examine(host: &Host, folders: &Folders) -> Findings {
    probes::PROBES.iter().map(|(name, probe)| (*name, probe(host, folders))).collect()
}

fn missing(findings: &Findings) -> Vec<&'static str> {
    findings.iter().filter(|(_, finding)| finding.status == Status::Missing).map(|(name, _)| *name).collect()
}

/// The table, and after it what to paste.
fn table(findings: &Findings) -> String {
    let width = findings.iter().map(|(_, finding)| finding.text.chars().count()).max().unwrap_or(0);
    let mut table = format!("        {:<18}  {:<width$}  FIX\n", "PROBE", "FINDING");
    for (name, finding) in findings {
        let status = match finding.status {
            Status::Good => "ok",
            Status::Note => "note",
            Status::Missing => "MISSING",
        };
        let fix = finding.fix.as_ref().map_or("", Fix::text);
        let line = format!("{status:<7} {name:<18}  {:<width$}  {fix}", finding.text);
        table += line.trim_end();
        table.push('\n');
    }
    let mut commands: Vec<&str> = Vec::new();
    for fix in findings.iter().filter_map(|(_, finding)| finding.fix.as_ref()) {
        if !matches!(fix, Fix::Advice(_)) && !commands.contains(&fix.text()) {
            commands.push(fix.text());
        }
    }
    if !commands.is_empty() {
        table += "\nTo mend what commands can mend, paste:\n\n";
        for command in commands {
            let _ = writeln!(table, "  {command}");
        }
        table.push('\n');
    }
    if missing(findings).is_empty() {
        table += "This computer is ready for labs.\n";
    }
    table
}

fn json(findings: &Findings) -> Json {
    let probes = findings.iter().map(|(name, finding)| {
        let status = match finding.status {
            Status::Good => "ok",
            Status::Note => "note",
            Status::Missing => "missing",
        };
        Json::Object(vec![
            ("name", Json::Text((*name).into())),
            ("status", Json::Text(status.into())),
            ("finding", Json::Text(finding.text.clone())),
            ("fix", Json::optional(finding.fix.as_ref().map(Fix::text))),
        ])
    });
    Json::Object(vec![
        ("ready", Json::Bool(missing(findings).is_empty())),
        ("probes", Json::List(probes.collect())),
    ])
}

#[cfg(test)]
mod tests;
