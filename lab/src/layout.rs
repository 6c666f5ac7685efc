//! Where every file of a lab lies. Only paths: nothing here reads or writes.

use std::path::{Path, PathBuf};

/// A table of files in the folder of a type, each a function that gives its path.
macro_rules! paths {
    ($($(#[$doc:meta])* $name:ident: $path:literal;)*) => {
        $($(#[$doc])*
        pub fn $name(&self) -> PathBuf {
            self.folder.join($path)
        })*
    };
}

mod cached;
mod served;
mod snapshots;

pub use cached::{ArtifactFiles, KubesprayFiles};
pub use served::ServedFiles;
pub use snapshots::{LayerFiles, SnapshotFiles};

/// The files of one checkout, and of the cache that all checkouts of a user share.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
    cache: PathBuf,
}

impl Layout {
    /// The layout of the checkout at `root`.
    pub fn new(root: impl Into<PathBuf>, cache: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), cache: cache.into() }
    }

    /// The layout of another checkout that shares this cache.
    pub fn of_checkout(&self, root: impl Into<PathBuf>) -> Self {
        Self::new(root, self.cache.clone())
    }

    /// What something of another checkout that shares this cache is called here: its name, and where it is of.
    pub fn name_of(&self, other: &Self, name: &str) -> String {
        match other.root == self.root {
            true => name.to_owned(),
            false => format!("{name} of {}", other.root.display()),
        }
    }

    /// The checkout itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A path as people are shown it: from the checkout where it lies in there.
    pub fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }

    /// `inventories/`, the folder of the named cluster files.
    pub fn inventories(&self) -> PathBuf {
        self.root.join("inventories")
    }

    /// `ansible/`, the playbooks and roles that are ours.
    pub fn ansible(&self) -> PathBuf {
        self.root.join("ansible")
    }

    /// `output/`, the folder of all living labs.
    pub fn output(&self) -> PathBuf {
        self.root.join("output")
    }

    /// `output/logs/`: what long runs said, whichever lab they were for.
    pub fn logs(&self) -> PathBuf {
        self.output().join("logs")
    }

    /// Snapshots of labs, and the frozen layers of disks that they stand on. With the labs, because both must lie in one
    /// file system.
    pub fn snapshots(&self) -> SnapshotFiles {
        SnapshotFiles { folder: self.output().join("snapshots") }
    }

    /// The store of base images.
    pub fn images(&self) -> PathBuf {
        self.cache.join("images")
    }

    /// The store of artefacts: every file and image that a deploy needs.
    pub fn artifacts(&self) -> ArtifactFiles {
        ArtifactFiles { folder: self.cache.join("artifacts") }
    }

    /// What all checkouts of a user share: everything in it can be made again.
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// libvirt's cache of what the installed QEMU can do, shared by all embedded hosts.
    pub fn libvirt_cache(&self) -> PathBuf {
        self.cache.join("libvirt")
    }

    /// Which checkouts share the cache: one file each, with the path of the checkout in it.
    pub fn checkouts(&self) -> PathBuf {
        self.cache.join("checkouts")
    }

    /// The folders that hold files of machines, or what machines are made of: only their owner enters them.
    /// `xtask/src/doctor/probes.rs` names the same ones.
    pub fn private(&self) -> [PathBuf; 2] {
        [self.output(), self.cache.clone()]
    }

    /// The pinned checkouts of Kubespray.
    pub fn kubespray(&self) -> KubesprayFiles {
        KubesprayFiles {
            folder: self.cache.join("kubespray"),
            link: self.root.join("build/3rd-party/kubespray/kubespray-src"),
        }
    }

    /// Environments of Python packages: those that `cargo xtask setup` makes, and one for each Kubespray.
    pub fn environments(&self) -> PathBuf {
        self.cache.join("environments")
    }

    /// The files of the lab named `cluster`.
    pub fn lab(&self, cluster: &str) -> LabFiles {
        LabFiles { folder: self.output().join(cluster) }
    }
}

/// The files of one lab, under `output/<cluster>/`.
#[derive(Debug, Clone)]
pub struct LabFiles {
    /// `output/<cluster>`.
    pub folder: PathBuf,
}

impl LabFiles {
    paths! {
        /// There while the lab is one that `e2e` made and will destroy.
        of_e2e: "of-e2e";
        /// The state: each resource, recorded before it is made.
        state: "state.json";
        /// Held by the one command that may change the lab.
        lock: "lock";
        /// Root disks and seeds; the target of the lab's libvirt storage pool on the embedded host.
        disks: "disks";
        /// The roots of all containers.
        roots: "roots";
        /// All machines' folders.
        machines: "machines";
        /// The private key that opens every machine.
        login_key: "keys/id_ed25519";
        /// The certificate of the lab's own authority.
        authority: "keys/ca.crt";
        /// Its private key.
        authority_key: "keys/ca.key";
        /// The pinned host keys of all machines.
        known_hosts: "known_hosts";
        /// OpenSSH's settings for all machines.
        ssh_config: "ssh_config";
        /// Kubespray's inventory of the living lab: hosts, and variables in folders beside them.
        inventory_folder: "inventory";
        /// Sockets of shared SSH connections. Its name is short because their paths may have 107 bytes.
        sockets: "cp";
        /// Ansible's settings for this lab.
        ansible_settings: "ansible/ansible.cfg";
        /// What Ansible remembers of the machines.
        facts: "ansible/facts";
        /// From what an upgrade that has not ended was begun.
        upgrading: "upgrading.json";
        /// From what the lab's cluster was deployed.
        deployed: "deployed.json";
        /// The kubeconfig of the lab's cluster, for people and for our own checks.
        kubeconfig: "kubeconfig";
        /// The kubectl of the cluster's own version.
        kubectl: "bin/kubectl";
        /// Records of single invocations.
        runs: "runs";
    }

