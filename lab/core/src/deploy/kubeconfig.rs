//! Kubeconfigs: from the one that Kubespray leaves on a control plane to the one for people, and a context of it in a
//! file that people have already.
//!
//! Texts in, texts out. Their secrets are never part of an error.
//!
//! The shape is Kubernetes' "Organizing Cluster Access Using kubeconfig Files"; a client takes any field for optional.

use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Why a kubeconfig could not be used. Names the place, never its content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KubeconfigError {
    /// It is no YAML, or not of this shape.
    #[error("it is no kubeconfig: {0}")]
    Shape(String),
    /// A part of it is missing.
    #[error("it has no {0}")]
    Missing(&'static str),
    /// It has something else under the name that is to be added.
    #[error("it has another {kind} named `{name}`")]
    Taken {
        /// `context`, `cluster` or `user`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
}

/// The credentials of a client, each as base64 of PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    authority: String,
    certificate: String,
    key: String,
}

#[derive(Deserialize)]
struct Admin {
    #[serde(default)]
    clusters: Vec<AdminCluster>,
    #[serde(default)]
    users: Vec<AdminUser>,
}

#[derive(Deserialize)]
struct AdminCluster {
    cluster: Authority,
}

#[derive(Deserialize)]
struct Authority {
    #[serde(rename = "certificate-authority-data")]
    data: Option<String>,
}

#[derive(Deserialize)]
struct AdminUser {
    user: ClientCertificate,
}

#[derive(Deserialize)]
struct ClientCertificate {
    #[serde(rename = "client-certificate-data")]
    certificate: Option<String>,
    #[serde(rename = "client-key-data")]
    key: Option<String>,
}

impl Credentials {
    /// Those of `/etc/kubernetes/admin.conf`, which kubeadm writes.
    ///
    /// # Errors
    /// When it is something else.
    pub fn of_admin(text: &str) -> Result<Self, KubeconfigError> {
        let Admin { clusters, users } = parse(text)?;
        let cluster = clusters.into_iter().next().ok_or(KubeconfigError::Missing("cluster"))?.cluster;
        let user = users.into_iter().next().ok_or(KubeconfigError::Missing("user"))?.user;
        Ok(Self {
            authority: cluster.data.ok_or(KubeconfigError::Missing("certificate-authority-data"))?,
            certificate: user.certificate.ok_or(KubeconfigError::Missing("client-certificate-data"))?,
            key: user.key.ok_or(KubeconfigError::Missing("client-key-data"))?,
        })
    }

    fn entries(&self, name: &str, server: &str) -> [(&'static str, &'static str, Value); 3] {
        let Self { authority, certificate, key } = self;
        let user = format!("{name}-admin");
        [
            (
                "clusters",
                "cluster",
                json!({ "name": name, "cluster": { "certificate-authority-data": authority, "server": server } }),
            ),
            (
                "users",
                "user",
                json!({ "name": user, "user": { "client-certificate-data": certificate, "client-key-data": key } }),
            ),
            ("contexts", "context", json!({ "name": name, "context": { "cluster": name, "user": user } })),
        ]
    }

    /// A kubeconfig of its own, with one context of this name.
    ///
    /// # Errors
    /// Never in practice: plain values have a YAML form.
    pub fn text(&self, name: &str, server: &str) -> Result<String, KubeconfigError> {
        merged("", name, server, self).map(|merged| merged.text)
    }
}

/// The result of adding a context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// The whole new text.
    pub text: String,
    /// Whether anything is other than it was.
    pub changed: bool,
    /// Whether the context is the one that `kubectl` takes now.
    pub current: bool,
}

/// Adds a context to a kubeconfig that may be empty. Its content stays; the current context becomes ours only
/// where there was none. Comments are lost, as kubectl loses them.
///
/// # Errors
/// When the text is no kubeconfig, or has something else under one of the names.
pub fn merged(
    text: &str,
    name: &str,
    server: &str,
    credentials: &Credentials,
) -> Result<Merged, KubeconfigError> {
    let mut whole: Map<String, Value> = if text.trim().is_empty() { Map::new() } else { parse(text)? };
    let mut changed = false;
    for (list, kind, entry) in credentials.entries(name, server) {
        let place = whole.entry(list).or_insert(Value::Null);
        if place.is_null() {
            *place = json!([]);
        }
        let entries =
            place.as_array_mut().ok_or_else(|| KubeconfigError::Shape(format!("`{list}` is no list")))?;
        match entries.iter().find(|one| one["name"] == entry["name"]) {
            Some(found) if *found == entry => {}
            Some(_) => {
                let name = entry["name"].as_str().unwrap_or_default().to_owned();
                return Err(KubeconfigError::Taken { kind, name });
            }
            None => {
                entries.push(entry);
                changed = true;
            }
        }
    }
    whole.entry("apiVersion").or_insert_with(|| json!("v1"));
    whole.entry("kind").or_insert_with(|| json!("Config"));
    let current = whole.entry("current-context").or_insert(Value::Null);
    if current.as_str().is_none_or(str::is_empty) {
        *current = json!(name);
        changed = true;
    }
    let current = *current == json!(name);
    let text = serde_saphyr::to_string(&whole)
        .map_err(|_| KubeconfigError::Shape("it cannot be written again".to_owned()))?;
    Ok(Merged { text, changed, current })
}

