//! `artifacts list`: a table of what a cluster needs and what of it is there. Changes nothing.

use lab_core::artifacts::lock::Lock;
use lab_core::artifacts::{How, Kind, plan};
use serde::Serialize;

use super::lock;
use super::look::{self, State};
use super::store::record::STAND_IN_VERSION;
use super::store::{Digest, Source, Store};

/// One thing, as `--json` prints it.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// `file` or `image`.
    pub kind: &'static str,
    /// Kubespray's name for it.
    pub name: String,
    /// The version that is asked for.
    pub version: Option<String>,
    /// The version that is there, where it is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_here: Option<String>,
    /// The URL of a file, the reference of an image.
    pub address: String,
    /// The source of the stored bytes.
    pub source: Option<Source>,
    /// Of the file or of the manifest of the image.
    pub digest: Option<Digest>,
    /// In bytes.
    pub size: Option<u64>,
    /// How it stands.
    pub state: State,
    /// Whether `artifacts build` can make it.
    pub can_be_built: bool,
    /// Why `artifacts build` makes a stand-in, a program of our own, where it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stand_in: Option<&'static str>,
    /// Whether a stand-in is here although `artifacts build` makes upstream's program.
    pub superseded: bool,
    /// Why it cannot be built.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What replaces it where it cannot be had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instead: Option<String>,
}

/// All of it, as `--json` prints it.
#[derive(Debug, Serialize)]
pub struct List {
    /// The cluster, where it is of one.
    pub cluster: Option<String>,
    /// The release of Kubespray.
    pub kubespray: String,
    /// The version of Kubernetes.
    pub kubernetes: String,
    /// The architecture in Kubespray's words.
    pub architecture: String,
    /// The bytes of everything that is there, each blob once.
    pub size: u64,
    /// Files first, each in the order of the lock.
    pub artifacts: Vec<Row>,
}

/// Looks.
///
/// # Errors
/// When the lock is no lock or a record cannot be read.
pub fn look(store: &Store, cluster: Option<&str>, lock: &Lock) -> anyhow::Result<List> {
    let plans = plan(lock);
    let mut blobs = std::collections::BTreeSet::new();
    let mut artifacts = Vec::new();
    for item in lock::items(lock)? {
        let held = look::held(store, &item)?;
        blobs.extend(held.blobs.iter().cloned());
        let how = plans.iter().find(|entry| entry.kind == item.kind && entry.address == item.address);
        let (reason, instead, stand_in) = match how.map(|entry| &entry.how) {
            Some(How::Not { reason, instead }) => (Some(reason.clone()), Some(instead.clone()), None),
            Some(How::Build { part, .. }) => (None, None, part.stand_in),
            None => (None, None, None),
        };
        let is_stand_in = held.version.as_deref() == Some(STAND_IN_VERSION);
        artifacts.push(Row {
            kind: match item.kind {
                Kind::File => "file",
                Kind::Image => "image",
            },
            version_here: held.version.filter(|here| Some(here) != item.version.as_ref()),
            name: item.name,
            version: item.version,
            address: item.address,
            source: held.source,
            digest: held.digest,
            size: held.size,
            state: held.state,
            can_be_built: reason.is_none(),
            stand_in,
            superseded: is_stand_in && stand_in.is_none() && reason.is_none(),
            reason,
            instead,
        });
    }
    Ok(List {
        cluster: cluster.map(str::to_owned),
        kubespray: lock.kubespray.version.clone(),
        kubernetes: lock.kubernetes.clone(),
        architecture: lock.architecture.clone(),
        size: blobs.iter().map(|blob| blob.size).sum(),
        artifacts,
    })
}

