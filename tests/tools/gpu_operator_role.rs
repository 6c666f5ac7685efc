//! The Ansible role of the GPU Operator, run by the real Ansible against stand-ins for kubectl and helm: what it calls,
//! and the sentence with which it refuses each cluster that is not as planned.

use std::fs;
use std::path::{Path, PathBuf};

use lab_tests::checkout::{real_root, variable};
use lab_tests::{Answer, run, stand_ins};
use rstest::rstest;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Answer with files of the folder `answers` beside theirs, and write down each call and what came with it.
const KUBECTL: &str = include_str!("gpu_operator_role/kubectl.sh");

const HELM: &str = include_str!("gpu_operator_role/helm.sh");

/// The nodes with GPUs of the plan: one GPU, and one in four time slices. A third node has none.
const PLANNED: [(&str, u32); 2] = [("g1", 1), ("g2", 4)];
/// The DaemonSets of the role's own values.
const DAEMON_SETS: [&str; 5] = [
    "gpu-feature-discovery",
    "nvidia-container-toolkit-daemonset",
    "nvidia-dcgm-exporter",
    "nvidia-device-plugin-daemonset",
    "nvidia-operator-validator",
];

/// What the stand-ins answer, by the names of files.
type Answers = serde_json::Map<String, Value>;

fn node(name: &str, gpus: u32) -> Value {
    let mut node = json!({
        "metadata": { "name": name, "labels": { "kubernetes.io/hostname": name } },
        "status": {
            "allocatable": { "cpu": "2" },
            "nodeInfo": { "osImage": "Debian GNU/Linux 13 (trixie)" },
        },
    });
    if gpus > 0 {
        node["metadata"]["labels"]["feature.node.kubernetes.io/pci-10de.present"] = json!("true");
        node["metadata"]["labels"]["nvidia.com/gpu.present"] = json!("true");
        node["status"]["allocatable"]["nvidia.com/gpu"] = json!(gpus.to_string());
    }
    node
}

fn daemon_set(name: &str) -> Value {
    let pods = PLANNED.len();
    json!({
        "metadata": { "name": name, "generation": 1 },
        "spec": { "template": { "spec": {
            "containers": [{ "image": "registry.lab/validator:v25.3.4" }],
            "tolerations": [{ "key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule" }, { "key": "slow" }],
        } } },
        "status": {
            "observedGeneration": 1, "desiredNumberScheduled": pods, "updatedNumberScheduled": pods, "numberReady": pods,
        },
    })
}

fn policy(state: &str, reason: &str) -> Value {
    let ready = json!({ "type": "Ready", "status": "True", "reason": reason, "message": "so it is" });
    json!({ "items": [{ "status": { "state": state, "conditions": [ready] } }] })
}

fn uuid(node: &str) -> String {
    format!("GPU-0000-{node}").replace('g', "a")
}

/// A cluster on which everything is as planned, before the operator is installed.
fn good() -> Answers {
    let release = json!({
        "name": "gpu-operator", "namespace": "gpu-operator-system", "revision": "1", "updated": "today",
        "status": "deployed", "chart": "gpu-operator-v25.3.4", "app_version": "v25.3.4",
    });
    let sets: Vec<Value> = DAEMON_SETS.iter().map(|name| daemon_set(name)).collect();
    let mut answers = Answers::new();
    let nodes = json!({ "items": [node("c1", 0), node("g1", 1), node("g2", 4)] });
    answers.insert("nodes.json".to_owned(), nodes);
    answers.insert("daemonsets.json".to_owned(), json!({ "items": sets }));
    answers.insert("validator.json".to_owned(), daemon_set("nvidia-operator-validator"));
    answers.insert("policies.json".to_owned(), policy("ready", "Reconciled"));
    answers.insert("pods.json".to_owned(), json!({ "items": [] }));
    answers.insert("releases.json".to_owned(), json!([]));
    answers.insert("installed.json".to_owned(), json!([release]));
    answers.insert("chart.yaml".to_owned(), json!({ "name": "gpu-operator", "version": "v25.3.4" }));
    for (name, _) in PLANNED {
        let pod = json!({
            "metadata": { "name": format!("gpu-test-of-{name}") },
            "spec": { "nodeName": name },
            "status": { "phase": "Succeeded" },
        });
        answers.insert(format!("pod-{name}.json"), pod);
        answers.insert(format!("log-{name}"), json!(format!("STAND-IN\nGPU 0: T4 (UUID: {})", uuid(name))));
    }
    answers
}

