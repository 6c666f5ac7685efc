//! Known errors of deploys: how they are recognised, and their fixes.
//!
//! An entry names where it is known from. Nothing is guessed: an error that no entry knows gets no advice.

use super::Problem;

/// A known error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Its name here; a word that can be searched for.
    pub id: &'static str,
    /// Any of these groups of words identifies it: the text of the failure has all words of the group, in
    /// capitals or not.
    signs: &'static [&'static [&'static str]],
    /// Its meaning and the fix, one or two sentences.
    pub advice: &'static str,
    /// Where that is known from.
    pub source: &'static str,
    /// The unit of systemd whose journal has details.
    pub unit: Option<&'static str>,
}

/// The catalogue. The first entry that matches a failure is taken: the more special entry stands first.
pub const CATALOGUE: &[Known] = &[
    Known {
        id: "swap",
        signs: &[&["running with swap on is not supported"], &["failed to run kubelet", "swap"]],
        advice: "The machine swaps, and kubelet refuses that. Turn swap off on it, or set `kubelet_fail_swap_on: false`.",
        source: "https://github.com/kubernetes/kubernetes/issues/53333",
        unit: Some("kubelet"),
    },
    Known {
        id: "cgroup-v1-kubeadm",
        signs: &[&["[error systemverification]", "cgroups v1"]],
        advice: "kubeadm 1.35 and newer takes cgroup v1 only from those who say that they know. Set `kubeadm_ignore_preflight_errors: [SystemVerification]` beside `kubelet_config_extra_args: {failCgroupV1: false}`, or boot the computer with cgroup v2.",
        source: "https://github.com/kubernetes/enhancements/tree/master/keps/sig-node/5573-remove-cgroup-v1",
        unit: None,
    },
    Known {
        id: "upgrade-health-check",
        signs: &[&["[error createjob]"]],
        advice: "Before an upgrade kubeadm gives a job 15 seconds, and Kubespray has just restarted the components that run it. Call it again; where that does not help, or where the only node is drained, set `kubeadm_ignore_preflight_errors: [CreateJob]`.",
        source: "https://github.com/kubernetes-sigs/kubespray/issues/12006",
        unit: None,
    },
    Known {
        id: "cgroup-v1",
        signs: &[&["not run on a host using cgroup v1"], &["failcgroupv1"]],
        advice: "The kernel offers cgroup v1 only, which this kubelet refuses. Set `kubelet_config_extra_args: {failCgroupV1: false}`, or boot the computer with cgroup v2.",
        source: "https://github.com/kubernetes/minikube/issues/22315",
        unit: Some("kubelet"),
    },
    Known {
        id: "rate-limit",
        signs: &[&["toomanyrequests"], &["429 too many requests"]],
        advice: "The registry gives no more to this address for now. Name a mirror of images in the cluster file (`mirrors.images`), or fill the store first: `cargo xtask artifacts fetch`.",
        source: "https://github.com/kubernetes-sigs/kubespray/issues/6877",
        unit: None,
    },
    Known {
        id: "checksum",
        signs: &[&["the checksum for", "did not match"]],
        advice: "The file is another one than Kubespray knows: a mirror or proxy that changed it, an unfinished download, or a file that upstream published again. `cargo xtask artifacts verify` shows which it is.",
        source: "https://github.com/kubernetes-sigs/kubespray/issues/13001",
        unit: None,
    },
    Known {
        id: "mirror-refuses",
        signs: &[&["validate mirrors", "status code was"], &["download_file", "http error 40"]],
        advice: "The server refuses the file. `cargo xtask artifacts list` shows whether the store has it, `cargo xtask lab logs` the requests to the file server.",
        source: "https://github.com/kubernetes-sigs/kubespray/issues/10636",
        unit: None,
    },
    Known {
        id: "unknown-authority",
        signs: &[&["certificate signed by unknown authority"], &["unable to get local issuer certificate"]],
        advice: "The machine does not trust the certificate of the registry or file server that it was sent to. Give its authority as `ca` in `containerd_registries_mirrors`, or put it into the machine's image.",
        source: "roles/container-engine/containerd/templates/hosts.toml.j2",
        unit: Some("containerd"),
    },
    Known {
        id: "plain-registry",
        signs: &[&["server gave http response to https client"]],
        advice: "The registry speaks no TLS, and containerd asks with TLS as Kubespray sets it up. Give it a certificate.",
        source: "roles/container-engine/containerd/templates/hosts.toml.j2",
        unit: Some("containerd"),
    },
    Known {
        id: "certificate-time",
        signs: &[&["certificate has expired or is not yet valid"]],
        advice: "A clock is wrong, or a certificate is too old. Compare `date` on the machines and on this computer; `cargo xtask deploy` renews the certificates of a cluster.",
        source: "https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/kubeadm-certs/",
        unit: Some("kubelet"),
    },
    Known {
        id: "disk-full",
        signs: &[&["no space left on device"], &["errno 28"], &["tar:", "wrote only"]],
        advice: "The disk of the machine, or of this computer, is full. `df -h` on both shows which; the size of machines is `disk` in the cluster file.",
        source: "errno(3): ENOSPC",
        unit: None,
    },
    Known {
        id: "kernel-module",
        signs: &[&["modprobe", "module", "not found in directory"], &["modprobe", "fatal"]],
        advice: "The machine's kernel lacks a module. Of IPVS: set `kube_proxy_mode: iptables`, or take an image with a whole kernel (Debian: `linux-image-amd64`).",
        source: "https://github.com/kubernetes-sigs/kubespray/issues/10602",
        unit: None,
    },
    Known {
        id: "conntrack",
        signs: &[
            &["nf_conntrack_max", "permission denied"],
            &["nf_conntrack_max", "read-only"],
            &["nf_conntrack_max", "invalid argument"],
        ],
        advice: "Machines of kind `container` cannot set the computer's table of connections. Set `kube_proxy_conntrack_max_per_core: 0` and `kube_proxy_conntrack_min: 0`.",
        source: "pkg/proxy of Kubernetes: conntrack settings of kube-proxy; nf_conntrack_max belongs to the first network namespace",
        unit: None,
    },
    Known {
        id: "etcd-unhealthy",
        signs: &[
            &["etcd", "wait for etcd cluster to be healthy"],
            &["etcdserver: request timed out"],
            &["etcd", "context deadline exceeded"],
        ],
        advice: "The members of etcd do not find a leader: an address or port (2379, 2380) that is not reached, a member of an earlier cluster in /var/lib/etcd, or a disk or processor that is too slow. `cargo xtask deploy reset` makes a clean start.",
        source: "https://github.com/kubernetes-sigs/kubespray/issues/10424",
        unit: Some("etcd"),
    },
    Known {
        id: "token-expired",
        signs: &[&["jws", "cluster-info"]],
        advice: "The token for joining is unknown to the cluster or has run out. A deploy makes a new one: call it again.",
        source: "https://github.com/kubernetes/kubeadm/issues/630",
        unit: None,
    },
    Known {
        id: "kubelet-unhealthy",
        signs: &[
            &["kubelet-check"],
            &["the kubelet is not healthy"],
            &["kubeadm", "timed out waiting for the condition"],
            &["kubeadm", "couldn't initialize a kubernetes cluster"],
        ],
        advice: "kubelet did not come up, or a pod that it starts did not. Its journal says why: most often an image that cannot be pulled, a setting that it refuses, or a machine that is too slow.",
        source: "https://github.com/kubernetes/kubernetes/issues/74249",
        unit: Some("kubelet"),
    },
    Known {
        id: "image-pull",
        signs: &[&["failed to pull image"], &["failed to resolve reference"], &["download_container"]],
        advice: "An image cannot be pulled from its registry. `cargo xtask artifacts list` shows whether the store has it, and the replacement of one that cannot be had.",
        source: "roles/download/tasks/download_container.yml",
        unit: Some("containerd"),
    },
    Known {
        id: "name-resolution",
        signs: &[
            &["temporary failure in name resolution"],
            &["name or service not known"],
            &["no such host"],
        ],
        advice: "A name is not resolved on the machine. Machines of a lab know each other; names outside are known only with `egress: nat`. What a deploy asks for comes from the store: `cargo xtask artifacts list`.",
        source: "resolv.conf(5); Kubespray's docs/advanced/dns-stack.md",
        unit: None,
    },
    Known {
        id: "package-lock",
        signs: &[
            &["could not get lock /var/lib/dpkg"],
            &["could not get lock /var/lib/apt"],
            &["unable to acquire the dpkg frontend lock"],
        ],
        advice: "Another program installs packages on the machine, most often its own updates after the first start. Wait for it, or turn `unattended-upgrades` off in the image.",
        source: "apt.conf(5): DPkg::Lock::Timeout",
        unit: None,
    },
    Known {
        id: "no-package",
        signs: &[
            &["no package matching", "is available"],
            &["unable to locate package"],
            &["failed to update apt cache"],
        ],
        advice: "The machine's package sources lack packages that Kubespray installs. The lab's own images have them all; an image of your own needs them, or `egress: nat`.",
        source: "roles/system_packages of Kubespray",
        unit: None,
    },
    Known {
        id: "no-python",
        signs: &[&["/usr/bin/python", "not found"], &["python interpreter", "no"]],
        advice: "Ansible needs a Python on the machine, and the image has none that it finds. Install `python3` in the image, or set `ansible_python_interpreter`.",
        source: "https://docs.ansible.com/ansible/latest/reference_appendices/interpreter_discovery.html",
        unit: None,
    },
    Known {
        id: "no-sudo",
        signs: &[
            &["missing sudo password"],
            &["a password is required"],
            &["timeout", "privilege escalation prompt"],
        ],
        advice: "The user that Ansible logs in as cannot become root without a password.",
        source: "https://docs.ansible.com/ansible/latest/playbook_guide/playbooks_privilege_escalation.html",
        unit: None,
    },
    Known {
        id: "host-key",
        signs: &[&["host key verification failed"], &["remote host identification has changed"]],
        advice: "The machine shows another key than the one that the lab gave it: another machine has its address, or it was made again by hand. `cargo xtask lab up` shows which differ.",
        source: "sshd(8): SSH_KNOWN_HOSTS FILE FORMAT",
        unit: None,
    },
    Known {
        id: "inotify",
        signs: &[&["too many open files"], &["inotify_init", "emfile"]],
        advice: "The kernel gives each user a number of inotify instances, and the containers of all labs share this computer's: a cluster of three needs 62 of the usual 128, and 95 with version 2 of control groups. `cargo xtask doctor` shows how many are used, `cargo xtask setup --limits` raises the limit; else run one cluster at a time.",
        source: "inotify(7): /proc/sys/fs/inotify/max_user_instances",
        unit: None,
    },
    Known {
        id: "memory",
        signs: &[
            &["minimal_node_memory_mb"],
            &["minimal_master_memory_mb"],
            &["cannot allocate memory"],
            &["out of memory"],
        ],
        advice: "The machine has too little memory for its role. Raise `memory` in the cluster file and call `cargo xtask lab up`.",
        source: "roles/kubernetes/preinstall/tasks/0040-verify-settings.yml",
        unit: None,
    },
    Known {
        id: "unreachable",
        signs: &[
            &["failed to connect to the host via ssh"],
            &["connection timed out"],
            &["connection refused", "port 22"],
        ],
        advice: "The machine stopped answering. `cargo xtask lab status` shows whether it runs, `cargo xtask lab console` its output; `cargo xtask lab up` starts it again.",
        source: "https://docs.ansible.com/ansible/latest/inventory_guide/connection_details.html",
        unit: None,
    },
];

