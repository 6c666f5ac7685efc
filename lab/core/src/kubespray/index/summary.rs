//! An index to text for people: all of it in short, or one variable whole. Decides nothing.

use std::fmt::Write as _;

use serde::Serialize;

use super::versions::compare;
use super::{Index, Shape, Variable, known_tags};
use crate::source::suggest;

/// Everything in an index about one variable.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VariableSummary {
    /// Its name.
    pub name: String,
    /// The Kubespray that is asked.
    pub version: String,
    /// The known releases that have it, oldest first.
    pub releases: Vec<&'static str>,
    /// Whether an inventory can set it.
    pub overridable: bool,
    /// Whether Kubespray refuses to run with it.
    pub refused: bool,
    /// Whether it has to be a real boolean.
    pub boolean: bool,
    /// The few words that it may be, where it is so.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
    /// Its defaults.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub defaults: Vec<DefaultSummary>,
    /// Where roles set it for good.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fixed: Vec<String>,
    /// Where roles set it for some systems.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sometimes_fixed: Vec<String>,
    /// Where the sample inventory shows it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sample: Vec<ExampleSummary>,
    /// Where it is used; the first line of each file that does.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub used: Vec<String>,
    /// The components whose version it chooses, with the versions on `amd64`, or on any other architecture.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<ComponentSummary>,
    /// The version that is picked for each minor version of Kubernetes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub picks: Vec<(String, String)>,
}

/// A default of a variable.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DefaultSummary {
    /// `roles/…/main.yml:12`.
    pub place: String,
    /// The kind of value.
    pub shape: Shape,
    /// The value, where it is a plain one or a version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<serde_json::Value>,
}

/// A line of the sample inventory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExampleSummary {
    /// `inventory/sample/…:12`.
    pub place: String,
    /// Whether it is commented out.
    pub commented: bool,
    /// The kind of value that it shows, where the line says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shape: Option<Shape>,
}

/// A component whose version a variable chooses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ComponentSummary {
    /// Its name.
    pub name: String,
    /// Newest first.
    pub versions: Vec<String>,
}

/// Summarises a variable by an index. `None` where it does not know the name.
pub fn summarise_variable(index: &Index, name: &str) -> Option<VariableSummary> {
    let refused = index.refused.iter().any(|refused| refused == name);
    // A refused variable is worth printing though nothing else is known of it.
    let nothing = Variable::default();
    let variable = index.variables.get(name).or(refused.then_some(&nothing))?;
    let has = |tag: &&str| Index::known(tag).is_some_and(|known| known.variables.contains_key(name));
    let components = index.components.iter().filter(|(_, one)| one.version_variable.as_deref() == Some(name));
    let places = |places: &[super::Place]| places.iter().map(|place| index.place(*place)).collect();
    Some(VariableSummary {
        name: name.to_owned(),
        version: index.version.clone(),
        releases: known_tags().filter(has).collect(),
        overridable: variable.overridable() && !refused,
        refused,
        boolean: index.booleans.iter().any(|boolean| boolean == name),
        choices: index.choices.get(name).cloned().unwrap_or_default(),
        defaults: variable
            .defaults
            .iter()
            .map(|default| DefaultSummary {
                place: index.place(default.place),
                shape: default.shape,
                value: default.value.clone(),
            })
            .collect(),
        fixed: places(&variable.fixed),
        sometimes_fixed: places(&variable.sometimes_fixed),
        sample: variable
            .sample
            .iter()
            .map(|example| ExampleSummary {
                place: index.place(example.place),
                commented: example.commented,
                shape: example.shape,
            })
            .collect(),
        used: places(&variable.used),
        components: components
            .map(|(name, one)| ComponentSummary {
                name: name.clone(),
                versions: one
                    .versions
                    .get("amd64")
                    .or_else(|| one.versions.values().next())
                    .cloned()
                    .unwrap_or_default(),
            })
            .collect(),
        picks: index
            .picks
            .iter()
            .filter_map(|(minor, picked)| Some((minor.clone(), picked.get(name)?.clone())))
            .collect(),
    })
}

