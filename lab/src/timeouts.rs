//! The table of all timeouts and intervals, by room. Knows no clock and waits for nothing.
//!
//! | type | on emulated machines | on an overloaded computer |
//! |---|---|---|
//! | `Duration` | the same | the same |
//! | [`Timeout`] | [`EMULATION_FACTOR`] times as long | 4 to 8 times as long, after a first wait (`lab_core::load`) |
//!
//! Both factors together are at most 10. A comment names each [`Timeout`] that one of them alone lengthens.

use std::time::Duration;

use lab_core::libvirt_xml::Acceleration;

/// A timeout that grows with the slowness of machines and of this computer. A plain `Duration` is the same everywhere.
#[derive(Debug, Clone, Copy)]
pub struct Timeout(Duration);

impl Timeout {
    /// A timeout of `base` where nothing is slow.
    pub const fn new(base: Duration) -> Self {
        Self(base)
    }

    const fn from_secs(seconds: u64) -> Self {
        Self::new(Duration::from_secs(seconds))
    }

    /// The timeout where nothing is slow.
    pub fn base(self) -> Duration {
        self.0
    }

    /// The timeout where anything may take `times` times longer than usual.
    pub fn times(self, times: u32) -> Duration {
        self.0 * times
    }
}

/// How many times longer a [`Timeout`] is where QEMU emulates the processors of machines.
const EMULATION_FACTOR: u32 = 5;

/// How many times longer anything may take on machines with this acceleration.
pub fn emulation_factor(acceleration: Acceleration) -> u32 {
    match acceleration {
        Acceleration::Kvm | Acceleration::Native => 1,
        Acceleration::Tcg => EMULATION_FACTOR,
    }
}

// main

/// A call to libvirt that hangs must not keep the program alive.
pub const RUNTIME_SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

// phases

/// A machine sends one piece of evidence after a failure.
pub const EVIDENCE_TIMEOUT: Duration = Duration::from_secs(60);
/// Logins to all machines, each of which worked a moment ago. Emulated machines take seconds.
pub const LOGINS_TIMEOUT: Duration = Duration::from_secs(120);
/// A user who asks for a status does not want to wait for the cluster.
pub const STATUS_HEALTH_TIMEOUT: Timeout = Timeout::from_secs(4);

// change

/// One login and one answer of a machine. A lost machine answers nothing.
pub const ANSWER_TIMEOUT: Timeout = Timeout::from_secs(20);
/// OpenSSH's own timeout for that login, which ends before ours.
pub const ANSWER_LOGIN_TIMEOUT: Timeout = Timeout::from_secs(5);
/// kubectl's own timeout for an answer of the API server, which ends before ours.
pub const ANSWER_API_TIMEOUT: Timeout = Timeout::from_secs(10);
/// etcdctl's own timeout for an answer of a member, which ends before ours.
pub const ANSWER_ETCD_TIMEOUT: Timeout = Timeout::from_secs(5);
/// Less than Ansible keeps facts (`fact_caching_timeout`), so that none run out in the middle of a playbook.
pub const FACTS_LIFETIME: Duration = Duration::from_secs(20 * 3600);

// snapshot

/// A machine reads its clock and its certificates. Overload alone makes it longer.
pub const CLOCK_TIMEOUT: Timeout = Timeout::from_secs(60);
/// The kernel removes a mount.
pub const UNMOUNT_TIMEOUT: Duration = Duration::from_secs(60);

// validate

