//! Collects the files of an inventory that no cluster file rendered. `lab-core` selects those that Ansible would read, and
//! parses them.

use std::path::{Path, PathBuf};
use std::thread;

use anyhow::Context as _;
use lab_core::kubespray::Scope;
use lab_core::kubespray::read::{self, Entry, HOSTS_FILES, Inventory, Variables, Wanted};
use lab_core::source::SourceFile;

use crate::failure::{Failure, FailureKind};
use crate::input::{self, PathKind};

/// Fewer files than this are read by one thread.
const PER_THREAD: usize = 64;

/// Reads a whole inventory. `given`: its folder, or its file of hosts.
///
/// # Errors
/// When there is no file of hosts, or more than one; when a file cannot be read or is no text.
pub fn inventory(given: &Path) -> anyhow::Result<Inventory> {
    let hosts = hosts_file(given)?;
    let folder = hosts.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let text = String::from_utf8(bytes(&hosts)?).map_err(|_| {
        let message = format!("`{}` is not UTF-8 text", hosts.display());
        Failure::new(FailureKind::Usage, message)
    })?;
    if text.starts_with("#!") {
        let message = format!("`{}` is a program, and nothing is run here", hosts.display());
        let hint = format!(
            "write down what it says: ansible-inventory -i {} --list --yaml --output hosts.yaml",
            hosts.display()
        );
        return Err(Failure::new(FailureKind::Usage, message).hint(hint).into());
    }
    let mut reading = read::hosts(SourceFile { path: shown(&hosts), text });
    let mut entries = Vec::new();
    for name in ["group_vars", "host_vars"] {
        list(folder, name, &mut entries)?;
    }
    let prefix = if given == Path::new(".") || hosts.parent() == Some(Path::new("")) {
        String::new()
    } else {
        format!("{}/", shown(folder))
    };
    let wanted = reading.wanted(&entries, &prefix);
    let files = all(folder, &prefix, &wanted)?;
    Ok(reading.finish(files))
}

/// As a message shows a path: without `./` in front.
fn shown(path: &Path) -> String {
    path.strip_prefix("./").unwrap_or(path).display().to_string()
}

/// The file of hosts that is meant.
fn hosts_file(given: &Path) -> anyhow::Result<PathBuf> {
    match input::kind_of(given)? {
        PathKind::File => return Ok(given.to_owned()),
        PathKind::Folder => {}
        PathKind::Other(kind) => return Err(input::not_a_file(given, kind).into()),
        PathKind::Missing => {
            let message = format!("there is no inventory `{}`", given.display());
            return Err(Failure::new(FailureKind::Usage, message)
                .hint("give its folder, or its file of hosts")
                .into());
        }
    }
    let mut found = Vec::new();
    let mut refused = None;
    for path in HOSTS_FILES.map(|name| given.join(name)) {
        match input::kind_of(&path)? {
            PathKind::File => found.push(path),
            PathKind::Other(kind) => refused = refused.or_else(|| Some(input::not_a_file(&path, kind))),
            PathKind::Folder | PathKind::Missing => {}
        }
    }
    if let Some(refused) = refused.filter(|_| found.is_empty()) {
        return Err(refused.into());
    }
    match &found[..] {
        [one] => Ok(one.clone()),
        [] => {
            let message = format!("`{}` has no file of hosts", given.display());
            let hint = format!(
                "it is looked for as {}; give the file itself if it is named otherwise",
                HOSTS_FILES.join(", ")
            );
            Err(Failure::new(FailureKind::Usage, message).hint(hint).into())
        }
        [first, ..] => {
            let names: Vec<_> = found.iter().filter_map(|path| path.file_name()?.to_str()).collect();
            let message = format!("`{}` has several files of hosts: {}", given.display(), names.join(", "));
            let hint = format!("say which one: --inventory {}", first.display());
            Err(Failure::new(FailureKind::Usage, message).hint(hint).into())
        }
    }
}

/// Everything below a folder of the inventory. A link counts as what it leads to; a circle of links ends.
fn list(root: &Path, relative: &str, entries: &mut Vec<Entry>) -> anyhow::Result<()> {
    /// Deeper than any inventory.
    const DEPTH: usize = 12;
    let folder = root.join(relative);
    let listed = match std::fs::read_dir(&folder) {
        Ok(listed) => listed,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("cannot read `{}`", folder.display())),
    };
    for entry in listed {
        let entry = entry.with_context(|| format!("cannot read `{}`", folder.display()))?;
        // A name that is no text is that of no group and no host.
        let Ok(name) = entry.file_name().into_string() else { continue };
        let path = format!("{relative}/{name}");
        let kind = entry.file_type().with_context(|| format!("cannot read `{path}`"))?;
        let is_folder = if kind.is_symlink() { entry.path().is_dir() } else { kind.is_dir() };
        entries.push(Entry { path: path.clone(), is_folder });
        if is_folder && path.matches('/').count() < DEPTH {
            list(root, &path, entries)?;
        }
    }
    Ok(())
}

