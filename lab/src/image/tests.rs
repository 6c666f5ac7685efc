use std::path::{Path, PathBuf};
use std::time::Duration;

use lab_core::spec::ImageSpec;
use lab_core::units::Bytes;
use rstest::rstest;
use tokio_util::sync::CancellationToken;

use crate::cx::Cx;
use crate::layout::Layout;
use crate::process::ProcessError;
use crate::progress::Progress;
use crate::wait::Deadline;

use super::mirror::{Source, archive, deb822, of_this_computer, one_line};
use super::{BTreeMap, Boot, Manifest, cloud, debian, ensure, gc, key, list, store, verify};

fn cx(root: &Path) -> Cx {
    Cx {
        layout: Layout::new(root, root),
        cancel: CancellationToken::new(),
        progress: Progress::new(false),
        yes: false,
    }
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(20))
}

/// A cloud image that `qemu-img` need not be asked about: the store never looks inside.
fn manifest(key: &str) -> Manifest {
    Manifest {
        key: key.to_owned(),
        source: "test".to_owned(),
        virtual_size: Bytes::from_gib(1),
        command_line: None,
        files: BTreeMap::new(),
        packages: BTreeMap::new(),
        seconds: 0,
    }
}

async fn put(cx: &Cx, key: &str) -> PathBuf {
    let claim = store::claim(cx, key, soon(), &cx.progress.task("test")).await.unwrap();
    std::fs::write(claim.folder().join("disk.qcow2"), "disk").unwrap();
    claim.publish(&mut manifest(key)).unwrap();
    cx.layout.images().join(key)
}

#[test]
fn key_changes_with_every_input() {
    let recipe = [("a", "one"), ("b", "two")];
    let base = debian::key_of(1, "systemd", &recipe, &["quiet"]);
    assert_eq!(base, debian::key_of(1, "systemd", &recipe, &["quiet"]));
    let others = [
        debian::key_of(2, "systemd", &recipe, &["quiet"]),
        debian::key_of(1, "systemd,udev", &recipe, &["quiet"]),
        debian::key_of(1, "systemd", &[("a", "one"), ("b", "three")], &["quiet"]),
        // The same letters in other files.
        debian::key_of(1, "systemd", &[("a", "onetwo"), ("b", "")], &["quiet"]),
        debian::key_of(1, "systemd", &recipe, &["quiet", "splash"]),
    ];
    for other in others {
        assert_ne!(base, other);
    }
}

#[test]
fn cloud_image_key_depends_on_digest_alone() {
    let cloud =
        |source: &str, digit: &str| ImageSpec::Cloud { source: source.to_owned(), sha512: digit.repeat(128) };
    assert_eq!(key(&cloud("a.qcow2", "a")).unwrap(), key(&cloud("b.qcow2", "a")).unwrap());
    assert_ne!(key(&cloud("a.qcow2", "a")).unwrap(), key(&cloud("a.qcow2", "b")).unwrap());
    assert!(key(&ImageSpec::Cloud { source: "a".to_owned(), sha512: "é".repeat(9) }).is_err());
}

