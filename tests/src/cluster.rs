//! Cluster files of tests: as small as a lab can be.

use std::fmt::Write as _;

/// A command whose output distinguishes one start of a machine from another. A container has the kernel's own boot, and a
/// first process of its own.
pub const BOOT: &str = "cat /proc/sys/kernel/random/boot_id; cut -d' ' -f22 /proc/1/stat";

/// A cluster file in the making. The first machine is the control plane.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// Its name.
    pub name: String,
    /// `host:` as the file says it; the embedded one where `None`.
    pub host: Option<String>,
    /// Its network.
    pub subnet: String,
    /// The kind of its machines.
    pub kind: &'static str,
    /// Its machines.
    pub machines: Vec<Machine>,
}

/// A machine of such a file.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Its name.
    pub name: String,
    /// As the file says it.
    pub memory: String,
    /// Whether `up` starts it.
    pub auto_start: bool,
    /// The models of its stand-ins for GPUs.
    pub stand_ins: Vec<&'static str>,
}

impl Cluster {
    /// A cluster on the embedded host, with a machine for each name.
    pub fn new(name: &str, machines: &[&str]) -> Self {
        let mut cluster = Self {
            name: name.to_owned(),
            host: None,
            subnet: "192.168.200.0/24".to_owned(),
            kind: "vm",
            machines: vec![],
        };
        for machine in machines {
            cluster.machines.push(Machine::new(machine));
        }
        cluster
    }

    /// The same with machines of another kind.
    pub fn kind(self, kind: &'static str) -> Self {
        Self { kind, ..self }
    }

    /// The same with machines that are defined and not started: no time is spent on boots.
    pub fn off(mut self) -> Self {
        self.machines.iter_mut().for_each(|machine| machine.auto_start = false);
        self
    }

    /// The file.
    pub fn text(&self) -> String {
        let mut text = format!("apiVersion: lab/v1alpha1\nkind: Cluster\nname: {}\n", self.name);
        if let Some(host) = &self.host {
            let _ = writeln!(text, "host: {host}");
        }
        let _ = writeln!(text, "network:\n  subnet: {}", self.subnet);
        if self.kind != "vm" {
            let _ = writeln!(text, "defaults:\n  kind: {}", self.kind);
        }
        text.push_str("machines:\n");
        for (index, machine) in self.machines.iter().enumerate() {
            // kubeadm refuses a control plane with one processor.
            let (role, cpus) = if index == 0 { ("control-plane", 2) } else { ("worker", 1) };
            let Machine { name, memory, auto_start, stand_ins } = machine;
            let _ = writeln!(
                text,
                "  - name: {name}\n    roles: [{role}]\n    cpus: {cpus}\n    memory: {memory}\n    auto_start: {auto_start}"
            );
            if !stand_ins.is_empty() {
                let gpus: Vec<String> =
                    stand_ins.iter().map(|model| format!("{{stand_in: {model}}}")).collect();
                let _ = writeln!(text, "    gpus: [{}]", gpus.join(", "));
            }
        }
        text
    }
}

impl Machine {
    /// One that `up` starts. No guest uses the memory that a control plane must have, so that it costs nothing.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), memory: "2GiB".to_owned(), auto_start: true, stand_ins: vec![] }
    }

    /// One that is defined only: no time is spent on its boot.
    pub fn off(name: &str) -> Self {
        Self { auto_start: false, ..Self::new(name) }
    }
}
