//! Nothing of a machine is another user's: not on the disk, not by a socket, not by /proc, under any umask.

use std::fs::{self, Permissions};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lab_tests::checkout::{real_root, walk};
use lab_tests::cluster::Cluster;
use lab_tests::computer::{Computer, processes};
use lab_tests::other_user::{FIRST_PERSON, OVERFLOW_USER, given_of_processes, run_as, visible};
use lab_tests::wait::until;
use lab_tests::{Checkout, needs, run};
use nix::sys::signal::Signal;

/// The folders that other users cannot enter: `Layout::private` of `lab`.
fn gates(checkout: &Checkout) -> [PathBuf; 2] {
    [checkout.root().join("output"), checkout.cache().to_owned()]
}

/// A lab of both kinds.
const BOTH_KINDS: &str = "
apiVersion: lab/v1alpha1
kind: Cluster
name: closed
network: { subnet: 192.168.200.0/24 }
machines:
  - { name: node, kind: container, roles: [control-plane], cpus: 2, memory: 2GiB }
  - { name: vm, roles: [worker], cpus: 1, memory: 2GiB }
";

/// A checkout in a folder that everybody may enter, whose `lab` is started with a umask.
fn checkout(umask: &str) -> Checkout {
    let mut checkout = Checkout::new();
    fs::set_permissions(checkout.root(), Permissions::from_mode(0o755)).unwrap();
    // Python keeps what it compiled beside the plugins, with the permissions that the umask leaves.
    let ansible = checkout.root().join("ansible");
    fs::remove_file(&ansible).unwrap();
    run("cp").args(["--recursive"]).arg(real_root().join("ansible")).arg(&ansible).answer().ok();
    checkout.prefix = ["sh", "-c", &format!("umask {umask}; exec \"$0\" \"$@\"")].map(str::to_owned).to_vec();
    checkout
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap_or_else(|error| panic!("{}: {error}", path.display())).permissions().mode()
        & 0o7777
}

/// Every path below the gates, and the gates.
fn paths(checkout: &Checkout) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    for gate in gates(checkout) {
        walk(&gate, &mut |path| paths.push(path.to_owned()));
        paths.push(gate);
    }
    paths
}

/// Checks that a user of the computer gets no further than to the gates.
fn assert_closed(checkout: &Checkout, user: u32) {
    let mut paths = paths(checkout);
    let control = checkout.root().join("inventories/closed/cluster.yaml");
    paths.push(control.clone());
    // A gate below a folder that is closed itself is not even seen.
    let is_seen = |gate: &PathBuf| !visible(user, &[gate.parent().unwrap().join(".")]).is_empty();
    let mut expected: Vec<PathBuf> = gates(checkout).into_iter().filter(is_seen).collect();
    expected.push(control);
    let mut seen = visible(user, &paths);
    seen.sort();
    expected.sort();
    assert_eq!(seen, expected, "user {user} sees more or less than the gates");
    for gate in gates(checkout) {
        assert_eq!(mode(&gate), 0o700, "{}", gate.display());
    }
}