    /// Everything of the embedded host.
    pub fn host(&self) -> HostFiles {
        HostFiles { folder: self.folder.join("host") }
    }

    /// The root of one container.
    pub fn root(&self, machine: &str) -> RootFiles {
        RootFiles { folder: self.roots().join(machine) }
    }

    /// The folder of one machine's files.
    pub fn machine(&self, name: &str) -> MachineFiles {
        MachineFiles { folder: self.machines().join(name) }
    }

    /// The certificate of the lab's registry at an address; its private key lies beside it with `.key`.
    pub fn registry_certificate(&self, address: &str) -> PathBuf {
        self.folder.join(format!("keys/registry-{address}.crt"))
    }

    /// What the embedded host gives to its machines.
    pub fn served(&self) -> ServedFiles {
        ServedFiles { folder: self.folder.join("served") }
    }

    /// The hosts of that inventory: the file that Ansible is given.
    pub fn inventory(&self) -> PathBuf {
        self.inventory_folder().join("inventory.ini")
    }

    /// Every file and image that a deploy will need, as `inventory check` found them.
    pub fn artifacts_lock(&self) -> PathBuf {
        self.inventory_folder().join("artifacts.lock.json")
    }

    /// What the GPU Operator is installed from.
    pub fn gpu_operator(&self) -> GpuOperatorFiles {
        GpuOperatorFiles { folder: self.folder.join("gpu-operator") }
    }

    /// Kubespray's inventory for the recovery of a control plane. It lies with the other one, so that the same files of
    /// variables count.
    pub fn recovery(&self) -> PathBuf {
        self.inventory_folder().join("recovery.ini")
    }
}

/// What the GPU Operator is installed from, under `output/<cluster>/gpu-operator/`.
#[derive(Debug, Clone)]
pub struct GpuOperatorFiles {
    /// `output/<cluster>/gpu-operator`.
    pub folder: PathBuf,
}

impl GpuOperatorFiles {
    paths! {
        /// The values of the chart, each with its source.
        values: "values.yaml";
        /// The chart's own kinds.
        definitions: "crds.yaml";
        /// The namespace, as it is applied.
        namespace: "namespace.json";
        /// helm itself, its settings and its cache.
        helm: "helm";
    }
}

/// The files of the embedded host, under `output/<cluster>/host/`.
#[derive(Debug, Clone)]
pub struct HostFiles {
    /// `output/<cluster>/host`.
    pub folder: PathBuf,
}

impl HostFiles {
    paths! {
        /// Who the supervisor is.
        record: "host.json";
        /// Held by the living supervisor.
        lock: "lock";
        /// Held by a command that has stopped all machines for a moment.
        frozen: "frozen.lock";
        /// What the supervisor and libvirtd say.
        log: "host.log";
    }
}

/// The files of one machine, under `output/<cluster>/machines/<name>/`.
#[derive(Debug, Clone)]
pub struct MachineFiles {
    /// `output/<cluster>/machines/<name>`.
    pub folder: PathBuf,
}

impl MachineFiles {
    paths! {
        /// The planned private host key; its public half lies beside it with `.pub`.
        host_key: "ssh_host_ed25519_key";
        /// The image's initrd with the machine's identity behind it.
        initrd: "initrd";
        /// The NoCloud seed of a cloud image.
        seed: "seed.img";
        /// Everything the machine wrote to its serial console, over all its boots.
        console: "console.log";
        /// The frozen layers that the disk of a virtual machine stands on.
        layers: "layers.json";
        /// The domain as it was defined, for people.
        domain: "domain.xml";
    }
}

/// What a container's root is made of, under `output/<cluster>/roots/<name>/`.
#[derive(Debug, Clone)]
pub struct RootFiles {
    /// `output/<cluster>/roots/<name>`.
    pub folder: PathBuf,
}

impl RootFiles {
    paths! {
        /// What it is an overlay on; written when the rest is there.
        record: "root.json";
        /// What the machine wrote.
        upper: "upper";
        /// The kernel's own, beside what the machine wrote.
        work: "work";
        /// Where the whole is mounted, for the lab's host alone.
        mounted: "mounted";
        /// What cannot lie on an overlay.
        plain: "containerd";
        /// The files that are copied over the root at every start.
        identity: "identity";
    }
}
