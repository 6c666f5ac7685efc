//! Secrets that are known are planted in a lab, and found only where they must be: no log, no report, no command line and
//! no message has one. Needs a machine, because a playbook runs on it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use lab_tests::checkout::walk;
use lab_tests::cluster::Cluster;
use lab_tests::computer::Computer;
use lab_tests::kubespray::reaching;
use lab_tests::{Answer, Checkout, needs, wait};

/// Each secret, and what a text holds that holds it.
const PLANTED: [(&str, &str); 6] = [
    ("the password of a registry", "planted-registry-pass"),
    ("a key of encryption", "cGxhbnRlZC1lbmNyeXB0aW9uLWtleS0zMi1ieXRlcw=="),
    ("a token", "hvs.planted-vault-token"),
    ("a password with quotes", "planted-quoted-pass"),
    ("the key of a kubeconfig", "cGxhbnRlZC1rdWJlY29uZmlnLWtleQ=="),
    ("the password of a mirror", "planted-mirror-pass"),
];

const CLUSTER: &str = r#"
kubespray:
  variables:
    all:
      containerd_registry_auth:
        - { registry: registry.example.com, username: robot, password: planted-registry-pass }
      kube_encrypt_token: cGxhbnRlZC1lbmNyeXB0aW9uLWtleS0zMi1ieXRlcw==
      vault_token: hvs.planted-vault-token
      mirror_url: https://robot:planted-mirror-pass@mirror.example.com/
    k8s_cluster:
      grafana_admin_password: 'with "planted-quoted-pass" in it'
"#;

/// Prints every secret of the cluster file in every way that a task can, but on a command line.
const PLAYBOOK: &str = r#"
- name: Print secrets
  hosts: kube_control_plane
  tasks:
    - name: Write all of them to the machine
      ansible.builtin.copy:
        content: "{{ containerd_registry_auth }} {{ kube_encrypt_token }} {{ vault_token }} {{ grafana_admin_password }} {{ mirror_url }}"
        dest: /etc/planted
        mode: "0600"
      diff: true
    - name: Show them
      ansible.builtin.debug:
        msg: "{{ containerd_registry_auth }} {{ vault_token }} {{ mirror_url }}"
    - name: Fail and go on
      ansible.builtin.command: cat /etc/planted
      register: result
      failed_when: true
      ignore_errors: true
    - name: Fail with them
      ansible.builtin.fail:
        msg: "refused: {{ result.stdout }} {{ kube_encrypt_token }}"
"#;

/// An admin.conf as kubeadm leaves it, as far as the lab reads it.
const ADMIN: &str = r#"{"apiVersion": "v1", "kind": "Config", "current-context": "x",
 "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:6443", "certificate-authority-data": "QUFBQQ=="}}],
 "users": [{"name": "kubernetes-admin", "user": {"client-certificate-data": "QUFBQQ==", "client-key-data": "cGxhbnRlZC1rdWJlY29uZmlnLWtleQ=="}}],
 "contexts": [{"name": "x", "context": {"cluster": "c", "user": "kubernetes-admin"}}]}
"#;

/// Where a secret may lie, by the beginnings of paths: what the user wrote, what Ansible is given, the kubeconfig, keys and
/// what a machine has itself. All but the first are closed to every other user.
const PLACES: [&str; 11] = [
    "inventories/planted/cluster.yaml",
    "inventories/planted/group_vars/",
    "output/planted/inventory/group_vars/",
    "output/planted/kubeconfig",
    "output/planted/keys/id_ed25519",
    "output/planted/machines/node/ssh_host_ed25519_key",
    "output/planted/roots/node/identity/",
    "output/planted/roots/node/upper/",
    "output/snapshots/layers/",
    "output/snapshots/clusters/planted/kept/files/",
    "home/kubeconfig",
];

/// The planted secrets and the lab's own keys, by what they are.
struct Secrets(BTreeMap<String, String>);

impl Secrets {
    fn planted() -> Self {
        Self(PLANTED.iter().map(|(what, text)| ((*what).to_owned(), (*text).to_owned())).collect())
    }

    /// Adds a line of a private key that no other key has.
    fn add_key(&mut self, what: &str, path: &Path) {
        let key = fs::read_to_string(path).unwrap();
        let line = key.lines().rev().nth(2).unwrap();
        self.0.insert(what.to_owned(), line.to_owned());
    }

    /// Which of them some bytes hold.
    fn in_bytes(&self, bytes: &[u8]) -> BTreeSet<String> {
        let text = String::from_utf8_lossy(bytes);
        self.0.iter().filter(|(_, secret)| text.contains(*secret)).map(|(what, _)| what.clone()).collect()
    }

    fn assert_none_in(&self, answer: &Answer) {
        let output = format!("{answer}");
        assert_eq!(self.in_bytes(output.as_bytes()), BTreeSet::new(), "{output}");
    }

    /// The command lines of the computer's processes that hold one; every user of it can read them.
    fn on_command_lines(&self) -> BTreeSet<String> {
        let lines = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| {
            entry.file_name().to_str()?.parse::<i32>().ok()?;
            fs::read(entry.path().join("cmdline")).ok()
        });
        let finding = |line: Vec<u8>| {
            let found = self.in_bytes(&line);
            (!found.is_empty()).then(|| format!("{found:?} on `{}`", String::from_utf8_lossy(&line)))
        };
        lines.filter_map(finding).collect()
    }
}

