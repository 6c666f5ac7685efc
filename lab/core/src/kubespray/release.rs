//! The releases of Kubespray that are known by name, each with the commit it is, and the ranges of Ansible
//! and Python around them. Facts only: nothing here fetches.

/// A release of Kubespray.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Release {
    /// The git tag, `v2.30.0`.
    pub tag: &'static str,
    /// All forty digits of the commit that the tag names. A tag can be moved, a commit cannot.
    pub commit: &'static str,
}

/// The known releases, oldest first.
pub const RELEASES: &[Release] = &[
    Release { tag: "v2.29.0", commit: "9991412b4597d6eaf37f86e5f20f9f903a731c08" },
    Release { tag: "v2.29.1", commit: "0c6a29553f90c55cba5e0e359470321dc7cf7d29" },
    Release { tag: "v2.30.0", commit: "f4ccdb5e72395eaf9f3444056ebd1a6625ddb89a" },
    Release { tag: "v2.31.0", commit: "1c9add48975060f45396b34d8e022c30d7f80dab" },
];

/// The tags of [`RELEASES`], in the same order.
pub const TAGS: [&str; RELEASES.len()] = {
    let mut tags = [""; RELEASES.len()];
    let mut at = 0;
    while at < tags.len() {
        tags[at] = RELEASES[at].tag;
        at += 1;
    }
    tags
};

/// The release where a cluster file names none: the newest that still carries the original plan's whole
/// stack (ingress-nginx went with v2.31.0).
pub const DEFAULT_RELEASE: &str = "v2.30.0";

/// The release with this tag.
pub fn release(tag: &str) -> Option<Release> {
    RELEASES.iter().copied().find(|release| release.tag == tag)
}

/// The oldest release whose checkout can be read.
pub const OLDEST_READABLE: &str = "v2.28.0";

/// The tag of a release that may well exist and is not among [`RELEASES`]: `v2.28.0`, with or without its `v`. `None`
/// for everything else, a known release without its `v` among it: that is a slip.
pub fn other_release(written: &str) -> Option<String> {
    let numbers: Vec<&str> = written.strip_prefix('v').unwrap_or(written).split('.').collect();
    let is_number = |part: &&str| {
        (1..=4).contains(&part.len())
            && part.bytes().all(|byte| byte.is_ascii_digit())
            && (part.len() == 1 || !part.starts_with('0'))
    };
    let tag = format!("v{}", numbers.join("."));
    (numbers.len() == 3 && numbers.iter().all(is_number) && release(&tag).is_none()).then_some(tag)
}

/// Whether the checkout of a release is too old to be read.
pub fn is_too_old(tag: &str) -> bool {
    let version = |tag: &str| Version::parse(tag.trim_start_matches('v'));
    version(tag) < version(OLDEST_READABLE)
}

/// A version of a program as numbers: `2.17.14`. A suffix (`rc1`) is left out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(Vec<u32>);

impl Version {
    /// Reads `2.17.14`; `None` where there is no number in front.
    pub fn parse(text: &str) -> Option<Self> {
        let mut numbers = Vec::new();
        for part in text.trim().split('.') {
            let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
            match digits.parse() {
                Ok(number) => numbers.push(number),
                Err(_) => break,
            }
            if digits.len() < part.len() {
                break;
            }
        }
        (!numbers.is_empty()).then_some(Self(numbers))
    }

    /// The first two numbers: `(2, 17)`.
    pub fn series(&self) -> (u32, u32) {
        (self.0.first().copied().unwrap_or(0), self.0.get(1).copied().unwrap_or(0))
    }
}

/// The versions of ansible-core that a Kubespray accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnsibleRange {
    /// The oldest, `2.17.3`.
    pub from: String,
    /// The first that is too new, `2.18.0`.
    pub below: String,
}

