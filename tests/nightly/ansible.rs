//! The wrapper playbook and its role, by those who live in Ansible: on machines that have no Kubernetes yet through
//! `kubespray play`, and a second time by hand, in the lab's network.

use std::fs;
use std::time::Duration;

use lab_tests::checkout::real_root;
use lab_tests::computer::Computer;
use lab_tests::kubespray::reaching;
use lab_tests::own_builds::passed_on;
use lab_tests::{Checkout, Run, needs_containers, needs_kubespray, wait};

/// On two slow and busy processors.
const PATIENCE: Duration = Duration::from_secs(2 * 60 * 60);
const PLAYBOOK: &str = "deploy-cloud-cluster.yml";

fn whole(what: &str, run: Run) -> String {
    let mut run = run.start();
    wait::until(what, PATIENCE, || run.has_ended().then_some(()));
    run.answer().ok().stdout
}

#[test]
fn the_wrapper_playbook_deploys_a_cluster_and_finds_little_to_do_the_second_time() {
    needs_containers!();
    needs_kubespray!();
    let checkout = Checkout::new();
    checkout.write("quick", &fs::read_to_string(real_root().join("inventories/quick/cluster.yaml")).unwrap());
    whole("all artefacts of quick", passed_on(checkout.lab(&["artifacts", "build", "quick"])));
    let before = Computer::look(checkout.root());
    checkout.lab(&["up", "quick"]).answer().ok();

    whole("the playbook", reaching(checkout.lab(&["kubespray", "play", "quick", PLAYBOOK])));
    checkout.lab(&["kubeconfig", "quick"]).answer().ok();
    checkout.lab(&["validate", "quick"]).answer().ok();

    let playbook = format!("ansible/playbooks/{PLAYBOOK}");
    let by_hand = ["enter", "--cluster", "quick", "--", "ansible-playbook", "-b", &playbook];
    let said = whole("the playbook by hand", checkout.lab(&by_hand));
    for shows in ["Kubernetes: ", "Wait until every machine is a node that is ready", "failed=0"] {
        assert!(said.contains(shows), "it does not show `{shows}`:\n{said}");
    }
    checkout.lab(&["validate", "quick"]).answer().ok();
    checkout.destroy("quick", &before);
}