/// The hint for a name that an index does not know: the nearest one that it does, or the releases that do.
pub fn unknown_variable_hint(index: &Index, name: &str) -> Option<String> {
    let releases: Vec<&str> = known_tags()
        .filter(|tag| *tag != index.version)
        .filter(|tag| Index::known(tag).is_some_and(|known| known.variables.contains_key(name)))
        .collect();
    match releases.as_slice() {
        [] => {}
        [one] => return Some(format!("{one} has it")),
        several => return Some(format!("{} have it", several.join(", "))),
    }
    let known: Vec<&str> = index.variables.keys().map(String::as_str).collect();
    suggest::nearest(name, &known).map(|word| format!("did you mean `{word}`?"))
}

/// One variable whole.
pub fn variable_text(summary: &VariableSummary) -> String {
    let mut text = format!("{}, in Kubespray {}\n", summary.name, summary.version);
    let mut row = |key: &str, value: &str| {
        let _ = writeln!(text, "  {key:14}{value}");
    };
    row(
        "releases",
        &if summary.releases.is_empty() {
            "none of those known".to_owned()
        } else {
            summary.releases.join(", ")
        },
    );
    let overridable = match (summary.refused, summary.overridable, summary.sometimes_fixed.is_empty()) {
        (true, ..) => "no: Kubespray refuses to run with it",
        (_, false, _) => "no: roles set it for good",
        (_, true, false) => "yes, but not on systems for which roles set it",
        (_, true, true) => "yes",
    };
    row("overridable", overridable);
    if summary.boolean {
        row("shape", "a real boolean, no text");
    }
    if !summary.choices.is_empty() {
        let words: Vec<&str> = summary.choices.iter().map(|word| suggest::visible(word)).collect();
        row("one of", &words.join(", "));
    }
    for default in &summary.defaults {
        let value = match (&default.value, default.shape) {
            (Some(value), Shape::Computed) => format!("{value}, computed"),
            (Some(value), _) => value.to_string(),
            (None, shape) => format!("({})", shape_name(shape)),
        };
        row("default", &format!("{value}  {}", default.place));
    }
    for (minor, version) in &summary.picks {
        row("picked", &format!("{version} for Kubernetes {minor}"));
    }
    for component in &summary.components {
        row("versions", &format!("{}: {}", component.name, component.versions.join(" ")));
    }
    summary.fixed.iter().for_each(|place| row("set for good", place));
    summary.sometimes_fixed.iter().for_each(|place| row("set", place));
    for example in &summary.sample {
        let shape = example.shape.map(|shape| format!("  ({})", shape_name(shape))).unwrap_or_default();
        let commented = if example.commented { ", commented out" } else { "" };
        row("sample", &format!("{}{commented}{shape}", example.place));
    }
    summary.used.iter().for_each(|place| row("used", place));
    text
}

const fn shape_name(shape: Shape) -> &'static str {
    match shape {
        Shape::Boolean => "a yes or no",
        Shape::Number => "a number",
        Shape::Text => "a text",
        Shape::List => "a list",
        Shape::Map => "a mapping",
        Shape::Null => "nothing",
        Shape::Computed => "computed",
    }
}

