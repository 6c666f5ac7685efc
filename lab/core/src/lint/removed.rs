//! Variables that another Kubespray knows: gone by this one, or not there yet.

use crate::kubespray::Setting;
use crate::kubespray::index::{Index, Variable};
use crate::source::{Code, Severity};

use super::names::and;
use super::{Lint, Others, Part, truth};

/// Reports a name that this Kubespray has no more or not yet. False if none knows it.
pub(super) fn report_unknown_name(lint: &mut Lint<'_>, name: &str) -> bool {
    let refused = lint.index.refused.iter().any(|refused| refused == name);
    let history = history(lint, name);
    let version = lint.index.version.clone();
    if let History::NotYet { first } = &history {
        for (setting, more) in lint.settings_to_report(name) {
            let message =
                format!("Kubespray {version} does not have `{name}` yet{}: it has no effect", and(more));
            lint.report_finding(Severity::Warning, Code::UnknownVariable, setting, Part::Name, message)
                .hint(format!("it came with {first}"));
        }
        return true;
    }
    let gone = match &history {
        History::Gone { gone, .. } => format!("was removed in {gone}"),
        _ if refused => "was removed".to_owned(),
        _ => return false,
    };
    let source = match &history {
        History::Gone { source: Some(source), last, .. } => Some(format!("{source} in {last}")),
        _ => None,
    };
    let refusal = refused.then(|| {
        let used = lint.index.files.iter().find(|file| file.starts_with("roles/validate_inventory/tasks"));
        used.cloned().unwrap_or_else(|| "roles/validate_inventory".to_owned())
    });
    for (setting, more) in lint.settings_to_report(name) {
        let wanted = switch_of(name) && truth(&setting.value) == Some(true);
        let (severity, code, message) = if refused {
            let message =
                format!("`{name}` {gone}{}, and Kubespray {version} refuses to run with it", and(more));
            (Severity::Error, Code::RemovedVariable, message)
        } else if wanted {
            let message =
                format!("Kubespray {version} does not install this add-on: `{name}` {gone}{}", and(more));
            (Severity::Error, Code::DroppedAddon, message)
        } else {
            let message = format!("`{name}` {gone}{}: it has no effect", and(more));
            (Severity::Warning, Code::RemovedVariable, message)
        };
        let finding = lint.report_finding(severity, code, setting, Part::Name, message);
        finding.hint(if wanted {
            "take it away, and install the add-on by other means; or choose an older Kubespray"
        } else {
            "take it away"
        });
        finding.source = refusal.clone().or_else(|| source.clone());
    }
    true
}

/// Reports an add-on that is asked for by a name which the sample inventory still shows, and which nothing
/// reads any more: v2.31.0 left `deploy_netchecker` there.
pub(super) fn report_shown_add_on(lint: &mut Lint<'_>, name: &str, variable: &Variable) {
    let asked = |setting: &&Setting| truth(&setting.value) == Some(true);
    if only_shown(variable) && switch_of(name) && lint.values.all(name).any(|setting| asked(&setting)) {
        report_unknown_name(lint, name);
    }
}

/// Whether only the sample inventory knows a variable.
fn only_shown(variable: &Variable) -> bool {
    let Variable { defaults, fixed, sometimes_fixed, used, sample } = variable;
    !sample.is_empty()
        && defaults.is_empty()
        && fixed.is_empty()
        && sometimes_fixed.is_empty()
        && used.is_empty()
}

/// Whether a name switches an add-on on.
fn switch_of(name: &str) -> bool {
    name.ends_with("_enabled") || name.starts_with("deploy_")
}

enum History {
    /// The last version that knew it, the first that did not, and where it stood.
    Gone {
        last: String,
        gone: String,
        source: Option<String>,
    },
    /// The first version that knows it.
    NotYet {
        first: String,
    },
    Never,
}

fn history(lint: &Lint<'_>, name: &str) -> History {
    let Others { older, newer } = lint.others();
    // A name that only the sample shows is unread, and a name that is only used may be of a task's own.
    let knows = |index: &Index| {
        let variable = index.variables.get(name);
        variable.is_some_and(|variable| !variable.only_used() && !only_shown(variable))
    };
    if let Some(at) = older.iter().rposition(knows) {
        let last = &older[at];
        let gone = older.get(at + 1).map_or(&lint.index.version, |index| &index.version);
        let variable = &last.variables[name];
        let place = variable
            .defaults
            .first()
            .map(|default| default.place)
            .or_else(|| variable.fixed.first().copied())
            .or_else(|| variable.sample.first().map(|example| example.place));
        return History::Gone {
            last: last.version.clone(),
            gone: gone.clone(),
            source: place.map(|place| last.place(place)),
        };
    }
    match newer.iter().find(|&index| knows(index)) {
        Some(first) => History::NotYet { first: first.version.clone() },
        None => History::Never,
    }
}

/// `v2.30.0-12-gabcdef` as numbers, its distance from the tag last. A text without a number counts as the
/// newest.
pub(super) fn version_of(text: &str) -> Vec<u64> {
    let mut parts = text.trim_start_matches('v').split(['.', '-']).map_while(|part| part.parse().ok());
    let version: Vec<u64> = parts.by_ref().collect();
    if version.is_empty() { vec![u64::MAX] } else { version }
}
