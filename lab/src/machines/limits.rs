//! Whether the kernel's limits are enough for a lab of containers beside every other living lab of this computer. A limit
//! that is too low is a warning before machines start, and refuses a deploy. `lab_core::limits` decides.

use std::path::Path;

use lab_core::cluster;
use lab_core::limits::{Containers, Facts, LivingLab, Shortage, shortages};
use lab_core::source::SourceFile;

use crate::cx::Cx;
use crate::failure::{Failure, FailureKind};
use crate::host::limits::{self, Usage};
use crate::lab::Lab;
use crate::lab::state::{CLUSTER, StateFile};
use crate::layout::LabFiles;

/// The command that raises the limits of the kernel.
const RAISE: &str = "cargo xtask setup --limits";

/// How a deploy treats a limit that is too low for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TooLow {
    /// The deploy does not begin.
    Refuse,
    /// It begins after a warning.
    Warn,
}

/// Warns before machines start of limits that are too low for them, or for the cluster that may be deployed on them.
///
/// # Errors
/// When the system breaks off the look at it.
pub async fn warn_before_up(cx: &Cx, lab: &Lab) -> anyhow::Result<()> {
    let containers = Containers::of(&lab.spec);
    let facts = facts(cx, lab, containers).await?;
    let (bare, deployed) = (shortages(containers.bare(), &facts), shortages(containers, &facts));
    let (what, short) = match bare.is_empty() {
        false => ("these machines do not fit on this computer", bare),
        true => ("Kubernetes on these machines does not fit on this computer", deployed),
    };
    if !short.is_empty() {
        cx.progress.note(&format!("warning: {what}: {}\n`{RAISE}` raises the limits", sentence(&short)));
    }
    Ok(())
}

/// Warns before a deploy of limits that are too low for it, or refuses it.
///
/// # Errors
/// When one is too low and `too_low` refuses that.
pub async fn check_before_deploy(cx: &Cx, lab: &Lab, too_low: TooLow) -> anyhow::Result<()> {
    let containers = Containers::of(&lab.spec);
    let short = shortages(containers, &facts(cx, lab, containers).await?);
    if short.is_empty() {
        return Ok(());
    }
    let message =
        format!("the cluster `{}` does not fit on this computer: {}", lab.spec.name, sentence(&short));
    if too_low == TooLow::Warn {
        cx.progress.note(&format!("warning: {message}"));
        return Ok(());
    }
    let others = short.iter().any(|shortage| !shortage.others.is_empty());
    let room = if others { ", or destroy another lab" } else { "" };
    Err(Failure::new(FailureKind::Host, message)
        .hint(format!("`{RAISE}` raises the limits{room}; `--ignore-limits` deploys all the same"))
        .into())
}

fn sentence(short: &[Shortage]) -> String {
    short.iter().map(Shortage::to_string).collect::<Vec<_>>().join("; ")
}

/// Reads the computer's limits. A lab without containers shares nothing, so nothing is read for it.
async fn facts(cx: &Cx, lab: &Lab, containers: Containers) -> anyhow::Result<Facts> {
    if containers.machines == 0 {
        return Ok(Facts::default());
    }
    let (own, output) = (lab.files.clone(), cx.layout.output());
    cx.blocking(move || Ok(facts_of(limits::collect(), &own, &output))).await
}

/// `output`: the folder of the labs of this checkout, which are known by their names.
fn facts_of(usage: Usage, own: &LabFiles, output: &Path) -> Facts {
    let Usage { cgroups, limits, all, labs } = usage;
    let mut facts = Facts { cgroups, limits, used: all, ..Facts::default() };
    for (host, used) in labs {
        let Some(folder) = host.parent().map(Path::to_owned) else { continue };
        let files = LabFiles { folder };
        if files.folder == own.folder {
            facts.own = used;
        } else {
            let name = match files.folder.strip_prefix(output) {
                Ok(name) => name.display().to_string(),
                Err(_) => files.folder.display().to_string(),
            };
            facts.others.push(LivingLab { name, containers: living_containers(&files), used });
        }
    }
    facts
}

