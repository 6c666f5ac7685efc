//! Phases of commands: which of a list are carried out, and a sentence for the result of each.

use std::collections::BTreeMap;

use crate::plan::{Action, Plan};
use crate::report::{Outcome, Verdict, counts};
use crate::source::suggest;
use crate::spec::ClusterSpec;

/// Which phases of a list are carried out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Range {
    /// The first, by its place in the list and its name.
    from: Option<(usize, String)>,
    /// The last.
    until: Option<(usize, String)>,
}

/// Why phases cannot be carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// A name of no phase.
    #[error("there is no phase `{name}`")]
    Unknown {
        /// The given name.
        name: String,
        /// The nearest name, or all that there are.
        hint: String,
    },
    /// Nothing is between them.
    #[error("`{until}` comes before `{from}`, so there is nothing to do")]
    Backwards {
        /// Where to begin.
        from: String,
        /// Where to end.
        until: String,
    },
}

impl Range {
    /// The phases of a list from one to another, both included; all of them where none is named.
    ///
    /// # Errors
    /// When a name is none of the list's, or the two are in the wrong order.
    pub fn between(names: &[&str], from: Option<&str>, until: Option<&str>) -> Result<Self, RangeError> {
        let place = |name: Option<&str>| match name {
            None => Ok(None),
            Some(name) => match names.iter().position(|known| *known == name) {
                Some(place) => Ok(Some((place, name.to_owned()))),
                None => {
                    let hint = suggest::one_of("phases", name, names);
                    Err(RangeError::Unknown { name: name.to_owned(), hint })
                }
            },
        };
        let (from, until) = (place(from)?, place(until)?);
        match (&from, &until) {
            (Some((first, from)), Some((last, until))) if last < first => {
                Err(RangeError::Backwards { from: from.clone(), until: until.clone() })
            }
            _ => Ok(Self { from, until }),
        }
    }

    /// Why the phase at this place is left out; `None` where it is not.
    pub fn why_not(&self, place: usize) -> Option<String> {
        match (&self.from, &self.until) {
            (Some((first, name)), _) if place < *first => Some(format!("--from {name}")),
            (_, Some((last, name))) if place > *last => Some(format!("--until {name}")),
            _ => None,
        }
    }
}

/// Describes a valid configuration.
pub fn prepared(spec: &ClusterSpec, present: usize, wanted: usize) -> String {
    format!(
        "`{}` asks for {}, Kubespray {} takes it, {present} of {wanted} artefacts are here",
        spec.name,
        machines_of(spec.machines.len()),
        spec.kubespray.version,
    )
}

/// Describes a phase that is over.
pub fn describe_phase(title: &str, result: &str, seconds: f64) -> String {
    format!("{title}: {result} ({seconds:.1} s)")
}

/// Describes a snapshot that replaced a plan.
pub fn restored(machines: usize) -> String {
    format!("{} restored from a snapshot", machines_of(machines))
}

/// Describes a plan that was carried out.
pub fn provisioned(plan: &Plan) -> String {
    let mut machines: BTreeMap<Action, usize> = BTreeMap::new();
    for machine in &plan.machines {
        *machines.entry(machine.action).or_default() += 1;
    }
    let actions = machines.into_iter().map(|(action, count)| {
        let word = match action {
            Action::Create => "made",
            Action::Change => "changed",
            Action::Replace => "replaced",
            Action::Start => "started",
            Action::Remove => "removed",
            Action::Keep => "as the cluster file says already",
        };
        format!("{} {word}", machines_of(count))
    });
    let actions = actions.collect::<Vec<_>>().join(", ");
    if plan.is_noop() { format!("nothing to do: {actions}") } else { actions }
}

/// Describes the writing of the inventory for people; `folder` is `None` where the cluster file lies in no
/// folder for one.
pub fn generated(folder: Option<&str>, written: usize, removed: usize, unchanged: usize) -> String {
    match (folder, written + removed) {
        (None, _) => {
            "nothing to do: the lab's own was written before its machines, and there is no other".to_owned()
        }
        (Some(folder), 0) => format!("nothing to do: the {unchanged} files in {folder} are as they must be"),
        (Some(folder), _) => {
            format!("{written} files written, {removed} removed, {unchanged} as they were in {folder}")
        }
    }
}

/// Describes the result of the checks.
pub fn validated(checks: &[Outcome]) -> String {
    let passed = checks.iter().filter(|check| check.verdict == Verdict::Passed);
    let passed: Vec<&str> = passed.map(|check| check.id.as_str()).collect();
    format!("{}: {}", counts(checks), passed.join(", "))
}

/// `1 machine`, `2 machines`.
pub fn machines_of(count: usize) -> String {
    format!("{count} machine{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests;
