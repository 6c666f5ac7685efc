//! `quick` from nothing: deployed, checked, broken in each way that a check is for, mended, and gone.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use lab_tests::terminal::Terminal;
use lab_tests::{Living, instances, living, needs, redact, run, wait};
use nix::sys::signal::Signal;

use crate::snapshot;

#[test]
fn quick_is_deployed_checked_broken_mended_and_gone() {
    needs!(Containers, Kubespray);
    let quick = Living::planned("quick", &living::quick());
    let early = quick.deploy(&["quick"]).code(20);
    assert!(early.stderr.contains("hint: run `cargo xtask lab up quick`"), "{early}");
    quick.checkout.lab(&["up", "quick"]).answer().ok();
    refused_where_it_does_not_fit(&quick);
    let deploy = quick.checkout.lab(&["deploy", "quick"]);
    let (code, screen) = Terminal::start(deploy, 130, 40).answer();
    assert_eq!(code, 0, "{screen}");
    redact::deploy(&quick.checkout.root().display().to_string())
        .bind(|| insta::assert_snapshot!("screen_of_deploy", screen));

    let again = quick.deploy(&["quick"]).ok();
    assert!(again.stderr.contains("nothing to do"), "{again}");

    quick.passes(&[]);
    reached_with_its_kubeconfig(&quick);
    each_check_fails_for_its_own_reason(&quick);
    crate::cloud::stopped_and_started_again(&quick);
    crate::cloud::slow_is_not_down(&quick);
    snapshot::same_cluster_is_restored(&quick);
    snapshot::broken_cluster_is_restored(&quick);
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

/// Breaks the cluster in five ways, several things at a time, and sees that exactly the checks fail that are for them, each
/// with its own reason. All of them pass at the end.
fn each_check_fails_for_its_own_reason(quick: &Living) {
    what_the_api_tells(quick);
    what_is_between_pods(quick);
    what_kubelet_answers(quick);
    what_kubelet_starts(quick);
    what_enforces_policies(quick);
    quick.passes(&[]);
}

fn what_the_api_tells(quick: &Living) {
    quick.kubectl("label node worker-1 tier=gold").ok();
    quick.kubectl("run -n kube-system stuck --image=registry.k8s.io/nothing:1").ok();
    quick.kubectl("scale -n kube-system deployment metrics-server --replicas 0").ok();
    let gone = "wait -n kube-system --for=delete pod -l app.kubernetes.io/name=metrics-server --timeout=60s";
    quick.kubectl(gone).ok();
    // Static pods are those whose manifests are there.
    let manifest = "/etc/kubernetes/manifests/kube-scheduler.yaml";
    quick.on("control-plane", &format!("sudo mv {manifest} /var/tmp/"));
    wait::until("a lease that has ended", Duration::from_secs(60), || {
        let leases = ["validate", "quick", "leases", "--patience", "0"];
        (quick.checkout.lab(&leases).answer().code == 30).then_some(())
    });
    let checks = ["leases", "nodes", "system-pods", "top"];
    let details = quick.fails(&checks, &checks);
    says(&details, "nodes", "`worker-1` has the label `tier=gold`, which is not in the cluster file");
    says(&details, "system-pods", "the pod `stuck` is Pending");
    says(&details, "leases", "`kube-scheduler` renewed its lease");
    says(&details, "top", "the metrics API does not answer");
    quick.on("control-plane", &format!("sudo mv /var/tmp/kube-scheduler.yaml {manifest}"));
    quick.kubectl("scale -n kube-system deployment metrics-server --replicas 1").ok();
    quick.kubectl("delete pod -n kube-system stuck --now").ok();
    quick.kubectl("label node worker-1 tier-").ok();
    quick.passes(&["leases", "nodes"]);
}

fn what_is_between_pods(quick: &Living) {
    quick.kubectl("scale -n kube-system deployment coredns --replicas 0").ok();
    quick.kubectl("wait -n kube-system --for=delete pod -l k8s-app=kube-dns --timeout=60s").ok();
    // Packets between pods of two machines go nowhere.
    let pods = half(&quick.kubectl("get node worker-2 -o jsonpath={.spec.podCIDR}").ok().stdout);
    quick.on("worker-1", &format!("sudo ip route add blackhole {pods} metric 0"));
    drops(quick, "-I", &["80", "30000:32767"]);
    let details = quick.fails(
        &["dns", "pod-to-pod", "service", "node-port", "logs", "exec"],
        &["dns", "node-port", "pod-to-pod", "service"],
    );
    says(&details, "dns", "to kubernetes.default.svc:443: ");
    says(&details, "pod-to-pod", "from `worker-1` to ");
    says(&details, "service", "from `worker-1` to 10.");
    says(&details, "node-port", "`worker-1`: ");
    drops(quick, "-D", &["80", "30000:32767"]);
    quick.on("worker-1", &format!("sudo ip route del blackhole {pods}"));
    quick.kubectl("scale -n kube-system deployment coredns --replicas 2").ok();
}

fn what_kubelet_answers(quick: &Living) {
    drops(quick, "-I", &["10250"]);
    let details = quick.fails(&["logs", "exec", "node-port"], &["exec", "logs"]);
    says(&details, "logs", "on `worker-1`: ");
    says(&details, "exec", "on `worker-1`: ");
    drops(quick, "-D", &["10250"]);
}

fn what_kubelet_starts(quick: &Living) {
    quick.on("worker-1", "sudo systemctl stop kubelet");
    let details = quick.fails(&["probes"], &["probes"]);
    says(&details, "probes", "is Pending");
    quick.on("worker-1", "sudo systemctl start kubelet");
    quick.passes(&["probes"]);
}

fn what_enforces_policies(quick: &Living) {
    let router = quick.kubectl("get daemonset -n kube-system kube-router -o json").ok().stdout;
    let file = quick.checkout.root().join("kube-router.json");
    fs::write(&file, router).unwrap();
    quick.kubectl("delete daemonset -n kube-system kube-router --wait").ok();
    let details = quick.fails(&["network-policy", "dns"], &["network-policy"]);
    says(&details, "network-policy", "cannot reach the pod: not ready after 60 s");
    quick.kubectl(&format!("apply -f {}", file.display())).ok();
    quick.kubectl("rollout status -n kube-system daemonset kube-router --timeout=120s").ok();
}

/// Has nothing arrive at these ports of a machine (`-I`), or all of it again (`-D`).
fn drops(quick: &Living, verb: &str, ports: &[&str]) {
    for port in ports {
        let rule = format!("sudo iptables -t raw {verb} PREROUTING -p tcp --dport {port} -j DROP");
        quick.on("worker-1", &rule);
    }
}

fn says(details: &BTreeMap<String, String>, check: &str, words: &str) {
    assert!(details[check].contains(words), "{check} says {}, not {words}", details[check]);
}

/// The half of a network that its first addresses are in: more exact than the route that the network plugin has.
fn half(network: &str) -> String {
    let (address, prefix) = network.split_once('/').unwrap();
    format!("{address}/{}", prefix.parse::<u8>().unwrap() + 1)
}
