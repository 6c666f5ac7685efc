//! One machine from nothing to nothing: the requests that it answers, and that it is as planned.

use std::io::Read as _;
use std::net::TcpStream;
use std::time::Duration;

use lab_core::identity::{LabId, machine_numbers};
use lab_tests::checkout::read_json;
use lab_tests::cluster::Cluster;
use lab_tests::computer::Computer;
use lab_tests::{Checkout, needs, redact};
use nix::sys::signal::Signal;

/// How long a program may take to say that it has begun.
const SOON: Duration = Duration::from_secs(30);

#[test]
fn machine_is_reached_as_planned_and_leaves_nothing() {
    reached_as_planned("vm");
}

#[test]
fn container_is_reached_as_planned_and_leaves_nothing() {
    needs!(Containers);
    reached_as_planned("container");
}

fn reached_as_planned(kind: &'static str) {
    let checkout = Checkout::with(&Cluster::new("one", &["node"]).kind(kind));
    let before = Computer::look(checkout.root());
    let up = checkout.lab(&["up", "one"]).answer().ok();
    assert!(up.stderr.contains("ansible: 1 of 1 machines answered"), "{up}");

    nothing_is_done_twice(&checkout);
    it_answers_people(&checkout);
    it_is_as_planned(&checkout);
    only_the_key_opens_it(&checkout);
    only_its_own_key_is_trusted(&checkout);
    its_ports_are_carried(&checkout);
    its_console_is_attached(&checkout);

    checkout.destroy("one", &before);
}

fn nothing_is_done_twice(checkout: &Checkout) {
    let again = checkout.lab(&["up", "one"]).answer().ok();
    assert!(again.stderr.contains("nothing to do"), "{again}");
    let plan = checkout.lab(&["plan", "one"]).answer().ok();
    insta::assert_snapshot!("the_plan_of_a_lab_as_it_should_be", plan.stdout);
}

fn it_answers_people(checkout: &Checkout) {
    assert_eq!(checkout.on("one", "node", "hostname"), "node\n");
    let failed = checkout.lab(&["ssh", "node", "--cluster", "one", "--", "exit 7"]).answer();
    assert_eq!(failed.code, 7, "the exit code is the machine's: {failed}");

    let said = checkout.lab(&[
        "exec",
        "--all",
        "--cluster",
        "one",
        "--json",
        "--",
        "echo out; echo err >&2; exit 3",
    ]);
    let said = said.answer().code(3).json();
    let expected =
        serde_json::json!({ "machine": "node", "exit_code": 3, "stdout": "out\n", "stderr": "err\n" });
    assert_eq!(said, expected);

    assert_eq!(checkout.state("one", "node"), "running");
    let status = checkout.lab(&["status", "one"]).answer().ok();
    insta::assert_snapshot!("the_status_of_a_machine_that_runs", status.stdout);
    for format in ["tree", "mermaid"] {
        let drawn = checkout.lab(&["topology", "one", "--format", format]).answer().ok();
        insta::assert_snapshot!(format!("the_topology_as_a_{format}"), drawn.stdout);
    }
    let drawn = checkout.lab(&["topology", "one", "--format", "json"]).answer().ok().json();
    assert_eq!(drawn["status"]["machines"][0]["state"], "running");

    let console = checkout.lab(&["logs", "node", "--cluster", "one"]).answer().ok();
    assert!(console.stdout.contains("lab: ssh ready"), "{console}");
    let mut follower = checkout.lab(&["logs", "node", "--cluster", "one", "--follow"]).start();
    let _ = checkout.on("one", "node", "echo said just now | sudo tee /dev/console");
    follower.says("said just now", SOON);
    follower.press(Signal::SIGINT);
    assert_eq!(follower.answer().code, 0);
}

/// Numbers come from the lab's id and the machine's name, before there is a machine.
fn it_is_as_planned(checkout: &Checkout) {
    let state = read_json(&checkout.output("one").join("state.json"));
    let lab: LabId = state["lab"].as_str().unwrap().parse().unwrap();
    let numbers = &machine_numbers(&lab, ["node"])["node"];
    let actual = checkout.on(
        "one",
        "node",
        "hostname; cat /etc/machine-id; ip -4 -brief address show scope global | tr -s ' ' | cut -d' ' -f3; \
         cat /sys/class/net/e*/address; getent hosts node | tr -s ' '",
    );
    let planned =
        format!("node\n{}\n192.168.200.10/24\n{}\n192.168.200.10 node\n", numbers.machine_id, numbers.mac);
    assert_eq!(actual, planned);
}

fn only_the_key_opens_it(checkout: &Checkout) {
    let config = checkout.output("one").join("ssh_config").display().to_string();
    for user in ["debian", "root"] {
        let refused = checkout
            .inside("one", "ssh")
            .args([
                "-F",
                &config,
                "-l",
                user,
                "-o",
                "PubkeyAuthentication=no",
                "-o",
                "PasswordAuthentication=yes",
            ])
            .args(["-o", "KbdInteractiveAuthentication=yes", "-o", "NumberOfPasswordPrompts=1"])
            .args(["-o", "PreferredAuthentications=password,keyboard-interactive", "node", "true"])
            .answer()
            .code(255);
        // ssh names in parentheses what the machine would take.
        assert_eq!(refused.stderr.trim(), format!("{user}@192.168.200.10: Permission denied (publickey)."));
    }
    let settings = checkout.on("one", "node", "sudo sshd -T");
    for setting in ["passwordauthentication no", "kbdinteractiveauthentication no", "permitemptypasswords no"]
    {
        assert!(settings.lines().any(|line| line == setting), "sshd has no `{setting}`:\n{settings}");
    }
    let passwords = checkout.on("one", "node", "sudo cut -d: -f1,2 /etc/shadow");
    for line in passwords.lines() {
        let (user, hash) = line.split_once(':').unwrap();
        assert!(hash.starts_with(['!', '*']), "`{user}` has a password");
    }
}

