//! The real helm, from the store, with the lab's kubeconfig and settings of its own: what it is asked, what it answers.
//!
//! Knows releases, not the GPU Operator. Reads and writes none of the user's own settings of helm.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Deserialize;

use crate::artifacts::lock::Item;
use crate::artifacts::look::{State, held};
use crate::artifacts::store::Store;
use crate::cluster::kubeconfig::inner_server;
use crate::cx::Cx;
use crate::failure::{Failure, FailureKind};
use crate::files;
use crate::lab::{Lab, Reached};
use crate::process::{Invocation, Output, invocation};
use crate::timeouts::{HELM_CHANGE_TIMEOUT, HELM_LOOK_TIMEOUT};
use crate::wait::Deadline;

/// The label of releases that a lab made, in helm's own record of them.
const OURS: &str = "lab.release";
/// The state of a release that helm installed to its end.
pub const DEPLOYED: &str = "deployed";

/// helm on a lab's cluster.
pub struct Helm<'a> {
    cx: &'a Cx,
    lab: &'a Lab,
    reached: Reached,
    program: PathBuf,
}

/// A release, as `helm list` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Release {
    /// Its name.
    pub name: String,
    /// Where it lives.
    pub namespace: String,
    /// A number, as text.
    pub revision: String,
    /// `deployed`, `failed`, `pending-install` and the like.
    pub status: String,
    /// Name and version of its chart, `gpu-operator-v25.3.4`.
    pub chart: String,
}

impl Release {
    /// Whether an ended command left it in the middle of a change. helm then refuses every other one.
    pub fn is_cut_off(&self) -> bool {
        self.status.starts_with("pending-")
    }

    /// The object that records this revision (helm's storage driver `secret`).
    pub fn record(&self) -> String {
        format!("sh.helm.release.v1.{}.v{}", self.name, self.revision)
    }
}

impl<'a> Helm<'a> {
    /// helm, where the store has it.
    ///
    /// # Errors
    /// When the store lacks it, or its archive holds no helm.
    pub fn find(cx: &'a Cx, lab: &'a Lab, reached: &Reached, item: &Item) -> anyhow::Result<Self> {
        Ok(Self { cx, lab, reached: reached.clone(), program: program(cx, lab, item)? })
    }

    /// Every release of the cluster in any state.
    ///
    /// # Errors
    /// When helm cannot ask the cluster.
    pub async fn releases(&self) -> anyhow::Result<Vec<Release>> {
        self.list(&[]).await
    }

    /// Those that a lab made.
    ///
    /// # Errors
    /// As [`Self::releases`].
    pub async fn own_releases(&self) -> anyhow::Result<Vec<Release>> {
        self.list(&["--selector", &format!("{OURS}={}", self.lab.spec.name)]).await
    }

    async fn list(&self, words: &[&str]) -> anyhow::Result<Vec<Release>> {
        let words = ["list", "--all", "--all-namespaces", "--output", "json"].iter().chain(words);
        let text = self.read(words).await?;
        serde_json::from_str(&text).context("helm lists its releases in a form that is not known")
    }

    /// The values that a release was given, as JSON.
    ///
    /// # Errors
    /// When helm cannot ask the cluster.
    pub async fn values(&self, release: &Release) -> anyhow::Result<serde_json::Value> {
        let words = ["get", "values", &release.name, "--namespace", &release.namespace, "--output", "json"];
        let text = self.read(words).await?;
        serde_json::from_str(&text).context("helm shows values that are no JSON")
    }

    /// The definitions of a chart's own kinds, with those of the charts in it, as YAML.
    ///
    /// # Errors
    /// When the chart cannot be read.
    pub async fn definitions(&self, chart: &Path) -> anyhow::Result<String> {
        self.read([OsStr::new("show"), OsStr::new("crds"), chart.as_os_str()]).await
    }

    /// Installs a chart or upgrades its release, and waits for nothing. `skip` its definitions of kinds: they are there.
    ///
    /// # Errors
    /// With what helm says.
    pub async fn apply(
        &self,
        name: &str,
        namespace: &str,
        chart: &Path,
        values: &Path,
    ) -> anyhow::Result<()> {
        let label = format!("{OURS}={}", self.lab.spec.name);
        let call = self
            .call()
            .args(["upgrade", "--install", name])
            .arg(chart)
            .args(["--namespace", namespace, "--skip-crds", "--labels", &label, "--history-max", "5"])
            .arg("--values")
            .arg(values);
        self.change(&call, &format!("helm could not install `{name}`")).await
    }