/// A folder with the stand-ins, what they answer, and what they were called with.
struct Bench(TempDir);

impl Bench {
    fn new(answers: &Answers) -> Self {
        let bench = Self(tempfile::tempdir().unwrap());
        for folder in ["bin", "answers", "home"] {
            fs::create_dir(bench.path(folder)).unwrap();
        }
        stand_ins::write_program(&bench.path("bin/kubectl"), KUBECTL);
        stand_ins::write_program(&bench.path("bin/helm"), HELM);
        for (name, answer) in answers {
            let text = answer.as_str().map_or_else(|| answer.to_string(), str::to_owned);
            fs::write(bench.path("answers").join(name), text).unwrap();
        }
        bench
    }

    fn path(&self, inside: &str) -> PathBuf {
        self.0.path().join(inside)
    }

    /// Runs tasks of the role for the plan, with variables over those of the plan.
    fn plays(&self, tasks: &str, variables: &Value) -> Answer {
        let role = json!({ "name": "nvidia-gpu-operator", "tasks_from": tasks });
        let play = json!([{
            "hosts": "localhost", "connection": "local", "gather_facts": false,
            "tasks": [{ "ansible.builtin.import_role": role }],
        }]);
        fs::write(self.path("play.yml"), play.to_string()).unwrap();
        let mut all = json!({ "nvidia_gpu_operator_kubeconfig": "/the/kubeconfig" });
        all.as_object_mut().unwrap().extend(variables.as_object().unwrap().clone());
        let inventory = "[gpu]\ng1\ng2 nvidia_gpu_operator_replicas=4\n[other]\nc1\n";
        self.ansible(inventory, &self.path("play.yml"), &all)
    }

    /// Runs a playbook with short waits.
    fn ansible(&self, inventory: &str, playbook: &Path, variables: &Value) -> Answer {
        fs::write(self.path("inventory.ini"), inventory).unwrap();
        let always = json!({
            "nvidia_gpu_operator_look_again_seconds": 1,
            "nvidia_gpu_operator_label_seconds": 0,
            "nvidia_gpu_operator_ready_seconds": 0,
            "nvidia_gpu_operator_test_pod_seconds": 1,
        });
        let path = std::env::var_os("PATH").unwrap();
        let path = [self.path("bin")].into_iter().chain(std::env::split_paths(&path));
        let ours = real_root().join("ansible");
        run(format!("{}/bin/ansible-playbook", variable("LAB_ANSIBLE")))
            .args(["--extra-vars", &always.to_string(), "--extra-vars", &variables.to_string()])
            .arg("--inventory")
            .arg(self.path("inventory.ini"))
            .arg(playbook)
            .env("PATH", std::env::join_paths(path).unwrap())
            .env("HOME", self.path("home"))
            .env("ANSIBLE_ROLES_PATH", ours.join("roles"))
            .env("ANSIBLE_CALLBACK_PLUGINS", ours.join("callback_plugins"))
            .env("ANSIBLE_STDOUT_CALLBACK", "lab_events")
            .answer()
    }

    /// Every call and what came with it, without the folder of the bench.
    fn calls(&self) -> String {
        let calls = fs::read_to_string(self.path("calls")).unwrap_or_default();
        calls.replace(&self.0.path().display().to_string(), "BENCH")
    }
}

