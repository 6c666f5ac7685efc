//! Runs of `ansible-playbook`: the pinned environment, our settings, the inventory of a living lab, on its network.
//!
//! A run leaves its records in a folder under `runs/`, see [`crate::ansible::run`]. Connections are shared while it
//! lasts and ended with it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use lab_core::deploy::Summary;
use lab_core::spec::Strategy;
use serde_json::json;

use crate::cx::Cx;
use crate::failure::{Failure, FailureKind};
use crate::files;
use crate::inventory::unsayable;
use crate::kubespray::checkout::Checkout;
use crate::kubespray::environment::{self, Environment};
use crate::kubespray::source::Request;
use crate::kubespray::{self, Fetched};
use crate::lab::{Lab, connections, run_id, running};
use crate::process::{Invocation, invocation};

use super::access;
use super::run::{self, Prints, Run};

/// The plugin that prints events as JSON (`ansible/callback_plugins/`).
pub const CALLBACK: &str = "lab_events";

/// Keeps a checkout and its environment from being removed.
pub struct Share {
    _checkout: File,
    _environment: File,
}

/// Shares a checkout and its environment with other commands that use them.
///
/// # Errors
/// When they are being removed.
pub fn share(cx: &Cx, checkout: &Checkout, environment: &Environment) -> anyhow::Result<Share> {
    let take = |path: PathBuf| {
        files::try_share(&path)?.with_context(|| {
            Failure::new(FailureKind::Host, "another command is fetching or removing this Kubespray")
                .hint("call this again when it has ended")
        })
    };
    Ok(Share {
        _checkout: take(cx.layout.kubespray().lock(&checkout.commit))?,
        _environment: take(environment::lock(&environment.path))?,
    })
}

/// A program of an environment, as it is to be started: settings, language, and nothing else of the caller's.
pub fn ansible(environment: &Environment, program: &str, settings: &Path) -> Invocation {
    // Ansible refuses a locale that is not UTF-8.
    invocation(environment.program(program))
        .env("ANSIBLE_CONFIG", settings)
        .env("LC_ALL", "C.UTF-8")
        // A person who calls Ansible with our settings gets what Ansible says to people.
        .env("ANSIBLE_STDOUT_CALLBACK", CALLBACK)
}

/// The playbook that a word on the command line means: a file, one of ours, one of Kubespray's.
///
/// # Errors
/// When it means none, with those that Kubespray has.
pub fn playbook(cx: &Cx, checkout: &Checkout, word: &str) -> anyhow::Result<PathBuf> {
    let ours = cx.layout.ansible().join("playbooks").join(word);
    let places =
        [PathBuf::from(word), ours, checkout.path.join(word), checkout.path.join("playbooks").join(word)];
    if let Some(found) = places.iter().find(|place| place.is_file()) {
        return std::path::absolute(found).with_context(|| format!("cannot find `{word}`"));
    }
    let mut names: Vec<String> = Vec::new();
    for folder in [cx.layout.ansible().join("playbooks"), checkout.path.clone()] {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.ends_with(".yml") && !name.starts_with(['.', '_']) && name != "galaxy.yml" {
                names.push(name);
            }
        }
    }
    names.sort();
    let message = format!("there is no playbook `{word}`, neither a file nor one of ours or of Kubespray's");
    Err(Failure::new(FailureKind::Usage, message).hint(format!("there are: {}", names.join(", "))).into())
}

/// A playbook that is to be run on a living lab.
pub struct Play<'a> {
    /// A file, one of ours, one of Kubespray's.
    pub playbook: &'a str,
    /// Another inventory than that of the lab.
    pub inventory: Option<&'a Path>,
    /// Further arguments of `ansible-playbook`.
    pub arguments: &'a [OsString],
    /// What it does, as a word of a file name.
    pub what: &'a str,
    /// The command that goes on after a failure.
    pub again: String,
    /// What of it goes to standard output.
    pub prints: Prints,
}

