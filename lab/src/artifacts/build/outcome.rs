//! What a build did, for people and for scripts.

use lab_core::artifacts::Kind;
use serde::Serialize;

/// What became of an entry of the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It was built.
    Built,
    /// It had been built before.
    Kept,
    /// What its maker published is here, which is better.
    Exact,
    /// It cannot be built.
    Impossible,
    /// It could not be built.
    Failed,
}

/// An entry of the lock and what became of it.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// The lock's name for it.
    pub name: String,
    /// File or image.
    pub kind: Kind,
    /// The version asked for.
    pub version: String,
    /// What became of it.
    pub state: State,
    /// Why it cannot be built.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What replaces it then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instead: Option<String>,
    /// Why a program of our own stands in for upstream's, where one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stand_in: Option<&'static str>,
}

/// Counts, which programs are stand-ins, and what cannot be built, each with the reason.
pub fn summary(outcomes: &[Outcome]) -> String {
    let count = |state| outcomes.iter().filter(|one| one.state == state).count();
    let mut text = format!(
        "{} artefacts: {} built, {} own builds were here, {} as their makers published them\n",
        outcomes.len(),
        count(State::Built),
        count(State::Kept),
        count(State::Exact)
    );
    for outcome in outcomes {
        if let Some(reason) = outcome.stand_in {
            text += &format!("a stand-in of our own: {} {}: {reason}\n", outcome.name, outcome.version);
        }
    }
    for one in outcomes.iter().filter(|one| one.state == State::Impossible) {
        let reason = one.reason.as_deref().unwrap_or_default();
        let instead = one.instead.as_deref().unwrap_or_default();
        text += &format!("cannot be built: {} {}: {reason}; instead: {instead}\n", one.name, one.version);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summary_names_stand_ins_and_unbuildable_artifacts() {
        let outcome = |name: &str, state| Outcome {
            name: name.to_owned(),
            kind: Kind::Image,
            version: "1.0".to_owned(),
            state,
            reason: (state == State::Impossible).then(|| "it is refused".to_owned()),
            instead: (state == State::Impossible).then(|| "another".to_owned()),
            stand_in: None,
        };
        let all = [
            outcome("a", State::Built),
            Outcome { stand_in: Some("its version is refused"), ..outcome("b", State::Kept) },
            outcome("c", State::Exact),
            outcome("d", State::Impossible),
        ];
        insta::assert_snapshot!(summary(&all), @r"
        4 artefacts: 1 built, 1 own builds were here, 1 as their makers published them
        a stand-in of our own: b 1.0: its version is refused
        cannot be built: d 1.0: it is refused; instead: another
        ");
    }
}
