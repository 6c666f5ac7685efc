//! Under which variable Kubespray looks for a file's checksum, so that an own build can set its own.

/// The variable that `downloads` reads the checksum of a file from: roles/kubespray_defaults/defaults/main/download.yml
/// of v2.29 to v2.31. `None` for a file that has no variable of its own.
pub fn checksum_variable(name: &str) -> Option<&'static str> {
    const VARIABLES: [(&str, &str); 21] = [
        ("calicoctl", "calicoctl_binary_checksum"),
        ("ciliumcli", "ciliumcli_binary_checksum"),
        ("cni", "cni_binary_checksum"),
        // The variables that `downloads` itself reads; containerd_archive_checksum is one of the two that it
        // chooses from.
        ("containerd", "containerd_checksum"),
        ("cri_dockerd", "cri_dockerd_archive_checksum"),
        ("crictl", "crictl_binary_checksum"),
        ("crio", "crio_archive_checksum"),
        ("crun", "crun_binary_checksum"),
        ("etcd", "etcd_binary_checksum"),
        ("gvisor_containerd_shim", "gvisor_containerd_shim_binary_checksum"),
        ("gvisor_runsc", "gvisor_runsc_binary_checksum"),
        ("helm", "helm_archive_checksum"),
        ("kata_containers", "kata_containers_binary_checksum"),
        ("kubeadm", "kubeadm_binary_checksum"),
        ("kubectl", "kubectl_binary_checksum"),
        ("kubelet", "kubelet_binary_checksum"),
        ("nerdctl", "nerdctl_archive_checksum"),
        ("runc", "runc_binary_checksum"),
        ("skopeo", "skopeo_binary_checksum"),
        ("youki", "youki_archive_checksum"),
        ("yq", "yq_binary_checksum"),
    ];
    VARIABLES.iter().find(|(file, _)| *file == name).map(|(_, variable)| *variable)
}
