//! A real control plane without machines: etcd, the API server, the controller manager and the scheduler out of the store,
//! and kwok, which plays the kubelets of nodes that are made of nothing.
//!
//! All of it listens in a network of the calling thread's own, so that control planes of several tests have the same
//! addresses at the same time. Every program ends with the thread that started it, however that ends. Needs root. Knows
//! nothing of what runs in the cluster.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lab_core::spec::{ClusterSpec, MachineSpec, Role};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::own_builds::{unpack_file, unpack_image};
use crate::run::Started;
use crate::{Answer, Checkout, Run, run, wait};

/// The files that it is made of, as a lock names them.
pub const FILES: [(&str, &str); 3] = [
    ("etcd", "https://github.com/etcd-io/etcd/releases/download/v3.5.33/etcd-v3.5.33-linux-amd64.tar.gz"),
    ("kubectl", "https://dl.k8s.io/release/v1.34.3/bin/linux/amd64/kubectl"),
    ("kwok", "https://github.com/kubernetes-sigs/kwok/releases/download/v0.7.0/kwok-linux-amd64"),
];
/// The images, likewise.
pub const IMAGES: [(&str, &str); 3] = [
    ("kubeadm_kube-apiserver", "registry.k8s.io/kube-apiserver:v1.34.3"),
    ("kubeadm_kube-controller-manager", "registry.k8s.io/kube-controller-manager:v1.34.3"),
    ("kubeadm_kube-scheduler", "registry.k8s.io/kube-scheduler:v1.34.3"),
];

/// Each start took 4 s at most on two busy processors.
const START: Duration = Duration::from_secs(90);
/// Where etcd listens, in the network of the control plane.
const ETCD: &str = "http://127.0.0.1:2379";
/// Who may do everything: the lab; the test; the parts of the control plane.
const USERS: [&str; 3] = ["lab", "test", "control-plane"];
/// The annotation of nodes whose kubelet kwok plays.
const PLAYED: &str = "kwok.x-k8s.io/node";

/// A control plane. It ends when it is dropped.
#[derive(Debug)]
pub struct ControlPlane {
    folder: PathBuf,
    kubectl: PathBuf,
    /// Name and program.
    running: Vec<(&'static str, Started)>,
}

impl ControlPlane {
    /// One that answers at an address, with the programs of the checkout's store. The calling thread, and all that it
    /// starts from now on, are in a network where nothing else is.
    ///
    /// # Panics
    /// When a program is not in the store, or does not start.
    pub fn start(checkout: &Checkout, address: Ipv4Addr) -> Self {
        enter_own_network(address);
        let folder = checkout.root().join("control-plane");
        fs::create_dir(&folder).expect("a folder can be made in a new checkout");
        write_settings(&folder, address);
        let kubectl = unpack_file(checkout, "kubectl").join("kubectl");
        let mut plane = Self { folder, kubectl, running: vec![] };
        let etcd = unpack_file(checkout, "etcd").join("etcd-v3.5.33-linux-amd64/etcd");
        let words = ["--data-dir=etcd", "--unsafe-no-fsync", "--log-level=warn"];
        let peers = "--listen-peer-urls=http://127.0.0.1:2380".to_owned();
        let clients = ["listen", "advertise"].map(|what| format!("--{what}-client-urls={ETCD}"));
        plane.add("etcd", run(etcd).args(words).arg(peers).args(clients));
        plane.add("kube-apiserver", api_server(&image(checkout, "kubeadm_kube-apiserver"), address));
        wait::until("the API answers", START, || {
            plane.is_well();
            (plane.ask(["get", "--raw", "/readyz"]).answer().code == 0).then_some(())
        });
        let client = ["--kubeconfig=control-plane.conf", "--leader-elect=false", "--secure-port=0"];
        let manager = run(image(checkout, "kubeadm_kube-controller-manager")).args(client);
        // With its usual 20 requests a second, a namespace takes nine seconds to go.
        let words =
            ["--service-account-private-key-file=sa.key", "--kube-api-qps=1000", "--kube-api-burst=1000"];
        plane.add("kube-controller-manager", manager.args(words));
        plane.add("kube-scheduler", run(image(checkout, "kubeadm_kube-scheduler")).args(client));
        // Without leases, nodes are taken for lost after 40 s.
        let lease = "--node-lease-duration-seconds=40";
        let words = ["--kubeconfig=control-plane.conf", "--manage-all-nodes=false", lease];
        let played = format!("--manage-nodes-with-annotation-selector={PLAYED}=fake");
        plane.add("kwok", run(unpack_file(checkout, "kwok").join("kwok")).args(words).arg(played));
        plane
    }

    fn add(&mut self, name: &'static str, program: Run) {
        self.running.push((name, bound(program.directory(&self.folder)).start()));
    }

    /// All of its programs run.
    ///
    /// # Panics
    /// When one has ended, with its output.
    pub fn is_well(&mut self) {
        for (name, program) in &mut self.running {
            assert!(!program.has_ended(), "{name} has ended:\n{}", program.so_far());
        }
    }

