//! The arguments of `lab`, and which room each command goes to. Decides nothing.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::machines::limits::TooLow;
use clap::{Args, Parser, Subcommand, ValueEnum};

pub mod artifacts;
pub mod check;
pub mod cloud;
pub mod commands;
pub mod deploy;
pub mod exit_code;
pub mod gpu;
pub mod gpu_operator;
pub mod inventory;
pub mod kubespray;
pub mod phases;
pub mod snapshot;

pub use commands::run;

/// A lab of real machines from one cluster file.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask lab",
    bin_name = "cargo xtask lab",
    disable_version_flag = true,
    arg_required_else_help = true
)]
pub struct Arguments {
    /// Answer yes to every question: install missing programs, lose disks that the file no longer wants
    #[arg(long, short, global = true)]
    pub yes: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Which cluster.
#[derive(Debug, Args)]
pub struct Cluster {
    /// A name under inventories/, or the path of a cluster file
    #[arg(default_value = "dev")]
    pub cluster: String,
}

/// How a deploy treats limits of the kernel that are too low for it.
#[derive(Debug, Clone, Copy, Args)]
pub struct Limits {
    /// Deploy even where this computer's kernel has too little left for the cluster, as it is counted
    #[arg(long)]
    ignore_limits: bool,
}

impl Limits {
    fn too_low(self) -> TooLow {
        if self.ignore_limits { TooLow::Warn } else { TooLow::Refuse }
    }
}

/// Which cluster, where the command's own words name machines.
#[derive(Debug, Args)]
pub struct OfCluster {
    /// A name under inventories/, or the path of a cluster file
    #[arg(short, long, default_value = "dev")]
    pub cluster: String,
}

/// What `lab` can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print what `up` would do, and why
    #[command(after_help = "Example: cargo xtask lab plan dev")]
    Plan {
        #[command(flatten)]
        cluster: Cluster,
        /// Print the plan as JSON
        #[arg(long)]
        json: bool,
    },
    /// Make, start and reach the machines of the cluster file
    #[command(after_help = "Example: cargo xtask lab up dev")]
    Up {
        #[command(flatten)]
        cluster: Cluster,
        /// Make new machines even if the snapshot of an equal deploy could be restored
        #[arg(long)]
        fresh: bool,
        /// Print events as JSON, one a line
        #[arg(long)]
        json: bool,
    },
    /// Stop every machine, and keep the disks
    #[command(after_help = "Example: cargo xtask lab down dev")]
    Down {
        #[command(flatten)]
        cluster: Cluster,
        /// Print events as JSON, one a line
        #[arg(long)]
        json: bool,
    },
    /// Remove the lab: machines, disks, network, host, keys. Only the records of runs stay
    #[command(after_help = "Example: cargo xtask lab destroy dev")]
    Destroy {
        #[command(flatten)]
        cluster: Cluster,
        /// Print events as JSON, one a line
        #[arg(long)]
        json: bool,
    },
    /// Show what there is
    #[command(after_help = "Example: cargo xtask lab status dev --json")]
    Status {
        #[command(flatten)]
        cluster: Cluster,
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
    /// Log in to a machine, or run one command on it
    #[command(
        after_help = "Examples:\n  cargo xtask lab ssh control-plane\n  cargo xtask lab ssh cpu-worker -- uname -r"
    )]
    Ssh {
        /// The machine
        machine: String,
        #[command(flatten)]
        of: OfCluster,
        /// A command for the machine's shell; a login without one
        #[arg(last = true)]
        words: Vec<OsString>,
    },
    /// Run a command on several machines at once
    #[command(
        after_help = "Examples:\n  cargo xtask lab exec --all -- uptime\n  cargo xtask lab exec gpu-worker-1 gpu-worker-2 -- lspci"
    )]
    Exec {
        /// The machines
        #[arg(required_unless_present = "all")]
        machines: Vec<String>,
        /// On every machine of the cluster file that runs
        #[arg(long, conflicts_with = "machines")]
        all: bool,
        #[command(flatten)]
        of: OfCluster,
        /// Print one JSON object for each machine: name, exit code, both outputs
        #[arg(long)]
        json: bool,
        /// The command for the machines' shells
        #[arg(last = true, required = true)]
        words: Vec<OsString>,
    },
    /// Break a stand-in for a GPU, or make all of a machine whole again
    #[command(
        after_help = "docs/gpu-stand-in.md has what each fault does.\n\nExamples:\n  cargo xtask lab gpu-fault gpu-worker-1 --xid 79\n  cargo xtask lab gpu-fault gpu-worker-1 --gpu 1 --remove\n  cargo xtask lab gpu-fault gpu-worker-1 --clear"
    )]
    GpuFault(gpu::GpuFault),
    /// Attach the terminal to a machine's serial console; Ctrl-] leaves it
    #[command(after_help = "Example: cargo xtask lab console control-plane")]
    Console {
        /// The machine
        machine: String,
        #[command(flatten)]
        of: OfCluster,
    },
    /// Print what a machine wrote to its console, or what the lab's host said
    #[command(
        after_help = "Examples:\n  cargo xtask lab logs control-plane --follow\n  cargo xtask lab logs --host"
    )]
    Logs {
        /// The machine
        #[arg(required_unless_present_any = ["host", "files", "registry"])]
        machine: Option<String>,
        /// The log of the embedded host and its libvirtd
        #[arg(long, conflicts_with = "machine")]
        host: bool,
        /// What machines asked the lab's file server
        #[arg(long, conflicts_with_all = ["machine", "host"])]
        files: bool,
        /// The log of the lab's registry
        #[arg(long, conflicts_with_all = ["machine", "host", "files"])]
        registry: bool,
        /// Go on printing as the log grows
        #[arg(long, short)]
        follow: bool,
        #[command(flatten)]
        of: OfCluster,
    },
    /// Draw the lab
    #[command(after_help = "Example: cargo xtask lab topology dev --format mermaid")]
    Topology {
        #[command(flatten)]
        cluster: Cluster,
        /// How to draw it
        #[arg(long, value_enum, default_value_t = Drawing::Tree)]
        format: Drawing,
    },
    /// Make ports of machines reachable on 127.0.0.1, until Ctrl-C
    #[command(
        after_help = "Examples:\n  cargo xtask lab proxy --cluster quick\n  cargo xtask lab proxy control-plane:6443\n  cargo xtask lab proxy 8022:cpu-worker:22"
    )]
    Proxy {
        /// [LOCAL_PORT:]MACHINE:PORT; the local port is the machine's own unless given, 0 takes a free one. Without any,
        /// the API of the lab's cluster, where its kubeconfig looks for it
        forwards: Vec<String>,
        #[command(flatten)]
        of: OfCluster,
    },
    /// Keep the whole lab as it is: stop its machines, freeze what they wrote, start them again
    #[command(after_help = "Example: cargo xtask lab snapshot quick --name before-upgrade")]
    Snapshot {
        #[command(flatten)]
        cluster: Cluster,
        /// Its name; default: the time
        #[arg(long)]
        name: Option<String>,
    },
    /// Make the lab what it was in a snapshot; what it is now is lost
    #[command(after_help = "Example: cargo xtask lab restore quick before-upgrade")]
    Restore {
        /// A name under inventories/, or the path of a cluster file
        cluster: String,
        /// The snapshot; default: the newest
        name: Option<String>,
    },
    /// List the snapshots of a cluster; compare them with their digests or remove some on request
    #[command(
        after_help = "Examples:\n  cargo xtask lab snapshots quick --verify\n  cargo xtask lab snapshots quick --remove before-upgrade"
    )]
    Snapshots {
        #[command(flatten)]
        cluster: Cluster,
        /// Read everything and compare it with the digests taken with it
        #[arg(long)]
        verify: bool,
        /// Remove these
        #[arg(long, value_name = "NAME", num_args = 1.., conflicts_with = "verify")]
        remove: Vec<String>,
        /// Print them as JSON
        #[arg(long)]
        json: bool,
    },
    /// Run a program of this computer where the lab's machines can be reached: in the lab's network
    #[command(
        after_help = "Ansible finds the lab's own settings and inventory, and the programs of the lab's Kubespray come first on PATH.\n\nExamples:\n  cargo xtask lab enter --cluster quick -- ansible all -m ping\n  cargo xtask lab enter --cluster quick -- curl -k https://192.168.200.10:6443/version\n  cargo xtask lab enter --cluster quick"
    )]
    Enter {
        #[command(flatten)]
        of: OfCluster,
        /// The program and its words; your shell without any
        #[arg(last = true)]
        words: Vec<OsString>,
    },
    /// List leftovers of labs without an owner, and remove them on request
    #[command(after_help = "Example: cargo xtask lab gc --remove")]
    Gc {
        /// Look at this libvirt too
        #[arg(long)]
        uri: Option<String>,
        /// Remove the listed leftovers
        #[arg(long)]
        remove: bool,
    },
    /// Start, stop or look at one machine
    #[command(subcommand, after_help = "Example: cargo xtask vm restart cpu-worker")]
    Vm(Vm),
    /// Check a cluster file and its rendered inventory, or an existing inventory; changes nothing
    #[command(after_help = "Examples:
  cargo xtask check dev
  \
        cargo xtask check --inventory inventory/mycluster --kubespray v2.31.0
  \
        cargo xtask check --explain removed-variable

