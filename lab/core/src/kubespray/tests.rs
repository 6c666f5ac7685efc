use std::collections::{BTreeMap, BTreeSet};

use rstest::rstest;

use super::*;
use crate::fixtures;
use crate::spec::Role;

fn access() -> Access {
    Access {
        user: "debian".to_owned(),
        key: "/home/somebody/my labs/output/dev/id_ed25519".to_owned(),
        known_hosts: "/home/somebody/my labs/output/dev/known_hosts".to_owned(),
        ssh_config: "/home/somebody/my labs/output/dev/ssh_config".to_owned(),
    }
}

#[test]
fn the_inventory_of_the_original_plan() {
    insta::assert_snapshot!(inventory_ini(&fixtures::spec(), &access()).unwrap());
}

#[test]
fn a_control_plane_that_is_also_a_worker_is_in_both_groups() {
    let mut spec = fixtures::spec();
    spec.machines.truncate(1);
    spec.machines[0].roles = BTreeSet::from([Role::ControlPlane, Role::Etcd, Role::Worker]);
    let text = inventory_ini(&spec, &access()).unwrap();
    for group in ["[kube_control_plane]", "[etcd]", "[kube_node]"] {
        assert!(text.contains(&format!("{group}\ncontrol-plane\n")), "{group} in\n{text}");
    }
}

#[test]
fn the_ssh_configuration() {
    insta::assert_snapshot!(ssh_config(&fixtures::spec(), &access()).unwrap());
}

#[test]
fn host_keys_are_pinned_by_name_and_address() {
    let keys = ["control-plane", "cpu-worker"].map(|name| (name.to_owned(), fixtures::host_key(name).public));
    insta::assert_snapshot!(known_hosts(&fixtures::spec(), &BTreeMap::from(keys)));
}

#[rstest]
#[case("/home/o'brien/key", '\'')]
#[case("/home/\"x\"/key", '"')]
#[case("/home/a\nb/key", '\n')]
#[case("/home/{{ x }}/key", '{')]
#[case("/labs/100%/key", '%')]
#[case("/home/${HOME}/key", '$')]
fn a_path_that_would_be_read_as_something_else_is_refused(#[case] path: &str, #[case] character: char) {
    let access = Access { key: path.to_owned(), ..access() };
    let expected = AccessError::Character { path: path.to_owned(), character };
    assert_eq!(ssh_config(&fixtures::spec(), &access), Err(expected.clone()));
    assert_eq!(inventory_ini(&fixtures::spec(), &access), Err(expected));
}
