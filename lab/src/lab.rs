//! One lab, opened: its checked cluster file, its files, its state, its host.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use lab_core::cluster::{self, Checked};
use lab_core::identity::LabId;
use lab_core::libvirt_xml::{bridge_name, domain_name, resource_name};
use lab_core::secrets::Secrets;
use lab_core::source::{self, Severity, SourceFile, suggest};
use lab_core::spec::{ClusterSpec, HostSpec};

use crate::cx::Cx;
use crate::failure::{Failure, FailureKind};
use crate::files;
use crate::host::embedded::{self, EmbeddedHost, Started};
use crate::host::{enter, facts};
use crate::input::{self, PathKind};
use crate::layout::LabFiles;
use crate::output;
use crate::process::Invocation;
use crate::provider::fake::{self, Fake};
use crate::provider::libvirt::Libvirt;
use crate::provider::{self, Provider};
use crate::timeouts::{BUSY_HOST_INTERVAL, BUSY_HOST_TIMEOUT};
use crate::wait::{self, Deadline, Probe, WaitError};

use self::state::StateFile;

pub mod authority;
pub mod connections;
pub mod console;
pub mod keys;
pub mod reach;
pub mod state;

/// The name of a cluster file in its folder.
const CLUSTER_FILE: &str = "cluster.yaml";

/// The cluster file that a name or a path on the command line means.
///
/// # Errors
/// When there is none, with the names that there are.
pub fn cluster_file(cx: &Cx, cluster: &str) -> anyhow::Result<PathBuf> {
    let given = Path::new(cluster);
    let by_name = cx.layout.inventories().join(cluster).join(CLUSTER_FILE);
    let candidates = [by_name, given.to_owned(), given.join(CLUSTER_FILE)];
    if let Some(found) = candidates.iter().find(|path| path.is_file()) {
        return std::path::absolute(found).with_context(|| format!("cannot find `{}`", found.display()));
    }
    for path in &candidates {
        let kind = input::kind_of(path)?;
        if let Some(name) = kind.name_unless_file().filter(|_| kind != PathKind::Folder || path != given) {
            return Err(input::not_a_file(path, name).into());
        }
    }
    let mut names: Vec<String> = std::fs::read_dir(cx.layout.inventories())
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().join(CLUSTER_FILE).is_file())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let folder =
        [cx.layout.inventories().join(cluster), given.to_owned()].into_iter().find(|path| path.is_dir());
    let message = match folder.filter(|_| !cluster.is_empty()) {
        Some(folder) => format!("the folder `{}` has no {CLUSTER_FILE}", folder.display()),
        None => format!("there is no cluster `{cluster}`, neither a name under inventories/ nor a path"),
    };
    Err(Failure::new(FailureKind::Usage, message).hint(suggest::one_of("clusters", cluster, &names)).into())
}

/// Reads a cluster file and checks it against this computer.
///
/// # Errors
/// When it cannot be read.
pub fn read(cx: &Cx, path: &Path) -> anyhow::Result<(SourceFile, Checked)> {
    let bytes = input::read(path, input::CLUSTER_FILE)?;
    let text = String::from_utf8(bytes)
        .map_err(|_| Failure::new(FailureKind::Usage, format!("`{}` is not UTF-8 text", path.display())))?;
    let shown = cx.layout.shown(path);
    let source = SourceFile { path: shown, text };
    let mut facts = facts::collect(cx.layout.root());
    // The lab's own network is no obstacle to it.
    let own = lab_of(cx, path).map(|lab| bridge_name(&lab));
    facts.routes.retain(|(_, interface)| Some(interface) != own.as_ref());
    let checked = cluster::check(&source, Some(&facts));
    Ok((source, checked))
}

/// The lab that was made from a cluster file, if any.
fn lab_of(cx: &Cx, cluster_file: &Path) -> Option<LabId> {
    let entries = std::fs::read_dir(cx.layout.output()).ok()?;
    let states = entries.flatten().filter_map(|entry| {
        StateFile::load(&LabFiles { folder: entry.path() }).ok().flatten().map(|state| state.get())
    });
    states.into_iter().find(|state| state.cluster_file == cluster_file).map(|state| state.lab)
}

/// The spec of a cluster file. Warnings are shown, errors end the command.
///
/// # Errors
/// With every mistake in the file.
fn checked(cx: &Cx, path: &Path) -> anyhow::Result<ClusterSpec> {
    let (source, checked) = read(cx, path)?;
    let color = output::is_coloured(&std::io::stderr());
    let findings = source::render(&checked.findings, &source, color);
    if !findings.is_empty() {
        cx.progress.note(findings.trim_end());
    }
    checked.spec.ok_or_else(|| {
        let count = checked.findings.iter().filter(|finding| finding.severity == Severity::Error).count();
        let mistakes = if count == 1 { "mistake" } else { "mistakes" };
        Failure::new(FailureKind::Usage, format!("`{}` has {count} {mistakes}", source.path)).into()
    })
}

