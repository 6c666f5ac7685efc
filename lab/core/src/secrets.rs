//! Secrets in a text, and the text without them: for logs, reports, events and messages. Two nets behind the rule that
//! secrets are not written in the first place: shapes of secrets, and the values of a cluster's own variables.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::{Captures, Regex};
use serde_json::Value;

/// Shorter values are not looked for in texts: they are parts of ordinary words.
const MIN_VALUE_LENGTH: usize = 6;
/// Shorter lines of a value with several lines are not looked for by themselves.
const MIN_LINE_LENGTH: usize = 20;
/// The placeholder of a value.
const INSTEAD: &str = "[secret]";

/// Names of variables whose values are secrets: any of these words in them, or the last ones at their end.
const SECRET_NAME: &str = r"(?:[\w.-]*(?:password|passwd|passphrase|secret|token|credential|(?:api|access|private|encryption|signing)_key)[\w.-]*|[\w.-]*_pass)";

static SECRET_NAMES: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(&format!("(?i)^{SECRET_NAME}$")).expect("the pattern is a constant"));

/// A setting of a secret in YAML, JSON or INI: the name and the separator, then the value.
static SECRET_SETTINGS: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = format!(
        r#"(?im)(?P<name>\b{SECRET_NAME}["']?[ \t]*[:=][ \t]*)(?P<value>"(?:[^"\\\n]|\\.)*"|'(?:[^'\n]|'')*'|[^\s,}}\]#"'][^\n,}}\]#]*)"#
    );
    Regex::new(&pattern).expect("the pattern is a constant")
});

/// A password in an address.
static ADDRESSES: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?P<name>://[^/\s:@]+:)(?P<value>[^@\s/]+)(?P<rest>@)").expect("the pattern is a constant")
});

/// Shapes of secrets, and their placeholders.
static SHAPES: LazyLock<Vec<(Regex, &'static str)>> = LazyLock::new(|| {
    let shapes = [
        // RFC 7468, with the private half of anything, whole or cut off.
        (
            r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z)",
            "[private key]",
        ),
        // JSON Web Tokens: service accounts, OIDC.
        (r"\beyJ[\w-]+\.[\w-]+\.[\w-]*", "[token]"),
        // A bootstrap token of kubeadm: `[a-z0-9]{6}.[a-z0-9]{16}`.
        (r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b", "[token]"),
        (r"(?i)((?:--certificate-key|certificateKey:?)[ =]+)[0-9a-f]{64}", "${1}[key]"),
        // A kubeconfig's own fields, and those of a file of tokens.
        (r"((?:client-key|client-certificate|token)(?:-data)?: +)[A-Za-z0-9+/=._-]{16,}", "${1}[secret]"),
        (r"(?i)(\bbearer +)[A-Za-z0-9+/=._~-]{8,}", "${1}[secret]"),
        (
            r#"(?i)\b((?:[a-z_-]*password|[a-z_-]*secret_key|encryption_token)["']?\s*[:=]\s*["']?)[^\s"',}]+"#,
            "${1}[secret]",
        ),
        // A password in an address, or a token in the place of a user.
        (r"(://[^/\s:@]+:)[^@\s/]+@", "${1}[secret]@"),
        (r"(https?://)[^/\s:@]+@", "${1}[secret]@"),
    ];
    shapes.map(|(shape, instead)| (Regex::new(shape).expect("the shapes are constants"), instead)).into()
});

/// The text without strings that look like a secret.
pub fn redacted(text: &str) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(text);
    for (shape, instead) in SHAPES.iter() {
        if let Cow::Owned(replaced) = shape.replace_all(&text, *instead) {
            text = Cow::Owned(replaced);
        }
    }
    text
}

/// The text of a file as people are shown it: each byte of a secret's value is a `*`, so that every other byte stays at
/// its place.
pub fn masked(text: &str) -> String {
    let text = ADDRESSES.replace_all(text, |found: &Captures<'_>| {
        found["name"].to_owned() + &"*".repeat(found["value"].len()) + &found["rest"]
    });
    let masked = SECRET_SETTINGS.replace_all(&text, |found: &Captures<'_>| {
        let value = &found["value"];
        let stars = if is_secret_value(value.trim_matches(['"', '\''])) {
            value.bytes().map(|byte| if b"\"' ".contains(&byte) { char::from(byte) } else { '*' }).collect()
        } else {
            value.to_owned()
        };
        found["name"].to_owned() + &stars
    });
    masked.into_owned()
}

