//! Everything in a cluster file that is written as one scalar: its form, and the finding for another form.
//! Checks that need a second value are in `rules`.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use schemars::{Schema, json_schema};

use super::decode::{FromScalar, Mistake};
use crate::gpu_stand_in;
use crate::source::Code;
use crate::source::suggest::{self, quote};
use crate::source::yaml::{Scalar, ScalarKind};
use crate::spec::{Egress, HostSpec, ImageSpec, MachineKind, Role, Strategy};
use crate::units::Bytes;

pub(super) mod gpu_operator;
pub(super) mod kubernetes;
pub(super) mod kubespray;

/// A scalar that is one of a few words.
trait Word: Clone + 'static {
    /// The expected value, with its article.
    const EXPECTED: &'static str;
    /// The noun for one such word, and for several.
    const NOUN: (&'static str, &'static str);
    const CODE: Code;
    /// Every word and its meaning.
    const WORDS: &'static [(&'static str, Self)];
}

impl<T: Word> FromScalar for T {
    const EXPECTED: &'static str = T::EXPECTED;

    fn schema() -> Schema {
        let words: Vec<&str> = T::WORDS.iter().map(|(word, _)| *word).collect();
        json_schema!({ "type": "string", "enum": words })
    }

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        if let Some((_, value)) = T::WORDS.iter().find(|(word, _)| *word == scalar.text) {
            return Ok(value.clone());
        }
        let words: Vec<&str> = T::WORDS.iter().map(|(word, _)| *word).collect();
        let (one, several) = T::NOUN;
        Err(Mistake::new(T::CODE, format!("unknown {one} {}", quote(&scalar.text))).hint(suggest::one_of(
            several,
            &scalar.text,
            &words,
        )))
    }
}

/// The version of the file's format.
#[derive(Debug, Clone)]
pub(super) struct ApiVersion;

impl Word for ApiVersion {
    const EXPECTED: &'static str = "the version of the file's format";
    const NOUN: (&'static str, &'static str) = ("apiVersion", "versions");
    const CODE: Code = Code::UnknownApiVersion;
    const WORDS: &'static [(&'static str, Self)] = &[("lab/v1alpha1", Self)];
}

/// The kind of the file.
#[derive(Debug, Clone)]
pub(super) struct FileKind;

impl Word for FileKind {
    const EXPECTED: &'static str = "the kind of the file";
    const NOUN: (&'static str, &'static str) = ("kind of file", "kinds");
    const CODE: Code = Code::UnknownKind;
    const WORDS: &'static [(&'static str, Self)] = &[("Cluster", Self)];
}

impl Word for MachineKind {
    const EXPECTED: &'static str = "a kind of machine";
    const NOUN: (&'static str, &'static str) = ("kind of machine", "kinds");
    const CODE: Code = Code::UnknownWord;
    const WORDS: &'static [(&'static str, Self)] = &[("vm", Self::Vm), ("container", Self::Container)];
}

impl Word for Strategy {
    const EXPECTED: &'static str = "a strategy of Ansible";
    const NOUN: (&'static str, &'static str) = ("strategy", "strategies");
    const CODE: Code = Code::UnknownWord;
    const WORDS: &'static [(&'static str, Self)] =
        &[("lab_linear", Self::LabLinear), ("linear", Self::Linear)];
}

impl Word for Role {
    const EXPECTED: &'static str = "a role";
    const NOUN: (&'static str, &'static str) = ("role", "roles");
    const CODE: Code = Code::UnknownWord;
    const WORDS: &'static [(&'static str, Self)] =
        &[("control-plane", Self::ControlPlane), ("etcd", Self::Etcd), ("worker", Self::Worker)];
}

impl Word for Egress {
    const EXPECTED: &'static str = "`none` or `nat`";
    const NOUN: (&'static str, &'static str) = ("egress", "values");
    const CODE: Code = Code::UnknownWord;
    const WORDS: &'static [(&'static str, Self)] = &[("none", Self::None), ("nat", Self::Nat)];
}

impl Word for ImageSpec {
    const EXPECTED: &'static str = "the name of an image, or `path` or `url` with `sha512`";
    const NOUN: (&'static str, &'static str) = ("image", "images");
    const CODE: Code = Code::BadImage;
    const WORDS: &'static [(&'static str, Self)] = &[("debian13", Self::Debian13)];
}