    /// Goes back to the revision before, or takes the release away if there is none.
    ///
    /// # Errors
    /// With what helm says.
    pub async fn undo(&self, name: &str, namespace: &str, had_release: bool) -> anyhow::Result<()> {
        if had_release {
            let call = self.call().args(["rollback", name, "--namespace", namespace]);
            return self.change(&call, &format!("helm could not roll `{name}` back")).await;
        }
        self.remove(name, namespace).await
    }

    /// Takes a release away, and waits until its objects are gone.
    ///
    /// # Errors
    /// With what helm says.
    pub async fn remove(&self, name: &str, namespace: &str) -> anyhow::Result<()> {
        let words = ["uninstall", name, "--namespace", namespace, "--ignore-not-found", "--wait"];
        self.change(&self.call().args(words), &format!("helm could not remove `{name}`")).await
    }

    async fn read<A: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = A>) -> anyhow::Result<String> {
        let deadline = Deadline::after(HELM_LOOK_TIMEOUT.base());
        Ok(self.reached.inside(&self.call().args(words)).read(&self.cx.cancel, deadline).await?)
    }

    async fn change(&self, call: &Invocation, what: &str) -> anyhow::Result<()> {
        let deadline = Deadline::after(HELM_CHANGE_TIMEOUT.base());
        let Output { status, stderr, .. } =
            self.reached.inside(call).output(&self.cx.cancel, deadline).await?;
        if status.success() {
            return Ok(());
        }
        let said = stderr.trim().trim_start_matches("Error: ").to_owned();
        Err(anyhow::anyhow!(said).context(Failure::new(FailureKind::Deploy, what)))
    }

    fn call(&self) -> Invocation {
        let own = self.lab.files.gpu_operator().helm();
        let server = inner_server(self.lab).unwrap_or_default();
        invocation(&self.program)
            .arg("--kubeconfig")
            .arg(self.lab.files.kubeconfig())
            .args(["--kube-apiserver", &server])
            .env("HELM_CACHE_HOME", own.join("cache"))
            .env("HELM_CONFIG_HOME", own.join("config"))
            .env("HELM_DATA_HOME", own.join("data"))
            .env("HELM_DRIVER", "secret")
            // A plugin, a context or a namespace of the user's is none of this cluster's.
            .env("HELM_NAMESPACE", "")
            .env("HELM_KUBECONTEXT", "")
            .env("HELM_PLUGINS", own.join("plugins"))
    }
}

/// helm, unpacked from its archive in the store.
fn program(cx: &Cx, lab: &Lab, item: &Item) -> anyhow::Result<PathBuf> {
    let store = Store::open(&cx.layout);
    let held = held(&store, item)?;
    let blob = held.blobs.first().filter(|_| held.state == State::Present).with_context(|| {
        let words = lab.cluster_words(cx);
        Failure::new(FailureKind::Plan, "helm is not among the artefacts of the store").hint(format!(
            "`cargo xtask artifacts fetch {words}` or `cargo xtask artifacts build {words}` gets it"
        ))
    })?;
    let folder = lab.files.gpu_operator().helm();
    let place = folder.join(format!("helm-{}", &blob.sha256.hex()[..16]));
    if place.is_file() {
        return Ok(place);
    }
    files::make_folder(&folder)?;
    let archive = flate2::read::GzDecoder::new(std::fs::File::open(store.path(&blob.sha256))?);
    for entry in tar::Archive::new(archive).entries()? {
        let mut entry = entry?;
        if entry.path()?.file_name() != Some(OsStr::new("helm")) {
            continue;
        }
        let mut copy = tempfile::NamedTempFile::new_in(&folder)?;
        std::io::copy(&mut entry, &mut copy)?;
        copy.as_file().set_permissions(std::fs::Permissions::from_mode(0o755))?;
        copy.persist(&place).with_context(|| format!("cannot write `{}`", place.display()))?;
        return Ok(place);
    }
    anyhow::bail!("the archive of helm holds no program `helm`")
}
