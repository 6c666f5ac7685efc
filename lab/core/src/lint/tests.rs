use std::fmt::Write as _;
use std::sync::LazyLock;

use proptest::prelude::*;
use rstest::rstest;

use crate::kubespray::index::known_tags;
use crate::kubespray::read::Entry;
use crate::kubespray::{TAGS, settings};

use super::*;

mod allowances;
mod clusters;
mod floods;
mod rules;

/// An inventory that is right in every way.
const HOSTS: &str = "\
[kube_control_plane]
one ip=192.0.2.11

[etcd]
one

[kube_node]
two ip=192.0.2.12
three ip=192.0.2.13

[k8s_cluster:children]
kube_control_plane
kube_node
";

/// Every known index, read once.
static KNOWN: LazyLock<Vec<Index>> = LazyLock::new(|| known_tags().filter_map(Index::known).collect());

fn others() -> Vec<Index> {
    KNOWN.clone()
}

fn known(tag: &str) -> &'static Index {
    KNOWN.iter().find(|index| index.version == tag).unwrap()
}

/// Reads an inventory from its files, the first of which is that of the hosts.
fn read(files: &[(&str, &str)]) -> Inventory {
    let source = |path: &str, text: &str| SourceFile { path: path.to_owned(), text: text.to_owned() };
    let mut reading = read::hosts(source(files[0].0, files[0].1));
    let mut entries: Vec<Entry> = Vec::new();
    for (path, _) in &files[1..] {
        for (at, _) in path.match_indices('/').skip(1) {
            entries.push(Entry { path: path[..at].to_owned(), is_folder: true });
        }
        entries.push(Entry { path: (*path).to_owned(), is_folder: false });
    }
    let wanted = reading.wanted(&entries, "");
    let files = wanted.into_iter().map(|wanted| {
        let text = files.iter().find(|(path, _)| *path == wanted.path).unwrap().1;
        (wanted.scope, source(&wanted.path, text), read::variables(text))
    });
    reading.finish(files.collect::<Vec<_>>())
}

fn judge(files: &[(&str, &str)], tag: &str) -> Report {
    inventory(read(files), &Kubespray { index: known(tag), others }, &Options::default())
}

/// The findings for a file that sets variables for everybody, as `code line`.
fn found(variables: &str, tag: &str) -> Vec<String> {
    short(&judge(&[("inventory.ini", HOSTS), ("group_vars/all/all.yml", variables)], tag))
}

/// The findings, as `code line`, an error with `!`, a note with `~`.
fn short(report: &Report) -> Vec<String> {
    let line = |finding: &Finding| {
        let mark = match finding.severity {
            Severity::Error => "!",
            Severity::Warning => "",
            Severity::Note => "~",
        };
        format!("{mark}{} {}", finding.code, finding.line)
    };
    report.findings.iter().map(line).collect()
}

/// The files of `tests/fixtures/original-plan`.
fn original_plan() -> [(&'static str, &'static str); 2] {
    [
        ("inventory.ini", include_str!("../../../../tests/fixtures/original-plan/inventory.ini")),
        (
            "group_vars/all/cloud-cluster.yml",
            include_str!("../../../../tests/fixtures/original-plan/group_vars/all/cloud-cluster.yml"),
        ),
    ]
}

/// Everything that `kubespray.md` says of the original plan's variables is found.
#[rstest]
#[case("v2.29.0")]
#[case("v2.29.1")]
#[case("v2.30.0")]
#[case("v2.31.0")]
fn original_plan_has_expected_findings(#[case] tag: &str) {
    insta::assert_snapshot!(format!("original_plan_{tag}"), judge(&original_plan(), tag).render(false));
}

#[test]
fn right_inventory_has_no_findings() {
    for tag in TAGS {
        assert_eq!(judge(&[("inventory.ini", HOSTS)], tag).findings, [], "{tag}");
    }
}

#[test]
fn documentation_is_up_to_date() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/lint.md");
    let expected = codes::documentation();
    // The same switch as for snapshots, which it is one of.
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        std::fs::write(&path, &expected).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == expected, "docs/lint.md is out of date: run this test with INSTA_UPDATE=always");
}

#[test]
fn every_code_of_the_lint_is_explained_once() {
    let mut explained: Vec<Code> = codes::EXPLANATIONS
        .iter()
        .flat_map(|(_, chapter)| *chapter)
        .map(|explanation| explanation.code)
        .collect();
    let count = explained.len();
    explained.sort_unstable();
    explained.dedup();
    assert_eq!(explained.len(), count);
    for code in Code::ALL.iter().filter(|code| code.is_of_lint()) {
        assert!(codes::explanation(*code).is_some(), "{code} is not explained");
    }
}

/// A rule that no case fires is unproven.
#[test]
fn every_code_of_the_lint_is_in_a_case() {
    let cases = [
        include_str!("tests/rules.rs"),
        include_str!("tests/allowances.rs"),
        include_str!("tests/clusters.rs"),
        include_str!("../kubespray/read/snapshots/lab_core__kubespray__read__tests__mistakes_unread.snap"),
        include_str!("../kubespray/read/snapshots/lab_core__kubespray__read__tests__mistakes_ini.snap"),
    ];
    for code in Code::ALL.iter().filter(|code| code.is_of_lint()) {
        assert!(cases.iter().any(|case| case.contains(code.as_str())), "{code}");
    }
}

