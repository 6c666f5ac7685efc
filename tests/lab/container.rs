//! Containers: their limits hold, and the computer whose kernel they share stays as it is.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use lab_tests::cluster::{Cluster, Machine};
use lab_tests::computer::Computer;
use lab_tests::{Checkout, instances, needs, skip};

/// The state that a machine could change on the computer whose kernel it has.
fn kernel() -> Vec<(String, String)> {
    let settings = [
        "/proc/sys/fs/inotify/max_user_instances",
        "/proc/sys/kernel/panic",
        "/proc/sys/kernel/panic_on_oops",
        "/proc/sys/vm/overcommit_memory",
        "/proc/sys/vm/swappiness",
        "/proc/sys/net/ipv4/ip_forward",
        "/proc/cgroups",
        "/proc/self/cgroup",
    ];
    let mut found: Vec<(String, String)> = settings
        .iter()
        .map(|path| ((*path).to_owned(), fs::read_to_string(path).unwrap_or_default()))
        .collect();
    // The third column counts groups, which come and go with everybody's processes.
    if let Some((_, cgroups)) = found.iter_mut().find(|(path, _)| path == "/proc/cgroups") {
        let columns = |line: &str| line.split('\t').take(2).collect::<Vec<_>>().join(" ");
        *cgroups = cgroups.lines().map(columns).collect::<Vec<_>>().join("\n");
    }
    found
}

#[test]
fn container_keeps_to_its_limits() {
    needs!(Containers);
    let checkout = Checkout::with(&Cluster::new("held", &["node", "other"]).kind("container"));
    let before = Computer::look(checkout.root());
    let (settings, clock) = (kernel(), Instant::now());
    checkout.lab(&["up", "held"]).answer().ok();
    let on = |command: &str| checkout.lab(&["ssh", "node", "--cluster", "held", "--", command]).answer();

    // Memory: what it sees, and what it can have.
    let seen = on("awk '/MemTotal/ { print $2 }' /proc/meminfo").ok().stdout;
    assert_eq!(seen.trim(), (2 << 20).to_string());
    let greedy = on("python3 -c 'bytearray(3 << 30)'");
    assert_ne!(greedy.code, 0, "it had three of its two gibibytes: {greedy}");
    on("python3 -c 'bytearray(1 << 30)'").ok();

    // Processors: the other machine has one, so that two busy programs of it get the time of one together.
    let busy = "for i in 1 2; do timeout 3 sh -c 'while :; do :; done' & done; wait; \
                awk '/^cpu /{ print }' /dev/null; times | tail -1";
    let spent = checkout.on("held", "other", &format!("bash -c {:?}", busy));
    let seconds: f64 = spent
        .split_whitespace()
        .map(|time| {
            let (minutes, seconds) = time.trim_end_matches('s').split_once('m').unwrap();
            minutes.parse::<f64>().unwrap() * 60.0 + seconds.parse::<f64>().unwrap()
        })
        .sum();
    assert!(seconds < 3.6, "one processor gave {seconds} s in 3 s");

    // The computer's clock, modules and settings are not a machine's.
    for command in [
        "sudo date -s 2020-01-01",
        "sudo sysctl -w vm.swappiness=1",
        "sudo sysctl -w kernel.sysrq=0",
        "sudo sh -c 'echo 1 >/sys/kernel/mm/ksm/run'",
    ] {
        assert_ne!(on(command).code, 0, "`{command}` is refused");
    }
    // Its own are, and those that kubelet and Kubespray want to set look as they want them.
    on("sudo sysctl -w net.ipv4.ip_forward=1 kernel.panic=10 vm.overcommit_memory=1").ok();
    assert_eq!(on("sudo sysctl -n fs.inotify.max_user_instances").ok().stdout, "8192\n");
    assert_eq!(kernel(), settings, "the computer's settings are as they were");
    assert!(clock.elapsed() < Duration::from_secs(3600), "its clock goes on");

    // Shared files of the machines are read only, and no machine sees the writes of another.
    on("sudo sh -c 'echo mine >/etc/mine'").ok();
    assert_ne!(checkout.lab(&["ssh", "other", "--cluster", "held", "--", "cat /etc/mine"]).answer().code, 0);
    checkout.destroy("held", &before);
    assert_eq!(kernel(), settings);
}

