//! A lab on stand-ins whose cluster is a real control plane: `lab gpu-operator` changes it, and the real GPU Operator and
//! Node Feature Discovery's master run beside it with the arguments that the chart gave them.
//!
//! What only machines have is played: kwok plays pods, and this module what the DaemonSets of a node would find out
//! (features of GPUs, the GPUs that kubelet offers). Judges nothing.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use lab_core::gpu_operator::{
    self, Chart, HELM, RELEASE, RESOURCE, chart_url, feature_labels, gpu_nodes, images, planned,
};
use lab_core::source::SourceFile;
use lab_core::spec::ClusterSpec;
use serde_json::{Value, json};

use crate::checkout::variable;
use crate::control_plane::{ControlPlane, FILES, IMAGES, bound, print_end};
use crate::own_builds::{build, lock, states, unpack_file, unpack_image};
use crate::run::Started;
use crate::{Answer, Checkout, Run, run, stand_ins, wait};

/// The name of the cluster, and of its lab.
pub const NAME: &str = "gpu";
/// The namespace of the operator, by default.
pub const NAMESPACE: &str = "gpu-operator";
/// The Deployments whose pods are real.
const OPERATOR: &str = "gpu-operator";
const MASTER: &str = "gpu-operator-node-feature-discovery-master";

/// A version of helm that an own build makes.
const HELM_URL: &str = "https://get.helm.sh/helm-v3.18.4-linux-amd64.tar.gz";
/// What comes true by itself took 10 s at most on two busy processors.
const PATIENCE: Duration = Duration::from_secs(90);

/// The lab and its cluster. Everything ends when it is dropped.
#[derive(Debug)]
pub struct GpuCluster {
    operator: Option<Started>,
    master: Option<Started>,
    deployments: Started,
    /// The control plane.
    pub plane: ControlPlane,
    /// The lab's checkout.
    pub checkout: Checkout,
    /// The cluster.
    pub spec: ClusterSpec,
    /// The nodes on which Node Feature Discovery finds GPUs; those of the plan, unless a test says otherwise.
    pub found: BTreeSet<String>,
}

impl GpuCluster {
    /// One with this cluster file, without the operator.
    ///
    /// # Panics
    /// When an artefact cannot be built, or a program does not start.
    pub fn start(text: &str) -> Self {
        let checkout = Checkout::with_stand_ins(variable("LAB_BIN").as_ref());
        let spec = spec(text);
        build_artifacts(&spec);
        checkout.write(NAME, text);
        stand_ins::add_image(&checkout, NAME);
        checkout.lab(&["up", NAME]).answer().ok();
        // A host that is a stand-in cannot serve what the store has, so that it has nothing before this.
        checkout.share("artifacts");
        let address = spec.machines[0].address;
        let mut plane = ControlPlane::start(&checkout, address);
        plane.add_nodes(&spec);
        let kubeconfig = checkout.output(NAME).join("kubeconfig");
        fs::copy(plane.kubeconfig(), &kubeconfig).expect("a file can be copied");
        fs::set_permissions(&kubeconfig, fs::Permissions::from_mode(0o600)).expect("it is ours");
        let deployments = watch_deployments(&plane);
        let found = gpu_nodes(&spec).map(|machine| machine.name.clone()).collect();
        let cluster = Self { operator: None, master: None, deployments, plane, checkout, spec, found };
        cluster.write_lock();
        cluster.replace_ssh();
        cluster
    }

    /// On machines the toolkit has configured containerd, and what else they are asked to do is written down.
    fn replace_ssh(&self) {
        let log = self.ssh_log();
        let text = format!(
            "#!/bin/sh\ncase $* in\n\
             *grep*config.toml*) echo /etc/containerd/config.toml ;;\n\
             *) echo \"$*\" | sed 's/.*BatchMode=yes //' >> {} ;;\nesac\n",
            log.display()
        );
        fs::write(&log, "").expect("a file can be written");
        stand_ins::write_program(&self.checkout.root().join(stand_ins::PROGRAMS).join("ssh"), &text);
    }

    fn ssh_log(&self) -> PathBuf {
        self.checkout.root().join("ssh.log")
    }

    /// What machines were asked to do over ssh, a line each, but for looks at containerd's configuration.
    ///
    /// # Panics
    /// When the log is gone.
    pub fn said_over_ssh(&self) -> String {
        fs::read_to_string(self.ssh_log()).expect("the log is there")
    }