/// The messages of the tasks that failed.
fn refusals(answer: &Answer) -> Vec<String> {
    let events = answer.stdout.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let failed = events.filter(|event| event["outcome"] == "failed");
    failed.map(|event| event["message"].as_str().unwrap_or_default().to_owned()).collect()
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn role_installs_operator_proves_it_and_changes_nothing_again() {
    let bench = Bench::new(&good());
    bench.plays("main", &json!({})).ok();
    insta::assert_snapshot!("role_installs", bench.calls());
    let values = read(&bench.path("answers/values.json"));
    insta::assert_snapshot!("role_values", serde_json::to_string_pretty(&values).unwrap());

    fs::remove_file(bench.path("calls")).unwrap();
    bench.plays("main", &json!({ "nvidia_gpu_operator_test_pods": false })).ok();
    insta::assert_snapshot!("role_installs_nothing_again", bench.calls());
}

/// The template alone: each number of time slices has a configuration, and a newer chart has keys of its own.
#[rstest]
#[case::charts_that_can_inject_the_old_way("v25.3.4")]
#[case::charts_that_cannot("v26.7.0")]
fn values_have_configuration_for_each_number_of_slices(#[case] chart: &str) {
    let bench = Bench::new(&good());
    let template =
        real_root().join("ansible/roles/nvidia-gpu-operator/templates/gpu-operator-values.yaml.j2");
    let values = bench.path("values.yaml");
    let variables = json!({
        "nvidia_gpu_operator_chart_version": chart,
        "nvidia_gpu_operator_driver": "host",
        "nvidia_gpu_operator_exporter": true,
        "nvidia_gpu_operator_service_monitor": true,
        "nvidia_gpu_operator_shared": [2, 4],
    });
    run(format!("{}/bin/ansible", variable("LAB_ANSIBLE")))
        .args(["localhost", "--module-name", "ansible.builtin.template", "--args"])
        .arg(json!({ "src": template, "dest": values, "mode": "0600" }).to_string())
        .args(["--extra-vars", &variables.to_string()])
        .env("HOME", bench.path("home"))
        .answer()
        .ok();
    insta::assert_snapshot!(format!("values_of_{chart}"), fs::read_to_string(&values).unwrap());
}

/// Values that were made elsewhere are the ones that helm gets, and nodes keep the labels that came with them.
#[test]
fn role_takes_values_of_a_file_and_a_packed_chart() {
    let bench = Bench::new(&good());
    let (values, chart) = (bench.path("values.yaml"), bench.path("gpu-operator.tgz"));
    fs::write(&values, "# a comment\ndriver: {enabled: false}\ndcgmExporter: {enabled: true}\n").unwrap();
    let variables = json!({
        "nvidia_gpu_operator_values_file": values,
        "nvidia_gpu_operator_chart": chart,
        "nvidia_gpu_operator_extra_values": { "dcgmExporter": { "enabled": false } },
    });
    bench.plays("main", &variables).ok();
    let given = read(&bench.path("answers/values.json"));
    assert_eq!(given, json!({ "driver": { "enabled": false }, "dcgmExporter": { "enabled": false } }));
    let calls = bench.calls();
    assert!(!calls.contains(" label "), "{calls}");
    let chart = "upgrade --install gpu-operator BENCH/gpu-operator.tgz --version v25.3.4 --namespace";
    assert!(calls.contains(chart), "{calls}");
}

#[test]
fn role_waits_until_nodes_have_their_labels() {
    let mut answers = good();
    let later = answers.insert("nodes.json".to_owned(), json!({ "items": [node("g1", 0), node("g2", 0)] }));
    answers.insert("nodes-later.json".to_owned(), later.unwrap());
    let bench = Bench::new(&answers);
    let variables =
        json!({ "nvidia_gpu_operator_label_seconds": 60, "nvidia_gpu_operator_test_pods": false });
    bench.plays("validate", &variables).ok();
}

/// The inventory of a lab, as far as the playbook reads it.
const LAB: &str = "\
[kube_control_plane]
c1
[k8s_cluster]
c1
g1
g2
[all:vars]
lab_dir={{ inventory_dir }}
artifacts_dir={{ lab_dir }}/artifacts
kubectl_localhost=true
";

/// The wrapper playbook on an inventory, with a Kubespray that does nothing.
fn wrapper(bench: &Bench, inventory: &str) -> Answer {
    fs::write(bench.path("cluster.yml"), "[{hosts: all, gather_facts: false}]").unwrap();
    fs::create_dir(bench.path("artifacts")).unwrap();
    stand_ins::write_program(&bench.path("artifacts/kubectl"), KUBECTL);
    bench.ansible(
        inventory,
        &real_root().join("ansible/playbooks/deploy-cloud-cluster.yml"),
        &json!({ "kubespray_checkout": bench.path("") }),
    )
}

#[test]
fn wrapper_playbook_installs_nothing_where_no_machine_has_gpus_and_says_so() {
    let bench = Bench::new(&good());
    let answer = wrapper(&bench, LAB).ok();
    let says = "the group `gpu` of the inventory has no machine: the NVIDIA GPU Operator is not installed";
    assert!(answer.stdout.contains(says), "{answer}");
    assert!(!bench.calls().contains("helm"), "{}", bench.calls());
}

#[test]
fn wrapper_playbook_installs_with_kubeconfig_and_values_of_lab() {
    let bench = Bench::new(&good());
    fs::create_dir(bench.path("gpu-operator")).unwrap();
    fs::write(bench.path("gpu-operator/values.yaml"), "driver: {enabled: false}\n").unwrap();
    wrapper(&bench, &format!("{LAB}[gpu]\ng1\ng2 nvidia_gpu_operator_replicas=4\n")).ok();
    assert_eq!(read(&bench.path("answers/values.json")), json!({ "driver": { "enabled": false } }));
    let calls = bench.calls();
    let calls = calls.lines().filter(|line| line.starts_with("helm ") || line.starts_with("kubectl "));
    let (ours, others): (Vec<_>, Vec<_>) =
        calls.partition(|call| call.contains(" --kubeconfig BENCH/artifacts/admin.conf "));
    assert!(ours.len() > 20 && others.is_empty(), "{others:?}");
}

#[test]
fn wrapper_playbook_fails_where_planned_gpus_are_missing() {
    let mut answers = good();
    answers["nodes.json"] = json!({ "items": [node("c1", 0), node("g1", 1), node("g2", 0)] });
    let bench = Bench::new(&answers);
    let answer = wrapper(&bench, &format!("{LAB}[gpu]\ng1\ng2\n")).code(2);
    let sentence = "Node Feature Discovery finds a GPU on g1, planned are g1, g2; \
                    the operator sees a GPU on g1, planned are g1, g2";
    assert_eq!(refusals(&answer), [sentence], "{answer}");
}

/// A change of a good cluster.
type Change = fn(&mut Answers);

#[rstest]
#[case::no_node_has_labels(
    |answers: &mut Answers| answers["nodes.json"] = json!({ "items": [node("c1", 0), node("g1", 0), node("g2", 0)] }),
    "Node Feature Discovery finds a GPU on none, planned are g1, g2; the operator sees a GPU on none, planned are g1, g2",
)]
#[case::a_node_too_many(
    |answers: &mut Answers| answers["nodes.json"]["items"][0] = node("c1", 1),
    "Node Feature Discovery finds a GPU on c1, g1, g2, planned are g1, g2; the operator sees a GPU on c1, g1, g2, planned are g1, g2",
)]
#[case::daemon_set_wants_no_pod(
    |answers: &mut Answers| answers["daemonsets.json"]["items"][0]["status"] = json!({ "observedGeneration": 1, "desiredNumberScheduled": 0 }),
    "the DaemonSet gpu-feature-discovery wants 0 pods, 0 are up to date and 0 ready; 2 nodes are planned",
)]
#[case::daemon_set_is_missing(
    |answers: &mut Answers| drop(answers["daemonsets.json"]["items"].as_array_mut().unwrap().remove(2)),
    "the DaemonSet nvidia-dcgm-exporter does not exist",
)]
#[case::daemon_set_is_not_ready_and_its_pod_says_why(
    |answers: &mut Answers| {
        answers["daemonsets.json"]["items"][3]["status"]["numberReady"] = json!(1);
        answers["pods.json"] = json!({ "items": [{
            "metadata": { "name": "plugin-x" }, "spec": { "nodeName": "g2" },
            "status": { "phase": "Pending", "initContainerStatuses": [
                { "name": "toolkit-validation", "state": { "waiting": { "reason": "CrashLoopBackOff", "message": "back-off 10s" } },
                  "lastState": { "terminated": { "exitCode": 1 } } },
            ] },
        }] });
    },
    "the DaemonSet nvidia-device-plugin-daemonset wants 2 pods, 2 are up to date and 1 ready; 2 nodes are planned; \
     plugin-x on g2: toolkit-validation waits: CrashLoopBackOff back-off 10s, its last exit code was 1",
)]
#[case::policy_is_ready_without_gpus(
    |answers: &mut Answers| answers["policies.json"] = policy("ready", "NoGPUNodes"),
    "the ClusterPolicy is ready with the reason NoGPUNodes, expected is ready with Reconciled: so it is",
)]
#[case::node_offers_nothing(
    |answers: &mut Answers| answers["nodes.json"]["items"][2]["status"]["allocatable"]["nvidia.com/gpu"] = json!("0"),
    "g2 offers 0 nvidia.com/gpu, planned are 4",
)]
#[case::node_does_not_share(
    |answers: &mut Answers| answers["nodes.json"]["items"][2]["status"]["allocatable"]["nvidia.com/gpu"] = json!("1"),
    "g2 offers 1 nvidia.com/gpu, planned are 4",
)]
fn role_refuses_cluster_that_is_not_as_planned(#[case] change: Change, #[case] sentence: &str) {
    let mut answers = good();
    change(&mut answers);
    let bench = Bench::new(&answers);
    let variables = json!({ "nvidia_gpu_operator_test_pods": false });
    let answer = bench.plays("validate", &variables).code(2);
    assert_eq!(refusals(&answer), [sentence], "{answer}");
}

