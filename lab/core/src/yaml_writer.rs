//! Values as YAML that every reader takes for the same: Ansible's, which follows version 1.1 of YAML, and
//! those that follow 1.2. Knows nothing of Kubespray.
//!
//! A crate's writer would do for 1.2 alone; `no`, `010`, `1e3` and dates would come back as something else.

use serde_json::{Map, Number, Value};

/// Spaces by which each level is indented.
const STEP: usize = 2;

/// Longest key that is written in front of its `:`; readers give up on one of more than 1024 characters.
const LONGEST_KEY: usize = 500;

/// Adds `name: value` and a line break, as an entry of a mapping that is not indented.
pub(crate) fn entry(text: &mut String, name: &str, value: &Value) {
    pair(text, name, value, 0);
}

/// Adds `name: value` as an entry of a mapping that is `depth` levels deep, with a comment behind its first line.
pub(crate) fn commented_entry(text: &mut String, name: &str, value: &Value, depth: usize, words: &str) {
    let mut entry = String::new();
    pair(&mut entry, name, value, depth * STEP);
    let (first, rest) = entry.split_once('\n').unwrap_or((&entry, ""));
    indent(text, depth * STEP);
    text.push_str(first);
    text.push_str("  ");
    comment(text, words);
    text.push_str(rest);
}

/// Adds the first line of a mapping that is `depth` levels deep.
pub(crate) fn open_mapping(text: &mut String, name: &str, depth: usize) {
    indent(text, depth * STEP);
    text.push_str(&scalar(name));
    text.push_str(":\n");
}

/// Adds a comment of one line.
pub(crate) fn comment(text: &mut String, words: &str) {
    text.push_str("# ");
    text.extend(words.chars().map(|c| if is_printable(c) { c } else { ' ' }));
    text.push('\n');
}

/// A text as a scalar of one line: as it is where no reader can take it for anything else, else in quotes.
pub(crate) fn scalar(text: &str) -> String {
    if is_plain(text) { text.to_owned() } else { quoted(text) }
}

fn indent(text: &mut String, by: usize) {
    text.extend(std::iter::repeat_n(' ', by));
}

/// The key and the value of an entry whose mapping is indented `by`; the key's line has begun.
fn pair(text: &mut String, key: &str, value: &Value, by: usize) {
    let key = scalar(key);
    if key.len() > LONGEST_KEY {
        text.push_str("? ");
        text.push_str(&key);
        text.push('\n');
        indent(text, by);
    } else {
        text.push_str(&key);
    }
    text.push(':');
    match value {
        Value::Array(items) if !items.is_empty() => {
            text.push('\n');
            indent(text, by + STEP);
            list(text, items, by + STEP);
        }
        Value::Object(entries) if !entries.is_empty() => {
            text.push('\n');
            indent(text, by + STEP);
            map(text, entries, by + STEP);
        }
        single => {
            text.push(' ');
            leaf(text, single, by);
        }
    }
}

/// The items of a list that is indented `by`; the first one's line has begun.
fn list(text: &mut String, items: &[Value], by: usize) {
    for (number, item) in items.iter().enumerate() {
        if number > 0 {
            indent(text, by);
        }
        text.push_str("- ");
        match item {
            Value::Array(items) if !items.is_empty() => list(text, items, by + STEP),
            Value::Object(entries) if !entries.is_empty() => map(text, entries, by + STEP),
            single => leaf(text, single, by),
        }
    }
}

/// The entries of a mapping that is indented `by`, sorted: the order in memory depends on how the program
/// was built. The first one's line has begun.
fn map(text: &mut String, entries: &Map<String, Value>, by: usize) {
    let mut entries: Vec<_> = entries.iter().collect();
    entries.sort_by_key(|(key, _)| *key);
    for (number, (key, value)) in entries.into_iter().enumerate() {
        if number > 0 {
            indent(text, by);
        }
        pair(text, key, value, by);
    }
}

/// A value without a level of its own, behind a `:` or a `-` that is indented `by`.
fn leaf(text: &mut String, value: &Value, by: usize) {
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
        Value::Number(value) => text.push_str(&number(value)),
        Value::String(value) => match literal(value) {
            Some(mark) => {
                text.push_str(mark);
                for line in value.lines() {
                    text.push('\n');
                    if !line.is_empty() {
                        indent(text, by + STEP);
                        text.push_str(line);
                    }
                }
            }
            None => text.push_str(&scalar(value)),
        },
        Value::Array(_) => text.push_str("[]"),
        Value::Object(_) => text.push_str("{}"),
    }
    text.push('\n');
}

/// YAML 1.1 takes a fraction for one only with a point, and an exponent only with its sign.
fn number(value: &Number) -> String {
    let Some(float) = value.as_f64().filter(|_| value.is_f64()) else { return value.to_string() };
    let text = format!("{float:?}");
    match text.split_once('e') {
        None => text,
        Some((digits, exponent)) => {
            let point = if digits.contains('.') { "" } else { ".0" };
            let sign = if exponent.starts_with('-') { "" } else { "+" };
            format!("{digits}{point}e{sign}{exponent}")
        }
    }
}

