//! Three control planes, of which one and then two are lost for good.

use std::fs;
use std::time::Duration;

use lab_tests::checkout::real_root;
use lab_tests::own_builds::passed_on;
use lab_tests::{Answer, Checkout, Run, needs_containers, needs_kubespray, wait};

/// On two slow and busy processors.
const PATIENCE: Duration = Duration::from_secs(3 * 60 * 60);

/// What `quick` has for machines; each of them is everything here.
const MACHINES: &str = "
  - name: control-plane
    roles: [control-plane]
  - name: worker-1
  - name: worker-2
";

fn to_its_end(what: &str, run: Run) -> Answer {
    let mut started = run.start();
    wait::until(what, PATIENCE, || started.has_ended().then_some(()));
    started.answer()
}

#[test]
fn what_is_left_of_a_control_plane_brings_back_the_rest() {
    needs_containers!();
    needs_kubespray!();
    let checkout = Checkout::new();
    let text = fs::read_to_string(real_root().join("inventories/quick/cluster.yaml")).unwrap();
    assert!(text.contains(MACHINES), "`quick` has other machines");
    let everything = |name| format!("  - name: {name}\n    roles: [control-plane, worker]\n");
    let machines: String = ["k1", "k2", "k3"].map(everything).concat();
    let text = text.replace("name: quick", "name: three").replace(MACHINES, &format!("\n{machines}"));
    checkout.write("three", &text);
    to_its_end("build", passed_on(checkout.lab(&["artifacts", "build", "three"]))).ok();
    checkout.lab(&["up", "three"]).answer().ok();
    let deploy = |words: &[&str]| to_its_end("deploy", checkout.lab(&["deploy"]).args(words));
    deploy(&["three"]).ok();
    let nothing = deploy(&["recover-control-plane", "three"]).ok();
    assert!(nothing.stderr.contains("nothing to do"), "{nothing}");
    let kubectl = |words: &str| {
        checkout.lab(&["kubectl", "--cluster", "three", "--"]).args(words.split(' ')).answer().ok().stdout
    };
    kubectl("create configmap remembered --from-literal=what=this");

    for lost in [&["k3"][..], &["k2", "k3"]] {
        for machine in lost {
            // Its root goes with everything on it; `up` makes another in its place.
            checkout.lab(&["vm", "stop", machine, "--cluster", "three"]).answer().ok();
            fs::remove_dir_all(checkout.output("three").join("roots").join(machine)).unwrap();
        }
        let early = deploy(&["recover-control-plane", "three", "--yes"]).code(11);
        assert!(early.stderr.contains("cannot be logged in to"), "{early}");
        checkout.lab(&["up", "three", "--yes"]).answer().ok();
        let asked = deploy(&["recover-control-plane", "three"]).code(11);
        assert!(asked.stderr.contains("hint: add `--yes` if that is meant"), "{asked}");
        deploy(&["recover-control-plane", "three", "--yes"]).ok();
        checkout.lab(&["validate", "three"]).answer().ok();
        assert_eq!(kubectl("get configmap remembered --output jsonpath={.data.what}"), "this");
        let again = deploy(&["three"]).ok();
        assert!(again.stderr.contains("nothing to do"), "{again}");
    }
}