    /// Changes the cluster file.
    ///
    /// # Panics
    /// When it is none.
    pub fn change(&mut self, text: &str) {
        self.spec = spec(text);
        self.checkout.write(NAME, text);
        self.write_lock();
        if self.master.is_some() {
            self.find_gpus();
            self.offer_gpus();
        }
    }

    /// Kubespray says in a lock what a cluster needs. No Kubespray runs here, so that the test says it.
    fn write_lock(&self) {
        let inputs = self.checkout.lab(&["internal", "lock-inputs", NAME]).answer().ok().stdout;
        let mut lock = needed(&self.spec);
        lock["inputs"] = json!(inputs.trim());
        let folder = self.checkout.output(NAME).join("inventory");
        fs::create_dir_all(&folder).expect("a folder can be made");
        fs::write(folder.join("artifacts.lock.json"), lock.to_string()).expect("a file can be written");
    }

    /// `lab` with these words, to its end. Meanwhile the operator runs wherever the cluster says that it should.
    ///
    /// # Panics
    /// When it does not end in time.
    pub fn lab(&mut self, words: &[&str]) -> Answer {
        let mut started = self.checkout.lab(words).start();
        self.play(|_| started.has_ended().then_some(()));
        started.answer()
    }

    /// Plays the nodes until `probe` gives something.
    ///
    /// # Panics
    /// When it gives nothing in time.
    pub fn play<T>(&mut self, mut probe: impl FnMut(&Self) -> Option<T>) -> T {
        wait::until("what the cluster is to become", PATIENCE, || {
            self.operate();
            probe(self)
        })
    }

    /// Starts and ends what runs in pods of Deployments, as kubelet would.
    fn operate(&mut self) {
        self.plane.is_well();
        let [operator, master] = [OPERATOR, MASTER].map(|name| self.is_deployed(name));
        if !operator {
            self.operator = None;
        } else if self.operator.is_none() {
            self.operator = Some(self.start_operator());
        }
        if !master {
            self.master = None;
        } else if self.master.is_none() {
            self.master = Some(self.start_master());
            self.find_gpus();
            self.offer_gpus();
        }
    }

    /// Whether a Deployment is there, by the last that the API said of it.
    fn is_deployed(&self, name: &str) -> bool {
        let said = self.deployments.so_far();
        let of_it = said.lines().rev().filter(|line| line.split_whitespace().nth(1) == Some(name));
        of_it.map(|line| !line.starts_with("DELETED")).next().unwrap_or_default()
    }

    fn start_operator(&self) -> Started {
        let (root, _) = unpack_image(&self.checkout, "gpu_operator");
        let folder = root.join("host-etc");
        fs::create_dir_all(&folder).expect("a folder can be made");
        fs::copy("/etc/os-release", folder.join("os-release")).expect("every computer has one");
        // Both programs have the ports of the other one as well, which pods do not mind.
        let ports = ["--metrics-bind-address=127.0.0.1:18080", "--health-probe-bind-address=127.0.0.1:18081"];
        self.start_container(OPERATOR, root).args(ports).start()
    }

    fn start_master(&self) -> Started {
        let (root, _) = unpack_image(&self.checkout, "node_feature_discovery");
        let settings = r"jsonpath={.data.nfd-master\.conf}";
        let name = format!("{MASTER}-conf");
        let words = ["get", "configmap", &name, "--namespace", NAMESPACE, "--output", settings];
        let settings = self.plane.ask(words).answer().ok().stdout;
        let folder = root.join("etc/kubernetes/node-feature-discovery");
        fs::create_dir_all(&folder).expect("a folder can be made");
        fs::write(folder.join("nfd-master.conf"), settings).expect("a file can be written");
        self.start_container(MASTER, root).start()
    }