impl FromScalar for bool {
    const EXPECTED: &'static str = "true or false";

    fn schema() -> Schema {
        json_schema!({ "type": "boolean" })
    }

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        match scalar.kind {
            ScalarKind::Bool(value) => Ok(value),
            _ => Err(Mistake::new(
                Code::WrongType,
                format!("expected true or false, found {}", quote(&scalar.text)),
            )),
        }
    }
}

/// A whole number inside a range.
fn number(scalar: &Scalar, what: &str, range: std::ops::RangeInclusive<i64>) -> Result<i64, Mistake> {
    let ScalarKind::Integer(value) = scalar.kind else {
        let mistake =
            Mistake::new(Code::WrongType, format!("expected a whole number, found {}", quote(&scalar.text)));
        return Err(match scalar.text.parse::<i64>() {
            Ok(value) => mistake.hint(format!("write it without quotes: {value}")),
            Err(_) => mistake,
        });
    };
    if range.contains(&value) {
        return Ok(value);
    }
    let (least, most) = (range.start(), range.end());
    Err(Mistake::new(Code::OutOfRange, format!("{value} {what}: it must be between {least} and {most}")))
}

/// A number of processors.
#[derive(Debug, Clone, Copy)]
pub(super) struct Count(pub(super) u32);

impl FromScalar for Count {
    const EXPECTED: &'static str = "a whole number";

    fn schema() -> Schema {
        json_schema!({ "type": "integer", "minimum": 1, "maximum": 256 })
    }

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        let value = number(scalar, "is not a number of processors for one machine", 1..=256)?;
        Ok(Self(u32::try_from(value).unwrap_or(u32::MAX)))
    }
}

/// The largest packet of a network, in bytes. Below 1280 no overlay network fits; above 9216 no
/// switch goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mtu(pub(super) u16);

impl FromScalar for Mtu {
    const EXPECTED: &'static str = "a whole number";

    fn schema() -> Schema {
        json_schema!({ "type": "integer", "minimum": 1280, "maximum": 9216 })
    }

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        let value = number(scalar, "bytes is not a size of packets for this network", 1280..=9216)?;
        Ok(Self(u16::try_from(value).unwrap_or(u16::MAX)))
    }
}

impl FromScalar for Bytes {
    const EXPECTED: &'static str = "a size, like 8GiB";

    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+ *(KiB|MiB|GiB|TiB)$" })
    }

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        scalar.text.parse().map_err(|_| {
            let mistake = Mistake::new(
                Code::BadSize,
                format!("{} is not a size: it needs a whole number and a unit", quote(&scalar.text)),
            );
            match meant_size(&scalar.text) {
                Some(meant) => mistake.hint(format!("did you mean `{meant}`?")),
                None => mistake.hint("write it like 8GiB or 512MiB"),
            }
        })
    }
}

/// The size that the author of `8G`, `8Gi`, `8gb`, `1.5GiB` or `2048` most likely meant.
fn meant_size(text: &str) -> Option<Bytes> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let number: f64 = number.parse().ok().filter(|number| (0.0..1e9).contains(number))?;
    let mebibytes = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "m" | "mi" | "mb" | "mib" => 1.0,
        "g" | "gi" | "gb" | "gib" => 1024.0,
        "t" | "ti" | "tb" | "tib" => 1024.0 * 1024.0,
        _ => return None,
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "positive and below 2^50 by the checks above; only a proposal"
    )]
    let whole = (number * mebibytes).round() as u64;
    (whole > 0).then(|| Bytes::from_mib(whole))
}

impl FromScalar for Ipv4Addr {
    const EXPECTED: &'static str = "an IPv4 address";

    fn schema() -> Schema {
        json_schema!({ "type": "string", "format": "ipv4" })
    }

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        scalar.text.parse().map_err(|_| {
            let mistake =
                Mistake::new(Code::BadAddress, format!("{} is not an IPv4 address", quote(&scalar.text)));
            match scalar.text.split_once('/').and_then(|(address, _)| address.parse::<Self>().ok()) {
                Some(address) => {
                    mistake.hint(format!("write the address alone, the subnet has the prefix: {address}"))
                }
                None => mistake.hint("four numbers from 0 to 255 with dots between them: 192.168.200.10"),
            }
        })
    }
}

