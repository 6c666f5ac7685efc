//! Findings that a comment allows.

use super::*;

fn allowed(variables: &str) -> (Vec<String>, Vec<String>) {
    let report = judge(&[("inventory.ini", HOSTS), ("group_vars/all.yml", variables)], "v2.30.0");
    let reasons =
        report.allowed.iter().map(|allowed| format!("{}: {}", allowed.finding.code, allowed.reason));
    (short(&report), reasons.collect())
}

#[rstest]
#[case::on_the_line("own: 1 # lab:allow unknown-variable: ours", "", "unknown-variable: ours")]
#[case::above("# lab:allow unknown-variable: ours\nown: 1", "", "unknown-variable: ours")]
#[case::above_a_comment(
    "# lab:allow unknown-variable: ours\n# what it is for\n\nown: 1",
    "",
    "unknown-variable: ours"
)]
#[case::several(
    "# lab:allow version-format: a\n# lab:allow unsupported-version: b\nkube_version: v1.28.0",
    "",
    "version-format: a|unsupported-version: b"
)]
#[case::above_the_name(
    "# lab:allow removed-feature-gate: old\nkube_feature_gates:\n  - CSIMigration=true",
    "",
    "removed-feature-gate: old"
)]
#[case::at_the_item(
    "kube_feature_gates:\n  - CSIMigration=true # lab:allow removed-feature-gate: old",
    "",
    "removed-feature-gate: old"
)]
#[case::another_line(
    "# lab:allow unknown-variable: ours\nkube_log_level: 2\nown: 1",
    "unused-allowance 1|unknown-variable 3",
    ""
)]
#[case::another_code(
    "own: 1 # lab:allow removed-variable: ours",
    "unknown-variable 1|unused-allowance 1",
    ""
)]
#[case::without_a_reason("own: 1 # lab:allow unknown-variable", "unknown-variable 1|!bad-allowance 1", "")]
#[case::without_a_code("own: 1 # lab:allow : ours", "unknown-variable 1|!bad-allowance 1", "")]
#[case::misspelt("own: 1 # lab:allow unknwon-variable: ours", "unknown-variable 1|!bad-allowance 1", "")]
#[case::of_nothing("# lab:allow unknown-variable: ours\nkube_log_level: 2", "unused-allowance 1", "")]
#[case::no_comment("own: '# lab:allowed'", "unknown-variable 1", "")]
fn comments(#[case] variables: &str, #[case] left: &str, #[case] reasons: &str) {
    let (found, allowed) = allowed(variables);
    assert_eq!((found.join("|").as_str(), allowed.join("|").as_str()), (left, reasons));
}

#[test]
fn allowance_works_in_file_of_hosts() {
    let hosts = "; lab:allow even-etcd: for an hour\n[etcd]\na\nb\n[kube_control_plane]\na\nb\n[all:vars]\nown=1 # not a comment\n\
                 # lab:allow unknown-variable: ours\nother=1\n";
    let report = judge(&[("inventory.ini", hosts)], "v2.30.0");
    assert_eq!(short(&report), ["~unpinned-etcd-name 2", "unknown-variable 9"]);
    assert_eq!(report.allowed.len(), 2);
}

/// A finding about the whole file is allowed above its first line.
#[test]
fn finding_without_line_is_allowed_at_start() {
    let hosts = "# lab:allow no-control-plane: made later\n[kube_node]\na\n";
    let report = judge(&[("inventory.ini", hosts)], "v2.30.0");
    assert_eq!(short(&report), [""; 0]);
}
