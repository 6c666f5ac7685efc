//! No text is too strange: nothing panics, and findings point into the text.

use proptest::prelude::*;

use super::*;

/// Checks and renders, and checks the invariants of every result.
fn try_out(text: &str) -> Checked {
    let source = source(text);
    let checked = check(&source, None);
    let errors = checked.findings.iter().any(|finding| finding.severity == Severity::Error);
    assert_eq!(checked.spec.is_none(), errors, "a spec exactly without errors: {text:?}");
    for finding in &checked.findings {
        let Span { start, end } = finding.span;
        assert!(text.get(start..end).is_some(), "a span inside the text: {finding:?} of {text:?}");
        assert!(finding.line >= 1 && finding.column >= 1);
        assert!(finding.line <= text.split('\n').count(), "{finding:?} of {text:?}");
        assert!(!finding.message.contains('\n') && !finding.message.ends_with('.'), "{finding:?}");
    }
    let rendered = render(&checked.findings, &source, false);
    assert_eq!(rendered.is_empty(), checked.findings.is_empty());
    checked
}

fn dev() -> String {
    std::fs::read_to_string(inventories().join("dev/cluster.yaml")).unwrap()
}

#[test]
fn cluster_file_may_end_anywhere() {
    let text = dev();
    for end in (0..=text.len()).filter(|end| text.is_char_boundary(*end)) {
        try_out(&text[..end]);
    }
}

#[test]
fn any_line_may_be_missing_or_there_twice() {
    let text = dev();
    let lines: Vec<&str> = text.lines().collect();
    for at in 0..lines.len() {
        try_out(&[&lines[..at], &lines[at + 1..]].concat().join("\n"));
        try_out(&[&lines[..=at], &lines[at..]].concat().join("\n"));
    }
}

#[test]
fn any_word_may_be_another() {
    let text = dev();
    let words: Vec<&str> = text.split_inclusive([' ', '\n']).collect();
    for at in 0..words.len() {
        for other in [
            "[", "{", "- ", "*x ", "&x ", "null", "7 ", "true\n", "\t", "|\n", "é: ", "\"", "!!int ",
            "\u{feff}",
        ] {
            try_out(&[&words[..at], &[other], &words[at + 1..]].concat().concat());
        }
    }
}

#[test]
fn byte_order_mark_and_windows_line_ends_are_read() {
    let text = format!("\u{feff}{}", SMALLEST.replace('\n', "\r\n"));
    assert_eq!(spec(&text), spec(SMALLEST));
    let wrong = check(&source(&text.replace("apiVersion", "apiversion")), None).findings;
    assert_eq!((wrong[0].line, wrong[0].column), (1, 1));
}

#[test]
fn aliases_cannot_make_a_small_file_large() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let inner = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb += &format!("a{level}: &a{level} [{inner}]\n");
    }
    let findings = try_out(&bomb).findings;
    assert_eq!(findings[0].code, Code::Syntax);
}

#[rstest]
#[case("[")]
#[case("{a: ")]
#[case("- ")]
#[case("? ")]
fn nesting_has_a_limit(#[case] opening: &str) {
    let findings = try_out(&opening.repeat(20_000)).findings;
    assert_eq!(findings.len(), 1);
}

#[test]
fn five_thousand_machines_are_read() {
    let mut text = SMALLEST.replace("machines:", "network: {subnet: 10.0.0.0/16}\nmachines:");
    for number in 0..5_000 {
        text += &format!("  - name: machine-{number}\n    labels: {{zone: a, rack: r{number}}}\n");
    }
    let spec = spec(&text);
    assert_eq!(spec.machines.len(), 5_002);
    assert_eq!(spec.machines[5_001].address.to_string(), "10.0.19.147");
}

/// Thousands of mistakes are found in one go, and some of each kind are shown. `each` is repeated with a number for
/// its `%`.
#[rstest]
#[case::unknown_keys("", "key%: 1\n", 20_000)]
#[case::unknown_keys_of_machines("", "  - {name: m%, rolez: [worker]}\n", 20_000)]
#[case::one_address("", "  - {name: m%, address: 10.0.0.9}\n", 19_999)]
#[case::bad_names_in_one_line("    labels: {", "a%: 'b c', ", 20_000)]
#[case::own_variables_twice("kubespray:\n  variables:\n    all:\n", "      own: %\n", 19_999)]
fn check_counts_thousands_of_mistakes(#[case] head: &str, #[case] each: &str, #[case] findings: usize) {
    let many: String = (0..20_000).map(|number| each.replace('%', &number.to_string())).collect();
    let tail = if head.ends_with('{') { "}\n" } else { "" };
    let source = source(&format!("network: {{subnet: 10.0.0.0/8}}\n{SMALLEST}{head}{many}{tail}"));
    let checked = check(&source, None);
    let shown = render(&checked.findings, &source, false);
    assert_eq!(checked.findings.len(), findings, "{shown}");
    assert!(shown.lines().count() < 500 && shown.contains(&format!("and {} more", findings - 20)), "{shown}");
}

#[test]
fn check_refuses_too_many_values() {
    let text = SMALLEST.to_owned() + "    labels: {" + &"a: b, ".repeat(130_000) + "}\n";
    let findings = try_out(&text).findings;
    assert_eq!(findings[0].message, "not valid YAML: more than 250,000 values");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_answered(text in any::<String>()) {
        try_out(&text);
    }

    #[test]
    fn any_yaml_like_text_is_answered(text in "([a-z]{1,3}: |- |\\[|\\]|\\{|\\}|, |\n|  |'|\"|#|&a |\\*a |1|true|~|é|:|\\||>|%|@|`|!x ){0,60}") {
        try_out(&text);
    }

    #[test]
    fn any_values_are_answered(
        name in any::<String>(), size in any::<String>(), address in any::<String>(), number in any::<i64>(),
        taint in "[a-z=:/. ]{0,12}", gpu in "[0-9a-f:.]{0,14}",
    ) {
        let text = |text: &str| serde_json::Value::from(text).to_string();
        let machine = format!(
            "    memory: {}\n    address: {}\n    cpus: {number}\n    taints: [{}]\n    gpus: [{{address: {}}}]\n",
            text(&size), text(&address), text(&taint), text(&gpu)
        );
        try_out(&(SMALLEST.replace("two", &text(&name)) + &machine));
    }
}
