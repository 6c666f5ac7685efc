//! The codes of findings. Their texts are stable: scripts, and the lines that allow a finding, name them.

use std::fmt;

use serde::{Serialize, Serializer};

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal,)+) => {
        /// The kind of a finding's mistake. The texts are stable.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Code {
            /// Every code there is.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The stable text, `unknown-key`.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }

            /// The kind of mistake, in one sentence.
            pub fn summary(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc),+).trim(),)+
                }
            }

            /// Whether it is one of inventories and variables, and not of the cluster file itself.
            pub fn is_of_lint(self) -> bool {
                self >= Self::BadInventory
            }

            /// The code of this text.
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|code| code.as_str() == text)
            }
        }
    };
}

codes! {
    /// The text is not YAML.
    Syntax = "syntax",
    /// A tag that is for another program.
    UnknownTag = "unknown-tag",
    /// There is nothing in the file.
    EmptyFile = "empty-file",
    /// A key that does not exist here.
    UnknownKey = "unknown-key",
    /// A key that must be there is not.
    MissingKey = "missing-key",
    /// One key twice in the same mapping.
    DuplicateKey = "duplicate-key",
    /// A list where a text is expected, and the like.
    WrongType = "wrong-type",
    /// A word that is not one of the few that may stand here.
    UnknownWord = "unknown-word",
    /// `apiVersion` is not one this program reads.
    UnknownApiVersion = "unknown-api-version",
    /// `kind` of the file is not `Cluster`.
    UnknownKind = "unknown-kind",
    /// Not a quantity of bytes with a unit.
    BadSize = "bad-size",
    /// A number outside the sensible range.
    OutOfRange = "out-of-range",
    /// Not an IPv4 address.
    BadAddress = "bad-address",
    /// Not an IPv4 network.
    BadSubnet = "bad-subnet",
    /// Neither `embedded` nor a libvirt URI.
    BadHost = "bad-host",
    /// A name that DNS, Kubernetes or libvirt refuses.
    BadName = "bad-name",
    /// A name that means something else to Ansible or Kubespray.
    ReservedName = "reserved-name",
    /// Two machines with one name.
    DuplicateName = "duplicate-name",
    /// A key or value that Kubernetes refuses as a label.
    BadLabel = "bad-label",
    /// Not a taint.
    BadTaint = "bad-taint",
    /// One taint twice on the same machine.
    DuplicateTaint = "duplicate-taint",
    /// A GPU that is named neither by address nor by model, and is no stand-in.
    BadGpu = "bad-gpu",
    /// Stand-ins and physical GPUs on one machine.
    MixedGpus = "mixed-gpus",
    /// A stand-in GPU on a machine of a cloud image.
    StandInImage = "stand-in-image",
    /// One GPU for two machines.
    DuplicateGpu = "duplicate-gpu",
    /// A reference by which no image can be found.
    BadImage = "bad-image",
    /// Not a SHA-512.
    BadDigest = "bad-digest",
    /// A name that Ansible does not take for a variable.
    BadVariable = "bad-variable",
    /// A group that Kubespray does not have.
    UnknownGroup = "unknown-group",
    /// Neither a git URL nor a directory.
    BadSource = "bad-source",
    /// A Kubespray version that is not known here.
    UnknownKubespray = "unknown-kubespray",
    /// Not a version as Kubespray writes it.
    BadVersion = "bad-version",
    /// Not a number of processors.
    BadQuantity = "bad-quantity",
    /// A feature gate that is not written as `Name=true`, or whose name no gate can have.
    BadFeatureGate = "bad-feature-gate",
    /// Neither a file server nor a container registry.
    BadMirror = "bad-mirror",
    /// Something that the chosen network plugin or container runtime does not have.
    UnsupportedCombination = "unsupported-combination",
    /// The subnet is written with bits set behind its prefix.
    SubnetHostBits = "subnet-host-bits",
    /// The subnet is not one of the private ones.
    SubnetNotPrivate = "subnet-not-private",
    /// The subnet has too few addresses.
    SubnetTooSmall = "subnet-too-small",
    /// The computer already routes the subnet.
    SubnetInUse = "subnet-in-use",
    /// No address is left for a machine.
    SubnetFull = "subnet-full",
    /// An address that is not in the subnet.
    AddressOutsideSubnet = "address-outside-subnet",
    /// The subnet's own address, its broadcast address or the gateway's.
    AddressTaken = "address-taken",
    /// Two machines with one address.
    DuplicateAddress = "duplicate-address",
    /// The embedded host has no way out.
    EgressNeedsUplink = "egress-needs-uplink",
    /// A container cannot be given a physical GPU.
    ContainerGpu = "container-gpu",
    /// A container's root is the lab's own Debian.
    ContainerImage = "container-image",
    /// A container's root is a folder without a size of its own.
    ContainerDisk = "container-disk",
    /// Containers run on the embedded host only.
    ContainerHost = "container-host",
    /// Kubernetes needs a control plane.
    NoControlPlane = "no-control-plane",
    /// etcd needs an odd number of members.
    EvenEtcd = "even-etcd",
    /// Less memory than the machine's roles need.
    TooLittleMemory = "too-little-memory",
    /// Fewer processors than the machine's roles need.
    TooFewCpus = "too-few-cpus",
    /// A root disk smaller than the image it is cloned from.
    DiskTooSmall = "disk-too-small",
    /// The machines together ask for more memory than the computer has to give.
    MemoryExceedsHost = "memory-exceeds-host",
    /// A machine asks for more processors than the computer has.
    CpusExceedHost = "cpus-exceed-host",
    /// A version of the GPU Operator's chart that is not known here.
    UnknownChart = "unknown-chart",
    /// A reference by which no chart can be found, or proven to be the right one.
    BadChart = "bad-chart",
    /// A GPU Operator for machines that have no GPU.
    NoGpuMachine = "no-gpu-machine",
    /// A machine that is not in the file.
    UnknownMachine = "unknown-machine",
    /// Time slices that are not for certain machines, or not for once.
    BadSharing = "bad-sharing",
    /// Time slices of a GPU that no machine has.
    SharingWithoutGpu = "sharing-without-gpu",
    /// A driver from a container, which does not exist for Debian.
    NoDriverContainer = "no-driver-container",
    /// A GPU that cannot be divided.
    NoMig = "no-mig",
    /// A key that the chart does not have.
    UnknownChartKey = "unknown-chart-key",
    /// A key that only another version of the chart has.
    OtherChartKey = "other-chart-key",
    /// A value that the chart is given anyway.
    IdleChartValue = "idle-chart-value",
    /// A value of the chart against a key of the cluster file that says the same thing.
    ContradictingValue = "contradicting-value",
    /// A version of one part of the GPU Operator, which is tested only as a whole.
    PinnedOperand = "pinned-operand",
    /// A tag that is not one of this image's.
    OperandTag = "operand-tag",
    /// A configuration of the device plugin that nothing makes.
    MissingDeviceConfig = "missing-device-config",
    /// A ServiceMonitor where its kind is missing.
    ServiceMonitorWithoutCrd = "service-monitor-without-crd",
    /// A setting of Kubespray that takes away what the container toolkit set up.
    ToolkitOverwritten = "toolkit-overwritten",
    // From here on, those of the lint; see `is_of_lint`.
    /// A line of a file of hosts that Ansible refuses or passes over.
    BadInventory = "bad-inventory",
    /// A file of variables that Ansible does not read.
    UnreadFile = "unread-file",
    /// Something that cannot be judged, because it is encrypted.
    NotJudged = "not-judged",
    /// A variable that this Kubespray does not have.
    UnknownVariable = "unknown-variable",
    /// A variable that this Kubespray does not have any more.
    RemovedVariable = "removed-variable",
    /// A deprecated variable.
    DeprecatedVariable = "deprecated-variable",
    /// An add-on that is asked for, and that this Kubespray does not install any more.
    DroppedAddon = "dropped-addon",
    /// A variable that a role sets for good, so that an inventory cannot.
    FixedVariable = "fixed-variable",
    /// A variable that reaches no machine, or not those that need it.
    IneffectiveVariable = "ineffective-variable",
    /// A value that another one for the same machines takes the place of.
    OverriddenVariable = "overridden-variable",
    /// A file of variables that reaches more machines than its name says.
    MisplacedFile = "misplaced-file",
    /// A value of the wrong kind: a text for a list, a list for a mapping.
    WrongShape = "wrong-shape",
    /// The text `true` or `false` where a yes or no belongs.
    TextBoolean = "text-boolean",
    /// A word that is none of those that Kubespray takes.
    UnknownChoice = "unknown-choice",
    /// A variable that means nothing without another.
    MissingCompanion = "missing-companion",
    /// A version that is written as Kubespray does not read it.
    VersionFormat = "version-format",
    /// A version that this Kubespray cannot install.
    UnsupportedVersion = "unsupported-version",
    /// Two versions that do not go together.
    VersionPair = "version-pair",
    /// Two networks that have addresses in common.
    OverlappingNetworks = "overlapping-networks",
    /// A network of pods that is too small for the machines or for the pods of one.
    TooFewPodAddresses = "too-few-pod-addresses",
    /// Packets that are larger than the machines' network carries.
    MtuTooLarge = "mtu-too-large",
    /// A size of packets, or a choice, that does not fit to how packets are wrapped.
    MtuEncapsulation = "mtu-encapsulation",
    /// A feature gate that this Kubernetes does not know any more.
    RemovedFeatureGate = "removed-feature-gate",
    /// A feature gate that this Kubernetes does not know.
    UnknownFeatureGate = "unknown-feature-gate",
    /// A feature gate that is set twice.
    DuplicateFeatureGate = "duplicate-feature-gate",
    /// No machine is a member of etcd.
    NoEtcd = "no-etcd",
    /// A group that is only made when Kubespray runs.
    ImpliedGroup = "implied-group",
    /// A group under the name that an older Kubespray had for it.
    OldGroup = "old-group",
    /// An address of the API that its certificate does not name.
    UncertifiedAddress = "uncertified-address",
    /// A disk of the computer so full that kubelet on containers acts on it.
    DiskPressure = "disk-pressure",
    /// A member of etcd whose name depends on the order of the group.
    UnpinnedEtcdName = "unpinned-etcd-name",
    /// A kubelet that answers without asking who it is.
    OpenKubelet = "open-kubelet",
    /// A way to log in that is weaker than it need be.
    WeakAuthentication = "weak-authentication",
    /// No rule limits an unknown client.
    AnonymousAccess = "anonymous-access",
    /// Passwords and tokens in a log.
    ShownSecrets = "shown-secrets",
    /// Assertions of Kubespray that are switched off.
    IgnoredAsserts = "ignored-asserts",
    /// `become` for everybody, this computer among them.
    BecomeEverywhere = "become-everywhere",
    /// Machines that are not asked for their keys.
    HostKeyChecking = "host-key-checking",
    /// A password that is not encrypted.
    PlainPassword = "plain-password",
    /// A comment that allows a finding, and is not written as one.
    BadAllowance = "bad-allowance",
    /// A comment that allows a finding that is not there.
    UnusedAllowance = "unused-allowance",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