fn only_its_own_key_is_trusted(checkout: &Checkout) {
    let pinned = checkout.output("one").join("known_hosts");
    let login = std::fs::read_to_string(checkout.output("one").join("keys/id_ed25519.pub")).unwrap();
    let other = login.split_whitespace().nth(1).unwrap();
    std::fs::write(&pinned, format!("node,192.168.200.10 ssh-ed25519 {other}\n")).unwrap();
    let refused = checkout.lab(&["ssh", "node", "--cluster", "one", "--", "true"]).answer().code(255);
    assert!(refused.stderr.contains("Host key verification failed."), "{refused}");
    // The file is made from the plan, never learned: `up` mends it.
    checkout.lab(&["up", "one"]).answer().ok();
    assert_eq!(checkout.on("one", "node", "echo trusted"), "trusted\n");
}

fn its_ports_are_carried(checkout: &Checkout) {
    for (how, signal) in [("Ctrl-C", Signal::SIGINT), ("kill", Signal::SIGTERM)] {
        let mut proxy = checkout.lab(&["proxy", "0:node:22", "--cluster", "one"]).start();
        proxy.says("-> 192.168.200.10:22\n", SOON);
        let said = proxy.so_far();
        let address = said.split(" -> ").next().unwrap();
        assert!(address.starts_with("127.0.0.1:"), "{said}");
        let mut banner = [0; 8];
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream.read_exact(&mut banner).unwrap();
        assert_eq!(&banner, b"SSH-2.0-");
        drop(stream);
        if signal == Signal::SIGINT {
            proxy.press(signal)
        } else {
            proxy.signal(signal)
        }
        let ended = proxy.answer();
        assert_eq!(ended.code, 0, "after {how}: {ended}");
        assert!(TcpStream::connect(address).is_err(), "after {how} nothing listens any more");
    }
}

/// `virsh` wants a terminal; script(1) makes one.
fn its_console_is_attached(checkout: &Checkout) {
    let program = checkout.program.display();
    let command = format!("{program} console node --cluster one");
    let mut terminal = checkout
        .lab(&[])
        .instead("script", &["--quiet", "--return", "--command", &command, "/dev/null"])
        .talk();
    terminal.says("Escape character is ^]", SOON);
    terminal.write(b"\r");
    terminal.says("node login:", SOON);
    // An answer to the input: virsh misses a Ctrl-] that it reads together with the Enter before it.
    terminal.write(b"guest\r");
    terminal.says("Password:", SOON);
    // Ctrl-] leaves it.
    terminal.write(b"\x1d");
    let left = terminal.answer();
    assert_eq!(left.code, 0, "{left}");
}

#[test]
fn events_are_json_and_a_reader_may_go() {
    let checkout = Checkout::with(&Cluster::new("one", &["node"]).off());
    let before = Computer::look(checkout.root());
    for (command, last) in [("up", "defined"), ("down", "note"), ("destroy", "removed")] {
        let said = checkout.lab(&[command, "one", "--json"]).answer().ok();
        let mut kinds = Vec::new();
        for line in said.stdout.lines() {
            let event: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{said}"));
            let state = event["state"].as_str().unwrap();
            let known = ["step", "done", "failed", "skipped", "note"].contains(&state);
            assert!(known && event["seconds"].is_number() && event["task"].is_string(), "{line}");
            kinds.push(event["kind"].as_str().unwrap().to_owned());
        }
        assert!(kinds.iter().any(|kind| kind == last), "`{command}` says what it did: {said}");
    }
    // A pipe without a reader ends a command that only looks, and none that does something.
    for (command, made) in [("plan", false), ("up", true)] {
        let line = format!("{{ {} {command} one --json; echo $? >&2; }} | true", checkout.program.display());
        let said = checkout.lab(&[]).instead("sh", &["-c", &line]).answer().ok();
        assert_eq!(said.stderr.lines().last(), Some("0"), "{said}");
        assert_eq!(checkout.state("one", "node"), if made { "off" } else { "absent" });
    }
    checkout.destroy("one", &before);
}

#[test]
fn lab_that_was_never_up_has_no_record() {
    let checkout = Checkout::with(&Cluster::new("one", &["node"]));
    let before = Computer::look(checkout.root());
    let plan = checkout.lab(&["plan", "one"]).answer().ok();
    redact::settings(&checkout.root().display().to_string())
        .bind(|| insta::assert_snapshot!("the_plan_of_a_lab_that_is_not_there", plan.stdout));
    assert_eq!(checkout.state("one", "node"), "absent");
    assert_eq!(checkout.left(), Vec::<String>::new(), "to look changes nothing");
    before.assert_nothing_new(checkout.root());
}