impl List {
    /// The table for people.
    pub fn text(&self) -> String {
        let count = |state| self.artifacts.iter().filter(|row| row.state == state).count();
        let own = self.artifacts.iter().filter(|row| row.source == Some(Source::OwnBuild)).count();
        let mut text = format!(
            "{}Kubernetes {} by Kubespray {} on {}: {} artefacts, {} present ({}), {} own builds, {} missing",
            self.cluster.as_ref().map(|cluster| format!("{cluster}: ")).unwrap_or_default(),
            self.kubernetes,
            self.kubespray,
            self.architecture,
            self.artifacts.len(),
            count(State::Present),
            shown(self.size),
            own,
            count(State::Missing),
        );
        let corrupt = count(State::Corrupt);
        if corrupt > 0 {
            text.push_str(&format!(", {corrupt} CORRUPT"));
        }
        text.push('\n');
        let width = self.artifacts.iter().map(|row| row.name.len()).max().unwrap_or(0).max(4) + 2;
        // An own build's version may be a Debian package's, and then the one that is asked for stands beside it.
        let versions = self.artifacts.iter().map(|row| row.versions().len());
        let wide = versions.max().unwrap_or(0).max(7) + 2;
        let line = |[kind, name, version, source, digest, size, state]: [&str; 7]| {
            let line =
                format!("{kind:<7}{name:<width$}{version:<wide$}{source:<11}{digest:<14}{size:>10}  {state}");
            format!("{}\n", line.trim_end())
        };
        text.push_str(&line(["KIND", "NAME", "VERSION", "SOURCE", "DIGEST", "SIZE", "STATE"]));
        for row in &self.artifacts {
            let state = match row.state {
                State::Present if row.superseded => "present, superseded",
                State::Present => "present",
                State::Missing if row.reason.is_some() => "missing, cannot be built",
                State::Missing => "missing",
                State::Corrupt => "CORRUPT",
            };
            text.push_str(&line([
                row.kind,
                &row.name,
                &row.versions(),
                row.source.map_or("-", Source::words),
                row.digest.as_ref().map_or("-", |digest| &digest.hex()[..12]),
                &row.size.map_or("-".to_owned(), shown),
                state,
            ]));
        }
        text.push_str(&self.stand_ins());
        let mut lacking: Vec<&Row> =
            self.artifacts.iter().filter(|row| row.state != State::Present && row.reason.is_some()).collect();
        lacking.sort_by_key(|row| &row.name);
        if !lacking.is_empty() {
            text.push_str("\nCannot be built here:\n");
        }
        for row in lacking {
            let (reason, instead) =
                (row.reason.as_deref().unwrap_or_default(), row.instead.as_deref().unwrap_or_default());
            text.push_str(&format!("  {}: {reason}; instead: {instead}\n", row.name));
        }
        text
    }

    /// The sections about stand-ins: those that are or would be built, and those that the next build replaces.
    fn stand_ins(&self) -> String {
        let mut text = String::new();
        let is_exact = |row: &Row| row.state == State::Present && row.source != Some(Source::OwnBuild);
        let mut heading = "\nBuilt here as stand-ins of our own:\n";
        for row in self.artifacts.iter().filter(|row| !is_exact(row)) {
            let Some(reason) = row.stand_in else { continue };
            text.push_str(std::mem::take(&mut heading));
            text.push_str(&format!("  {} {}: {reason}\n", row.name, row.version.as_deref().unwrap_or("-")));
        }
        let mut heading =
            "\nSuperseded stand-ins, which `artifacts build` replaces by upstream's own program:\n";
        for row in self.artifacts.iter().filter(|row| row.superseded) {
            text.push_str(std::mem::take(&mut heading));
            text.push_str(&format!("  {} {}\n", row.name, row.version.as_deref().unwrap_or("-")));
        }
        text
    }
}

impl Row {
    /// The version that is there, and the one that is asked for where that is another.
    fn versions(&self) -> String {
        let asked = self.version.as_deref().unwrap_or("-");
        match &self.version_here {
            Some(here) => format!("{here} (not {asked})"),
            None => asked.to_owned(),
        }
    }
}

/// A size for people.
pub fn shown(bytes: u64) -> String {
    const STEP: f64 = 1024.0;
    #[expect(clippy::cast_precision_loss, reason = "a tenth of a unit is shown")]
    let mut size = bytes as f64;
    for unit in ["B", "KiB", "MiB"] {
        if size < STEP {
            return if unit == "B" { format!("{bytes} B") } else { format!("{size:.1} {unit}") };
        }
        size /= STEP;
    }
    format!("{size:.2} GiB")
}

#[cfg(test)]
mod tests;