#[test]
fn other_users_reach_nothing_of_living_lab_under_open_umask() {
    needs!(Containers);
    let checkout = checkout("0000");
    checkout.write("closed", BOTH_KINDS);
    let before = Computer::look(checkout.root());
    checkout.lab(&["up", "closed"]).answer().ok();
    // The attack: root in a machine leaves a program there for an accomplice on the computer.
    let leave = "sudo install --mode=4755 /usr/bin/busybox /opt/busybox";
    let _ = checkout.on("closed", "node", leave);
    checkout.lab(&["snapshot", "closed", "--name", "kept"]).answer().ok();
    let login = checkout.lab(&["ssh", "node", "--cluster", "closed", "--", "sleep 3605"]).start();
    let alive = || processes(checkout.root());
    until("a process of the machine's user", Duration::from_secs(60), || {
        alive().iter().any(|(_, line)| line == "sleep 3605").then_some(())
    });

    let own = checkout.lab(&["enter", "--cluster", "closed", "--", "sh", "-c", "umask"]).answer().ok();
    assert_eq!(own.stdout, "0000\n", "the user's programs have the user's umask");

    // There is something of every kind to be reached.
    let all = paths(&checkout);
    let programs: Vec<&PathBuf> = all.iter().filter(|path| path.ends_with("opt/busybox")).collect();
    assert!(
        programs.len() == 1 && mode(programs[0]) == 0o4755,
        "a frozen layer has the program: {programs:?}"
    );
    let is_socket =
        |path: &&PathBuf| path.symlink_metadata().is_ok_and(|found| found.file_type().is_socket());
    let sockets: Vec<&PathBuf> = all.iter().filter(is_socket).collect();
    assert!(sockets.iter().any(|path| path.ends_with("libvirt-sock")), "{sockets:?}");
    for name in ["disks/vm.qcow2", "machines/vm/console.log", "keys/id_ed25519", "host/lib/dnsmasq"] {
        assert!(checkout.output("closed").join(name).exists(), "{name}");
    }
    let pids: Vec<i32> = alive().iter().map(|(pid, _)| *pid).collect();
    for part in ["dnsmasq", "libvirtd", "qemu-system", "systemd", "sleep 3605"] {
        assert!(alive().iter().any(|(_, line)| line.contains(part)), "{part} is no process: {:?}", alive());
    }

    for user in [OVERFLOW_USER, FIRST_PERSON] {
        assert_closed(&checkout, user);
        assert_eq!(given_of_processes(user, &pids), Vec::<String>::new(), "user {user}");
        let refused = run_as(user, programs[0]).args(["id"]).answer();
        assert!(refused.code != 0 && refused.stderr.contains("Permission denied"), "{refused}");
    }
    assert!(run(programs[0]).args(["id"]).answer().ok().stdout.contains("uid=0"), "its owner can start it");
    // Behind the gates each kind of thing is closed once more.
    let (lab, snapshots) = (checkout.output("closed"), checkout.root().join("output/snapshots"));
    let layers = fs::read_dir(snapshots.join("layers")).unwrap().map(|entry| entry.unwrap().path());
    let inner = ["", "disks", "host", "keys", "machines/vm", "roots/node", "runs", "served", "inventory"];
    for path in layers.chain([snapshots]).chain(inner.map(|name| lab.join(name))) {
        assert_eq!(mode(&path), 0o700, "{}", path.display());
    }
    for name in ["libvirt-sock", "libvirt-sock-ro", "libvirt-admin-sock"] {
        let socket = lab.join("host/run").join(name);
        assert_eq!(mode(&socket), 0o700, "{}", socket.display());
    }

    // The next command closes folders of an older version, and reports it.
    for open in ["output", "output/closed", "output/snapshots"].map(|name| checkout.root().join(name)) {
        fs::set_permissions(open, Permissions::from_mode(0o755)).unwrap();
    }
    assert!(
        visible(OVERFLOW_USER, &all).len() > gates(&checkout).len() + 3,
        "the older version's folders are open"
    );
    let mended = checkout.lab(&["status", "closed"]).answer().ok();
    assert!(mended.stderr.contains("`output` was open to other users"), "{mended}");
    assert!(mended.stderr.contains("`output/snapshots` was open to other users"), "{mended}");
    assert_closed(&checkout, OVERFLOW_USER);

    checkout.lab(&["snapshots", "closed", "--remove", "kept"]).answer().ok();
    login.press(Signal::SIGTERM);
    login.answer();
    checkout.destroy("closed", &before);
}

#[test]
fn machine_users_keep_access_under_strict_umask() {
    needs!(Containers);
    let checkout = checkout("0077");
    let cluster = |machines: &[&str]| Cluster::new("strict", machines).kind("container").text();
    checkout.write("strict", &cluster(&["node"]));
    let before = Computer::look(checkout.root());
    checkout.lab(&["up", "strict"]).answer().ok();
    let look = "stat --format '%a %U %n' / /etc /etc/hosts /etc/lab/ca.crt /home/debian /usr/lib/lab \
                /usr/lib/lab/first /var/lib/containerd";
    let expected = "755 root /\n755 root /etc\n644 root /etc/hosts\n644 root /etc/lab/ca.crt\n\
                    700 debian /home/debian\n755 root /usr/lib/lab\n755 root /usr/lib/lab/first\n\
                    755 root /var/lib/containerd\n";
    assert_eq!(checkout.on("strict", "node", look), expected);
    let own = checkout.lab(&["enter", "--cluster", "strict", "--", "sh", "-c", "umask"]).answer().ok();
    assert_eq!(own.stdout, "0077\n", "the user's programs have the user's umask");
    // dnsmasq reads the names of new machines as a user of its own.
    checkout.write("strict", &cluster(&["node", "other"]));
    checkout.lab(&["up", "strict"]).answer().ok();
    assert!(checkout.on("strict", "node", "getent hosts other").contains("192.168.200.11"));
    // Restored files are as open to them.
    checkout.lab(&["snapshot", "strict", "--name", "kept"]).answer().ok();
    checkout.lab(&["restore", "strict", "kept", "--yes"]).answer().ok();
    assert_eq!(checkout.on("strict", "node", look), expected);
    checkout.lab(&["snapshots", "strict", "--remove", "kept"]).answer().ok();
    checkout.destroy("strict", &before);
}
