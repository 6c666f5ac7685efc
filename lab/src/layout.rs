//! Where every file of a lab lies. Only paths: nothing here reads or writes.

use std::path::{Path, PathBuf};

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

    /// What was kept of labs: frozen layers of disks, and the snapshots that stand on them. With the labs, because both
    /// must lie in one file system.
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
    /// There while the lab is one that `e2e` made and will destroy.
    pub fn of_e2e(&self) -> PathBuf {
        self.folder.join("of-e2e")
    }

    /// The state: what was made, recorded before it is made.
    pub fn state(&self) -> PathBuf {
        self.folder.join("state.json")
    }

    /// Held by the one command that may change the lab.
    pub fn lock(&self) -> PathBuf {
        self.folder.join("lock")
    }

    /// Everything of the embedded host.
    pub fn host(&self) -> HostFiles {
        HostFiles { folder: self.folder.join("host") }
    }

    /// Root disks and seeds; the target of the lab's libvirt storage pool on the embedded host.
    pub fn disks(&self) -> PathBuf {
        self.folder.join("disks")
    }

    /// The roots of all containers.
    pub fn roots(&self) -> PathBuf {
        self.folder.join("roots")
    }

    /// The root of one container.
    pub fn root(&self, machine: &str) -> RootFiles {
        RootFiles { folder: self.roots().join(machine) }
    }

    /// The folder of one machine's files.
    pub fn machine(&self, name: &str) -> MachineFiles {
        MachineFiles { folder: self.machines().join(name) }
    }

    /// All machines' folders.
    pub fn machines(&self) -> PathBuf {
        self.folder.join("machines")
    }

    /// The private key that opens every machine.
    pub fn login_key(&self) -> PathBuf {
        self.folder.join("keys/id_ed25519")
    }

    /// The certificate of the lab's own authority.
    pub fn authority(&self) -> PathBuf {
        self.folder.join("keys/ca.crt")
    }

    /// Its private key.
    pub fn authority_key(&self) -> PathBuf {
        self.folder.join("keys/ca.key")
    }

    /// The certificate of the lab's registry at an address; its private key lies beside it with `.key`.
    pub fn registry_certificate(&self, address: &str) -> PathBuf {
        self.folder.join(format!("keys/registry-{address}.crt"))
    }

    /// What the embedded host gives to its machines.
    pub fn served(&self) -> ServedFiles {
        ServedFiles { folder: self.folder.join("served") }
    }

    /// The pinned host keys of all machines.
    pub fn known_hosts(&self) -> PathBuf {
        self.folder.join("known_hosts")
    }

    /// OpenSSH's settings for all machines.
    pub fn ssh_config(&self) -> PathBuf {
        self.folder.join("ssh_config")
    }

    /// Kubespray's inventory of the living lab: hosts, and variables in folders beside them.
    pub fn inventory_folder(&self) -> PathBuf {
        self.folder.join("inventory")
    }

    /// The hosts of that inventory: the file that Ansible is given.
    pub fn inventory(&self) -> PathBuf {
        self.inventory_folder().join("inventory.ini")
    }

    /// Sockets of shared SSH connections. Its name is short because their paths may have 107 bytes.
    pub fn sockets(&self) -> PathBuf {
        self.folder.join("cp")
    }

    /// Every file and image that a deploy will need, as `inventory check` found them.
    pub fn artifacts_lock(&self) -> PathBuf {
        self.inventory_folder().join("artifacts.lock.json")
    }

    /// Ansible's settings for this lab.
    pub fn ansible_settings(&self) -> PathBuf {
        self.folder.join("ansible/ansible.cfg")
    }

    /// What Ansible remembers of the machines.
    pub fn facts(&self) -> PathBuf {
        self.folder.join("ansible/facts")
    }

    /// Kubespray's inventory for the recovery of a control plane. It lies with the other one, so that the same files of
    /// variables count.
    pub fn recovery(&self) -> PathBuf {
        self.inventory_folder().join("recovery.ini")
    }

    /// From what an upgrade that has not ended was begun.
    pub fn upgrading(&self) -> PathBuf {
        self.folder.join("upgrading.json")
    }

    /// From what the lab's cluster was deployed.
    pub fn deployed(&self) -> PathBuf {
        self.folder.join("deployed.json")
    }

    /// The kubeconfig of the lab's cluster, for people and for our own checks.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    /// The kubectl of the cluster's own version.
    pub fn kubectl(&self) -> PathBuf {
        self.folder.join("bin/kubectl")
    }

    /// Records of single invocations.
    pub fn runs(&self) -> PathBuf {
        self.folder.join("runs")
    }
}

/// The files of the embedded host, under `output/<cluster>/host/`.
#[derive(Debug, Clone)]
pub struct HostFiles {
    /// `output/<cluster>/host`.
    pub folder: PathBuf,
}

impl HostFiles {
    /// Who the supervisor is.
    pub fn record(&self) -> PathBuf {
        self.folder.join("host.json")
    }

    /// Held by the living supervisor.
    pub fn lock(&self) -> PathBuf {
        self.folder.join("lock")
    }

    /// Held by a command that has stopped all machines for a moment.
    pub fn frozen(&self) -> PathBuf {
        self.folder.join("frozen.lock")
    }

    /// What the supervisor and libvirtd say.
    pub fn log(&self) -> PathBuf {
        self.folder.join("host.log")
    }
}

/// The files of one machine, under `output/<cluster>/machines/<name>/`.
#[derive(Debug, Clone)]
pub struct MachineFiles {
    /// `output/<cluster>/machines/<name>`.
    pub folder: PathBuf,
}

impl MachineFiles {
    /// The planned private host key; its public half lies beside it with `.pub`.
    pub fn host_key(&self) -> PathBuf {
        self.folder.join("ssh_host_ed25519_key")
    }

    /// The image's initrd with the machine's identity behind it.
    pub fn initrd(&self) -> PathBuf {
        self.folder.join("initrd")
    }

    /// The NoCloud seed of a cloud image.
    pub fn seed(&self) -> PathBuf {
        self.folder.join("seed.img")
    }

    /// Everything the machine wrote to its serial console, over all its boots.
    pub fn console(&self) -> PathBuf {
        self.folder.join("console.log")
    }

    /// The frozen layers that the disk of a virtual machine stands on.
    pub fn layers(&self) -> PathBuf {
        self.folder.join("layers.json")
    }

    /// The domain as it was defined, for people.
    pub fn domain(&self) -> PathBuf {
        self.folder.join("domain.xml")
    }
}

/// What a container's root is made of, under `output/<cluster>/roots/<name>/`.
#[derive(Debug, Clone)]
pub struct RootFiles {
    /// `output/<cluster>/roots/<name>`.
    pub folder: PathBuf,
}

impl RootFiles {
    /// What it is an overlay on; written when the rest is there.
    pub fn record(&self) -> PathBuf {
        self.folder.join("root.json")
    }

    /// What the machine wrote.
    pub fn upper(&self) -> PathBuf {
        self.folder.join("upper")
    }

    /// The kernel's own, beside what the machine wrote.
    pub fn work(&self) -> PathBuf {
        self.folder.join("work")
    }

    /// Where the whole is mounted, for the lab's host alone.
    pub fn mounted(&self) -> PathBuf {
        self.folder.join("mounted")
    }

    /// What cannot lie on an overlay.
    pub fn plain(&self) -> PathBuf {
        self.folder.join("containerd")
    }

    /// What is copied over the root at every start.
    pub fn identity(&self) -> PathBuf {
        self.folder.join("identity")
    }
}
