//! Single values of a cluster file about Kubespray itself.

use schemars::{Schema, json_schema};

use crate::cluster::decode::{FromScalar, Mistake};
use crate::kubespray::render::GROUPS;
use crate::kubespray::{TAGS, other_release};
use crate::source::Code;
use crate::source::suggest::{self, quote};
use crate::source::yaml::Scalar;

/// A release of Kubespray.
#[derive(Debug, Clone, Copy)]
pub(in crate::cluster) struct KubesprayVersion(pub(in crate::cluster) &'static str);

impl FromScalar for KubesprayVersion {
    const EXPECTED: &'static str = "a release of Kubespray, like v2.30.0";

    fn schema() -> Schema {
        json_schema!({ "type": "string", "enum": TAGS })
    }

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        TAGS.iter().find(|version| **version == scalar.text).map(|version| Self(version)).ok_or_else(|| {
            match other_release(&scalar.text) {
                Some(tag) => Mistake::new(Code::UnknownKubespray, format!("Kubespray {tag} is not built in"))
                    .hint(format!("known versions: {}", TAGS.join(", "))),
                None => {
                    let message = format!("unknown Kubespray version {}", quote(&scalar.text));
                    Mistake::new(Code::UnknownKubespray, message).hint(suggest::one_of(
                        "versions",
                        &scalar.text,
                        &TAGS,
                    ))
                }
            }
        })
    }
}

/// A group of Kubespray's inventory that variables may be set for.
#[derive(Debug, Clone, Copy)]
pub(in crate::cluster) struct Group(pub(in crate::cluster) &'static str);

impl FromScalar for Group {
    const EXPECTED: &'static str = "a group of Kubespray";

    fn schema() -> Schema {
        json_schema!({ "enum": GROUPS })
    }

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        GROUPS.iter().find(|group| **group == scalar.text).map(|group| Self(group)).ok_or_else(|| {
            Mistake::new(Code::UnknownGroup, format!("Kubespray has no group {}", quote(&scalar.text)))
                .hint(suggest::one_of("groups", &scalar.text, GROUPS))
        })
    }
}

/// The name of an Ansible variable.
#[derive(Debug, Clone)]
pub(in crate::cluster) struct VariableName(pub(in crate::cluster) String);

impl FromScalar for VariableName {
    const EXPECTED: &'static str = "the name of a variable";

    fn schema() -> Schema {
        json_schema!({ "pattern": "^[A-Za-z_][A-Za-z0-9_]*$" })
    }

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        let text = scalar.as_text(Self::EXPECTED)?;
        let valid = !text.starts_with(|c: char| c.is_ascii_digit())
            && !text.is_empty()
            && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if valid {
            return Ok(Self(text.to_owned()));
        }
        let mistake = Mistake::new(Code::BadVariable, format!("{} is not a name of a variable", quote(text)));
        Err(mistake.hint("letters, digits and `_`, no digit first"))
    }
}

/// Where git fetches from: a URL or a directory.
#[derive(Debug, Clone)]
pub(in crate::cluster) struct GitSource(pub(in crate::cluster) String);

impl FromScalar for GitSource {
    const EXPECTED: &'static str = "a git URL or a directory";

    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": "^[^-\\s][^\\x00-\\x1f]*$" })
    }

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        let text = scalar.as_text(Self::EXPECTED)?;
        // git would take it for an option, however it is called.
        let bad = text.is_empty()
            || text.starts_with(|c: char| c == '-' || c.is_whitespace())
            || text.chars().any(char::is_control);
        if bad {
            let what = format!("{} is neither a git URL nor a directory", quote(&scalar.text));
            return Err(Mistake::new(Code::BadSource, what));
        }
        Ok(Self(text.to_owned()))
    }
}
