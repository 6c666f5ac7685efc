//! Single values of a cluster file's settings of Kubernetes. They are judged by their shape; whether a
//! Kubespray knows them is judged where its index is at hand.

use std::net::IpAddr;

use schemars::{Schema, json_schema};

use super::{Word, number};
use crate::cluster::decode::{FromScalar, Mistake};
use crate::source::Code;
use crate::source::suggest::quote;
use crate::source::yaml::{Scalar, ScalarKind};
use crate::spec::{ContainerEngine, DnsMode, Encapsulation, MilliCpus, NetworkPlugin, RegistrySpec};

impl Word for ContainerEngine {
    const EXPECTED: &'static str = "a container runtime";
    const NOUN: (&'static str, &'static str) = ("container runtime", "container runtimes");
    const CODE: Code = Code::UnknownWord;
    const WORDS: &'static [(&'static str, Self)] = Self::WORDS;
}

impl Word for NetworkPlugin {
    const EXPECTED: &'static str = "a network plugin";
    const NOUN: (&'static str, &'static str) = ("network plugin", "network plugins");
    const CODE: Code = Code::UnknownWord;
    const WORDS: &'static [(&'static str, Self)] = Self::WORDS;
}

impl Word for Encapsulation {
    const EXPECTED: &'static str = "`vxlan`, `ipip` or `none`";
    const NOUN: (&'static str, &'static str) = ("encapsulation", "values");
    const CODE: Code = Code::UnknownWord;
    const WORDS: &'static [(&'static str, Self)] = Self::WORDS;
}

impl Word for DnsMode {
    const EXPECTED: &'static str = "a DNS mode";
    const NOUN: (&'static str, &'static str) = ("DNS mode", "modes");
    const CODE: Code = Code::UnknownWord;
    const WORDS: &'static [(&'static str, Self)] = Self::WORDS;
}

/// A version as Kubespray writes it since v2.28.0: numbers with dots between them and no `v`. An unquoted
/// `1.30` is a number to YAML, so its text counts and not its value in YAML.
fn version(scalar: &Scalar, parts: std::ops::RangeInclusive<usize>, like: &str) -> Result<String, Mistake> {
    let text = scalar.text.as_str();
    let bad = |problem: &str| Mistake::new(Code::BadVersion, format!("{} {problem}", quote(text)));
    let numbers = |text: &str| {
        let number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        text.split('.').all(number).then(|| text.split('.').count())
    };
    match numbers(text) {
        Some(count) if parts.contains(&count) && text.len() <= 32 => Ok(text.to_owned()),
        Some(_) => {
            Err(bad("is not a whole version").hint(format!("write {} numbers, like {like}", parts.end())))
        }
        None => match text.strip_prefix(['v', 'V']).filter(|rest| numbers(rest).is_some()) {
            Some(rest) => Err(bad("has a `v`, which Kubespray adds itself where it belongs")
                .hint(format!("write it without: {rest}"))),
            None => Err(bad("is not a version").hint(format!("write it like {like}"))),
        },
    }
}

/// A version of Kubernetes: three numbers.
#[derive(Debug, Clone)]
pub(in crate::cluster) struct KubernetesVersion(pub(in crate::cluster) String);

impl FromScalar for KubernetesVersion {
    const EXPECTED: &'static str = "a version of Kubernetes, like 1.34.3";

    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+\\.[0-9]+\\.[0-9]+$" })
    }

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        version(scalar, 3..=3, "1.34.3").map(Self)
    }
}

/// A version of something that Kubespray installs: two or three numbers.
#[derive(Debug, Clone)]
pub(in crate::cluster) struct ComponentVersion(pub(in crate::cluster) String);

impl FromScalar for ComponentVersion {
    const EXPECTED: &'static str = "a version, like 3.30.6";

    fn schema() -> Schema {
        // Two numbers without quotes are one number to YAML.
        json_schema!({ "type": ["string", "number"], "pattern": "^[0-9]+\\.[0-9]+(\\.[0-9]+)?$" })
    }

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        version(scalar, 2..=3, "3.30.6").map(Self)
    }
}

