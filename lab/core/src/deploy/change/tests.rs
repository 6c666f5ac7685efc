//! The decisions of operations: each rule, each refusal, as people read them.

use serde_json::json;

use super::*;
use crate::fixtures;
use crate::kubespray::Version;
use crate::spec::NetworkPlugin;

/// The past of a cluster before it is judged.
type Twist = fn(&mut ClusterSpec, &mut Living);

/// Its name, the request, the past.
type Case<T> = (&'static str, T, Twist);

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
    spec.machines = vec![plane("k1", 10), plane("k2", 11), plane("k3", 12), fixtures::machine("worker", 13)];
    let living = as_it_must_be(&spec);
    (spec, living)
}

fn as_it_must_be(spec: &ClusterSpec) -> Living {
    let names = || spec.machines.iter().map(|machine| machine.name.clone());
    let nodes = names().map(|name| LivingNode { name, ready: true, version: "1.33.7".to_owned() });
    let members = spec.machines.iter().filter(|machine| machine.roles.contains(&Role::Etcd));
    let members = members.map(|machine| Member { machine: machine.name.clone(), healthy: true });
    let planes = spec.machines.iter().filter(|machine| machine.roles.contains(&Role::ControlPlane));
    Living {
        nodes: Some(nodes.collect()),
        answering: planes.map(|machine| machine.name.clone()).collect(),
        etcd: Some(Etcd { members: members.collect(), quorum: true }),
        reached: names().collect(),
        remembered: names().collect(),
    }
}

