//! `lab snapshot`, `restore` and `snapshots`: names, questions and tables around [`crate::snapshot`].

use anyhow::Context as _;

use super::exit_code;
use crate::cx::Cx;
use crate::disks::snapshots::{self, Shown};
use crate::failure::{Failure, FailureKind};
use crate::lab::Lab;
use crate::{consent, output, snapshot};

/// Takes a snapshot and prints its name.
///
/// # Errors
/// As [`snapshot::take`].
pub async fn take(cx: &Cx, lab: &Lab, name: Option<String>) -> anyhow::Result<()> {
    let name = name.unwrap_or_else(snapshot::fresh_name);
    // A lab that was never made is refused below, and leaves no lock behind.
    let _held = lab.state()?.map(|_| lab.hold()).transpose()?;
    let taken = snapshot::take(cx, lab, &name).await?;
    output::line(taken.name)
}

/// Restores a snapshot, the newest if none is named.
///
/// # Errors
/// When there is none, it is not consented to, or as [`snapshot::restore`].
pub async fn restore(cx: &Cx, lab: &Lab, name: Option<String>) -> anyhow::Result<()> {
    let store = cx.layout.snapshots();
    let (cluster, words) = (&lab.spec.name, lab.cluster_words(cx));
    let manifest = match name {
        Some(name) => snapshots::find(&store, cluster, &name)?,
        None => snapshots::list(&store, cluster)?.pop().with_context(|| {
            Failure::new(FailureKind::Usage, format!("the cluster `{cluster}` has no snapshot"))
                .hint(format!("`cargo xtask lab snapshot {words}` takes one"))
        })?,
    };
    let _held = lab.hold()?;
    if lab.state()?.is_some() {
        consent::ask(cx, &format!("the data on the machines of `{cluster}` now"))?;
    }
    snapshot::restore(cx, lab, &manifest).await
}

/// Lists, compares or removes. Returns the exit code.
///
/// # Errors
/// When there is no snapshot of a name, or the store cannot be read.
pub async fn list(cx: &Cx, lab: &Lab, verify: bool, remove: &[String], json: bool) -> anyhow::Result<u8> {
    let store = cx.layout.snapshots();
    if !remove.is_empty() {
        let manifests: Vec<_> = remove
            .iter()
            .map(|name| snapshots::find(&store, &lab.spec.name, name))
            .collect::<anyhow::Result<_>>()?;
        let _held = snapshots::hold(&store)?;
        for manifest in &manifests {
            snapshots::remove(cx, manifest)?;
            cx.progress.note(&format!("removed {}", manifest.name));
        }
        return Ok(0);
    }
    let shown = snapshots::table(cx, &lab.spec)?;
    if !verify {
        if json {
            output::json(&shown)?;
        } else {
            output::print(text(&shown))?;
        }
        return Ok(0);
    }
    let mut wrong = 0;
    for one in shown {
        let (store, manifest) = (store.clone(), one.manifest);
        let name = manifest.name.clone();
        let problems = cx.blocking(move || snapshots::verify(&store, &manifest)).await?;
        output::line(format_args!("{name}  {}", if problems.is_empty() { "as taken" } else { "DAMAGED" }))?;
        for problem in &problems {
            output::line(format_args!("  {problem}"))?;
        }
        wrong += problems.len();
    }
    Ok(exit_code::unless(wrong == 0, FailureKind::Checks))
}

fn text(shown: &[Shown]) -> String {
    let width = shown.iter().map(|one| one.manifest.name.len()).chain([8]).max().unwrap_or(8);
    let mut text =
        format!("{:width$}  {:20}  {:>9}  {:10}  FITS\n", "SNAPSHOT", "TAKEN", "WRITTEN", "KUBERNETES");
    for Shown { manifest, size, misfits } in shown {
        let at = manifest.at.split('.').next().unwrap_or_default().trim_end_matches('Z').to_owned() + "Z";
        let kubernetes = manifest.kubernetes.as_deref().unwrap_or("-");
        let fits = if misfits.is_empty() { "yes".to_owned() } else { format!("no: {}", misfits.join("; ")) };
        let mib = size >> 20;
        text.push_str(&format!("{:width$}  {at:20}  {mib:>5} MiB  {kubernetes:10}  {fits}\n", manifest.name));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use lab_core::snapshot::Manifest;

    use super::*;

    #[test]
    fn snapshots_are_a_table_that_a_person_can_read() {
        let shown = |name: &str, deploy: Option<&str>, misfits: &[&str]| Shown {
            manifest: Manifest {
                name: name.to_owned(),
                cluster: "quick".to_owned(),
                lab: "0a1b2c3d4e5f".parse().unwrap(),
                at: "2026-11-27T03:00:00.123456Z".to_owned(),
                deploy: deploy.map(str::to_owned),
                kubernetes: deploy.map(|_| "1.34.3".to_owned()),
                well: deploy.is_some(),
                machines: BTreeMap::new(),
                files: BTreeMap::new(),
            },
            size: 1_500 << 20,
            misfits: misfits.iter().map(|&word| word.to_owned()).collect(),
        };
        insta::assert_snapshot!(text(&[
            shown("before-upgrade", None, &["`worker-1` stands on another base image in it"]),
            shown("deployed-0123456789ab", Some("sha256:01"), &[]),
        ]));
    }
}