/// The largest packet of a pod in bytes: an encapsulation takes up to 60 from the size on the machines'
/// network (wireguard, the most of them).
#[derive(Debug, Clone, Copy)]
pub(in crate::cluster) struct PodMtu(pub(in crate::cluster) u16);

impl FromScalar for PodMtu {
    const EXPECTED: &'static str = "a whole number";

    fn schema() -> Schema {
        json_schema!({ "type": "integer", "minimum": 1220, "maximum": 9216 })
    }

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        let value = number(scalar, "bytes is not a size of packets for pods", 1220..=9216)?;
        Ok(Self(u16::try_from(value).unwrap_or(u16::MAX)))
    }
}

/// The prefix of one machine's part of the pods' network.
#[derive(Debug, Clone, Copy)]
pub(in crate::cluster) struct NodePrefix(pub(in crate::cluster) u8);

impl FromScalar for NodePrefix {
    const EXPECTED: &'static str = "a whole number";

    fn schema() -> Schema {
        json_schema!({ "type": "integer", "minimum": 9, "maximum": 30 })
    }

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        let value = number(scalar, "is not the prefix of one machine's pods", 9..=30)?;
        Ok(Self(u8::try_from(value).unwrap_or(u8::MAX)))
    }
}

/// Most pods of one machine.
#[derive(Debug, Clone, Copy)]
pub(in crate::cluster) struct MaxPods(pub(in crate::cluster) u32);

impl FromScalar for MaxPods {
    const EXPECTED: &'static str = "a whole number";

    fn schema() -> Schema {
        json_schema!({ "type": "integer", "minimum": 1, "maximum": 65535 })
    }

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        let value = number(scalar, "is not a number of pods for one machine", 1..=65_535)?;
        Ok(Self(u32::try_from(value).unwrap_or(u32::MAX)))
    }
}

impl FromScalar for MilliCpus {
    const EXPECTED: &'static str = "a number of processors, like 2 or 500m";

    fn schema() -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "string", "pattern": "^([0-9]{1,6}m|[0-9]{1,3}(\\.[0-9]{1,3})?)$" },
                { "type": "number", "exclusiveMinimum": 0, "maximum": 256 },
            ]
        })
    }

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        milli_cpus(&scalar.text).map(Self).ok_or_else(|| {
            Mistake::new(Code::BadQuantity, format!("{} is not a number of processors", quote(&scalar.text)))
                .hint("write whole processors, or thousandths: 2, 500m")
        })
    }
}

/// `2`, `0.5` or `500m`, at least a thousandth and at most 256 processors.
fn milli_cpus(text: &str) -> Option<u32> {
    let digits =
        |text: &str| !text.is_empty() && text.len() <= 6 && text.bytes().all(|byte| byte.is_ascii_digit());
    let thousandths = if let Some(thousandths) = text.strip_suffix('m') {
        digits(thousandths).then(|| thousandths.parse().ok())??
    } else {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        if !digits(whole) || !digits(fraction) || fraction.len() > 3 {
            return None;
        }
        let whole: u32 = whole.parse().ok()?;
        whole.checked_mul(1000)? + format!("{fraction:0<3}").parse::<u32>().ok()?
    };
    (1..=256_000).contains(&thousandths).then_some(thousandths)
}

/// The name of a feature gate.
#[derive(Debug, Clone)]
pub(in crate::cluster) struct FeatureGate(pub(in crate::cluster) String);

impl FromScalar for FeatureGate {
    const EXPECTED: &'static str = "the name of a feature gate";

    fn schema() -> Schema {
        json_schema!({ "pattern": "^[A-Z][A-Za-z0-9]*$" })
    }

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        let text = scalar.as_text(Self::EXPECTED)?;
        let valid = text.starts_with(|c: char| c.is_ascii_uppercase())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if valid {
            return Ok(Self(text.to_owned()));
        }
        Err(Mistake::new(Code::BadFeatureGate, format!("{} is not a name of a feature gate", quote(text)))
            .hint("letters and digits, a capital first: `SidecarContainers: true`"))
    }
}

/// A name or an address, as written behind `https://`.
#[derive(Debug, Clone)]
pub(in crate::cluster) struct ApiName(pub(in crate::cluster) String);