#[test]
fn apt_sources_in_one_line_are_read_and_odd_lines_left_out() {
    let text = "\
# deb http://commented/debian trixie main
deb http://mirror.example/debian/ trixie main contrib # a remark
deb [arch=amd64 signed-by=/etc/apt/keys/x y.gpg] https://other.example/apt stable main
deb-src http://mirror.example/debian trixie main
deb
deb http://no-suite.example
deb [unclosed http://x.example trixie main
debian http://not-a-type.example trixie main
\tdeb\tcdrom:[Debian]/ trixie main
";
    insta::assert_debug_snapshot!(one_line(text));
}

#[test]
fn apt_sources_in_stanzas_are_read_and_odd_stanzas_left_out() {
    let text = "\
Types: deb deb-src
# a remark in the middle
URIs: http://mirror.example/debian/
  http://second.example/debian
Suites: trixie trixie-updates
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 URIs: not a field

Types: deb
Enabled: no
URIs: http://off.example/debian
Suites: trixie
Components: main

types: deb
uris: http://lower.example/apt
suites: ./

nonsense
 and more of it

Types: deb
Suites: without-uri
";
    insta::assert_debug_snapshot!(deb822(text));
}

fn source(uri: &str, suite: &str, components: &str) -> Source {
    Source {
        uri: uri.to_owned(),
        suite: suite.to_owned(),
        components: components.split(' ').map(str::to_owned).collect(),
    }
}

#[rstest]
#[case::an_odd_path_with_updates(&[("http://vendor.example/debian", "trixie", "main"), ("http://m.example/d", "trixie", "main"), ("http://m.example/d", "trixie-updates", "main")], Some("http://m.example/d"))]
#[case::the_first_of_equals(&[("http://a.example/debian", "trixie", "main"), ("http://b.example/debian", "trixie", "main")], Some("http://a.example/debian"))]
#[case::a_vendor_with_a_suite_of_that_name(&[("http://vendor.example/apt", "trixie", "main")], None)]
#[case::another_component(&[("http://vendor.example/debian", "trixie", "stable")], None)]
#[case::another_suite(&[("http://a.example/debian", "sid", "main")], None)]
#[case::a_disc(&[("cdrom:[Debian]/debian", "trixie", "main")], None)]
#[case::nothing(&[], None)]
fn archive_is_distinguished_from_other_repositories(
    #[case] sources: &[(&str, &str, &str)],
    #[case] expected: Option<&str>,
) {
    let sources: Vec<_> =
        sources.iter().map(|(uri, suite, components)| source(uri, suite, components)).collect();
    assert_eq!(archive(&sources, "trixie").as_deref(), expected);
}

#[rstest]
#[case::debian("ID=debian\nVERSION_CODENAME=trixie\n", Some("http://m.example/debian"))]
#[case::another_distribution("ID=ubuntu\nVERSION_CODENAME=trixie\n", None)]
#[case::a_debian_that_has_no_name("ID=\"debian\"\n", None)]
fn only_a_debian_computer_has_a_mirror(#[case] release: &str, #[case] expected: Option<&str>) {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("etc/apt/sources.list.d");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(root.path().join("etc/os-release"), release).unwrap();
    let stanza = "Types: deb\nURIs: http://m.example/debian\nSuites: trixie\nComponents: main\n";
    std::fs::write(folder.join("debian.sources"), stanza).unwrap();
    std::fs::write(folder.join("saved.sources.bak"), stanza.replace("m.example", "old.example")).unwrap();
    assert_eq!(of_this_computer(root.path()).as_deref(), expected);
}

#[test]
fn mirror_is_absent_without_apt_sources() {
    assert_eq!(of_this_computer(tempfile::tempdir().unwrap().path()), None);
}

#[tokio::test]
async fn interrupted_build_is_no_image_and_next_one_clears_it() {
    let root = tempfile::tempdir().unwrap();
    let cx = cx(root.path());
    let claim = store::claim(&cx, "one", soon(), &cx.progress.task("test")).await.unwrap();
    std::fs::write(claim.folder().join("disk.qcow2"), "half").unwrap();
    drop(claim);
    let images = cx.layout.images();
    assert!(store::find(&images, "one").unwrap().is_none());
    assert!(list(&images).unwrap().is_empty());
    let claim = store::claim(&cx, "one", soon(), &cx.progress.task("test")).await.unwrap();
    assert_eq!(std::fs::read_dir(claim.folder()).unwrap().count(), 0);
}

#[tokio::test]
async fn second_builder_waits_and_finds_first_image() {
    let root = tempfile::tempdir().unwrap();
    let first = cx(root.path());
    let claim = store::claim(&first, "one", soon(), &first.progress.task("first")).await.unwrap();
    let second = first.clone();
    let waiting = tokio::spawn(async move {
        let task = second.progress.task("second");
        let claim = store::claim(&second, "one", soon(), &task).await.unwrap();
        (store::find(&second.layout.images(), "one").unwrap(), claim)
    });
    std::fs::write(claim.folder().join("disk.qcow2"), "disk").unwrap();
    claim.publish(&mut manifest("one")).unwrap();
    let (found, _claim) = waiting.await.unwrap();
    assert_eq!(found.unwrap().files["disk.qcow2"].size, Bytes(4));
}

#[tokio::test]
async fn verify_reports_each_changed_file() {
    let root = tempfile::tempdir().unwrap();
    let cx = cx(root.path());
    let folder = put(&cx, "one").await;
    let images = cx.layout.images();
    assert_eq!(verify(&images, "one").unwrap(), Vec::<String>::new());
    std::fs::write(folder.join("disk.qcow2"), "dusk").unwrap();
    assert_eq!(verify(&images, "one").unwrap(), ["`disk.qcow2` has other contents than when it was made"]);
    std::fs::write(folder.join("disk.qcow2"), "disks").unwrap();
    assert_eq!(verify(&images, "one").unwrap(), ["`disk.qcow2` has 5 bytes, not 4"]);
    std::fs::remove_file(folder.join("disk.qcow2")).unwrap();
    assert_eq!(verify(&images, "one").unwrap(), ["`disk.qcow2` is missing"]);
    assert!(verify(&images, "none").is_err());
}

#[tokio::test]
async fn gc_keeps_named_and_unfinished_images() {
    let root = tempfile::tempdir().unwrap();
    let cx = cx(root.path());
    let images = cx.layout.images();
    put(&cx, "kept").await;
    put(&cx, "old").await;
    drop(store::claim(&cx, "given-up", soon(), &cx.progress.task("test")).await.unwrap());
    let making = store::claim(&cx, "making", soon(), &cx.progress.task("test")).await.unwrap();
    std::fs::create_dir_all(images.join("cache/debian")).unwrap();
    assert_eq!(gc(&images, &["kept".to_owned()]).unwrap(), [".new-given-up", "old"]);
    assert!(making.folder().is_dir());
    assert!(images.join("cache/debian").is_dir());
    let left: Vec<_> = list(&images).unwrap().into_iter().map(|manifest| manifest.key).collect();
    assert_eq!(left, ["kept"]);
    assert!(gc(&root.path().join("no-store"), &[]).unwrap().is_empty());
}

#[tokio::test]
async fn cloud_image_with_another_digest_is_refused() {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("mine.qcow2"), "not what it should be").unwrap();
    let cx = cx(root.path());
    let spec = ImageSpec::Cloud { source: "mine.qcow2".to_owned(), sha512: "0".repeat(128) };
    let error = ensure(&cx, &spec, root.path()).await.unwrap_err();
    let text = crate::failure::render(&error);
    assert!(
        text.starts_with("error: the image `mine.qcow2` is not the one that the cluster file names"),
        "{text}"
    );
    assert!(text.contains("hint: "), "{text}");
    assert!(list(&cx.layout.images()).unwrap().is_empty());
}

