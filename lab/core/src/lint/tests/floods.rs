//! Thousands of mistakes: some of each kind are shown, all are in the formats for programs, and no work grows faster
//! than the file.

use super::*;

/// A file of variables for everybody beside hosts that are right.
fn with_variables(variables: &str) -> Report {
    judge(&[("inventory.ini", HOSTS), ("group_vars/all/all.yml", variables)], "v2.31.0")
}

/// One line of text for each number.
fn lines(count: usize, line: impl Fn(usize) -> String) -> String {
    (0..count).map(|number| line(number) + "\n").collect()
}

#[test]
fn report_shows_some_of_each_code_and_severity_and_counts_the_others() {
    let own = lines(60, |number| format!("homelab_{number}: 1"));
    let misspelt: String = ('a'..='z').map(|letter| format!("kube_log_leve{letter}l: 2\n")).collect();
    let report = with_variables(&format!("{own}{misspelt}unsafe_show_logs: true\n"));
    let text = report.render(false);
    for (start, count) in [
        ("warning[unknown-variable]: Kubespray", 20),
        ("error[unknown-variable]: Kubespray", 20),
        ("warning[shown-secrets]: ", 1),
        ("warning[unknown-variable]: and 40 more; `check --json` lists all of them", 1),
        ("error[unknown-variable]: and 6 more; `check --json` lists all of them", 1),
    ] {
        assert_eq!(text.lines().filter(|line| line.starts_with(start)).count(), count, "{start}:\n{text}");
    }
    assert_eq!(report.summary(), "26 errors, 61 warnings");
    assert_eq!(report.json(None)["findings"].as_array().unwrap().len(), 87);
    assert_eq!(sarif(&report, "")["runs"][0]["results"].as_array().unwrap().len(), 87);
}

/// How many lines, values or sections a large file has.
const MANY: usize = 20_000;

/// With each of these shapes, some work once grew with the square of the file: every finding looked through the whole
/// file, or through every other finding, variable or group. `each` is repeated with a number for its `%`.
#[rustfmt::skip] // One line a shape reads as the table it is.
#[rstest]
#[case::own_names("group_vars/all.yml", "", "homelab_%: 1\n", "", MANY)]
#[case::own_names_in_one_line("group_vars/all.json", "{", "\"homelab_%\": 1, ", "\"kube_log_level\": 2}", MANY)]
#[case::allowed("group_vars/all.yml", "", "# lab:allow unknown-variable: ours\nhomelab_%: 1\n", "", 0)]
#[case::allowed_elsewhere("group_vars/all.yml", "", "# lab:allow bad-label: ours\nhomelab_%: 1\n", "", 2 * MANY)]
#[case::labels("group_vars/all.yml", "node_labels:\n", "  \"o/k%/\": x\n", "", MANY)]
#[case::gates("group_vars/all.yml", "kube_feature_gates:\n", "  - Own%=true\n", "", MANY)]
#[case::same_address("inventory.ini", HOSTS, "n% ip=192.0.2.11\n", "", MANY)]
#[case::names_of_machines("inventory.ini", HOSTS, "[kube_node]\nN_%\n", "", MANY)]
#[case::empty_groups("inventory.ini", HOSTS, "[g%]\n[g%:vars]\nkube_log_level=2\n", "", MANY)]
#[case::missing_groups("inventory.ini", HOSTS, "[g%:children]\nh%\n", "", MANY)]
#[case::merged("group_vars/all.yml", "x: &x {kube_log_level: 2}\ny:\n  <<: *x\n", "  key%: 1\n", "", 2)]
fn lint_judges_large_files(
    #[case] path: &str, #[case] head: &str, #[case] each: &str, #[case] tail: &str, #[case] findings: usize,
) {
    let many: String = (0..MANY).map(|number| each.replace('%', &number.to_string())).collect();
    let text = format!("{head}{many}{tail}");
    let report = match path {
        "inventory.ini" => judge(&[(path, &text)], "v2.31.0"),
        _ => judge(&[("inventory.ini", HOSTS), (path, &text)], "v2.31.0"),
    };
    let shown = report.render(false);
    assert_eq!(report.findings.len(), findings, "{shown}");
    assert!(shown.lines().count() < 500, "{shown}");
}

#[test]
fn report_shows_the_place_of_a_long_line() {
    let long = format!(
        "{{\"x\": \"{}\", \"homelab\": 1, \"kube_log_level\": 1, \"kube_log_level\": 2}}",
        "é".repeat(5_000)
    );
    let report = judge(&[("inventory.ini", HOSTS), ("group_vars/all.json", &long)], "v2.31.0");
    insta::assert_snapshot!(report.render(false));
}

#[test]
fn report_shows_distant_places_separately() {
    let between = lines(1_000, |number| format!("# {number}"));
    let report = with_variables(&format!("kube_log_level: 1\n{between}kube_log_level: 2\n"));
    insta::assert_snapshot!(report.render(false));
}

#[test]
fn lint_points_at_parts_of_thousands_of_values() {
    let hosts =
        lines(5_000, |number| format!("      n{number}: {{node_labels: {{rack: r{number}, gpu: true}}}}"));
    let text = format!(
        "all:\n  children:\n    kube_control_plane: {{hosts: {{n0: }}}}\n    etcd: {{hosts: {{n0: }}}}\n    kube_node:\n     hosts:\n{hosts}"
    );
    let report = judge(&[("hosts.yaml", &text)], "v2.31.0");
    let labels: Vec<&Finding> =
        report.findings.iter().filter(|finding| finding.code == Code::BadLabel).collect();
    assert_eq!(labels.len(), 5_000);
    assert!(labels.iter().all(|finding| &text[finding.span.start..finding.span.end] == "true"));
}

/// The names of the files are not each compared with all hosts.
#[test]
fn lint_counts_thousands_of_files_of_other_hosts() {
    let hosts = HOSTS.to_owned() + "[kube_node]\n" + &lines(3_000, |number| format!("node-{number:04}"));
    let paths: Vec<String> = (0..3_000).map(|number| format!("host_vars/nodes-{number:04}.yml")).collect();
    let stray = paths.iter().map(|path| (path.as_str(), "kube_log_level: 2\n"));
    let files: Vec<(&str, &str)> = std::iter::once(("inventory.ini", hosts.as_str())).chain(stray).collect();
    let report = judge(&files, "v2.31.0");
    assert_eq!(report.findings.len(), 3_000);
    assert!(
        report.findings[0].hint.as_deref() == Some("did you mean `node-0000`?"),
        "{:?}",
        report.findings[0]
    );
    assert!(report.render(false).contains("warning[unread-file]: and 2980 more"));
}