impl FromScalar for ApiName {
    const EXPECTED: &'static str = "a DNS name or an address";

    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": "^([a-z0-9]([-a-z0-9.]*[a-z0-9])?|[0-9a-fA-F:.]+)$", "maxLength": 253 })
    }

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        let text = scalar.as_text(Self::EXPECTED)?;
        if text.parse::<IpAddr>().is_ok() || is_dns_name(text) {
            return Ok(Self(text.to_owned()));
        }
        let mistake =
            Mistake::new(Code::BadName, format!("{} is neither a DNS name nor an address", quote(text)));
        let bare = text.split("://").last().unwrap_or(text);
        let bare = bare.split(['/', ':']).next().unwrap_or(bare).to_lowercase();
        Err(if bare != text && is_dns_name(&bare) {
            mistake.hint(format!("did you mean `{bare}`?"))
        } else {
            mistake.hint("write it like api.example.com or 10.0.0.5")
        })
    }
}

/// Lower-case DNS labels with dots between them; the last one is no number, else it would be an address.
fn is_dns_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    let last = text.rsplit('.').next().unwrap_or(text);
    text.len() <= 253 && text.split('.').all(label) && !last.bytes().all(|byte| byte.is_ascii_digit())
}

/// The URL of a file server, without a slash at its end.
#[derive(Debug, Clone)]
pub(in crate::cluster) struct MirrorUrl(pub(in crate::cluster) String);

impl FromScalar for MirrorUrl {
    const EXPECTED: &'static str = "a URL";

    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": "^https?://[^\\s{}\"'\\\\]+$" })
    }

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        let text = scalar.as_text(Self::EXPECTED)?;
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        if rest.is_some_and(|rest| {
            rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[') && is_plain(rest)
        }) {
            return Ok(Self(text.trim_end_matches('/').to_owned()));
        }
        Err(Mistake::new(Code::BadMirror, format!("{} is not an http or https URL", quote(text)))
            .hint("write it like http://files.lab:8080"))
    }
}

/// Without anything that a shell, YAML or Jinja would read as something else.
fn is_plain(text: &str) -> bool {
    let special = |c: char| matches!(c, '{' | '}' | '"' | '\'' | '\\' | '`' | '$' | '<' | '>' | '|' | '#');
    !text.contains(|c: char| c.is_whitespace() || c.is_control() || special(c))
}

impl FromScalar for RegistrySpec {
    const EXPECTED: &'static str = "a container registry, like registry.lab:5000";

    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": "^(https://)?[a-z0-9]([-a-z0-9.]*[a-z0-9])?(:[0-9]+)?(/[-a-z0-9._/]*)?$" })
    }

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        // `registry:5000` would be a number to the base of sixty in YAML 1.1, but to this reader it is a text.
        let text = match scalar.kind {
            ScalarKind::Text => scalar.text.as_str(),
            _ => scalar.as_text(Self::EXPECTED)?,
        };
        if text.starts_with("http://") {
            // roles/container-engine/containerd/templates/hosts.toml.j2 says `skip_verify` of every mirror, and with it
            // containerd speaks TLS with any scheme.
            return Err(Mistake::new(
                Code::BadMirror,
                "a registry without TLS cannot be given to Kubespray's containerd",
            )
            .hint("give it a certificate that the machines trust, and leave `http://` out"));
        }
        let address = text.strip_prefix("https://").unwrap_or(text).trim_end_matches('/');
        let (authority, path) = address.split_once('/').unwrap_or((address, ""));
        let (host, port) = authority.split_once(':').unwrap_or((authority, "443"));
        let path_is_plain = path.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.' | b'_' | b'/')
        });
        let is_host = is_dns_name(host) || host.parse::<std::net::Ipv4Addr>().is_ok();
        if is_host && port.parse::<u16>().is_ok_and(|port| port != 0) && path_is_plain {
            return Ok(Self { address: address.to_owned() });
        }
        Err(Mistake::new(Code::BadMirror, format!("{} is not a container registry", quote(text))).hint(
            "write its host, and a port and a path if it has them: registry.lab:5000, harbor.lab/kubernetes",
        ))
    }
}
