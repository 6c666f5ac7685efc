//! The making of a base image: what other programs of the computer do meanwhile, and what a kill leaves.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lab_tests::checkout::walk;
use lab_tests::computer::{Computer, processes};
use lab_tests::run::KILLED;
use lab_tests::soak::{Soak, named};
use lab_tests::wait::{pause, until};
use lab_tests::{Answer, Checkout, needs, redact};
use nix::sys::signal::Signal;

/// Where an image is made.
const UNFINISHED: &str = "cache/images/.new-debian13-0123456789abcdef";

/// About as long as it takes on two processors that do nothing else.
const TYPICAL: Duration = Duration::from_secs(40);

#[test]
fn image_is_made_while_another_program_walks_over_the_checkout_and_after_a_kill() {
    let mut soak = Soak::of(named("image").unwrap(), TYPICAL);
    let over = AtomicBool::new(false);
    let root = soak.checkout().root().to_owned();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // As an indexer does, which follows no links and opens what it finds.
            while !over.load(Ordering::Relaxed) {
                walk(&root.join("cache"), &mut |path| drop(fs::File::open(path)));
                pause();
            }
        });
        soak.kill(0.5);
        over.store(true, Ordering::Relaxed);
    });
    let row = soak.end();
    assert!(row.is_good() && row.kills == 1, "{row:?}");
}

/// A mirror that takes connections and never answers.
pub struct SilentMirror {
    /// Its address, as `LAB_DEBIAN_MIRROR` takes it.
    address: String,
    _listener: TcpListener,
}

pub fn silent_mirror() -> SilentMirror {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/debian", listener.local_addr().unwrap());
    SilentMirror { address, _listener: listener }
}

impl SilentMirror {
    /// Kills the making of an image while apt waits for this mirror, and waits until its programs have ended.
    pub fn kill_image_build(&self, checkout: &Checkout, temporary: &Path) {
        let making = checkout.lab(&["image", "build"]).env("LAB_DEBIAN_MIRROR", &self.address);
        let making = making.env("TMPDIR", temporary).start();
        self.is_asked(checkout);
        making.signal(Signal::SIGKILL);
        making.answer().code(KILLED);
        until("the end of its programs", Duration::from_secs(20), || {
            processes(checkout.root()).is_empty().then_some(())
        });
    }

    /// Waits until apt runs for a checkout: from then on nothing goes on.
    fn is_asked(&self, checkout: &Checkout) {
        until("apt", Duration::from_secs(60), || {
            let lines: Vec<String> = processes(checkout.root()).into_iter().map(|(_, line)| line).collect();
            lines.iter().any(|line| line.contains("/apt/methods/http")).then_some(())
        });
    }
}

#[test]
fn programs_of_a_killed_command_end_with_it() {
    let checkout = Checkout::with_own_cache();
    let before = Computer::look(checkout.root());
    silent_mirror().kill_image_build(&checkout, &std::env::temp_dir());
    before.assert_nothing_new(checkout.root());
    assert_eq!(checkout.lab(&["gc"]).answer().ok().stdout, "");
}

/// Runs a script about a folder in a mount namespace of its own.
fn among_own_mounts(checkout: &Checkout, script: &str, folder: &Path) -> Answer {
    let words = ["--mount", "sh", "-c", script, &folder.display().to_string()];
    checkout.lab(&[]).instead("unshare", &words).env("LAB_BIN", &checkout.program).answer()
}

#[test]
fn mounts_and_programs_of_an_older_version_are_found_and_ended() {
    needs!(Root);
    let checkout = Checkout::with_own_cache();
    let folder = checkout.root().join(UNFINISHED);
    fs::create_dir_all(folder.join("unpack/mmdebstrap.x/proc")).unwrap();
    fs::write(folder.join("unpack/mmdebstrap"), "#!/bin/sh\nsleep 600 & wait\n").unwrap();
    fs::set_permissions(folder.join("unpack/mmdebstrap"), fs::Permissions::from_mode(0o755)).unwrap();
    // In a mount namespace of the test's own: no other program of this computer gets to see the mounts.
    let script = r#"
        mount -t tmpfs tmpfs "$0/unpack/mmdebstrap.x/proc" && touch "$0/unpack/mmdebstrap.x/proc/theirs"
        "$0/unpack/mmdebstrap" "$0/unpack" &
        until pgrep -f "sleep 600" -P $! >/dev/null; do :; done
        "$LAB_BIN" gc; echo "exit code $?"
        "$LAB_BIN" image gc; echo "exit code $?"
        grep -c "$0" /proc/self/mountinfo
        "$LAB_BIN" gc; echo "exit code $?"
        ls -A "$0/.."
    "#;
    let answer = among_own_mounts(&checkout, script, &folder);
    redact::settings(&checkout.root().display().to_string()).bind(|| insta::assert_snapshot!(answer.stdout));
}

#[test]
fn folder_with_a_foreign_mount_is_not_removed() {
    needs!(Root);
    let checkout = Checkout::with_own_cache();
    let folder = checkout.make_output("lost");
    fs::create_dir_all(folder.join("disks")).unwrap();
    fs::write(folder.join("state.json"), "{").unwrap();
    let script = r#"
        mount -t tmpfs tmpfs "$0/disks" && touch "$0/disks/theirs"
        "$LAB_BIN" destroy lost 2>&1; echo "exit code $?"
        ls "$0/disks"
        umount "$0/disks"
        "$LAB_BIN" destroy lost >/dev/null 2>&1; echo "exit code $?"
    "#;
    let answer = among_own_mounts(&checkout, script, &folder);
    assert!(!Path::new(&folder).exists(), "{answer}");
    redact::settings(&checkout.root().display().to_string()).bind(|| insta::assert_snapshot!(answer.stdout));
}
