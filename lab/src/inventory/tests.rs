use std::collections::BTreeMap;
use std::fs;

use lab_core::cluster;
use lab_core::source::SourceFile;
use rstest::rstest;
use tempfile::TempDir;

use crate::layout::Layout;

use super::*;

const MADE_HERE: &str = "# Made by the lab test from its cluster file; changes are overwritten.\n";

/// Rendered files that say no more than their own names.
fn files(paths: &[&str]) -> Files {
    paths.iter().map(|path| ((*path).to_owned(), format!("{MADE_HERE}# {path}\n"))).collect()
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// Writes a foreign file.
fn put(folder: &TempDir, path: &str, text: &str) {
    let path = folder.path().join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Every file of a folder, by its path.
fn found(folder: &TempDir) -> BTreeMap<String, String> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if entry.path().is_dir() {
            walk(folder.path(), &name, &mut paths).unwrap();
        } else {
            paths.push(name);
        }
    }
    let read = |path: String| (path.clone(), fs::read_to_string(folder.path().join(path)).unwrap());
    paths.into_iter().map(read).collect()
}

#[test]
fn rendered_files_are_written_once() {
    let folder = folder();
    let wanted = files(&["inventory.ini", "group_vars/all/all.yml", "host_vars/one.yml"]);
    let written: Vec<String> = wanted.keys().cloned().collect();
    assert_eq!(write(folder.path(), &wanted).unwrap(), Written { written, removed: vec![], unchanged: 0 });
    assert_eq!(found(&folder), wanted);
    assert_eq!(
        write(folder.path(), &wanted).unwrap(),
        Written { written: vec![], removed: vec![], unchanged: 3 }
    );
}

#[test]
fn files_of_earlier_rendering_go_and_foreign_ones_stay() {
    let folder = folder();
    write(folder.path(), &files(&["inventory.ini", "group_vars/etcd/etcd.yml", "host_vars/one.yml"]))
        .unwrap();
    put(&folder, "cluster.yaml", "name: test\n");
    put(&folder, "group_vars/all/mine.yml", "a: 1\n");
    put(&folder, "artifacts/admin.conf", MADE_HERE);
    fs::write(folder.path().join("host_vars/blob"), [0xff, 0xfe]).unwrap();
    let wanted = files(&["inventory.ini", "group_vars/all/all.yml"]);
    let done = write(folder.path(), &wanted).unwrap();
    assert_eq!(done.removed, ["group_vars/etcd/etcd.yml", "host_vars/one.yml"]);
    fs::remove_file(folder.path().join("host_vars/blob")).unwrap();
    let left: Vec<String> = found(&folder).into_keys().collect();
    assert_eq!(
        left,
        [
            "artifacts/admin.conf",
            "cluster.yaml",
            "group_vars/all/all.yml",
            "group_vars/all/mine.yml",
            "inventory.ini"
        ]
    );
    assert!(!folder.path().join("group_vars/etcd").exists(), "an empty folder is left");
}

#[rstest]
#[case::written_by_hand("host_vars/one.yml", "was not rendered here")]
#[case::a_folder_that_hides_our_file("host_vars/one/mine.yml", "Ansible reads only one of them")]
#[case::a_file_that_hides_ours("host_vars/one", "Ansible reads only one of them")]
#[case::a_file_that_ours_hides("group_vars/all.yml", "Ansible reads only one of them")]
#[case::another_name_of_yaml("group_vars/all.yaml", "Ansible reads only one of them")]
#[case::a_folder_of_that_name("inventory.ini/x", "is a folder")]
fn obstacle_is_refused_before_anything_is_written(#[case] path: &str, #[case] says: &str) {
    let folder = folder();
    put(&folder, path, "mine: true\n");
    let before = found(&folder);
    let wanted = files(&["inventory.ini", "group_vars/all/all.yml", "host_vars/one.yml"]);
    let error = write(folder.path(), &wanted).unwrap_err();
    assert!(error.to_string().contains(says), "{error}");
    assert_eq!(crate::failure_kind::of(&error), FailureKind::Usage);
    assert_eq!(found(&folder), before);
}