\
        A comment allows a finding on its line or the next one: # lab:allow CODE: reason")]
    Check(check::Check),
    /// Kubespray: fetch a pinned release, show the fetched ones and their variables
    #[command(subcommand, after_help = "Example: cargo xtask kubespray fetch")]
    Kubespray(kubespray::Command),
    /// Kubespray's inventory of a cluster: write it, compare it
    #[command(subcommand, after_help = "Example: cargo xtask inventory render cloud-cluster")]
    Inventory(inventory::Command),
    /// Artefacts: every file and container image that a deploy needs
    #[command(subcommand, after_help = "Example: cargo xtask artifacts list quick")]
    Artifacts(artifacts::Command),
    /// Base images: build, list, verify, clear
    #[command(subcommand, after_help = "Example: cargo xtask image list")]
    Image(Image),
    /// What all checkouts share: images, artefacts, Kubespray, environments
    #[command(subcommand)]
    Cache(Cache),
    /// A whole cluster in one word: start it, stop it, look at it, remove it
    #[command(subcommand, after_help = "Example: cargo xtask cloud start quick")]
    Cloud(cloud::Command),
    /// Make the machines the Kubernetes cluster that the file asks for; parts that fit it stay
    Deploy(deploy::Deploy),
    /// The NVIDIA GPU Operator of a cluster: install, look at, validate, remove
    #[command(
        subcommand,
        name = "gpu-operator",
        after_help = "Example: cargo xtask gpu-operator install gpu"
    )]
    GpuOperator(gpu_operator::Command),
    /// Check that the cluster is what its file asks for, and does what a cluster must
    #[command(
        after_help = "Examples:\n  cargo xtask validate quick\n  cargo xtask validate quick dns network-policy"
    )]
    Validate {
        #[command(flatten)]
        cluster: Cluster,
        /// Only these checks
        #[arg(value_name = "CHECK")]
        checks: Vec<String>,
        /// How long each check waits for what must come true by itself [default: 60; emulated or just started 300 or more; longer on a busy computer]
        #[arg(long, value_name = "SECONDS")]
        patience: Option<u64>,
        /// Print the outcomes as JSON
        #[arg(long)]
        json: bool,
    },
    /// Everything from nothing to a verdict and back: up, deploy, validate, destroy
    #[command(
        name = "e2e",
        after_help = "Leaves report.json and junit.xml in output/<cluster>/runs/. A lab that was there before stays.\n\n\
                      Phases: prepare, up, deploy, gpu-operator, validate.\n\nExamples:\n  cargo xtask e2e quick --keep\n  cargo xtask e2e quick --until deploy"
    )]
    EndToEnd {
        /// A name under inventories/, or the path of a cluster file. Without one: `dev` where KVM works and all of its
        /// artefacts are here, else `quick`
        cluster: Option<String>,
        /// Keep the lab
        #[arg(long)]
        keep: bool,
        /// Print the report as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        limits: Limits,
        #[command(flatten)]
        range: phases::Phases,
    },
    /// Run kubectl against the lab's cluster
    #[command(
        after_help = "Examples:\n  cargo xtask lab kubectl --cluster quick -- get nodes -o wide\n  cargo xtask lab kubectl --cluster quick -- logs -n kube-system -l k8s-app=kube-dns"
    )]
    Kubectl {
        #[command(flatten)]
        of: OfCluster,
        /// Words for kubectl
        #[arg(last = true)]
        words: Vec<OsString>,
    },
    /// Fetch the kubeconfig of the lab's cluster and print its path, or add it to your own
    #[command(
        after_help = "Examples:\n  export KUBECONFIG=$(cargo xtask lab kubeconfig quick)\n  cargo xtask lab kubeconfig quick --merge"
    )]
    Kubeconfig {
        #[command(flatten)]
        cluster: Cluster,
        /// Add the context `lab-<cluster>` to this file, or to ~/.kube/config; nothing in it is replaced
        #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
        #[expect(clippy::option_option, reason = "clap's form of an option whose value may be left out")]
        merge: Option<Option<PathBuf>>,
    },
    /// Parts of the program that it starts itself
    #[command(subcommand, hide = true)]
    Internal(Internal),
}

