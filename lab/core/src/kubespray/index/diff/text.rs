//! A difference to text for people. Decides nothing.

use std::fmt::Write as _;

use super::{Change, Default, Difference, Effect, Names, Use};
use crate::kubespray::index::Shape;
use crate::source::suggest::visible;

/// More versions than this are printed as the first, the last and their number.
const LISTED: usize = 4;

/// Everything that changes, in sections; a section without a change is left out.
pub fn difference_text(difference: &Difference) -> String {
    let mut text = format!("Kubespray {} to {}\n", difference.from, difference.to);
    if let Some(Change { from, to }) = &difference.kubernetes {
        let range = |range: &Option<(String, String)>| {
            range.as_ref().map_or_else(|| "none".to_owned(), |(old, new)| format!("{old} to {new}"))
        };
        let _ = writeln!(text, "\nKubernetes: {}, before {}", range(to), range(from));
    }
    if let Some(Change { from, to }) = &difference.ansible_core {
        let range = |(from, below): &(String, String)| format!("from {from}, below {below}");
        let _ = writeln!(text, "\nansible-core: {}; before {}", range(to), range(from));
    }
    section(&mut text, "Requirements", &difference.requirements);
    section(&mut text, "Playbooks", &difference.playbooks);
    section(&mut text, "Groups", &difference.groups);
    section(&mut text, "Distributions", &difference.distributions);
    section(&mut text, "Add-ons", &difference.add_ons);
    section(&mut text, "Refused variables", &difference.refused);
    for (variable, words) in &difference.choices {
        section(&mut text, &format!("Words for {variable}"), words);
    }
    let rows = difference.default_versions.iter().map(|(name, change)| {
        vec![format!("  {name}"), change.from.clone(), "->".to_owned(), change.to.clone()]
    });
    table(&mut text, "Default versions", rows.collect());
    section(&mut text, "Components", &difference.components);
    let rows = difference.versions.iter().map(|(name, versions)| {
        let signed = |sign: char, these: &[String]| {
            if these.is_empty() { String::new() } else { format!("{sign} {}", listed(these)) }
        };
        let mut row = vec![format!("  {name}"), signed('+', &versions.added), signed('-', &versions.removed)];
        row.extend(versions.architectures.added.iter().map(|name| format!("+ {name}")));
        row.extend(versions.architectures.removed.iter().map(|name| format!("- {name}")));
        row
    });
    table(&mut text, "Versions with a checksum", rows.collect());
    let rows = difference.overridable.iter().map(|(name, change)| {
        let now = if change.to { "an inventory can set it now" } else { "roles set it for good now" };
        vec![format!("  {name}"), now.to_owned()]
    });
    table(&mut text, "Overridable", rows.collect());
    variables(&mut text, '+', "Variables added", difference.added.iter());
    variables(&mut text, '-', "Variables removed", difference.removed.iter());
    variables(
        &mut text,
        '-',
        "Only in the sample inventory, where nothing reads them",
        difference.unread.iter(),
    );
    let rows = difference.defaults.iter().map(|(name, change)| {
        let (from, to) = (describe_default(&change.from), describe_default(&change.to));
        let words = if from == to { another(&to) } else { format!("{from} -> {to}") };
        vec![format!("  {name}"), words, change.to.place.clone().unwrap_or_default()]
    });
    table(&mut text, "Defaults changed", rows.collect());
    if text.lines().count() == 1 {
        text.push_str("\nTheir indexes do not differ.\n");
    }
    text
}

/// The differences that a cluster uses.
pub fn use_text(cluster: &str, uses: &[Use]) -> String {
    if uses.is_empty() {
        return format!(
            "The cluster `{cluster}` uses nothing that changes, but for the versions that it leaves to Kubespray.\n"
        );
    }
    let mut text = String::new();
    let rows = uses.iter().map(|one| {
        let effect = match &one.effect {
            Effect::Removed => "removed: nothing reads it any more".to_owned(),
            Effect::Refused => "refused: Kubespray does not run with it".to_owned(),
            Effect::Fixed => "roles set it for good now".to_owned(),
            Effect::Word { known } => {
                let known: Vec<&str> = known.iter().map(|word| visible(word)).collect();
                format!("not one of {} any more", known.join(", "))
            }
            Effect::Version { component, known: Some((old, new)) } => {
                format!("no checksum for {component} any more; there are {old} to {new}")
            }
            Effect::Version { component, known: None } => format!("no checksum for {component} any more"),
            Effect::Default(change) => {
                let (from, to) = (describe_default(&change.from), describe_default(&change.to));
                if from == to {
                    format!("its default is {} now", another(&to))
                } else {
                    format!("its default is {to} now, before {from}")
                }
            }
        };
        vec![format!("  {}: {}", one.variable, one.value), effect, format!("({})", one.origins.join("; "))]
    });
    table(&mut text, &format!("Of this, the cluster `{cluster}` uses"), rows.collect());
    text.trim_start().to_owned()
}

/// Names on lines of their own, new ones first.
fn section(text: &mut String, title: &str, names: &Names) {
    if !names.changed() {
        return;
    }
    let _ = writeln!(text, "\n{title}");
    for name in &names.added {
        let _ = writeln!(text, "  + {}", visible(name));
    }
    for name in &names.removed {
        let _ = writeln!(text, "  - {}", visible(name));
    }
}

fn variables<'a>(
    text: &mut String,
    sign: char,
    title: &str,
    all: impl Iterator<Item = (&'a String, &'a Default)>,
) {
    let rows = all.map(|(name, default)| {
        vec![format!("  {sign} {name}"), describe_default(default), default.place.clone().unwrap_or_default()]
    });
    let rows: Vec<Vec<String>> = rows.collect();
    table(text, &format!("{title}: {}", rows.len()), rows);
}

/// Rows in columns. Nothing for no rows.
fn table(text: &mut String, title: &str, rows: Vec<Vec<String>>) {
    if rows.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n{title}");
    let width = |at: usize| rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max();
    for row in &rows {
        let cells =
            row.iter().enumerate().map(|(at, cell)| format!("{cell:0$}", width(at).unwrap_or(0).min(60)));
        let line = cells.collect::<Vec<_>>().join("  ");
        let _ = writeln!(text, "{}", line.trim_end());
    }
}

/// All of a few, the ends of many.
fn listed(versions: &[String]) -> String {
    match versions {
        [first, .., last] if versions.len() > LISTED => format!("{first} to {last} ({})", versions.len()),
        all => all.join(" "),
    }
}

/// `another list`
fn another(description: &str) -> String {
    format!("another {}", description.strip_prefix("a ").unwrap_or(description))
}

/// A default in a few words.
fn describe_default(default: &Default) -> String {
    match (&default.value, default.shape) {
        (Some(value), _) => value.to_string(),
        (None, Some(Shape::Computed)) => "a computed value".to_owned(),
        (None, Some(Shape::List)) => "a list".to_owned(),
        (None, Some(Shape::Map)) => "a mapping".to_owned(),
        (None, Some(Shape::Null)) => "nothing".to_owned(),
        (None, Some(Shape::Text)) => "a text".to_owned(),
        (None, Some(Shape::Number | Shape::Boolean)) => "a value".to_owned(),
        (None, None) => "no default".to_owned(),
    }
}
