//! Checks under simulated overload, of an API server that is slow, silent or not there.

use std::cell::RefCell;

use kube::Config;
use rstest::rstest;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::validate::access::Site;
use crate::validate::suites::cluster::system_pods;
use crate::wait::Deadline;

use super::*;

const PODS: &str = r#"{"apiVersion":"v1","kind":"PodList","metadata":{},"items":[{"metadata":{"name":"dns"},"status":{"phase":"Succeeded"}}]}"#;
const WITHIN: Duration = Duration::from_secs(1);

fn busy() -> Option<Overload> {
    Some(Overload { evidence: "load 14 on 2 processors".to_owned(), factor: 3 })
}

fn idle() -> Option<Overload> {
    None
}

/// An API server that answers every request with pods, so long after it came; never where there is no `delay`.
async fn api(delay: Option<Duration>) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 4096];
                while let Ok(1..) = connection.read(&mut request).await {
                    let Some(delay) = delay else { continue };
                    Deadline::after(delay).passed().await;
                    let length = PODS.len();
                    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json";
                    let answer = format!("{head}\r\ncontent-length: {length}\r\n\r\n{PODS}");
                    connection.write_all(answer.as_bytes()).await.unwrap();
                }
            });
        }
    });
    address.to_string()
}

fn site(url: &str, connect_timeout: Duration) -> Site {
    let mut config = Config::new(url.parse().unwrap());
    config.connect_timeout = Some(connect_timeout);
    config.accept_invalid_certs = true;
    Site::of_tests(config)
}

fn outcome(id: &str, verdict: Verdict, detail: &str) -> Outcome {
    let details = vec![detail.to_owned()];
    Outcome { id: id.to_owned(), title: format!("the title of `{id}`"), verdict, seconds: 0.1, details }
}

/// The check of pods, ended like the process of the checks: at its deadline.
async fn check(site: &Site, within: Duration) -> anyhow::Result<Vec<Outcome>> {
    let deadline = Deadline::after(within);
    tokio::select! {
        looked = system_pods(site) => Ok(vec![match looked {
            Ok(seen) => outcome("system-pods", Verdict::Passed, &seen.join("; ")),
            Err(why) => outcome("system-pods", Verdict::Failed, &why.join("; ")),
        }]),
        () = deadline.passed() => {
            let (program, output) = ("lab".to_owned(), String::new());
            let late = ProcessError::Late { program, seconds: within.as_secs_f64(), output };
            Err(anyhow::Error::from(late).context("the checks did not come to their end"))
        }
    }
}

#[rstest]
#[case::fast(busy, Some(Duration::ZERO), Ok("1 pods"), 0)]
#[case::slow_on_a_busy_computer(busy, Some(WITHIN * 2), Ok("1 pods"), 1)]
#[case::slow_on_an_idle_computer(idle, Some(WITHIN * 2), Err("the API does not answer within 1 s"), 0)]
#[case::silent_on_a_busy_computer(
    busy,
    None,
    Err("the API did not answer within 3 s while this computer was busy (load 14 on 2 processors)"),
    1
)]
#[tokio::test]
async fn slow_api_is_not_reported_down(
    #[case] load: fn() -> Option<Overload>,
    #[case] delay: Option<Duration>,
    #[case] expected: Result<&str, &str>,
    #[case] expected_notes: usize,
) {
    let site = site(&format!("http://{}", api(delay).await), WITHIN);
    let notes = RefCell::new(Vec::new());
    let notify = |note: &str| notes.borrow_mut().push(note.to_owned());
    let answer =
        ask_once(|| load, 1, Timeout::new(WITHIN), notify, async |times| check(&site, WITHIN * times).await)
            .await;
    let result = answer.map(|outcomes| outcomes[0].details.join("; ")).map_err(|error| error.to_string());
    assert_eq!(result.as_deref().map_err(String::as_str), expected);
    let notes = notes.into_inner();
    assert_eq!(notes.len(), expected_notes, "{notes:?}");
    let busy = "this computer is busy (load 14 on 2 processors): waiting up to 3 s for the API";
    assert!(notes.iter().all(|note| note == busy), "{notes:?}");
}

#[tokio::test]
async fn slow_connection_is_late_and_refused_one_is_not() {
    // It never says a word of TLS.
    let url = format!("https://{}", api(None).await);
    let silent = check(&site(&url, Duration::from_millis(50)), WITHIN * 60).await.unwrap();
    assert!(has_late(&silent), "{silent:?}");
    assert!(silent[0].details[0].starts_with(NO_ANSWER), "{silent:?}");

    // A port that was free a moment ago.
    let port = TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap().port();
    let url = format!("https://127.0.0.1:{port}");
    let refused = check(&site(&url, WITHIN * 60), WITHIN * 60).await.unwrap();
    assert!(!has_late(&refused), "{refused:?}");
    assert!(refused[0].details[0].starts_with(NO_ANSWER), "{refused:?}");
}

