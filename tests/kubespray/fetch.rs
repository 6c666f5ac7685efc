//! Fetching: every known release, from a server and from a directory, at once, killed, and refused.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lab_core::kubespray::release;
use lab_tests::kubespray::{TAGS, UPSTREAM, reaching};
use lab_tests::run::kill_ever_later;
use lab_tests::{Checkout, Run, needs, redact, run};
use nix::sys::signal::Signal;

/// `kubespray …` in a checkout.
fn kubespray(checkout: &Checkout, words: &[&str]) -> Run {
    reaching(checkout.lab(&["kubespray"]).args(words))
}

fn commit(tag: &str) -> &'static str {
    release(tag).unwrap().commit
}

/// The folder of the checkouts.
fn checkouts(checkout: &Checkout) -> PathBuf {
    checkout.cache().join("kubespray/checkouts")
}

/// The entries of a folder, without locks.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.retain(|name| !name.ends_with(".lock"));
    names.sort();
    names
}

/// A bare repository in a directory with the given tags, as a site without the internet has it.
fn mirror(tags: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    run("git").args(["init", "--quiet", "--bare"]).arg(folder.path()).answer().ok();
    let tags = tags.iter().map(|tag| format!("refs/tags/{tag}:refs/tags/{tag}"));
    let fetch = run("git").arg("-C").arg(folder.path()).args(["fetch", "--quiet", "--depth=1", UPSTREAM]);
    reaching(fetch.args(tags)).answer().ok();
    folder
}

#[test]
fn every_known_release_is_fetched_and_a_second_fetch_finds_nothing_to_do() {
    needs!(Kubespray);
    let checkout = Checkout::with_own_cache();
    for tag in TAGS {
        let fetched = kubespray(&checkout, &["fetch", "--version", tag, "--json"]).answer().ok().json();
        assert_eq!(fetched["version"], tag);
        assert_eq!(fetched["commit"], commit(tag));
        let folder = checkouts(&checkout).join(commit(tag));
        assert_eq!(fetched["checkout"], folder.display().to_string());
        let link = checkout.root().join("build/3rd-party/kubespray/kubespray-src");
        assert_eq!(
            link.canonicalize().unwrap(),
            folder.canonicalize().unwrap(),
            "the link leads to the last one"
        );
        let series = if tag == "v2.31.0" { "2.18." } else { "2.17." };
        let core = fetched["environment"]["ansible_core"].as_str().unwrap();
        assert!(core.starts_with(series), "{tag} has ansible-core {core}");
        // The record is believed by what runs: it must be true.
        let program = fetched["environment"]["path"].as_str().unwrap().to_owned() + "/bin/ansible-playbook";
        let said = run(program).arg("--version").env("HOME", checkout.home()).answer().ok();
        assert!(said.stdout.starts_with(&format!("ansible-playbook [core {core}]")), "{said}");
    }
    let again = kubespray(&checkout, &["fetch", "--version", "v2.30.0"]).answer().ok();
    assert!(!again.stderr.contains("fetching"), "{again}");
    assert_eq!(names(&checkouts(&checkout)).len(), TAGS.len(), "they live side by side");

    let status = kubespray(&checkout, &["status", "--json"]).answer().ok().json();
    let versions: Vec<_> = status.as_array().unwrap().iter().map(|found| &found["version"]).collect();
    assert_eq!(versions, TAGS);
    for found in status.as_array().unwrap() {
        assert_eq!(found["problem"], serde_json::Value::Null);
        assert_eq!(found["current"], found["version"] == "v2.30.0");
    }
}

#[test]
fn directory_serves_as_mirror_and_fetch_names_lacking_release() {
    needs!(Kubespray);
    let checkout = Checkout::with_own_cache();
    let mirror = mirror(&["v2.30.0"]);
    let from = mirror.path().to_str().unwrap();
    let fetch = |tag| kubespray(&checkout, &["fetch", "--source", from, "--version", tag]).answer();
    fetch("v2.30.0").ok();
    let lacking = fetch("v2.31.0").code(10);
    let said = lacking.stderr.replace(from, "[MIRROR]");
    redact::settings(&checkout.root().display().to_string()).bind(|| {
        insta::assert_snapshot!("a_mirror_that_lacks_a_release", said);
    });
    assert_eq!(names(&checkouts(&checkout)), [commit("v2.30.0")], "nothing half made is left");
}