    /// Sends a signal to one of its programs, by the name of that.
    ///
    /// # Panics
    /// When there is none, or it is gone.
    pub fn signal(&self, name: &str, signal: Signal) {
        let found = self.running.iter().find(|(running, _)| *running == name);
        found.expect("it is a part of a control plane").1.signal(signal);
    }

    /// Where its settings and kubeconfigs are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The certificate that the API server made for itself.
    pub fn certificate(&self) -> PathBuf {
        self.folder.join("certificates/apiserver.crt")
    }

    /// The kubeconfig of the lab, whose changes [`Self::changes`] gives.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join("lab.conf")
    }

    /// kubectl with these words.
    pub fn ask<A: AsRef<std::ffi::OsStr>>(&self, words: impl IntoIterator<Item = A>) -> Run {
        run(&self.kubectl).args(["--kubeconfig", "test.conf"]).args(words).directory(&self.folder)
    }

    /// What kubectl answers to words that are separated by blanks.
    ///
    /// # Panics
    /// When it fails.
    pub fn kubectl(&self, words: &str) -> Answer {
        self.ask(words.split(' ')).answer().ok()
    }

    /// The objects of a kind, by its name in the API, `nodes` or `pods --namespace x`.
    ///
    /// # Panics
    /// When the API refuses.
    pub fn list(&self, kind: &str) -> Vec<Value> {
        let mut list = self.kubectl(&format!("get {kind} --output json")).json();
        match list["items"].take() {
            Value::Array(items) => items,
            _ => panic!("kubectl lists {kind} as a list"),
        }
    }

    /// Makes objects, or changes them.
    ///
    /// # Panics
    /// When the API refuses.
    pub fn apply(&self, objects: &[Value]) {
        let words = ["apply", "--server-side", "--force-conflicts", "--filename", "-"];
        self.ask(words).input(list(objects).to_string().as_bytes()).answer().ok();
    }

    /// Changes what stands in the status of an object, as a kubelet or a controller would.
    ///
    /// # Panics
    /// When the API refuses.
    pub fn patch_status(&self, object: &str, patch: &Value) {
        let words: Vec<&str> = object.split(' ').collect();
        let patch = ["--subresource", "status", "--type", "merge", "--patch", &patch.to_string()];
        self.ask(["patch"].iter().chain(&words).chain(&patch)).answer().ok();
    }

    /// Makes a node for each machine of a cluster, and waits until all are ready.
    ///
    /// # Panics
    /// When one does not get ready.
    pub fn add_nodes(&mut self, spec: &ClusterSpec) {
        let nodes: Vec<Value> = spec.machines.iter().map(node).collect();
        // An API server takes the status of a node from one who creates it, never from one who applies it.
        self.ask(["create", "--filename", "-"]).input(list(&nodes).to_string().as_bytes()).answer().ok();
        wait::until("all nodes are ready, and controllers have marked them", START, || {
            self.is_well();
            self.list("nodes").iter().all(is_settled).then_some(())
        });
    }

    /// Every request of the lab's programs so far that changed something.
    ///
    /// # Panics
    /// When the log of the API server cannot be read.
    pub fn changes(&self) -> Vec<Change> {
        let text = fs::read_to_string(self.folder.join("audit.log")).expect("the API server keeps a log");
        let of_lab = text.lines().filter(|line| line.contains(r#""username":"lab""#));
        of_lab.filter_map(|line| Change::read(&serde_json::from_str(line).ok()?)).collect()
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for (name, program) in &self.running {
                print_end(name, &program.so_far());
            }
        }
        // etcd last: the others complain when it is gone.
        while let Some(program) = self.running.pop() {
            drop(program);
        }
    }
}

/// A request that changed something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The program that asked: `kubectl`, `helm`.
    pub by: String,
    /// `create`, `patch`.
    pub verb: String,
    /// `customresourcedefinitions/x`.
    pub what: String,
}

impl Change {
    fn read(event: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        if event["responseStatus"]["code"].as_u64()? >= 300 {
            return None;
        }
        let object = &event["objectRef"];
        let by = text(&event["userAgent"]).split('/').next()?.to_ascii_lowercase();
        let what = format!("{}/{}", text(&object["resource"]), text(&object["name"]));
        Some(Self { by, verb: text(&event["verb"]), what })
    }
}

fn list(objects: &[Value]) -> Value {
    json!({ "apiVersion": "v1", "kind": "List", "items": objects })
}

/// Prints the last lines of a program's output, for a test that fails.
pub fn print_end(name: &str, output: &str) {
    let lines: Vec<&str> = output.lines().collect();
    eprintln!("--- {name}\n{}", lines[lines.len().saturating_sub(15)..].join("\n"));
}

/// A program that is ended when the thread that starts it ends, and so when the test does, however that happens.
pub fn bound(program: Run) -> Run {
    program.through(&["setpriv", "--pdeathsig", "KILL", "--"])
}