    /// What the only container of a Deployment runs, in the files of its image, as its service account.
    fn start_container(&self, deployment: &str, root: PathBuf) -> Run {
        let words = format!("get deployment {deployment} --namespace {NAMESPACE} --output json");
        let deployment = self.plane.kubectl(&words).json();
        let pod = &deployment["spec"]["template"]["spec"];
        let account = pod["serviceAccountName"].as_str().expect("it has an account of its own");
        let words = format!("create token {account} --namespace {NAMESPACE}");
        let token = self.plane.kubectl(&words).stdout;
        let secrets = root.join("var/run/secrets/kubernetes.io/serviceaccount");
        fs::create_dir_all(&secrets).expect("a folder can be made");
        for (name, text) in [("token", token.trim()), ("namespace", NAMESPACE)] {
            fs::write(secrets.join(name), text).expect("a file can be written");
        }
        fs::copy(self.plane.certificate(), secrets.join("ca.crt")).expect("a file can be copied");
        let container = &pod["containers"][0];
        let list = |name: &str| container[name].as_array().cloned().unwrap_or_default();
        let words = [list("command"), list("args")].concat();
        let words = words.iter().map(|word| word.as_str().expect("a word is text"));
        let program = run("chroot").arg(root).args(words);
        let program = list("env").iter().fold(program, |program, variable| {
            let value = match variable["valueFrom"]["fieldRef"]["fieldPath"].as_str() {
                Some("metadata.namespace") => NAMESPACE,
                Some("spec.nodeName") => &self.spec.machines[0].name,
                _ => variable["value"].as_str().unwrap_or_default(),
            };
            program.env(variable["name"].as_str().expect("a variable has a name"), value)
        });
        let address = self.spec.machines[0].address.to_string();
        bound(program.env("KUBERNETES_SERVICE_HOST", address).env("KUBERNETES_SERVICE_PORT", "6443"))
    }

    /// What Node Feature Discovery and GPU Feature Discovery say of nodes: exactly [`Self::found`] have GPUs.
    ///
    /// # Panics
    /// When the API refuses.
    pub fn find_gpus(&self) {
        let feature = |name: &str| {
            let machine = self.spec.machines.iter().find(|machine| machine.name == name);
            let machine = machine.expect("nodes are machines");
            let mut labels = json!({});
            if self.found.contains(name) {
                labels["feature.node.kubernetes.io/pci-10de.present"] = json!("true");
                for (label, value) in feature_labels(&self.spec, machine) {
                    labels[label] = json!(value);
                }
            }
            json!({
                "apiVersion": "nfd.k8s-sigs.io/v1alpha1", "kind": "NodeFeature",
                "metadata": {
                    "name": name, "namespace": NAMESPACE,
                    "labels": { "nfd.node.kubernetes.io/node-name": name },
                },
                "spec": { "labels": labels, "features": { "flags": {}, "attributes": {}, "instances": {} } },
            })
        };
        let all: Vec<Value> = self.spec.machines.iter().map(|machine| feature(&machine.name)).collect();
        self.plane.apply(&all);
    }

    /// What the device plugin has kubelet offer: the GPUs of the plan.
    ///
    /// # Panics
    /// When the API refuses.
    pub fn offer_gpus(&self) {
        for node in planned(&self.spec, chart(&self.spec)).nodes {
            let count = json!({ RESOURCE: node.allocatable.unwrap_or(node.gpus).to_string() });
            let patch = json!({ "status": { "capacity": count, "allocatable": count } });
            self.plane.patch_status(&format!("node {}", node.name), &patch);
        }
    }