/// The address at which a kubeconfig's first cluster is reached.
///
/// # Errors
/// When it is no kubeconfig or has no cluster.
pub fn server(text: &str) -> Result<String, KubeconfigError> {
    let whole: Value = parse(text)?;
    let server = whole["clusters"][0]["cluster"]["server"].as_str();
    server.map(str::to_owned).ok_or(KubeconfigError::Missing("server"))
}

fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, KubeconfigError> {
    // The reader's own message shows the line, which may be a key.
    serde_saphyr::from_str(text).map_err(|error| {
        let place = error.location().map(|place| format!("line {}", place.line())).unwrap_or_default();
        KubeconfigError::Shape(if place.is_empty() { "it is not of that shape".to_owned() } else { place })
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const ADMIN: &str = "\
apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: QQ==
    server: https://127.0.0.1:6443
  name: cluster.local
contexts:
- context: {cluster: cluster.local, user: kubernetes-admin}
  name: kubernetes-admin@cluster.local
current-context: kubernetes-admin@cluster.local
kind: Config
users:
- name: kubernetes-admin
  user:
    client-certificate-data: Qg==
    client-key-data: Qw==
";
    const USERS: &str = "\
# mine
apiVersion: v1
kind: Config
preferences: {colors: true}
current-context: work
clusters:
- name: work
  cluster: {server: https://work.example:6443, insecure-skip-tls-verify: true}
contexts:
- name: work
  context: {cluster: work, user: me, namespace: \"2024\"}
users:
- name: me
  user:
    exec: {apiVersion: client.authentication.k8s.io/v1, command: login, args: [--yes, \"no\"]}
";

    fn credentials() -> Credentials {
        Credentials::of_admin(ADMIN).unwrap()
    }

    #[test]
    fn kubeconfig_of_lab_has_one_context() {
        insta::assert_snapshot!(credentials().text("lab-quick", "https://127.0.0.1:16443").unwrap());
    }

    #[test]
    fn kubeconfig_keeps_content_when_context_is_added() {
        let merged = merged(USERS, "lab-quick", "https://127.0.0.1:16443", &credentials()).unwrap();
        insta::assert_snapshot!(merged.text);
        assert_eq!((merged.changed, merged.current), (true, false));
        let (before, mut after): (Value, Value) = (parse(USERS).unwrap(), parse(&merged.text).unwrap());
        for list in ["clusters", "contexts", "users"] {
            after[list].as_array_mut().unwrap().pop();
        }
        assert_eq!(before, after, "the rest is unchanged");
    }

    #[test]
    fn adding_it_again_changes_nothing_and_another_one_of_that_name_is_kept() {
        let once = merged(USERS, "lab-quick", "https://127.0.0.1:16443", &credentials()).unwrap();
        let twice = merged(&once.text, "lab-quick", "https://127.0.0.1:16443", &credentials()).unwrap();
        assert_eq!((twice.text, twice.changed), (once.text.clone(), false));
        let other = merged(&once.text, "lab-quick", "https://127.0.0.1:1", &credentials());
        assert_eq!(other, Err(KubeconfigError::Taken { kind: "cluster", name: "lab-quick".to_owned() }));
    }

    #[test]
    fn it_says_where_it_is_reached() {
        assert_eq!(server(ADMIN).unwrap(), "https://127.0.0.1:6443");
    }

    #[rstest]
    #[case::text("secret", "it is no kubeconfig: line 1")]
    #[case::empty("a: 1", "it has no cluster")]
    #[case::no_user("clusters: [{cluster: {}}]", "it has no user")]
    #[case::no_key(
        "clusters: [{cluster: {certificate-authority-data: QQ==}}]\nusers: [{user: {client-certificate-data: Qg==}}]",
        "it has no client-key-data"
    )]
    #[case::broken("clusters: [{cluster: SECRET}]", "it is no kubeconfig: line 1")]
    fn kubeconfig_refuses_invalid_text_without_showing_it(#[case] text: &str, #[case] expected: &str) {
        let Err(error) = Credentials::of_admin(text) else { panic!("{text} is none") };
        assert_eq!(error.to_string(), expected);
    }
}