/// Whether the value of a variable with such a name is a secret: switches, numbers, paths, expressions and
/// encrypted values are none.
fn is_secret_value(value: &str) -> bool {
    let switch = ["true", "false", "yes", "no", "on", "off", "null", "~"];
    let prefixes = ["/", "{{", "|", ">", "!", "&", "*", "$ANSIBLE_VAULT", "[", "{"];
    !value.is_empty()
        && !switch.contains(&value.to_ascii_lowercase().as_str())
        && value.parse::<f64>().is_err()
        && !prefixes.iter().any(|prefix| value.starts_with(prefix))
}

/// Replaces the secrets in data by a word: found by the names of their keys, or by their shape.
pub fn hide(data: &mut Value) {
    walk(data, false, &mut |text| INSTEAD.clone_into(text));
    each_text(data, &mut |text| {
        if let Cow::Owned(without) = redacted(text) {
            *text = without;
        }
    });
}

fn each_text(data: &mut Value, work: &mut impl FnMut(&mut String)) {
    match data {
        Value::String(text) => work(text),
        Value::Array(items) => items.iter_mut().for_each(|item| each_text(item, work)),
        Value::Object(entries) => entries.values_mut().for_each(|value| each_text(value, work)),
        _ => {}
    }
}

/// Calls `found` with every text that is a secret by the name of its key. `inside`: whether such a name is
/// above.
fn walk(data: &mut Value, inside: bool, found: &mut impl FnMut(&mut String)) {
    match data {
        Value::String(text) if inside && is_secret_value(text) => found(text),
        Value::Array(items) => items.iter_mut().for_each(|item| walk(item, inside, found)),
        Value::Object(entries) => {
            for (name, value) in entries {
                walk(value, inside || SECRET_NAMES.is_match(name), found);
            }
        }
        _ => {}
    }
}

/// The secrets among a cluster's variables, to be taken out of texts wherever they stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Secrets {
    /// The longest first: one may be a part of another.
    values: Vec<String>,
}

impl Secrets {
    /// Those of the variables of every group.
    pub fn of(variables: &BTreeMap<String, BTreeMap<String, Value>>) -> Self {
        let mut values = Vec::new();
        for (name, value) in variables.values().flatten() {
            walk(&mut value.clone(), SECRET_NAMES.is_match(name), &mut |text| {
                values.push(text.clone());
                values.extend(text.lines().filter(|line| line.len() >= MIN_LINE_LENGTH).map(str::to_owned));
            });
        }
        // Events are JSON, in which some characters are written in another way.
        let escaped = |text: &String| {
            let json = Value::from(text.as_str()).to_string();
            json[1..json.len() - 1].to_owned()
        };
        values.extend(values.iter().map(escaped).collect::<Vec<_>>());
        values.retain(|value| value.len() >= MIN_VALUE_LENGTH);
        values.sort_by(|one, other| other.len().cmp(&one.len()).then(one.cmp(other)));
        values.dedup();
        Self { values }
    }

