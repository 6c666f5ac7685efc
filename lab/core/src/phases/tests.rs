//! Ranges of phases, and the sentences about their results.

use std::collections::BTreeMap;

use super::*;
use crate::fixtures;
use crate::libvirt_xml::Acceleration;
use crate::plan::{Inputs, Observed, PublicKeys, plan};
use crate::spec::ImageSpec;

/// The plan for the original plan's machines, of which nothing is made yet.
fn fresh() -> Plan {
    let spec = fixtures::spec();
    let images = BTreeMap::from([(ImageSpec::Debian13, "0123456789abcdef".repeat(4))]);
    let (lab, keys) = (fixtures::lab(), PublicKeys::default());
    let inputs =
        Inputs { spec: &spec, lab: &lab, acceleration: Acceleration::Tcg, images: &images, keys: &keys };
    plan(&inputs, &Observed::default())
}

#[test]
fn provisioned_describes_every_action() {
    let mut plan = fresh();
    assert_eq!(provisioned(&plan), "4 machines made");
    assert_eq!(restored(4), "4 machines restored from a snapshot");
    let actions = [Action::Change, Action::Replace, Action::Start, Action::Remove];
    for (machine, action) in plan.machines.iter_mut().zip(actions) {
        machine.action = action;
    }
    assert_eq!(
        provisioned(&plan),
        "1 machine changed, 1 machine replaced, 1 machine started, 1 machine removed"
    );
}

#[test]
fn plan_without_steps_has_nothing_to_do() {
    let mut plan = fresh();
    plan.network.steps.clear();
    for machine in &mut plan.machines {
        machine.action = Action::Keep;
        machine.before.clear();
        machine.steps.clear();
    }
    assert_eq!(provisioned(&plan), "nothing to do: 4 machines as the cluster file says already");
}

#[test]
fn inventory_is_described_by_its_changes() {
    let folder = Some("inventories/quick");
    insta::assert_snapshot!([
        generated(folder, 5, 1, 2),
        generated(folder, 0, 0, 7),
        generated(None, 0, 0, 0),
    ].join("\n"), @r"
    5 files written, 1 removed, 2 as they were in inventories/quick
    nothing to do: the 7 files in inventories/quick are as they must be
    nothing to do: the lab's own was written before its machines, and there is no other
    ");
}

#[test]
fn phase_ends_with_what_came_of_it_and_how_long_it_took() {
    let check = |id: &str, verdict| Outcome {
        id: id.to_owned(),
        title: String::new(),
        verdict,
        seconds: 0.0,
        details: vec![],
    };
    let checks = [check("nodes", Verdict::Passed), check("top", Verdict::Skipped)];
    assert_eq!(
        describe_phase("validate the cluster's health", &validated(&checks), 1.25),
        "validate the cluster's health: 1 passed, 0 failed, 1 skipped: nodes (1.2 s)"
    );
}

const NAMES: [&str; 4] = ["prepare", "up", "deploy", "validate"];

#[test]
fn range_leaves_out_phases_before_and_behind_it_and_says_why() {
    let left_out = |from, until| {
        let range = Range::between(&NAMES, from, until).unwrap();
        (0..NAMES.len()).map(|place| range.why_not(place).unwrap_or_default()).collect::<Vec<_>>().join(",")
    };
    assert_eq!(left_out(None, None), ",,,");
    assert_eq!(left_out(Some("deploy"), None), "--from deploy,--from deploy,,");
    assert_eq!(left_out(None, Some("up")), ",,--until up,--until up");
    assert_eq!(left_out(Some("up"), Some("up")), "--from up,,--until up,--until up");
}

#[test]
fn range_refuses_names_of_no_phase_and_the_wrong_order() {
    let refused = |from, until| Range::between(&NAMES, from, until).unwrap_err().to_string();
    let unknown = |name, hint: &str| {
        let error = Range::between(&NAMES, Some(name), None).unwrap_err();
        assert_eq!(error, RangeError::Unknown { name: name.to_owned(), hint: hint.to_owned() });
    };
    unknown("depoy", "did you mean `deploy`?");
    unknown("everything", "known phases: prepare, up, deploy, validate");
    assert_eq!(refused(Some("deploy"), Some("up")), "`up` comes before `deploy`, so there is nothing to do");
}
