//! What operations come to: each rule, each refusal, as people read them.

use rstest::rstest;
use serde_json::json;

use super::*;
use crate::fixtures;
use crate::kubespray::Version;

/// A change that is to be made to a cluster before it is judged.
type Twist = fn(&mut ClusterSpec, &mut Living);

/// One control plane and three workers, all as they must be.
fn small() -> (ClusterSpec, Living) {
    let spec = fixtures::spec();
    let living = as_it_must_be(&spec);
    (spec, living)
}

/// Three machines that are everything, and a worker.
fn large() -> (ClusterSpec, Living) {
    let mut spec = fixtures::spec();
    let plane = |name: &str, octet| MachineSpec {
        roles: [Role::ControlPlane, Role::Etcd, Role::Worker].into(),
        ..fixtures::machine(name, octet)
    };
    spec.machines =
        vec![plane("k1", 10), plane("k2", 11), plane("k3", 12), fixtures::machine("worker", 13)];
    let living = as_it_must_be(&spec);
    (spec, living)
}

fn as_it_must_be(spec: &ClusterSpec) -> Living {
    let names = || spec.machines.iter().map(|machine| machine.name.clone());
    let nodes = names().map(|name| LivingNode { name, ready: true, version: "1.33.7".to_owned() });
    let members = spec.machines.iter().filter(|machine| machine.roles.contains(&Role::Etcd));
    let members = members.map(|machine| Member { machine: machine.name.clone(), healthy: true });
    Living {
        nodes: Some(nodes.collect()),
        etcd: Some(Etcd { members: members.collect(), quorum: true }),
        reached: names().collect(),
        remembered: names().collect(),
    }
}

/// A machine was lost, and another one has its place: it can be logged in to, and has nothing.
fn replaced(living: &mut Living, name: &str) {
    for node in living.nodes.iter_mut().flatten().filter(|node| node.name == name) {
        node.ready = false;
    }
    for member in living.etcd.iter_mut().flat_map(|etcd| &mut etcd.members) {
        member.healthy &= member.machine != name;
    }
}

/// A machine does not answer.
fn silent(living: &mut Living, name: &str) {
    replaced(living, name);
    living.reached.remove(name);
}

/// It is no node and no member.
fn unknown(living: &mut Living, name: &str) {
    living.nodes.iter_mut().for_each(|nodes| nodes.retain(|node| node.name != name));
    living.etcd.iter_mut().for_each(|etcd| etcd.members.retain(|member| member.machine != name));
    living.remembered.remove(name);
}

fn at(spec: &ClusterSpec, living: &Living, decide: impl Fn(&Situation<'_>) -> Result<Decision, Refusal>) -> String {
    match decide(&Situation { spec, words: "dev", living }) {
        Ok(Decision::Nothing(why)) => format!("nothing to do: {why}\n"),
        Ok(Decision::Do(change)) => render(&change),
        Err(Refusal { why, hint }) => format!("refused: {why}\nhint: {hint}\n"),
    }
}

/// The name of the case that runs.
fn case() -> String {
    std::thread::current().name().unwrap_or_default().rsplit("::").next().unwrap_or_default().to_owned()
}

#[rstest]
#[case::scale_nothing(|_, _| ())]
#[case::scale_one(|_, living| unknown(living, "gpu-worker-2"))]
#[case::scale_facts_forgotten(|_, living| {
    unknown(living, "gpu-worker-2");
    living.remembered.remove("cpu-worker");
})]
#[case::scale_not_up(|_, living| {
    unknown(living, "gpu-worker-2");
    living.reached.remove("gpu-worker-2");
})]
#[case::scale_no_api(|_, living| living.nodes = None)]
#[case::scale_a_control_plane(|spec, living| {
    spec.machines[3].roles = [Role::ControlPlane].into();
    unknown(living, "gpu-worker-2");
})]
#[case::scale_a_control_plane_in_front(|spec, living| {
    spec.machines[3].roles = [Role::ControlPlane].into();
    spec.machines.rotate_right(1);
    unknown(living, "gpu-worker-2");
})]
#[case::scale_a_member_of_etcd(|spec, living| {
    spec.machines[2].roles = [Role::Etcd].into();
    spec.machines[3].roles = [Role::ControlPlane, Role::Etcd].into();
    unknown(living, "gpu-worker-1");
    unknown(living, "gpu-worker-2");
})]
fn machines_are_added(#[case] twist: Twist) {
    let (mut spec, mut living) = small();
    twist(&mut spec, &mut living);
    insta::assert_snapshot!(case(), at(&spec, &living, scale));
}