/// A file of variables: for whom it is, its text, what it says.
type Read = (Scope, SourceFile, Variables);

/// Reads all files that are wanted, in their order. Thousands of small files are shared among the processors.
fn all(folder: &Path, prefix: &str, wanted: &[Wanted]) -> anyhow::Result<Vec<Read>> {
    let one = |wanted: &Wanted| -> anyhow::Result<Read> {
        let path = format!("{prefix}{}", wanted.path);
        let (text, variables) = match String::from_utf8(bytes(&folder.join(&wanted.path))?) {
            Ok(text) => {
                let variables = read::variables(&text);
                (text, variables)
            }
            Err(_) => (String::new(), read::no_text()),
        };
        Ok((wanted.scope.clone(), SourceFile { path, text }, variables))
    };
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let threads = processors.min(wanted.len() / PER_THREAD).max(1);
    if threads == 1 {
        return wanted.iter().map(one).collect();
    }
    let share = wanted.len().div_ceil(threads);
    thread::scope(|scope| {
        let workers: Vec<_> = wanted
            .chunks(share)
            .map(|share| scope.spawn(move || share.iter().map(one).collect::<anyhow::Result<Vec<Read>>>()))
            .collect();
        let mut files = Vec::with_capacity(wanted.len());
        for worker in workers {
            let read = worker.join().map_err(|_| anyhow::anyhow!("reading the inventory broke off"))?;
            files.extend(read?);
        }
        Ok(files)
    })
}

fn bytes(path: &Path) -> anyhow::Result<Vec<u8>> {
    input::read(path, input::INVENTORY_FILE)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    #[test]
    fn many_files_keep_their_order() {
        let mut hosts = "[kube_node]\n".to_owned();
        let mut files = Vec::new();
        for number in 0..1_000 {
            hosts += &format!("n{number}\n");
            files.push((
                format!("host_vars/n{number}.yml"),
                format!("ip: 10.0.{}.{}\n", number / 250, number % 250),
            ));
        }
        files.push(("inventory.ini".to_owned(), hosts));
        let files: Vec<(&str, &str)> =
            files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        let folder = folder(&files);
        let read = inventory(folder.path()).unwrap();
        assert_eq!(read.files.len(), 1_001);
        assert_eq!(read.settings.len(), 1_000);
        assert!(read.files[1].path.ends_with("/host_vars/n0.yml"), "{}", read.files[1].path);
        assert!(read.files[1_000].path.ends_with("/host_vars/n999.yml"));
    }

    #[test]
    fn link_is_followed_and_circle_ends() {
        let folder = folder(&[("hosts", "[g]\na\n"), ("shared/x.yml", "x: 1\n")]);
        std::os::unix::fs::symlink(folder.path().join("shared"), folder.path().join("group_vars")).unwrap();
        std::os::unix::fs::symlink(folder.path().join("shared"), folder.path().join("shared/g")).unwrap();
        let read = inventory(&folder.path().join("hosts")).unwrap();
        assert_eq!(read.settings.len(), 11, "one for each folder inside itself, as deep as is looked");
    }

    #[test]
    fn binary_file_is_one_finding_among_others() {
        let folder = folder(&[
            ("hosts", "[kube_control_plane]\na\n[etcd]\na\n"),
            ("group_vars/all/b.yml", "x_y: 1\n"),
        ]);
        fs::write(folder.path().join("group_vars/all/a.yml"), b"x: \xff\n").unwrap();
        let read = inventory(folder.path()).unwrap();
        let index = lab_core::kubespray::index::Index::known("v2.30.0").unwrap();
        let kubespray = lab_core::lint::Kubespray { index: &index, others: Vec::new };
        let report = lab_core::lint::inventory(read, &kubespray, &Default::default());
        let codes: Vec<_> = report.findings.iter().map(|finding| finding.code.as_str()).collect();
        assert_eq!(codes, ["syntax", "unknown-variable"]);
    }

    #[test]
    fn invalid_inventory_is_refused_with_reason() {
        let error_of = |given: &Path| {
            let error = inventory(given).unwrap_err();
            let hint = error.downcast_ref::<Failure>().and_then(|failure| failure.hint.clone());
            format!("{error}; {}", hint.unwrap_or_default())
        };
        let empty = folder(&[("README.md", "")]);
        assert!(error_of(empty.path()).contains("has no file of hosts; it is looked for as inventory.ini"));
        let two = folder(&[("hosts", ""), ("hosts.yml", "")]);
        assert!(error_of(two.path()).contains("several files of hosts: hosts.yml, hosts; say which one"));
        let program = folder(&[("hosts", "#!/bin/sh\n")]);
        assert!(error_of(program.path()).contains("is a program"));
        assert!(error_of(&empty.path().join("gone")).contains("there is no inventory"));
        fs::write(empty.path().join("hosts"), b"\xff").unwrap();
        assert!(error_of(empty.path()).contains("is not UTF-8"));
    }
}
