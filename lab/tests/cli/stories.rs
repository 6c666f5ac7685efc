//! The output of each command: whole transcripts, a story a room, with exit codes.

use lab_tests::cluster::Cluster;
use lab_tests::{Checkout, redact};
use rstest::rstest;

/// Commands with the exit codes that they end with.
pub type Story = &'static [(u8, &'static str)];

/// Making machines, using them, ending them.
const MACHINES: Story = &[
    (2, "up nowhere"),
    (2, "up ony"),
    (0, "status one"),
    (0, "down one"),
    (0, "destroy one"),
    (20, "ssh node --cluster one"),
    (2, "vm start nod --cluster one"),
    (20, "vm stop node --cluster one"),
    (2, "logs node --cluster one"),
    (20, "proxy node:22 --cluster one"),
    (0, "plan one"),
    (0, "plan one --json"),
    (0, "up one"),
    (0, "up one"),
    (0, "status one"),
    (0, "status one --json"),
    (0, "topology one"),
    (0, "topology one --format mermaid"),
    (0, "topology one --format json"),
    (2, "topology one --format picture"),
    (0, "ssh node --cluster one -- hostname"),
    (7, "ssh node --cluster one -- exit 7"),
    (2, "ssh nod --cluster one -- hostname"),
    (0, "exec --all --cluster one -- hostname"),
    (3, "exec node --json --cluster one -- exit 3"),
    (2, "exec nod --cluster one -- hostname"),
    (0, "logs node --cluster one"),
    (2, "logs nod --cluster one"),
    (1, "console node --cluster one"),
    (2, "console nod --cluster one"),
    (2, "proxy nod:22 --cluster one"),
    (2, "proxy node:ssh --cluster one"),
    (0, "enter --cluster one -- echo inside"),
    (5, "enter --cluster one -- sh -c kill\u{a0}-0\u{a0}1;exit\u{a0}5"),
    (0, "vm status node --cluster one"),
    (0, "vm stop node --cluster one"),
    (20, "vm status node --cluster one"),
    (20, "exec --all --cluster one -- hostname"),
    (2, "vm stop nod --cluster one"),
    (0, "vm start node --cluster one"),
    (0, "vm restart node --cluster one"),
    (0, "gc"),
    (0, "down one --json"),
    (0, "up one --json"),
    (0, "destroy one --json"),
    (2, "destroy ony"),
];

/// A machine with stand-ins for GPUs.
const GPUS: Story = &[
    (2, "gpu-fault node --cluster one --xid 79"),
    (2, "gpu-fault worke --cluster gpu --hot"),
    (2, "gpu-fault worker --cluster gpu"),
    (2, "gpu-fault worker --cluster gpu --hot --ecc"),
    (2, "gpu-fault worker --cluster gpu --gpu 2 --hot"),
    (2, "gpu-fault worker --cluster gpu --gpu 1 --ecc"),
    (2, "gpu-fault worker --cluster gpu --gpu 1 --clear"),
    (2, "gpu-fault worker --cluster gpu --xid 0"),
    (20, "gpu-fault worker --cluster gpu --remove"),
    (0, "plan gpu"),
    (0, "up gpu"),
    (0, "status gpu"),
    (0, "topology gpu"),
    (0, "gpu-fault worker --cluster gpu --xid 79"),
    (0, "gpu-fault worker --cluster gpu --gpu 1 --remove"),
    (0, "gpu-fault worker --cluster gpu --hot"),
    (0, "gpu-fault worker --cluster gpu --ecc"),
    (0, "gpu-fault worker --cluster gpu --clear"),
    (2, "gpu-operator install one"),
    (2, "gpu-operator status one"),
    (2, "gpu-operator instal gpu"),
    (0, "gpu-operator values gpu"),
    (20, "gpu-operator install gpu"),
    (20, "gpu-operator upgrade gpu"),
    (20, "gpu-operator status gpu"),
    (20, "gpu-operator validate gpu"),
    (20, "gpu-operator remove gpu --yes"),
    (0, "destroy gpu"),
    (20, "gpu-operator remove gpu --yes"),
];

/// Images and the cache.
const STORES: Story = &[
    (0, "image list"),
    (0, "image list --json"),
    (0, "image verify"),
    (0, "image build"),
    (0, "image gc"),
    (0, "cache show"),
    (0, "cache show --json"),
    (0, "cache gc"),
];