#[test]
fn cluster_file_sets_release_and_source() {
    needs!(Kubespray);
    let checkout = Checkout::with_own_cache();
    let mirror = mirror(&["v2.29.1"]);
    let cluster = lab_tests::cluster::Cluster::new("site", &["one"]).text();
    let text = format!("{cluster}kubespray:\n  version: v2.29.1\n  source: ../mirror\n");
    checkout.write("site", &text);
    std::os::unix::fs::symlink(mirror.path(), checkout.root().join("inventories/mirror")).unwrap();
    // Nothing else may be asked: the server's name is given another meaning that leads nowhere.
    let nowhere = checkout.root().join("gitconfig");
    fs::write(&nowhere, format!("[url \"/nonexistent\"]\n\tinsteadOf = {UPSTREAM}\n")).unwrap();
    let fetch = |words: &[&str]| kubespray(&checkout, words).env("GIT_CONFIG_GLOBAL", &nowhere).answer();
    fetch(&["fetch", "--cluster", "site"]).ok();
    assert_eq!(names(&checkouts(&checkout)), [commit("v2.29.1")]);
    let lost = fetch(&["fetch"]).code(10);
    redact::settings(&checkout.root().display().to_string()).bind(|| {
        insta::assert_snapshot!("a_source_that_cannot_be_reached", lost.stderr);
    });
}

#[test]
fn fetches_at_the_same_time_do_the_work_once() {
    needs!(Kubespray);
    let checkout = Checkout::with_own_cache();
    let fetches: Vec<_> = (0..4).map(|_| kubespray(&checkout, &["fetch"]).start()).collect();
    let mut made = 0;
    for fetch in fetches {
        let answer = fetch.answer().ok();
        made += usize::from(answer.stderr.contains("checking out"));
    }
    assert_eq!(made, 1, "one fetches and the others wait for it");
    assert_eq!(names(&checkouts(&checkout)), [commit("v2.30.0")]);
}

/// Killed over and over at different times, each time a little later: a checkout is always whole or absent,
/// and the last fetch comes to its end.
#[test]
fn fetch_works_after_kill_at_any_time() {
    needs!(Kubespray);
    let checkout = Checkout::with_own_cache();
    let folder = checkouts(&checkout).join(commit("v2.30.0"));
    let fetch = || kubespray(&checkout, &["fetch"]).start();
    let interrupted = kill_ever_later(Duration::from_millis(20), 39, fetch, || {
        if folder.exists() {
            // It is there, so it is whole: git itself is asked, not our own program.
            let head = run("git").arg("-C").arg(&folder).args(["status", "--porcelain"]).answer().ok();
            assert_eq!(head.stdout, "");
        }
    });
    assert!(interrupted > 3, "only {interrupted} fetches were interrupted");
    kubespray(&checkout, &["fetch"]).answer().ok();
    assert_eq!(names(&checkouts(&checkout)), [commit("v2.30.0")], "nothing half made is left");
}

/// The program that fills an environment ends with the killed command, and the next command begins again.
#[test]
fn environment_is_made_again_after_kill() {
    needs!(Kubespray);
    let checkout = Checkout::with_empty_cache();
    let fetch = kubespray(&checkout, &["fetch"]).start();
    let environments = checkout.cache().join("environments");
    // A new environment has pip and its parts; the next name is a package that pip installs, Ansible's thousands last.
    let name = lab_tests::wait::until("a package", Duration::from_secs(300), || {
        let [name] = <[String; 1]>::try_from(names(&environments)).ok()?;
        let lib = environments.join(&name).join("lib");
        let packages = names(&lib.join(names(&lib).first()?).join("site-packages"));
        packages.iter().any(|package| package.starts_with("cryptography")).then_some(name)
    });
    fetch.signal(Signal::SIGKILL);
    assert!(!environments.join(&name).join("complete").exists(), "it was killed too late");

    let again = kubespray(&checkout, &["fetch", "--json"]).answer().ok();
    let program = again.json()["environment"]["path"].as_str().unwrap().to_owned() + "/bin/ansible-playbook";
    run(program).arg("--version").env("HOME", checkout.home()).answer().ok();
    assert_eq!(names(&environments), [name]);
}

#[test]
fn stopped_fetch_leaves_nothing_half_made() {
    needs!(Kubespray);
    let checkout = Checkout::with_own_cache();
    let mut fetch = kubespray(&checkout, &["fetch"]).start();
    fetch.says("fetching v2.30.0", Duration::from_secs(20));
    fetch.signal(Signal::SIGINT);
    let answer = fetch.answer();
    // On a quick computer the fetch may be over before the signal comes.
    if answer.code != 0 {
        assert_eq!(answer.code, 130, "{answer}");
        assert_eq!(names(&checkouts(&checkout)), Vec::<String>::new());
    }
}

