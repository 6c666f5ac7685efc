//! Day two of the living `quick`: a worker goes and comes, the cluster goes and comes.

use std::fs;

use lab_tests::{Answer, wait};

use crate::quick::{PATIENCE, Quick};

/// Runs a change to its end, which may take longer than other programs.
fn deploy(quick: &Quick, words: &[&str]) -> Answer {
    let mut change = quick.checkout.lab(&["deploy"]).args(words).start();
    wait::until(&words.join(" "), PATIENCE, || change.has_ended().then_some(()));
    change.answer()
}

fn nodes(quick: &Quick) -> String {
    quick.kubectl("get nodes --output name").ok().stdout.replace("node/", "").replace('\n', " ")
}

/// The cluster is as its file says, and a deploy knows it.
fn is_well(quick: &Quick) {
    quick.passes(&[]);
    let again = quick.checkout.lab(&["deploy", "quick"]).answer().ok();
    assert!(again.stderr.contains("nothing to do"), "{again}");
}

/// `remove-node` takes a machine out and leaves it in the lab; `scale` makes a new one a node and leaves the others alone.
/// In this order, because the computer's inotify instances are enough for three machines.
pub fn a_worker_goes_and_comes(quick: &Quick) {
    let file = quick.checkout.root().join("inventories/quick/cluster.yaml");
    let whole = fs::read_to_string(&file).unwrap();
    // Pods that the drain has to move.
    quick.kubectl("create deployment moved --image=registry.k8s.io/pause:3.10.1 --replicas=4").ok();
    quick.kubectl("rollout status deployment moved --timeout=120s").ok();
    let refused = deploy(quick, &["remove-node", "quick", "control-plane", "--yes"]).code(11);
    assert!(refused.stderr.contains("`control-plane` is the last control plane"), "{refused}");
    let asked = deploy(quick, &["remove-node", "quick", "worker-2"]).code(11);
    assert!(asked.stderr.contains("hint: add `--yes` if that is meant"), "{asked}");
    deploy(quick, &["remove-node", "quick", "worker-2", "--yes"]).ok();
    assert_eq!(nodes(quick), "control-plane worker-1 ");
    quick.kubectl("rollout status deployment moved --timeout=120s").ok();
    quick.kubectl("delete deployment moved --wait").ok();
    assert_eq!(quick.checkout.state("quick", "worker-2"), "running", "the machine stays");
    let without = whole.strip_suffix("  - name: worker-2\n").expect("worker-2 is the last machine of quick");
    quick.checkout.write("quick", without);
    quick.checkout.lab(&["up", "quick", "--yes"]).answer().ok();
    is_well(quick);

    quick.checkout.write("quick", &whole);
    let early = deploy(quick, &["scale", "quick"]).code(11);
    assert!(early.stderr.contains("hint: run `cargo xtask lab up quick`"), "{early}");
    quick.checkout.lab(&["up", "quick"]).answer().ok();
    let plan = deploy(quick, &["scale", "quick", "--dry-run", "--json"]).ok().json();
    let last = plan["steps"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["playbook"], &last["limit"]), (&"scale.yml".into(), &serde_json::json!(["worker-2"])));
    let scaled = deploy(quick, &["scale", "quick"]).ok();
    let of_others = scaled.stdout.lines().filter(|line| line.starts_with("worker-1 "));
    assert_eq!(of_others.count(), 0, "a machine that was there was worked on: {scaled}");
    assert_eq!(nodes(quick), "control-plane worker-1 worker-2 ");
    is_well(quick);
    let again = deploy(quick, &["scale", "quick"]).ok();
    assert!(again.stderr.contains("nothing to do"), "{again}");
}

/// `reset` leaves the machines and nothing of the cluster; the next deploy makes a new one on them.
pub fn the_cluster_goes_and_comes_again(quick: &Quick) {
    let authority = || quick.on("control-plane", "sudo sha256sum /etc/kubernetes/ssl/ca.crt");
    let before = authority();
    let asked = deploy(quick, &["reset", "quick"]).code(11);
    assert!(asked.stderr.contains("hint: add `--yes` if that is meant"), "{asked}");
    quick.passes(&["nodes"]);
    deploy(quick, &["reset", "quick", "--yes"]).ok();
    for file in ["kubeconfig", "deployed.json", "ansible/facts"] {
        assert!(!quick.checkout.output("quick").join(file).exists(), "{file} was left");
    }
    for machine in ["control-plane", "worker-1", "worker-2"] {
        let left = quick.on(machine, "ls /etc/kubernetes /var/lib/etcd /usr/local/bin/kubelet 2>/dev/null; pgrep -c 'kube|etcd|containerd'; true");
        assert_eq!(left, "0\n", "{machine}");
    }
    deploy(quick, &["quick"]).ok();
    assert_ne!(authority(), before, "it is another cluster");
    is_well(quick);
}