/// Cluster files, what they render to, and facts about Kubespray.
const FILES: Story = &[
    (0, "check one"),
    (0, "check one --json"),
    (2, "check one --kubespray v9"),
    (0, "check --explain unknown-variable"),
    (2, "check --explain unknown-variabel"),
    (0, "kubespray status"),
    (0, "kubespray status --json"),
    (10, "kubespray fetch --source nowhere"),
    (2, "kubespray fetch --version v9"),
    (0, "kubespray index v2.30.0 kube_network_plugin"),
    (2, "kubespray index v2.30.0 kube_network_plugn"),
    (0, "kubespray diff v2.30.0 v2.30.0"),
    (2, "kubespray diff v2.30.0 v9"),
    (20, "kubespray play one cluster.yml"),
    (0, "kubespray clean"),
    (0, "inventory render one"),
    (0, "inventory render one"),
    (0, "inventory diff one"),
    (10, "inventory check one"),
];

/// Artefacts of a cluster whose Kubespray cannot be fetched.
const ARTIFACTS: Story = &[
    (10, "artifacts list one"),
    (10, "artifacts fetch one"),
    (10, "artifacts build one"),
    (10, "artifacts verify one"),
    (10, "artifacts export one --output bundle.tar"),
    (2, "artifacts import bundle.tar"),
    (0, "artifacts gc"),
];

/// A lab on which nothing was deployed.
const CLUSTERS: Story = &[
    (20, "cloud status one"),
    (11, "snapshot one"),
    (10, "cloud start one"),
    (2, "cloud start one --from nowhere"),
    (20, "validate one"),
    (0, "up one"),
    (30, "cloud status one"),
    (30, "cloud status one --json"),
    (20, "validate one"),
    (2, "validate one no-such-check"),
    (21, "kubeconfig one"),
    (21, "kubectl --cluster one -- get nodes"),
    (10, "deploy one"),
    (11, "deploy scale one"),
    (11, "deploy remove-node one node"),
    (11, "deploy remove-node one nod"),
    (11, "deploy upgrade one"),
    (11, "deploy reset one"),
    (11, "deploy recover-control-plane one"),
    (10, "e2e one"),
    (0, "snapshots one"),
    (0, "snapshots one --json"),
    (2, "restore one"),
    (2, "restore one nowhere"),
    (1, "snapshot one"),
    (0, "cloud stop one"),
    (0, "cloud destroy one"),
];

/// All of them.
pub const STORIES: [Story; 6] = [MACHINES, GPUS, STORES, FILES, ARTIFACTS, CLUSTERS];

#[rstest]
#[case::machines("machines", MACHINES)]
#[case::gpus("gpus", GPUS)]
#[case::stores("stores", STORES)]
#[case::files("files", FILES)]
#[case::artifacts("artifacts", ARTIFACTS)]
#[case::clusters("clusters", CLUSTERS)]
fn commands_say_what_they_did(#[case] name: &str, #[case] story: Story) {
    let checkout = super::checkout(&Cluster::new("one", &["node"]));
    if name == "gpus" {
        let mut gpu = Cluster::new("gpu", &["worker"]);
        gpu.machines[0].stand_ins = vec!["RTX A6000", "RTX 4090"];
        checkout.write(&gpu.name, &(gpu.text() + "gpu_operator:\n  monitoring: {exporter: true}\n"));
    }
    let (mut transcript, mut wrong) = (String::new(), Vec::new());
    for (code, words) in story {
        let answer = call(&checkout, words);
        if answer.code != i32::from(*code) {
            wrong.push(format!("`lab {words}` should have ended with {code}: {answer}"));
        }
        if words.contains("--json") {
            assert_is_json(words, &answer.stdout);
        }
        transcript.push_str(&format!("$ lab {}\n{answer}\n", words.replace('\u{a0}', " ")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(checkout.left(), Vec::<String>::new());
    redact::transcript(&checkout.root().display().to_string())
        .bind(|| insta::assert_snapshot!(name, transcript));
}

/// Runs a command. A no-break space joins what a shell would have in quotes.
fn call(checkout: &Checkout, words: &str) -> lab_tests::Answer {
    let words: Vec<String> = words.split(' ').map(|word| word.replace('\u{a0}', " ")).collect();
    checkout.lab(&words.iter().map(String::as_str).collect::<Vec<_>>()).answer()
}

/// One document, or one a line.
fn assert_is_json(words: &str, text: &str) {
    let whole: Result<serde_json::Value, _> = serde_json::from_str(text);
    if whole.is_err() {
        for line in text.lines() {
            let parsed: Result<serde_json::Value, _> = serde_json::from_str(line);
            assert!(parsed.is_ok(), "`lab {words}` prints no JSON: {line}");
        }
    }
    assert!(!text.is_empty(), "`lab {words}` prints nothing");
}