#[rstest]
#[case::etcd("etcdserver: request timed out", true)]
#[case::server(
    "Timeout: request did not complete within requested timeout - context deadline exceeded",
    true
)]
#[case::node("`worker-1` is not ready: KubeletNotReady", false)]
fn api_reporting_its_own_timeout_is_late(#[case] detail: &str, #[case] expected: bool) {
    assert_eq!(has_late(&[outcome("nodes", Verdict::Failed, detail)]), expected);
}

/// The outcomes of checks that run once or twice, those that were shown, the notes, and the limits and names of each run.
struct Rerun {
    outcomes: Vec<String>,
    shown: Vec<String>,
    notes: Vec<String>,
    limits: Vec<Limits>,
    runs: Vec<Vec<String>>,
}

async fn rerun(load: fn() -> Option<Overload>, runs: [&[Outcome]; 2]) -> Rerun {
    let word = |outcome: &Outcome| format!("{} {:?}", outcome.id, outcome.verdict);
    let (mut shown, mut notes, mut limits, mut asked) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let usual = Limits { patience: Duration::from_secs(60), times: 1 };
    let outcomes = again_for_failed(
        || load,
        &[],
        usual,
        |note| notes.push(note.to_owned()),
        |outcome| shown.push(word(outcome)),
        async |ids, run_limits, each| {
            let outcomes = runs[asked.len()].to_vec();
            limits.push(run_limits);
            asked.push(ids.to_vec());
            outcomes.iter().for_each(each);
            Ok(outcomes)
        },
    );
    let outcomes = outcomes.await.unwrap().iter().map(word).collect();
    Rerun { outcomes, shown, notes, limits, runs: asked }
}

#[tokio::test]
async fn checks_that_fail_on_a_busy_computer_run_again_with_more_time() {
    let first = [
        outcome("nodes", Verdict::Passed, "3 nodes"),
        outcome("probes", Verdict::Failed, "the pod `probe` is Pending"),
        outcome("dns", Verdict::Skipped, NO_PROBES),
        outcome("top", Verdict::Skipped, "the cluster file asks for no metrics-server"),
    ];
    let second = [outcome("probes", Verdict::Passed, "3 pods"), outcome("dns", Verdict::Failed, "no answer")];
    let rerun = rerun(busy, [&first, &second]).await;
    assert_eq!(rerun.runs, [vec![], vec!["probes".to_owned(), "dns".to_owned()]]);
    assert_eq!(rerun.limits[1], Limits { patience: Duration::from_secs(180), times: 3 });
    let note =
        "this computer is busy (load 14 on 2 processors): waiting up to 180 s for the checks that failed";
    assert_eq!(rerun.notes, [note]);
    assert_eq!(rerun.shown, ["nodes Passed", "top Skipped", "probes Passed", "dns Failed"]);
    assert_eq!(rerun.outcomes, ["nodes Passed", "probes Passed", "dns Failed", "top Skipped"]);
}

#[tokio::test]
async fn checks_that_fail_on_an_idle_computer_have_failed() {
    let first = [outcome("probes", Verdict::Failed, "no image"), outcome("dns", Verdict::Skipped, NO_PROBES)];
    let rerun = rerun(idle, [&first, &[]]).await;
    assert_eq!(rerun.runs.len(), 1);
    assert!(rerun.notes.is_empty());
    assert_eq!(rerun.shown, ["probes Failed", "dns Skipped"]);
    assert_eq!(rerun.outcomes, ["probes Failed", "dns Skipped"]);
}

#[tokio::test]
async fn pods_that_other_checks_need_again_are_shown_once() {
    let first = [outcome("probes", Verdict::Passed, "3 pods"), outcome("dns", Verdict::Failed, "no answer")];
    let second = [outcome("probes", Verdict::Passed, "3 pods"), outcome("dns", Verdict::Passed, "2 names")];
    let rerun = rerun(busy, [&first, &second]).await;
    assert_eq!(rerun.runs, [vec![], vec!["dns".to_owned()]]);
    assert_eq!(rerun.shown, ["probes Passed", "dns Passed"]);
    assert_eq!(rerun.outcomes, ["probes Passed", "dns Passed"]);
}

#[tokio::test]
async fn check_failing_again_on_busy_computer_reports_load() {
    let failed = [outcome("leases", Verdict::Failed, "late")];
    let run = async |_: &[String], _: Limits, each: &mut dyn FnMut(&Outcome)| {
        failed.iter().for_each(each);
        Ok(failed.to_vec())
    };
    let usual = Limits { patience: WITHIN, times: 1 };
    let outcomes = again_for_failed(|| busy, &[], usual, |_| (), |_| (), run).await.unwrap();
    assert_eq!(outcomes[0].details, ["late", "this computer was busy (load 14 on 2 processors)"]);
}
