//! The lab of an ordinary user: no group, no daemon, no root.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use lab_tests::checkout::variable;
use lab_tests::cluster::Cluster;
use lab_tests::computer::Computer;
use lab_tests::{Checkout, needs, run, skip};
use nix::unistd::User;

use crate::image::silent_mirror;

/// A user that is there for one test.
struct Guest {
    name: String,
}

impl Guest {
    fn new(home: &Path) -> Self {
        let name = format!("lab-test-{}", std::process::id());
        run("useradd")
            .args(["--no-create-home", "--shell", "/bin/sh", "--home-dir"])
            .arg(home)
            .arg(&name)
            .answer()
            .ok();
        let guest = Self { name };
        // Where the computer's settings do not hand them out by themselves.
        for (file, option) in [("/etc/subuid", "--add-subuids"), ("/etc/subgid", "--add-subgids")] {
            let ids = fs::read_to_string(file).unwrap_or_default();
            if !ids.lines().any(|line| line.starts_with(&format!("{}:", guest.name))) {
                run("usermod").args([option, "1000000000-1000065535", &guest.name]).answer().ok();
            }
        }
        guest
    }

    /// The first words of a command so that it runs as this user.
    fn prefix(&self) -> Vec<String> {
        let user = User::from_name(&self.name).unwrap().expect("the user was just made");
        let (uid, gid) = (user.uid.as_raw(), user.gid.as_raw());
        ["setpriv", "--init-groups"]
            .map(str::to_owned)
            .into_iter()
            .chain([format!("--reuid={uid}"), format!("--regid={gid}"), "--".to_owned()])
            .collect()
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let removed = run("userdel").arg(&self.name).answer();
        if removed.code != 0 {
            eprintln!("the user of a test cannot be removed:\n{removed}");
        }
    }
}

#[test]
fn ordinary_user_runs_a_lab() {
    needs!(Root);
    let tun = fs::metadata("/dev/net/tun").map_or(0, |metadata| metadata.mode());
    if tun & 0o6 != 0o6 {
        skip!("/dev/net/tun is not there for everybody (mode {:o})", tun & 0o777);
    }
    let mut checkout = Checkout::with_empty_cache();
    checkout.write("own", &Cluster::new("own", &["node"]).text());
    // Dropped after the checkout, whose lab is destroyed by this user.
    let guest = Guest::new(&checkout.home());
    own_copies(&mut checkout, &guest);
    if run("unshare").args(["--user", "true"]).through(&guest.prefix()).answer().code != 0 {
        skip!("the kernel refuses user namespaces to ordinary users");
    }
    let before = Computer::look(checkout.root());

    checkout.lab(&["up", "own"]).answer().ok();
    assert_eq!(checkout.on("own", "node", "hostname"), "node\n");
    let again = checkout.lab(&["up", "own"]).answer().ok();
    assert!(again.stderr.contains("nothing to do"), "{again}");
    let said = checkout.lab(&["exec", "--all", "--cluster", "own", "--", "hostname"]).answer().ok();
    assert_eq!(said.stdout, "node: node\n");
    checkout.lab(&["down", "own"]).answer().ok();
    assert_eq!(checkout.state("own", "node"), "off");
    checkout.destroy("own", &before);
    drop(checkout);
    drop(guest);
}

#[test]
fn programs_of_an_ordinary_users_killed_command_end_with_it() {
    needs!(Root);
    let mut checkout = Checkout::with_empty_cache();
    let guest = Guest::new(&checkout.home());
    if run("unshare").args(["--user", "true"]).through(&guest.prefix()).answer().code != 0 {
        skip!("the kernel refuses user namespaces to ordinary users");
    }
    hand_over(&mut checkout, &guest);
    let before = Computer::look(checkout.root());
    // The folder that subordinate ids can reach goes with the checkout.
    silent_mirror().kill_image_build(&checkout, checkout.root());
    before.assert_nothing_new(checkout.root());
    drop(checkout);
    drop(guest);
}

/// Everything that the user must be able to read or write, in the checkout and theirs.
fn own_copies(checkout: &mut Checkout, guest: &Guest) {
    // The base image is made where all tests share it, before it is copied.
    Checkout::with(&Cluster::new("first", &["node"]).off()).lab(&["up", "first"]).answer().ok();
    let copy = |from: &Path, to: &Path| {
        run("cp").args(["--archive", "--reflink=auto"]).arg(from).arg(to).answer().ok()
    };
    copy(&Path::new(&variable("LAB_CACHE")).join("images"), checkout.cache());
    // Scripts of an environment name their own place.
    let own = checkout.root().join("ansible-environment");
    let ansible = std::mem::replace(&mut checkout.ansible, own);
    copy(&ansible, &checkout.ansible);
    let names = format!("s#{}#{}#", ansible.display(), checkout.ansible.display());
    let script = "grep --files-with-matches --recursive --binary-files=without-match \"$0\" \"$1/bin\" \"$1/pyvenv.cfg\" \
                  | xargs sed --in-place \"$2\"";
    run("sh").args(["-c", script]).arg(&ansible).arg(&checkout.ansible).arg(&names).answer().ok();
    hand_over(checkout, guest);
}

/// Gives the checkout to the user, who calls a program of their own in it.
fn hand_over(checkout: &mut Checkout, guest: &Guest) {
    fs::copy(variable("LAB_BIN"), checkout.root().join("lab")).unwrap();
    run("chown").args(["--recursive", &format!("{}:", guest.name)]).arg(checkout.root()).answer().ok();
    checkout.program = checkout.root().join("lab");
    checkout.prefix = guest.prefix();
}
