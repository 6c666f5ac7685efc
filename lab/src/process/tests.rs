//! Programs that end in every way.

use std::time::Duration;

use crate::wait::{Probe, until};

use super::*;

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(20))
}

#[tokio::test]
async fn failure_quotes_last_output_of_program() {
    let error = invocation("sh")
        .args(["-c", "echo said; echo cause >&2; exit 3"])
        .read(&CancellationToken::new(), soon())
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "`sh` failed with exit status: 3, its last words:\ncause");
}

#[tokio::test]
async fn missing_program_is_named() {
    let error = invocation("no-such-program").read(&CancellationToken::new(), soon()).await.unwrap_err();
    assert!(error.to_string().starts_with("cannot run `no-such-program`: "), "{error}");
}

#[tokio::test]
async fn late_program_is_killed_with_its_children() {
    let folder = tempfile::tempdir().unwrap();
    let pid_file = folder.path().join("pid");
    let script = format!("sleep 600 & echo $! > {}; wait", pid_file.display());
    let error = invocation("sh")
        .args(["-c", &script])
        .read(&CancellationToken::new(), Deadline::after(Duration::from_millis(400)))
        .await
        .unwrap_err();
    assert!(matches!(error, ProcessError::Late { .. }), "{error}");
    let child: i32 = std::fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap();
    // A kill takes effect when its target is scheduled next, and the orphan is reaped by its new parent;
    // gone or a zombie both mean that it no longer runs.
    let look = || async {
        let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        if stat.is_empty() || stat.contains(") Z ") { Probe::Ready(()) } else { Probe::NotYet(stat) }
    };
    let cancel = CancellationToken::new();
    until(&cancel, "the end of the orphan", soon(), Duration::from_millis(10), look).await.unwrap();
}

#[tokio::test]
async fn lock_lasts_as_long_as_program_sharing_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lock");
    let lock = Arc::new(crate::files::try_lock(&path).unwrap().unwrap());
    // As after a SIGKILL: the program lives on and we hold nothing any more.
    let stdin = lock.try_clone().unwrap().into();
    let mut child = invocation("sleep").arg("600").spawn(stdin, Stdio::null(), Stdio::null()).unwrap();
    let run = invocation("true").holding(&lock);
    run.read(&CancellationToken::new(), soon()).await.unwrap();
    drop((run, lock));
    assert!(crate::files::try_lock(&path).unwrap().is_none());
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(crate::files::try_lock(&path).unwrap().is_some());
}

#[tokio::test]
async fn log_receives_both_streams() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let text = invocation("sh")
        .args(["-c", "echo words; echo wrong >&2"])
        .log(&log)
        .read(&CancellationToken::new(), soon())
        .await
        .unwrap();
    let kept = std::fs::read_to_string(log).unwrap();
    assert_eq!(text, "words\n");
    assert!(kept.contains("words\n") && kept.contains("wrong\n"), "{kept}");
}

#[tokio::test]
async fn lines_are_handed_out_as_they_come_and_none_is_lost() {
    let mut lines = Vec::new();
    let output = invocation("sh")
        .args(["-c", "seq 1 5000; echo wrong >&2; printf 'no end'; exit 2"])
        .stream(&CancellationToken::new(), soon(), |line| lines.push(line.to_owned()))
        .await
        .unwrap();
    assert_eq!((lines.len(), lines[4999].as_str(), lines[5000].as_str()), (5001, "5000", "no end"));
    assert_eq!(
        (output.status.code(), output.stdout.as_str(), output.stderr.as_str()),
        (Some(2), "", "wrong\n")
    );
}
