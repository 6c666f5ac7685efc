use std::collections::BTreeMap;

use rstest::rstest;

use super::*;
use crate::source::SourceFile;

/// A Kubespray as small as one can be that shows everything an index holds. Written for this test.
const SMALL: &[(&str, &str)] = &[
    ("requirements.txt", "ansible==10.7.0\n# for addresses\nnetaddr==1.3.0\n"),
    ("galaxy.yml", "---\nname: kubespray\nversion: 9.9.9\n"),
    (
        "README.md",
        "# K\n\n## Supported Linux Distributions\n\n- **Debian** Trixie\n- **Rocky Linux** [9](docs/r.md) (experimental: see [x](y))\n\nNote:\n\n- none\n",
    ),
    ("cluster.yml", "---\n- name: All\n  import_playbook: playbooks/cluster.yml\n"),
    (
        "playbooks/cluster.yml",
        "---\n- hosts: kube_node:etcd[0]:!bastion\n  roles:\n    - { role: web, when: web_enabled }\n",
    ),
    (
        "playbooks/ansible_version.yml",
        "---\n- hosts: all\n  vars:\n    minimal_ansible_version: 2.17.3\n    maximal_ansible_version: 2.18.0\n",
    ),
    (
        "roles/dynamic_groups/tasks/main.yml",
        "---\n- vars:\n    group_mappings:\n      kube_node:\n        - kube-node\n      k8s_cluster:\n        - kube_node\n  group_by:\n    key: \"{{ item.key }}\"\n",
    ),
    (
        "roles/validate_inventory/tasks/main.yml",
        "---\n- vars:\n    removed_vars:\n      - web_old # 9.9.9\n  assert:\n    that: true\n\
         - assert:\n    that:\n      - web_mode in ['fast', 'safe']\n      - web_enabled | type_debug == 'bool'\n\
         - assert:\n    that: web_kind in ['a']\n  when: web_enabled\n",
    ),
    (
        "roles/kubespray_defaults/vars/main/checksums.yml",
        "---\nkubelet_checksums:\n  amd64:\n    1.34.2: sha256:00\n    1.33.7: sha256:00\n  arm64:\n    1.34.2: 0\n    1.33.7: sha256:00\n",
    ),
    (
        "roles/kubespray_defaults/defaults/main/main.yml",
        "---\nkube_version: \"{{ (kubelet_checksums['amd64'] | dict2items)[0].key }}\"\n\
         kubelet_sum: \"{{ kubelet_checksums[image_arch][kube_version] }}\"\n\
         pause_version: \"{{ '3.10' if kube_version is version('1.34', '<') else '3.11' }}\"\n",
    ),
    (
        "roles/web/defaults/main.yml",
        "---\nweb_enabled: false\nweb_mode: fast\nweb_port: 080\nweb_list: []\nweb_map: {}\nweb_items: [\"{{ web_port }}\"]\nweb_none:\nweb_url: \"http://{{ web_host }}\"\n\
         web_long: |\n  several\n  lines\n",
    ),
    ("roles/web/defaults/molecule/default/vars.yml", "---\nnot_mine: 1\n"),
    ("roles/web/vars/main.yml", "---\nweb_fixed: 1\n"),
    ("roles/web/vars/debian.yml", "---\nweb_package: w\n"),
    (
        "roles/web/tasks/main.yml",
        "---\n- shell: echo {{ web_mode }} {{ web_extra_arguments }} {{ web_made }} {{ groups['calico_rr'] }}\n  register: web_result\n\
         - set_fact:\n    web_made: \"{{ web_result.stdout }}\"\n  when: web_enabled and ip is defined and word\n",
    ),
    (
        "roles/web/templates/w.conf.j2",
        "# web\nport {{ web_port }}\n{% for x in [1 2] %}\n{{ web_rough }}\n{% endfor %}\n",
    ),
    (
        "inventory/sample/group_vars/all/all.yml",
        "---\n## Words: not a variable\n# web_port: 8080\nweb_mode: safe\n# web_shown:\n#   - a\n#web_url: \"{{ x }}\"\n",
    ),
];

fn files(files: &[(&str, &str)]) -> Checkout {
    let file =
        |(path, text): &(&str, &str)| SourceFile { path: (*path).to_owned(), text: (*text).to_owned() };
    Checkout { version: None, commit: None, files: files.iter().map(file).collect() }
}

fn with(changed: &str, text: Option<&str>) -> Checkout {
    let mut checkout = files(SMALL);
    checkout.files.retain(|file| file.path != changed);
    if let Some(text) = text {
        checkout.files.push(SourceFile { path: changed.to_owned(), text: text.to_owned() });
    }
    checkout
}

#[test]
fn index_holds_facts_of_checkout() {
    let built = build(&files(SMALL)).unwrap();
    insta::assert_snapshot!(write(&built.index));
    let problems: Vec<String> = built
        .problems
        .iter()
        .map(|one| format!("{}:{}: {} ({})", one.file, one.line, one.message, one.missing))
        .collect();
    insta::assert_snapshot!(problems.join("\n"), @"roles/web/templates/w.conf.j2:3: a piece of Jinja was read only roughly: unexpected integer, expected `,` (false)");
}

#[test]
fn index_is_independent_of_file_order_and_text_round_trip() {
    let one = build(&files(SMALL)).unwrap().index;
    let mut reversed = files(SMALL);
    reversed.files.reverse();
    assert_eq!(write(&build(&reversed).unwrap().index), write(&one));
    assert_eq!(serde_json::from_str::<Index>(&write(&one)).unwrap(), one);
}

