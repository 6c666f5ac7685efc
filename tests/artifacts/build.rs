//! Own builds of small parts, for real: compiled by Go, put into the store, run.

use std::time::Duration;

use lab_tests::own_builds::{
    build, list, lock, record, records, rewrite_record, states, unpack_file, unpack_image,
};
use lab_tests::{Checkout, redact, run};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const CRICTL: &str = "https://github.com/kubernetes-sigs/cri-tools/releases/download/v1.34.0/crictl-v1.34.0-linux-amd64.tar.gz";
/// In a version that the module proxy refuses.
const REFUSED_CRICTL: &str = "https://github.com/kubernetes-sigs/cri-tools/releases/download/v1.35.0/crictl-v1.35.0-linux-amd64.tar.gz";
const PAUSE: (&str, &str) = ("pod_infra", "registry.k8s.io/pause:3.10.1");

/// Every digest of the store's records.
fn digests(checkout: &Checkout) -> Vec<(Value, Value)> {
    records(checkout)
        .into_iter()
        .map(|record| (record["name"].clone(), json!([record["sha256"], record["manifest"]])))
        .collect()
}

#[test]
fn small_parts_are_built_run_and_not_built_again() {
    let checkout = Checkout::with_own_cache();
    let wanted = lock(
        &[("crictl", REFUSED_CRICTL), ("calicoctl", "https://x.invalid/v3.30.6/calicoctl-linux-amd64")],
        &[PAUSE],
    );
    let said = build(&checkout, &wanted).answer().ok().json();
    let state = |name: &str, state: &str| (name.to_owned(), state.to_owned());
    // In the order of the lock, files first.
    let expected = [state("crictl", "built"), state("calicoctl", "impossible"), state("pod_infra", "built")];
    assert_eq!(states(&said), expected);
    let reason = "the module proxy refuses this version of sigs.k8s.io/cri-tools";
    assert_eq!(said[0]["stand_in"], reason, "the output names a stand-in");

    let crictl = unpack_file(&checkout, "crictl").join("crictl");
    let version = run(&crictl).arg("--version").answer().ok().stdout;
    assert_eq!(version, "crictl version v1.35.0 (the lab's own stand-in)\n");
    let unknown = run(&crictl).arg("logs").answer();
    assert!(unknown.code == 1 && unknown.stderr.contains("does not know the command"), "{unknown}");
    let (root, entrypoint) = unpack_image(&checkout, "pod_infra");
    let pause = root.join(entrypoint.trim_start_matches('/'));
    assert_eq!(run(&pause).arg("-v").answer().ok().stdout, "pause 3.10.1 (the lab's own build)\n");
    let mut waits = run(&pause).start();
    waits.says("first process of a pod", Duration::from_secs(20));
    waits.signal(Signal::SIGTERM);
    assert_eq!(waits.answer().code, 0, "it ends on SIGTERM");

    assert_eq!(record(&checkout, "crictl")["version"], "own stand-in", "wherever a version is shown");
    let before = digests(&checkout);
    let again = build(&checkout, &wanted).answer().ok();
    assert!(states(&again.json()).contains(&state("crictl", "kept")));
    assert_eq!(digests(&checkout), before);

    // The same in another place, whose caches are empty: the same bytes.
    let elsewhere = Checkout::with_own_cache();
    build(&elsewhere, &lock(&[("crictl", REFUSED_CRICTL)], &[PAUSE])).answer().ok();
    assert_eq!(digests(&elsewhere), before);
    // Go counts its calls in the user's settings, wherever it is called.
    assert!(!elsewhere.home().join("go").exists(), "Go keeps something in the user's home");
}