/// One machine.
#[derive(Debug, Subcommand)]
pub enum Vm {
    /// Start it, and wait until it can be logged in to
    Start(OneMachine),
    /// Ask it to shut down
    Stop(OneMachine),
    /// Stop and start it
    Restart(OneMachine),
    /// Show its state; the exit code is 0 only if it runs
    Status(OneMachine),
}

/// A machine of a cluster.
#[derive(Debug, Args)]
pub struct OneMachine {
    /// The machine
    pub machine: String,
    #[command(flatten)]
    pub of: OfCluster,
}

/// Base images.
#[derive(Debug, Subcommand)]
pub enum Image {
    /// Make the lab's own base image where it is missing, and print its key
    Build,
    /// List the store
    List {
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
    /// Compare every file of the store with its digest
    Verify,
    /// Remove the images that no lab uses, but for the one that the next lab would
    Gc,
}

/// The cache that all checkouts of a user share.
#[derive(Debug, Subcommand)]
pub enum Cache {
    /// List what lies in it: how large it is, when it was used last, which labs use it
    Show {
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
    /// List what no lab uses and was not used for a while, and remove it on request
    Gc {
        /// Remove it
        #[arg(long)]
        remove: bool,
        /// Only entries that were not used for so many days
        #[arg(long, default_value_t = 30, value_name = "N")]
        days: u32,
    },
}

/// How to draw a lab.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Drawing {
    /// For a terminal.
    Tree,
    /// For a page.
    Mermaid,
    /// For a script.
    Json,
}

/// Parts of the program that it starts itself.
#[derive(Debug, Subcommand)]
pub enum Internal {
    /// The outer process of an embedded host
    HostOuter { folder: PathBuf, cache: PathBuf },
    /// The first process inside an embedded host
    HostInner { folder: PathBuf },
    /// Become a program in the network of an embedded host
    Enter {
        pid: i32,
        #[arg(last = true)]
        command: Vec<OsString>,
    },
    /// End what a killed command leaves
    Reap { mark: String },
    /// Mount the root of a container where the host's libvirtd sees it
    MountRoot { first: i32, folder: PathBuf, below: Vec<PathBuf> },
    /// Take it away again
    UnmountRoot { first: i32, folder: PathBuf },
    /// Keep what a console says in a file
    KeepConsole { terminal: PathBuf, log: PathBuf },
    /// Carry connections into the network of an embedded host
    Forward {
        pid: i32,
        /// LOCAL_PORT=ADDRESS:PORT
        forwards: Vec<String>,
    },
    /// The file server and the registry of an embedded host
    Serve { folder: PathBuf },
    /// Become the registry
    Registry { program: PathBuf, settings: PathBuf },
    /// Check the cluster of a lab from inside its network
    Validate {
        /// How long to wait for what must come true by itself, in seconds; 0 looks once
        #[arg(long)]
        patience: u64,
        /// How many times longer than usual anything may take
        #[arg(long)]
        times: u32,
        /// Machines may have been started just now
        #[arg(long)]
        starting: bool,
        /// A pod of the system that runs, and has not run for long, need not be ready yet
        #[arg(long)]
        lenient: bool,
        cluster: String,
        checks: Vec<String>,
    },
    /// Deploy as Kubespray's own documentation does, to measure and to compare
    DeployPlainly { cluster: String },
    /// Print the digest that a lock of a cluster's artefacts must carry to be up to date, for tests that write one
    LockInputs { cluster: String },
    /// Time rendering and checking a cluster of many machines, for the benchmark
    MeasureCheck { folder: PathBuf, machines: usize },
}
