//! A plan as people read it: one line a resource with a sign, the reasons beside it.

use std::fmt::{self, Write as _};

use anstyle::{AnsiColor, Style};

use super::{Action, Effect, MachineActions, NetworkActions, Plan, Reason, Wanted};
use crate::libvirt_xml::{Forward, NetworkSettings};
use crate::spec::{GpuRequest, MachineKind};

/// The printed plan. `colour`: with ANSI escapes, for a terminal.
pub fn render(plan: &Plan, colour: bool) -> String {
    let names = plan.machines.iter().map(|machine| machine.name.len());
    let width = names.chain(["network".len()]).max().unwrap_or_default();
    let mut text = String::new();
    let mut resource = |action: Action, name: &str, lines: Vec<String>| {
        let style = if colour { action.style() } else { Style::new() };
        let sign = action.sign();
        let first = lines.first().map(String::as_str).unwrap_or_default();
        // The padding of a name without a text beside it would be white space at the end of a line.
        let start = format!("{style}{sign:>3} {name:width$}{style:#}  {first}");
        let _ = writeln!(text, "{}", start.trim_end());
        for line in lines.iter().skip(1) {
            let _ = writeln!(text, "{:3} {:width$}  {line}", "", "");
        }
    };
    resource(plan.network.action, "network", network_lines(&plan.network));
    for machine in &plan.machines {
        resource(machine.action, &machine.name, machine_lines(machine));
    }
    let end = if plan.is_noop() { "nothing to do" } else { "" };
    let summary = plan.summary();
    let _ = match end {
        "" => writeln!(text, "\n{summary}"),
        end => writeln!(text, "\n{end}: {summary}"),
    };
    text
}

fn network_lines(network: &NetworkActions) -> Vec<String> {
    match network.action {
        Action::Create => vec![network.wanted.to_string()],
        _ => network.reasons.iter().map(|reason| reason.describe(false)).collect(),
    }
}

fn machine_lines(machine: &MachineActions) -> Vec<String> {
    let reasons = machine.reasons.iter().filter(|reason| **reason != Reason::Missing);
    let mut lines: Vec<String> = reasons.map(|reason| reason.describe(machine.restarts)).collect();
    match (machine.action, &machine.wanted) {
        (Action::Create, Some(wanted)) => lines.insert(0, wanted.to_string()),
        (Action::Remove, _) if machine.destroys_data => {
            if let Some(first) = lines.first_mut() {
                first.push_str(" (its disk is lost)");
            }
        }
        _ => {}
    }
    lines
}

impl Action {
    fn sign(self) -> &'static str {
        match self {
            Self::Create => "+",
            Self::Change => "~",
            Self::Replace => "-/+",
            Self::Start => ">",
            Self::Remove => "-",
            Self::Keep => "=",
        }
    }

    fn style(self) -> Style {
        match self {
            Self::Create | Self::Start => AnsiColor::Green.on_default(),
            Self::Change => AnsiColor::Yellow.on_default(),
            Self::Replace | Self::Remove => AnsiColor::Red.on_default(),
            Self::Keep => Style::new().dimmed(),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "create",
            Self::Change => "change",
            Self::Replace => "replace",
            Self::Start => "start",
            Self::Remove => "remove",
            Self::Keep => "keep",
        })
    }
}

impl fmt::Display for NetworkSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let forward = match self.forward {
            Forward::Open | Forward::None => "no way out",
            Forward::Nat => "address translation",
        };
        write!(f, "{}, gateway {}, MTU {}, {forward}", self.subnet, self.gateway, self.mtu)
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let applied = &self.applied;
        let plural = if applied.cpus == 1 { "" } else { "s" };
        let root = match applied.kind {
            MachineKind::Vm => format!("{} disk", self.disk),
            MachineKind::Container => "a container".to_owned(),
        };
        write!(f, "{} cpu{plural}, {} memory, {root}, {}", applied.cpus, applied.memory, applied.address)?;
        for model in &applied.stand_in_gpus {
            write!(f, ", {}", GpuRequest::StandIn(model.clone()))?;
        }
        if self.auto_start { Ok(()) } else { f.write_str(", started only by hand") }
    }
}

impl Reason {
    /// The reason with its cost. `restarts`: the machine runs, so that a restart is felt.
    fn describe(&self, restarts: bool) -> String {
        let cost = match self.effect() {
            Effect::DataLoss => " (replaces the machine: its disk is lost)",
            Effect::Restart if restarts => " (restarts the machine)",
            Effect::Restart | Effect::None => "",
        };
        format!("{self}{cost}")
    }

    fn effect(&self) -> Effect {
        match self {
            Self::Differs { effect, .. } => *effect,
            Self::NewKey { .. } | Self::Unreadable | Self::NetworkRestarts => Effect::Restart,
            _ => Effect::None,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("does not exist"),
            Self::NotInFile => f.write_str("not in the cluster file"),
            Self::Differs { what, from, to, .. } => {
                write!(f, "{what} {} → {}", shortened(from), shortened(to))
            }
            Self::NewKey { what } => write!(f, "new {what}"),
            Self::Unreadable => f.write_str("made by another version of the lab"),
            Self::DiskMissing => f.write_str("its disk is missing"),
            Self::DomainMissing => f.write_str("its disk is there already"),
            Self::ShutOff => f.write_str("shut off"),
            Self::StartedByHand => f.write_str("started only by hand"),
            Self::Crashed => f.write_str("crashed"),
            Self::Paused => f.write_str("paused"),
            Self::NotReached => f.write_str("running, not reached yet"),
            Self::NetworkRestarts => f.write_str("its network is started again"),
            Self::Inactive => f.write_str("not active"),
            Self::Hosts { added, moved, removed } => {
                let lists = [("new", added), ("moved", moved), ("gone", removed)];
                let lists = lists.into_iter().filter(|(_, names)| !names.is_empty());
                let lists = lists.map(|(word, names)| format!("{word}: {}", names.join(", ")));
                f.write_str(&lists.collect::<Vec<_>>().join("; "))
            }
        }
    }
}

/// Keys of images are digests: their start distinguishes them.
fn shortened(value: &str) -> &str {
    let digest = value.len() >= 32 && value.bytes().all(|byte| byte.is_ascii_hexdigit());
    if digest { &value[..12] } else { value }
}