/// A lab that a command works on.
#[derive(Clone)]
pub struct Lab {
    /// The cluster file, checked.
    pub spec: Arc<ClusterSpec>,
    /// The cluster file.
    pub cluster_file: PathBuf,
    /// Its files.
    pub files: LabFiles,
}

impl Lab {
    /// Opens the lab of a cluster.
    ///
    /// # Errors
    /// When the cluster file is missing or wrong.
    pub fn open(cx: &Cx, cluster: &str) -> anyhow::Result<Self> {
        let cluster_file = cluster_file(cx, cluster)?;
        let spec = checked(cx, &cluster_file)?;
        Ok(Self { files: cx.layout.lab(&spec.name), spec: Arc::new(spec), cluster_file })
    }

    /// What names this cluster on a command line: its name where the file is under inventories/, else its path.
    pub fn cluster_words(&self, cx: &Cx) -> String {
        let folder = self.cluster_file.parent();
        match folder.and_then(Path::file_name) {
            Some(name) if folder == Some(&cx.layout.inventories().join(name)) => name.display().to_string(),
            _ => self.cluster_file.display().to_string(),
        }
    }

    /// Takes the lab for a command that changes it. Held until the file is dropped.
    ///
    /// # Errors
    /// When another command holds it.
    pub fn hold(&self) -> anyhow::Result<File> {
        hold(&self.files, &self.spec.name)
    }

    /// Takes a lab that is there. One that is not leaves nothing behind.
    ///
    /// # Errors
    /// When it was never made, or another command holds it.
    pub fn hold_made(&self, cx: &Cx) -> anyhow::Result<File> {
        self.state()?.with_context(|| self.not_up(cx))?;
        self.hold()
    }

    /// That the lab does not run, and what starts it.
    fn not_up(&self, cx: &Cx) -> Failure {
        Failure::new(FailureKind::Provision, format!("the lab `{}` does not run", self.spec.name))
            .hint(format!("run `cargo xtask lab up {}`", self.cluster_words(cx)))
    }

    /// The state of the lab; none if it was never made.
    ///
    /// # Errors
    /// When it cannot be read, or belongs to another cluster file.
    pub fn state(&self) -> anyhow::Result<Option<StateFile>> {
        let Some(state) = StateFile::load(&self.files)? else { return Ok(None) };
        let made_from = state.get().cluster_file;
        if made_from != self.cluster_file && made_from.exists() {
            let (made, given) = (made_from.display(), self.cluster_file.display());
            return Err(Failure::new(
                FailureKind::Usage,
                format!("a lab named `{}` was made from `{made}`, not from `{given}`", self.spec.name),
            )
            .hint("give the other cluster another `name`, or run `cargo xtask lab destroy` with the file it was made from")
            .into());
        }
        Ok(Some(state))
    }

    /// Makes it a lab that stays: no run of `e2e` takes it for one that another run left.
    ///
    /// # Errors
    /// When the mark of `e2e` cannot be removed.
    pub fn stays(&self) -> anyhow::Result<()> {
        files::remove(&self.files.of_e2e())
    }

    /// The secrets of its cluster file, which are kept out of all that is shown and kept of a run.
    pub fn secrets(&self) -> Secrets {
        Secrets::of(&self.spec.kubespray.variables)
    }

    /// The machine of this name.
    ///
    /// # Errors
    /// With the names that there are.
    pub fn machine(&self, name: &str) -> anyhow::Result<&lab_core::spec::MachineSpec> {
        self.spec.machines.iter().find(|machine| machine.name == name).with_context(|| {
            let names: Vec<&str> = self.spec.machines.iter().map(|machine| machine.name.as_str()).collect();
            Failure::new(
                FailureKind::Usage,
                format!("the cluster `{}` has no machine `{name}`", self.spec.name),
            )
            .hint(suggest::one_of("machines", name, &names))
        })
    }
}

/// Takes a lab for a command that changes it.
///
/// # Errors
/// When another command holds it.
pub fn hold(files: &LabFiles, cluster: &str) -> anyhow::Result<File> {
    files::private_folder(&files.folder)?;
    files::try_lock(&files.lock())?.ok_or_else(|| {
        Failure::new(FailureKind::Plan, format!("another command is changing the lab `{cluster}`"))
            .hint("wait for it to end, or end it; a lock never outlives its command")
            .into()
    })
}