#[rstest]
#[case::remove_the_last_in_the_file(&["gpu-worker-2"], false, |_, _| ())]
#[case::remove_with_others_behind(&["gpu-worker-1", "cpu-worker", "gpu-worker-1"], false, |_, _| ())]
#[case::remove_all_workers(&["cpu-worker", "gpu-worker-1", "gpu-worker-2"], false, |_, _| ())]
#[case::remove_silent(&["cpu-worker"], false, |_, living| silent(living, "cpu-worker"))]
#[case::remove_gone(&["cpu-worker"], true, |_, living| silent(living, "cpu-worker"))]
#[case::remove_gone_and_answers(&["cpu-worker"], true, |_, _| ())]
#[case::remove_no_machine(&["nobody"], false, |_, _| ())]
#[case::remove_a_node_without_machine(&["gpu-worker-2"], false, |spec, _| drop(spec.machines.pop()))]
#[case::remove_no_node(&["cpu-worker"], false, |_, living| unknown(living, "cpu-worker"))]
#[case::remove_the_last_control_plane(&["control-plane"], false, |_, _| ())]
#[case::remove_without_an_api(&["cpu-worker"], false, |_, living| living.nodes = None)]
fn workers_are_removed(#[case] machines: &[&str], #[case] gone: bool, #[case] twist: Twist) {
    let (mut spec, mut living) = small();
    twist(&mut spec, &mut living);
    let removal = Removal { machines: machines.iter().map(|name| (*name).to_owned()).collect(), gone };
    insta::assert_snapshot!(case(), at(&spec, &living, |situation| remove(situation, &removal)));
}

#[rstest]
#[case::plane_first(&["k1"], |_, _| ())]
#[case::plane_other(&["k2"], |_, _| ())]
#[case::plane_two_at_once(&["k3", "k2"], |_, _| ())]
#[case::plane_while_another_is_lost(&["k2"], |_, living| replaced(living, "k3"))]
#[case::plane_with_the_address_of_the_api(&["k2"], |spec, _| {
    let address = json!({ "address": "192.168.200.11", "port": 6443 });
    spec.kubespray.variables.entry("all".into()).or_default().insert("loadbalancer_apiserver".into(), address);
})]
#[case::plane_without_etcd(&["k2"], |_, living| living.etcd = None)]
#[case::plane_without_majority(&["k2"], |_, living| {
    replaced(living, "k2");
    replaced(living, "k3");
    living.etcd.as_mut().unwrap().quorum = false;
})]
fn control_planes_are_removed(#[case] machines: &[&str], #[case] twist: Twist) {
    let (mut spec, mut living) = large();
    twist(&mut spec, &mut living);
    let removal = Removal { machines: machines.iter().map(|name| (*name).to_owned()).collect(), gone: false };
    insta::assert_snapshot!(case(), at(&spec, &living, |situation| remove(situation, &removal)));
}

#[test]
fn a_member_that_is_lost_may_go_and_one_that_is_needed_may_not() {
    for (members, healthy, without, for_good, goes) in [
        (3, 3, 0, true, true),
        (3, 2, 2, true, true),
        (3, 2, 0, true, false),
        (5, 5, 0, true, true),
        (5, 4, 0, true, true),
        (5, 3, 0, true, false),
        (2, 2, 0, true, true),
        (2, 1, 1, true, true),
        (3, 3, 0, false, true),
        (3, 2, 0, false, false),
        (3, 2, 2, false, true),
        (5, 4, 0, false, true),
        (5, 3, 0, false, false),
        (2, 2, 0, false, false),
    ] {
        let member = |number: usize| Member { machine: number.to_string(), healthy: number < healthy };
        let etcd = Etcd { members: (0..members).map(member).collect(), quorum: true };
        let why = etcd.cannot_spare(&without.to_string(), for_good);
        assert_eq!(why.is_none(), goes, "{healthy} of {members} without {without}: {why:?}");
    }
}

