//! Whether Kubespray runs once more on a cluster that was deployed from the same inputs.

use std::time::Duration;

use lab_core::load::Overload;

use crate::{failure, failure_kind};

use super::*;

fn slow() -> Unanswered {
    let evidence = "load 14 on 2 processors".to_owned();
    Unanswered { within: Duration::from_secs(56), overload: Some(Overload { evidence, factor: 7 }) }
}

#[test]
fn kubespray_runs_again_on_a_cluster_that_is_not_well() {
    assert_eq!(why_again(Ok(None), false, "quick").unwrap(), None);
    let down = Some("the API does not answer within 8 s".to_owned());
    assert_eq!(
        why_again(Ok(down), false, "quick").unwrap().unwrap(),
        "the cluster is not as it must be: the API does not answer within 8 s"
    );
}

#[test]
fn kubespray_runs_on_a_cluster_that_is_slow_only_where_that_is_asked_for() {
    assert_eq!(
        why_again(Err(slow()), true, "quick").unwrap().unwrap(),
        "it is not known whether the cluster is well: the API did not answer within 56 s while this computer was busy (load 14 on 2 processors)"
    );
    let error = why_again(Err(slow()), false, "quick").unwrap_err();
    assert_eq!(failure_kind::of(&error), FailureKind::Checks);
    insta::assert_snapshot!(failure::render(&error), @r"
    error: it is not known whether the cluster is well, and Kubespray was not started
      caused by: the API did not answer within 56 s while this computer was busy (load 14 on 2 processors)

    hint: call it again when this computer has less to do; `cargo xtask deploy quick --fresh` runs Kubespray all the same
    ");
}