impl FromScalar for Ipv4Net {
    const EXPECTED: &'static str = "an IPv4 network, like 192.168.200.0/24";

    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+\\.[0-9]+\\.[0-9]+\\.[0-9]+/[0-9]+$" })
    }

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        let subnet: Self = scalar.text.parse().map_err(|_| {
            let mistake =
                Mistake::new(Code::BadSubnet, format!("{} is not an IPv4 network", quote(&scalar.text)));
            match scalar.text.parse::<Ipv4Addr>() {
                Ok(address) => mistake.hint(format!("add the prefix: {address}/24")),
                Err(_) => mistake.hint("write it like 192.168.200.0/24"),
            }
        })?;
        if subnet.addr() != subnet.network() {
            let message =
                format!("{} is an address inside the network {}, not a network", subnet, subnet.trunc());
            return Err(Mistake::new(Code::SubnetHostBits, message)
                .hint(format!("did you mean `{}`?", subnet.trunc())));
        }
        Ok(subnet)
    }
}

impl FromScalar for HostSpec {
    const EXPECTED: &'static str = "`embedded` or a libvirt URI";

    fn schema() -> Schema {
        json_schema!({
            "anyOf": [
                { "const": "embedded" },
                { "type": "string", "pattern": "^(qemu|test)(\\+[a-z0-9]+)?://" },
            ]
        })
    }

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        let text = scalar.as_text(Self::EXPECTED)?;
        if text == "embedded" {
            return Ok(Self::Embedded);
        }
        let driver = text.split_once("://").map(|(scheme, _)| scheme.split('+').next().unwrap_or_default());
        let clean = !text.contains(|c: char| c.is_whitespace() || c.is_control());
        match driver {
            Some("qemu" | "test") if clean => Ok(Self::Libvirt(text.to_owned())),
            Some(_) => Err(Mistake::new(
                Code::BadHost,
                format!("{} is not a libvirt URI that can run virtual machines", quote(text)),
            )
            .hint("write it like qemu:///system or qemu+ssh://root@server/system")),
            None => {
                let mistake = Mistake::new(
                    Code::BadHost,
                    format!("{} is neither `embedded` nor a libvirt URI", quote(text)),
                );
                Err(match suggest::nearest(text, &["embedded", "qemu:///system"]) {
                    Some(word) => mistake.hint(format!("did you mean `{word}`?")),
                    None => mistake.hint("write `embedded`, or a URI like qemu:///system"),
                })
            }
        }
    }
}

/// A text that is not empty.
#[derive(Debug, Clone)]
pub(super) struct Text(pub(super) String);

impl FromScalar for Text {
    const EXPECTED: &'static str = "a path";

    fn schema() -> Schema {
        json_schema!({ "type": "string", "minLength": 1 })
    }

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        match scalar.as_text(Self::EXPECTED)? {
            "" => Err(Mistake::new(Code::BadImage, "the path is empty")),
            text => Ok(Self(text.to_owned())),
        }
    }
}

/// An http or https URL.
#[derive(Debug, Clone)]
pub(super) struct Url(pub(super) String);

impl FromScalar for Url {
    const EXPECTED: &'static str = "a URL";

    fn schema() -> Schema {
        schema_of_url()
    }

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        let text = scalar.as_text(Self::EXPECTED)?;
        let url = read_url(text, Code::BadImage);
        url.map(Self)
            .map_err(|mistake| mistake.hint("for a file on this computer write `path` instead of `url`"))
    }
}

fn schema_of_url() -> Schema {
    json_schema!({ "type": "string", "pattern": "^https?://[^\\s]+$" })
}

/// An http or https URL; else a mistake of this code.
fn read_url(text: &str, code: Code) -> Result<String, Mistake> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    if rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(char::is_whitespace)) {
        return Ok(text.to_owned());
    }
    Err(Mistake::new(code, format!("{} is not an http or https URL", quote(text))))
}

/// A SHA-512 in lower-case hexadecimal.
#[derive(Debug, Clone)]
pub(super) struct Digest(pub(super) String);