fn to(kubespray: &str, kubernetes: &str) -> Versions {
    Versions { kubespray: kubespray.to_owned(), kubernetes: kubernetes.to_owned() }
}

#[rstest]
#[case::upgrade_nothing(("v2.29.1", "1.33.7"), |_, _| ())]
#[case::upgrade_both(("v2.30.0", "1.34.3"), |_, _| ())]
#[case::upgrade_kubespray_alone(("v2.30.0", "1.33.7"), |_, _| ())]
#[case::upgrade_of_a_half(("v2.29.1", "1.34.3"), |_, living| living.nodes.as_mut().unwrap()[0].version = "1.34.3".into())]
#[case::upgrade_kubernetes_back(("v2.30.0", "1.33.5"), |_, _| ())]
#[case::upgrade_kubernetes_too_far(("v2.30.0", "1.35.4"), |_, _| ())]
#[case::upgrade_kubernetes_too_far_for_one(("v2.30.0", "1.34.3"), |_, living| living.nodes.as_mut().unwrap()[3].version = "1.32.9".into())]
#[case::upgrade_kubespray_back(("v2.29.0", "1.33.7"), |_, _| ())]
#[case::upgrade_kubespray_too_far(("v2.31.0", "1.34.7"), |_, _| ())]
#[case::upgrade_to_a_commit(("0123456789012345678901234567890123456789", "1.34.3"), |_, _| ())]
#[case::upgrade_new_machine(("v2.30.0", "1.34.3"), |_, living| unknown(living, "worker"))]
#[case::upgrade_not_up(("v2.30.0", "1.34.3"), |_, living| silent(living, "worker"))]
#[case::upgrade_not_ready(("v2.30.0", "1.34.3"), |_, living| replaced(living, "worker"))]
#[case::upgrade_etcd_short(("v2.30.0", "1.34.3"), |_, living| {
    living.etcd.as_mut().unwrap().members[2].healthy = false;
})]
#[case::upgrade_no_api(("v2.30.0", "1.34.3"), |_, living| living.nodes = None)]
fn versions_go_up(#[case] wanted: (&str, &str), #[case] twist: Twist) {
    let (mut spec, mut living) = large();
    twist(&mut spec, &mut living);
    let (from, to) = (to("v2.29.1", "1.33.7"), to(wanted.0, wanted.1));
    insta::assert_snapshot!(case(), at(&spec, &living, |situation| upgrade(situation, &from, &to, false)));
}

#[test]
fn an_upgrade_that_was_begun_goes_on_whatever_it_left() {
    let (spec, mut living) = large();
    replaced(&mut living, "worker");
    let (from, to) = (to("v2.29.1", "1.33.7"), to("v2.30.0", "1.34.3"));
    let decide = |unfinished| {
        upgrade(&Situation { spec: &spec, words: "dev", living: &living }, &from, &to, unfinished)
    };
    assert!(decide(false).is_err());
    assert!(matches!(decide(true), Ok(Decision::Do(_))));
    let done = upgrade(&Situation { spec: &spec, words: "dev", living: &living }, &to, &to, true);
    assert!(done.is_ok_and(|decision| matches!(decision, Decision::Do(_))), "its end was not seen");
}

/// From each known release to each: the same, the next, or a refusal.
#[test]
fn releases_follow_on_each_other() {
    let (spec, living) = large();
    let mut ways = Vec::new();
    for from in crate::kubespray::TAGS {
        for next in crate::kubespray::TAGS {
            let situation = Situation { spec: &spec, words: "dev", living: &living };
            let decided = upgrade(&situation, &to(from, "1.33.7"), &to(next, "1.33.8"), false);
            if decided.is_ok() {
                ways.push(format!("{from} -> {next}"));
            }
        }
    }
    let newer = |a: &str, b: &str| Version::parse(&a[1..]) < Version::parse(&b[1..]);
    assert!(ways.iter().all(|way| way.split_once(" -> ").is_some_and(|(a, b)| a == b || newer(a, b))));
    insta::assert_snapshot!(ways.join("\n"));
}

#[rstest]
#[case::reset_all(|_, _| ())]
#[case::reset_not_up(|_, living| silent(living, "gpu-worker-1"))]
#[case::reset_nothing_of_a_cluster(|_, living| (living.nodes, living.etcd) = (None, None))]
fn a_cluster_is_taken_away(#[case] twist: Twist) {
    let (mut spec, mut living) = small();
    twist(&mut spec, &mut living);
    insta::assert_snapshot!(case(), at(&spec, &living, reset));
}

