//! The codes of findings. Their texts are stable: scripts, and the lines that allow a finding, name them.

use std::fmt;

use serde::{Serialize, Serializer};

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal,)+) => {
        /// What kind of mistake a finding is about. The texts are stable.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Code {
            /// Every code there is.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The stable text, `unknown-key`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
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
    /// A number outside what makes sense.
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
    /// A GPU that is named neither by address nor by model.
    BadGpu = "bad-gpu",
    /// One GPU for two machines.
    DuplicateGpu = "duplicate-gpu",
    /// An image that cannot be found from what is written.
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
    /// A name that no feature gate can have.
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
    /// Machines of kind container are not built yet.
    ContainerNotBuilt = "container-not-built",
    /// A container cannot be given a GPU.
    ContainerGpu = "container-gpu",
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
    /// A line of a file of hosts that Ansible refuses or passes over.
    BadInventory = "bad-inventory",
    /// A file of variables that Ansible does not read.
    UnreadFile = "unread-file",
    /// Something that cannot be judged, because it is encrypted.
    NotJudged = "not-judged",
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
