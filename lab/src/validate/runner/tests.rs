//! How checks are run, out of checks that look at nothing.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use kube::Config;
use lab_core::needs::Need;

use crate::validate::check::BASE;

use super::*;

static LOOKS: AtomicU32 = AtomicU32::new(0);
static ORDER: Mutex<Vec<&str>> = Mutex::new(Vec::new());

const PASSES: Check = Check {
    id: "passes",
    title: "all is well",
    run: |_| {
        Box::pin(async {
            ORDER.lock().unwrap().push("passes");
            Ok(vec!["one".to_owned()])
        })
    },
    ..BASE
};
const FAILS: Check =
    Check { id: "fails", run: |_| Box::pin(async { Err(vec!["it is broken".to_owned()]) }), ..PASSES };
const COMES_TRUE: Check = Check {
    id: "comes-true",
    deadline: |_| Duration::from_secs(20),
    run: |_| {
        Box::pin(async {
            let is_first = LOOKS.fetch_add(1, Ordering::Relaxed) == 0;
            if is_first { Err(vec!["not yet".to_owned()]) } else { Ok(vec!["the second look".to_owned()]) }
        })
    },
    ..PASSES
};
const NEEDS_ANOTHER_NODE: Check = Check { id: "needs-another-node", needs: &[Need::TwoNodes], ..PASSES };
const DISTURBS: Check = Check {
    id: "disturbs",
    disturbs: true,
    run: |_| {
        Box::pin(async {
            ORDER.lock().unwrap().push("disturbs");
            Ok(vec![])
        })
    },
    ..PASSES
};

#[tokio::test]
async fn runner_skips_looks_again_and_runs_alone_as_a_check_says() {
    let context = Context::new(Site::of_tests(Config::new("http://127.0.0.1:1".parse().unwrap())));
    let reported = Mutex::new(Vec::new());
    let checks: [&'static Check; 5] = [&DISTURBS, &FAILS, &COMES_TRUE, &NEEDS_ANOTHER_NODE, &PASSES];
    let report = |outcome: Outcome| {
        let Outcome { id, verdict, details, .. } = outcome;
        reported
            .lock()
            .unwrap()
            .push(format!("{id} {verdict:?} {}", details.join("; ")).trim_end().to_owned());
        Ok(())
    };
    run_all(&context, &checks, report).await.unwrap();
    let mut reported = reported.into_inner().unwrap();
    assert_eq!(reported.last().unwrap(), "disturbs Passed");
    reported.sort();
    assert_eq!(
        reported,
        [
            "comes-true Passed the second look",
            "disturbs Passed",
            "fails Failed it is broken",
            "needs-another-node Skipped one node has no other to reach",
            "passes Passed one",
        ]
    );
    assert_eq!(*ORDER.lock().unwrap(), ["passes", "disturbs"]);
}

#[test]
fn names_of_checks_are_known_and_each_is_there_once() {
    let mut ids: Vec<&str> = suites::all().map(|check| check.id).collect();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count);
    assert!(known(&["dns".to_owned()]).is_ok());
    assert_eq!(known(&["dnss".to_owned()]).unwrap_err().to_string(), "there is no check `dnss`");
}

#[test]
fn checks_of_probes_add_the_check_that_probes_run() {
    let chosen = |ids: &[&str]| {
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        suites::chosen(&ids, true).iter().map(|check| check.id).collect::<Vec<_>>()
    };
    assert_eq!(chosen(&["nodes"]), ["nodes"]);
    assert_eq!(chosen(&["dns"]), ["probes", "dns"]);
    assert_eq!(chosen(&[]).len(), suites::all().count());
}

#[test]
fn checks_of_gpus_concern_clusters_that_ask_for_the_operator() {
    let without: Vec<&str> = suites::chosen(&[], false).iter().map(|check| check.id).collect();
    let of_gpus: Vec<&str> = suites::of_gpus().map(|check| check.id).collect();
    assert!(of_gpus.iter().all(|id| id.starts_with("gpu-") && !without.contains(id)), "{of_gpus:?}");
    assert_eq!(without.len() + of_gpus.len(), suites::all().count());
    assert_eq!(suites::chosen(&["gpu-pods".to_owned()], false).len(), 1, "named, it says why it is skipped");
}
