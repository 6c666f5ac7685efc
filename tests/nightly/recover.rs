//! Three control planes, of which one and then two are lost for good.

use std::fs;

use lab_tests::{Living, living, needs};

/// The machines of `quick`; each of them has all roles here.
const MACHINES: &str = "
  - name: control-plane
    roles: [control-plane]
  - name: worker-1
  - name: worker-2
";

#[test]
fn recover_restores_lost_control_planes() {
    needs!(Containers, Kubespray);
    let text = living::quick();
    assert!(text.contains(MACHINES), "`quick` has other machines");
    let everything = |name| format!("  - name: {name}\n    roles: [control-plane, worker]\n");
    // One member of etcd may have these options, several on a busy computer may not.
    let of_one_member =
        |line: &str| line.contains("etcd_heartbeat_interval") || line.contains("etcd_election_timeout");
    let lines = text.split_inclusive('\n').filter(|line| !of_one_member(line));
    let text: String = lines.collect();
    let machines: String = ["k1", "k2", "k3"].map(everything).concat();
    let text = text.replace("name: quick", "name: three").replace(MACHINES, &format!("\n{machines}"));
    let three = Living::planned("three", &text);
    let checkout = &three.checkout;
    checkout.lab(&["up", "three"]).answer().ok();
    three.deploy(&["three", "--no-snapshot"]).ok();
    let nothing = three.deploy(&["recover-control-plane", "three"]).ok();
    assert!(nothing.stderr.contains("nothing to do"), "{nothing}");
    three.kubectl("create configmap remembered --from-literal=what=this").ok();

    for lost in [&["k3"][..], &["k2", "k3"]] {
        for machine in lost {
            // Its root goes with everything on it; `up` makes another in its place.
            checkout.lab(&["vm", "stop", machine, "--cluster", "three"]).answer().ok();
            fs::remove_dir_all(checkout.output("three").join("roots").join(machine)).unwrap();
        }
        let early = three.deploy(&["recover-control-plane", "three", "--yes"]).code(11);
        assert!(early.stderr.contains("cannot be logged in to"), "{early}");
        checkout.lab(&["up", "three", "--yes"]).answer().ok();
        let asked = three.deploy(&["recover-control-plane", "three"]).code(11);
        assert!(asked.stderr.contains("hint: add `--yes` if that is meant"), "{asked}");
        three.deploy(&["recover-control-plane", "three", "--yes"]).ok();
        let remembered = three.kubectl("get configmap remembered --output jsonpath={.data.what}").ok();
        assert_eq!(remembered.stdout, "this");
        three.is_well();
    }
    three.destroy();
}
