//! Day two of the living `quick`: a worker goes and comes, the cluster goes and comes.

use lab_tests::{Living, living, needs};

#[test]
fn worker_and_cluster_go_and_come() {
    needs!(Containers, Kubespray);
    let quick = Living::planned("quick", &living::quick());
    quick.checkout.lab(&["up", "quick"]).answer().ok();
    quick.deploy(&["quick", "--no-snapshot"]).ok();
    a_worker_goes_and_comes(&quick);
    the_cluster_goes_and_comes_again(&quick);
    quick.destroy();
}

/// `remove-node` takes a machine out and leaves it in the lab; `scale` makes a new one a node and leaves the others alone.
/// In this order, because the computer's inotify instances are enough for three machines.
fn a_worker_goes_and_comes(quick: &Living) {
    let whole = living::quick();
    // Pods that the drain has to move.
    quick.kubectl("create deployment moved --image=registry.k8s.io/pause:3.10.1 --replicas=4").ok();
    quick.kubectl("rollout status deployment moved --timeout=120s").ok();
    let refused = quick.deploy(&["remove-node", "quick", "control-plane", "--yes"]).code(11);
    assert!(refused.stderr.contains("`control-plane` is the last control plane"), "{refused}");
    let asked = quick.deploy(&["remove-node", "quick", "worker-2"]).code(11);
    assert!(asked.stderr.contains("hint: add `--yes` if that is meant"), "{asked}");
    quick.deploy(&["remove-node", "quick", "worker-2", "--yes"]).ok();
    assert_eq!(quick.nodes(), "control-plane worker-1 ");
    quick.kubectl("rollout status deployment moved --timeout=120s").ok();
    quick.kubectl("delete deployment moved --wait").ok();
    assert_eq!(quick.checkout.state("quick", "worker-2"), "running", "the machine stays");
    let without = whole.strip_suffix("  - name: worker-2\n").expect("worker-2 is the last machine of quick");
    quick.checkout.write("quick", without);
    quick.checkout.lab(&["up", "quick", "--yes"]).answer().ok();
    quick.is_well();

    quick.checkout.write("quick", &whole);
    let early = quick.deploy(&["scale", "quick"]).code(11);
    assert!(early.stderr.contains("hint: run `cargo xtask lab up quick`"), "{early}");
    quick.checkout.lab(&["up", "quick"]).answer().ok();
    let plan = quick.deploy(&["scale", "quick", "--dry-run", "--json"]).ok().json();
    let last = plan["steps"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["playbook"], &last["limit"]), (&"scale.yml".into(), &serde_json::json!(["worker-2"])));
    let scaled = quick.deploy(&["scale", "quick"]).ok();
    let of_others = scaled.stdout.lines().filter(|line| line.starts_with("worker-1 "));
    assert_eq!(of_others.count(), 0, "a machine that was there was worked on: {scaled}");
    assert_eq!(quick.nodes(), "control-plane worker-1 worker-2 ");
    quick.is_well();
    let again = quick.deploy(&["scale", "quick"]).ok();
    assert!(again.stderr.contains("nothing to do"), "{again}");
}

/// `reset` leaves the machines and nothing of the cluster; the next deploy makes a new one on them.
fn the_cluster_goes_and_comes_again(quick: &Living) {
    let authority = || quick.on("control-plane", "sudo sha256sum /etc/kubernetes/ssl/ca.crt");
    let before = authority();
    let asked = quick.deploy(&["reset", "quick"]).code(11);
    assert!(asked.stderr.contains("hint: add `--yes` if that is meant"), "{asked}");
    quick.passes(&["nodes"]);
    quick.deploy(&["reset", "quick", "--yes"]).ok();
    for file in ["kubeconfig", "deployed.json", "ansible/facts"] {
        assert!(!quick.checkout.output("quick").join(file).exists(), "{file} was left");
    }
    for machine in ["control-plane", "worker-1", "worker-2"] {
        let left = quick.on(machine, "ls /etc/kubernetes /var/lib/etcd /usr/local/bin/kubelet 2>/dev/null; pgrep -c 'kube|etcd|containerd'; true");
        assert_eq!(left, "0\n", "{machine}");
    }
    quick.deploy(&["quick", "--no-snapshot"]).ok();
    assert_ne!(authority(), before, "it is another cluster");
    quick.is_well();
}
