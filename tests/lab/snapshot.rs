//! Whole labs saved and restored, for both kinds of machines: the content of the disks, the machines' identity, and what
//! a kill at any point leaves.

use std::fs;
use std::path::PathBuf;

use lab_tests::cluster::Cluster;
use lab_tests::computer::Computer;
use lab_tests::run::KILLED;
use lab_tests::{Answer, Checkout, needs};

struct Place {
    checkout: Checkout,
}

impl Place {
    fn lab(&self, words: &str) -> Answer {
        self.checkout.lab(&words.split(' ').collect::<Vec<_>>()).answer()
    }

    fn killed(&self, words: &str, point: &str) {
        let words: Vec<_> = words.split(' ').collect();
        let answer = self.checkout.lab(&words).env("LAB_TEST_KILL_AT", point).answer();
        assert_eq!(answer.code, KILLED, "`{words:?}` was not killed at {point}: {answer}");
    }

    fn write(&self, name: &str) {
        let said =
            self.checkout.on("kept", "node", &format!("echo {name} | sudo tee /srv/{name}; sudo sync"));
        assert_eq!(said, format!("{name}\n"));
    }

    /// The files of ours that the machine has.
    fn files(&self) -> String {
        self.checkout.on("kept", "node", "sudo ls /srv")
    }

    fn layers(&self) -> Vec<PathBuf> {
        let folder = self.checkout.root().join("output/snapshots/layers");
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    }
}

#[test]
fn snapshot_restores_lab_of_virtual_machines() {
    saved_and_restored("vm");
}

#[test]
fn snapshot_restores_lab_of_containers() {
    needs!(Containers);
    saved_and_restored("container");
}

fn saved_and_restored(kind: &'static str) {
    let place = Place { checkout: Checkout::with(&Cluster::new("kept", &["node"]).kind(kind)) };
    let before = Computer::look(place.checkout.root());
    let nothing = place.lab("snapshot kept").code(11);
    assert!(nothing.stderr.contains("there is no lab `kept`"), "{nothing}");
    place.lab("up kept").ok();
    let identity = place.checkout.on("kept", "node", "cat /etc/machine-id; hostname");
    place.write("one");
    place.lab("snapshot kept --name first").ok();
    assert_eq!(place.files(), "one\n", "the machine goes on with what it had");
    place.write("two");
    place.lab("snapshot kept --name second").ok();
    place.write("three");

    // No data is lost by accident, and names are unique.
    let asked = place.lab("restore kept first").code(11);
    assert!(asked.stderr.contains("the data on the machines of `kept` now would be lost"), "{asked}");
    let twice = place.lab("snapshot kept --name first").code(2);
    assert!(twice.stderr.contains("has a snapshot `first` already"), "{twice}");
    let unknown = place.lab("restore kept frist --yes").code(2);
    assert!(unknown.stderr.contains("did you mean `first`?"), "{unknown}");
    assert_eq!(place.files(), "one\nthree\ntwo\n");

    place.lab("restore kept first --yes").ok();
    assert_eq!(place.files(), "one\n");
    assert_eq!(place.checkout.on("kept", "node", "cat /etc/machine-id; hostname"), identity);
    let again = place.lab("up kept").ok();
    assert!(again.stderr.contains("nothing to do"), "{again}");

    // After the lab is gone, the newest.
    place.checkout.destroy("kept", &before);
    place.lab("restore kept").ok();
    assert_eq!(place.files(), "one\ntwo\n");

    // All but the freezing of disks is the same for both kinds, and a boot under emulation takes a quarter of a minute.
    let points = ["snapshot/freeze:after", "snapshot/stop:after", "snapshot/start:after"];
    killed_while_it_is_kept(&place, if kind == "container" { &points } else { &points[..1] });
    if kind == "container" {
        killed_while_it_is_brought_back(&place);
        damaged(&place);
    }
    place.lab("snapshots kept --remove cut").ok();

    place.lab("snapshots kept --remove first second").ok();
    assert_eq!(place.files(), "one\ntwo\n", "a lab keeps the layers that it stands on");
    place.checkout.destroy("kept", &before);
    assert_eq!(place.layers(), Vec::<PathBuf>::new());
}

/// A command killed on the way loses nothing, and leaves nothing that the next command does not clear.
fn killed_while_it_is_kept(place: &Place, points: &[&str]) {
    for point in points {
        place.killed("snapshot kept --name cut", point);
        place.lab("up kept").ok();
        assert_eq!(place.files(), "one\ntwo\n", "after {point}");
    }
    place.lab("snapshot kept --name cut").ok();
    assert_eq!(place.files(), "one\ntwo\n");
}

fn killed_while_it_is_brought_back(place: &Place) {
    for point in ["restore/clear:after", "restore/lay:before", "restore/lay:after"] {
        place.killed("restore kept second --yes", point);
        place.lab("restore kept second --yes").ok();
        assert_eq!(place.files(), "one\ntwo\n", "after {point}");
    }
}

/// A changed snapshot is reported, and its keys are not used.
fn damaged(place: &Place) {
    let good = place.lab("snapshots kept --verify").ok();
    assert_eq!(good.stdout, "first  as taken\nsecond  as taken\ncut  as taken\n");
    let key = place.checkout.root().join("output/snapshots/clusters/kept/first/files/keys/id_ed25519");
    let bytes = fs::read(&key).unwrap();
    fs::write(&key, b"another").unwrap();
    let bad = place.lab("snapshots kept --verify").code(30);
    assert!(bad.stdout.contains("first  DAMAGED\n  `keys/id_ed25519` has changed"), "{bad}");
    let refused = place.lab("restore kept first --yes").code(11);
    assert!(refused.stderr.contains("the snapshot `first` is damaged"), "{refused}");
    assert_eq!(place.files(), "one\ntwo\n", "the lab was not touched");
    fs::write(&key, bytes).unwrap();
    place.lab("snapshots kept --verify").ok();
}