#[rstest]
#[case::nothing(files(&[]), "it has no `playbooks/ansible_version.yml`")]
#[case::another_project(files(&[("README.md", "# Something else"), ("site.yml", "- hosts: all")]), "it has no `playbooks/ansible_version.yml`")]
#[case::no_checksums(
    with("roles/kubespray_defaults/vars/main/checksums.yml", None),
    "it has no `roles/kubespray_defaults/vars/main/checksums.yml`"
)]
#[case::broken_checksums(
    with("roles/kubespray_defaults/vars/main/checksums.yml", Some("a: b\nc: [\n")),
    "roles/kubespray_defaults/vars/main/checksums.yml:2: not valid YAML: unclosed bracket '['"
)]
fn build_refuses_other_checkout(#[case] checkout: Checkout, #[case] expected: &str) {
    let error = build(&checkout).unwrap_err().to_string();
    assert_eq!(error, expected);
}

#[test]
fn build_names_broken_file_and_reads_the_rest() {
    let built =
        build(&with("roles/web/defaults/main.yml", Some("web_enabled: false\nweb_mode: 'x\n"))).unwrap();
    let broken: Vec<&Problem> = built.problems.iter().filter(|problem| problem.missing).collect();
    let [problem] = broken.as_slice() else { panic!("{broken:?}") };
    assert_eq!(problem.file, "roles/web/defaults/main.yml");
    assert!(built.index.variables.contains_key("web_fixed"));
}

#[rstest]
#[case::v2_29_0("v2.29.0", "9991412b4597d6eaf37f86e5f20f9f903a731c08", ("1.31.0", "1.33.5"), 1532, 1886)]
#[case::v2_29_1("v2.29.1", "0c6a29553f90c55cba5e0e359470321dc7cf7d29", ("1.31.0", "1.33.7"), 1532, 1886)]
#[case::v2_30_0("v2.30.0", "f4ccdb5e72395eaf9f3444056ebd1a6625ddb89a", ("1.32.0", "1.34.3"), 1535, 1890)]
#[case::v2_31_0("v2.31.0", "1c9add48975060f45396b34d8e022c30d7f80dab", ("1.33.0", "1.35.4"), 1468, 1816)]
fn index_of_release_matches_measured_one(
    #[case] tag: &str,
    #[case] commit: &str,
    #[case] kubernetes: (&str, &str),
    #[case] defaults: usize,
    #[case] all: usize,
) {
    let index = Index::known(tag).unwrap();
    assert_eq!((index.version.as_str(), index.commit.as_deref()), (tag, Some(commit)));
    assert_eq!(index.kubernetes(), Some(kubernetes));
    assert_eq!(index.variables.values().filter(|variable| !variable.defaults.is_empty()).count(), defaults);
    assert_eq!(index.variables.len(), all);
    assert_eq!(Some(write(&index).as_str()), known_text(tag));
    for (name, component) in &index.components {
        assert!(component.version_variable.is_some(), "{tag} {name}");
        assert!(component.default.is_some(), "{tag} {name}");
    }
    let places = index.variables.values().flat_map(|variable| &variable.used);
    assert!(places.into_iter().all(|place| !index.place(*place).starts_with('?')));
}

#[test]
fn versions_of_release_match_installed_ones() {
    let index = Index::known("v2.31.0").unwrap();
    let defaults: BTreeMap<&str, &str> = index
        .components
        .iter()
        .filter_map(|(name, component)| Some((name.as_str(), component.default.as_deref()?)))
        .collect();
    assert_eq!(defaults["containerd_archive"], "2.2.3");
    assert_eq!(defaults["calico_crds"], "3.31.5");
    assert_eq!(index.picks["1.34"]["etcd_version"], "3.5.29");
    assert_eq!(index.picks["1.35"]["etcd_version"], "3.6.10");
    assert_eq!(index.components["calicoctl_binary"].version_variable.as_deref(), Some("calico_version"));
    assert!(!index.add_ons().contains(&"ingress_nginx"));
    assert!(Index::known("v2.30.0").unwrap().add_ons().contains(&"ingress_nginx"));
    assert_eq!(Index::known("v1.0.0"), None);
}

#[test]
fn every_known_release_comes_with_its_index() {
    assert!(known_tags().eq(crate::kubespray::TAGS));
    for release in crate::kubespray::RELEASES {
        assert_eq!(Index::known(release.tag).unwrap().commit.as_deref(), Some(release.commit));
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
    #[test]
    fn no_file_of_a_checkout_makes_it_panic(text in "[a-z{}%#:\\-!&*|>'\"\\[\\], \n\u{e9}]{0,80}") {
        for path in [
            "roles/web/defaults/main.yml",
            "roles/web/tasks/main.yml",
            "roles/web/templates/w.conf.j2",
            "roles/dynamic_groups/tasks/main.yml",
            "roles/validate_inventory/tasks/main.yml",
            "roles/kubespray_defaults/vars/main/checksums.yml",
            "roles/kubespray_defaults/defaults/main/main.yml",
            "playbooks/ansible_version.yml",
            "inventory/sample/group_vars/all/all.yml",
            "README.md",
        ] {
            if let Ok(built) = build(&with(path, Some(&text))) {
                let index: Index = serde_json::from_str(&write(&built.index)).unwrap();
                assert_eq!(index, built.index);
            }
        }
    }
}
