//! Indexes: those built in are those of the real releases, and anything but Kubespray is refused.

use std::fs;
use std::path::Path;

use lab_core::kubespray::index::{Index, known_text, write};
use lab_tests::kubespray::{TAGS, clone};
use lab_tests::{Checkout, needs, redact};
use rstest::rstest;

fn index(checkout: &Checkout, words: &[&str]) -> lab_tests::Run {
    checkout.lab(&["kubespray", "index"]).args(words)
}

#[test]
fn built_in_indexes_match_real_releases() {
    needs!(Kubespray);
    let checkout = Checkout::new();
    for tag in TAGS {
        let kubespray = clone(tag);
        let file = checkout.root().join("index.json");
        let words = [kubespray.path(), Path::new("--write"), &file];
        let said = index(&checkout, &[]).args(words).answer().ok();
        assert_eq!(
            (said.stdout.as_str(), said.stderr.as_str()),
            ("", ""),
            "every file of {tag} is read whole"
        );
        let made = fs::read_to_string(&file).unwrap();
        let known = known_text(tag).unwrap();
        let differs = made.lines().zip(known.lines()).find(|(made, known)| made != known);
        assert!(
            made == known,
            "the index of {tag} is not what a checkout gives; make it again with \
             `cargo xtask kubespray index CHECKOUT --write lab/core/src/kubespray/indexes/{tag}.json`; \
             first difference: {differs:?}"
        );
    }
}

#[test]
fn index_names_line_of_damaged_file_and_writes_nothing() {
    needs!(Kubespray);
    let checkout = Checkout::new();
    let kubespray = clone("v2.30.0");
    let folder = kubespray.path().to_str().unwrap();
    let broken = kubespray.path().join("roles/kubernetes/node/defaults/main.yml");
    let text = fs::read_to_string(&broken).unwrap();
    fs::write(&broken, format!("{text}\nbroken: [\n")).unwrap();

    let said = index(&checkout, &[folder, "--json"]).answer().ok();
    let lines = text.lines().count();
    let expected = format!("roles/kubernetes/node/defaults/main.yml:{}: not valid YAML", lines + 2);
    assert!(said.stderr.contains(&expected), "{said}");
    let made: Index = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(made.version, "v2.30.0-dirty");
    assert_eq!(write(&made), said.stdout);
    let known = Index::known("v2.30.0").unwrap();
    assert!(made.variables.len() < known.variables.len());

    let file = checkout.root().join("index.json");
    let said = index(&checkout, &[folder, "--write", file.to_str().unwrap()]).answer().code(2);
    assert!(said.stderr.contains("the index is not written"), "{said}");
    assert!(!file.exists());

    // Without its history it is still Kubespray, only its commit is not known.
    fs::write(&broken, text).unwrap();
    fs::remove_dir_all(kubespray.path().join(".git")).unwrap();
    let said = index(&checkout, &[folder, "--json"]).answer().ok();
    let made: Index = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(made, Index { commit: None, ..known });
}

#[rstest]
#[case::nearest_release("nearest-release", &["index", "v2.31"])]
#[case::nowhere("nowhere", &["index", "./not/there"])]
#[case::another_project("another-project", &["index", "inventories"])]
#[case::a_file("a-file", &["index", "file"])]
#[case::variable_in_front("variable-in-front", &["index", "calico_mtu"])]
#[case::misspelt_variable("misspelt-variable", &["index", "v2.30.0", "kube_networkplugin"])]
#[case::removed_variable("removed-variable", &["index", "v2.31.0", "ingress_nginx_enabled"])]
#[case::difference_to_nothing("difference-to-nothing", &["diff", "v2.30.0", "v2.32.0"])]
#[case::difference_for_unknown_cluster("difference-for-unknown-cluster", &["diff", "v2.30.0", "v2.31.0", "--cluster", "unknown"])]
fn unknown_argument_is_refused_with_hint(#[case] name: &str, #[case] words: &[&str]) {
    let checkout = Checkout::new();
    fs::write(checkout.root().join("file"), "").unwrap();
    let said = checkout.lab(&["kubespray"]).args(words).answer().code(2);
    assert_eq!(said.stdout, "");
    redact::settings(&checkout.root().display().to_string()).bind(|| {
        insta::assert_snapshot!(name.to_owned(), said.stderr);
    });
}

#[test]
fn diff_shows_changes_that_a_cluster_uses() {
    let checkout = Checkout::new();
    let cluster = "apiVersion: lab/v1alpha1\nkind: Cluster\nname: quick\nkubespray:\n  version: v2.30.0\n  variables:\n    \
        k8s_cluster:\n      ingress_nginx_enabled: true\nmachines:\n  - name: one\n    roles: [control-plane, worker]\n";
    checkout.write("quick", cluster);
    let words = ["kubespray", "diff", "v2.30.0", "v2.31.0", "--cluster", "quick"];
    let said = checkout.lab(&words).answer().ok();
    let expected = "ingress_nginx_enabled: true  removed: nothing reads it any more";
    assert!(said.stdout.contains(expected), "{said}");

    let answer = checkout.lab(&words).arg("--json").answer().ok().json();
    assert_eq!(answer["kubernetes"]["to"], serde_json::json!(["1.33.0", "1.35.4"]));
    assert_eq!(answer["cluster"]["name"], "quick");
    let uses = answer["cluster"]["uses"].as_array().unwrap();
    assert!(
        uses.iter()
            .any(|one| one["variable"] == "ingress_nginx_enabled" && one["effect"]["kind"] == "removed")
    );
}