impl AnsibleRange {
    /// Reads the range out of a checkout's `playbooks/ansible_version.yml`, which asserts it.
    pub fn read(text: &str) -> Option<Self> {
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(':'))?;
            let value = line.trim().trim_matches(['"', '\'']);
            Version::parse(value).map(|_| value.to_owned())
        };
        Some(Self { from: value("minimal_ansible_version")?, below: value("maximal_ansible_version")? })
    }

    /// Whether a version is inside.
    pub fn holds(&self, version: &str) -> bool {
        let [from, below, version] =
            [&self.from, &self.below, &version.to_owned()].map(|text| Version::parse(text));
        version.is_some() && from <= version && version < below
    }

    /// The versions of Python 3 on which the series of ansible-core that the range begins with is known to
    /// run as a controller; `None` for a series that is not known here.
    pub fn pythons(&self) -> Option<Pythons> {
        // From ansible-core's support matrix. The last column of our own: tried, though not documented.
        match Version::parse(&self.from)?.series() {
            (2, 16 | 17) => Some(Pythons { from: 10, to: 12, works_to: 13 }),
            (2, 18 | 19) => Some(Pythons { from: 11, to: 13, works_to: 13 }),
            (2, 20) => Some(Pythons { from: 12, to: 14, works_to: 14 }),
            _ => None,
        }
    }

    /// The release of mitogen, as a requirement of Python's, for the series of ansible-core that the range begins with;
    /// `None` for a series that is not known here. Whole deploys were seen to pass on 2.17, tasks of many kinds on 2.18.
    pub fn mitogen(&self) -> Option<&'static str> {
        match Version::parse(&self.from)?.series() {
            (2, 17 | 18) => Some("mitogen==0.3.54"),
            _ => None,
        }
    }
}

/// Minor versions of Python 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pythons {
    /// The oldest.
    pub from: u32,
    /// The newest that is documented.
    pub to: u32,
    /// The newest that works, documented or not.
    pub works_to: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_release_is_a_whole_commit() {
        assert!(release(DEFAULT_RELEASE).is_some());
        for release in RELEASES {
            assert_eq!(super::release(release.tag), Some(*release));
            assert!(release.commit.len() == 40 && release.commit.bytes().all(|b| b.is_ascii_hexdigit()));
        }
    }

    #[test]
    fn range_is_read_as_asserted() {
        let text = "  vars:\n    minimal_ansible_version: 2.17.3\n    maximal_ansible_version: 2.18.0\n";
        let range = AnsibleRange::read(text).unwrap();
        assert_eq!((range.from.as_str(), range.below.as_str()), ("2.17.3", "2.18.0"));
        for (version, inside) in [
            ("2.17.2", false),
            ("2.17.3", true),
            ("2.17.14", true),
            ("2.18.0", false),
            ("2.18.0rc1", false),
            ("2.9.27", false),
            ("", false),
            ("new", false),
        ] {
            assert_eq!(range.holds(version), inside, "{version}");
        }
        assert_eq!(range.pythons(), Some(Pythons { from: 10, to: 12, works_to: 13 }));
        assert_eq!(range.mitogen(), Some("mitogen==0.3.54"));
        assert_eq!(AnsibleRange::read("vars: {}\n"), None);
    }

    #[test]
    fn other_release_distinguishes_releases_from_slips() {
        for (written, tag) in [
            ("v2.28.0", Some("v2.28.0")),
            ("2.28.0", Some("v2.28.0")),
            ("v3.0.12", Some("v3.0.12")),
            ("v2.30.0", None),
            ("2.30.0", None),
            ("v2.30", None),
            ("v2.30.0.1", None),
            ("v2.030.0", None),
            ("v2.28.0-rc1", None),
            ("v2.28.x", None),
            ("master", None),
            ("", None),
        ] {
            assert_eq!(other_release(written).as_deref(), tag, "{written}");
        }
        let too_old = ["v2.27.1", "v2.28.0", "v2.100.0", "v1.30.0"].map(is_too_old);
        assert_eq!(too_old, [true, false, false, true]);
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        let version = |text| Version::parse(text).unwrap();
        assert!(version("2.17.14") > version("2.17.3"));
        assert!(version("2.18") > version("2.17.14"));
        assert_eq!(version("2.18.0rc1").series(), (2, 18));
        assert_eq!(Version::parse("v2.30.0"), None);
        assert_eq!(Version::parse(""), None);
    }
}
