//! `inventories/gpu`: the real GPU Operator beside stand-ins for GPUs, and GPUs that stay usable.

use std::time::Duration;

use lab_tests::{Living, living, needs, wait};

/// kubelet reports the state of its node at least every ten seconds.
const REPORT: Duration = Duration::from_secs(60);

/// What a removal must leave as it was: containerd's configuration, and the nodes' labels and resources.
fn traces(gpu: &Living) -> Vec<String> {
    let configuration = |machine| gpu.on(machine, "sudo sha256sum /etc/containerd/config.toml");
    let of_nodes =
        |path: &str| gpu.kubectl(&format!("get nodes --output jsonpath={{.items[*].{path}}}")).ok().stdout;
    vec![
        configuration("gpu-worker-1"),
        configuration("gpu-worker-2"),
        of_nodes("metadata.labels"),
        of_nodes("metadata.name"),
        gpu.kubectl("get customresourcedefinitions,namespaces,runtimeclasses --output name").ok().stdout,
    ]
}

fn fault(gpu: &Living, words: &[&str]) {
    gpu.checkout.lab(&["gpu-fault", "gpu-worker-1", "--cluster", "gpu"]).args(words).answer().ok();
}

fn install(gpu: &Living) {
    living::to_its_end("the installation", gpu.checkout.lab(&["gpu-operator", "install", "gpu"])).ok();
}

#[test]
fn gpus_stay_usable_through_faults_kubespray_and_restarts_and_removal_leaves_nothing() {
    needs!(Containers, Kubespray);
    let gpu = Living::planned("gpu", &living::shipped("gpu"));
    let start = ["cloud", "start", "gpu", "--until", "deploy"];
    living::to_its_end("the start", gpu.checkout.lab(&start)).ok();
    let before = traces(&gpu);

    install(&gpu);
    gpu.passes(&[]);
    let again = gpu.checkout.lab(&["gpu-operator", "install", "gpu"]).answer().ok();
    assert!(!again.stderr.contains("installing chart"), "{again}");

    fault(&gpu, &["--xid", "79"]);
    // The device plugin tells kubelet within a second, and kubelet the API when it reports next.
    wait::until("kubelet has reported the fault", REPORT, || {
        let offered = "get node gpu-worker-1 --output jsonpath={.status.allocatable.nvidia\\.com/gpu}";
        (gpu.kubectl(offered).ok().stdout.trim() == "0").then_some(())
    });
    let wrong = gpu.fails(&["gpu-machines", "gpu-allocatable"], &["gpu-allocatable"]);
    let why = &wrong["gpu-allocatable"];
    assert!(why.contains("`gpu-worker-1` offers 0") && why.contains("Xid=79 on Device=GPU-"), "{why}");
    fault(&gpu, &["--clear"]);
    fault(&gpu, &["--hot"]);
    let wrong = gpu.fails(&["gpu-metrics"], &["gpu-metrics"]);
    assert!(wrong["gpu-metrics"].contains("97 °C"), "{wrong:?}");
    fault(&gpu, &["--clear"]);
    fault(&gpu, &["--remove"]);
    let wrong = gpu.fails(&["gpu-machines", "gpu-daemonsets"], &["gpu-machines"]);
    assert!(wrong["gpu-machines"].contains("`gpu-worker-1` has 0 PCI functions"), "{wrong:?}");
    fault(&gpu, &["--clear"]);
    for pods in ["nvidia-device-plugin-daemonset", "nvidia-dcgm-exporter"] {
        gpu.kubectl(&format!("delete pod --namespace gpu-operator --selector app={pods}")).ok();
    }
    // Without its PCI function a node lost its label, and every part of the operator went from it. The worker of Node Feature
    // Discovery looks again once a minute.
    let words = ["validate", "gpu", "--patience", "240"];
    living::to_its_end("the checks", gpu.checkout.lab(&words)).ok();

    let play = ["kubespray", "play", "gpu", "cluster.yml"];
    living::to_its_end("Kubespray by other means", gpu.checkout.lab(&play)).ok();
    // Everything calls itself ready, and no pod could get a GPU.
    gpu.fails(&["gpu-daemonsets", "gpu-policy", "gpu-allocatable", "gpu-runtime"], &["gpu-runtime"]);
    install(&gpu);
    gpu.passes(&[]);

    gpu.checkout.lab(&["vm", "restart", "gpu-worker-1", "--cluster", "gpu"]).answer().ok();
    gpu.passes(&[]);

    living::to_its_end("the removal", gpu.checkout.lab(&["gpu-operator", "remove", "gpu", "--yes"])).ok();
    assert_eq!(traces(&gpu), before);
    gpu.destroy();
}