/// Opening a FIFO waits for a writer, which never comes.
#[test]
fn write_refuses_a_fifo_in_the_way() {
    let folder = folder();
    let fifo = folder.path().join("inventory.ini");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let error = write(folder.path(), &files(&["inventory.ini"])).unwrap_err();
    assert!(error.to_string().ends_with("is a FIFO where a file is to be written"), "{error}");
    let error = check_owner(folder.path(), "test").unwrap_err();
    assert!(error.to_string().ends_with("is a FIFO, not a file"), "{error}");
}

#[test]
fn inventory_of_another_lab_is_not_overwritten() {
    let folder = folder();
    check_owner(folder.path(), "test").unwrap();
    write(folder.path(), &files(&["inventory.ini"])).unwrap();
    check_owner(folder.path(), "test").unwrap();
    let error = check_owner(folder.path(), "other").unwrap_err();
    assert!(error.to_string().ends_with("is the inventory of the lab `test`, not of `other`"), "{error}");
}

#[test]
fn differences_are_shown_as_diff_shows_them() {
    let folder = folder();
    write(folder.path(), &files(&["group_vars/all/all.yml", "host_vars/gone.yml"])).unwrap();
    put(&folder, "group_vars/all/mine.yml", "a: 1\n");
    let mut wanted = files(&["group_vars/all/all.yml", "inventory.ini"]);
    wanted.get_mut("group_vars/all/all.yml").unwrap().push_str("new: 1\n");
    let differences = difference::between(folder.path(), "inventories/test", &wanted).unwrap();
    insta::assert_snapshot!(difference::text(&differences, false), @r"
    --- inventories/test/group_vars/all/all.yml
    +++ inventories/test/group_vars/all/all.yml
    @@ -1,2 +1,3 @@
     # Made by the lab test from its cluster file; changes are overwritten.
     # group_vars/all/all.yml
    +new: 1
    --- inventories/test/host_vars/gone.yml
    +++ /dev/null
    @@ -1,2 +0,0 @@
    -# Made by the lab test from its cluster file; changes are overwritten.
    -# host_vars/gone.yml
    --- /dev/null
    +++ inventories/test/inventory.ini
    @@ -0,0 +1,2 @@
    +# Made by the lab test from its cluster file; changes are overwritten.
    +# inventory.ini
    ");
    let same =
        difference::between(folder.path(), "x", &files(&["group_vars/all/all.yml", "host_vars/gone.yml"]));
    assert_eq!(same.unwrap(), []);
}

#[rstest]
#[case::beside_the_cluster_file("/lab/inventories/dev", "../../output/dev")]
#[case::in_the_lab("/lab/output/dev/inventory", "..")]
#[case::elsewhere("/tmp/dev", "/lab/output/dev")]
#[case::of_a_name_that_begins_alike("/lab/inventories", "../output/dev")]
fn path_to_lab_is_relative_inside_the_checkout(#[case] from: &str, #[case] expected: &str) {
    let found = way(Path::new("/lab"), Path::new(from), Path::new("/lab/output/dev"));
    assert_eq!(found, Path::new(expected));
}

/// The committed inventories equal those that their cluster files render to.
#[test]
fn committed_inventories_are_rendered_from_their_cluster_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let layout = Layout::new(root, root.join("cache"));
    let mut drifted = String::new();
    for entry in fs::read_dir(layout.inventories()).unwrap() {
        let folder = entry.unwrap().path();
        let Ok(text) = fs::read_to_string(folder.join("cluster.yaml")) else { continue };
        let spec = cluster::check(&SourceFile { path: "cluster.yaml".to_owned(), text }, None).spec.unwrap();
        let wanted = rendered(root, &spec, &layout.lab(&spec.name), &folder).unwrap();
        if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
            write(&folder, &wanted).unwrap();
        }
        let shown = folder.strip_prefix(root).unwrap().display().to_string();
        drifted += &difference::text(&difference::between(&folder, &shown, &wanted).unwrap(), false);
    }
    assert!(
        drifted.is_empty(),
        "write them again: INSTA_UPDATE=always cargo test -p lab committed\n{drifted}"
    );
}
