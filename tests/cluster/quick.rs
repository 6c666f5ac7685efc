//! `quick` from nothing: deployed, checked, broken in each way that a check is for, mended, and gone.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use lab_tests::{Living, instances, living, needs_containers, needs_kubespray, run, wait};
use nix::sys::signal::Signal;

use crate::snapshot;

#[test]
fn quick_is_deployed_checked_broken_mended_and_gone() {
    needs_containers!();
    needs_kubespray!();
    let quick = Living::planned("quick", &living::quick());
    let early = quick.deploy(&["quick"]).code(20);
    assert!(early.stderr.contains("hint: run `cargo xtask lab up quick`"), "{early}");
    quick.checkout.lab(&["up", "quick"]).answer().ok();
    refused_where_it_does_not_fit(&quick);
    let deployed = quick.deploy(&["quick"]).ok();
    assert!(deployed.stdout.contains("the kubeconfig is output/quick/kubeconfig"), "{deployed}");

    // The machines were started again for the snapshot, and metrics-server takes its time: this waits for it.
    quick.deploy(&["quick"]).ok();
    let again = quick.deploy(&["quick"]).ok();
    assert!(again.stderr.contains("nothing to do"), "{again}");
    assert!(again.took < Duration::from_secs(5), "it took {:?}", again.took);

    quick.passes(&[]);
    reached_with_its_kubeconfig(&quick);
    each_check_fails_for_its_own_reason(&quick);
    crate::cloud::stopped_and_started_again(&quick);
    crate::cloud::slow_is_not_down(&quick);
    snapshot::the_same_is_brought_back(&quick);
    snapshot::what_was_broken_is_whole_again(&quick);
    quick.destroy();
}

/// A second cluster on a computer whose inotify instances are enough for one would end with "too many open files".
fn refused_where_it_does_not_fit(quick: &Living) {
    let Some(taken) = instances::take_all_but(20) else { return };
    let refused = quick.deploy(&["quick"]).code(10);
    drop(taken);
    let parts =
        ["error: the cluster `quick` does not fit on this computer: ", " inotify instances are needed, and "];
    assert!(parts.iter().all(|part| refused.stderr.contains(part)), "{refused}");
    assert!(refused.stderr.contains("hint: `cargo xtask setup --limits` raises the limits"), "{refused}");
}

/// The kubeconfig works where people sit, and in a file that they have.
fn reached_with_its_kubeconfig(quick: &Living) {
    let file = quick.checkout.output("quick").join("kubeconfig");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    // The lab's own kubectl, which is there from its first call on.
    assert_eq!(quick.nodes(), "control-plane worker-1 worker-2 ");
    let mut proxy = quick.checkout.lab(&["proxy", "--cluster", "quick"]).start();
    proxy.says(" -> 192.168.200.10:6443", Duration::from_secs(20));
    // Without a home it would leave its cache in the folder that tests run in.
    let kubectl =
        || run(quick.checkout.output("quick").join("bin/kubectl")).env("HOME", quick.checkout.home());
    let nodes = |config: &std::path::Path| {
        let words = ["get", "nodes", "--output", "name", "--context", "lab-quick"];
        kubectl().arg("--kubeconfig").arg(config).args(words).answer().ok().stdout
    };
    assert_eq!(nodes(&file), "node/control-plane\nnode/worker-1\nnode/worker-2\n");

    let own = quick.checkout.home().join(".kube/config");
    fs::create_dir_all(own.parent().unwrap()).unwrap();
    let theirs = "apiVersion: v1\nkind: Config\ncurrent-context: work\ncontexts: [{name: work, context: {cluster: c, user: u}}]\n";
    fs::write(&own, theirs).unwrap();
    quick.checkout.lab(&["kubeconfig", "quick", "--merge"]).answer().ok();
    assert_eq!(nodes(&own), "node/control-plane\nnode/worker-1\nnode/worker-2\n");
    let current = kubectl().arg("--kubeconfig").arg(&own).args(["config", "current-context"]).answer().ok();
    assert_eq!(current.stdout, "work\n", "the current context stays");
    let again = quick.checkout.lab(&["kubeconfig", "quick", "--merge"]).answer().ok();
    assert!(again.stderr.contains("has the context `lab-quick` already"), "{again}");
    let backups = fs::read_dir(own.parent().unwrap()).unwrap().flatten();
    let backup = backups.map(|entry| entry.path()).find(|path| path.is_file() && *path != own).unwrap();
    assert_eq!(fs::read_to_string(backup).unwrap(), theirs);
    proxy.signal(Signal::SIGINT);
    proxy.answer();
}

