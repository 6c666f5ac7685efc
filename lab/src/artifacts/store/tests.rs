use rstest::rstest;

use super::record::Both;
use super::*;

fn writer() -> (tempfile::TempDir, Writer) {
    let folder = tempfile::tempdir().unwrap();
    let writer = Store::open(&Layout::new(folder.path(), folder.path())).writer().unwrap();
    (folder, writer)
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn put_blob_is_read_only_under_its_digest() {
    let (_folder, writer) = writer();
    let blob = writer.put(&mut &b"hello"[..], None).unwrap();
    assert_eq!(blob, Blob { sha256: Digest::of(b"hello"), size: 5 });
    assert_eq!(writer.read(&blob.sha256).unwrap(), b"hello");
    assert_eq!(writer.path(&blob.sha256).metadata().unwrap().permissions().mode() & 0o777, 0o444);
    assert!(writer.has_whole(&blob));
    assert!(!writer.has_whole(&Blob { size: 6, ..blob.clone() }));
    assert_eq!(writer.put_bytes(b"hello").unwrap(), blob, "a second time changes nothing");
    assert_eq!(names(&writer.files().unfinished()), Vec::<String>::new());
}

#[test]
fn blob_that_was_changed_is_not_given_out() {
    let (_folder, writer) = writer();
    let blob = writer.put(&mut &b"hello"[..], None).unwrap();
    let path = writer.path(&blob.sha256);
    std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    assert!(writer.has_whole(&blob), "it was touched, and has its bytes");
    std::fs::write(&path, b"hullo").unwrap();
    assert!(!writer.has_whole(&blob));
    assert_eq!(writer.put_bytes(b"hello").unwrap(), blob);
    assert!(writer.has_whole(&blob), "it was taken in again");
}

#[test]
fn bytes_that_are_not_the_expected_ones_leave_nothing() {
    let (_folder, writer) = writer();
    let expected = Digest::of(b"hello");
    let error = writer.put(&mut &b"hullo"[..], Some(&expected)).unwrap_err();
    insta::assert_snapshot!(crate::failure::render(&error));
    assert_eq!(names(&writer.files().unfinished()), Vec::<String>::new());
    assert_eq!(names(&writer.files().blobs()), Vec::<String>::new());
}

#[test]
fn failed_reader_leaves_nothing() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("cut off"))
        }
    }
    let (_folder, writer) = writer();
    assert!(writer.put(&mut (&b"hel"[..]).chain(Broken), None).is_err());
    assert_eq!(names(&writer.files().unfinished()), Vec::<String>::new());
    assert_eq!(names(&writer.files().blobs()), Vec::<String>::new());
}

#[test]
fn unlocked_put_is_removed_and_locked_one_stays() {
    let (_folder, writer) = writer();
    let unfinished = writer.files().unfinished();
    for name in ["put-1-0", "put-2-0", "part-0"] {
        std::fs::write(unfinished.join(name), "half").unwrap();
    }
    let _held = crate::files::try_lock(&unfinished.join("put-2-0")).unwrap().unwrap();
    writer.store.writer().unwrap();
    assert_eq!(names(&unfinished), ["part-0", "put-2-0"]);
}

#[test]
fn partial_blob_is_resumed_and_verified_as_a_whole() {
    let (_folder, writer) = writer();
    let whole = Digest::of(b"hello world");
    {
        let begun = writer.resume(&whole).unwrap().unwrap();
        begun.add(b"hello").unwrap();
        assert!(writer.resume(&whole).unwrap().is_none(), "one is at it");
    }
    let again = writer.resume(&whole).unwrap().unwrap();
    assert_eq!(again.size().unwrap(), 5);
    again.add(b" world").unwrap();
    assert_eq!(again.finish(Some(&whole)).unwrap().size, 11);
    assert_eq!(writer.read(&whole).unwrap(), b"hello world");

    let other = Digest::of(b"other");
    let begun = writer.resume(&other).unwrap().unwrap();
    begun.add(b"wrong").unwrap();
    insta::assert_snapshot!(begun.finish(Some(&other)).unwrap_err().to_string());
    assert!(!writer.has(&other));
    assert_eq!(names(&writer.files().unfinished()), Vec::<String>::new());
}

#[rstest]
#[case("../../../etc/passwd")]
#[case("")]
#[case("sha512:abc")]
#[case("ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef0123456789")]
fn digest_refuses_all_but_sixty_four_digits(#[case] text: &str) {
    assert_eq!(Digest::parse(text), None);
    assert!(serde_json::from_value::<Digest>(serde_json::json!(text)).is_err());
}

fn file(source: Source, bytes: &[u8]) -> FileRecord {
    FileRecord {
        name: "kubectl".into(),
        version: Some("1.34.3".into()),
        url: "https://dl.k8s.io/kubectl".into(),
        blob: Blob { sha256: Digest::of(bytes), size: bytes.len() as u64 },
        source,
        build_key: None,
        made: None,
    }
}

#[test]
fn exact_artifact_is_used_beside_own_build() {
    let (_folder, writer) = writer();
    let (exact, own) = (file(Source::Upstream, b"exact"), file(Source::OwnBuild, b"own"));
    writer.record_file(&exact).unwrap();
    writer.record_file(&own).unwrap();
    writer.put_bytes(b"own").unwrap();
    assert_eq!(writer.file(&own.url).unwrap(), Some(own.clone()), "the bytes of the other are missing");
    writer.put_bytes(b"exact").unwrap();
    assert_eq!(writer.file(&own.url).unwrap(), Some(exact.clone()));
    writer.forget_file(&own.url, false).unwrap();
    assert_eq!(writer.find_file(&own.url).unwrap(), Both { exact: None, own_build: Some(own.clone()) });
    assert_eq!(writer.file("https://dl.k8s.io/other").unwrap(), None);
    let text = serde_json::to_string_pretty(&own).unwrap();
    insta::assert_snapshot!(text);
    assert_eq!(serde_json::from_str::<FileRecord>(&text).unwrap(), own);
}

#[test]
fn corrupt_bytes_are_set_aside_until_the_right_ones_come() {
    let (_folder, writer) = writer();
    let blob = writer.put_bytes(b"hello").unwrap();
    writer.set_aside(&blob.sha256).unwrap();
    assert!(!writer.has(&blob.sha256) && writer.was_corrupt(&blob.sha256));
    writer.put_bytes(b"hello").unwrap();
    assert!(writer.has(&blob.sha256) && !writer.was_corrupt(&blob.sha256));
    assert_eq!(names(&writer.files().corrupt()), Vec::<String>::new());
}

#[test]
fn exclusive_lock_is_refused_while_writers_exist() {
    let (_folder, writer) = writer();
    let second = writer.store.writer().unwrap();
    assert!(writer.alone().unwrap().is_none());
    let store = writer.store.clone();
    drop((writer, second));
    assert!(store.alone().unwrap().is_some());
}
