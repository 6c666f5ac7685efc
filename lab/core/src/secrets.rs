//! What looks like a secret in a text, and the text without it: for logs, reports and what is collected after a
//! failure. A net behind the rule that secrets are not written in the first place; it knows shapes, not values.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

/// Shapes of secrets, and what stands in their place.
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
        // A password in an address.
        (r"(://[^/\s:@]+:)[^@\s/]+@", "${1}[secret]@"),
    ];
    shapes.map(|(shape, instead)| (Regex::new(shape).expect("the shapes are constants"), instead)).into()
});

/// The text without what looks like a secret.
#[must_use]
pub fn redacted(text: &str) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(text);
    for (shape, instead) in SHAPES.iter() {
        if let Cow::Owned(replaced) = shape.replace_all(&text, *instead) {
            text = Cow::Owned(replaced);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

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
    #[case("{\"db_password\": \"hunter2\", \"a\": 1}", "{\"db_password\": \"[secret]\", \"a\": 1}")]
    #[case("etcd_password=hunter2 b", "etcd_password=[secret] b")]
    fn what_looks_like_a_secret_is_taken_out(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(redacted(text), expected);
    }

    #[rstest]
    #[case("sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")]
    #[case("registry.k8s.io/kube-apiserver:v1.34.3")]
    #[case("-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----")]
    #[case("http://192.168.200.1:8080/dl.k8s.io/release@x")]
    #[case("a password is required")]
    fn what_is_none_stays(#[case] text: &str) {
        assert_eq!(redacted(text), text);
    }
}