#[test]
fn upstreams_crictl_is_built_and_replaces_a_recorded_stand_in() {
    let checkout = Checkout::with_own_cache();
    let wanted = lock(&[("crictl", CRICTL)], &[]);
    let built = [("crictl".to_owned(), "built".to_owned())];
    let outcomes = build(&checkout, &wanted).answer().ok().json();
    assert_eq!(states(&outcomes), built);
    assert_eq!(outcomes[0]["stand_in"], Value::Null);
    let crictl = unpack_file(&checkout, "crictl").join("crictl");
    assert_eq!(run(&crictl).arg("--version").answer().ok().stdout, "crictl version v1.34.0\n");
    let original = record(&checkout, "crictl");
    assert_eq!(original["version"], "1.34.0");
    assert_eq!(original["made"]["module"], "sigs.k8s.io/cri-tools@v1.34.0");

    // As a release that had only the stand-in recorded it.
    let mut stand_in = original.clone();
    stand_in["version"] = json!("own stand-in");
    stand_in["build_key"] = json!("0");
    rewrite_record(&checkout, &stand_in);
    let list = list(&checkout, &wanted).answer().ok().json();
    assert_eq!(list["artifacts"][0]["superseded"], true, "{list}");
    assert_eq!(states(&build(&checkout, &wanted).answer().ok().json()), built);
    assert_eq!(record(&checkout, "crictl"), original);
}

#[test]
fn killed_build_leaves_nothing_and_next_two_share_work() {
    let checkout = Checkout::with_own_cache();
    let wanted = lock(&[], &[PAUSE]);
    let mut killed = build(&checkout, &wanted).start();
    killed.says("compiling pause", Duration::from_secs(120));
    killed.signal(Signal::SIGKILL);
    assert_eq!(killed.answer().code, 128 + Signal::SIGKILL as i32);
    assert_eq!(records(&checkout), Vec::<Value>::new(), "nothing is half made");

    let both = [(); 2].map(|()| build(&checkout, &wanted).start());
    let mut said: Vec<String> =
        both.map(|one| states(&one.answer().ok().json())[0].1.clone()).into_iter().collect();
    said.sort();
    assert_eq!(said, ["built", "kept"], "one waits for the other");
    assert_eq!(records(&checkout).len(), 1);
}

#[test]
fn build_reports_missing_or_refused_input_in_one_sentence() {
    let checkout = Checkout::with_own_cache();
    let wanted = lock(&[("crictl", CRICTL)], &[]);
    let without = build(&checkout, &wanted).env("LAB_GO", "/nonexistent/go").answer();
    let refused = build(&checkout, &wanted).env("GOPROXY", "off").answer();
    let unchecked = build(&checkout, &wanted).env("GOSUMDB", "off").answer();
    assert_eq!([without.code, refused.code, unchecked.code], [10; 3]);
    assert_eq!(records(&checkout), Vec::<Value>::new());
    let last = refused.stderr.find("error:").map_or("", |at| &refused.stderr[at..]);
    let root = checkout.root().display().to_string();
    redact::settings(&root).bind(|| {
        insta::assert_snapshot!([&without.stderr, last, &unchecked.stderr].join("\n----\n"));
    });
}

#[test]
fn chart_of_gpu_operator_is_packed_as_its_release() {
    let checkout = Checkout::with_own_cache();
    let url = "https://helm.ngc.nvidia.com/nvidia/charts/gpu-operator-v25.3.4.tgz";
    let said = build(&checkout, &lock(&[("gpu_operator_chart", url)], &[])).answer().ok().json();
    assert_eq!(states(&said), [("gpu_operator_chart".to_owned(), "built".to_owned())]);
    let chart = unpack_file(&checkout, "gpu_operator_chart").join("gpu-operator");
    let about = std::fs::read_to_string(chart.join("Chart.yaml")).unwrap();
    let versions: Vec<_> = about.lines().filter(|line| line.to_lowercase().contains("version: v")).collect();
    assert_eq!(
        versions,
        ["apiVersion: v2", "version: v25.3.4", "appVersion: v25.3.4", "    version: v0.17.3"]
    );
    for inside in
        ["values.yaml", "crds/nvidia.com_clusterpolicies.yaml", "charts/node-feature-discovery/Chart.yaml"]
    {
        assert!(chart.join(inside).is_file(), "the chart has {inside}");
    }
    let record = record(&checkout, "gpu_operator_chart");
    assert!(record["source"] == "own-build" && record["made"]["compiler"].is_null(), "{record}");
}
