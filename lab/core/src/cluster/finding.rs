//! Findings: what is wrong with a cluster file, as data. Decides nothing and prints nothing.

use std::collections::HashSet;
use std::fmt;

use serde::{Serialize, Serializer};

/// A range of the source text, in bytes; always on character boundaries and inside the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte. Equal to `start` where there is only a place to point at.
    pub end: usize,
}

/// Whether a finding stops the use of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file can be used; the reader should know.
    Warning,
}

/// One thing that is wrong with a cluster file. In JSON: the same fields, `code` as its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Stable; scripts may rely on it.
    pub code: Code,
    /// Error or warning.
    pub severity: Severity,
    /// One sentence, lower case, no final period.
    pub message: String,
    /// What to do about it, where there is something better than the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
    /// Where it is.
    pub span: Span,
    /// Other places that have to do with it, with a few words each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub related: Vec<Related>,
}

/// Another place that has to do with a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Related {
    /// A few words, `first used here`.
    pub message: String,
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
    /// Where it is.
    pub span: Span,
}

impl Finding {
    /// Adds what to do about it.
    pub(super) fn hint(&mut self, hint: impl Into<String>) -> &mut Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds another place that has to do with it.
    pub(super) fn related(&mut self, span: Span, message: impl Into<String>) -> &mut Self {
        self.related.push(Related { message: message.into(), line: 0, column: 0, span });
        self
    }
}

/// Collects findings while a file is read; lines and columns are filled in at the end, in one go.
#[derive(Debug, Default)]
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    pub(super) fn error(&mut self, code: Code, span: Span, message: impl Into<String>) -> &mut Finding {
        self.push(code, Severity::Error, span, message.into())
    }

    pub(super) fn warning(&mut self, code: Code, span: Span, message: impl Into<String>) -> &mut Finding {
        self.push(code, Severity::Warning, span, message.into())
    }

    fn push(&mut self, code: Code, severity: Severity, span: Span, message: String) -> &mut Finding {
        let finding =
            Finding { code, severity, message, hint: None, line: 0, column: 0, span, related: Vec::new() };
        self.0.push_mut(finding)
    }

    pub(super) fn has_errors(&self) -> bool {
        self.0.iter().any(|finding| finding.severity == Severity::Error)
    }

    /// The findings in the order of the file, with lines and columns.
    pub(super) fn finish(mut self, text: &str) -> Vec<Finding> {
        let lines = Lines::new(text);
        for finding in &mut self.0 {
            (finding.line, finding.column) = lines.place(finding.span.start);
            for related in &mut finding.related {
                (related.line, related.column) = lines.place(related.span.start);
            }
        }
        self.0.sort_by_key(|finding| finding.span);
        // What is wrong with the defaults is found again with every machine that takes it from there.
        let mut told = HashSet::new();
        self.0.retain(|finding| told.insert((finding.code, finding.span, finding.message.clone())));
        self.0
    }
}

/// Where the lines of a text start.
pub(super) struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        // A byte order mark is not a character that a reader sees.
        let first = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        let starts = std::iter::once(first).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, starts }
    }

    /// Line and column of a byte, both counted from 1, the column in characters.
    pub(super) fn place(&self, offset: usize) -> (usize, usize) {
        let line = self.starts.partition_point(|&start| start <= offset).max(1);
        let before = self.text.get(self.starts[line - 1]..offset).unwrap_or_default();
        (line, before.chars().count() + 1)
    }

    /// The byte at a line and column, both counted from 1; the nearest one where there is none.
    pub(super) fn offset(&self, line: usize, column: usize) -> usize {
        let start = self.starts.get(line.max(1) - 1).copied().unwrap_or(self.text.len());
        let rest = self.text[start..].split('\n').next().unwrap_or_default();
        start + rest.char_indices().nth(column.max(1) - 1).map_or(rest.len(), |(at, _)| at)
    }

    /// First byte of the line that holds `offset`.
    pub(super) fn start_of(&self, offset: usize) -> usize {
        self.starts[self.place(offset).0 - 1]
    }

    /// The end of the line that holds `offset`, without its line break.
    pub(super) fn end_of(&self, offset: usize) -> usize {
        self.text[offset..].find('\n').map_or(self.text.len(), |length| offset + length)
    }
}

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
    /// A Kubespray version that is not known here.
    UnknownKubespray = "unknown-kubespray",
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
