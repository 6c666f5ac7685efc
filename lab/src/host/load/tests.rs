//! What is done about late answers, with overloads that are made up.

use rstest::rstest;

use super::*;

fn busy() -> Option<Overload> {
    Some(Overload { evidence: "load 14 on 2 processors".to_owned(), factor: 7 })
}

fn idle() -> Option<Overload> {
    None
}

/// Attempts that take so many times the usual, and what is told before the second.
async fn asked(
    loads: [Option<Overload>; 2],
    times: u32,
    takes: u32,
) -> (Answer<&'static str>, Vec<u32>, Vec<String>) {
    let (mut attempts, mut told) = (Vec::new(), Vec::new());
    let loads = std::cell::RefCell::new(loads.into_iter());
    let watch = || {
        let load = loads.borrow_mut().next().unwrap();
        move || load.clone()
    };
    let tell = |overload: &Overload, times: u32| {
        told.push(note(overload, "the API", Duration::from_secs(4) * times));
    };
    let answer = again_when_overloaded(watch, times, tell, |times| {
        attempts.push(times);
        std::future::ready(Ok(if times >= takes { Attempt::InTime("yes") } else { Attempt::Late("no") }))
    })
    .await
    .unwrap();
    (answer, attempts, told)
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
    let (answer, attempts, told) = asked(loads, times, takes).await;
    assert_eq!(answer, expected);
    assert_eq!(attempts, expected_attempts);
    assert_eq!(told.len(), expected_attempts.len() - 1, "{told:?}");
}

#[tokio::test]
async fn a_second_attempt_is_told_with_the_evidence_and_its_deadline() {
    let (_, _, told) = asked([busy(), busy()], 1, 7).await;
    assert_eq!(told, ["this computer is busy (load 14 on 2 processors): waiting up to 28 s for the API"]);
}

#[tokio::test]
async fn errors_of_an_attempt_are_not_tried_again() {
    let mut attempts = 0;
    let answer = again_when_overloaded(
        || busy,
        1,
        |_, _| (),
        |_| {
            attempts += 1;
            std::future::ready(anyhow::Result::<Attempt<()>>::Err(anyhow::anyhow!("connection refused")))
        },
    );
    assert_eq!(answer.await.unwrap_err().to_string(), "connection refused");
    assert_eq!(attempts, 1);
}

/// Waits 20 ms, or seven times as long under load, for something that `comes` once the longer wait is told, or never.
async fn waited(load: fn() -> Option<Overload>, comes: bool) -> (Result<(), WaitError>, Vec<Duration>) {
    let told = std::cell::RefCell::new(Vec::new());
    let (length, interval) = (Duration::from_millis(20), Duration::from_millis(1));
    let cancel = CancellationToken::new();
    let tell = |_: &Overload, whole: Duration| told.borrow_mut().push(whole);
    let waited = until_even_if_overloaded(
        &cancel,
        "the registry",
        length,
        interval,
        || load,
        tell,
        || async {
            let is_there = comes && !told.borrow().is_empty();
            if is_there { Probe::Ready(()) } else { Probe::NotYet("refused".to_owned()) }
        },
    )
    .await;
    (waited, told.into_inner())
}

#[tokio::test]
async fn a_wait_goes_on_while_this_computer_is_overloaded() {
    let (waited, told) = waited(busy, true).await;
    assert!(waited.is_ok(), "{waited:?}");
    assert_eq!(told, [Duration::from_millis(140)]);
}

#[rstest]
#[case::overloaded(busy, "last seen: refused, while this computer was busy (load 14 on 2 processors)", 1)]
#[case::idle(idle, "last seen: refused", 0)]
#[tokio::test]
async fn a_wait_that_was_in_vain_tells_of_an_overload(
    #[case] load: fn() -> Option<Overload>,
    #[case] end: &str,
    #[case] longer_waits: usize,
) {
    let (waited, told) = waited(load, false).await;
    let error = waited.unwrap_err().to_string();
    assert!(error.starts_with("the registry: not ready after 0 s ("), "{error}");
    assert!(error.ends_with(end), "{error}");
    assert_eq!(told.len(), longer_waits);
}

#[test]
fn the_load_of_this_computer_can_be_read() {
    let sample = sample();
    assert!(sample.processors >= 1);
    // This test is a task that runs.
    assert!(sample.tasks > 0.0, "{sample:?}");
}