/// The containers of a living lab by its state and its cluster file: of a lab on which nothing was deployed, without the
/// needs of Kubernetes. None where either cannot be read.
fn living_containers(files: &LabFiles) -> Containers {
    let Ok(Some(state)) = StateFile::load(files) else { return Containers::default() };
    let state = state.get();
    let Ok(text) = std::fs::read_to_string(&state.cluster_file) else { return Containers::default() };
    let path = state.cluster_file.display().to_string();
    let Some(spec) = cluster::check(&SourceFile { path, text }, None).spec else {
        return Containers::default();
    };
    let made = Containers::among(&spec, |machine| state.resources.contains(&format!("machine/{machine}")));
    if state.resources.contains(CLUSTER) { made } else { made.bare() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use lab_core::limits::{Amounts, Limit, Limits, Resource};
    use lab_core::spec::HostSpec;

    use super::*;

    const CLUSTER_FILE: &str = "apiVersion: lab/v1alpha1\nkind: Cluster\nname: NAME\ndefaults: {kind: container}\nmachines:\n\
                                - {name: one, roles: [control-plane]}\n- {name: two}\n- {name: emulated, kind: vm}\n";

    /// A lab that was made in a folder, with these resources.
    fn made(folder: &Path, name: &str, resources: &[&str]) -> LabFiles {
        let files = LabFiles { folder: folder.join("output").join(name) };
        std::fs::create_dir_all(&files.folder).unwrap();
        let file = folder.join(format!("{name}.yaml"));
        std::fs::write(&file, CLUSTER_FILE.replace("NAME", name)).unwrap();
        let state = StateFile::create(&files, name, file, HostSpec::Embedded).unwrap();
        for resource in resources {
            state.record(resource).unwrap();
        }
        files
    }

    #[test]
    fn living_labs_are_known_by_their_state_and_cluster_file() {
        let folder = tempfile::tempdir().unwrap();
        let all = ["machine/one", "machine/two", "machine/emulated"];
        let whole = made(folder.path(), "whole", &[&all[..], &[CLUSTER]].concat());
        let bare = made(folder.path(), "bare", &all);
        let half = made(folder.path(), "half", &["machine/two", CLUSTER]);
        for (files, machines, nodes, control_planes) in
            [(&whole, 2, 2, 1), (&bare, 2, 0, 0), (&half, 1, 1, 0)]
        {
            let expected = Containers { machines, nodes, control_planes };
            assert_eq!(living_containers(files), expected, "{}", files.folder.display());
        }
        std::fs::remove_file(folder.path().join("whole.yaml")).unwrap();
        assert_eq!(living_containers(&whole), Containers::default());
    }

    #[test]
    fn labs_are_named_so_that_a_person_finds_them() {
        let folder = tempfile::tempdir().unwrap();
        let used = |count| Amounts::from([(Resource::InotifyInstances, count)]);
        let host =
            |checkout: &str, name: &str| folder.path().join(checkout).join("output").join(name).join("host");
        let labs = [
            (host("here", "own"), used(1)),
            (host("here", "other"), used(2)),
            (host("there", "own"), used(3)),
        ];
        let limit = Limit { value: 128, setting: "fs.inotify.max_user_instances".to_owned() };
        let limits = Limits::from([(Resource::InotifyInstances, limit)]);
        let usage =
            Usage { limits: limits.clone(), all: used(9), labs: BTreeMap::from(labs), ..Usage::default() };
        let own = LabFiles { folder: folder.path().join("here/output/own") };
        let facts = facts_of(usage, &own, &folder.path().join("here/output"));
        let elsewhere = folder.path().join("there/output/own").display().to_string();
        let others: Vec<(&str, &Amounts)> =
            facts.others.iter().map(|lab| (lab.name.as_str(), &lab.used)).collect();
        assert_eq!(others, [("other", &used(2)), (elsewhere.as_str(), &used(3))]);
        assert_eq!((facts.own, facts.used, facts.limits), (used(1), used(9), limits));
    }
}