/// How a text of several lines is announced that can stand as it is, line by line.
fn literal(text: &str) -> Option<&'static str> {
    let lines_are_plain =
        text.lines().all(|line| line.chars().all(|c| c != '\t' && is_printable(c)) && !line.ends_with(' '));
    // The reader takes the indentation of all from the first line.
    let starts_at_once = text.starts_with(|c: char| c != ' ' && c != '\n');
    if !text.contains('\n') || text.contains('\r') || !lines_are_plain || !starts_at_once {
        return None;
    }
    match text.strip_suffix('\n') {
        None => Some("|-"),
        Some(rest) if !rest.ends_with('\n') => Some("|"),
        Some(_) => None,
    }
}

/// Whether a text can stand without quotes: a word, a path, a host's name.
fn is_plain(text: &str) -> bool {
    // Words that YAML 1.1, or one of its readers, takes for a boolean or a null.
    const OTHERWISE: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    let inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '/' | '-');
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '_')
        && text.chars().all(inside)
        && !OTHERWISE.contains(&text.to_ascii_lowercase().as_str())
}

fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if is_printable(c) => quoted.push(c),
            c if u32::from(c) < 0x100 => quoted.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
        }
    }
    quoted.push('"');
    quoted
}

/// Characters that can stand in a YAML file as they are (YAML 1.1, production `c-printable`) and break no
/// line.
fn is_printable(c: char) -> bool {
    matches!(c, '\t' | ' '..='~' | '\u{a0}'..='\u{fffd}' | '\u{10000}'..)
        && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn written(value: &Value) -> String {
        let mut text = String::new();
        entry(&mut text, "key", value);
        text
    }

    fn read(text: &str) -> Value {
        let mut value: Value =
            serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error}:\n{text}"));
        value["key"].take()
    }

    #[rstest]
    #[case::a_word("containerd")]
    #[case::a_path("/var/lib/containerd")]
    #[case::a_host("registry.lab")]
    fn words_stand_as_they_are(#[case] text: &str) {
        assert_eq!(scalar(text), text);
    }

    #[rstest]
    fn ambiguous_text_is_quoted(
        #[values(
            "",
            "no",
            "Yes",
            "ON",
            "off",
            "y",
            "N",
            "TRUE",
            "null",
            "~",
            "010",
            "1.30",
            "1_000",
            "1e3",
            "0x1f",
            "12:30:45",
            "2026-01-31",
            "=",
            "<<",
            "- a",
            "a: b",
            "a #b",
            "#a",
            "*a",
            "&a",
            "!a",
            "%a",
            "@a",
            "`a`",
            "[a]",
            "{{ a }}",
            "'a'",
            " a",
            "a ",
            ".5",
            ".inf",
            "+1",
            "-",
            "registry:5000",
            "a,b"
        )]
        text: &str,
    ) {
        assert!(scalar(text).starts_with('"'), "{text:?}");
        assert_eq!(read(&written(&text.into())), text);
    }

    #[test]
    fn collections_are_laid_out_for_people() {
        let value = json!({
            "nested": [1, [2, []], { "b": null, "a": { "deep": [true] }, "c": {} }],
            "no": "no",
            "text": "one\n\n  two\n",
            "unended": "one\ntwo",
            "odd": "one \n\ttwo\n\n",
            "small": 1e-7, "large": 1e21, "half": 0.5, "most": u64::MAX,
        });
        insta::assert_snapshot!(written(&value));
        assert_eq!(read(&written(&value)), value);
    }

    #[test]
    fn long_key_reads_back() {
        let value = json!([{ "k".repeat(3000): { "a": 1 }, "short": 2 }]);
        assert_eq!(read(&written(&value)), value);
    }

    fn any_text() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<String>(),
            "[ -~\\n]{0,12}",
            "[a-z0-9:._~+-]{0,6}",
            "([ a-z#:'-]{0,4}\\n){0,4}[a-z]?",
            "[\u{0}-\u{a5}\u{2027}-\u{202a}\u{fefe}-\u{ffff}]{0,6}",
        ]
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (i64::MAX as u64..).prop_map(Value::from),
            any::<f64>()
                .prop_filter("JSON has only finite ones", |float| float.is_finite())
                .prop_map(Value::from),
            any_text().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(any_text(), inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn value_reads_back_as_written(value in any_value()) {
            let text = written(&value);
            prop_assert_eq!(read(&text), value, "{}", text);
        }

        #[test]
        fn comment_is_one_line(words in any_text()) {
            let mut text = String::new();
            comment(&mut text, &words);
            prop_assert_eq!(read(&(text.clone() + "key: 1\n")), 1, "{}", text);
        }
    }
}