/// A machine was lost, and another one has its place: it can be logged in to, and has nothing.
fn replaced(living: &mut Living, name: &str) {
    living.answering.remove(name);
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

/// A node runs this version.
fn runs(living: &mut Living, name: &str, version: &str) {
    for node in living.nodes.iter_mut().flatten().filter(|node| node.name == name) {
        version.clone_into(&mut node.version);
    }
}

/// Every node finds the API at this address.
fn api_at(spec: &mut ClusterSpec, address: &str) {
    let found = json!({ "address": address, "port": 6443 });
    spec.kubespray.variables.entry("all".into()).or_default().insert("loadbalancer_apiserver".into(), found);
}

/// It is no node and no member.
fn unknown(living: &mut Living, name: &str) {
    living.nodes.iter_mut().for_each(|nodes| nodes.retain(|node| node.name != name));
    living.etcd.iter_mut().for_each(|etcd| etcd.members.retain(|member| member.machine != name));
    living.remembered.remove(name);
}

fn at(
    spec: &ClusterSpec,
    living: &Living,
    decide: impl Fn(&Situation<'_>) -> Result<Decision, Refusal>,
) -> String {
    match decide(&Situation { spec, words: "dev", living }) {
        Ok(Decision::Nothing(why)) => format!("nothing to do: {why}\n"),
        Ok(Decision::Do(change)) => render(&change),
        Err(Refusal { why, hint }) => format!("refused: {why}\nhint: {hint}\n"),
    }
}

/// The decisions on some cases, each below its name.
fn table<T>(
    cluster: fn() -> (ClusterSpec, Living),
    cases: &[Case<T>],
    decide: impl Fn(&T, &Situation<'_>) -> Result<Decision, Refusal>,
) -> String {
    let mut text = String::new();
    for (name, asked, twist) in cases {
        let (mut spec, mut living) = cluster();
        twist(&mut spec, &mut living);
        let outcome = at(&spec, &living, |situation| decide(asked, situation));
        let _ = writeln!(text, "--- {name}\n{outcome}");
    }
    text
}

#[test]
fn machines_are_added() {
    let cases: &[Case<()>] = &[
        ("nothing is new", (), |_, _| ()),
        ("one is new", (), |_, living| unknown(living, "gpu-worker-2")),
        ("facts of another were forgotten", (), |_, living| {
            unknown(living, "gpu-worker-2");
            living.remembered.remove("cpu-worker");
        }),
        ("it is not up", (), |_, living| {
            unknown(living, "gpu-worker-2");
            living.reached.remove("gpu-worker-2");
        }),
        ("no API answers", (), |_, living| living.nodes = None),
        ("a control plane", (), |spec, living| {
            spec.machines[3].roles = [Role::ControlPlane].into();
            unknown(living, "gpu-worker-2");
        }),
        ("a control plane in front", (), |spec, living| {
            spec.machines[3].roles = [Role::ControlPlane].into();
            spec.machines.rotate_right(1);
            unknown(living, "gpu-worker-2");
        }),
        ("members of etcd", (), |spec, living| {
            spec.machines[2].roles = [Role::Etcd].into();
            spec.machines[3].roles = [Role::ControlPlane, Role::Etcd].into();
            unknown(living, "gpu-worker-1");
            unknown(living, "gpu-worker-2");
        }),
    ];
    insta::assert_snapshot!(table(small, cases, |(), situation| scale(situation)));
}

fn removal(machines: &[&str], gone: bool) -> Removal {
    Removal { machines: machines.iter().map(|name| (*name).to_owned()).collect(), gone }
}

#[test]
fn workers_are_removed() {
    let all: &[&str] = &["cpu-worker", "gpu-worker-1", "gpu-worker-2"];
    let cases: &[Case<(&[&str], bool)>] = &[
        ("the last one of the file", (&["gpu-worker-2"], false), |_, _| ()),
        ("two, one of them twice", (&["gpu-worker-1", "cpu-worker", "gpu-worker-1"], false), |_, _| ()),
        ("every worker", (all, false), |_, _| ()),
        ("it does not answer", (&["cpu-worker"], false), |_, living| silent(living, "cpu-worker")),
        ("it is gone", (&["cpu-worker"], true), |_, living| silent(living, "cpu-worker")),
        ("the option calls it gone, and it answers", (&["cpu-worker"], true), |_, _| ()),
        ("no machine", (&["unknown"], false), |_, _| ()),
        ("a node that is out of the file", (&["gpu-worker-2"], false), |spec, _| drop(spec.machines.pop())),
        ("no node", (&["cpu-worker"], false), |_, living| unknown(living, "cpu-worker")),
        ("the only control plane", (&["control-plane"], false), |_, _| ()),
        ("no API answers", (&["cpu-worker"], false), |_, living| living.nodes = None),
    ];
    insta::assert_snapshot!(table(small, cases, |(machines, gone), situation| {
        remove(situation, &removal(machines, *gone))
    }));
}

#[test]
fn control_planes_are_removed() {
    let cases: &[Case<&[&str]>] = &[
        ("the first", &["k1"], |_, _| ()),
        ("another", &["k2"], |_, _| ()),
        ("two at once", &["k3", "k2"], |_, _| ()),
        ("while another one is lost", &["k2"], |_, living| replaced(living, "k3")),
        ("the lost one", &["k3"], |_, living| replaced(living, "k3")),
        ("the address of the API", &["k2"], |spec, _| api_at(spec, "192.168.200.11")),
        ("no etcd answers", &["k2"], |_, living| living.etcd = None),
        ("no majority", &["k2"], |_, living| {
            replaced(living, "k2");
            replaced(living, "k3");
            living.etcd.as_mut().unwrap().quorum = false;
        }),
    ];
    insta::assert_snapshot!(table(large, cases, |machines, situation| {
        remove(situation, &removal(machines, false))
    }));
}

#[test]
fn remove_takes_lost_member_and_refuses_needed_one() {
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

#[test]
fn versions_go_up() {
    let cases: &[Case<(&str, &str)>] = &[
        ("nothing is new", ("v2.29.1", "1.33.7"), |_, _| ()),
        ("both", ("v2.30.0", "1.34.3"), |_, _| ()),
        ("Kubespray alone", ("v2.30.0", "1.33.7"), |_, _| ()),
        ("half of it is done", ("v2.29.1", "1.34.3"), |_, living| runs(living, "k1", "1.34.3")),
        ("Kubernetes back", ("v2.30.0", "1.33.5"), |_, _| ()),
        ("Kubernetes too far", ("v2.30.0", "1.35.4"), |_, _| ()),
        ("too far for one node", ("v2.30.0", "1.34.3"), |_, living| runs(living, "worker", "1.32.9")),
        ("Kubespray back", ("v2.29.0", "1.33.7"), |_, _| ()),
        ("Kubespray too far", ("v2.31.0", "1.34.7"), |_, _| ()),
        ("to a commit", ("0123456789012345678901234567890123456789", "1.34.3"), |_, _| ()),
        ("a new machine", ("v2.30.0", "1.34.3"), |_, living| unknown(living, "worker")),
        ("a machine is not up", ("v2.30.0", "1.34.3"), |_, living| silent(living, "worker")),
        ("a node is not ready", ("v2.30.0", "1.34.3"), |_, living| replaced(living, "worker")),
        ("a member of etcd is not well", ("v2.30.0", "1.34.3"), |_, living| {
            living.etcd.as_mut().unwrap().members[2].healthy = false;
        }),
        ("no API answers", ("v2.30.0", "1.34.3"), |_, living| living.nodes = None),
    ];
    insta::assert_snapshot!(table(large, cases, |(kubespray, kubernetes), situation| {
        upgrade(situation, &to("v2.29.1", "1.33.7"), &to(kubespray, kubernetes), false)
    }));
}

#[test]
fn upgrade_resumes_from_any_state() {
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

#[test]
fn reset_removes_cluster() {
    let cases: &[Case<()>] = &[
        ("all of it", (), |_, _| ()),
        ("a machine is not up", (), |_, living| silent(living, "gpu-worker-1")),
        ("nothing of it answers", (), |_, living| (living.nodes, living.etcd) = (None, None)),
    ];
    insta::assert_snapshot!(table(small, cases, |(), situation| reset(situation)));
}

#[test]
fn recover_restores_control_plane() {
    let cases: &[Case<()>] = &[
        ("nothing is lost", (), |_, _| ()),
        ("the last", (), |_, living| replaced(living, "k3")),
        ("the first", (), |_, living| replaced(living, "k1")),
        ("the majority", (), |_, living| {
            replaced(living, "k2");
            replaced(living, "k3");
            living.nodes = None;
            living.etcd.as_mut().unwrap().quorum = false;
        }),
        ("one of kube-router's", (), |spec, living| {
            spec.kubernetes.network.plugin = Some(NetworkPlugin::KubeRouter);
            replaced(living, "k2");
        }),
        ("the lost machine has no replacement", (), |_, living| silent(living, "k2")),
        ("nothing is left", (), |_, living| {
            for name in ["k1", "k2", "k3"] {
                replaced(living, name);
            }
        }),
        ("no etcd answers", (), |_, living| living.etcd = None),
        ("a node that is still called ready", (), |_, living| {
            living.answering.remove("k2");
        }),
        ("no API answers", (), |_, living| living.nodes = None),
        ("only a kubelet", (), |_, living| living.nodes.as_mut().unwrap()[1].ready = false),
        ("the address of the API", (), |spec, living| {
            api_at(spec, "192.168.200.10");
            replaced(living, "k1");
        }),
    ];
    insta::assert_snapshot!(table(large, cases, |(), situation| {
        recover(situation).map(|(decided, _)| decided)
    }));
}

#[test]
fn recovery_puts_remaining_machines_before_lost_ones() {
    let (spec, mut living) = large();
    replaced(&mut living, "k1");
    living.nodes.as_mut().unwrap()[1].ready = false;
    let (_, recovery) = recover(&Situation { spec: &spec, words: "dev", living: &living }).unwrap();
    let recovery = recovery.unwrap();
    let order: Vec<&str> = recovery.spec.machines.iter().map(|machine| machine.name.as_str()).collect();
    assert_eq!(order, ["k3", "worker", "k1", "k2"]);
    assert_eq!(recovery.groups, "\n[broken_etcd]\nk1\n\n[broken_kube_control_plane]\nk1\nk2\n");
}

#[test]
fn arguments_of_ansible_keep_types() {
    let step = Step::new("remove-node.yml", "")
        .limit(["a", "b"])
        .variable("node", "a,b")
        .variable("reset_nodes", false)
        .variable("etcd_retries", 10);
    let arguments = step.arguments();
    assert_eq!(
        arguments,
        ["--limit", "a,b", "--extra-vars", r#"{"etcd_retries":10,"node":"a,b","reset_nodes":false}"#]
    );
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
    let answers = |etcd: &Etcd| {
        let members = etcd.members.iter().map(|member| format!("{} {}", member.machine, member.healthy));
        members.collect::<Vec<_>>().join(", ")
    };
    let with = read_etcd(&spec, MEMBERS, HEALTH, "");
    assert_eq!((answers(&with), with.quorum), ("k1 true, k2 false, old false, k3 false".to_owned(), true));
    let without = read_etcd(&spec, "Error: context deadline exceeded", "", STATUS);
    assert_eq!((answers(&without), without.quorum), ("k1 false, k2 true, k3 false".to_owned(), false));
}