/// One connection to the API.
pub const API_CONNECT_TIMEOUT: Timeout = Timeout::from_secs(4);
/// A check waits so long, for a person, until its condition is true by itself. `--help` names the value too.
pub const CHECK_TIMEOUT: Timeout = Timeout::from_secs(60);
/// The pause between two looks of a check.
pub const CHECK_INTERVAL: Duration = Duration::from_millis(500);
/// A bound for all checks together.
pub const ALL_CHECKS_TIMEOUT: Duration = Duration::from_secs(3600);
/// A cluster comes up so long after the start of a container.
pub const CONTAINER_CLUSTER_START_TIMEOUT: Duration = Duration::from_secs(300);
/// The same after the start of a virtual machine, emulated or not: three times as long.
pub const VM_CLUSTER_START_TIMEOUT: Duration = Duration::from_secs(900);
/// A deployed cluster reports its health.
pub const HEALTH_TIMEOUT: Timeout = Timeout::from_secs(8);
/// Every node and system pod becomes ready after Kubespray's end. Emulated machines need minutes, so no factor applies.
pub const CLUSTER_SETTLE_TIMEOUT: Duration = Duration::from_secs(900);
/// Without a pause the watch of an API server that is starting takes a whole processor.
pub const WATCH_RETRY_INTERVAL: Duration = Duration::from_millis(200);
/// One connection of a pod. A policy that denies makes it wait that long.
pub const POD_CONNECT_TIMEOUT: Timeout = Timeout::from_secs(3);
/// A connection to a closed port of the pod itself, which the kernel refuses at once.
pub const CLOSED_PORT_TIMEOUT: Duration = Duration::from_secs(1);
/// A command in a pod.
pub const POD_EXEC_TIMEOUT: Timeout = Timeout::from_secs(30);
/// Pods without a grace period go.
pub const POD_REMOVAL_TIMEOUT: Timeout = Timeout::from_secs(30);
/// The network learns of new pods and services. No event says when it has.
pub const POD_NETWORK_TIMEOUT: Timeout = Timeout::from_secs(15);
/// One request to a port of a node.
pub const NODE_PORT_TIMEOUT: Timeout = Timeout::from_secs(5);
/// The network applies a policy. No event says when it has.
pub const POLICY_TIMEOUT: Timeout = Timeout::from_secs(60);
/// The pause between two connections that a policy decides.
pub const POLICY_INTERVAL: Duration = Duration::from_millis(500);
/// A request may stay without an answer while metrics-server becomes ready; the next one is answered.
pub const METRICS_REQUEST_TIMEOUT: Timeout = Timeout::from_secs(3);
/// metrics-server measures every 15 seconds, and no event says when it has.
pub const METRICS_INTERVAL: Duration = Duration::from_secs(1);
/// Kubespray probes metrics-server, the slowest pod, from second 40 on, every 10 s (its role `metrics_server`).
pub const POD_READY_TIMEOUT: Timeout = Timeout::from_secs(60);

// cluster

/// kubectl answers one question. The API server may be starting.
pub const KUBECTL_TIMEOUT: Timeout = Timeout::from_secs(60);
/// A control plane sends its kubeconfig over SSH.
pub const KUBECONFIG_TIMEOUT: Duration = Duration::from_secs(120);

// gpu_operator

/// helm reads its records of releases.
pub const HELM_LOOK_TIMEOUT: Timeout = Timeout::from_secs(60);
/// helm makes some sixty objects, or waits until those of a removed release are gone.
pub const HELM_CHANGE_TIMEOUT: Timeout = Timeout::from_secs(300);
/// The toolkit on a node writes containerd's configuration anew.
pub const GPU_RUNTIME_TIMEOUT: Timeout = Timeout::from_secs(120);
/// Files of the GPU stack go from one node, and its kubelet starts again.
pub const GPU_CLEANUP_TIMEOUT: Timeout = Timeout::from_secs(60);
/// From the installation to GPUs that can be used: images are pulled, five steps follow one another on each node.
pub const GPU_READY_TIMEOUT: Timeout = Timeout::from_secs(600);
/// A machine says what GPUs it has.
pub const GPU_LOOK_TIMEOUT: Timeout = Timeout::from_secs(15);
/// A pod that asks for GPUs runs to its end, its image being there.
pub const GPU_POD_TIMEOUT: Timeout = Timeout::from_secs(90);
/// The pause in which nothing may change for a state to count as one that holds.
pub const GPU_HOLD_INTERVAL: Duration = Duration::from_secs(3);

// machines

/// The user ends a command on machines, not the lab.
pub const REMOTE_COMMAND_TIMEOUT: Duration = Duration::from_secs(24 * 3600);
/// A login, and one change of files on a machine: seconds under emulation.
pub const GPU_FAULT_TIMEOUT: Duration = Duration::from_secs(60);
/// After that, the power of a machine is cut. Overload alone makes it longer.
pub const SHUTDOWN_TIMEOUT: Timeout = Timeout::from_secs(120);
/// libvirt's binding has no event for the end of a machine.
pub const SHUTDOWN_INTERVAL: Duration = Duration::from_millis(200);
/// The kernel and a disk mount or unmount the root of a container.
pub const CONTAINER_ROOT_TIMEOUT: Duration = Duration::from_secs(60);
/// qemu-img reads the header of a disk.
pub const DISK_INFO_TIMEOUT: Duration = Duration::from_secs(30);

