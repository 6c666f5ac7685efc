//! The lint against Kubespray itself: its sample inventory and the variables of its own test cases give no false alarm.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use lab_core::kubespray::index::{Index, known_tags};
use lab_core::kubespray::read::{self, Entry};
use lab_core::lint::{self, Kubespray, Options, Report};
use lab_core::source::{Severity, SourceFile};
use lab_tests::kubespray::{TAGS, clone};
use lab_tests::{Checkout, needs};

/// Findings in the variables of Kubespray's own test cases, and why they are true: code, variable, the tags in
/// which it is there (all where there is none), the reason.
#[rustfmt::skip] // One line a finding reads as the table it is.
const REVIEWED: &[(&str, &str, &[&str], &str)] = &[
    ("unknown-variable", "cloud_image", &[], "read by the playbooks of the tests, tests/cloud_playbooks, and by nothing of Kubespray"),
    ("unknown-variable", "cluster_layout", &[], "the same"),
    ("unknown-variable", "mode", &[], "the same"),
    ("unknown-variable", "vm_memory", &[], "the same"),
    ("unknown-variable", "sonobuoy_enabled", &[], "read by tests/testcases"),
    ("unknown-variable", "skip_non_kubeadm_warning", &[], "read by nothing: a warning that is long gone"),
    ("unknown-variable", "network_plugin", &[], "read by nothing: kube_network_plugin is meant"),
    ("unknown-variable", "containerd_registries", &["v2.29.0", "v2.29.1", "v2.30.0"], "read by nothing: containerd_registries_mirrors took its place"),
    ("dropped-addon", "ingress_nginx_enabled", &["v2.31.0"], "v2.31.0 has no ingress-nginx any more"),
    ("removed-variable", "ipip", &[], "Calico's role refuses it, and these cases say that they switch its asserts off for that"),
    ("ignored-asserts", "ignore_assert_errors", &[], "these cases run on systems that Kubespray refuses"),
    ("weak-authentication", "kube_token_auth", &[], "this case tries tokens in a file"),
];

/// Two machines that are right in every way.
const HOSTS: &str = "\
[kube_control_plane]
node1 ip=192.0.2.11 etcd_member_name=etcd1
[etcd]
node1
[kube_node]
node2 ip=192.0.2.12
[k8s_cluster:children]
kube_control_plane
kube_node
";

fn others() -> Vec<Index> {
    known_tags().filter_map(Index::known).collect()
}

/// Checks an inventory of a file of hosts and some files of variables.
fn check(hosts: &str, files: &[(String, String)], index: &Index) -> Report {
    let mut reading = read::hosts(SourceFile { path: "inventory.ini".to_owned(), text: hosts.to_owned() });
    let mut entries = BTreeSet::new();
    for (path, _) in files {
        for (at, _) in path.match_indices('/').skip(1) {
            entries.insert(Entry { path: path[..at].to_owned(), is_folder: true });
        }
        entries.insert(Entry { path: path.clone(), is_folder: false });
    }
    let wanted = reading.wanted(&entries.into_iter().collect::<Vec<_>>(), "");
    assert_eq!(wanted.len(), files.len(), "every file is read");
    let read = wanted.into_iter().map(|wanted| {
        let text = files.iter().find(|(path, _)| *path == wanted.path).unwrap().1.clone();
        let variables = read::variables(&text);
        (wanted.scope, SourceFile { path: wanted.path, text }, variables)
    });
    let inventory = reading.finish(read.collect::<Vec<_>>());
    lint::inventory(inventory, &Kubespray { index, others }, &Options::default())
}

/// Every YAML file below a folder, as `PREFIX/…`.
fn files(folder: &Path, prefix: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = format!("{prefix}/{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            found.extend(files(&entry.path(), &path));
        } else {
            found.push((path, fs::read_to_string(entry.path()).unwrap()));
        }
    }
    found.sort();
    found
}

#[test]
fn sample_inventory_has_no_findings() {
    needs!(Kubespray);
    for tag in TAGS {
        let index = Index::known(tag).unwrap();
        let kubespray = clone(tag);
        let sample = kubespray.path().join("inventory/sample");
        let variables = files(&sample.join("group_vars"), "group_vars");
        assert!(variables.len() > 20, "{tag} has {} files", variables.len());
        let report = check(HOSTS, &variables, &index);
        assert!(report.findings.is_empty(), "{tag}:\n{}", report.render(false));
        // As it comes, all its machines are comments, and that is all that is wrong.
        let hosts = fs::read_to_string(sample.join("inventory.ini")).unwrap();
        let report = check(&hosts, &variables, &index);
        let codes: Vec<_> = report.findings.iter().map(|finding| finding.code.as_str()).collect();
        assert_eq!(codes, ["no-control-plane"], "{tag}");
    }
}

#[test]
fn kubesprays_test_cases_give_no_false_alarm() {
    needs!(Kubespray);
    let mut table = String::new();
    for tag in TAGS {
        let index = Index::known(tag).unwrap();
        let kubespray = clone(tag);
        let mut found: BTreeMap<(String, String), usize> = BTreeMap::new();
        let (mut cases, mut variables) = (0, 0);
        for entry in fs::read_dir(kubespray.path().join("tests/files")).unwrap().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if !name.ends_with(".yml") {
                continue;
            }
            let text = fs::read_to_string(entry.path()).unwrap();
            cases += 1;
            variables += text.lines().filter(|line| line.starts_with(|c: char| c.is_alphabetic())).count();
            let report = check(HOSTS, &[(format!("group_vars/all/{name}"), text)], &index);
            for finding in &report.findings {
                assert_ne!(finding.severity, Severity::Note, "{finding:?}");
                let place = finding.anchor.unwrap_or_else(|| panic!("{name}: {finding:?}"));
                let variable = &report.files[place.file].text[place.span.start..place.span.end];
                *found.entry((finding.code.to_string(), variable.to_owned())).or_default() += 1;
            }
        }
        table += &format!("{tag}: {cases} cases, {variables} variables\n");
        for ((code, variable), count) in &found {
            table += &format!("  {count:3} {code} {variable}\n");
        }
        let reviewed: BTreeSet<(String, String)> = REVIEWED
            .iter()
            .filter(|(_, _, tags, _)| tags.is_empty() || tags.contains(&tag))
            .map(|(code, variable, ..)| ((*code).to_owned(), (*variable).to_owned()))
            .collect();
        let found: BTreeSet<_> = found.into_keys().collect();
        let wrong: Vec<_> = found.difference(&reviewed).collect();
        assert!(wrong.is_empty(), "{tag}: found, and not reviewed: {wrong:?}");
        let gone: Vec<_> = reviewed.difference(&found).collect();
        assert!(gone.is_empty(), "{tag}: reviewed, and not found: {gone:?}");
    }
    insta::assert_snapshot!(table);
}

/// A checkout serves in place of a tag, and says the same.
#[test]
fn check_gives_same_answer_for_checkout_and_release() {
    needs!(Kubespray);
    let checkout = Checkout::new();
    let plan = lab_tests::checkout::real_root().join("tests/fixtures/original-plan");
    let kubespray = clone("v2.29.1");
    let ask = |against: &Path| {
        let words = [Path::new("--inventory"), &plan, Path::new("--kubespray"), against, Path::new("--json")];
        checkout.lab(&["check"]).args(words).answer().code(2).json()
    };
    assert_eq!(ask(kubespray.path()), ask(Path::new("v2.29.1")));
}
