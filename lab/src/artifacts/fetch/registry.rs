//! Images from registries, by the distribution protocol of the OCI: manifests, tokens for anybody, blobs.
//!
//! A registry on this computer itself (`localhost`, 127.0.0.0/8) is spoken to without TLS, as container engines do.

use std::collections::BTreeMap;
use std::sync::Mutex;

use oci_spec::image::{Arch, Descriptor, ImageIndex, ImageManifest, MediaType, Os, ToDockerV2S2 as _};
use reqwest::{Method, StatusCode};
use serde::Deserialize;

use crate::artifacts::store::{Blob, Digest, Writer};

use super::http::{Ask, Client, FetchError, refused};

/// What Docker's hub is called in references, and where its registry is (github.com/distribution/reference,
/// normalize.go).
const HUB: &str = "docker.io";
const HUB_REGISTRY: &str = "registry-1.docker.io";

/// The media types of a [`Document`].
const KINDS: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json";

/// An image's name, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference {
    pub registry: String,
    pub repository: String,
    /// A tag or a digest.
    pub tag: String,
}

impl Reference {
    /// `registry.k8s.io/pause:3.10.1`, `busybox`, `quay.io/x/y:v1@sha256:…`; `None` if it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(Digest::parse(digest)?.oci())),
            None => (text, None),
        };
        let (registry, rest) = match name.split_once('/') {
            Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => {
                (first, rest.to_owned())
            }
            Some(_) => (HUB, name.to_owned()),
            None => (HUB, format!("library/{name}")),
        };
        let (repository, tag) = match rest.rsplit_once(':') {
            Some((repository, tag)) => (repository.to_owned(), tag.to_owned()),
            None => (rest, "latest".to_owned()),
        };
        let repository = if registry == HUB && !repository.contains('/') {
            format!("library/{repository}")
        } else {
            repository
        };
        let good = |text: &str, more: &str| {
            !text.is_empty()
                && !text.split('/').any(|part| part.is_empty() || part == "." || part == "..")
                && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
        };
        let whole = good(registry, ".:-[]") && good(&repository, "._-/") && good(&tag, "._-");
        let tag = digest.unwrap_or(tag);
        whole.then(|| Self { registry: registry.to_owned(), repository, tag })
    }

    fn base(&self) -> String {
        let host = if self.registry == HUB { HUB_REGISTRY } else { &self.registry };
        let scheme = if is_here(host) { "http" } else { "https" };
        format!("{scheme}://{host}/v2/{}", self.repository)
    }
}

fn is_here(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name == "localhost" || name.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

/// The answer of a registry. Docker's kinds have the shapes of the OCI's.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Document {
    Index(Box<ImageIndex>),
    Manifest(Box<ImageManifest>),
}

impl Document {
    /// Reads a document, and its media type: its own, or the server's `content_type`; `None` if neither is one of images.
    ///
    /// # Errors
    /// With the reason why it is no document, or one that contradicts its media type.
    fn parse(bytes: &[u8], content_type: &str) -> Result<(Self, Option<MediaType>), String> {
        let document = serde_json::from_slice(bytes).map_err(|_| "it lists neither images nor layers")?;
        let (own, expected) = match &document {
            Self::Index(index) => (index.media_type(), MediaType::ImageIndex),
            Self::Manifest(manifest) => (manifest.media_type(), MediaType::ImageManifest),
        };
        let kind =
            own.clone().unwrap_or_else(|| content_type.split(';').next().unwrap_or_default().trim().into());
        let is_expected = kind == expected || expected.to_docker_v2s2() == Ok(kind.as_ref());
        if !is_expected && ["image", "manifest"].iter().any(|word| kind.as_ref().contains(word)) {
            return Err(format!("it is of the media type `{kind}`"));
        }
        Ok((document, is_expected.then_some(kind)))
    }
}

/// An image whose manifests were read and whose other blobs may be missing.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub reference: Reference,
    pub index: Option<Digest>,
    pub manifest: Digest,
    pub media_type: String,
    /// Index and manifest: they are in the store.
    pub read: Vec<Blob>,
    /// Configuration and layers, each once.
    pub rest: Vec<Blob>,
}

/// Tokens for anybody, by registry and repository.
#[derive(Debug, Default)]
pub(super) struct Tokens(Mutex<BTreeMap<String, String>>);

impl Tokens {
    fn get(&self, base: &str) -> Option<String> {
        self.0.lock().expect("no holder of this lock panics").get(base).cloned()
    }

    /// What to ask for, with the token that the repository wants.
    pub fn ask(&self, reference: &Reference, path: &str) -> Ask {
        let base = reference.base();
        Ask { authorization: self.get(&base), ..Ask::new(format!("{base}/{path}")) }
    }
}