// ansible

/// Ansible logs in to all machines and starts Python on each: seconds under emulation.
pub const PING_TIMEOUT: Duration = Duration::from_secs(600);
/// One program that reads an inventory. Ansible needs minutes for thousands of machines.
pub const PROOF_TIMEOUT: Duration = Duration::from_secs(1200);
/// A deploy may take hours; the user ends it, not the lab.
pub const PLAYBOOK_TIMEOUT: Duration = Duration::from_secs(24 * 3600);
/// A machine prints its journal after a failure.
pub const JOURNAL_TIMEOUT: Duration = Duration::from_secs(60);

// disks

/// The disk copies or links small files.
pub const LAYER_TIMEOUT: Duration = Duration::from_secs(300);
/// The kernel stamps files with the time of its last tick, milliseconds ago; this margin is plenty.
pub const FILE_TIME_MARGIN: Duration = Duration::from_secs(1);

// artifacts

/// The store waits so long for a removal of unused artefacts to end.
pub const STORE_LOCK_TIMEOUT: Duration = Duration::from_secs(120);
/// The pause between two attempts to lock the store.
pub const STORE_LOCK_INTERVAL: Duration = Duration::from_millis(50);
/// A few gigabytes over a slow line.
pub const FETCH_TIMEOUT: Duration = Duration::from_secs(3 * 3600);
/// A person watches the progress of a fetch.
pub const FETCH_PROGRESS_INTERVAL: Duration = Duration::from_millis(200);
/// One connection to a server.
pub const HTTP_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A server that sends nothing for so long has stopped.
pub const HTTP_READ_TIMEOUT: Duration = Duration::from_secs(30);
/// The pause after a response without a byte; each further pause is longer by as much.
pub const HTTP_RETRY_INTERVAL: Duration = Duration::from_millis(300);
/// The pause between two looks whether another command has ended its download.
pub const DOWNLOAD_LOCK_INTERVAL: Duration = Duration::from_millis(100);
/// Kubernetes, cold, on a slow and busy computer.
pub const ARTIFACT_BUILD_TIMEOUT: Duration = Duration::from_secs(3 * 3600);
/// The pause between two looks whether another command has ended its build.
pub const ARTIFACT_BUILD_INTERVAL: Duration = Duration::from_millis(500);
/// Go reads one file for its settings.
pub const GO_SETTINGS_TIMEOUT: Duration = Duration::from_secs(20);
/// The servers answer once the network is there. Overload alone makes it longer.
pub const SERVERS_TIMEOUT: Timeout = Timeout::from_secs(20);
/// The pause between two looks whether the servers answer.
pub const SERVERS_INTERVAL: Duration = Duration::from_millis(20);
/// Longer than a lab lives: the network comes when it comes.
pub const LISTEN_TIMEOUT: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// The pause between two attempts to reach an address that is not there yet.
pub const LISTEN_INTERVAL: Duration = Duration::from_millis(50);
/// A server that fails at its start must not take a whole processor.
pub const SERVER_RESTART_INTERVAL: Duration = Duration::from_secs(1);

// kubespray

/// The pause between two looks whether another command has ended.
pub const KUBESPRAY_LOCK_INTERVAL: Duration = Duration::from_millis(100);
/// A few megabytes over a slow line.
pub const CHECKOUT_FETCH_TIMEOUT: Duration = Duration::from_secs(900);
/// git compares a checkout on the disk with its commit.
pub const CHECKOUT_VERIFY_TIMEOUT: Duration = Duration::from_secs(60);
/// git names the commit of a checkout on the disk.
pub const CHECKOUT_NAME_TIMEOUT: Duration = Duration::from_secs(20);
/// Python's package index sends a hundred megabytes.
pub const PYTHON_ENVIRONMENT_TIMEOUT: Duration = Duration::from_secs(1800);
/// A Python prints its version.
pub const PYTHON_VERSION_TIMEOUT: Duration = Duration::from_secs(30);

// lab

