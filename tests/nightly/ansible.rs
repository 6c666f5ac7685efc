//! The wrapper playbook and its role, by those who live in Ansible: on machines that have no Kubernetes yet through
//! `kubespray play`, and a second time by hand, in the lab's network.

use lab_tests::kubespray::reaching;
use lab_tests::{Living, living, needs};

const PLAYBOOK: &str = "deploy-cloud-cluster.yml";

#[test]
fn wrapper_playbook_deploys_cluster_and_runs_again() {
    needs!(Containers, Kubespray);
    let quick = Living::planned("quick", &living::quick());
    let checkout = &quick.checkout;
    checkout.lab(&["up", "quick"]).answer().ok();

    let play = reaching(checkout.lab(&["kubespray", "play", "quick", PLAYBOOK]));
    living::to_its_end("the playbook", play).ok();
    checkout.lab(&["kubeconfig", "quick"]).answer().ok();
    quick.passes(&[]);

    let playbook = format!("ansible/playbooks/{PLAYBOOK}");
    let by_hand = ["enter", "--cluster", "quick", "--", "ansible-playbook", "-b", &playbook];
    let said = living::to_its_end("the playbook by hand", checkout.lab(&by_hand)).ok().stdout;
    for shows in ["Kubernetes: ", "Wait until every machine is a node that is ready", "failed=0"] {
        assert!(said.contains(shows), "it does not show `{shows}`:\n{said}");
    }
    quick.passes(&[]);
    quick.destroy();
}
