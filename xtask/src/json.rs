//! JSON for scripts, written only. A library for it would double the cold build of `xtask`.

use std::fmt;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A finite number; others become `null`, as JSON has none.
    Number(f64),
    /// A string.
    Text(String),
    /// Values in order.
    List(Vec<Json>),
    /// Members in order; the names must differ.
    Object(Vec<(&'static str, Json)>),
}

impl Json {
    /// A string, or `null`.
    pub fn optional(text: Option<impl Into<String>>) -> Self {
        text.map_or(Self::Null, |text| Self::Text(text.into()))
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        let indent = |f: &mut fmt::Formatter<'_>, depth: usize| write!(f, "\n{:1$}", "", 2 * depth);
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(value) if value.is_finite() => write!(f, "{value}"),
            Self::Number(_) => f.write_str("null"),
            Self::Text(text) => write_text(f, text),
            Self::List(values) if values.is_empty() => f.write_str("[]"),
            Self::List(values) => {
                for (index, value) in values.iter().enumerate() {
                    f.write_str(if index == 0 { "[" } else { "," })?;
                    indent(f, depth + 1)?;
                    value.write(f, depth + 1)?;
                }
                indent(f, depth)?;
                f.write_str("]")
            }
            Self::Object(members) if members.is_empty() => f.write_str("{}"),
            Self::Object(members) => {
                for (index, (name, value)) in members.iter().enumerate() {
                    f.write_str(if index == 0 { "{" } else { "," })?;
                    indent(f, depth + 1)?;
                    write_text(f, name)?;
                    f.write_str(": ")?;
                    value.write(f, depth + 1)?;
                }
                indent(f, depth)?;
                f.write_str("}")
            }
        }
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, 0)
    }
}

fn write_text(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    for character in text.chars() {
        match character {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            control if control < ' ' => write!(f, "\\u{:04x}", u32::from(control))?,
            other => write!(f, "{other}")?,
        }
    }
    f.write_str("\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_a_reader_of_json_understands() {
        let value = Json::Object(vec![
            ("text", Json::Text("a \"quoted\" back\\slash\nand é".into())),
            ("numbers", Json::List(vec![Json::Number(1.0), Json::Number(0.25), Json::Number(f64::NAN)])),
            ("nothing", Json::optional(None::<&str>)),
            ("empty", Json::List(vec![])),
            ("none", Json::Object(vec![])),
            ("yes", Json::Bool(true)),
        ]);
        insta::assert_snapshot!(value.to_string(), @r#"
        {
          "text": "a \"quoted\" back\\slash\u000aand é",
          "numbers": [
            1,
            0.25,
            null
          ],
          "nothing": null,
          "empty": [],
          "none": {},
          "yes": true
        }
        "#);
    }
}