#[rstest]
#[case::recover_nothing(|_, _| ())]
#[case::recover_the_last(|_, living| replaced(living, "k3"))]
#[case::recover_the_first(|_, living| replaced(living, "k1"))]
#[case::recover_the_majority(|_, living| {
    replaced(living, "k2");
    replaced(living, "k3");
    living.nodes = None;
    living.etcd.as_mut().unwrap().quorum = false;
})]
#[case::recover_not_up(|_, living| silent(living, "k2"))]
#[case::recover_nothing_left(|_, living| ["k1", "k2", "k3"].iter().for_each(|name| replaced(living, name)))]
#[case::recover_no_etcd(|_, living| living.etcd = None)]
#[case::recover_only_a_kubelet(|_, living| living.nodes.as_mut().unwrap()[1].ready = false)]
#[case::recover_the_address_of_the_api(|spec, living| {
    let address = json!({ "address": "192.168.200.10", "port": 6443 });
    spec.kubespray.variables.entry("all".into()).or_default().insert("loadbalancer_apiserver".into(), address);
    replaced(living, "k1");
})]
fn a_control_plane_is_recovered(#[case] twist: Twist) {
    let (mut spec, mut living) = large();
    twist(&mut spec, &mut living);
    let mut inventory = String::new();
    if let Ok((_, Some(recovery))) = recover(&Situation { spec: &spec, words: "dev", living: &living }) {
        let order: Vec<&str> = recovery.spec.machines.iter().map(|machine| machine.name.as_str()).collect();
        inventory = format!("inventory: {}{}", order.join(" "), recovery.groups);
    }
    let told = at(&spec, &living, |situation| recover(situation).map(|(decided, _)| decided));
    insta::assert_snapshot!(case(), told + &inventory);
}

#[test]
fn what_ansible_is_given_keeps_its_types() {
    let step = Step::new("remove-node.yml", "")
        .limit(["a", "b"])
        .variable("node", "a,b")
        .variable("reset_nodes", false)
        .variable("etcd_retries", 10);
    let arguments = step.arguments();
    assert_eq!(arguments, [
        "--limit",
        "a,b",
        "--extra-vars",
        r#"{"etcd_retries":10,"node":"a,b","reset_nodes":false}"#
    ]);
    assert_eq!(Step::new("reset.yml", "").arguments(), [""; 0]);
}

const MEMBERS: &str = r#"{"header":{"cluster_id":1},"members":[
    {"ID":17237436991929493444,"name":"etcd1","peerURLs":["https://192.168.200.10:2380"],"clientURLs":["https://192.168.200.10:2379"]},
    {"ID":2,"name":"k2","peerURLs":["https://192.168.200.11:2380"],"clientURLs":["https://192.168.200.11:2379"]},
    {"ID":3,"name":"old","peerURLs":["https://192.168.200.77:2380"],"clientURLs":["https://192.168.200.77:2379"]},
    {"ID":4,"peerURLs":["https://192.168.200.12:2380"]}]}"#;
const HEALTH: &str = r#"[{"endpoint":"https://192.168.200.10:2379","health":true,"took":"5ms"},
    {"endpoint":"https://192.168.200.11:2379","health":false,"took":"5s","error":"context deadline exceeded"}]"#;
const STATUS: &str = r#"[{"Endpoint":"https://192.168.200.11:2379","Status":{"version":"3.5.26"}}]"#;

#[test]
fn members_are_known_by_their_addresses() {
    let (spec, _) = large();
    let said = |etcd: &Etcd| {
        let members = etcd.members.iter().map(|member| format!("{} {}", member.machine, member.healthy));
        members.collect::<Vec<_>>().join(", ")
    };
    let with = read_etcd(&spec, MEMBERS, HEALTH, "");
    assert_eq!((said(&with), with.quorum), ("k1 true, k2 false, old false, k3 false".to_owned(), true));
    let without = read_etcd(&spec, "Error: context deadline exceeded", "", STATUS);
    assert_eq!((said(&without), without.quorum), ("k1 false, k2 true, k3 false".to_owned(), false));
}