#[test]
fn code_is_explained_by_name() {
    insta::assert_snapshot!(codes::explain("dropped-addon").unwrap());
    let (message, hint) = codes::explain("droped-addon").unwrap_err();
    assert_eq!(
        (message.as_str(), hint.as_str()),
        ("there is no code `droped-addon`", "did you mean `dropped-addon`?")
    );
}

#[test]
fn report_becomes_json() {
    let variables = "kube_verison: 1.34.3\n# lab:allow removed-variable: for an older cluster\netcd_cert_dir_mode: '0700'\n";
    let report = judge(&[("inventory.ini", HOSTS), ("group_vars/all.yml", variables)], "v2.30.0");
    insta::assert_snapshot!(serde_json::to_string_pretty(&report.json(Some("v2.30.0"))).unwrap());
}

#[test]
fn report_becomes_sarif() {
    let variables = "kube_verison: 1.34.3\n# lab:allow removed-variable: for an older cluster\netcd_cert_dir_mode: '0700'\n\
                     kube_pods_subnet: 10.96.0.0/16\nkube_service_addresses: 10.96.0.0/12\n";
    let report = judge(
        &[("inventory.ini", HOSTS), ("group_vars/all files.yml", ""), ("group_vars/all.yml", variables)],
        "v2.30.0",
    );
    insta::assert_snapshot!(serde_json::to_string_pretty(&sarif(&report, "1.2.3")).unwrap());
}

/// The invariants of every report.
fn try_out(files: &[(&str, &str)]) {
    for tag in ["v2.29.0", "v2.31.0"] {
        let report = judge(files, tag);
        for finding in report.findings.iter().chain(report.allowed.iter().map(|allowed| &allowed.finding)) {
            let Span { start, end } = finding.span;
            let file = &report.files[finding.file];
            assert!(file.text.get(start..end).is_some(), "{finding:?} of {files:?}");
            assert!(!finding.message.contains('\n') && !finding.message.ends_with('.'), "{finding:?}");
            assert!(finding.line <= file.text.split('\n').count().max(1), "{finding:?}");
        }
        assert_eq!(report.render(false).is_empty(), report.findings.is_empty());
        let counts = &report.json(Some(tag))["findings"];
        assert_eq!(counts.as_array().map(Vec::len), Some(report.findings.len()));
        let results = &sarif(&report, "")["runs"][0]["results"];
        assert_eq!(results.as_array().map(Vec::len), Some(report.findings.len() + report.allowed.len()));
    }
}

#[test]
fn any_line_of_the_plan_may_be_another() {
    let [hosts, (path, text)] = original_plan();
    let lines: Vec<&str> = text.lines().collect();
    for at in 0..lines.len() {
        let name = lines[at].split(':').next().unwrap_or_default();
        for other in [
            "",
            "[]",
            "{}",
            "7",
            "-1.5",
            "yes",
            "~",
            "'é'",
            "\"{{ x }}\"",
            "[[], {a: 1}, 3, 'b=c']",
            "{a: {b: [1]}}",
        ] {
            let changed = format!("{name}: {other}");
            let text = [&lines[..at], &[changed.as_str()], &lines[at + 1..]].concat().join("\n");
            try_out(&[hosts, (path, &text)]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_values_are_answered(
        texts in proptest::collection::vec(any::<String>(), 12), numbers in proptest::collection::vec(any::<i64>(), 6),
        version in "v?[0-9]{0,3}(\\.[0-9]{0,12}){0,4}[-+a-z]{0,3}", net in "[0-9a-f:.]{0,12}/?[0-9]{0,4}",
        gate in "[A-Za-z= ]{0,12}", comment in "#? ?;? ?lab:allow ?[a-z-]{0,16}:? ?[a-z]{0,4}",
    ) {
        const TEXTS: [&str; 12] = [
            "kube_version", "kube_network_plugin", "calico_mtu", "node_taints", "kube_service_addresses", "nodelocaldns_ip",
            "helm_enabled", "containerd_version", "ip", "ansible_password", "etcd_member_name", "ansible_ssh_args",
        ];
        const NUMBERS: [&str; 6] = [
            "kube_network_node_prefix", "kubelet_max_pods", "calico_pool_blocksize", "calico_mtu", "kube_version", "kube_read_only_port",
        ];
        let mut text = String::new();
        for (name, value) in TEXTS.iter().zip(&texts) {
            writeln!(text, "{name}: {} {comment}", serde_json::Value::from(value.as_str())).unwrap();
        }
        let mut other = format!("kube_version: {version}\ncalico_version: '{version}'\nkube_pods_subnet: {net}\nkube_service_addresses: '{net}'\n\
            kube_feature_gates: ['{gate}', {gate}]\n{comment}\nkube_network_plugin: flannel\n");
        for (name, value) in NUMBERS.iter().zip(&numbers) {
            writeln!(other, "{name}: {value}").unwrap();
        }
        try_out(&[("inventory.ini", HOSTS), ("group_vars/all.yml", &text), ("group_vars/k8s_cluster.yml", &other)]);
    }
}