/// Starts the embedded host of a lab. The command holds the lab, so that a host which another supervisor
/// starts or ends is one that a killed command has left: it is waited for.
async fn start_embedded(cx: &Cx, lab: &Lab) -> anyhow::Result<EmbeddedHost> {
    let is_noted = AtomicBool::new(false);
    let what = "the lab's host, which a killed command left starting or ending";
    let waited = wait::until(
        &cx.cancel,
        what,
        Deadline::after(BUSY_HOST_TIMEOUT),
        BUSY_HOST_INTERVAL,
        || {
            let (files, cache) = (lab.files.host(), cx.layout.libvirt_cache());
            let started = cx.blocking(move || embedded::start(&files, &cache));
            let is_noted = &is_noted;
            async move {
                match started.await {
                    Ok(Started::Running(host)) => Probe::Ready(host),
                    Ok(Started::Busy) => {
                        if !is_noted.swap(true, Ordering::Relaxed) {
                            let seconds = BUSY_HOST_TIMEOUT.as_secs();
                            cx.progress.note(&format!(
                            "a killed command left the lab's host starting or ending: waiting up to {seconds} s for it"
                        ));
                        }
                        Probe::NotYet("its supervisor holds the lock".to_owned())
                    }
                    Err(error) => Probe::Fatal(error),
                }
            }
        },
    );
    let message = "the lab's own host cannot run on this computer";
    let hint = "`cargo xtask doctor` lists missing requirements";
    match waited.await {
        Err(WaitError::Fatal { source, .. }) => {
            Err(source.context(Failure::new(FailureKind::Host, message).hint(hint)))
        }
        waited => waited.context(Failure::new(FailureKind::Host, message).hint(hint)),
    }
}

/// The host of a lab, reached.
#[derive(Clone)]
pub struct Reached {
    /// What makes its machines.
    pub provider: Arc<dyn Provider>,
    /// The embedded host, where it is one.
    pub embedded: Option<EmbeddedHost>,
    /// Name of the lab's network and of its storage pool.
    pub resource: String,
    /// Names of the domains by machine.
    pub domains: BTreeMap<String, String>,
}

impl Reached {
    /// Reaches a host that runs already: starts nothing. None if it is an embedded one that does not run.
    ///
    /// # Errors
    /// When libvirt does not answer.
    pub async fn find(cx: &Cx, lab: &Lab, state: &StateFile) -> anyhow::Result<Option<Self>> {
        let embedded = match &lab.spec.host {
            HostSpec::Embedded if fake::requested().is_none() => match embedded::find(&lab.files.host())? {
                Some(host) => Some(host),
                None => return Ok(None),
            },
            _ => None,
        };
        Self::connect(cx, lab, state, embedded).await.map(Some)
    }

    /// Reaches the host, and starts it where it is an embedded one that does not run.
    ///
    /// # Errors
    /// When it cannot be started or does not answer.
    pub async fn start(cx: &Cx, lab: &Lab, state: &StateFile) -> anyhow::Result<Self> {
        let embedded = match &lab.spec.host {
            HostSpec::Libvirt(_) => None,
            HostSpec::Embedded => {
                state.record("host")?;
                if fake::requested().is_some() { None } else { Some(start_embedded(cx, lab).await?) }
            }
        };
        Self::connect(cx, lab, state, embedded).await
    }

    async fn connect(
        cx: &Cx,
        lab: &Lab,
        state: &StateFile,
        embedded: Option<EmbeddedHost>,
    ) -> anyhow::Result<Self> {
        let (files, host, reached) = (lab.files.clone(), lab.spec.host.clone(), embedded.clone());
        let provider = cx
            .blocking(move || match (&host, &reached) {
                (HostSpec::Libvirt(uri), _) => provider::open(uri),
                // No lab falls back to a fake.
                (HostSpec::Embedded, None) if fake::requested().is_none() => {
                    anyhow::bail!("the lab's host does not run")
                }
                (HostSpec::Embedded, Some(host)) => {
                    let libvirt = Libvirt::open(&host.uri())?.with_containers(host.container_uri())?;
                    Ok(Arc::new(libvirt) as Arc<dyn Provider>)
                }
                (HostSpec::Embedded, None) => Ok(Arc::new(Fake::embedded(&files))),
            })
            .await
            .context(Failure::new(FailureKind::Host, "cannot reach the host of the lab").hint(
                "`cargo xtask doctor` lists missing requirements; `host:` in the cluster file says where machines run",
            ))?;
        let name = &lab.spec.name;
        let domains = lab
            .spec
            .machines
            .iter()
            .map(|machine| (machine.name.clone(), domain_name(name, &machine.name)))
            .collect();
        Ok(Self { provider, embedded, resource: resource_name(name, &state.get().lab), domains })
    }

    /// `inner`, made to run where the lab's network is.
    pub fn inside(&self, inner: &Invocation) -> Invocation {
        match &self.embedded {
            Some(host) => enter::wrap(host.pid, inner),
            None => inner.clone(),
        }
    }

    /// The unique name of this run of a machine: libvirt counts runs, and starts again with each
    /// new host.
    pub fn run_name(&self, run: u32) -> String {
        match &self.embedded {
            Some(host) => format!("{}/{run}", host.pid),
            None => run.to_string(),
        }
    }
}

/// The host of a lab that is expected to run.
///
/// # Errors
/// When the lab does not run, or its host does not answer.
pub async fn running(cx: &Cx, lab: &Lab) -> anyhow::Result<Reached> {
    let state = lab.state()?.with_context(|| lab.not_up(cx))?;
    Reached::find(cx, lab, &state).await?.with_context(|| lab.not_up(cx))
}

/// A name for the record of this run, the newest last in order.
pub fn run_id() -> String {
    let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
    format!("{now}-{}", std::process::id())
}
