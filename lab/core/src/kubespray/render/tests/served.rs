//! The settings of a living lab's machines for its own servers.

use super::*;

fn served() -> Served {
    Served {
        files: "http://192.168.200.1:8080".to_owned(),
        registry: Some("https://192.168.200.1:5000".to_owned()),
        registries: ["docker.io", "registry.k8s.io", "mirror.example.com:5000"].map(str::to_owned).into(),
        own_builds: vec![
            OwnBuild {
                name: "kubelet".to_owned(),
                version: Some("1.34.3".to_owned()),
                sha256: "ab".repeat(32),
            },
            OwnBuild { name: "calico_crds".to_owned(), version: None, sha256: "cd".repeat(32) },
        ],
    }
}

/// A spec with variables of the user's own.
fn with(variables: Value) -> ClusterSpec {
    let mut spec = fixtures::spec();
    spec.kubespray.variables = serde_json::from_value(variables).unwrap();
    spec
}

/// The text and the notes, as one.
fn file_text(spec: &ClusterSpec, served: &Served) -> String {
    let ArtifactsFile { text, notes } = artifacts_file(spec, served);
    let notes: Vec<String> = notes.iter().map(|note| format!("note: {note}")).collect();
    format!("{text}{}", notes.join("\n"))
}

#[test]
fn machines_get_files_registries_and_own_builds() {
    insta::assert_snapshot!(file_text(&fixtures::spec(), &served()));
}

#[test]
fn variables_of_user_win_with_note() {
    let spec = with(json!({
        "all": {
            "github_url": "http://mine.example.com",
            "containerd_registries_mirrors": [
                {"prefix": "docker.io", "mirrors": [{"host": "https://hub.example.com", "capabilities": ["pull"]}]},
            ],
        },
        "k8s_cluster": {"kubelet_binary_checksum": "sha256:00"},
    }));
    insta::assert_snapshot!(file_text(&spec, &served()));
}

#[rstest]
#[case::mirrors(json!({}), Some("https://mirror.example.com/k8s"), true, "in place of mirrors.files")]
#[case::no_registry(json!({}), None, false, "the lab's own file server")]
#[case::other_engine(json!({"all": {"container_manager": "crio"}}), None, true, "note: only containerd gets the lab's registry, and this cluster has crio")]
#[case::template(json!({"all": {"containerd_registries_mirrors": "{{ mine }}"}}), None, true, "note: kubespray.variables.all.containerd_registries_mirrors wins over the lab's own")]
fn artifacts_file_notes_differences(
    #[case] variables: Value,
    #[case] mirror: Option<&str>,
    #[case] registry: bool,
    #[case] expected: &str,
) {
    let mut spec = with(variables);
    spec.mirrors.files = mirror.map(str::to_owned);
    let served = Served { registry: served().registry.filter(|_| registry), ..served() };
    let text = file_text(&spec, &served);
    assert!(text.contains(expected), "{text}");
    assert_eq!(text.contains("\ncontainerd_registries_mirrors:"), mirror.is_some(), "{text}");
}

/// Ansible reads the files of a group in the order of their names, and the last one wins.
#[test]
fn artifacts_file_is_read_after_mirrors_and_known_as_ours() {
    let spec = with(json!({}));
    let files = render(&spec, &known("v2.30.0"), &login()).unwrap();
    assert!(!files.contains_key(ARTIFACTS_FILE), "a committed file does not name a lab's own servers");
    assert!("group_vars/all/all.yml" < ARTIFACTS_FILE);
    assert_eq!(made_for(&artifacts_file(&spec, &served()).text), Some("dev"));
}

/// The names are Kubespray's own, in every known release.
#[test]
fn every_known_release_has_the_variables() {
    let text = artifacts_file(&fixtures::spec(), &served()).text;
    let names: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()))
        .filter_map(|line| line.split(':').next())
        // It is the name that Kubespray's sample of an offline inventory gives to the root of the others.
        .filter(|name| *name != "files_repo")
        .collect();
    assert!(names.contains(&"containerd_registries_mirrors"), "{names:?}");
    for tag in crate::kubespray::TAGS {
        let index = known(tag);
        for name in &names {
            assert!(index.variables.contains_key(*name), "{tag} has no {name}");
        }
    }
}

#[test]
fn empty_checksum_of_user_becomes_that_of_own_build() {
    let spec = with(json!({ "all": { "kubelet_binary_checksum": "" } }));
    let mut served = served();
    served.own_builds =
        vec![OwnBuild { name: "kubelet".into(), version: Some("1.34.3".into()), sha256: "a".repeat(64) }];
    let text = file_text(&spec, &served);
    assert!(text.contains(&format!("kubelet_binary_checksum: \"sha256:{}\"", "a".repeat(64))), "{text}");
}
