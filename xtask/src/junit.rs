//! Reads the JUnit report that nextest writes.
//!
//! Only what nextest itself writes is understood: one `testcase` element per test, text escaped.

/// One test that ran.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// The binary's id: `lab-core`, `lab-tests::tools`.
    pub binary: String,
    /// `plan::tests::keeps_what_is_right`.
    pub name: String,
    /// Whether it failed, crashed or ran too long.
    pub failed: bool,
    /// How long it ran.
    pub seconds: f64,
}

/// Every test of a report, in its order.
pub fn cases(report: &str) -> Vec<Case> {
    report.split("<testcase ").skip(1).filter_map(case).collect()
}

fn case(text: &str) -> Option<Case> {
    let (tag, body) = text.split_once('>')?;
    let body = body.split("</testcase>").next().unwrap_or_default();
    let failed = !tag.ends_with('/') && (body.contains("<failure") || body.contains("<error"));
    let seconds = attribute(tag, "time").and_then(|time| time.parse().ok()).unwrap_or_default();
    Some(Case { binary: attribute(tag, "classname")?, name: attribute(tag, "name")?, failed, seconds })
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let start = format!("{name}=\"");
    let mut places = tag.match_indices(&start).map(|(place, _)| place);
    // `classname` ends with `name`: an attribute starts the tag or follows a space.
    let place = places.find(|place| *place == 0 || tag[..*place].ends_with(' '))?;
    let value = tag[place + start.len()..].split('"').next()?;
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
    Some(entities.iter().fold(value.to_owned(), |text, (entity, character)| text.replace(entity, character)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_nextest_writes() {
        let report = r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="nextest-run" tests="3" failures="1" errors="0" time="0.1">
    <testsuite name="lab-core" tests="2" disabled="0" errors="0" failures="1">
        <testcase name="plan::tests::a" classname="lab-core" timestamp="2026" time="0.007">
        </testcase>
        <testcase name="plan::tests::b" classname="lab-core" timestamp="2026" time="0.007">
            <failure type="test failure">thread &apos;b&apos; panicked</failure>
            <system-out>&lt;failure&gt;</system-out>
        </testcase>
    </testsuite>
    <testsuite name="lab-tests::tools" tests="1" disabled="0" errors="0" failures="0">
        <testcase name="says_&lt;failure&gt;" classname="lab-tests::tools" time="1"/>
    </testsuite>
</testsuites>"#;
        let actual: Vec<_> =
            cases(report).into_iter().map(|case| (case.binary, case.name, case.failed)).collect();
        let expected = [
            ("lab-core", "plan::tests::a", false),
            ("lab-core", "plan::tests::b", true),
            ("lab-tests::tools", "says_<failure>", false),
        ];
        assert_eq!(actual, expected.map(|(binary, name, failed)| (binary.into(), name.into(), failed)));
        assert_eq!(cases("not a report"), []);
    }
}
