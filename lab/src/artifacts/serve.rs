//! What the embedded host gives to its machines: a file server and a registry over the store, inside the lab's own network.
//!
//! `served` selects the artefacts from the lock of the cluster and the records of the store. `tree` links them to the
//! store's blobs. `authority` makes the certificate by which machines trust the registry. `keeper` is the process inside
//! the host that runs both servers as long as the host lives. Nothing is copied, and nothing here changes the store.

mod files;
pub mod keeper;
mod registry;
mod served;
mod tree;

use anyhow::Context as _;
use lab_core::artifacts::lock::Lock;
use lab_core::kubespray::artifacts_file;
use lab_core::spec::HostSpec;
use serde::Serialize;

use crate::cx::Cx;
use crate::failure::{Failure, FailureKind};
use crate::files::{PUBLIC, read_if_present, read_own, remove, write_atomic};
use crate::host::embedded::last_lines;
use crate::host::load::{self, until_even_if_overloaded};
use crate::lab::{Lab, authority};
use crate::timeouts::{SERVERS_INTERVAL, SERVERS_TIMEOUT};
use crate::wait::Probe;

use super::store::Store;
use keeper::{Now, RegistryWanted, Wanted};
use served::ServedArtifacts;

pub use registry::exec as exec_registry;

/// Where the file server listens, on the gateway's address. Not below 1024: an ordinary user's host needs no privilege.
pub const FILES_PORT: u16 = 8080;
/// Where the registry listens: the port that its makers chose.
pub const REGISTRY_PORT: u16 = 5000;