#[rstest]
#[case::pod_failed(
    |answers: &mut Answers| {
        answers["pod-g1.json"]["status"] = json!({ "phase": "Failed", "containerStatuses": [
            { "name": "nvidia-smi", "state": { "terminated": { "exitCode": 127 } } },
        ] });
        answers["log-g1"] = json!("nvidia-smi: not found");
    },
    "the test pod gpu-test-of-g1 for g1 is Failed, not Succeeded: nvidia-smi ended with 127; its log ends with `nvidia-smi: not found`",
)]
#[case::pod_stays_pending(
    |answers: &mut Answers| answers["pod-g1.json"]["status"] = json!({ "phase": "Pending", "conditions": [
        { "type": "PodScheduled", "status": "False", "message": "0/3 nodes are available: 3 Insufficient nvidia.com/gpu." },
    ] }),
    "the test pod gpu-test-of-g1 for g1 is Pending, not Succeeded: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu.",
)]
#[case::pod_sees_no_gpu(
    |answers: &mut Answers| answers["log-g1"] = json!("No devices were found"),
    "the test pod gpu-test-of-g1 on g1 asked for 1 GPUs and sees none",
)]
#[case::pod_sees_another_gpu(
    |answers: &mut Answers| answers["log-g1"] = answers["log-g2"].clone(),
    "the test pod gpu-test-of-g1 on g1 sees GPU-0000-a2, planned are GPU-0000-a1",
)]
fn role_refuses_test_pod_and_removes_it(#[case] change: Change, #[case] sentence: &str) {
    let mut answers = good();
    change(&mut answers);
    let bench = Bench::new(&answers);
    let variables = json!({ "nvidia_gpu_operator_nodes": ["g1"], "nvidia_gpu_operator_uuids": [uuid("g1")] });
    for name in ["nodes.json", "daemonsets.json"] {
        fs::write(bench.path("answers").join(name), of_one_node(&answers[name]).to_string()).unwrap();
    }
    let answer = bench.plays("validate", &variables).code(2);
    assert_eq!(refusals(&answer), [sentence], "{answer}");
    let calls = bench.calls();
    assert!(calls.trim_end().ends_with("delete pod gpu-test-of-g1 --ignore-not-found"), "{calls}");
}