/// The entry that knows a failure, by its task, message, command and error output, and by the end of the
/// journals that were read after it.
pub fn known(problem: &Problem, journal: &str) -> Option<&'static Known> {
    let Problem { task, message, command, stderr, item, .. } = problem;
    let parts = [Some(task), Some(message), command.as_ref(), stderr.as_ref(), item.as_ref()];
    let mut text = String::new();
    for part in parts.into_iter().flatten() {
        text.push_str(&part.to_lowercase());
        text.push('\n');
    }
    // Units load modules before they start (`ExecStartPre=-/sbin/modprobe overlay` of containerd), and start without them.
    let journal: Vec<&str> = journal.lines().filter(|line| !line.contains(" modprobe[")).collect();
    let journal = journal.join("\n").to_lowercase();
    let advice_for = |text: &str| {
        let matches = |signs: &&[&str]| signs.iter().all(|sign| text.contains(sign));
        CATALOGUE.iter().find(|known| known.signs.iter().any(matches))
    };
    // A unit's own output names the cause; a failure that follows from it only shows that there is one.
    advice_for(&journal).filter(|_| !journal.is_empty()).or_else(|| advice_for(&text))
}

/// The unit of systemd whose journal is worth reading after a failure.
pub fn unit(problem: &Problem) -> Option<&'static str> {
    if let Some(unit) = known(problem, "").and_then(|known| known.unit) {
        return Some(unit);
    }
    let text =
        format!("{} {} {}", problem.task, problem.message, problem.command.as_deref().unwrap_or_default());
    ["kubelet", "containerd", "etcd"].into_iter().find(|unit| text.to_lowercase().contains(unit))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rstest::rstest;

    use super::*;

    fn problem(task: &str, message: &str, stderr: &str) -> Problem {
        Problem {
            play: "p".to_owned(),
            task: task.to_owned(),
            path: None,
            host: "h".to_owned(),
            unreachable: false,
            message: message.to_owned(),
            item: None,
            command: None,
            stderr: Some(stderr.to_owned()),
        }
    }

    const KUBEADM: &str = "kubernetes/control-plane : Kubeadm | Initialize first control plane node";

    #[rstest]
    #[case(
        "swap",
        KUBEADM,
        "non-zero return code",
        "[ERROR Swap]: running with swap on is not supported. Please disable swap"
    )]
    #[case(
        "cgroup-v1-kubeadm",
        "kubernetes/control-plane : Kubeadm | Upgrade first control plane node to 1.35.4",
        "non-zero return code",
        "[ERROR SystemVerification]: cgroups v1 support is deprecated [...] you must set the kubelet configuration option 'FailCgroupV1' to 'false'"
    )]
    #[case(
        "upgrade-health-check",
        "kubernetes/control-plane : Kubeadm | Upgrade first control plane node to 1.35.4",
        "non-zero return code",
        "[WARNING SystemVerification]: cgroups v1 support is deprecated [...]\n[ERROR CreateJob]: Job \"upgrade-health-check-1\" in the namespace \"kube-system\" did not complete in 15s"
    )]
    #[case("cgroup-v1", KUBEADM, "", "kubelet is configured to not run on a host using cgroup v1")]
    #[case(
        "rate-limit",
        "download : Download_container | Download image if required",
        "",
        "toomanyrequests: You have reached your pull rate limit"
    )]
    #[case(
        "checksum",
        "download : Download_file | Download item",
        "The checksum for /tmp/releases/x did not match a; it was b.",
        ""
    )]
    #[case(
        "mirror-refuses",
        "container-engine/crictl : Download_file | Validate mirrors",
        "Status code was 401 and not [200]: HTTP Error 401",
        ""
    )]
    #[case(
        "unknown-authority",
        "download : Download_container | Download image if required",
        "",
        "tls: failed to verify certificate: x509: certificate signed by unknown authority"
    )]
    #[case(
        "plain-registry",
        "download : Download_container | Download image if required",
        "",
        "http: server gave HTTP response to HTTPS client"
    )]
    #[case(
        "certificate-time",
        KUBEADM,
        "",
        "x509: certificate has expired or is not yet valid: current time"
    )]
    #[case("disk-full", "etcd : Install", "[Errno 28] No space left on device", "")]
    #[case(
        "disk-full",
        "container-engine/crictl : Extract_file | Unpacking archive",
        "failed to unpack /tmp/releases/crictl-1.34.0-linux-amd64.tar.gz to /tmp/releases",
        "tar: crictl: Wrote only 512 of 10240 bytes\ntar: Exiting with failure status due to previous errors"
    )]
    #[case(
        "kernel-module",
        "kubernetes/node : Modprobe Kernel Module for IPVS",
        "modprobe: FATAL: Module ip_vs not found in directory /lib/modules/6.1",
        ""
    )]
    #[case(
        "conntrack",
        "network : Wait for kube-proxy",
        "",
        "open /proc/sys/net/netfilter/nf_conntrack_max: permission denied"
    )]
    #[case(
        "etcd-unhealthy",
        "etcd : Configure | Wait for etcd cluster to be healthy",
        "non-zero return code",
        "context deadline exceeded"
    )]
    #[case(
        "token-expired",
        "kubernetes/kubeadm : Join to cluster if needed",
        "",
        "could not find a JWS signature in the cluster-info ConfigMap for token ID \"abc\""
    )]
    #[case(
        "kubelet-unhealthy",
        KUBEADM,
        "non-zero return code",
        "[kubelet-check] The kubelet is not healthy after 4m0s"
    )]
    #[case(
        "image-pull",
        "download : Download_container | Download image if required",
        "non-zero return code",
        "failed to resolve reference \"registry.k8s.io/pause:3.10\""
    )]
    #[case(
        "name-resolution",
        "bootstrap_os : x",
        "",
        "curl: (6) Could not resolve: Temporary failure in name resolution"
    )]
    #[case(
        "package-lock",
        "system_packages : Manage packages",
        "Could not get lock /var/lib/dpkg/lock-frontend",
        ""
    )]
    #[case("no-package", "system_packages : Manage packages", "No package matching 'ipset' is available", "")]
    #[case("no-python", "bootstrap_os : Gather facts", "", "/bin/sh: 1: /usr/bin/python3: not found")]
    #[case("no-sudo", "bootstrap_os : x", "Missing sudo password", "")]
    #[case("host-key", "Gather facts", "Host key verification failed.", "")]
    #[case(
        "inotify",
        "network_plugin/kube-router : Kube-router | Wait for kube-router pods to be ready",
        "",
        "command failed err=\"failed complete: too many open files\""
    )]
    #[case(
        "memory",
        "kubernetes/preinstall : Stop if memory is too small for control planes",
        "Assertion failed (it wants `ansible_memtotal_mb >= minimal_master_memory_mb`)",
        ""
    )]
    #[case("unreachable", "Gather facts", "Failed to connect to the host via ssh: Connection timed out", "")]
    fn known_error_matches_output_of_real_programs(
        #[case] id: &str,
        #[case] task: &str,
        #[case] message: &str,
        #[case] stderr: &str,
    ) {
        assert_eq!(known(&problem(task, message, stderr), "").map(|known| known.id), Some(id));
    }

    /// So that no entry is without a case above.
    #[test]
    fn every_entry_has_a_case_of_its_own() {
        let cases = include_str!("advice.rs").replace([' ', '\n'], "");
        let ids: BTreeSet<&str> = CATALOGUE.iter().map(|known| known.id).collect();
        assert_eq!(ids.len(), CATALOGUE.len(), "no two entries have one name");
        for id in ids {
            assert!(cases.contains(&format!("#[case(\"{id}\",")), "{id}");
        }
    }

    #[test]
    fn unknown_error_gets_no_advice() {
        assert_eq!(known(&problem("Do it", "it does not work", ""), ""), None);
        assert_eq!(known(&problem("Do it", "it does not work", ""), "all is well"), None);
    }

    #[test]
    fn advice_prefers_cause_in_journal() {
        let failed = problem(KUBEADM, "", "[kubelet-check] The kubelet is not healthy");
        let id = |journal| known(&failed, journal).map(|known| known.id);
        assert_eq!(id("kubelet: failed to pull image \"pause\""), Some("image-pull"));
        assert_eq!(id("nothing that is known"), Some("kubelet-unhealthy"));
        let tried =
            "node modprobe[83]: modprobe: FATAL: Module overlay not found in directory /lib/modules/6.1";
        assert_eq!(id(tried), Some("kubelet-unhealthy"), "the unit goes on without the module");
    }

    #[rstest]
    #[case(problem(KUBEADM, "", "the kubelet is not healthy"), Some("kubelet"))]
    #[case(problem("etcd : Reload etcd", "Unable to restart service", ""), Some("etcd"))]
    #[case(problem("container-engine/containerd : Restart", "", ""), Some("containerd"))]
    #[case(problem("Look", "no", ""), None)]
    fn problem_names_unit_of_journal(#[case] problem: Problem, #[case] expected: Option<&str>) {
        assert_eq!(unit(&problem), expected);
    }
}
