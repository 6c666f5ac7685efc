use std::collections::BTreeMap;

use rstest::rstest;

use super::*;
use crate::fixtures;

fn access() -> Access {
    Access {
        user: "debian".to_owned(),
        key: "/home/user/my labs/output/dev/id_ed25519".to_owned(),
        known_hosts: "/home/user/my labs/output/dev/known_hosts".to_owned(),
        ssh_config: "/home/user/my labs/output/dev/ssh_config".to_owned(),
    }
}

#[test]
fn access_gives_ssh_configuration() {
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
fn access_refuses_ambiguous_path(#[case] path: &str, #[case] character: char) {
    let access = Access { key: path.to_owned(), ..access() };
    let expected = AccessError::Character { path: path.to_owned(), character };
    assert_eq!(ssh_config(&fixtures::spec(), &access), Err(expected));
}