    /// helm with these words, as a person would call it.
    ///
    /// # Panics
    /// When the store has no helm.
    pub fn helm<A: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = A>) -> Answer {
        let place = self.checkout.root().join("unpacked").join(HELM).join("linux-amd64/helm");
        if !place.exists() {
            unpack_file(&self.checkout, HELM);
        }
        let helm = run(place).arg("--kubeconfig").arg(self.plane.folder().join("test.conf"));
        helm.args(words).env("HOME", self.checkout.home()).answer()
    }

    /// The release of any state: its name, state and revision. `None` where there is none.
    ///
    /// # Panics
    /// When helm cannot list it.
    pub fn release(&self) -> Option<String> {
        let releases = self.helm(["list", "--all", "--all-namespaces", "--output", "json"]).ok().json();
        let text = |field: &str| releases[0][field].as_str();
        Some([text("name")?, text("status")?, text("revision")?].join(" "))
    }

    /// The values of the release.
    ///
    /// # Panics
    /// When there is none.
    pub fn values(&self) -> Value {
        self.helm(["get", "values", RELEASE, "--namespace", NAMESPACE, "--output", "json"]).ok().json()
    }

    /// What checks say now, a line each: whether they passed, and the details.
    ///
    /// # Panics
    /// When they cannot be run.
    pub fn checks(&mut self, ids: &[&str]) -> String {
        let words = ["validate", NAME, "--json", "--patience", "0"];
        let outcomes = self.lab(&[&words[..], ids].concat()).json();
        let line = |one: &Value| {
            let details: Vec<&str> =
                one["details"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let text = |field: &str| one[field].as_str().unwrap_or_default().to_owned();
            format!("{} {}: {}", text("id"), text("verdict"), details.join("; "))
        };
        let lines = outcomes.as_array().expect("outcomes are a list").iter().map(line);
        lines.collect::<Vec<_>>().join("\n")
    }

    /// The state of the ClusterPolicy and the reason of its condition `Ready`, `ready: Reconciled`. Empty before there is one.
    pub fn policy(&self) -> String {
        let reason =
            r#"jsonpath={.items[*].status.state}: {.items[*].status.conditions[?(@.type=="Ready")].reason}"#;
        let answer = self.plane.ask(["get", "clusterpolicies", "--output", reason]).answer();
        if answer.code == 0 { answer.stdout } else { String::new() }
    }

    /// What is left in the cluster of the operator and its namespace: kinds and names.
    ///
    /// # Panics
    /// When the API does not answer.
    pub fn left(&self) -> Vec<String> {
        let kinds = "namespaces,customresourcedefinitions,runtimeclasses,clusterroles,clusterrolebindings,priorityclasses";
        let names = self.plane.kubectl(&format!("get {kinds} --output name")).stdout;
        let is_own =
            |name: &&str| ["nvidia", "nfd", "gpu", "node-feature"].iter().any(|part| name.contains(part));
        names.lines().filter(is_own).map(str::to_owned).collect()
    }

    /// The nodes without what changes by itself.
    pub fn nodes(&self) -> Vec<Value> {
        let mut nodes = self.plane.list("nodes");
        for node in &mut nodes {
            for field in ["resourceVersion", "managedFields"] {
                node["metadata"].as_object_mut().expect("a node has metadata").remove(field);
            }
            for condition in node["status"]["conditions"].as_array_mut().into_iter().flatten() {
                condition.as_object_mut().expect("a condition has fields").remove("lastHeartbeatTime");
            }
        }
        nodes
    }
}

impl Drop for GpuCluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for (name, program) in [("gpu-operator", &self.operator), ("nfd-master", &self.master)] {
                print_end(name, &program.as_ref().map(Started::so_far).unwrap_or_default());
            }
        }
    }
}

/// The chart of a cluster.
///
/// # Panics
/// When its file asks for none.
pub fn chart(spec: &ClusterSpec) -> &'static Chart {
    let operator = spec.gpu_operator.as_ref().expect("the file asks for the operator");
    gpu_operator::chart(&operator.version).expect("a checked file names a known chart")
}

fn spec(text: &str) -> ClusterSpec {
    let source = SourceFile { path: "cluster.yaml".to_owned(), text: text.to_owned() };
    let checked = lab_core::cluster::check(&source, None);
    checked.spec.unwrap_or_else(|| panic!("the cluster file is wrong: {:?}", checked.findings))
}

/// A lock of all that is taken out of the store.
fn needed(spec: &ClusterSpec) -> Value {
    let url = chart_url(spec);
    let own = [(HELM, HELM_URL), (gpu_operator::CHART, &url)];
    let pulled = images(spec, chart(spec));
    let pulled: Vec<_> = pulled.iter().map(|image| (image.name, image.reference.as_str())).collect();
    lock(&[&FILES[..], &own].concat(), &[&IMAGES[..], &pulled].concat())
}

/// Has the store what is needed. Minutes where it has nothing: whole Kubernetes is compiled.
fn build_artifacts(spec: &ClusterSpec) {
    // Go's own cache is that of the tests.
    let built = build(&Checkout::new(), &needed(spec)).answer().ok().json();
    let states = states(&built);
    assert!(states.iter().all(|(_, state)| ["built", "kept"].contains(&state.as_str())), "{states:?}");
}

fn watch_deployments(plane: &ControlPlane) -> Started {
    let words = ["get", "deployments", "--namespace", NAMESPACE, "--watch", "--output-watch-events"];
    bound(plane.ask(words).arg("--no-headers")).start()
}