/// Does something while every command line of the computer is looked at again and again.
fn watched(secrets: &Secrets, work: impl FnOnce() -> Answer) -> Answer {
    let over = AtomicBool::new(false);
    let (answer, found) = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut found = BTreeSet::new();
            while !over.load(Ordering::Relaxed) {
                found.extend(secrets.on_command_lines());
                wait::pause();
            }
            found
        });
        let answer = work();
        over.store(true, Ordering::Relaxed);
        (answer, watcher.join().unwrap())
    });
    assert_eq!(found, BTreeSet::new());
    answer
}

#[test]
fn planted_secrets_are_found_only_where_they_must_be() {
    needs!(Containers, Kubespray);
    let checkout = Checkout::new();
    let text = Cluster::new("planted", &["node"]).kind("container").text();
    checkout.write("planted", &(text + CLUSTER));
    let playbook = checkout.root().join("print.yml");
    fs::write(&playbook, PLAYBOOK).unwrap();
    let before = Computer::look(checkout.root());
    let mut secrets = Secrets::planted();
    let lab = |secrets: &Secrets, arguments: &[&str]| {
        let answer = reaching(checkout.lab(arguments)).answer();
        secrets.assert_none_in(&answer);
        answer
    };

    // Commands that need no machine.
    let sarif = checkout.root().join("report.sarif");
    for (arguments, code) in [
        (&["check", "planted", "--sarif", sarif.to_str().unwrap()][..], 0),
        (&["check", "planted", "--json"], 0),
        (&["plan", "planted", "--json"], 0),
        (&["inventory", "diff", "planted"], 1),
        (&["inventory", "render", "planted"], 0),
        (&["inventory", "check", "planted"], 0),
    ] {
        let answer = lab(&secrets, arguments);
        assert_eq!(answer.code, code, "{arguments:?}: {answer}");
    }

    // Commands at a machine.
    watched(&secrets, || lab(&secrets, &["up", "planted"])).ok();
    secrets.add_key("the login key", &checkout.output("planted").join("keys/id_ed25519"));
    let host_key = checkout.output("planted").join("machines/node/ssh_host_ed25519_key");
    secrets.add_key("a host key", &host_key);
    let play = ["kubespray", "play", "planted", playbook.to_str().unwrap(), "--", "--diff", "-vv"];
    let failed = watched(&secrets, || lab(&secrets, &play)).code(21);
    assert!(failed.stderr.contains("node failed at `Fail with them`: refused: "), "{failed}");
    let events = watched(&secrets, || lab(&secrets, &["kubespray", "play", "--json", "planted", play[3]]));
    assert!(events.code(21).stdout.contains("[secret]"), "the events are shown without them");
    let on_machine = checkout.on("planted", "node", "sudo cat /etc/planted");
    for (what, _) in PLANTED.iter().filter(|(what, _)| !what.contains("kubeconfig")) {
        assert!(secrets.in_bytes(on_machine.as_bytes()).contains(*what), "{what} was given to the machine");
    }
    let write = "sudo mkdir -p /etc/kubernetes && sudo tee /etc/kubernetes/admin.conf > /dev/null";
    checkout.lab(&["ssh", "node", "--cluster", "planted", "--", write]).input(ADMIN.as_bytes()).answer().ok();
    let merge = format!("--merge={}", checkout.home().join("kubeconfig").display());
    watched(&secrets, || lab(&secrets, &["kubeconfig", "planted", &merge])).ok();
    for arguments in [
        &["topology", "planted", "--format", "json"][..],
        &["status", "planted", "--json"],
        &["logs", "--host", "--cluster", "planted"],
        &["logs", "node", "--cluster", "planted"],
        &["snapshot", "planted", "--name", "kept"],
        &["snapshots", "planted", "--verify"],
    ] {
        watched(&secrets, || lab(&secrets, arguments)).ok();
    }
    look_everywhere(&checkout, &secrets);
    lab(&secrets, &["snapshots", "planted", "--remove", "kept"]).ok();
    let _ = fs::remove_file(checkout.home().join("kubeconfig"));
    checkout.destroy("planted", &before);
    // Records and logs outlive a lab.
    look_everywhere(&checkout, &secrets);
}

/// Reads every file of the checkout.
fn look_everywhere(checkout: &Checkout, secrets: &Secrets) {
    let mut wrong = Vec::new();
    let own = ["inventories", "output", "home", "report.sarif"].map(|top| checkout.root().join(top));
    for top in own.into_iter().chain([checkout.cache().join("deploy")]) {
        let mut look = |path: &Path| {
            // A disk of a virtual machine would be none, and there is no file here as large as one.
            let Ok(metadata) = path.symlink_metadata() else { return };
            if !metadata.is_file() {
                return;
            }
            let found = secrets.in_bytes(&fs::read(path).unwrap());
            let shown = path.strip_prefix(checkout.root()).unwrap_or(path).display().to_string();
            let place = PLACES.iter().position(|place| shown.starts_with(place));
            let is_closed = metadata.permissions().mode() & 0o077 == 0 || shown.starts_with("output/");
            if !found.is_empty() && (place.is_none() || !(is_closed || place == Some(0))) {
                wrong.push(format!("{shown} ({:o}) holds {found:?}", metadata.permissions().mode()));
            }
        };
        look(&top);
        walk(&top, &mut look);
    }
    assert!(wrong.is_empty(), "secrets lie where they must not: {wrong:#?}");
    let output = checkout.root().join("output").metadata().unwrap().permissions().mode();
    assert_eq!(output & 0o077, 0, "all of output/ is closed");
}