#[test]
fn fetch_refuses_changed_checkout_and_leaves_it() {
    needs!(Kubespray);
    let checkout = Checkout::with_own_cache();
    kubespray(&checkout, &["fetch"]).answer().ok();
    let folder = checkouts(&checkout).join(commit("v2.30.0"));
    let shows = |name: &str, answer: lab_tests::Answer| {
        redact::settings(&checkout.root().display().to_string()).bind(|| {
            insta::assert_snapshot!(name, answer.stderr);
        });
    };
    fs::write(folder.join("roles/added.yml"), "mine\n").unwrap();
    fs::write(folder.join("cluster.yml"), "mine\n").unwrap();
    fs::remove_file(folder.join("scale.yml")).unwrap();
    shows("a_changed_checkout", kubespray(&checkout, &["fetch"]).answer().code(10));
    assert_eq!(
        fs::read_to_string(folder.join("cluster.yml")).unwrap(),
        "mine\n",
        "it may be the user's work"
    );

    let other = commit("v2.29.0");
    let git = |words: &[&str]| reaching(run("git").arg("-C").arg(&folder).args(words)).answer().ok();
    git(&["reset", "--quiet", "--hard"]);
    git(&["clean", "--quiet", "--force"]);
    kubespray(&checkout, &["fetch"]).answer().ok();
    git(&["fetch", "--quiet", "--depth=1", UPSTREAM, "refs/tags/v2.29.0"]);
    git(&["checkout", "--quiet", other]);
    shows("a_checkout_of_another_commit", kubespray(&checkout, &["fetch"]).answer().code(10));

    fs::remove_file(folder.join(".git/HEAD")).unwrap();
    shows("a_checkout_that_is_not_whole", kubespray(&checkout, &["fetch"]).answer().code(10));
    let status = kubespray(&checkout, &["status"]).answer().ok();
    assert!(status.stdout.contains("CHANGED"), "{status}");
}

#[test]
fn fetch_on_full_disk_fails_in_one_sentence_and_leaves_nothing() {
    needs!(Kubespray);
    let checkout = Checkout::with_own_cache();
    let place = checkout.cache().join("kubespray");
    fs::create_dir(&place).unwrap();
    let script = "mount -t tmpfs -o size=2m none \"$1\" && shift && \"$@\"; code=$?; \
        find \"$0\" -mindepth 2 ! -name '*.lock' >&2; exit $code";
    let mut fetch = kubespray(&checkout, &["fetch"]);
    let place = place.to_str().unwrap().to_owned();
    fetch = fetch.through(&["unshare", "--map-root-user", "--mount", "sh", "-c", script, &place, &place]);
    let answer = fetch.answer().code(10);
    redact::settings(&checkout.root().display().to_string()).bind(|| {
        insta::assert_snapshot!("a_full_disk", answer.stderr);
    });
}

#[test]
fn clean_removes_what_no_lab_uses() {
    needs!(Kubespray);
    // Environments of its own: others are using the shared ones.
    let checkout = Checkout::with_empty_cache();
    let [used, unused] = [commit("v2.30.0"), commit("v2.29.0")];
    let clone = |commit: &str| {
        let folder = checkouts(&checkout).join(commit);
        fs::create_dir_all(&folder).unwrap();
        let git = |words: &[&str]| reaching(run("git").arg("-C").arg(&folder).args(words)).answer().ok();
        git(&["init", "--quiet"]);
        git(&["fetch", "--quiet", "--depth=1", UPSTREAM, commit]);
        git(&["checkout", "--quiet", commit]);
    };
    clone(used);
    clone(unused);
    fs::create_dir_all(checkout.cache().join("environments/kubespray-0123456789abcdef/bin")).unwrap();
    fs::create_dir_all(checkout.cache().join("environments/tools-0123456789abcdef/bin")).unwrap();
    fs::create_dir_all(checkouts(&checkout).join(format!(".new-{}", commit("v2.31.0")))).unwrap();
    // A lab that cannot be read is still a lab, and its settings say what it uses.
    let lab = checkout.output("mine");
    fs::create_dir_all(lab.join("ansible")).unwrap();
    fs::write(lab.join("ansible/ansible.cfg"), format!("roles_path = /x/checkouts/{used}/roles\n")).unwrap();
    fs::write(lab.join("state.json"), "{").unwrap();
    let answer = kubespray(&checkout, &["clean"]).answer().ok();
    insta::assert_snapshot!("clean", answer.stdout);
    assert_eq!(names(&checkouts(&checkout)), [used]);
    assert_eq!(names(&checkout.cache().join("environments")), ["tools-0123456789abcdef"]);
    fs::remove_dir_all(&lab).unwrap();
    kubespray(&checkout, &["clean"]).answer().ok();
    for folder in [checkout.cache().join("kubespray"), checkout.root().join("build/3rd-party/kubespray")] {
        assert!(!folder.exists(), "{}", folder.display());
    }
    assert_eq!(kubespray(&checkout, &["clean"]).answer().ok().stdout, "", "nothing there is success");
}