/// Nodes or DaemonSets as they are where only g1 has a GPU.
fn of_one_node(answers: &Value) -> Value {
    let mut answers = answers.clone();
    for item in answers["items"].as_array_mut().unwrap() {
        if item["metadata"]["name"] == "g2" {
            *item = node("g2", 0);
        }
        for count in ["desiredNumberScheduled", "updatedNumberScheduled", "numberReady"] {
            if let Some(found) = item["status"].get_mut(count) {
                *found = json!(1);
            }
        }
    }
    answers
}

#[rstest]
#[case::no_node_is_planned(
    |_: &mut Answers| (),
    json!({ "nvidia_gpu_operator_nodes": [] }),
    "no GPUs are planned: nvidia_gpu_operator_nodes names no node, with GPUs {} and time slices {}",
)]
#[case::helm_is_missing(
    |_: &mut Answers| (),
    json!({ "nvidia_gpu_operator_helm": "/nowhere/helm" }),
    "the program `/nowhere/helm` cannot be called, which nvidia_gpu_operator_helm names: \
     [Errno 2] No such file or directory: b'/nowhere/helm'",
)]
#[case::planned_node_is_no_node(
    |_: &mut Answers| (),
    json!({ "nvidia_gpu_operator_nodes": ["g1", "g3"] }),
    "the cluster has no node g3, which is planned to have GPUs",
)]
#[case::driver_in_container_on_debian(
    |_: &mut Answers| (),
    json!({ "nvidia_gpu_operator_driver": "container" }),
    "driver.enabled is true, and there is no driver container for the Debian of g1, g2",
)]
#[case::chart_is_another(
    |answers: &mut Answers| answers["chart.yaml"]["version"] = json!("v1.0.0-devel"),
    json!({}),
    "gpu-operator is the chart gpu-operator v1.0.0-devel, not gpu-operator v25.3.4",
)]
#[case::helm_was_killed(
    |answers: &mut Answers| {
        answers["releases.json"] = answers["installed.json"].clone();
        answers["releases.json"][0]["status"] = json!("pending-install");
    },
    json!({}),
    "the release gpu-operator in the namespace gpu-operator-system is pending-install since today: another helm works on it, \
     or was killed; if none works on it, end it with `helm --kubeconfig /the/kubeconfig --namespace gpu-operator-system uninstall gpu-operator`",
)]
#[case::operator_is_elsewhere(
    |answers: &mut Answers| {
        answers["releases.json"] = answers["installed.json"].clone();
        answers["releases.json"][0]["namespace"] = json!("nvidia");
    },
    json!({}),
    "the release gpu-operator in the namespace nvidia has installed the GPU Operator already (gpu-operator-v25.3.4)",
)]
#[case::service_monitors_are_unknown(
    |_: &mut Answers| (),
    json!({ "nvidia_gpu_operator_service_monitor": true }),
    "the cluster has no CRD servicemonitors.monitoring.coreos.com, and without it the operator never gets ready",
)]
fn role_refuses_what_cannot_work_before_it_installs(
    #[case] change: Change,
    #[case] variables: Value,
    #[case] sentence: &str,
) {
    let mut answers = good();
    change(&mut answers);
    let bench = Bench::new(&answers);
    let answer = bench.plays("main", &variables).code(2);
    assert_eq!(refusals(&answer), [sentence], "{answer}");
    let calls = bench.calls();
    assert!(!calls.contains(" upgrade ") && !calls.contains(" apply "), "{calls}");
}
