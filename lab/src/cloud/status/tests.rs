//! How a cluster is, from what was seen of it, and how that is shown.

use lab_core::spec::Role;
use rstest::rstest;

use super::*;
use crate::life::status::MachineStatus;

fn outcome(id: &str, verdict: Verdict, details: &str) -> Outcome {
    let title = format!("the title of `{id}`");
    Outcome { id: id.to_owned(), title, verdict, seconds: 0.1, details: vec![details.to_owned()] }
}

fn passed() -> Vec<Outcome> {
    vec![outcome("nodes", Verdict::Passed, "3 nodes"), outcome("system-pods", Verdict::Passed, "9 pods")]
}

fn not_ready() -> Vec<Outcome> {
    vec![
        outcome("nodes", Verdict::Failed, "`worker-1` is not ready: KubeletNotReady"),
        outcome("system-pods", Verdict::Passed, "9 pods"),
    ]
}

fn silent() -> Vec<Outcome> {
    let why = format!("{NO_ANSWER}: connection refused");
    vec![outcome("nodes", Verdict::Failed, &why), outcome("system-pods", Verdict::Failed, &why)]
}

#[rstest]
#[case::ready(true, true, false, passed(), Health::Ready, 0)]
#[case::not_ready(true, true, false, not_ready(), Health::NotReady, exit::CHECKS)]
#[case::silent(true, true, false, silent(), Health::NoAnswer, exit::CHECKS)]
#[case::not_asked_in_time(true, true, true, vec![], Health::NoAnswer, exit::CHECKS)]
#[case::not_deployed(true, false, false, vec![], Health::NotDeployed, exit::CHECKS)]
#[case::stopped(false, true, false, vec![], Health::Stopped, exit::PROVISION)]
#[case::a_machine_is_off(false, true, false, not_ready(), Health::Stopped, exit::PROVISION)]
#[case::never_made(false, false, false, vec![], Health::Stopped, exit::PROVISION)]
fn health_is_what_was_seen(
    #[case] all_run: bool,
    #[case] has_kubeconfig: bool,
    #[case] unseen: bool,
    #[case] checks: Vec<Outcome>,
    #[case] expected: Health,
    #[case] code: u8,
) {
    let health = health(all_run, has_kubeconfig, unseen, &checks);
    assert_eq!(health, expected);
    assert_eq!(status(health, checks).code(), code);
}

fn status(health: Health, checks: Vec<Outcome>) -> CloudStatus {
    let machine = MachineStatus {
        name: "control-plane".to_owned(),
        state: "running",
        address: Some("192.168.200.10".parse().unwrap()),
        roles: vec![Role::ControlPlane, Role::Etcd],
        in_file: true,
    };
    CloudStatus {
        health,
        lab: LabStatus {
            cluster: "quick".to_owned(),
            host: "embedded".to_owned(),
            host_running: true,
            machines: vec![machine],
            served: None,
        },
        deployed: Some(Deployed {
            inputs: "0123".to_owned(),
            kubespray: "v2.30.0".to_owned(),
            kubernetes: "1.34.3".to_owned(),
            at: "2026-11-27T03:50:12Z".parse().unwrap(),
        }),
        checks,
        unseen: None,
        kubeconfig: Some("/checkout/output/quick/kubeconfig".into()),
    }
}

#[test]
fn a_status_is_a_table_that_a_person_can_read() {
    let shown = |status: &CloudStatus| table(status, Path::new("/checkout"), "quick");
    insta::assert_snapshot!("ready", shown(&status(Health::Ready, passed())));
    insta::assert_snapshot!("not-ready", shown(&status(Health::NotReady, not_ready())));
    let nothing = CloudStatus { deployed: None, kubeconfig: None, ..status(Health::NotDeployed, vec![]) };
    insta::assert_snapshot!("not-deployed", shown(&nothing));
    let late =
        CloudStatus { unseen: Some(format!("{NO_ANSWER} within 4 s")), ..status(Health::NoAnswer, vec![]) };
    insta::assert_snapshot!("no-answer", shown(&late));
}

#[test]
fn a_status_is_json_for_scripts() {
    let status = status(Health::NotReady, not_ready());
    insta::assert_snapshot!(serde_json::to_string_pretty(&status).unwrap());
}
