use kube::Config;
use rstest::rstest;
use serde_json::json;

use super::*;

/// When the machine of the pod was started, in seconds of Unix time.
const MACHINE: i64 = 1_000;

/// Seconds after the start of the machine that the container which is not ready was started, `None` where it does not run;
/// seconds after it that it is looked at.
#[rstest]
#[case::just_started(Some(80), 90, 1, true)]
#[case::should_be_ready_by_now(Some(80), 141, 1, false)]
#[case::emulated(Some(80), 141, 5, true)]
#[case::does_not_run(None, 90, 1, false)]
#[case::does_not_run_on_a_machine_that_was_just_started(None, 59, 1, true)]
#[case::of_the_last_run_of_its_machine(Some(-90), 59, 1, true)]
#[case::not_seen_for_too_long(Some(-90), 61, 1, false)]
#[tokio::test]
async fn pod_has_time_to_become_ready(
    #[case] started: Option<i64>,
    #[case] looked: i64,
    #[case] times: u32,
    #[case] expected: bool,
) {
    let at = |after: i64| Timestamp::from_second(MACHINE + after).unwrap();
    let running = |after: i64| json!({ "running": { "startedAt": at(after).to_string() } });
    let state = started.map_or_else(|| json!({ "waiting": { "reason": "CrashLoopBackOff" } }), running);
    let status = |name: &str, ready: bool, state: serde_json::Value| json!({ "name": name, "ready": ready, "restartCount": 0, "image": "", "imageID": "", "state": state });
    let pod: Pod = serde_json::from_value(json!({
        "metadata": { "name": "metrics-server" },
        "spec": { "nodeName": "node", "containers": [] },
        "status": {
            "phase": "Running",
            "containerStatuses": [status("a", false, state), status("b", true, running(30))],
        },
    }))
    .unwrap();
    let config = Config::new("http://127.0.0.1:1".parse().unwrap());
    let site = Site { started: [("node".to_owned(), MACHINE)].into(), times, ..Site::of_tests(config) };
    assert_eq!(is_on_its_way(&site, &pod, at(looked)), expected);
}