/// Reads the manifests of an image. `pinned` is the digest that it must have.
pub(super) async fn find(
    client: &Client,
    tokens: &Tokens,
    writer: &Writer,
    reference: &Reference,
    architecture: &str,
    pinned: Option<&Digest>,
) -> Result<Found, FetchError> {
    let wanted = pinned.map_or_else(|| reference.tag.clone(), Digest::oci);
    let asked = pinned.cloned().or_else(|| Digest::parse(&reference.tag));
    let (first, kind, document) = read(client, tokens, writer, reference, &wanted, asked.as_ref()).await?;
    let index = match document {
        Document::Manifest(manifest) => {
            return found(reference, None, first.clone(), kind, &manifest, vec![first]);
        }
        Document::Index(index) => index,
    };
    let fits = |one: &&Descriptor| {
        let platform = one.platform().as_ref();
        platform.is_some_and(|one| *one.os() == Os::Linux && *one.architecture() == Arch::from(architecture))
    };
    let Some(ours) = index.manifests().iter().find(fits) else {
        return Err(FetchError::Refused(format!(
            "{} has no image for linux on {architecture}",
            reference.repository
        )));
    };
    let digest = digest(ours)?;
    let (manifest, kind, document) =
        read(client, tokens, writer, reference, &digest.oci(), Some(&digest)).await?;
    let Document::Manifest(parsed) = document else {
        return Err(FetchError::Refused(format!("an image of {} is an index itself", reference.repository)));
    };
    let kind = kind.or_else(|| Some(ours.media_type().clone()));
    found(reference, Some(first.sha256.clone()), manifest.clone(), kind, &parsed, vec![first, manifest])
}

fn found(
    reference: &Reference,
    index: Option<Digest>,
    manifest: Blob,
    kind: Option<MediaType>,
    parsed: &ImageManifest,
    read: Vec<Blob>,
) -> Result<Found, FetchError> {
    let mut rest: Vec<Blob> = Vec::new();
    for one in std::iter::once(parsed.config()).chain(parsed.layers()) {
        let blob = Blob { sha256: digest(one)?, size: one.size() };
        if !rest.contains(&blob) {
            rest.push(blob);
        }
    }
    let media_type = kind.unwrap_or(MediaType::ImageManifest).to_string();
    Ok(Found { reference: reference.clone(), index, manifest: manifest.sha256, media_type, read, rest })
}

fn digest(of: &Descriptor) -> Result<Digest, FetchError> {
    let text = of.digest().as_ref();
    Digest::parse(text).ok_or_else(|| FetchError::Refused(format!("`{text}` is no SHA-256 digest")))
}

/// One document, kept in the store: its blob, its kind if stated, and its contents.
async fn read(
    client: &Client,
    tokens: &Tokens,
    writer: &Writer,
    reference: &Reference,
    wanted: &str,
    expected: Option<&Digest>,
) -> Result<(Blob, Option<MediaType>, Document), FetchError> {
    let path = format!("manifests/{wanted}");
    let mut ask = Ask { accept: Some(KINDS), ..tokens.ask(reference, &path) };
    let mut answer = client.send(Method::GET, &ask, 0).await?;
    if answer.status() == StatusCode::UNAUTHORIZED && ask.authorization.is_none() {
        let challenge = answer.headers().get(reqwest::header::WWW_AUTHENTICATE);
        let challenge = challenge.and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let token = token(client, reference, &challenge).await?;
        tokens.0.lock().expect("no holder of this lock panics").insert(reference.base(), token.clone());
        ask.authorization = Some(token);
        answer = client.send(Method::GET, &ask, 0).await?;
    }
    if !answer.status().is_success() {
        return Err(refused(&answer));
    }
    let content_type = answer.headers().get(reqwest::header::CONTENT_TYPE).cloned();
    let bytes = client.body(answer).await?;
    let found = Digest::of(&bytes);
    if let Some(expected) = expected.filter(|expected| **expected != found) {
        return Err(FetchError::Refused(format!(
            "the manifest of {} has the digest {found}, not {expected}",
            reference.repository
        )));
    }
    let content_type = content_type.as_ref().and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (document, kind) = Document::parse(&bytes, content_type).map_err(|why| {
        FetchError::Refused(format!("{} is not answered for with a manifest: {why}", ask.url))
    })?;
    Ok((writer.put_bytes(&bytes)?, kind, document))
}

/// A token for anybody (distribution.github.io/distribution/spec/auth/token), as a value of the header.
async fn token(client: &Client, reference: &Reference, challenge: &str) -> Result<String, FetchError> {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(default)]
        token: String,
        #[serde(default)]
        access_token: String,
    }
    let private = || {
        FetchError::Refused(format!(
            "{} does not let everybody have {}",
            reference.registry, reference.repository
        ))
    };
    let fields = challenge_fields(challenge).ok_or_else(private)?;
    let realm = fields.get("realm").ok_or_else(private)?;
    let mut url = reqwest::Url::parse(realm).map_err(|_| private())?;
    let scope = format!("repository:{}:pull", reference.repository);
    if let Some(service) = fields.get("service") {
        url.query_pairs_mut().append_pair("service", service);
    }
    url.query_pairs_mut().append_pair("scope", fields.get("scope").unwrap_or(&scope));
    let answer = client.send(Method::GET, &Ask::new(url), 0).await?;
    if !answer.status().is_success() {
        return Err(private());
    }
    let answer: Answer = serde_json::from_slice(&client.body(answer).await?).map_err(|_| private())?;
    let token = if answer.token.is_empty() { answer.access_token } else { answer.token };
    if token.is_empty() { Err(private()) } else { Ok(format!("Bearer {token}")) }
}