impl FromScalar for Digest {
    const EXPECTED: &'static str = "a SHA-512";

    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9a-fA-F]{128}$" })
    }

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        let text = scalar.as_text(Self::EXPECTED)?;
        let hexadecimal = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        match (hexadecimal, text.len()) {
            (true, 128) => Ok(Self(text.to_ascii_lowercase())),
            (true, 64) => Err(Mistake::new(Code::BadDigest, "64 digits are a SHA-256, not a SHA-512")
                .hint("run `sha512sum` on the file")),
            (true, length) => Err(Mistake::new(
                Code::BadDigest,
                format!("a SHA-512 has 128 hexadecimal digits, this has {length}"),
            )
            .hint("run `sha512sum` on the file")),
            (false, _) => Err(Mistake::new(Code::BadDigest, format!("{} is not a SHA-512", quote(text)))
                .hint("128 hexadecimal digits, as `sha512sum` prints them")),
        }
    }
}

/// A PCI address with its domain, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct PciAddress(pub(super) String);

impl FromScalar for PciAddress {
    const EXPECTED: &'static str = "a PCI address, like \"0000:65:00.0\"";

    fn schema() -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[0-9a-fA-F]{4}:[0-9a-fA-F]{2}:[01][0-9a-fA-F]\\.[0-7]$",
        })
    }

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        let text = scalar.as_text(Self::EXPECTED)?.to_ascii_lowercase();
        if is_pci_address(&text) {
            return Ok(Self(text));
        }
        let mistake = Mistake::new(Code::BadGpu, format!("{} is not a PCI address", quote(&text)));
        let with_domain = format!("0000:{text}");
        Err(if is_pci_address(&with_domain) {
            mistake.hint(format!("did you mean `{with_domain}`?"))
        } else {
            mistake.hint("write it as `lspci -D` prints it: 0000:65:00.0")
        })
    }
}

/// `dddd:bb:ss.f`: 16 bits of domain, 8 of bus, 5 of slot, 3 of function.
fn is_pci_address(text: &str) -> bool {
    let hexadecimal = |digits: &str, length: usize, most: u32| {
        digits.len() == length
            && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
            && u32::from_str_radix(digits, 16).is_ok_and(|value| value <= most)
    };
    let mut parts = text.split([':', '.']);
    let shape: Vec<char> = text.chars().filter(|c| matches!(c, ':' | '.')).collect();
    shape == [':', ':', '.']
        && [(4, 0xffff), (2, 0xff), (2, 0x1f), (1, 7)]
            .into_iter()
            .all(|(length, most)| parts.next().is_some_and(|digits| hexadecimal(digits, length, most)))
}

/// Part of a GPU's model name.
#[derive(Debug, Clone)]
pub(super) struct Model(pub(super) String);

impl FromScalar for Model {
    const EXPECTED: &'static str = "the name of a GPU model";

    fn schema() -> Schema {
        json_schema!({ "type": "string", "minLength": 1 })
    }

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        match scalar.as_text(Self::EXPECTED)?.trim() {
            "" => Err(Mistake::new(Code::BadGpu, "the model is empty").hint("write it like RTX A6000")),
            text => Ok(Self(text.to_owned())),
        }
    }
}

/// A model that there is a stand-in for.
#[derive(Debug, Clone, Copy)]
pub(super) struct StandInModel(pub(super) &'static gpu_stand_in::Model);

impl FromScalar for StandInModel {
    const EXPECTED: &'static str = "a model that there is a stand-in for";

    fn schema() -> Schema {
        let names: Vec<&str> = gpu_stand_in::MODELS.iter().map(|model| model.name).collect();
        json_schema!({ "type": "string", "enum": names })
    }

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        let text = scalar.as_text(Self::EXPECTED)?;
        let names: Vec<&str> = gpu_stand_in::MODELS.iter().map(|model| model.name).collect();
        gpu_stand_in::MODELS.iter().find(|model| model.name == text).map(Self).ok_or_else(|| {
            Mistake::new(Code::UnknownWord, format!("there is no stand-in for the model {}", quote(text)))
                .hint(suggest::one_of("models", text, &names))
        })
    }
}