/// Opening a FIFO waits for a writer, which never comes.
#[tokio::test]
async fn cloud_image_that_is_a_fifo_is_refused() {
    let root = tempfile::tempdir().unwrap();
    nix::unistd::mkfifo(&root.path().join("mine.qcow2"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let spec = ImageSpec::Cloud { source: "mine.qcow2".to_owned(), sha512: "0".repeat(128) };
    let error = ensure(&cx(root.path()), &spec, root.path()).await.unwrap_err();
    assert!(format!("{error:#}").contains("mine.qcow2` is a FIFO, not a file"), "{error:#}");
}

#[tokio::test]
async fn stored_image_is_used_without_its_source() {
    let root = tempfile::tempdir().unwrap();
    let cx = cx(root.path());
    let spec = ImageSpec::Cloud { source: "gone.qcow2".to_owned(), sha512: "a".repeat(128) };
    let folder = put(&cx, &key(&spec).unwrap()).await;
    let image = ensure(&cx, &spec, root.path()).await.unwrap();
    assert_eq!(image.disk, folder.join("disk.qcow2"));
    assert_eq!(image.boot, Boot::Disk);
}

#[test]
fn overlay_is_refused_since_its_digest_covers_only_itself() {
    let whole = r#"{"format": "qcow2", "virtual-size": 1073741824, "filename": "x"}"#;
    assert_eq!(cloud::understood(whole, "x").unwrap(), ("qcow2".to_owned(), Bytes::from_gib(1)));
    let overlay = r#"{"format": "qcow2", "virtual-size": 1, "backing-filename": "/etc/shadow"}"#;
    assert!(cloud::understood(overlay, "x").unwrap_err().to_string().contains("`/etc/shadow`"));
    assert!(cloud::understood("qemu-img: no", "x").is_err());
}

#[test]
fn address_reaches_curl_unchanged() {
    let text = cloud::curl_settings("https://me:a\"b\\c@host/x?y=\n-o/etc/passwd");
    assert_eq!(text, "url = \"https://me:a\\\"b\\\\c@host/x?y=-o/etc/passwd\"\n");
}

#[rstest]
#[case::full("E: You don't have enough free space in /var/cache/apt/archives/.", "the disk is full")]
#[case::full_while_unpacking("tar: cannot write: No space left on device", "the disk is full")]
#[case::mirror(
    "E: Failed to fetch http://m.example/x",
    "the mirror http://m.example did not serve the packages"
)]
#[case::other("dpkg: error", "mmdebstrap failed")]
fn failed_build_is_reported_in_one_sentence_with_end_of_its_log(#[case] line: &str, #[case] why: &str) {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    std::fs::write(&log, format!("I: beginning\n{line}\n")).unwrap();
    let failed = ProcessError::Failed {
        program: "mmdebstrap".to_owned(),
        status: std::os::unix::process::ExitStatusExt::from_raw(256),
        output: String::new(),
    };
    let error = debian::explained(failed, &log, Some("http://m.example"));
    assert_eq!(error.to_string(), format!("cannot make the Debian 13 image: {why}"));
    assert!(format!("{error:#}").ends_with(&format!("I: beginning\n{line}")), "{error:#}");
}
