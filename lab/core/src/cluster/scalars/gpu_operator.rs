//! Single values of a cluster file about the GPU Operator.

use schemars::{Schema, json_schema};

use super::{Word, number, read_url, schema_of_url};
use crate::cluster::decode::{FromScalar, Mistake};
use crate::cluster::names::dns_label;
use crate::gpu_operator::VERSIONS;
use crate::source::Code;
use crate::source::suggest::{self, quote};
use crate::source::yaml::Scalar;
use crate::spec::{GpuDriver, GpuRuntime, MigStrategy};

impl Word for GpuDriver {
    const EXPECTED: &'static str = "`host` or `container`";
    const NOUN: (&'static str, &'static str) = ("place of a driver", "values");
    const CODE: Code = Code::UnknownWord;
    const WORDS: &'static [(&'static str, Self)] = Self::WORDS;
}

impl Word for GpuRuntime {
    const EXPECTED: &'static str = "`toolkit` or `nri`";
    const NOUN: (&'static str, &'static str) = ("runtime of GPUs", "values");
    const CODE: Code = Code::UnknownWord;
    const WORDS: &'static [(&'static str, Self)] = Self::WORDS;
}

impl Word for MigStrategy {
    const EXPECTED: &'static str = "`none`, `single` or `mixed`";
    const NOUN: (&'static str, &'static str) = ("MIG strategy", "values");
    const CODE: Code = Code::UnknownWord;
    const WORDS: &'static [(&'static str, Self)] = Self::WORDS;
}

/// A version of the GPU Operator's chart.
#[derive(Debug, Clone, Copy)]
pub(in crate::cluster) struct ChartVersion(pub(in crate::cluster) &'static str);

impl FromScalar for ChartVersion {
    const EXPECTED: &'static str = "a version of the GPU Operator's chart, like v25.3.4";

    fn schema() -> Schema {
        json_schema!({ "type": "string", "enum": VERSIONS })
    }

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        let known = VERSIONS.iter().find(|version| **version == scalar.text);
        known.map(|version| Self(version)).ok_or_else(|| {
            let message = format!("the chart of the GPU Operator {} is not known here", quote(&scalar.text));
            // Of versions, the one of the same release is nearer than one with the same digits.
            let release = |version: &str| version.rsplit_once('.').map(|(release, _)| release.to_owned());
            let same = VERSIONS.iter().find(|version| release(version) == release(&scalar.text));
            Mistake::new(Code::UnknownChart, message).hint(match same {
                Some(version) => format!("did you mean `{version}`?"),
                None => suggest::one_of("versions", &scalar.text, &VERSIONS),
            })
        })
    }
}

/// A namespace of its own: its pods may do what no others should.
#[derive(Debug, Clone)]
pub(in crate::cluster) struct Namespace(pub(in crate::cluster) String);

impl FromScalar for Namespace {
    const EXPECTED: &'static str = "the name of a namespace";

    fn schema() -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
            "maxLength": 63,
            "not": { "anyOf": [{ "const": "default" }, { "pattern": "^kube-" }] },
        })
    }

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        let name = dns_label(scalar.as_text(Self::EXPECTED)?, "namespace", 63)?;
        if name == "default" || name.starts_with("kube-") {
            let message = format!("the namespace {} is Kubernetes' own", quote(&name));
            return Err(Mistake::new(Code::ReservedName, message)
                .hint("the GPU Operator needs one of its own, where pods may mount folders of the machine"));
        }
        Ok(Self(name))
    }
}

/// Where a chart is downloaded from.
#[derive(Debug, Clone)]
pub(in crate::cluster) struct ChartUrl(pub(in crate::cluster) String);

impl FromScalar for ChartUrl {
    const EXPECTED: &'static str = "a URL";

    fn schema() -> Schema {
        schema_of_url()
    }

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        let text = scalar.as_text(Self::EXPECTED)?;
        let url = read_url(text, Code::BadChart);
        url.map(Self)
            .map_err(|mistake| mistake.hint("write it like https://charts.lab/gpu-operator-v25.3.4.tgz"))
    }
}

/// A SHA-256 in lower-case hexadecimal.
#[derive(Debug, Clone)]
pub(in crate::cluster) struct Sha256(pub(in crate::cluster) String);

impl FromScalar for Sha256 {
    const EXPECTED: &'static str = "a SHA-256";

    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9a-fA-F]{64}$" })
    }

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        let text = scalar.as_text(Self::EXPECTED)?;
        if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(Self(text.to_ascii_lowercase()));
        }
        Err(Mistake::new(Code::BadChart, format!("{} is not a SHA-256", quote(text)))
            .hint("64 hexadecimal digits, as `sha256sum` prints them"))
    }
}

/// Time slices of one GPU.
#[derive(Debug, Clone, Copy)]
pub(in crate::cluster) struct Replicas(pub(in crate::cluster) u32);

impl FromScalar for Replicas {
    const EXPECTED: &'static str = "a whole number";

    fn schema() -> Schema {
        json_schema!({ "type": "integer", "minimum": 2, "maximum": 100 })
    }

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        let value = number(scalar, "is not a number of pods that share a GPU", 2..=100)?;
        Ok(Self(u32::try_from(value).unwrap_or(u32::MAX)))
    }
}
