//! The state of a cluster, from its checks, and its display.

use lab_core::load::Overload;
use lab_core::spec::Role;
use rstest::rstest;

use crate::machines::status::MachineStatus;

use super::*;

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

fn starting() -> Vec<Outcome> {
    let mut system = outcome("system-pods", Verdict::Passed, "9 pods");
    system.details.push(format!("{ON_THEIR_WAY} `metrics-server`"));
    vec![outcome("nodes", Verdict::Passed, "3 nodes"), system]
}

fn silent() -> Vec<Outcome> {
    let why = format!("{NO_ANSWER}: connection refused");
    vec![outcome("nodes", Verdict::Failed, &why), outcome("system-pods", Verdict::Failed, &why)]
}

/// No answer within four seconds, or within 28 on a computer that was overloaded.
fn unanswered(is_slow: bool) -> anyhow::Error {
    let overload = Overload { evidence: "load 14 on 2 processors".to_owned(), factor: 7 };
    let within = STATUS_HEALTH_TIMEOUT.times(if is_slow { overload.factor } else { 1 });
    Unanswered { within, overload: is_slow.then_some(overload) }.into()
}

#[rstest]
#[case::ready(true, true, Ok(passed()), Health::Ready, None)]
#[case::starting(true, true, Ok(starting()), Health::Starting, None)]
#[case::not_ready(true, true, Ok(not_ready()), Health::NotReady, Some(FailureKind::Checks))]
#[case::silent(true, true, Ok(silent()), Health::NoAnswer, Some(FailureKind::Checks))]
#[case::not_in_time(true, true, Err(unanswered(false)), Health::NoAnswer, Some(FailureKind::Checks))]
#[case::not_in_time_on_a_busy_computer(
    true,
    true,
    Err(unanswered(true)),
    Health::Slow,
    Some(FailureKind::Checks)
)]
#[case::not_asked(true, true, Err(anyhow::anyhow!("no host")), Health::NoAnswer, Some(FailureKind::Checks))]
#[case::not_deployed(true, false, Ok(vec![]), Health::NotDeployed, Some(FailureKind::Checks))]
#[case::stopped(false, true, Ok(vec![]), Health::Stopped, Some(FailureKind::Provision))]
#[case::a_machine_is_off(false, true, Ok(not_ready()), Health::Stopped, Some(FailureKind::Provision))]
#[case::a_machine_is_off_and_the_computer_busy(
    false,
    true,
    Err(unanswered(true)),
    Health::Stopped,
    Some(FailureKind::Provision)
)]
#[case::never_made(false, false, Ok(vec![]), Health::Stopped, Some(FailureKind::Provision))]
fn health_follows_from_checks(
    #[case] all_run: bool,
    #[case] has_kubeconfig: bool,
    #[case] answer: anyhow::Result<Vec<Outcome>>,
    #[case] expected: Health,
    #[case] failure: Option<FailureKind>,
) {
    let health = health(all_run, has_kubeconfig, &answer);
    assert_eq!(health, expected);
    assert_eq!(status(health, answer.unwrap_or_default()).failure(), failure);
}

fn status(health: Health, checks: Vec<Outcome>) -> CloudStatus {
    let machine = MachineStatus {
        name: "control-plane".to_owned(),
        state: "running",
        address: Some("192.168.200.10".parse().unwrap()),
        roles: vec![Role::ControlPlane, Role::Etcd],
        gpus: vec![],
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
fn status_is_printed_as_table() {
    let shown = |status: &CloudStatus| table(status, Path::new("/checkout"), "quick");
    insta::assert_snapshot!("ready", shown(&status(Health::Ready, passed())));
    insta::assert_snapshot!("starting", shown(&status(Health::Starting, starting())));
    insta::assert_snapshot!("not-ready", shown(&status(Health::NotReady, not_ready())));
    let nothing = CloudStatus { deployed: None, kubeconfig: None, ..status(Health::NotDeployed, vec![]) };
    insta::assert_snapshot!("not-deployed", shown(&nothing));
    for (name, health, error) in
        [("no-answer", Health::NoAnswer, unanswered(false)), ("slow", Health::Slow, unanswered(true))]
    {
        let late = CloudStatus { unseen: Some(error.to_string()), ..status(health, vec![]) };
        insta::assert_snapshot!(name, shown(&late));
    }
}

#[test]
fn status_is_printed_as_json() {
    let status = status(Health::NotReady, not_ready());
    insta::assert_snapshot!(serde_json::to_string_pretty(&status).unwrap());
}

#[test]
fn slow_is_distinguished_from_down_in_json() {
    let words = [Health::Slow, Health::NoAnswer].map(|health| serde_json::to_value(health).unwrap());
    assert_eq!(words, ["slow", "no-answer"]);
}
