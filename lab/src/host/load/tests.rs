//! The retry of late answers, under simulated overloads.

use rstest::rstest;

use super::*;

fn busy() -> Option<Overload> {
    Some(Overload { evidence: "load 14 on 2 processors".to_owned(), factor: 7 })
}

fn idle() -> Option<Overload> {
    None
}

/// An answer that takes so many times the usual timeout, its attempts, and the notes before the second.
async fn asked(
    loads: [Option<Overload>; 2],
    times: u32,
    takes: u32,
) -> (Answer<&'static str>, Vec<u32>, Vec<String>) {
    let (mut attempts, mut notes) = (Vec::new(), Vec::new());
    let loads = std::cell::RefCell::new(loads.into_iter());
    let watch = || {
        let load = loads.borrow_mut().next().unwrap();
        move || load.clone()
    };
    let question = Question { of: "the API", timeout: Timeout::new(Duration::from_secs(4)), times };
    let notify = |note: &str| notes.push(note.to_owned());
    let answer = again_when_overloaded(question, watch, notify, |times| {
        attempts.push(times);
        std::future::ready(Ok(if times >= takes { Attempt::InTime("yes") } else { Attempt::Late("no") }))
    })
    .await
    .unwrap();
    (answer, attempts, notes)
}

#[rstest]
#[case::in_time([busy(), busy()], 1, 1, Answer::InTime("yes"), &[1])]
#[case::down([idle(), idle()], 1, 2, Answer::Late { value: "no", times: 1 }, &[1])]
#[case::in_time_at_the_second_attempt([busy(), busy()], 1, 7, Answer::InTime("yes"), &[1, 7])]
#[case::slow([busy(), busy()], 1, 8, Answer::Slow { value: "no", times: 7, overload: busy().unwrap() }, &[1, 7])]
#[case::down_when_the_overload_is_over([busy(), idle()], 1, 8, Answer::Late { value: "no", times: 7 }, &[1, 7])]
#[case::emulated([busy(), busy()], 5, 10, Answer::InTime("yes"), &[5, 10])]
#[tokio::test]
async fn late_answers_are_asked_for_again_on_an_overloaded_computer(
    #[case] loads: [Option<Overload>; 2],
    #[case] times: u32,
    #[case] takes: u32,
    #[case] expected: Answer<&'static str>,
    #[case] expected_attempts: &[u32],
) {
    let (answer, attempts, notes) = asked(loads, times, takes).await;
    assert_eq!(answer, expected);
    assert_eq!(attempts, expected_attempts);
    assert_eq!(notes.len(), expected_attempts.len() - 1, "{notes:?}");
}

#[tokio::test]
async fn note_gives_evidence_and_deadline_of_second_attempt() {
    let (_, _, notes) = asked([busy(), busy()], 1, 7).await;
    assert_eq!(notes, ["this computer is busy (load 14 on 2 processors): waiting up to 28 s for the API"]);
}

#[tokio::test]
async fn errors_of_an_attempt_are_not_tried_again() {
    let mut attempts = 0;
    let question = Question { of: "the API", timeout: Timeout::new(Duration::from_secs(4)), times: 1 };
    let refused = |_| {
        attempts += 1;
        std::future::ready(anyhow::Result::<Attempt<()>>::Err(anyhow::anyhow!("connection refused")))
    };
    let answer = again_when_overloaded(question, || busy, |_| (), refused);
    assert_eq!(answer.await.unwrap_err().to_string(), "connection refused");
    assert_eq!(attempts, 1);
}

/// Waits 20 ms, or seven times as long under load, for something that `comes` after the note, or never.
async fn waited(load: fn() -> Option<Overload>, comes: bool) -> (Result<(), WaitError>, Vec<String>) {
    let notes = std::cell::RefCell::new(Vec::new());
    let (timeout, interval) = (Timeout::new(Duration::from_millis(20)), Duration::from_millis(1));
    let cancel = CancellationToken::new();
    let notify = |note: &str| notes.borrow_mut().push(note.to_owned());
    let waited = until_even_if_overloaded(
        &cancel,
        "the registry",
        timeout,
        interval,
        || load,
        notify,
        || async {
            let is_there = comes && !notes.borrow().is_empty();
            if is_there { Probe::Ready(()) } else { Probe::NotYet("refused".to_owned()) }
        },
    )
    .await;
    (waited, notes.into_inner())
}

#[tokio::test]
async fn wait_goes_on_while_this_computer_is_overloaded() {
    let (waited, notes) = waited(busy, true).await;
    assert!(waited.is_ok(), "{waited:?}");
    assert_eq!(
        notes,
        ["this computer is busy (load 14 on 2 processors): waiting up to 0 s for the registry"]
    );
}

#[rstest]
#[case::overloaded(busy, "last seen: refused, while this computer was busy (load 14 on 2 processors)", 1)]
#[case::idle(idle, "last seen: refused", 0)]
#[tokio::test]
async fn failed_wait_reports_overload(
    #[case] load: fn() -> Option<Overload>,
    #[case] end: &str,
    #[case] longer_waits: usize,
) {
    let (waited, notes) = waited(load, false).await;
    let error = waited.unwrap_err().to_string();
    assert!(error.starts_with("the registry: not ready after 0 s ("), "{error}");
    assert!(error.ends_with(end), "{error}");
    assert_eq!(notes.len(), longer_waits);
}

#[test]
fn load_of_this_computer_can_be_read() {
    let sample = sample();
    assert!(sample.processors >= 1);
    // This test is a task that runs.
    assert!(sample.tasks > 0.0, "{sample:?}");
}