/// Enough inotify instances are left for a container, and not for Kubernetes in it.
#[test]
fn up_warns_of_limits_too_low_for_kubernetes_before_machines_start() {
    needs!(Containers);
    let checkout = Checkout::with(&Cluster::new("tight", &["node"]).kind("container"));
    let before = Computer::look(checkout.root());
    let Some(taken) = instances::take_all_but(20) else { skip!("one process cannot hold so many instances") };
    let up = checkout.lab(&["up", "tight"]).answer().ok();
    drop(taken);
    let warning = "warning: Kubernetes on these machines does not fit on this computer: ";
    let (warned, started) = (up.stderr.find(warning), up.stderr.find("node: starting"));
    assert!(warned.is_some() && warned < started, "{up}");
    assert!(up.stderr.contains("`cargo xtask setup --limits` raises the limits"), "{up}");
    assert!(
        !checkout.lab(&["up", "tight"]).answer().ok().stderr.contains("warning"),
        "nothing starts, so nothing is warned of"
    );
    checkout.destroy("tight", &before);
}

#[test]
fn both_kinds_live_on_one_network() {
    needs!(Containers);
    let mut cluster = Cluster::new("mixed", &["node"]).kind("container");
    cluster.machines.push(Machine::new("emulated"));
    let text = cluster.text().replace("  - name: emulated\n", "  - name: emulated\n    kind: vm\n");
    let checkout = Checkout::new();
    checkout.write("mixed", &text);
    let before = Computer::look(checkout.root());
    checkout.lab(&["up", "mixed"]).answer().ok();
    for (from, to) in [("node", "emulated"), ("emulated", "node")] {
        let heard = format!("timeout 20 bash -c '</dev/tcp/{to}/22' && echo heard");
        assert_eq!(checkout.on("mixed", from, &heard), "heard\n", "{to} from {from}");
    }
    // A container is asked to power off as one, and a virtual machine as one.
    let down = checkout.lab(&["down", "mixed"]).answer().ok();
    assert!(!down.stderr.contains("taking its power"), "{down}");
    checkout.destroy("mixed", &before);
}

/// A stopped cluster leaves such programs running: they ignore SIGTERM, in groups of their own.
#[test]
fn container_with_deaf_programs_powers_off_on_request() {
    needs!(Containers);
    let checkout = Checkout::with(&Cluster::new("deaf", &["node"]).kind("container"));
    let before = Computer::look(checkout.root());
    checkout.lab(&["up", "deaf"]).answer().ok();
    let deaf = "sudo systemd-run --quiet --scope --unit deaf --slice kubepods.slice \
                setsid --fork python3 -c 'import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(9999)' </dev/null >/dev/null 2>&1";
    let _ = checkout.on("deaf", "node", "sudo systemctl start multi-user.target");
    let _ = checkout.on("deaf", "node", deaf);
    let down = checkout.lab(&["down", "deaf"]).answer().ok();
    assert!(!down.stderr.contains("taking its power"), "{down}");
    checkout.destroy("deaf", &before);
}

/// A deploy stops all machines for the moment in which it copies them. One that is killed then cannot let them go on.
#[test]
fn containers_that_a_killed_command_left_stopped_go_on() {
    needs!(Containers);
    let checkout = Checkout::with(&Cluster::new("still", &["node"]).kind("container"));
    let before = Computer::look(checkout.root());
    checkout.lab(&["up", "still"]).answer().ok();
    let record = fs::read(checkout.output("still").join("host/host.json")).unwrap();
    let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
    let groups = record["groups"].as_array().unwrap().iter().map(|group| Path::new(group.as_str().unwrap()));
    let switches = groups.flat_map(|group| {
        [("freezer.state", "FROZEN"), ("cgroup.freeze", "1")]
            .map(|(file, word)| (group.join("machine").join(file), word))
    });
    let (switch, word) = switches.into_iter().find(|(switch, _)| switch.is_file()).expect("a freezer");
    fs::write(&switch, word).unwrap();
    assert_ne!(fs::read_to_string(&switch).unwrap().trim(), "THAWED");
    assert_eq!(checkout.on("still", "node", "echo here"), "here\n");
    checkout.destroy("still", &before);
}
