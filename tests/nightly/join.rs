//! A machine that is added to the file of a living cluster and becomes a second control plane by a deploy.

use lab_tests::{Living, living, needs};

/// The machines before.
const OLD: &str = "
  - name: control-plane
    roles: [control-plane, etcd]
  - name: worker-1
";
/// The machine that is added to them.
const NEW: &str = "  - name: second
    roles: [control-plane, worker]
";

#[test]
fn second_control_plane_joins_living_cluster() {
    needs!(Containers, Kubespray);
    let text = living::quick();
    let (head, _) = text.split_once("\nmachines:").expect("`quick` has machines");
    let old = format!("{head}\nmachines:{OLD}");
    let quick = Living::planned("quick", &old);
    quick.checkout.lab(&["up", "quick"]).answer().ok();
    quick.deploy(&["quick", "--no-snapshot"]).ok();
    quick.is_well();

    quick.checkout.write("quick", &format!("{old}{NEW}"));
    quick.checkout.lab(&["up", "quick"]).answer().ok();
    quick.deploy(&["quick"]).ok();
    assert_eq!(quick.nodes(), "control-plane second worker-1 ");
    let own = "sudo kubectl --kubeconfig /etc/kubernetes/admin.conf --server https://127.0.0.1:6443 get --raw /readyz";
    assert_eq!(quick.on("second", own), "ok", "it has an API server of its own");
    quick.is_well();
    quick.destroy();
}
