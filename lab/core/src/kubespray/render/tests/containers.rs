//! kubelet's limits for the disk of a container, which is the computer's.

use super::*;
use crate::spec::MachineKind;

const EVICTION: &str = "eviction_hard";
const IMAGES: &str = "kubelet_image_gc_high_threshold";

/// The cluster of the fixtures, with user variables and with these machines as containers.
fn with_containers(variables: &Value, containers: impl Fn(&str) -> bool) -> ClusterSpec {
    let mut spec = with_variables(variables);
    for machine in spec.machines.iter_mut().filter(|machine| containers(&machine.name)) {
        machine.kind = MachineKind::Container;
    }
    spec
}

/// Everything that is set for the two variables, as `scope variable=value # origin`.
fn disk_lines(spec: &ClusterSpec) -> String {
    let text = settings_text(spec, &known("v2.30.0"));
    let lines = text.lines().filter(|line| line.contains(EVICTION) || line.contains(IMAGES));
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn virtual_machines_keep_the_limits_of_kubernetes() {
    assert_eq!(disk_lines(&fixtures::everything()), "");
}

#[test]
fn limits_are_set_for_the_group_where_all_machines_are_containers() {
    insta::assert_snapshot!(disk_lines(&with_containers(&json!({}), |_| true)), @r#"
    [k8s_cluster] eviction_hard={"imagefs.available":"1Gi","memory.available":"100Mi","nodefs.available":"1Gi"} # (the disk of a container is the computer's)
    [k8s_cluster] kubelet_image_gc_high_threshold=100 # (the disk of a container is the computer's)
    "#);
}

#[test]
fn limits_are_set_for_single_machines_where_others_are_virtual() {
    insta::assert_snapshot!(disk_lines(&with_containers(&json!({}), |name| name == "cpu-worker")), @r#"
    cpu-worker eviction_hard={"imagefs.available":"1Gi","memory.available":"100Mi","nodefs.available":"1Gi"} # (the disk of a container is the computer's)
    cpu-worker kubelet_image_gc_high_threshold=100 # (the disk of a container is the computer's)
    "#);
}

#[rstest]
#[case::in_all("all")]
#[case::in_the_cluster("k8s_cluster")]
fn limits_of_the_user_take_the_place_of_those_of_the_lab(#[case] group: &str) {
    let variables = json!({ group: { IMAGES: 90, EVICTION: { "nodefs.available": "5Gi" } } });
    let spec = with_containers(&variables, |_| true);
    let settings = settings(&spec, &known("v2.30.0"));
    for (name, expected) in [(IMAGES, json!(90)), (EVICTION, json!({ "nodefs.available": "5Gi" }))] {
        let values: Vec<&Value> =
            settings.iter().filter(|setting| setting.name == name).map(|setting| &setting.value).collect();
        assert_eq!(values, [&expected], "{name}");
    }
    let mixed = disk_lines(&with_containers(&variables, |name| name == "cpu-worker"));
    assert!(!mixed.contains("cpu-worker"), "{mixed}");
}

/// These arguments are written into the same file as the limits.
#[test]
fn limits_in_extra_arguments_are_not_set_a_second_time() {
    let arguments = json!({ "all": { "kubelet_config_extra_args": { "imageGCHighThresholdPercent": 95 } } });
    let lines = disk_lines(&with_containers(&arguments, |_| true));
    assert!(lines.contains(EVICTION) && !lines.contains(IMAGES), "{lines}");
}