/// What a lab is to serve, found out without changing anything.
pub struct Serving {
    artifacts: ServedArtifacts,
    wanted: Wanted,
    /// The text of `group_vars/all/artifacts.yml`.
    pub inventory: String,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// The artefacts to serve: none if the machines are on another host, or the cluster has no lock.
///
/// # Errors
/// When the lock or a record of the store is there and cannot be read.
pub fn look(cx: &Cx, lab: &Lab) -> anyhow::Result<Option<Serving>> {
    if lab.spec.host != HostSpec::Embedded {
        return Ok(None);
    }
    let Some(text) = read_if_present(&lab.files.artifacts_lock())? else { return Ok(None) };
    let lock: Lock = serde_json::from_str(&text).with_context(|| {
        let words = lab.cluster_words(cx);
        Failure::new(
            FailureKind::Host,
            format!("cannot understand `{}`", lab.files.artifacts_lock().display()),
        )
        .hint(format!("`cargo xtask inventory check {words}` rewrites it"))
    })?;
    let artifacts =
        ServedArtifacts::fill(&Store::open(&cx.layout), &lock, lab.spec.mirrors.files.as_deref())?;
    let gateway = lab.spec.network.gateway;
    let program = registry::program(cx);
    let served = lab.files.served();
    let registry = program.map(|program| RegistryWanted { program, settings: served.registry_settings() });
    let words = lab.cluster_words(cx);
    let mut notes = Vec::new();
    if registry.is_none() {
        notes.push(
            "machines get no images: there is no `docker-registry` here; `cargo xtask doctor` says what to do".to_owned(),
        );
    }
    let count = artifacts.files.len() + artifacts.images.len();
    if count < artifacts.wanted {
        notes.push(format!(
            "{count} of {} artefacts are there for a deploy; `cargo xtask artifacts fetch {words}` or `cargo xtask artifacts build {words}` gets the rest, and `cargo xtask lab up {words}` gives them to the machines",
            artifacts.wanted
        ));
    }
    let file = artifacts_file(&lab.spec, &artifacts.served(gateway, registry.is_some()));
    notes.extend(artifacts.notes.iter().cloned().chain(file.notes));
    let wanted = Wanted { gateway, registry };
    Ok(Some(Serving { artifacts, wanted, inventory: file.text, notes }))
}

/// Prints notes on the served artefacts, before a deploy.
///
/// # Errors
/// As [`look`].
pub fn warn_of_missing_artifacts(cx: &Cx, lab: &Lab) -> anyhow::Result<()> {
    for note in look(cx, lab)?.iter().flat_map(|serving| &serving.notes) {
        cx.progress.note(note);
    }
    Ok(())
}

/// Lays out the files to serve and writes the request for the host's keeper, which starts once the network is there.
/// Returns whether anything changed.
///
/// # Errors
/// When something cannot be written.
pub fn prepare(lab: &Lab, store: &Store, serving: Option<&Serving>) -> anyhow::Result<bool> {
    let served = lab.files.served();
    let Some(Serving { artifacts, wanted, .. }) = serving else {
        let was = served.wanted().exists();
        remove(&served.wanted())?;
        return Ok(was);
    };
    let mut changed = tree::lay(&served, store, artifacts)?;
    if wanted.registry.is_some() {
        let certificate = authority::certificate(lab)?;
        let settings = registry::settings(wanted.gateway, &served.current(), &certificate);
        changed |= crate::files::write_if_changed(&served.registry_settings(), settings.as_bytes(), PUBLIC)?;
    }
    if read_own::<Wanted>(&served.wanted())?.as_ref() != Some(wanted) {
        write_atomic(&served.wanted(), &serde_json::to_vec_pretty(wanted)?, PUBLIC)?;
        changed = true;
    }
    Ok(changed)
}

/// Waits until both servers answer.
///
/// # Errors
/// When they do not, with the last lines of their logs.
pub async fn ready(cx: &Cx, lab: &Lab, serving: &Serving) -> anyhow::Result<()> {
    let served = lab.files.served();
    let what = "the lab's file server and registry";
    let notify = |note: &str| cx.progress.note(note);
    until_even_if_overloaded(&cx.cancel, what, SERVERS_TIMEOUT, SERVERS_INTERVAL, load::watch, notify, || {
        let now = keeper::now(&served);
        std::future::ready(match now {
            Ok(Some(now)) if now.is_all_of(&serving.wanted) => Probe::Ready(()),
            Ok(Some(_)) => Probe::NotYet("not both answer".to_owned()),
            Ok(None) => Probe::NotYet("they do not run".to_owned()),
            Err(error) => Probe::Fatal(error),
        })
    })
    .await
    .with_context(|| {
        let words = lab.cluster_words(cx);
        let lines = [served.files_log(), served.registry_log()].map(|path| last_lines(&path, 4)).join("\n");
        Failure::new(
            FailureKind::Provision,
            format!("the lab does not serve its artefacts; the last words were:\n{lines}"),
        )
        .hint(format!("`cargo xtask lab logs --host --cluster {words}` shows what the host said"))
    })
}

/// The served artefacts, as `lab status` shows them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServedStatus {
    /// `http://192.168.200.1:8080`.
    pub files: String,
    /// Whether it answers.
    pub files_running: bool,
    /// `https://192.168.200.1:5000`; `None` where there is no program for it.
    pub registry: Option<String>,
    /// Whether it answers.
    pub registry_running: bool,
}

/// The artefacts served now; `None` for a lab that serves nothing.
///
/// # Errors
/// When the files of the servers cannot be read.
pub fn status(lab: &Lab) -> anyhow::Result<Option<ServedStatus>> {
    let served = lab.files.served();
    let Some(wanted) = read_own::<Wanted>(&served.wanted())? else { return Ok(None) };
    let now = keeper::now(&served)?.filter(|now| now.wanted == wanted);
    let is = |one: fn(&Now) -> bool| now.as_ref().is_some_and(one);
    Ok(Some(ServedStatus {
        files: files_url(wanted.gateway),
        files_running: is(|now| now.files),
        registry: wanted.registry.as_ref().map(|_| registry_url(wanted.gateway)),
        registry_running: is(|now| now.registry),
    }))
}

fn files_url(gateway: std::net::Ipv4Addr) -> String {
    format!("http://{gateway}:{FILES_PORT}")
}

fn registry_url(gateway: std::net::Ipv4Addr) -> String {
    format!("https://{gateway}:{REGISTRY_PORT}")
}
