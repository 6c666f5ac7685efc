//! A report as SARIF 2.1.0, for programs that show findings beside the code.

use serde_json::{Value, json};

use crate::source::{Code, Finding, Severity, SourceFile, Span};

use super::codes::{self, Explanation};
use super::report::Report;

/// Where the schema is published that the text fits.
const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// The whole text. `version`: that of this program.
pub fn sarif(report: &Report, version: &str) -> Value {
    let mut used: Vec<Code> = report
        .findings
        .iter()
        .chain(report.allowed.iter().map(|allowed| &allowed.finding))
        .map(|finding| finding.code)
        .collect();
    used.sort_unstable();
    used.dedup();
    let mut results: Vec<Value> =
        report.findings.iter().map(|finding| result(finding, report, &used)).collect();
    for allowed in &report.allowed {
        let mut value = result(&allowed.finding, report, &used);
        value["suppressions"] = json!([{ "kind": "inSource", "justification": allowed.reason }]);
        results.push(value);
    }
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "lab",
                "version": version,
                "rules": used.iter().map(|code| rule(*code)).collect::<Value>(),
            } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn rule(code: Code) -> Value {
    let mut rule = json!({ "id": code.as_str(), "shortDescription": { "text": code.summary() } });
    if let Some(Explanation { why, mend, .. }) = codes::explanation(code) {
        rule["fullDescription"] = json!({ "text": why });
        rule["help"] = json!({ "text": mend });
    }
    rule
}

fn result(finding: &Finding, report: &Report, used: &[Code]) -> Value {
    let mut text = finding.message.clone();
    if let Some(hint) = &finding.hint {
        text = format!("{text}. Hint: {hint}");
    }
    let mut value = json!({
        "ruleId": finding.code.as_str(),
        "ruleIndex": used.binary_search(&finding.code).unwrap_or_default(),
        "level": match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        },
        "message": { "text": text },
        "locations": [location(report.files.get(finding.file), finding.span, (finding.line, finding.column))],
    });
    if !finding.related.is_empty() {
        let related = finding.related.iter().map(|related| {
            let mut place =
                location(report.files.get(related.file), related.span, (related.line, related.column));
            place["message"] = json!({ "text": related.message });
            place
        });
        value["relatedLocations"] = related.collect();
    }
    if let Some(source) = &finding.source {
        value["properties"] = json!({ "source": source });
    }
    value
}

fn location(file: Option<&SourceFile>, span: Span, (line, column): (usize, usize)) -> Value {
    let path = file.map_or("", |file| file.path.as_str());
    let inside = file.and_then(|file| file.text.get(span.start..span.end)).unwrap_or_default();
    // A span is on one line.
    let end = column + inside.chars().count();
    json!({ "physicalLocation": {
        "artifactLocation": { "uri": uri(path) },
        "region": { "startLine": line, "startColumn": column, "endColumn": end },
    } })
}

/// A path as a reference: relative ones stay relative.
fn uri(path: &str) -> String {
    let mut uri = String::new();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    if path.starts_with('/') { format!("file://{uri}") } else { uri }
}