/// Breaks something, sees that this one check fails and says so, mends it, sees that it passes.
fn broken(quick: &Living, how: &[&str], mended: &str, check: &str, says: &str) {
    for words in how {
        quick.kubectl(words).ok();
    }
    let told = quick.fails(&[check], &[check]);
    assert!(told[0].contains(says), "{check} says {told:?}, not {says}");
    quick.kubectl(mended).ok();
    quick.passes(&[check]);
}

fn each_check_fails_for_its_own_reason(quick: &Living) {
    broken(
        quick,
        &["label node worker-1 tier=gold"],
        "label node worker-1 tier-",
        "nodes",
        "`worker-1` has the label `tier=gold`, which is not in the cluster file",
    );
    broken(
        quick,
        &["run -n kube-system stuck --image=registry.k8s.io/nothing:1"],
        "delete pod -n kube-system stuck --now",
        "system-pods",
        "the pod `stuck` is Pending",
    );
    // Who assigns pods to nodes is gone. Static pods are those whose manifests are there.
    let manifest = "/etc/kubernetes/manifests/kube-scheduler.yaml";
    quick.on("control-plane", &format!("sudo mv {manifest} /var/tmp/"));
    let told = wait::until("a lease that has ended", Duration::from_secs(60), || {
        let answer =
            quick.checkout.lab(&["validate", "quick", "leases", "--json", "--patience", "0"]).answer();
        (answer.code == 30).then_some(answer.stdout)
    });
    assert!(told.contains("`kube-scheduler` renewed its lease"), "{told}");
    quick.on("control-plane", &format!("sudo mv /var/tmp/kube-scheduler.yaml {manifest}"));
    quick.passes(&["leases"]);
    broken(
        quick,
        &[
            "scale -n kube-system deployment metrics-server --replicas 0",
            "wait -n kube-system --for=delete pod -l app.kubernetes.io/name=metrics-server --timeout=60s",
        ],
        "scale -n kube-system deployment metrics-server --replicas 1",
        "top",
        "the metrics API does not answer",
    );
    broken(
        quick,
        &[
            "scale -n kube-system deployment coredns --replicas 0",
            "wait -n kube-system --for=delete pod -l k8s-app=kube-dns --timeout=60s",
        ],
        "scale -n kube-system deployment coredns --replicas 2",
        "dns",
        "DNS: ",
    );
    // Packets between pods of two machines go nowhere.
    let pods = quick.kubectl("get node worker-2 -o jsonpath={.spec.podCIDR}").ok().stdout;
    quick.on("worker-1", &format!("sudo ip route add blackhole {} metric 0", half(&pods)));
    let told = quick.fails(&["pod-to-pod"], &["pod-to-pod"]);
    assert!(told[0].contains("from `worker-1` to "), "{told:?}");
    quick.on("worker-1", &format!("sudo ip route del blackhole {}", half(&pods)));
    quick.passes(&["pod-to-pod"]);

    // What never arrives at a machine, each check by its own port.
    for (port, check, says) in [
        ("tcp --dport 80", "service", "from `worker-1` to 10."),
        ("tcp --dport 30000:32767", "node-port", "`worker-1`: "),
        ("tcp --dport 10250", "logs", "on `worker-1`: "),
        ("tcp --dport 10250", "exec", "on `worker-1`: "),
    ] {
        let rule = |verb: &str| format!("sudo iptables -t raw {verb} PREROUTING -p {port} -j DROP");
        quick.on("worker-1", &rule("-I"));
        let told = quick.fails(&[check], &[check]);
        assert!(told[0].contains(says), "{check} says {told:?}");
        quick.on("worker-1", &rule("-D"));
        quick.passes(&[check]);
    }
    quick.on("worker-1", "sudo systemctl stop kubelet");
    let told = quick.fails(&["probes"], &["probes"]);
    assert!(told[0].contains("is Pending"), "{told:?}");
    quick.on("worker-1", "sudo systemctl start kubelet");
    quick.passes(&["probes"]);

    // Who enforces policies is gone.
    let router = quick.kubectl("get daemonset -n kube-system kube-router -o json").ok().stdout;
    let file = quick.checkout.root().join("kube-router.json");
    fs::write(&file, router).unwrap();
    quick.kubectl("delete daemonset -n kube-system kube-router --wait").ok();
    let told = quick.fails(&["network-policy"], &["network-policy"]);
    assert!(told[0].contains("cannot reach the pod: not ready after 60 s"), "{told:?}");
    quick.kubectl(&format!("apply -f {}", file.display())).ok();
    quick.kubectl("rollout status -n kube-system daemonset kube-router --timeout=120s").ok();
    quick.passes(&["network-policy"]);
}

/// The half of a network that its first addresses are in: more exact than the route that the network plugin has.
fn half(network: &str) -> String {
    let (address, prefix) = network.split_once('/').unwrap();
    format!("{address}/{}", prefix.parse::<u8>().unwrap() + 1)
}
