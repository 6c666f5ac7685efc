//! A libvirt that was there before the lab, and that goes on after it.
//!
//! No computer with a system libvirt is needed: inside the mounts and the network of an embedded host,
//! its private libvirtd is what `qemu:///system` means. Nothing in `lab` knows about that.

use lab_tests::checkout::read_json;
use lab_tests::cluster::Cluster;
use lab_tests::computer::Computer;
use lab_tests::{Answer, Checkout, redact, run};

/// The lab whose host is the other one's libvirt.
const HOST: &str = "host";

struct Place {
    checkout: Checkout,
    pid: String,
}

impl Place {
    /// Runs `lab` where `qemu:///system` is the libvirt of the lab [`HOST`].
    fn lab(&self, words: &[&str]) -> Answer {
        self.checkout
            .lab(words)
            .through(&["nsenter", "--target", &self.pid, "--mount", "--net", "--"])
            .answer()
    }

    /// The entries of a list of `virsh`.
    fn list(&self, words: &[&str]) -> Vec<String> {
        let listed = run("nsenter")
            .args(["--target", &self.pid, "--mount", "--net", "--", "virsh", "--connect", "qemu:///system"])
            .args(words)
            .answer()
            .ok();
        listed.stdout.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
    }

    fn everything(&self) -> Vec<String> {
        let lists: [&[&str]; 3] = [
            &["list", "--all", "--name"],
            &["net-list", "--all", "--name"],
            &["pool-list", "--all", "--name"],
        ];
        lists.iter().flat_map(|words| self.list(words)).collect()
    }
}

#[test]
fn lab_lives_in_existing_libvirt() {
    let checkout = Checkout::with(&Cluster::new(HOST, &["other"]).off());
    let before = Computer::look(checkout.root());
    checkout.lab(&["up", HOST]).answer().ok();
    let mut guest = Cluster::new("guest", &["node"]);
    guest.host = Some("qemu:///system".to_owned());
    guest.subnet = "192.168.201.0/24".to_owned();
    checkout.write("guest", &guest.text());
    let place = Place { pid: checkout.supervisor(HOST).to_string(), checkout };
    let of_host = place.everything();

    place.lab(&["up", "guest"]).ok();
    let said = place.lab(&["ssh", "node", "--cluster", "guest", "--", "hostname"]).ok();
    assert_eq!(said.stdout, "node\n");
    let again = place.lab(&["up", "guest"]).ok();
    assert!(again.stderr.contains("nothing to do"), "{again}");
    let id =
        read_json(&place.checkout.output("guest").join("state.json"))["lab"].as_str().unwrap().to_owned();
    let of_guest: Vec<_> = place.everything().into_iter().filter(|name| !of_host.contains(name)).collect();
    let resource = format!("lab-guest-{id}");
    assert_eq!(of_guest, ["guest-node".to_owned(), resource.clone(), resource]);

    place.lab(&["destroy", "guest"]).ok();
    assert_eq!(place.everything(), of_host, "the other lab's own things stay, and only they");

    // A lab whose folder was removed by hand is found by what its resources carry.
    guest.machines[0].auto_start = false;
    place.checkout.write("guest", &guest.text());
    place.lab(&["up", "guest"]).ok();
    std::fs::remove_dir_all(place.checkout.output("guest")).unwrap();
    let found = place.lab(&["gc", "--uri", "qemu:///system"]).code(40);
    let ours: String = found.stdout.lines().filter(|line| line.contains("guest")).collect();
    redact::settings(&place.checkout.root().display().to_string()).bind(|| insta::assert_snapshot!(ours));
    place.lab(&["gc", "--uri", "qemu:///system", "--remove"]).ok();
    assert_eq!(place.everything(), of_host);
    place.checkout.destroy(HOST, &before);
}