/// Namespaces of the network belong to threads, and programs inherit that of the thread that starts them.
fn enter_own_network(address: Ipv4Addr) {
    unshare(CloneFlags::CLONE_NEWNET).expect("root can make a network of its own");
    for words in ["link set lo up", &format!("address add {address}/32 dev lo")] {
        run("ip").args(words.split(' ')).answer().ok();
    }
}

fn image(checkout: &Checkout, name: &str) -> PathBuf {
    let (root, entrypoint) = unpack_image(checkout, name);
    root.join(entrypoint.trim_start_matches('/'))
}

fn write_settings(folder: &Path, address: Ipv4Addr) {
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).expect("a file can be written");
    let tokens = USERS.map(|user| format!("{user},{user},{user},\"system:masters\"\n"));
    write("tokens.csv", &tokens.concat());
    for user in USERS {
        write(&format!("{user}.conf"), &kubeconfig(folder, address, user));
    }
    let policy = json!({
        "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
        "rules": [{ "level": "Metadata", "verbs": ["create", "update", "patch", "delete", "deletecollection"] }],
    });
    write("audit.yaml", &policy.to_string());
    let key = ["-q", "-t", "ecdsa", "-m", "PEM", "-N", "", "-f", "sa.key"];
    run("ssh-keygen").args(key).directory(folder).answer().ok();
}

fn kubeconfig(folder: &Path, address: Ipv4Addr, user: &str) -> String {
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "lab",
        "clusters": [{ "name": "lab", "cluster": {
            "server": format!("https://{address}:6443"),
            "certificate-authority": folder.join("certificates/apiserver.crt") } }],
        "users": [{ "name": user, "user": { "token": user } }],
        "contexts": [{ "name": "lab", "context": { "cluster": "lab", "user": user } }],
    });
    kubeconfig.to_string()
}

fn api_server(program: &Path, address: Ipv4Addr) -> Run {
    let words = [
        "--cert-dir=certificates",
        "--secure-port=6443",
        // Loopback is no address of a service's endpoint.
        "--endpoint-reconciler-type=none",
        "--token-auth-file=tokens.csv",
        "--authorization-mode=RBAC",
        "--allow-privileged",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--service-account-key-file=sa.key",
        "--service-account-signing-key-file=sa.key",
        "--service-cluster-ip-range=10.233.0.0/18",
        "--audit-policy-file=audit.yaml",
        "--audit-log-path=audit.log",
    ];
    let own = ["bind", "advertise"].map(|what| format!("--{what}-address={address}"));
    run(program).args(words).args(own).arg(format!("--etcd-servers={ETCD}"))
}

/// Whether a node is ready, and no controller has anything to add to it.
fn is_settled(node: &Value) -> bool {
    let (metadata, conditions) = (&node["metadata"], node["status"]["conditions"].as_array());
    let is_ready = |one: &Value| one["type"] == "Ready" && one["status"] == "True";
    let taints = node["spec"]["taints"].as_array().into_iter().flatten();
    let is_early = |taint: &Value| taint["key"] == "node.kubernetes.io/not-ready";
    conditions.is_some_and(|all| all.iter().any(is_ready))
        && !taints.clone().any(is_early)
        && metadata["annotations"]["node.alpha.kubernetes.io/ttl"].is_string()
        && metadata["labels"]["beta.kubernetes.io/os"].is_string()
}

/// The node that a machine would be, as its kubelet and Kubespray make it.
fn node(machine: &MachineSpec) -> Value {
    let mut labels = json!({
        "kubernetes.io/hostname": machine.name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
    });
    for (name, value) in &machine.labels {
        labels[name] = json!(value);
    }
    let mut taints: Vec<Value> = machine
        .taints
        .iter()
        .map(|taint| json!({ "key": taint.key, "value": taint.value, "effect": taint.effect }))
        .collect();
    if machine.roles.contains(&Role::ControlPlane) {
        labels["node-role.kubernetes.io/control-plane"] = json!("");
        if !machine.roles.contains(&Role::Worker) {
            taints.push(json!({ "key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule" }));
        }
    }
    let room = json!({ "cpu": "8", "memory": "16Gi", "pods": "110" });
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": { "name": machine.name, "labels": labels, "annotations": { PLAYED: "fake" } },
        "spec": { "taints": taints },
        "status": {
            "capacity": room, "allocatable": room,
            "nodeInfo": {
                "architecture": "amd64", "operatingSystem": "linux", "osImage": "Debian GNU/Linux 13 (trixie)",
                // kwok reads a shorter one as a number.
                "kernelVersion": "6.12.0-60-generic",
                "containerRuntimeVersion": "containerd://2.2.1", "kubeletVersion": "v1.34.3",
                "kubeProxyVersion": "", "machineID": "", "systemUUID": "", "bootID": "",
            },
        },
    })
}
