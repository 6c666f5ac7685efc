//! A report in the XML that CI systems read: one suite for the phases, one for the checks.
//!
//! The shape is that of the Apache Ant task `junit`, as Jenkins, GitLab and GitHub's actions read it.

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use super::{Report, Verdict};

/// The XML of a report.
///
/// # Errors
/// Never in practice: it is written to memory.
pub fn junit(report: &Report) -> std::io::Result<String> {
    let phases: Vec<Case<'_>> = report
        .phases
        .iter()
        .map(|phase| Case {
            name: &phase.name,
            verdict: phase.verdict,
            seconds: phase.seconds,
            details: phase.message.clone().unwrap_or_default(),
        })
        .collect();
    let checks: Vec<Case<'_>> = report
        .checks
        .iter()
        .map(|check| Case {
            name: &check.id,
            verdict: check.verdict,
            seconds: check.seconds,
            details: check.details.join("\n"),
        })
        .collect();
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    writer
        .create_element("testsuites")
        .with_attribute(("name", report.cluster.as_str()))
        .write_inner_content(|writer| {
            suite(writer, &report.cluster, "phases", &phases)?;
            suite(writer, &report.cluster, "checks", &checks)
        })?;
    let mut text = String::from_utf8_lossy(&writer.into_inner()).into_owned();
    text.push('\n');
    Ok(text)
}

struct Case<'a> {
    name: &'a str,
    verdict: Verdict,
    seconds: f64,
    details: String,
}

fn suite(writer: &mut Writer<Vec<u8>>, cluster: &str, name: &str, cases: &[Case<'_>]) -> std::io::Result<()> {
    let count = |verdict| cases.iter().filter(|case| case.verdict == verdict).count().to_string();
    let seconds: f64 = cases.iter().map(|case| case.seconds).sum();
    writer
        .create_element("testsuite")
        .with_attributes([
            ("name", name),
            ("tests", cases.len().to_string().as_str()),
            ("failures", count(Verdict::Failed).as_str()),
            ("errors", "0"),
            ("skipped", count(Verdict::Skipped).as_str()),
            ("time", format!("{seconds:.3}").as_str()),
        ])
        .write_inner_content(|writer| cases.iter().try_for_each(|one| case(writer, cluster, name, one)))?;
    Ok(())
}

fn case(writer: &mut Writer<Vec<u8>>, cluster: &str, suite: &str, case: &Case<'_>) -> std::io::Result<()> {
    let element = writer.create_element("testcase").with_attributes([
        ("classname", format!("{cluster}.{suite}").as_str()),
        ("name", case.name),
        ("time", format!("{:.3}", case.seconds).as_str()),
    ]);
    // XML has no other control characters (Extensible Markup Language 1.0, section 2.2).
    let clean = |c: char| !c.is_control() || matches!(c, '\n' | '\t');
    let details: String = case.details.chars().filter(|c| clean(*c)).collect();
    let first = details.lines().next().unwrap_or_default().to_owned();
    match case.verdict {
        Verdict::Passed => drop(element.write_empty()?),
        Verdict::Failed => drop(element.write_inner_content(|writer| {
            let failure = writer.create_element("failure").with_attribute(("message", first.as_str()));
            failure.write_text_content(BytesText::new(&details)).map(drop)
        })?),
        Verdict::Skipped => drop(element.write_inner_content(|writer| {
            writer
                .create_element("skipped")
                .with_attribute(("message", first.as_str()))
                .write_empty()
                .map(drop)
        })?),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Outcome, Phase, VERSION};
    use super::*;

    fn report() -> Report {
        let check = |id: &str, verdict, details: &[&str]| Outcome {
            id: id.to_owned(),
            title: "Something is so".to_owned(),
            verdict,
            seconds: 1.5,
            details: details.iter().map(|text| (*text).to_owned()).collect(),
        };
        let phase = |name: &str, verdict, message: Option<&str>| Phase {
            name: name.to_owned(),
            verdict,
            seconds: 2.25,
            message: message.map(str::to_owned),
            inputs: None,
            restored: false,
            leaves: Vec::new(),
        };
        Report {
            version: VERSION,
            cluster: "quick".to_owned(),
            run: "20260101T000000Z-1".to_owned(),
            kubespray: "v2.30.0".to_owned(),
            kubernetes: Some("1.34.3".to_owned()),
            phases: vec![
                phase("up", Verdict::Passed, None),
                phase("down", Verdict::Skipped, Some("--keep was given")),
            ],
            checks: vec![
                check("nodes", Verdict::Passed, &["3 nodes"]),
                check(
                    "dns",
                    Verdict::Failed,
                    &["from `a` <b>: \u{1b}[31mDNS & more\u{1b}[0m", "from `c`: TIMEOUT"],
                ),
                check("top", Verdict::Skipped, &["the cluster file has no metrics-server"]),
            ],
            evidence: vec!["evidence/events.json".to_owned()],
        }
    }

    #[test]
    fn report_becomes_junit() {
        insta::assert_snapshot!(junit(&report()).unwrap());
    }

    #[test]
    fn report_is_good_when_nothing_failed_and_something_passed() {
        let mut report = report();
        assert!(!report.is_good());
        report.checks.remove(1);
        assert!(report.is_good());
        report.checks.remove(0);
        assert!(!report.is_good(), "a report with skips alone is not good");
    }
}