/// A supervisor that a killed command left starts or ends: a libvirtd on a busy computer.
pub const BUSY_HOST_TIMEOUT: Duration = Duration::from_secs(60);
/// The pause between two looks at that supervisor.
pub const BUSY_HOST_INTERVAL: Duration = Duration::from_millis(200);
/// ssh-keygen makes one key.
pub const KEY_GENERATION_TIMEOUT: Duration = Duration::from_secs(60);
/// Emulated machines of a loaded computer boot in two minutes; a person waits longer. Emulation alone makes it longer.
pub const BOOT_TIMEOUT: Timeout = Timeout::from_secs(180);
/// An emulated machine under load needs seconds for its part of the cryptography.
pub const SSH_LOGIN_TIMEOUT: Duration = Duration::from_secs(60);
/// The pause between two logins to a machine whose console another computer keeps.
pub const BLIND_LOGIN_INTERVAL: Duration = Duration::from_secs(4);
/// A machine says on its console when it is ready; a login without that word serves images that do not know it.
pub const CONSOLE_SILENCE_TIMEOUT: Duration = Duration::from_secs(60);
/// libvirt's binding has no event for a machine that stops.
pub const MACHINE_STATE_INTERVAL: Duration = Duration::from_secs(2);
/// The keeper of a shared connection, a process of this computer, answers.
pub const SSH_CONTROL_TIMEOUT: Duration = Duration::from_secs(5);

// host

/// A supervisor looks so often for its folder. A watch takes one of the few inotify instances of a computer.
pub const FOLDER_CHECK_MILLISECONDS: u16 = 2_000;
/// libvirtd opens its socket.
pub const LIBVIRTD_START_TIMEOUT: Duration = Duration::from_secs(60);
/// Every start of a lab waits for that socket, so the looks are frequent.
pub const LIBVIRTD_START_INTERVAL: Duration = Duration::from_millis(5);
/// The kernel clears the namespaces after all processes in them were killed.
pub const HOST_END_TIMEOUT: Duration = Duration::from_secs(30);
/// The pause between two looks at those processes.
pub const HOST_END_INTERVAL: Duration = Duration::from_millis(10);
/// The kernel ends the programs of a host whose folder is gone.
pub const LOST_HOST_END_TIMEOUT: Duration = Duration::from_secs(30);
/// The pause between two looks at those programs.
pub const LOST_HOST_END_INTERVAL: Duration = Duration::from_millis(20);
/// The QEMUs of the last host hold locks on the disks until the kernel has ended them.
pub const LAST_HOST_END_TIMEOUT: Duration = Duration::from_secs(20);
/// The pause between two looks at those QEMUs.
pub const LAST_HOST_END_INTERVAL: Duration = Duration::from_millis(10);
/// The kernel forgets killed processes.
pub const CGROUP_REMOVAL_TIMEOUT: Duration = Duration::from_secs(10);
/// The pause between two attempts to remove a control group.
pub const CGROUP_REMOVAL_INTERVAL: Duration = Duration::from_millis(20);
/// The kernel stops processes in the middle of a system call.
pub const FREEZE_TIMEOUT: Duration = Duration::from_secs(10);
/// Machines stand still meanwhile, so the looks are frequent.
pub const FREEZE_INTERVAL: Duration = Duration::from_millis(5);
/// With KVM the probe boot takes two seconds. Overload alone makes it longer.
pub const PROBE_BOOT_TIMEOUT: Timeout = Timeout::from_secs(20);

// provider

/// libvirt knows the first process of a container within 7 ms in a hundred starts, unless it has lost it.
pub const FIRST_PROCESS_TIMEOUT: Duration = Duration::from_secs(1);
/// The pause between two looks at that process, shorter than a usual start.
pub const FIRST_PROCESS_INTERVAL: Duration = Duration::from_millis(2);

// image

/// A slow mirror or a slow line, not a slow computer.
pub const IMAGE_BUILD_TIMEOUT: Duration = Duration::from_secs(3600);
/// The pause between two looks whether another command has made the image.
pub const IMAGE_LOCK_INTERVAL: Duration = Duration::from_millis(500);
/// curl's timeout for a connection to the server of an image.
pub const IMAGE_CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

// orphans

/// The kernel ends killed processes.
pub const ORPHAN_END_TIMEOUT: Duration = Duration::from_secs(30);
/// The pause between two looks at those processes.
pub const ORPHAN_END_INTERVAL: Duration = Duration::from_millis(20);

// process

/// The kernel ends killed processes.
pub const REAPER_END_TIMEOUT: Duration = Duration::from_secs(30);
/// The pause between two looks at those processes.
pub const REAPER_INTERVAL: Duration = Duration::from_millis(20);

// progress

/// A spinner looks alive at eight frames a second.
pub const PROGRESS_INTERVAL: Duration = Duration::from_millis(120);