/// `Bearer realm="…",service="…"`; commas may stand inside quotes.
fn challenge_fields(challenge: &str) -> Option<BTreeMap<String, String>> {
    let (scheme, mut rest) = challenge.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let mut fields = BTreeMap::new();
    while let Some((name, after)) = rest.split_once('=') {
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_once(',').unwrap_or((after, "")),
        };
        fields.insert(name.trim_matches([' ', ',']).to_owned(), value.to_owned());
        rest = after;
    }
    Some(fields)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    const DOCKER: &str = "application/vnd.docker.distribution.manifest.v2+json";
    const OCI: &str = "application/vnd.oci.image.manifest.v1+json";

    #[rstest::rstest]
    #[case("registry.k8s.io/pause:3.10.1", "https://registry.k8s.io/v2/pause", "3.10.1")]
    #[case("quay.io/calico/node:v3.30.6", "https://quay.io/v2/calico/node", "v3.30.6")]
    #[case(
        "docker.io/cloudnativelabs/kube-router:v2.1.1",
        "https://registry-1.docker.io/v2/cloudnativelabs/kube-router",
        "v2.1.1"
    )]
    #[case("docker.io/busybox", "https://registry-1.docker.io/v2/library/busybox", "latest")]
    #[case(
        "rancher/local-path-provisioner:v0.0.32",
        "https://registry-1.docker.io/v2/rancher/local-path-provisioner",
        "v0.0.32"
    )]
    #[case("registry.lab:5000/kubernetes/pause:1", "https://registry.lab:5000/v2/kubernetes/pause", "1")]
    #[case("127.0.0.1:5000/pause:1", "http://127.0.0.1:5000/v2/pause", "1")]
    fn reference_resolves_to_registry(#[case] text: &str, #[case] base: &str, #[case] tag: &str) {
        let reference = Reference::parse(text).unwrap();
        assert_eq!((reference.base().as_str(), reference.tag.as_str()), (base, tag));
    }

    #[rstest::rstest]
    #[case("")]
    #[case("registry.k8s.io/")]
    #[case("registry.k8s.io/../x:1")]
    #[case("registry.k8s.io/x y:1")]
    #[case("registry.k8s.io/x:1?y")]
    #[case("x@sha256:1")]
    fn invalid_reference_is_refused(#[case] text: &str) {
        assert_eq!(Reference::parse(text), None);
    }

    #[rstest::rstest]
    #[case::list_of_docker("manifests", Some(LIST), "", Ok(Some(LIST)))]
    #[case::manifest_of_docker("layers", Some(DOCKER), "application/json", Ok(Some(DOCKER)))]
    #[case::header_of_a_server("layers", None, &format!("{OCI}; charset=utf-8"), Ok(Some(OCI)))]
    #[case::no_media_type("manifests", None, "application/json", Ok(None))]
    #[case::another_media_type(
        "manifests",
        Some(OCI),
        "",
        Err("it is of the media type `application/vnd.oci.image.manifest.v1+json`")
    )]
    #[case::no_list("fsLayers", Some(OCI), "", Err("it lists neither images nor layers"))]
    fn document_has_its_own_media_type_or_the_server_s(
        #[case] list: &str,
        #[case] own: Option<&str>,
        #[case] content_type: &str,
        #[case] expected: Result<Option<&str>, &str>,
    ) {
        // Docker's hub sends fields that the specification does not know, and platforms that nothing runs on.
        let platform = json!({"architecture": "unknown", "os": "windows", "os.version": "10.0.17763.2114", "features": ["sse4"]});
        let one = json!({"mediaType": DOCKER, "size": 7, "digest": format!("sha256:{}", "a".repeat(64)), "urls": [], "platform": platform});
        let text = json!({"schemaVersion": 2, "mediaType": own, "config": one, list: [one]}).to_string();
        let kind =
            Document::parse(text.as_bytes(), content_type).map(|(_, kind)| kind.map(|kind| kind.to_string()));
        assert_eq!(kind.as_ref().map(Option::as_deref).map_err(String::as_str), expected);
    }

    #[test]
    fn challenge_is_parsed() {
        let challenge = r#"Bearer realm="https://auth.x/token",service="x",scope="repository:a:pull,push""#;
        let fields = challenge_fields(challenge).unwrap();
        assert_eq!(fields["realm"], "https://auth.x/token");
        assert_eq!(fields["scope"], "repository:a:pull,push");
        assert_eq!(challenge_fields("Basic realm=\"x\""), None);
        assert_eq!(challenge_fields("Bearer realm=\"x"), None);
    }
}