    /// The text without these, and without strings that look like a secret.
    pub fn redacted<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(text);
        for value in &self.values {
            if text.contains(value.as_str()) {
                text = Cow::Owned(text.replace(value.as_str(), INSTEAD));
            }
        }
        match text {
            Cow::Borrowed(text) => redacted(text),
            Cow::Owned(text) => Cow::Owned(redacted(&text).into_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn variables(group: Value) -> BTreeMap<String, BTreeMap<String, Value>> {
        serde_json::from_value(json!({ "all": group })).unwrap()
    }

    #[test]
    fn redaction_removes_values_of_secret_variables_everywhere() {
        let secrets = Secrets::of(&variables(json!({
            "containerd_registry_auth": [{"registry": "registry.example.com", "username": "robot", "password": "hunter2-and-more"}],
            "kube_encrypt_token": "hunter2",
            "minio_secret_key": "with \"quotes\"",
            "vault_ca_private_key": "first line that is long enough\nsecond line that is long enough",
            "kube_token_auth": true,
            "kube_encrypt_secret_data": "true",
            "grafana_admin_password": "{{ lookup('file', 'x') }}",
            "short_password": "abc",
        })));
        for (text, expected) in [
            ("robot has hunter2-and-more", "robot has [secret]"),
            ("sh -c 'echo hunter2'", "sh -c 'echo [secret]'"),
            (r#"{"stderr": "with \"quotes\""}"#, r#"{"stderr": "[secret]"}"#),
            ("it has second line that is long enough.", "it has [secret]."),
            ("registry.example.com is true, abc", "registry.example.com is true, abc"),
            ("git clone https://me:other@example.org/x", "git clone https://me:[secret]@example.org/x"),
        ] {
            assert_eq!(secrets.redacted(text), expected);
        }
    }

    #[test]
    fn data_is_shown_without_its_secrets() {
        let mut data = json!({"name": "a", "kubespray": {"variables": {"all": {
            "auth": [{"username": "robot", "password": "hunter2"}], "url": "https://me:hunter2@host/", "tokens": ["abc", true, "/a/path"],
        }}}});
        hide(&mut data);
        let all = &data["kubespray"]["variables"]["all"];
        assert_eq!(all["auth"], json!([{"username": "robot", "password": "[secret]"}]));
        assert_eq!(all["url"], "https://me:[secret]@host/");
        assert_eq!(all["tokens"], json!(["[secret]", true, "/a/path"]));
    }

    #[rstest]
    #[case("  minio_secret_key: hunter2", "  minio_secret_key: *******")]
    #[case("  \"db_password\": \"hunter 2\", # why", "  \"db_password\": \"****** *\", # why")]
    #[case(
        "- {registry: r.example.com, password: hunter2}",
        "- {registry: r.example.com, password: *******}"
    )]
    #[case("password: \"a \\\"hunter2\\\" b\"", "password: \"* *\"********\" *\"")]
    #[case("password: 'it''s hunter2'", "password: '**''* *******'")]
    #[case("node ansible_become_pass=hunter2", "node ansible_become_pass=*******")]
    #[case("ä_token: hünter2", "ä_token: ********")]
    #[case("url: https://me:hunter2@host/", "url: https://me:*******@host/")]
    #[case("kube_token_auth: true", "kube_token_auth: true")]
    #[case("password: '{{ other }}'", "password: '{{ other }}'")]
    #[case("password: !vault |", "password: !vault |")]
    #[case("tokens:", "tokens:")]
    #[case("pass: through", "pass: through")]
    fn redaction_hides_value_in_line(#[case] line: &str, #[case] expected: &str) {
        assert_eq!(masked(line), expected);
        assert_eq!(masked(line).len(), line.len());
    }

    #[rstest]
    #[case(
        "kubeadm join 10.0.0.1:6443 --token abcdef.0123456789abcdef x",
        "kubeadm join 10.0.0.1:6443 --token [token] x"
    )]
    #[case(
        "--certificate-key 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef end",
        "--certificate-key [key] end"
    )]
    #[case(
        "a\n-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----\nb",
        "a\n[private key]\nb"
    )]
    #[case("-----BEGIN PRIVATE KEY-----\nMII cut", "[private key]")]
    #[case("Authorization: Bearer abc.def-ghi_jkl", "Authorization: Bearer [secret]")]
    #[case("token eyJhbGciOi.eyJpc3Mi.c2ln.", "token [token].")]
    #[case("    client-key-data: TUlJRXBBSUJBQUtDQVFFQQ==", "    client-key-data: [secret]")]
    #[case("git clone https://me:hunter2@example.org/x", "git clone https://me:[secret]@example.org/x")]
    #[case("git clone https://ghp_hunter2@example.org/x", "git clone https://[secret]@example.org/x")]
    #[case("{\"db_password\": \"hunter2\", \"a\": 1}", "{\"db_password\": \"[secret]\", \"a\": 1}")]
    #[case("etcd_password=hunter2 b", "etcd_password=[secret] b")]
    fn redaction_removes_strings_like_secrets(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(redacted(text), expected);
    }

    #[rstest]
    #[case("sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")]
    #[case("registry.k8s.io/kube-apiserver:v1.34.3")]
    #[case("-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----")]
    #[case("http://192.168.200.1:8080/dl.k8s.io/release@x")]
    #[case("a password is required")]
    fn redaction_keeps_other_text(#[case] text: &str) {
        assert_eq!(redacted(text), text);
    }
}