/// `kubespray play`.
///
/// # Errors
/// As [`play`].
pub async fn run(cx: &Cx, lab: &Lab, word: &str, arguments: &[OsString], json: bool) -> anyhow::Result<()> {
    let again = format!("`cargo xtask kubespray play {} {word}`", lab.cluster_words(cx));
    let _held = lab.hold_made(cx)?;
    play(
        cx,
        lab,
        &Play { playbook: word, inventory: None, arguments, what: "play", again, prints: Prints::json(json) },
    )
    .await
    .map(drop)
}

/// Runs a playbook on a living lab that the caller holds.
///
/// # Errors
/// When the lab does not run, Kubespray cannot be had, or the playbook fails.
pub async fn play(cx: &Cx, lab: &Lab, play: &Play<'_>) -> anyhow::Result<Summary> {
    let reached = running(cx, lab).await?;
    anyhow::ensure!(
        lab.files.inventory().is_file(),
        Failure::new(
            FailureKind::Plan,
            format!("the lab `{}` has no inventory for Kubespray", lab.spec.name)
        )
        .hint(format!("`cargo xtask check {}` says why, `lab up` writes it", lab.cluster_words(cx)))
    );
    let request = Request::of_lab(lab)?;
    let Fetched { checkout, environment, .. } = kubespray::fetch(cx, &request).await?;
    let _share = share(cx, &checkout, &environment)?;
    let playbook = playbook(cx, &checkout, play.playbook)?;
    let records = lab.files.runs().join(run_id());
    let settings = access::ansible_settings(cx, lab)?;
    // The lab may be older than this program.
    let text = settings.text().with_context(unsayable)?;
    files::write_if_changed(&lab.files.ansible_settings(), text.as_bytes(), files::PUBLIC)?;
    let mut variables = BTreeMap::from([
        ("kubespray_checkout", json!(checkout.path)),
        ("kubespray_version", json!(request.pin.version)),
        ("kubespray_commit", json!(checkout.commit)),
        ("lab_cluster", json!(lab.spec.name)),
        // The machines are near; what it would cost to compress is more than what it would save.
        ("mitogen_ssh_compression", json!(false)),
    ]);
    if settings.shares_connections() {
        variables.insert("ansible_ssh_args", json!(settings.sharing_ssh_args()));
    } else {
        cx.progress.note("note: each task opens its own connection, because the path of this checkout is too long for shared connections");
    }
    note_slow_strategy(cx, lab, &environment);
    let written = records.join("variables.json");
    files::write_atomic(&written, &serde_json::to_vec_pretty(&variables)?, files::PUBLIC)?;
    let program = ansible(&environment, "ansible-playbook", &lab.files.ansible_settings())
        .arg("--inventory")
        .arg(play.inventory.unwrap_or(&lab.files.inventory()))
        .arg("--become")
        .arg("--extra-vars")
        .arg(prefixed("@", &written))
        .arg(&playbook)
        .args(play.arguments)
        .env("ANSIBLE_STRATEGY", lab.spec.kubespray.strategy.name())
        // Mitogen tries whether it can write there on this computer too, and must leave nothing in the user's home.
        .env("ANSIBLE_REMOTE_TMP", "/var/tmp")
        .directory(&lab.files.folder);
    let history = run::history(cx, &lab.spec.name, &playbook, &checkout.commit);
    let again = play.again.clone();
    let run = Run { lab, reached: &reached, what: play.what, records, history, again, prints: play.prints };
    let result = run::run(cx, &run, &program).await;
    connections::close(&lab.files).await;
    result
}

/// Prints a note if tasks run slower than they could, with the reason.
fn note_slow_strategy(cx: &Cx, lab: &Lab, environment: &Environment) {
    let core = &environment.contents.ansible_core;
    let why = match lab.spec.kubespray.strategy {
        Strategy::Linear => "the cluster file asks for the strategy `linear`".to_owned(),
        Strategy::LabLinear if environment.has_mitogen() => return,
        Strategy::LabLinear => format!("no mitogen is known to work with ansible-core {core}"),
    };
    cx.progress.note(&format!("note: each task logs in and starts a Python of its own, because {why}"));
}

/// The path, for an option whose prefix distinguishes paths from words.
pub fn prefixed(prefix: &str, path: &Path) -> OsString {
    let mut text = OsString::from(prefix);
    text.push(path);
    text
}