/// An index in short.
pub fn summary_text(index: &Index) -> String {
    let commit = index.commit.as_deref().map(|commit| format!(", commit {commit}")).unwrap_or_default();
    let mut text = format!("Kubespray {}{commit}\n\n", index.version);
    let mut row = |key: &str, value: &str| {
        let _ = writeln!(text, "{key:15}{value}");
    };
    if let Some((oldest, newest)) = index.kubernetes() {
        let kubelet = index.components.get("kubelet");
        let default = kubelet.and_then(|kubelet| kubelet.default.as_deref()).unwrap_or("none");
        row("Kubernetes", &format!("{oldest} to {newest}, {default} by default"));
    }
    row("ansible-core", &format!("from {}, below {}", index.ansible_core.0, index.ansible_core.1));
    row("requirements", &index.requirements.join(", "));
    row("playbooks", &index.playbooks.join(", "));
    row("groups", &index.groups.join(", "));
    let old: Vec<String> = index.old_groups.iter().map(|(old, new)| format!("{old} for {new}")).collect();
    row("old groups", &old.join(", "));
    row("distributions", &index.distributions.join("; "));
    row("add-ons", &index.add_ons().join(", "));
    row(
        "refused",
        if index.refused.is_empty() { "none".to_owned() } else { index.refused.join(", ") }.as_str(),
    );
    let count = |wanted: fn(&Variable) -> bool| index.variables.values().filter(|one| wanted(one)).count();
    row("variables", &format!("{}, of which", index.variables.len()));
    for (number, what) in [
        (count(|one| !one.defaults.is_empty()), "have a default"),
        (count(|one| !one.fixed.is_empty() || !one.sometimes_fixed.is_empty()), "are set by roles"),
        (count(|one| !one.overridable()), "of these for good: an inventory cannot set them"),
        (count(|one| !one.sample.is_empty()), "are shown in the sample inventory"),
        (count(Variable::only_used), "are only used"),
    ] {
        row("", &format!("{number:5} {what}"));
    }
    text.push('\n');
    components(&mut text, index);
    text.push('\n');
    picks(&mut text, index);
    text
}

fn components(text: &mut String, index: &Index) {
    let mut rows = vec![
        ["COMPONENT", "VARIABLE", "DEFAULT", "OLDEST", "NEWEST", "VERSIONS", "ARCHITECTURES"]
            .map(str::to_owned),
    ];
    for (name, one) in &index.components {
        let mut versions: Vec<&String> = one.versions.values().flatten().collect();
        versions.sort_by(|one, other| compare(one, other));
        versions.dedup();
        let end =
            |version: Option<&&String>| version.map_or_else(|| "-".to_owned(), |version| (*version).clone());
        let architectures: Vec<&str> = one.versions.keys().map(String::as_str).collect();
        rows.push([
            name.clone(),
            one.version_variable.clone().unwrap_or_else(|| "-".to_owned()),
            one.default.clone().unwrap_or_else(|| "-".to_owned()),
            end(versions.first()),
            end(versions.last()),
            versions.len().to_string(),
            architectures.join(" "),
        ]);
    }
    table(text, &rows);
}

fn picks(text: &mut String, index: &Index) {
    let mut names: Vec<&String> = index.picks.values().flat_map(|picked| picked.keys()).collect();
    names.sort();
    names.dedup();
    let minors: Vec<&String> = index.picks.keys().rev().collect();
    let header =
        std::iter::once("WITH KUBERNETES".to_owned()).chain(minors.iter().map(|minor| (*minor).clone()));
    let mut rows = vec![header.collect::<Vec<String>>()];
    for name in names {
        let picked = |minor: &&String| index.picks.get(*minor).and_then(|picked| picked.get(name));
        let versions = minors.iter().map(|minor| picked(minor).cloned().unwrap_or_else(|| "-".to_owned()));
        rows.push(std::iter::once(name.clone()).chain(versions).collect());
    }
    table(text, &rows);
}

/// Rows in columns, two blanks between them.
fn table<R: AsRef<[String]>>(text: &mut String, rows: &[R]) {
    let width =
        |at: usize| rows.iter().filter_map(|row| row.as_ref().get(at)).map(|cell| cell.chars().count()).max();
    for row in rows {
        let cells =
            row.as_ref().iter().enumerate().map(|(at, cell)| format!("{cell:0$}", width(at).unwrap_or(0)));
        let line = cells.collect::<Vec<_>>().join("  ");
        let _ = writeln!(text, "{}", line.trim_end());
    }
}

#[cfg(test)]
mod tests;
